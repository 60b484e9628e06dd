//! What the kernel says about processes: CPU time and memory, from proc(5).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use shared::durable;

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

/// Runs a program to its end, which need not be a good one, and returns its CPU seconds.
pub(crate) fn cpu_seconds<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
    ends_with: &[i32],
) -> anyhow::Result<f64> {
    let before = ticks("/proc/self/stat", [15, 16])?;
    let status = command(program, arguments).status()?;
    let good = status.code().is_some_and(|code| ends_with.contains(&code));
    anyhow::ensure!(good, "{} ended with {status}", program.display());
    Ok((ticks("/proc/self/stat", [15, 16])? - before) / 100.0)
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
    let path = format!("/proc/{}/status", process.id());
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
