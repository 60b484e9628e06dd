//! A site: a network and mounts that no other process sees, on which machines are booted.
//!
//! It is held by one process; with it go its network, its mounts and all that runs in it, also
//! when the test is killed.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The address of the site itself; its network is a /24.
pub const HERE: &str = "10.77.0.1";

/// A network with a bridge, and mounts, which go away together.
#[derive(Debug)]
pub struct Site {
    holder: Child,
    dir: tempfile::TempDir,
    made: AtomicU32,
}

impl Site {
    /// Makes an empty site. Needs the rights of root.
    pub fn new() -> Self {
        let script = "ip link set lo up && ip link add hub type bridge && \
                      ip address add 10.77.0.1/24 dev hub && ip link set hub up && \
                      echo ready && exec sleep infinity";
        let mut holder = held("unshare")
            .args(["--net", "--mount", "sh", "-ec", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(holder.stdout.take().unwrap());
        let _bytes = output.read_line(&mut said).unwrap();
        assert_eq!(
            said, "ready\n",
            "no site: is this root, and iproute2 installed?"
        );
        Self {
            holder,
            dir: tempfile::tempdir().unwrap(),
            made: AtomicU32::new(0),
        }
    }

    /// A folder that lasts as long as the site, the same inside and outside.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Number of the process that holds the site.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// A command that will run in the site and end with it.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, program: S) -> Command {
        inside(self.holder.id(), program)
    }

    /// Runs a script in the site, which must end well.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let mut command = self.command("sh");
        crate::ends(&command.args(["-ec", script]).output().unwrap(), 0)
    }

    /// A root folder that can be written to, on top of one that stays as it is: the path inside the
    /// site, and the one from outside.
    pub(crate) fn overlay(&self, tree: &Path) -> (PathBuf, PathBuf) {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let base = self.folder(&format!("root{number}"));
        let (upper, work, root) = (base.join("upper"), base.join("work"), base.join("root"));
        for folder in [&upper, &work, &root] {
            std::fs::create_dir(folder).unwrap();
        }
        let _said = self.run(&format!(
            "mount -t overlay overlay -o lowerdir={},upperdir={},workdir={} {}",
            tree.display(),
            upper.display(),
            work.display(),
            root.display()
        ));
        let inside = root.strip_prefix("/").unwrap();
        let outside = Path::new("/proc")
            .join(self.holder.id().to_string())
            .join("root")
            .join(inside);
        (root, outside)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// A command that will run where this process is.
pub(crate) fn inside<S: AsRef<std::ffi::OsStr>>(holder: u32, program: S) -> Command {
    let mut command = held("nsenter");
    command
        .arg(format!("--target={holder}"))
        .args(["--net", "--mount", "--"])
        .arg(program);
    command
}

/// A command that is killed when the thread ends that started it, so that nothing is left behind.
pub(crate) fn held(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=KILL", program]);
    command
}

/// What a command gave, when it did not run as a child of this process.
pub(crate) fn output(status: i32, stdout: Vec<u8>, stderr: Vec<u8>) -> Output {
    use std::os::unix::process::ExitStatusExt as _;
    let status = std::process::ExitStatus::from_raw(status << 8);
    Output {
        status,
        stdout,
        stderr,
    }
}
