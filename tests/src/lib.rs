//! What the tests share: a whole deployment of real processes on this machine.
//!
//! The programs are built by the same cargo that runs the tests, once a run; nothing is mocked.
#![expect(clippy::missing_panics_doc, reason = "every part of a test may end it")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests run the real programs and read real clocks"
)]
#![expect(
    clippy::print_stderr,
    reason = "what a failed program said belongs to the failure"
)]

pub mod roots;
pub mod site;
pub mod booted;
pub mod apart;
pub mod unpacked;
pub mod webhook;
pub mod people;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a program may take to become ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// The folder with the programs, built once.
pub fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "--bins"])
            .args([
                "-p",
                "evident-shared",
                "-p",
                "evident-agent",
                "-p",
                "evident-collector",
            ])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()
            .unwrap();
        assert!(built.success(), "the programs do not build");
        // target/debug/deps/<this test> -> target/debug
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(2).unwrap().to_owned()
    })
}

/// A program of the product, ready to be run.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    command.env("NO_COLOR", "1");
    command
}

/// Standard output of a program that must end with this status.
#[track_caller]
pub fn ends(output: &Output, status: i32) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(status),
        "stdout:\n{text}\nstderr:\n{said}"
    );
    text
}

/// What a collector that nobody set up makes of observations, as `once --format json` prints them.
#[track_caller]
pub fn judge(observations: &[u8]) -> Output {
    let mut judge = program("evident-collector")
        .args(["judge", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = judge.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, observations).unwrap();
    drop(input);
    judge.wait_with_output().unwrap()
}

/// Waits until something is so, for a minute at most.
#[track_caller]
pub fn soon(done: impl Fn() -> bool) {
    until(PATIENCE, || {
        done()
            .then_some(())
            .ok_or_else(|| "it is not so".to_owned())
    });
}

/// Asks again and again until there is an answer; an error says what there was instead.
#[track_caller]
pub fn until<T>(patience: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + patience;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(instead) => assert!(Instant::now() < end, "after {patience:?}: {instead}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A collector and its folder, which go away together.
#[derive(Debug)]
pub struct Deployment {
    dir: tempfile::TempDir,
    collector: Option<Child>,
    address: String,
    site: Option<u32>,
}

impl Deployment {
    /// Makes a collector and starts it.
    pub fn start() -> Self {
        Self::start_with(str::to_owned)
    }

    /// Makes a collector and starts it in the network of a site.
    pub fn start_in(site: &site::Site) -> Self {
        let address = format!("{}:8443", site::HERE);
        Self::at(&address, Some(site.holder()), str::to_owned)
    }

    /// Makes a collector, changes the settings that `init` wrote, and starts it.
    pub fn start_with(change: impl FnOnce(&str) -> String) -> Self {
        Self::at("127.0.0.1:0", None, change)
    }

    fn at(address: &str, site: Option<u32>, change: impl FnOnce(&str) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut deployment = Self {
            dir,
            collector: None,
            address: address.to_owned(),
            site,
        };
        let made = deployment.collector(&["init", "--name", "localhost", "--also", site::HERE]);
        drop(ends(&made, 0));
        deployment.change(change);
        deployment.serve();
        deployment
    }

    /// Changes the settings; the collector reads them when it starts.
    pub fn change(&self, change: impl FnOnce(&str) -> String) {
        let file = self.folder().join("collector.toml");
        let settings = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, change(&settings)).unwrap();
    }

    /// Folder of the collector.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("collector")
    }

    /// A folder for anything else.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Where agents connect.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Starts the collector, at the address that it had before.
    pub fn serve(&mut self) {
        let ready = self.dir.path().join("address");
        drop(std::fs::remove_file(&ready));
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.dir.path().join("collector.log"))
            .unwrap();
        let program = match self.site {
            None => program("evident-collector"),
            Some(holder) => site::inside(holder, programs().join("evident-collector")),
        };
        let mut child = { program }
            .env("NO_COLOR", "1")
            .args(["serve", "--listen", &self.address, "--ready-file"])
            .arg(&ready)
            .arg("--dir")
            .arg(self.folder())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + PATIENCE;
        self.address = loop {
            if let Ok(address) = std::fs::read_to_string(&ready) {
                break address;
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the collector ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < end,
                "the collector is not ready:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        self.collector = Some(child);
    }

    /// Starts the collector again when it does not run.
    pub fn serve_again(&mut self) {
        if self.collector.is_none() {
            self.serve();
        }
    }

    /// What the collector has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("collector.log")).unwrap_or_default()
    }

    /// Kills the collector without warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.collector.take() {
            child.kill().unwrap();
            let _killed = child.wait().unwrap();
        }
    }

    /// Tells the collector to stop and waits for it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.collector.take() {
            let id = child.id().to_string();
            assert!(Command::new("kill").arg(&id).status().unwrap().success());
            let status = child.wait().unwrap();
            assert!(
                status.success(),
                "the collector ended with {status}:\n{}",
                self.log()
            );
        }
    }

    /// Runs a command of the collector.
    pub fn collector(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().unwrap();
        program("evident-collector")
            .arg(command)
            .arg("--dir")
            .arg(self.folder())
            .args(rest)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Enrols a host under this name.
    pub fn enrol(&self, name: &str) -> Host {
        let token = ends(&self.collector(&["enrol-token", "--host", name]), 0);
        let host = Host::new(self, name);
        drop(ends(&host.enrol(&self.url(), token.trim()), 0));
        host
    }

    /// Cuts a pack of everything and returns its folder.
    #[track_caller]
    pub fn pack(&self, name: &str) -> PathBuf {
        let out = self.dir.path().join(name);
        let cut = self.collector(&["pack", "--out", out.to_str().unwrap()]);
        drop(ends(&cut, 0));
        out
    }

    /// Verifies a pack with the keys that `init` gave.
    pub fn verify(&self, pack: &Path) -> Output {
        program("evident-verify")
            .arg(pack)
            .arg("--trust")
            .arg(self.folder().join("trust.txt"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("collector said:\n{}", self.log());
        }
        if let Some(mut child) = self.collector.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// An agent on this machine, under a name of its own.
#[derive(Debug)]
pub struct Host {
    /// Name of the agent.
    pub name: String,
    /// Its settings file.
    pub settings: PathBuf,
    /// Its state folder.
    pub state: PathBuf,
}

impl Host {
    /// An agent that is not enrolled.
    pub fn new(deployment: &Deployment, name: &str) -> Self {
        let state = deployment.dir.path().join(name);
        let settings = deployment.dir.path().join(format!("{name}.toml"));
        let text = format!(
            "[collector]\nurl = \"{}\"\n\n[state]\ndir = \"{}\"\n",
            deployment.url(),
            state.display(),
        );
        std::fs::write(&settings, text).unwrap();
        Self {
            name: name.to_owned(),
            settings,
            state,
        }
    }

    /// Enrols with a token.
    pub fn enrol(&self, url: &str, token: &str) -> Output {
        let arguments = ["--collector", url, "--token", token, "--name", &self.name];
        self.agent("enrol").args(arguments).output().unwrap()
    }

    /// A command of the agent, ready to be run.
    pub fn agent(&self, command: &str) -> Command {
        let mut agent = program("evident-agent");
        agent
            .arg(command)
            .arg("--config")
            .arg(&self.settings)
            .stdin(Stdio::null());
        agent
    }

    /// Lets the clock be compared: the agent runs until the record after its first visit, which
    /// says so, has been brought too.
    pub fn compare_clocks(&self) {
        let acked = || {
            let status = self.agent("status").args(["--format", "json"]).output();
            let status: serde_json::Value =
                serde_json::from_slice(&status.unwrap().stdout).unwrap();
            let acked = status.get("acked").and_then(serde_json::Value::as_i64);
            acked.unwrap_or(-1)
        };
        let begun = acked();
        let mut daemon = self.agent("run").stderr(Stdio::null()).spawn().unwrap();
        // The records of the start and of the first run: the visit that brought them has compared.
        soon(|| begun + 2 <= acked());
        let id = daemon.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        assert!(daemon.wait().unwrap().success());
    }

    /// One run of the quick probes.
    pub fn once(&self) -> Command {
        let mut agent = self.agent("once");
        agent.args(["--probe", "clock", "--probe", "logging"]);
        agent
    }
}

/// What a question gives once it gives something; `None` when it does not within this time.
pub fn poll<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        let answer = ask();
        if answer.is_some() || end < Instant::now() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Everything below a folder, as paths from there, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A file whole.
pub fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}
