//! A network, a `/run` and an `/etc` of their own for daemons that a test runs as root: nothing of
//! this machine is touched, and nothing of it is heard.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Loopback with 10.9.0.1 to 10.9.0.3, an empty `/run`, and a copy of `/etc`.
///
/// The process stays; what it runs sees the processes of this machine and is seen by it.
#[derive(Debug)]
pub struct Apart {
    holder: Child,
}

/// Makes it, says so, and stays until nobody wants it any more.
const SCRIPT: &str = "set -e
ip link set lo up
for last in 1 2 3; do ip address add 10.9.0.$last/24 dev lo; done
cp -a /etc \"$1\"
mount --bind \"$1/etc\" /etc
mount -t tmpfs tmpfs /run
echo ready
read -r _nothing";

impl Apart {
    /// Makes one; `scratch` is a folder for its files.
    #[track_caller]
    pub fn new(scratch: &Path) -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", SCRIPT, "sh"])
            .arg(scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(holder.stdout.take().unwrap());
        let _length = output.read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "root and iproute2 are needed");
        Self { holder }
    }

    /// A program in it, ready to be run.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--net", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .arg("--")
            .arg(program)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Writes a file in it.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let script = "mkdir -p \"$(dirname \"$1\")\" && cat > \"$1\"";
        let mut write = self.command(Path::new("sh"));
        let mut write = write
            .args(["-c", script, "sh", path])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = write.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
        drop(input);
        assert!(write.wait().unwrap().success(), "{path}");
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// A daemon, which ends with the value.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    /// Starts it.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
