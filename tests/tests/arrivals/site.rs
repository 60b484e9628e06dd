//! A deployment with a log listener, and what can be asked of it.

use std::process::Command;

use evident_tests::{Deployment, Host, bytes, ends, soon};

/// A collector that listens for logs, with the port that it was given.
pub(crate) struct Site {
    pub(crate) deployment: Deployment,
    pub(crate) port: u16,
}

impl Site {
    /// Lines are due after so many seconds.
    pub(crate) fn start(due_seconds: u32) -> Self {
        let deployment = Deployment::start_with(|settings| {
            let settings = settings.replace("listen = \"\"", "listen = \"127.0.0.1:0\"");
            settings.replace("due_seconds = 300", &format!("due_seconds = {due_seconds}"))
        });
        let log = deployment.log();
        let said = log
            .lines()
            .find(|line| line.contains("log daemons can connect"));
        let port = said.unwrap().rsplit_once(':').unwrap().1.trim();
        let site = Self {
            port: port.parse().unwrap(),
            deployment,
        };
        // The same port after a restart.
        let listen = format!("listen = \"127.0.0.1:{}\"", site.port);
        site.deployment
            .change(|settings| settings.replace("listen = \"127.0.0.1:0\"", &listen));
        site
    }

    /// Enrols a host that sends no lines until it is told to.
    pub(crate) fn enrol(&self, name: &str) -> Host {
        let host = self.deployment.enrol(name);
        let mut text = String::from_utf8(bytes(&host.settings)).unwrap();
        text.push_str("\n[probe.canary]\nsend = false\n");
        std::fs::write(&host.settings, text).unwrap();
        host
    }

    /// What the collector says now.
    pub(crate) fn status(&self) -> serde_json::Value {
        let status = self.deployment.collector(&["status", "--format", "json"]);
        serde_json::from_slice(&status.stdout).unwrap()
    }

    /// What a check says of a host now, and of when that is.
    pub(crate) fn finding(&self, check: &str, host: &str) -> serde_json::Value {
        let status = self.status();
        let controls = status["controls"].as_array().unwrap().iter();
        let mut checks = controls.flat_map(|control| control["checks"].as_array().unwrap());
        let found = checks.find(|found| found["check"] == check).unwrap();
        let mut deciding = found["deciding"].as_array().unwrap().iter();
        let finding = deciding.find(|finding| finding["host"] == host);
        finding.cloned().unwrap_or_default()
    }

    /// Waits until a check says something new of a host, which must be this verdict.
    #[track_caller]
    pub(crate) fn becomes(&self, check: &str, host: &str, verdict: &str) -> serde_json::Value {
        soon(|| self.finding(check, host)["verdict"] == verdict);
        self.finding(check, host)
    }

    /// The state of a control.
    pub(crate) fn control(&self, id: &str) -> String {
        let status = self.status();
        let mut controls = status["controls"].as_array().unwrap().iter();
        let control = controls.find(|control| control["control"] == id).unwrap();
        control["state"].as_str().unwrap().to_owned()
    }

    /// How often the collector has counted something.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.status()["counters"][what].as_u64().unwrap_or(0)
    }

    /// Waits until something was counted so often.
    #[track_caller]
    pub(crate) fn counts(&self, what: &str, count: u64) {
        soon(|| count <= self.count(what));
    }

    /// Lets the clock of a host be compared: its agent runs, and says so in its last record.
    pub(crate) fn compare_clocks(&self, host: &Host) {
        let before = self.of_kind("offset").len();
        host.compare_clocks();
        soon(|| before < self.of_kind("offset").len());
    }

    /// What the collector has observed with this probe, as a pack shows it: statements and facts.
    pub(crate) fn of_kind(&self, probe: &str) -> Vec<(serde_json::Value, serde_json::Value)> {
        let out = tempfile::tempdir_in(self.deployment.scratch()).unwrap();
        let pack = out.path().join("pack");
        let cut = ["pack", "--out", pack.to_str().unwrap()];
        drop(ends(&self.deployment.collector(&cut), 0));
        let records = evident_tests::files(&pack.join("attestations"));
        let mut found = Vec::new();
        for record in records {
            let file = bytes(&pack.join("attestations").join(record));
            let body = shared::dsse::Envelope::from_file(&file).unwrap().body;
            let statement: serde_json::Value = serde_json::from_slice(&body).unwrap();
            if statement["predicateType"] == shared::observed::OBSERVED_TYPE
                && statement["predicate"]["probe"] == probe
            {
                let sha256 = statement["subject"][0]["digest"]["sha256"]
                    .as_str()
                    .unwrap();
                let blob = pack.join("blobs").join(&sha256[..2]).join(sha256);
                let blob = serde_json::from_slice(&bytes(&blob)).unwrap();
                found.push((statement, blob));
            }
        }
        let time = |(statement, _): &(serde_json::Value, _)| {
            statement["predicate"]["at"].as_str().unwrap().to_owned()
        };
        found.sort_by_key(time);
        found
    }

    /// Everything holds: a pack, by both verifiers; the state made anew; the ledger.
    pub(crate) fn holds(mut self) {
        let pack = self.deployment.pack("pack");
        drop(ends(&self.deployment.verify(&pack), 0));
        let trust = String::from_utf8(bytes(&self.deployment.folder().join("trust.txt"))).unwrap();
        let mut keys = trust
            .lines()
            .filter_map(|line| line.strip_prefix("decisions "));
        let script = Command::new("bash")
            .arg(pack.join("verify.sh"))
            .arg(keys.next().unwrap())
            .output()
            .unwrap();
        assert!(ends(&script, 0).contains("records signed"));
        self.deployment.stop();
        let said = ends(&self.deployment.collector(&["replay"]), 0);
        assert!(said.contains("identical"), "{said}");
        let said = ends(&self.deployment.collector(&["fsck"]), 0);
        assert!(said.contains("nothing is wrong"), "{said}");
    }
}
