//! One attempt to restore a canary file: what came back, or why nothing did.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use shared::fact::{Record, Value};
use shared::id::Digest;
use shared::observation::Status;
use shared::time::Timestamp;

use super::RETRIED_AFTER_MS;
use crate::host::program::{Ended, Program, Task};
use crate::host::{Host, Unseen, place};

/// How long one program may take.
const PROGRAM_TIME_MAX: Duration = Duration::from_mins(6);
/// Longest list of snapshots. restic lists the newest one of each host and set of paths, with 310
/// bytes for each in version 0.14, so this is enough for some hundred. It is not more, since it is
/// in memory as a whole, and what is read out of it takes up to ten times as much.
const LIST_BYTES_MAX: u64 = 256 * 1024;
/// Most bytes of a tool's own words that are told.
const REASON_BYTES_MAX: usize = 240;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ending {
    /// The file came back.
    Restored,
    /// The newest backup does not hold the file.
    Missing,
    /// There is no backup yet.
    NoSnapshot,
    /// The program is not installed.
    NoTool,
    /// The secret is not known to the agent.
    NoSecret,
    /// The secret is not that of the repository.
    WrongSecret,
    /// It failed while somebody held a lock.
    Locked,
    /// The repository is of a version that the program does not know.
    Unsupported,
    /// The repository is damaged.
    Damaged,
    /// The repository is not there.
    Unreachable,
    /// The program was killed at its deadline.
    TimedOut,
    /// More came back than a canary file holds.
    Limit,
    /// Anything else.
    Failed,
}

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Missing => "missing",
            Self::NoSnapshot => "no-snapshot",
            Self::NoTool => "no-tool",
            Self::NoSecret => "no-secret",
            Self::WrongSecret => "wrong-secret",
            Self::Locked => "locked",
            Self::Unsupported => "unsupported",
            Self::Damaged => "damaged",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed-out",
            Self::Limit => "limit",
            Self::Failed => "failed",
        }
    }

    /// The backup was looked at and did not give the file back; otherwise nobody could look.
    pub(super) const fn is_failure(self) -> bool {
        match self {
            Self::Missing
            | Self::NoSnapshot
            | Self::WrongSecret
            | Self::Unsupported
            | Self::Damaged
            | Self::Limit
            | Self::Failed => true,
            Self::Restored
            | Self::NoTool
            | Self::NoSecret
            | Self::Locked
            | Self::Unreachable
            | Self::TimedOut => false,
        }
    }

    /// The same as the status of a source.
    pub(super) const fn status(self) -> Status {
        match self {
            Self::Restored => Status::Ok,
            Self::Missing | Self::NoSnapshot | Self::NoTool => Status::Absent,
            Self::NoSecret | Self::WrongSecret => Status::NotPermitted,
            Self::Unsupported => Status::Unsupported,
            Self::Damaged => Status::Malformed,
            Self::Unreachable => Status::Unreachable,
            Self::TimedOut => Status::TimedOut,
            Self::Limit => Status::Limit,
            Self::Failed | Self::Locked => Status::Failed,
        }
    }
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) ending: Ending,
    pub(super) reason: String,
    pub(super) status: Option<i32>,
}

impl Broken {
    pub(super) fn new(ending: Ending, reason: &str) -> Self {
        Self {
            ending,
            reason: reason.to_owned(),
            status: None,
        }
    }

    /// What was not seen, as an ending; `absent` is the one of what is not there.
    pub(super) fn unseen(unseen: &Unseen, absent: Ending) -> Self {
        let ending = match unseen.status {
            Status::Absent => absent,
            Status::TimedOut => Ending::TimedOut,
            Status::Limit => Ending::Limit,
            Status::Ok
            | Status::NotPermitted
            | Status::Malformed
            | Status::Unsupported
            | Status::Unreachable
            | Status::Failed => Ending::Failed,
        };
        Self::new(ending, &unseen.to_string())
    }
}

/// An attempt, as it is kept and told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) at: Timestamp,
    pub(super) tool: String,
    pub(super) ending: Ending,
    pub(super) reason: String,
    /// Exit status of the program that failed.
    pub(super) status: Option<i32>,
    pub(super) snapshot: Option<String>,
    pub(super) snapshot_at: Option<Timestamp>,
    pub(super) sha256: Option<Digest>,
    pub(super) bytes: Option<u64>,
    /// All programs of the attempt together.
    pub(super) duration_ms: Option<u64>,
    /// When the file was placed, if this host placed it.
    pub(super) placed: Option<Timestamp>,
}

impl Attempt {
    pub(super) fn begun(tool: &str, at: Timestamp) -> Self {
        Self {
            at,
            tool: tool.to_owned(),
            ending: Ending::Failed,
            reason: String::new(),
            status: None,
            snapshot: None,
            snapshot_at: None,
            sha256: None,
            bytes: None,
            duration_ms: None,
            placed: None,
        }
    }

    /// Closes it.
    pub(super) fn end(&mut self, result: Result<Back, Broken>) {
        match result {
            Ok(back) => {
                self.ending = Ending::Restored;
                self.sha256 = Some(back.sha256);
                self.bytes = Some(back.bytes);
            }
            Err(broken) => {
                self.ending = broken.ending;
                self.reason = broken.reason;
                self.status = broken.status;
            }
        }
    }

    /// Whether it is time to try again; a clock that was set back makes it so.
    pub(super) fn is_due(&self, now: Timestamp, every_ms: i64) -> bool {
        let wait_ms = if self.ending == Ending::Restored {
            every_ms
        } else {
            every_ms.min(RETRIED_AFTER_MS)
        };
        !(0..wait_ms).contains(&now.ms_since(self.at))
    }

    pub(super) fn record(&self, set: &str, last_success: Option<Timestamp>) -> Record {
        let number = |number: u64| Value::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let fields = [
            ("set", text(set)),
            ("tool", text(&self.tool)),
            ("at", Some(Value::Instant(self.at))),
            ("outcome", text(self.ending.as_str())),
            ("snapshot", self.snapshot.as_deref().and_then(text)),
            ("snapshot_at", self.snapshot_at.map(Value::Instant)),
            (
                "sha256",
                self.sha256.map(|sha256| Value::Text(sha256.to_string())),
            ),
            ("bytes", self.bytes.map(number)),
            ("duration_ms", self.duration_ms.map(number)),
            ("placed_at", self.placed.map(Value::Instant)),
            ("last_success", last_success.map(Value::Instant)),
            (
                "status",
                self.status.map(|status| Value::Number(status.into())),
            ),
            ("reason", text(&self.reason)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    pub(super) sha256: Digest,
    pub(super) bytes: u64,
}

/// What an attempt works with.
pub(super) struct Bench<'a> {
    pub(super) host: &'a dyn Host,
    /// Folder that the programs take for their home.
    pub(super) scratch: PathBuf,
    /// How many programs may still be started.
    pub(super) children: usize,
}

impl Bench<'_> {
    /// Runs a program that writes a list.
    pub(super) fn list(
        &mut self,
        (program, secret): (Program, Option<&str>),
        options: &[&str],
        operands: &[&str],
        attempt: &mut Attempt,
    ) -> Result<Vec<u8>, Broken> {
        let mut bytes = Vec::new();
        let mut take = |piece: &[u8]| bytes.extend_from_slice(piece);
        let task = self.task((program, secret), options, operands, LIST_BYTES_MAX);
        let result = self.host.run(&task, &mut take);
        self.children = self.children.saturating_sub(1);
        ended(result, attempt)?;
        Ok(bytes)
    }

    /// Runs a program that writes the canary file, and keeps only the hash of it.
    pub(super) fn hash(
        &mut self,
        (program, secret): (Program, Option<&str>),
        options: &[&str],
        operands: &[&str],
        attempt: &mut Attempt,
    ) -> Result<Back, Broken> {
        let mut hash = sha2::Sha256::new();
        let mut take = |piece: &[u8]| hash.update(piece);
        let most = u64::try_from(place::FILE_BYTES_MAX).unwrap_or(u64::MAX);
        let task = self.task((program, secret), options, operands, most);
        let result = self.host.run(&task, &mut take);
        self.children = self.children.saturating_sub(1);
        let ended = ended(result, attempt)?;
        if ended.bytes == 0 {
            let why = "the file that came back is empty";
            return Err(Broken::new(Ending::Missing, why));
        }
        Ok(Back {
            sha256: Digest(hash.finalize().into()),
            bytes: ended.bytes,
        })
    }

    fn task<'t>(
        &'t self,
        (program, secret): (Program, Option<&'t str>),
        options: &'t [&'t str],
        operands: &'t [&'t str],
        output_bytes_max: u64,
    ) -> Task<'t> {
        Task {
            program,
            options,
            operands,
            secret,
            scratch: &self.scratch,
            deadline: PROGRAM_TIME_MAX,
            output_bytes_max,
        }
    }

    /// Checks that the file with the secret is there and readable.
    pub(super) fn check_secret(&self, path: Option<&str>) -> Result<(), Broken> {
        let Some(path) = path else { return Ok(()) };
        match self.host.open(path, 1) {
            Ok(_readable) => Ok(()),
            Err(unseen) => Err(Broken::new(Ending::NoSecret, &unseen.to_string())),
        }
    }

    /// Calls a failure `locked` when somebody holds a lock in the repository: a job that changes
    /// it, or one that was cut off.
    pub(super) fn or_locked(broken: Broken, locked: bool) -> Broken {
        let by_lock = [Ending::Failed, Ending::Damaged, Ending::Missing];
        if !locked || !by_lock.contains(&broken.ending) {
            return broken;
        }
        Broken {
            ending: Ending::Locked,
            reason: shortened(&format!("the repository is locked; {}", broken.reason)),
            ..broken
        }
    }
}

/// Adds up the time of a program, and turns a failed one into what its words mean.
fn ended(result: Result<Ended, Unseen>, attempt: &mut Attempt) -> Result<Ended, Broken> {
    let ended = result.map_err(|unseen| Broken::unseen(&unseen, Ending::NoTool))?;
    let before = attempt.duration_ms.unwrap_or(0);
    attempt.duration_ms = Some(before.saturating_add(ended.took_ms));
    if ended.status == Some(0) {
        return Ok(ended);
    }
    let (ending, reason) = judged(&ended.errors);
    Err(Broken {
        ending,
        reason,
        status: ended.status,
    })
}

/// What tools say in the language C when they fail: restic 0.14 to 0.18, borg 1.2 to 1.4, tar 1.34.
const WORDS: [(&str, Ending); 27] = [
    ("wrong password or no key found", Ending::WrongSecret),
    ("via BORG_PASSPHRASE_FD is incorrect", Ending::WrongSecret),
    ("Resolving password failed", Ending::NoSecret),
    ("an empty password is not", Ending::NoSecret),
    ("No key file for repository", Ending::NoSecret),
    ("unsupported repository version", Ending::Unsupported),
    ("is not supported by this borg version", Ending::Unsupported),
    ("Unsupported repository", Ending::Unsupported),
    ("Unsupported manifest", Ending::Unsupported),
    ("unable to open config file", Ending::Unreachable),
    ("repository does not exist", Ending::Unreachable),
    ("Is there a repository at", Ending::Unreachable),
    ("Connection closed by remote", Ending::Unreachable),
    ("Permission denied", Ending::Unreachable),
    ("permission denied", Ending::Unreachable),
    ("Cannot open: No such file", Ending::Unreachable),
    ("unable to create lock", Ending::Locked),
    ("Failed to create/acquire the lock", Ending::Locked),
    ("Data integrity error", Ending::Damaged),
    ("invalid data returned", Ending::Damaged),
    ("ciphertext verification failed", Ending::Damaged),
    ("no such file or directory", Ending::Damaged),
    ("does not look like a tar archive", Ending::Damaged),
    ("Unexpected EOF", Ending::Damaged),
    ("not found in snapshot", Ending::Missing),
    ("never matched", Ending::Missing),
    ("Not found in archive", Ending::Missing),
];

/// What the error output of a tool means, and the line of it that says so.
pub(super) fn judged(errors: &str) -> (Ending, String) {
    for (words, ending) in WORDS {
        if let Some(line) = errors.lines().find(|line| line.contains(words)) {
            return (ending, shortened(&redacted(line.trim())));
        }
    }
    // borg and restic name the repository between the words.
    let gone = |line: &&str| line.starts_with("Repository ") && line.ends_with("does not exist.");
    if let Some(line) = errors.lines().find(gone) {
        return (Ending::Unreachable, shortened(&redacted(line)));
    }
    let line = errors.lines().rfind(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it failed and said nothing");
    (Ending::Failed, shortened(&redacted(line.trim())))
}

/// A line without users and passwords in addresses: `ssh://me:word@host/x` becomes `ssh://host/x`.
fn redacted(line: &str) -> String {
    let word = |word: &str| match (word.split_once("://"), word.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    let mut text = text.to_owned();
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    text
}
