//! The agent on this host: CPU time of a run, memory, size.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use sha2::Digest as _;
use shared::durable;

use crate::Measured;
use crate::process::{
    Running, Used, command, memory_mib, own_cpu_seconds, program, used, used_cpu_seconds,
};

/// In each minute every probe looks once, at a second of its own.
const SCHEDULE: &str = "audit = \"* * * * *\"\nbackup = \"* * * * *\"\nclock = \"* * * * *\"\n\
                        logging = \"* * * * *\"\nupdates = \"* * * * *\"\n";
const MINUTE: Duration = Duration::from_mins(1);
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn measure() -> anyhow::Result<Vec<Measured>> {
    let agent = program("evident-agent")?;
    let folder = tempfile::tempdir()?;
    let folder = folder
        .path()
        .to_str()
        .context("the folder has no plain name")?;
    let _collector = enrolled(&agent, folder)?;
    let settings = &format!("{folder}/agent.toml");
    let once = ["once", "--config", settings, "--format", "json"];

    // What was found wanting (1) is a good end: it is the host that is measured, not judged.
    let cold = used(&agent, &once, &[0, 1])?;
    let rival = rival()?;
    let bare = read_and_hash()?;
    let Daemon { warm, idle, peak } = daemon(&agent, settings)?;
    let own = Running(command(Path::new("/bin/sleep"), &["60"]).spawn()?);
    std::thread::sleep(Duration::from_millis(100));
    let floor = memory_mib(&own.0, "VmRSS")?;
    let size = |program: &Path| anyhow::Ok(mib(fs::metadata(program)?.len()));
    let verifier = size(&program("evident-verify")?)?;

    let lists = ("reading and hashing the package lists", bare);
    let process = ("a process that sleeps", floor);
    let mut figures = rival.map_or_else(Vec::new, |rival| beside(cold, rival));
    figures.extend([
        Measured::new("agent", ("cold_cpu_seconds", "s"), cold.cpu, lists),
        Measured::new("agent", ("warm_cpu_seconds", "s"), warm, lists),
        Measured::new("agent", ("idle_rss_mib", "MiB"), idle, process),
        Measured::new("agent", ("peak_rss_mib", "MiB"), peak, process),
        Measured::new(
            "agent",
            ("binary_mib", "MiB"),
            size(&agent)?,
            ("evident-verify", verifier),
        ),
    ]);
    Ok(figures)
}

/// What another tool uses that looks at a whole host, when it is installed.
fn rival() -> anyhow::Result<Option<Used>> {
    let lynis = Path::new("/usr/sbin/lynis");
    if !lynis.exists() {
        return Ok(None);
    }
    let quick = ["audit", "system", "--quick", "--quiet", "--no-colors"];
    // Warnings make it end with 78.
    used(lynis, &quick, &[0, 1, 78]).map(Some)
}

fn beside(cold: Used, rival: Used) -> Vec<Measured> {
    let name = "lynis audit system --quick";
    let of = |figure, ours, theirs| Measured::new("agent", figure, ours, (name, theirs));
    vec![
        of(("once_cpu_seconds", "s"), cold.cpu, rival.cpu),
        of(("once_seconds", "s"), cold.wall, rival.wall),
        of(("once_peak_rss_mib", "MiB"), cold.peak, rival.peak),
        of(("once_processes_and_threads", ""), cold.tasks, rival.tasks),
    ]
}

/// A collector that runs, and an agent that is enrolled there.
fn enrolled(agent: &Path, folder: &str) -> anyhow::Result<Running> {
    let collector = program("evident-collector")?;
    let (dir, ready) = (format!("{folder}/collector"), format!("{folder}/address"));
    let settings = format!("{folder}/agent.toml");
    succeeds(command(
        &collector,
        &["init", "--dir", &dir, "--name", "localhost"],
    ))?;
    let serve = [
        "serve",
        "--dir",
        &dir,
        "--listen",
        "127.0.0.1:0",
        "--ready-file",
        &ready,
    ];
    let mut running = Running(command(&collector, &serve).stderr(Stdio::null()).spawn()?);
    while !Path::new(&ready).exists() {
        let ended = running.0.try_wait()?;
        anyhow::ensure!(ended.is_none(), "the collector ended before it was ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!(
        "https://{}",
        durable::read_text(Path::new(&ready), 256)?.trim()
    );
    let text = format!(
        "[collector]\nurl = \"{url}\"\n\n[state]\ndir = \"{folder}/agent\"\n\n[schedule]\n{SCHEDULE}"
    );
    durable::write(Path::new(&settings), text.as_bytes(), 0o600)?;
    let token = command(
        &collector,
        &["enrol-token", "--dir", &dir, "--host", "bench"],
    )
    .stdout(Stdio::piped())
    .output()?;
    anyhow::ensure!(token.status.success(), "no token: {}", token.status);
    let token = String::from_utf8(token.stdout)?;
    let (config, token) = (settings.as_str(), token.trim());
    let enrol = [
        "enrol",
        "--config",
        config,
        "--collector",
        &url,
        "--token",
        token,
    ];
    let mut enrol = command(agent, &enrol);
    enrol.args(["--name", "bench"]);
    succeeds(enrol)?;
    Ok(running)
}

fn succeeds(mut command: Command) -> anyhow::Result<()> {
    let status = command.status()?;
    anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// CPU seconds to read once, and hash, the package lists and the database of packages.
fn read_and_hash() -> anyhow::Result<f64> {
    let before = own_cpu_seconds()?;
    let mut hash = sha2::Sha256::new();
    let lists = fs::read_dir("/var/lib/apt/lists").into_iter().flatten();
    let lists = lists.filter_map(|entry| Some(entry.ok()?.path()));
    for path in lists.chain([Path::new("/var/lib/dpkg/status").to_owned()]) {
        if path.is_file() {
            hash.update(durable::read(&path, 1 << 30)?);
        }
    }
    // The sum is compared with nothing; it must only not be left out.
    std::hint::black_box(hash.finalize());
    Ok(own_cpu_seconds()? - before)
}

/// What a daemon uses.
struct Daemon {
    /// CPU seconds of one minute, in which every probe looked and all was brought.
    warm: f64,
    /// Resident memory afterwards, in MiB.
    idle: f64,
    /// The most that it ever was.
    peak: f64,
}

fn daemon(agent: &Path, settings: &str) -> anyhow::Result<Daemon> {
    let mut process = Running(command(agent, &["run", "--config", settings]).spawn()?);
    // It begins with a full run; that is over when nothing was used for two seconds.
    let mut used = (0.0, 0);
    while used.1 < 20 {
        std::thread::sleep(Duration::from_millis(100));
        let now = used_cpu_seconds(&process.0)?;
        let same = (now - used.0).abs() < 0.005;
        used = (now, if same { used.1 + 1 } else { 0 });
    }
    std::thread::sleep(MINUTE);
    if let Some(status) = process.0.try_wait()? {
        anyhow::bail!("evident-agent run ended with {status}");
    }
    Ok(Daemon {
        warm: used_cpu_seconds(&process.0)? - used.0,
        idle: memory_mib(&process.0, "VmRSS")?,
        peak: memory_mib(&process.0, "VmHWM")?,
    })
}

fn mib(bytes: u64) -> f64 {
    // Sizes of programs are far below 2^32 KiB, where this is exact.
    let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
    f64::from(kib) / MIB * 1024.0
}
