//! A machine with a kernel of its own: user-mode Linux on an ext4 image of a root folder.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Output, Stdio};
use std::sync::Mutex;

use super::{OWN, Root};
use crate::site::{self, Site};

/// Waits for names of scripts on the serial line, and leaves beside each what came of it.
const DOOR: &str = "\
mount -t hostfs none /opt/evident/jobs -o JOBS
cd /opt/evident/jobs
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ip link set vec0 up
ip address add ADDRESS/24 dev vec0
# The first packets may be lost; nobody listens there, so who is refused got through.
until timeout 1 bash -c '</dev/tcp/10.77.0.1/9' 2>&1 | grep -q refused; do :; done
# Kept open from here on: what comes while nobody has the line open is lost.
exec 3</dev/ttyS0
stty raw -echo <&3
touch ready
while IFS= read -r -u 3 job; do
    bash ./$job >$job.out 2>$job.err </dev/null 3<&-
    echo $? >$job.end
    mv $job.end $job.status
done
";
const SERVICE: &str = "\
[Unit]
After=basic.target dbus.service rsyslog.service
[Service]
ExecStart=/bin/bash /opt/evident/door
KillMode=process
";

/// A machine that runs.
#[derive(Debug)]
pub(super) struct Machine {
    process: Child,
    line: Mutex<Line>,
    jobs: PathBuf,
    console: PathBuf,
}

/// The serial line, and how many scripts were sent over it.
#[derive(Debug)]
struct Line {
    input: ChildStdin,
    sent: u32,
}

impl Machine {
    pub(super) fn boot(site: &Site, root: &Root, address: &str) -> Self {
        let (_net, last) = address.rsplit_once('.').unwrap();
        let tap = format!("tap{last}");
        let _said = site.run(&format!(
            "ip tuntap add dev {tap} mode tap && ip link set {tap} master hub up"
        ));
        let jobs = site.folder(&format!("jobs{last}"));
        let door = DOOR.replace("ADDRESS", address);
        let door = door.replace("JOBS", jobs.to_str().unwrap());
        root.write(&format!("{OWN}/door"), &door);
        std::fs::create_dir(root.path(OWN).join("jobs")).unwrap();
        root.start_at_boot("evident-door", SERVICE);
        let disk = disk(site, &root.inside);
        let console = site.folder("consoles").join(&tap);
        let log = std::fs::File::create(&console).unwrap();
        // All its processes are in one namespace, so that none outlives the first.
        let mut process = site
            .command("unshare")
            .args(["--pid", "--fork", "--kill-child", "linux.uml"])
            .args(["mem=512M", "rw", "root=/dev/ubda", "con=null", "ssl=null"])
            .args(["con0=null,fd:1", "ssl0=fd:0,null"])
            .arg(format!("ubd0={}", disk.display()))
            .arg(format!("vec0:transport=tap,ifname={tap},depth=64"))
            .arg(format!("uml_dir={}", site.folder("uml").display()))
            .stdin(Stdio::piped())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        super::wait(&jobs.join("ready"), &console);
        Self {
            process,
            line: Mutex::new(Line { input, sent: 0 }),
            jobs,
            console,
        }
    }

    pub(super) fn run(&self, script: &str) -> Output {
        let mut line = self.line.lock().unwrap();
        line.sent += 1;
        let job = format!("job{}", line.sent);
        let file = |what: &str| self.jobs.join(format!("{job}{what}"));
        std::fs::write(file(""), script).unwrap();
        writeln!(line.input, "{job}").unwrap();
        super::wait(&file(".status"), &self.console);
        let left = |what: &str| crate::bytes(&file(what));
        let status = String::from_utf8(left(".status")).unwrap();
        site::output(status.trim().parse().unwrap(), left(".out"), left(".err"))
    }
}

/// A disk with what lies in this folder.
fn disk(site: &Site, root: &Path) -> PathBuf {
    let disk = root.with_file_name("disk");
    let _said = site.run(&format!(
        "mke2fs -q -t ext4 -E lazy_itable_init=1 -d {} {} 1500M",
        root.display(),
        disk.display()
    ));
    disk
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
