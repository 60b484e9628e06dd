//! Runs a program of a fixed list that only reads, within bounds of time and output.
//!
//! There is no shell. The first argument is one of the program's verbs, every option is one of a
//! fixed list and everything behind `--` is an operand, so that no text of a setting becomes an
//! option. A secret comes as the standard input, never as an argument or a variable. The program is
//! its own process group, of low priority, and is killed whole at its deadline.
//!
//! A program that even this does not end, since the kernel waits for a disk that does not answer,
//! is left alone, and no other program is started before it has gone.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal};
use rustix::time::ClockId;
use shared::observation::Status;

use super::Unseen;

pub use rules::Program;

mod rules;

/// Most bytes that are kept of the beginning of the error output, and as many of its end: what went
/// wrong stands in one of them.
const ERRORS_BYTES_MAX: usize = 4096;
/// How long a killed program may take to end.
const DEATH_WAIT: Duration = Duration::from_secs(2);
/// Niceness of a program: nice(1).
const NICENESS: i32 = 10;
/// Most files that a program may have open.
const FILES_MAX: u64 = 1024;
/// Largest file that a program may write in its scratch folder.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The program.
    pub program: Program,
    /// Its verb and options.
    pub options: &'a [&'a str],
    /// What stands behind `--`.
    pub operands: &'a [&'a str],
    /// A file on the host that becomes the standard input; without one it is empty.
    pub secret: Option<&'a str>,
    /// A folder of the agent alone that the program takes for its home; it is made if need be.
    pub scratch: &'a Path,
    /// When it is killed.
    pub deadline: Duration,
    /// It is killed when it writes more than this.
    pub output_bytes_max: u64,
}

/// How a program ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The status that it gave; `None` when a signal ended it.
    pub status: Option<i32>,
    /// The beginning and the end of its error output.
    pub errors: String,
    /// Bytes of its output.
    pub bytes: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Programs that were killed and have not ended.
static LEFT: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Runs a program and hands on what it writes, piece by piece.
///
/// # Errors
///
/// [`Unseen`]: `absent` when it is not installed, `not-permitted` when others than root may change
/// it, `timed-out` and `limit` when it was killed, `failed` when it is told what it may not be
/// told.
pub fn run(
    task: &Task<'_>,
    secret: Option<File>,
    output: &mut dyn FnMut(&[u8]),
) -> Result<Ended, Unseen> {
    let name = task.program.name();
    let failed = |why: &str| Unseen::new(name, Status::Failed, Some(why));
    permit(task).map_err(|why| failed(&why))?;
    wait_for_left(name)?;
    let path = installed(task.program)?;
    let unseen = |error: std::io::Error| Unseen::from_io(name, &error);
    make_scratch(task.scratch).map_err(unseen)?;
    let begun = now();
    let mut child = spawn(path, task, secret).map_err(unseen)?;
    let pid = Pid::from_child(&child);
    restrain(pid, task);
    let mut reader = Reader {
        until: begun.saturating_add(task.deadline),
        bytes: 0,
        bytes_max: task.output_bytes_max,
        errors: Vec::new(),
        last_errors: Vec::new(),
    };
    let read = reader.read(&mut child, pid, output);
    if let Err(why) = read {
        kill(child, pid);
        return Err(why.unseen(name, task));
    }
    let status = child.wait().map_err(unseen)?;
    reader.errors.append(&mut reader.last_errors);
    Ok(Ended {
        status: code(status),
        errors: String::from_utf8_lossy(&reader.errors).trim().to_owned(),
        bytes: reader.bytes,
        took_ms: u64::try_from(now().saturating_sub(begun).as_millis()).unwrap_or(u64::MAX),
    })
}

fn code(status: ExitStatus) -> Option<i32> {
    match status.signal() {
        Some(_signal) => None,
        None => status.code(),
    }
}

/// Checks that a task stays in the rules of its program.
fn permit(task: &Task<'_>) -> Result<(), String> {
    let rules = task.program.rules();
    let mut options = task.options.iter().copied();
    let verb = if rules.verbs.is_empty() {
        ""
    } else {
        options.next().unwrap_or_default()
    };
    if !rules.verbs.is_empty() && !rules.verbs.contains(&verb) {
        return Err(format!("`{verb}` is not what it may be told to do"));
    }
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
    let given: Vec<String> = options.map(name).collect();
    if let Some(wrong) = given
        .iter()
        .find(|name| !rules.options.contains(&name.as_str()))
    {
        return Err(format!("`{wrong}` is not what it may be told"));
    }
    let missing =
        |(of, option): &&(&str, &str)| *of == verb && !given.iter().any(|name| name == option);
    match rules.always.iter().find(missing) {
        Some((_verb, option)) => Err(format!("`{option}` is not told to it")),
        None => Ok(()),
    }
}

/// The first place where the program is; only root may be able to change it.
fn installed(program: Program) -> Result<&'static str, Unseen> {
    let name = program.name();
    for path in program.rules().paths {
        let Ok(found) = std::fs::metadata(path) else {
            continue;
        };
        if !found.is_file() {
            continue;
        }
        if found.uid() != 0 || found.mode() & 0o022 != 0 {
            let why = Some("others than root may change the program");
            return Err(Unseen::new(path, Status::NotPermitted, why));
        }
        return Ok(path);
    }
    Err(Unseen::new(name, Status::Absent, None))
}

/// Makes the folder, and the folders above it, for the owner alone.
fn make_scratch(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

fn spawn(path: &str, task: &Task<'_>, secret: Option<File>) -> std::io::Result<Child> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that starts a process, from a fixed list"
    )]
    let mut command = Command::new(path);
    command.args(task.options);
    if !task.operands.is_empty() {
        command.arg("--").args(task.operands);
    }
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("PATH", "/usr/bin:/bin")
        .envs(task.program.rules().variables.iter().copied());
    for name in ["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
        command.env(name, task.scratch);
    }
    command
        .current_dir(task.scratch)
        .stdin(secret.map_or_else(Stdio::null, Stdio::from))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Takes from a program what it does not need. What the kernel refuses is left as it is: the
/// deadline and the bound of the output hold anyway.
fn restrain(pid: Pid, task: &Task<'_>) {
    let seconds = task.deadline.as_secs().saturating_add(1);
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Cpu, seconds),
        (Resource::Nofile, FILES_MAX),
        (Resource::Fsize, FILE_BYTES_MAX),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        let _refused = rustix::process::prlimit(Some(pid), resource, limit);
    }
    let _refused = rustix::process::setpriority_process(Some(pid), NICENESS);
}

/// Time by the clock that nobody sets.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

/// Why a program was not read to its end.
enum Broken {
    Deadline,
    Output,
    Machine(Errno),
}

impl Broken {
    fn unseen(self, name: &str, task: &Task<'_>) -> Unseen {
        match self {
            Self::Deadline => {
                let why = format!("killed after {} s", task.deadline.as_secs());
                Unseen::new(name, Status::TimedOut, Some(&why))
            }
            Self::Output => {
                let why = format!("killed after {} bytes", task.output_bytes_max);
                Unseen::new(name, Status::Limit, Some(&why))
            }
            Self::Machine(errno) => Unseen::from_errno(name, errno),
        }
    }
}

/// Reads both outputs of a program until it has ended and closed them.
struct Reader {
    until: Duration,
    bytes: u64,
    bytes_max: u64,
    errors: Vec<u8>,
    last_errors: Vec<u8>,
}

impl Reader {
    fn read(
        &mut self,
        child: &mut Child,
        pid: Pid,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Broken> {
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty());
        let mut process: Option<OwnedFd> = Some(process.map_err(Broken::Machine)?);
        let (mut out, mut errors) = (child.stdout.take(), child.stderr.take());
        let mut chunk = vec![0; 64 * 1024];
        while process.is_some() || out.is_some() || errors.is_some() {
            let fds = [
                out.as_ref().map(AsFd::as_fd),
                errors.as_ref().map(AsFd::as_fd),
                process.as_ref().map(AsFd::as_fd),
            ];
            let [read_out, read_errors, ended] = ready(fds, self.until)?;
            if ended {
                process = None;
            }
            if let Some(pipe) = out.as_mut().filter(|_| read_out) {
                let read = pipe.read(&mut chunk).map_err(|error| machine(&error))?;
                let piece = chunk.get(..read).unwrap_or_default();
                self.bytes = self
                    .bytes
                    .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                if self.bytes_max < self.bytes {
                    return Err(Broken::Output);
                }
                output(piece);
                if read == 0 {
                    out = None;
                }
            }
            if let Some(pipe) = errors.as_mut().filter(|_| read_errors) {
                let read = pipe.read(&mut chunk).map_err(|error| machine(&error))?;
                self.keep_errors(chunk.get(..read).unwrap_or_default());
                if read == 0 {
                    errors = None;
                }
            }
        }
        Ok(())
    }

    fn keep_errors(&mut self, piece: &[u8]) {
        let room = ERRORS_BYTES_MAX.saturating_sub(self.errors.len());
        let (first, last) = piece.split_at(room.min(piece.len()));
        self.errors.extend_from_slice(first);
        self.last_errors.extend_from_slice(last);
        let over = self.last_errors.len().saturating_sub(ERRORS_BYTES_MAX);
        drop(self.last_errors.drain(..over));
    }
}

fn machine(error: &std::io::Error) -> Broken {
    Broken::Machine(Errno::from_io_error(error).unwrap_or(Errno::IO))
}

/// Waits until there is something to read, and says where.
fn ready(fds: [Option<BorrowedFd<'_>>; 3], until: Duration) -> Result<[bool; 3], Broken> {
    let places: Vec<usize> = (0..fds.len())
        .filter(|at| fds.get(*at).is_some_and(Option::is_some))
        .collect();
    let mut polled: Vec<PollFd<'_>> = fds
        .into_iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    loop {
        let left = until.saturating_sub(now());
        if left.is_zero() {
            return Err(Broken::Deadline);
        }
        let timeout = Timespec::try_from(left).map_err(|_range| Broken::Deadline)?;
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_some) => break,
            Err(errno) => return Err(Broken::Machine(errno)),
        }
    }
    let mut ready = [false; 3];
    for (place, polled) in places.into_iter().zip(&polled) {
        if let Some(ready) = ready.get_mut(place) {
            *ready = !polled.revents().is_empty();
        }
    }
    Ok(ready)
}

/// Kills a program with all that it started, and takes it out of the table of processes; one that
/// does not die is kept in mind.
fn kill(mut child: Child, pid: Pid) {
    let _refused = rustix::process::kill_process_group(pid, Signal::KILL);
    let until = now().saturating_add(DEATH_WAIT);
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .is_ok_and(|process| ready([Some(process.as_fd()), None, None], until).is_ok());
    if ended {
        drop(child.wait());
    } else if let Ok(mut left) = LEFT.lock() {
        left.push(child);
    }
}

/// Refuses while a program that was killed before has not gone.
fn wait_for_left(name: &str) -> Result<(), Unseen> {
    let why = "a program that was killed has not ended";
    let refused = || Unseen::new(name, Status::TimedOut, Some(why));
    let mut left = LEFT.lock().map_err(|_poisoned| refused())?;
    left.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
    if left.is_empty() {
        Ok(())
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests;
