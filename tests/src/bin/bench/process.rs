//! What the kernel says about processes: CPU time and memory, from proc(5).

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use shared::durable;

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(10);

/// A program that lies beside this one.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.with_file_name(name);
    anyhow::ensure!(path.is_file(), "no program {}", path.display());
    Ok(path)
}

/// A command without standard input and output; what it complains of goes to standard error.
pub(crate) fn command<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures programs")]
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    command
}

/// What a program used from its start to its end, with all that it started.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    /// CPU seconds.
    pub(crate) cpu: f64,
    /// Seconds until it ended.
    pub(crate) wall: f64,
    /// The most resident memory of all its processes together, in MiB, of what samples saw.
    pub(crate) peak: f64,
    /// Processes and threads that were made on the whole computer meanwhile.
    pub(crate) tasks: f64,
}

/// Runs a program to its end, which need not be a good one.
pub(crate) fn used<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
    ends_with: &[i32],
) -> anyhow::Result<Used> {
    let (cpu, tasks, begun) = (children_cpu_ticks()?, tasks_made()?, now());
    let mut process = Running(command(program, arguments).process_group(0).spawn()?);
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(group_mib(process.0.id()));
        if let Some(status) = process.0.try_wait()? {
            break status;
        }
        std::thread::sleep(SAMPLE);
    };
    let good = status.code().is_some_and(|code| ends_with.contains(&code));
    anyhow::ensure!(good, "{} ended with {status}", program.display());
    Ok(Used {
        cpu: (children_cpu_ticks()? - cpu) / 100.0,
        wall: (now() - begun).as_secs_f64(),
        peak,
        tasks: tasks_made()? - tasks,
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Says to people how far it is.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stderr(), "{text}")?)
}

fn children_cpu_ticks() -> anyhow::Result<f64> {
    ticks("/proc/self/stat", [15, 16])
}

/// Processes and threads that were made since boot.
fn tasks_made() -> anyhow::Result<f64> {
    let text = durable::read_text(Path::new("/proc/stat"), 1 << 20)?;
    let mut lines = text.lines();
    let made = lines.find_map(|line| line.strip_prefix("processes "));
    Ok(made.context("stat has no processes")?.parse()?)
}

/// Resident memory of a process group; what ends meanwhile is not counted.
fn group_mib(group: u32) -> f64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let text = durable::read_text(&entry.path().join("stat"), 4096).ok()?;
        let (_name, rest) = text.rsplit_once(") ")?;
        let mut rest = rest.split(' ');
        // State, parent, group; after 18 more, the pages that are resident.
        let same = rest.nth(2)?.parse() == Ok(group);
        let pages: u32 = rest.nth(18)?.parse().ok()?;
        same.then_some(f64::from(pages) / 256.0)
    };
    entries.filter_map(of).sum()
}

/// CPU seconds of this process itself.
pub(crate) fn own_cpu_seconds() -> anyhow::Result<f64> {
    Ok(ticks("/proc/self/stat", [13, 14])? / 100.0)
}

/// CPU seconds that a process has used so far.
pub(crate) fn used_cpu_seconds(process: &Child) -> anyhow::Result<f64> {
    Ok(ticks(&format!("/proc/{}/stat", process.id()), [13, 14])? / 100.0)
}

/// The sum of two fields of stat, counted from 0; on Linux there are 100 ticks a second.
fn ticks(path: &str, fields: [usize; 2]) -> anyhow::Result<f64> {
    let text = durable::read_text(Path::new(path), 4096)?;
    // The second field is a name in brackets that may hold spaces.
    let (_name, rest) = text.rsplit_once(") ").context("stat has another form")?;
    let rest: Vec<&str> = rest.split(' ').collect();
    fields.iter().try_fold(0.0, |sum, field| {
        let text = field.checked_sub(2).and_then(|field| rest.get(field));
        let ticks: f64 = text.context("stat is short")?.parse()?;
        Ok(sum + ticks)
    })
}

/// A line of status, such as `VmRSS` or `VmHWM`, in MiB.
pub(crate) fn memory_mib(process: &Child, line: &str) -> anyhow::Result<f64> {
    memory_of(&process.id().to_string(), line)
}

/// The same of this process itself.
pub(crate) fn own_memory_mib(line: &str) -> anyhow::Result<f64> {
    memory_of("self", line)
}

fn memory_of(process: &str, line: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = durable::read_text(Path::new(&path), 64 * 1024)?;
    let line = text
        .lines()
        .find_map(|text| text.strip_prefix(line)?.strip_prefix(':'))
        .with_context(|| format!("{path} has no {line}"))?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// A process that ends with this value.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        drop(ended);
    }
}
