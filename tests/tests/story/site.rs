//! A collector with a webhook, two hosts and two people, and short ways to ask and to decide.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use evident_tests::people::{get, order, person, sign};
use evident_tests::webhook::{Told, Word, receive};
use evident_tests::{Deployment, Host, ends, until};
use serde_json::Value;

/// How long the collector may take to judge or to tell what came.
const PATIENCE: Duration = Duration::from_mins(1);
/// The finding that the story is about.
pub(crate) const FINDING: &str = "failing/db-1/clock.utc";

/// Who decides.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    Ada,
    Bob,
}

/// All that is there.
pub(crate) struct Site {
    pub(crate) deployment: Deployment,
    pub(crate) told: Arc<Told>,
    /// Looks at a recorded host.
    db: Host,
    ada: PathBuf,
    bob: PathBuf,
    _secret: tempfile::TempDir,
}

impl Site {
    /// `web-1` is this machine; `db-1` is a recorded one and has not looked yet.
    pub(crate) fn new() -> Self {
        let (address, told) = receive();
        let secret = tempfile::tempdir().unwrap();
        let file = secret.path().join("secret");
        std::fs::write(&file, "a key of at least 24 bytes").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let channel = format!(
            "[[alert.channel]]\nname = \"hook\"\nkind = \"webhook\"\n\
             url = \"http://{address}/hook\"\nsecret_file = \"{}\"\n",
            file.display()
        );
        let deployment = Deployment::start_with(|settings| format!("{settings}{channel}{ROUTES}"));
        let (web, db) = (deployment.enrol("web-1"), deployment.enrol("db-1"));
        let mut once = web.agent("once");
        let once = once.args(["--probe", "clock", "--probe", "neighbours"]);
        drop(ends(&once.output().unwrap(), 0));
        let (ada, bob) = (person(&deployment, "ada"), person(&deployment, "bob"));
        Self {
            deployment,
            told,
            db,
            ada,
            bob,
            _secret: secret,
        }
    }

    /// `db-1` looks at a recorded host, and the collector judges `check` by it.
    pub(crate) fn look(&self, recorded: &str, check: &str, verdict: &str) -> Value {
        let own = format!(
            "[collector]\nurl = \"{}\"\n\n[state]\ndir = \"{}\"\n\n[host]\nroot = \"{}/hosts/{recorded}/root\"\n",
            self.deployment.url(),
            self.db.state.display(),
            env!("CARGO_MANIFEST_DIR"),
        );
        std::fs::write(&self.db.settings, own).unwrap();
        drop(ends(&self.db.once().output().unwrap(), 0));
        until(PATIENCE, || {
            let named = named(&self.assess(&[]), check);
            let there = named["verdict"] == verdict;
            there.then(|| named.clone()).ok_or(named.to_string())
        })
    }

    /// The standard output of a command that must be done, or answer that something is wanting.
    #[track_caller]
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        let output = order(&self.deployment, &[words, &["--format", "json"]].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|code| code < 2), "{text}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How A.8.17 stands in the group of the databases, or in all while there is no such group.
    #[track_caller]
    pub(crate) fn assess(&self, more: &[&str]) -> Value {
        let words = ["assess", "--control", "A.8.17", "--host", "db-1"];
        let mut all = self.ask(&[&words, more].concat());
        let catalogue = all["catalogue"].take();
        let as_of = all["as_of"].take();
        let mut control = all["controls"][0].take();
        control["catalogue"] = catalogue;
        control["as_of"] = as_of;
        control
    }

    /// A person decides.
    #[track_caller]
    pub(crate) fn decides(&self, who: Who, words: &[&str]) -> String {
        ends(&self.tries(who, words), 0)
    }

    /// A person wants to decide what is refused with these words; nothing is changed.
    #[track_caller]
    pub(crate) fn refused(&self, who: Who, words: &[&str], because: &str) {
        let size = || self.ledger_size();
        let before = size();
        let output = self.tries(who, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(because), "{said}");
        assert_eq!(size(), before, "{said}");
    }

    fn tries(&self, who: Who, words: &[&str]) -> Output {
        let key = match who {
            Who::Ada => &self.ada,
            Who::Bob => &self.bob,
        };
        sign(&self.deployment, key, words)
    }

    fn ledger_size(&self) -> Value {
        self.get("/v1/ledger")["size"].clone()
    }

    /// What the API says over the operator's socket.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = get(&self.deployment, path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// A record of a register.
    #[track_caller]
    pub(crate) fn record(&self, register: &str, id: &str) -> Value {
        self.ask(&[register, "show", id])
    }

    /// Waits until so many notices were told of a condition; they are all of it, each once.
    #[track_caller]
    pub(crate) fn told(&self, key: &str, count: usize) -> Vec<Word> {
        let told = until(PATIENCE, || {
            let told = self.told.about(key);
            let all = count <= told.len();
            all.then(|| told.clone()).ok_or(format!("{told:?}"))
        });
        assert_eq!(told.len(), count, "{told:?}");
        assert!(self.told.once(), "{:?}", self.told.words());
        told
    }

    /// The collector is killed and starts again.
    pub(crate) fn kill(&mut self) {
        self.deployment.kill();
        self.deployment.serve();
    }

    /// A file with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.deployment.scratch().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The signed statements of all records, and the documents that they brought.
    pub(crate) fn signed(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for register in REGISTERS {
            let list = self.ask(&[register, "list"]);
            let records = list["records"].as_array().unwrap().iter();
            for step in records.flat_map(|record| record["history"].as_array().unwrap()) {
                let _new = all.insert(text(&step["statement"]));
                let document = &step["fields"]["document"];
                if ["applicability", "document", "inventory"].contains(&register)
                    && !document.is_null()
                {
                    let _new = all.insert(text(document));
                }
            }
        }
        all
    }
}

/// The registers in which something is decided here.
const REGISTERS: [&str; 8] = [
    "exception",
    "group",
    "scope",
    "inventory",
    "applicability",
    "document",
    "review",
    "nonconformity",
];

/// What is told at once: the finding, and who is missing.
const ROUTES: &str = r#"
[[alert.route]]
name = "finding"
match = { check = ["clock.utc"], host = ["db-1"] }
channels = ["hook"]
group_by = ["host", "check"]
group_wait_seconds = 0
resolve_after_seconds = 0

[[alert.route]]
name = "missing"
match = { kind = ["population"] }
channels = ["hook"]
group_by = ["kind"]
group_wait_seconds = 0
resolve_after_seconds = 0
"#;

/// What a check says of `db-1`.
pub(crate) fn named(control: &Value, check: &str) -> Value {
    let mut checks = control["checks"].as_array().unwrap().iter();
    let check = checks.find(|one| one["check"] == check).unwrap();
    check["named"][0].clone()
}
