//! Log lines on their way through a real rsyslogd to the collector's listener.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use evident_tests::{Host, bytes, ends, soon};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use shared::canary::Canary;
use shared::key::SigningKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::site::Site;

/// A place with a /dev and a /run of its own, in which a log daemon and an agent meet: the tests
/// touch no log daemon of this machine.
struct Cell {
    keeper: Child,
    folder: PathBuf,
    daemon: Option<Child>,
}

impl Cell {
    fn new(site: &Site) -> Self {
        let folder = site.deployment.scratch().join("cell");
        std::fs::create_dir(&folder).unwrap();
        let script = "set -e
            mkdir $0/dev
            for name in null zero random urandom; do
                touch $0/dev/$name
                mount --bind /dev/$name $0/dev/$name
            done
            mount --rbind $0/dev /dev
            mount -t tmpfs tmpfs /run
            touch $0/ready
            exec sleep 600";
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash", "-c", script])
            .arg(&folder)
            .spawn()
            .unwrap();
        let cell = Self {
            keeper,
            folder,
            daemon: None,
        };
        soon(|| cell.folder.join("ready").exists());
        cell
    }

    /// A program in the cell.
    fn program(&self, of: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()))
            .arg(of.get_program())
            .args(of.get_args())
            .stdin(Stdio::null());
        inside
    }

    /// Runs rsyslogd, which writes every line to a file, and forwards it to the collector or not.
    fn run_rsyslog(&mut self, site: &Site, forward: bool) {
        self.stop_rsyslog();
        let (folder, authority) = (&self.folder, site.deployment.folder().join("authority.pem"));
        let mut settings = format!(
            "global(workDirectory=\"{0}\" DefaultNetstreamDriverCAFile=\"{1}\")
             module(load=\"imuxsock\" SysSock.Name=\"/dev/log\")
             action(type=\"omfile\" file=\"{0}/syslog\" template=\"RSYSLOG_FileFormat\")\n",
            folder.display(),
            authority.display(),
        );
        if forward {
            let port = site.port;
            let action = format!(
                "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\"
                    TCP_Framing=\"octet-counted\" StreamDriver=\"gtls\" StreamDriverMode=\"1\"
                    StreamDriverAuthMode=\"x509/name\" StreamDriverPermittedPeers=\"localhost\"
                    queue.type=\"LinkedList\" action.resumeRetryCount=\"-1\"
                    action.resumeInterval=\"1\")\n"
            );
            settings.push_str(&action);
        }
        let file = folder.join("rsyslog.conf");
        std::fs::write(&file, settings).unwrap();
        let mut rsyslog = Command::new("rsyslogd");
        rsyslog
            .arg("-n")
            .arg("-f")
            .arg(&file)
            .arg("-i")
            .arg(folder.join("pid"));
        let log = std::fs::File::create(folder.join("rsyslog.log")).unwrap();
        let daemon = self.program(&rsyslog).stderr(log).spawn().unwrap();
        self.daemon = Some(daemon);
        soon(|| folder.join("dev/log").exists());
    }

    fn stop_rsyslog(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let id = daemon.id().to_string();
            assert!(Command::new("kill").arg(&id).status().unwrap().success());
            let _status = daemon.wait().unwrap();
            drop(std::fs::remove_file(self.folder.join("dev/log")));
        }
    }

    /// One look of the canary probe, and the lines that it sent.
    fn look(&self, host: &Host) -> Vec<Canary> {
        let before = self.lines();
        let mut once = host.agent("once");
        once.args(["--probe", "canary"]);
        drop(ends(&self.program(&once).output().unwrap(), 0));
        soon(|| before.len() < self.lines().len());
        self.lines().split_off(before.len())
    }

    /// The lines that rsyslogd has written to its own file.
    fn lines(&self) -> Vec<Canary> {
        let text = std::fs::read_to_string(self.folder.join("syslog")).unwrap_or_default();
        text.lines().filter_map(Canary::find).collect()
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

/// Brings bytes to the listener, as a log daemon would.
fn bring(site: &Site, content: &[u8]) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let pem = bytes(&site.deployment.folder().join("authority.pem"));
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&pem).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(("127.0.0.1", site.port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut tls = connector.connect(name, socket).await.unwrap();
        tls.write_all(content).await.unwrap();
        tls.shutdown().await.unwrap();
    });
}

/// Lets a host send lines, and look for them where rsyslogd writes them.
fn settings_of(host: &Host, cell: &Path) {
    let text = String::from_utf8(bytes(&host.settings)).unwrap();
    let logs = format!("logs = [\"{}/syslog\"]", cell.display());
    std::fs::write(&host.settings, text.replace("send = false", &logs)).unwrap();
}

#[test]
fn lines_arrive_through_rsyslog_until_it_forwards_no_more() {
    let site = Site::start(5);
    let host = site.enrol("web-1");
    site.compare_clocks(&host);
    let mut cell = Cell::new(&site);
    settings_of(&host, &cell.folder);
    cell.run_rsyslog(&site, true);
    let _sent = cell.look(&host);
    let _found = site.becomes("delivery.arrives", "web-1", "pass");
    let _found = site.becomes("delivery.in-time", "web-1", "pass");
    let _found = site.becomes("delivery.encrypted", "web-1", "pass");
    let _found = site.becomes("delivery.receivers", "web-1", "pass");
    let (_statement, observation) = site.of_kind("delivery").pop().unwrap();
    let facts = &observation["facts"];
    assert_eq!(facts["arrived_count"], facts["sent_count"], "{facts}");
    assert_eq!(facts["receivers"][0]["name"], "(collector)", "{facts}");
    let most = facts["latency_max_ms"].as_i64().unwrap();
    assert!((0..60_000).contains(&most), "{facts}");

    cell.run_rsyslog(&site, false);
    let _sent = cell.look(&host);
    let _found = site.becomes("delivery.arrives", "web-1", "fail");
    assert_eq!(site.control("A.8.15"), "failing");

    cell.run_rsyslog(&site, true);
    let _sent = cell.look(&host);
    let _found = site.becomes("delivery.arrives", "web-1", "pass");
    site.holds();
}

#[test]
fn lines_that_are_not_those_of_this_run_are_no_arrival() {
    let site = Site::start(5);
    let host = site.enrol("web-1");
    let other = site.enrol("web-2");
    site.compare_clocks(&host);
    let mut cell = Cell::new(&site);
    settings_of(&host, &cell.folder);
    settings_of(&other, &cell.folder);
    cell.run_rsyslog(&site, false);

    // The right name and time with another key; a line of somebody else; noise in both framings.
    let stranger = SigningKey::generate().unwrap();
    let foreign = cell.look(&other);
    let first = cell.look(&host);
    let forged = Canary::new(
        first[0].agent.clone(),
        first[0].generation,
        first[0].sent,
        &stranger,
    );
    let text = format!("<14>{forged}");
    bring(&site, format!("{} {text}", text.len()).as_bytes());
    bring(&site, format!("\n\n<1>x\n{text}\n").as_bytes());
    bring(&site, b"<14>no canary \xff\xfe<\n");
    site.counts("log-canary-false", 2);
    let unknown = Canary::new("db-9".parse().unwrap(), 1, first[0].sent, &stranger);
    bring(
        &site,
        format!("<14>{unknown}\n<14>{}\n", foreign[0]).as_bytes(),
    );
    site.counts("log-canary-false", 3);
    let _found = site.becomes("delivery.arrives", "web-1", "fail");

    // An old line, brought again while the new one is on its way.
    let second = cell.look(&host);
    bring(&site, format!("<14>{}\n", first[0]).as_bytes());
    let lost = |count| {
        let lost = |(statement, seen): &(serde_json::Value, serde_json::Value)| {
            statement["predicate"]["agent"] == "web-1" && seen["facts"]["lost_count"] == 1
        };
        site.of_kind("delivery")
            .iter()
            .filter(|one| lost(one))
            .count()
            == count
    };
    soon(|| lost(2));

    // Whoever has the line itself can carry it by hand: that is what an arrival shows, no more.
    let third = cell.look(&host);
    assert!(!second.contains(&third[0]));
    for line in &third {
        bring(&site, format!("<14>{line}\n").as_bytes());
    }
    let _found = site.becomes("delivery.arrives", "web-1", "pass");
    site.holds();
}

#[test]
fn a_restart_of_the_collector_makes_no_line_lost() {
    let mut site = Site::start(5);
    let host = site.enrol("web-1");
    site.compare_clocks(&host);
    let mut cell = Cell::new(&site);
    settings_of(&host, &cell.folder);
    cell.run_rsyslog(&site, true);
    let _sent = cell.look(&host);
    let _found = site.becomes("delivery.arrives", "web-1", "pass");
    site.deployment.stop();
    // rsyslog keeps what it cannot bring, and the agent what it cannot tell.
    let mut once = host.agent("once");
    once.args(["--probe", "canary"]);
    drop(cell.program(&once).output().unwrap());
    site.deployment.serve();
    let _sent = cell.look(&host);
    let told = || {
        let mut told = site.of_kind("delivery");
        told.retain(|(_statement, observation)| observation["outcome"] == "facts");
        told
    };
    soon(|| 2 <= told().len());
    for (_statement, observation) in told() {
        assert_eq!(observation["facts"]["lost_count"], 0, "{observation}");
    }
    let _found = site.becomes("delivery.arrives", "web-1", "pass");
    site.holds();
}
