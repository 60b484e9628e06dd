//! A desk for channels: authorities, certificates, secrets, and a notice that means harm.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use collector::alert::{Channel, DeliveryError, Notice, Occasion};
use collector::catalog::Severity;
use collector::config::Config;
use collector::drift::{Condition, ConditionKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use shared::id::Digest;
use shared::time::Timestamp;

/// What a host may say to do harm: to mail, to terminals, to Slack, to syslog, to readers.
pub(crate) const HARM: &str = "x\r\nBcc: eve@example.org\r\n\r\n<!channel> &amp; \u{1b}[2J \u{202e}txt\"] [a@1 b=\"c\"] \\ \u{0}";

/// A folder with two authorities, and a certificate of the first for `localhost`.
pub(crate) struct Site {
    dir: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Daemons that give up root must get through.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let site = Self { dir, runtime };
        for name in ["ca", "other"] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).unwrap();
            site.write(&format!("{name}.pem"), &certificate.pem(), 0o644);
            let issuer = Issuer::new(params, key);
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let signed = params.signed_by(&key, &issuer).unwrap();
            site.write(&format!("{name}-server.pem"), &signed.pem(), 0o644);
            site.write(&format!("{name}-server.key"), &key.serialize_pem(), 0o644);
        }
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The channel of these settings, with a second for each delivery.
    #[track_caller]
    pub(crate) fn open(&self, settings: &str) -> Channel {
        self.try_open(&format!("timeout_seconds = 2\n{settings}"))
            .unwrap()
    }

    pub(crate) fn try_open(&self, settings: &str) -> Result<Channel, String> {
        let text = format!("[[alert.channel]]\nname = \"one\"\n{settings}");
        let config = Config::parse(&text, Path::new("collector.toml"));
        let config = config.map_err(|error| error.to_string())?;
        Channel::open(&config.alert.channel[0], self.folder()).map_err(|error| error.to_string())
    }

    pub(crate) fn deliver(&self, channel: &Channel, notice: &Notice) -> Result<(), DeliveryError> {
        let now = Timestamp::from_system(SystemTime::now());
        self.runtime.block_on(channel.deliver(notice, now))
    }

    /// Delivers what must be refused, and gives back why.
    #[track_caller]
    pub(crate) fn refused(&self, channel: &Channel, notice: &Notice) -> String {
        let delivered = self.deliver(channel, notice);
        let Err(DeliveryError::Refused(why)) = &delivered else {
            panic!("{delivered:?}");
        };
        why.clone()
    }

    /// Delivers what must be tried again, and gives back why.
    #[track_caller]
    pub(crate) fn again(&self, channel: &Channel, notice: &Notice) -> String {
        let delivered = self.deliver(channel, notice);
        let Err(DeliveryError::Again { why, .. }) = &delivered else {
            panic!("{delivered:?}");
        };
        why.clone()
    }
}

/// A port of this machine that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A program that runs until this is dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it, and waits until it listens on this port.
    pub(crate) fn start(command: &mut Command, log: &Path, port: u16) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let command = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap());
        let daemon = Self(command.stderr(log).spawn().unwrap());
        evident_tests::soon(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A notice of more conditions than can be shown, from a host that means harm.
pub(crate) fn notice(number: u64, occasion: Occasion) -> Notice {
    let since: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
    let condition = |index: u64| Condition {
        key: format!("failing/web-{index}/clock.synchronised"),
        kind: ConditionKind::Failing,
        severity: Severity::High,
        host: Some(format!("web-{index}").parse().unwrap()),
        groups: vec!["web".to_owned()],
        check: Some("clock.synchronised".to_owned()),
        controls: vec!["A.8.17".to_owned()],
        owners: vec!["ops".to_owned()],
        since,
        text: format!(
            "the clock is off; correct it {HARM} {}",
            "long ".repeat(2000)
        ),
        facts: BTreeMap::from([("source".to_owned(), HARM.to_owned())]),
        evidence: vec![Digest::of(&index.to_be_bytes())],
    };
    Notice {
        incident: format!("clock/{HARM}"),
        number,
        occasion,
        at: "2026-11-22T09:00:00Z".parse().unwrap(),
        since,
        severity: Severity::High,
        title: format!("clocks are off {HARM}"),
        collector: "collector.example".to_owned(),
        conditions: (1..=50).map(condition).collect(),
        count: 60,
    }
}
