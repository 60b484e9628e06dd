//! A well-run estate: a machine with an agent, its log host, its collector, two time servers, an
//! archive of packages and a backup.
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests run the real programs, and know what these say"
)]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evident_tests::booted::{Booted, install, write_program};
use evident_tests::roots::Release;
use evident_tests::site::Site;
use evident_tests::{Deployment, bytes, ends, files, until};
use serde_json::Value;

/// Addresses in the site.
const MACHINE: &str = "10.77.0.4";
const LOG_HOST: &str = "10.77.0.2";
const OTHER_CLOCK: &str = "10.77.0.3";
/// How long the collector may take to judge what came.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Estate<'site> {
    deployment: Deployment,
    /// The machine that is looked at.
    pub(crate) machine: Booted<'site>,
    /// Where its logs go; it also gives the time.
    pub(crate) log_host: Booted<'site>,
    looked: Cell<u64>,
}

impl<'site> Estate<'site> {
    pub(crate) fn new(site: &'site Site) -> Self {
        let keys = site.folder("keys");
        certificates(site, &keys);
        let log_host = Booted::container(site, Release::Bookworm, Some(LOG_HOST), |root| {
            log_host(root, &keys);
        });
        clocks(&log_host);
        let deployment = Deployment::start_in(site);
        let machine = Booted::machine(site, Release::Bookworm, MACHINE, |root| {
            machine(root, &keys, &deployment.url());
        });
        let _said = machine.ok(KEY);
        let _said = machine.ok("publish /srv/archive 0 0");
        let token = deployment.collector(&["enrol-token", "--host", "web-1"]);
        let token = ends(&token, 0);
        let _said = machine.ok(&format!(
            "evident-agent enrol --collector {} --token {} --name web-1",
            deployment.url(),
            token.trim()
        ));
        let _said = machine.ok(FIRST);
        let _said = machine.ok("synchronised");
        Self {
            deployment,
            machine,
            log_host,
            looked: Cell::new(0),
        }
    }

    /// The agent looks once; returns what the collector makes of it.
    pub(crate) fn look(&self) -> Status {
        let _table = self.machine.ok("evident-agent once");
        let looked = self.looked.get();
        let status = until(PATIENCE, || {
            let said = self.deployment.collector(&["status", "--format", "json"]);
            let status: Value = serde_json::from_slice(&said.stdout).unwrap();
            // Each look is one record at least.
            let records = status["hosts"][0]["next_seq"].as_u64().unwrap();
            if status["behind"] == 0 && looked < records {
                self.looked.set(records);
                return Ok(status);
            }
            Err(format!("{records} records, as many as before"))
        });
        Status(status)
    }

    /// What the machine logs arrives at its log host, over TLS.
    pub(crate) fn arrives(&self) {
        let _said = self.machine.ok("logger it-arrives");
        let _said = self.log_host.until("grep -q it-arrives /var/log/syslog");
    }

    /// The wall clock jumps two hours back while the agent runs, and is set right again.
    pub(crate) fn set_clock_back(&self) {
        let _said = self
            .machine
            .ok("systemd-run --quiet --unit=agent evident-agent run");
        let _said = self
            .machine
            .until("journalctl --unit=agent | grep -q 'evident-agent works'");
        let _said = self.machine.ok(SET_BACK);
        let _said = self.machine.ok("evident-agent once");
    }

    /// How many records say that the clock jumped; the pack of all of them must hold.
    pub(crate) fn clock_records(&self, pack: &str) -> usize {
        let pack = self.deployment.pack(pack);
        let _said = ends(&self.deployment.verify(&pack), 0);
        let records = pack.join("attestations");
        let texts = files(&records).into_iter().map(|file| {
            let envelope: Value = serde_json::from_slice(&bytes(&records.join(file))).unwrap();
            let payload = STANDARD.decode(envelope["payload"].as_str().unwrap());
            String::from_utf8(payload.unwrap()).unwrap()
        });
        texts
            .filter(|text| text.contains("\"kind\":\"clock\""))
            .count()
    }
}

/// Stopping is recorded too, and before it that the clock jumped.
const SET_BACK: &str = "\
systemctl stop chrony
date --set=@$(($(date +%s) - 7200)) >/dev/null
systemctl stop agent
journalctl --unit=agent | grep -q 'the wall clock jumped'
systemctl start chrony
synchronised
";

/// Waits until the clock follows one of two sources.
const SYNCHRONISED: &str = "\
#!/bin/bash
until chronyc -n tracking | grep -q 'Leap status *: Normal'; do sleep 0.2; done
until [ \"$(chronyc -n sources | grep -c '^^[*+]')\" = 2 ]; do sleep 0.2; done
";

/// What the collector says of the estate.
pub(crate) struct Status(Value);

impl Status {
    /// The state of a control.
    #[track_caller]
    pub(crate) fn control(&self, id: &str) -> &str {
        let mut all = self.0["controls"].as_array().unwrap().iter();
        let control = all.find(|control| control["control"] == id).unwrap();
        control["state"].as_str().unwrap()
    }

    /// The checks of a control that fail on the machine.
    pub(crate) fn failing(&self, id: &str) -> BTreeSet<&str> {
        let mut all = self.0["controls"].as_array().unwrap().iter();
        let control = all.find(|control| control["control"] == id).unwrap();
        let checks = control["checks"].as_array().unwrap().iter();
        let failing = checks.filter(|check| check["deciding"][0]["verdict"] == "fail");
        failing
            .map(|check| check["check"].as_str().unwrap())
            .collect()
    }

    /// The verdict of a check on the machine, and what it rests on.
    #[track_caller]
    pub(crate) fn check(&self, id: &str) -> (&str, &str) {
        let mut all = self.checks();
        let check = all.find(|check| check["check"] == id).unwrap();
        let deciding = &check["deciding"][0];
        let text = |name: &str| deciding[name].as_str().unwrap();
        (text("verdict"), text("reason"))
    }

    /// The checks that do not pass, with the reason of each.
    pub(crate) fn wanting(&self) -> Vec<String> {
        let of = |check: &Value| {
            let deciding = &check["deciding"][0];
            let verdict = deciding["verdict"].as_str()?;
            let wanting = verdict != "pass" && verdict != "not applicable";
            wanting.then(|| format!("{} {verdict}: {}", check["check"], deciding["reason"]))
        };
        let mut wanting: Vec<String> = self.checks().filter_map(of).collect();
        wanting.sort();
        wanting.dedup();
        wanting
    }

    fn checks(&self) -> impl Iterator<Item = &Value> {
        let controls = self.0["controls"].as_array().unwrap().iter();
        controls.flat_map(|control| control["checks"].as_array().unwrap())
    }
}

/// An authority, and a certificate of the log host.
fn certificates(site: &Site, keys: &Path) {
    let _said = site.run(&format!(
        "cd {}
         openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority \
             -keyout authority.key -out authority.pem 2>/dev/null
         openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=log.example.org \
             -addext subjectAltName=DNS:log.example.org -addext basicConstraints=CA:false \
             -CA authority.pem -CAkey authority.key -keyout log.key -out log.pem 2>/dev/null",
        keys.display()
    ));
}

fn log_host(root: &Path, keys: &Path) {
    for name in ["authority.pem", "log.pem", "log.key"] {
        let _bytes = std::fs::copy(keys.join(name), root.join("etc").join(name)).unwrap();
    }
    let receive = "\
        global(DefaultNetstreamDriver=\"gtls\" DefaultNetstreamDriverCAFile=\"/etc/authority.pem\"
            DefaultNetstreamDriverCertFile=\"/etc/log.pem\"
            DefaultNetstreamDriverKeyFile=\"/etc/log.key\")
        module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\"
            StreamDriver.AuthMode=\"anon\")
        input(type=\"imtcp\" port=\"6514\")\n";
    std::fs::write(root.join("etc/rsyslog.d/receive.conf"), receive).unwrap();
}

/// Two time servers that touch no clock.
fn clocks(log_host: &Booted<'_>) {
    let mut script = format!("ip address add {OTHER_CLOCK}/24 dev host0\n");
    for (number, address) in [(1, LOG_HOST), (2, OTHER_CLOCK)] {
        let start = format!(
            "printf '%s\\n' 'local stratum 8' 'allow' 'bindaddress {address}' 'cmdport 0' \
                 'bindcmdaddress /' 'pidfile /run/clock{number}.pid' >/etc/clock{number}.conf
             chronyd -x -u root -f /etc/clock{number}.conf\n"
        );
        script.push_str(&start);
    }
    let _said = log_host.ok(&script);
}

fn machine(root: &Path, keys: &Path, collector: &str) {
    let copy = |from: &Path, to: &str| {
        let _bytes = std::fs::copy(from, root.join(to)).unwrap();
    };
    let write = |to: &str, text: &str| {
        let to = root.join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
    };
    copy(&keys.join("authority.pem"), "etc/authority.pem");
    install(root, "evident-agent");
    write("etc/rsyslog.d/forward.conf", FORWARD);
    write("etc/audit/rules.d/50-own.rules", AUDIT);
    write_program(&root.join("usr/local/bin/publish"), PUBLISH);
    write_program(&root.join("usr/local/bin/synchronised"), SYNCHRONISED);
    let mut backups = Command::new("chroot");
    let backups = backups.arg(root).args(["/bin/bash", "-ec", BACKUPS]);
    drop(ends(&backups.output().unwrap(), 0));
    let kernel = Path::new("/usr/bin/linux.uml");
    let release = Command::new(kernel).arg("--version").output().unwrap();
    let release = String::from_utf8(release.stdout).unwrap();
    copy(kernel, &format!("boot/vmlinuz-{}", release.trim()));
    let clocks = [LOG_HOST, OTHER_CLOCK]
        .map(|address| format!("server {address} iburst minpoll 0 maxpoll 2\n"));
    write(
        "etc/chrony/chrony.conf",
        &format!(
            "{}makestep 1 3\ndriftfile /var/lib/chrony/drift\n",
            clocks.concat()
        ),
    );
    write("etc/apt/sources.list", "");
    write(
        "etc/apt/sources.list.d/own.list",
        "deb [signed-by=/etc/archive.gpg] file:/srv/archive ./\n",
    );
    write(
        "etc/evident/agent.toml",
        &format!(
            "[collector]\nurl = \"{collector}\"\n\n[[probe.backup.set]]\nname = \"etc\"\n\
             tool = \"restic\"\npath = \"/srv/backup\"\n"
        ),
    );
}

/// Sends everything to the log host, over TLS.
const FORWARD: &str = "\
global(DefaultNetstreamDriverCAFile=\"/etc/authority.pem\")
*.* action(type=\"omfwd\" target=\"10.77.0.2\" port=\"6514\" protocol=\"tcp\"
    StreamDriver=\"gtls\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/name\"
    StreamDriverPermittedPeers=\"log.example.org\" action.resumeInterval=\"1\")
";

/// Makes the key of the archive.
const KEY: &str = "\
export HOME=/root
gpg --batch --quiet --passphrase '' --quick-generate-key archive ed25519 sign never 2>/dev/null
gpg --export archive >/etc/archive.gpg
";

/// Three backups.
const BACKUPS: &str = "\
export RESTIC_PASSWORD=drift HOME=/root
restic init --quiet --repo /srv/backup
for number in 1 2 3; do
    echo $number >/etc/backed-up
    restic backup --quiet --repo /srv/backup /etc
done
";

/// What the kernel records; nobody changes it before the next restart.
const AUDIT: &str = "\
-w /etc/passwd -p wa -k identity
-w /etc/shadow -p wa -k identity
-w /etc/group -p wa -k identity
-w /etc/sudoers.d -p wa -k actions
-a always,exit -F arch=b64 -S settimeofday,clock_settime -F key=time
-a always,exit -F arch=b64 -S init_module,finit_module -F key=modules
-e 2
";

/// What a machine has been through that was well run for a while: a package that is up to date,
/// an unattended upgrade, and a journal of a hundred days.
const FIRST: &str = "\
apt-get -qq update
apt-get -qq install -y evident-sample >/dev/null
/usr/lib/apt/apt.systemd.daily update
/usr/lib/apt/apt.systemd.daily install
now=$(date +%s.%N)
date --set=@$((${now%.*} - 100 * 86400)) >/dev/null
journalctl --rotate
logger long ago
journalctl --sync
date --set=@$((${now%.*} + 1)) >/dev/null
journalctl --rotate
systemctl restart chrony
";

/// Puts version `1.NEWEST` of a package into an archive of security updates that says that it is
/// so many days old; apt reads it.
const PUBLISH: &str = "\
#!/bin/bash
set -euo pipefail
folder=$1 newest=$2 days=$3
mkdir -p \"$folder\" /tmp/sample/DEBIAN && cd \"$folder\"
printf '%s\\n' 'Package: evident-sample' \"Version: 1.$newest\" 'Architecture: all' \\
    'Maintainer: Nobody <nobody@example.org>' 'Description: a package with a flaw' \\
    >/tmp/sample/DEBIAN/control
dpkg-deb --build /tmp/sample \"evident-sample_1.${newest}_all.deb\" >/dev/null
: >Packages
for file in *.deb; do
    dpkg-deb --field \"$file\" >>Packages
    printf '%s\\n' \"Filename: ./$file\" \"Size: $(stat -c %s \"$file\")\" \\
        \"SHA256: $(sha256sum \"$file\" | cut -d' ' -f1)\" '' >>Packages
done
printf '%s\\n' 'Origin: Debian' 'Label: Debian-Security' 'Suite: stable-security' \\
    'Codename: bookworm-security' 'Architectures: all amd64' \\
    \"Date: $(date -uR --date=\"$days days ago\")\" 'SHA256:' \\
    \" $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages\" >Release
gpg --batch --yes --quiet --clearsign --output InRelease Release
apt-get -qq update
";
