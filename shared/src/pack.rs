//! Evidence packs: the folder that an auditor gets, where each file lies in it, and its writer.
//!
//! ```text
//! MANIFEST.json                       in-toto statement over every other file, see [`Manifest`]
//! MANIFEST.dsse.json                  DSSE file of exactly that body, signed by the exporter
//! README.txt  verify.sh               plain words; a check with openssl and sha256sum alone
//! trust/policy.txt                    tlog policy: the key of the ledger
//! trust/decisions.pub.pem             key of decisions; it is the exporter's key as well
//! trust/agents/<agent>-g<n>.pub.pem   evidence key of every enrolment
//! ledger/checkpoint.{start,end}.txt   signed checkpoints around the entries of the period
//! ledger/tile/entries/..              bundles of leaves: all of the period, see [`tiles`]
//! ledger/tile/<L>/..                  the hashes above them
//! attestations/ab/<id>.json           DSSE files: the period, and what it rests on from before
//! blobs/ab/<sha256>                   what they name
//! proofs/<id>.tlog-proof              that each is in the ledger under checkpoint.end; `extra` is
//!                                     the leaf data
//! ```
//!
//! From before the period come all records of the collector itself, whose numbers have no gap, and
//! the last record of each stream, so that nothing can be left out between it and the first of the
//! period.
//!
//! The same entries give the same bytes: nothing in a pack depends on when it was cut.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::attestation::{STATEMENT_TYPE, Statement, Subject};
use crate::dsse;
use crate::id::Digest;
use crate::key::SigningKey;
use crate::stream::Stream;
use crate::tile::{self, Content, TilePath};
use crate::time::Timestamp;

/// Type of the predicate of a manifest.
pub const PACK_TYPE: &str = "urn:evident:pack:v1";
/// Version of the layout.
pub const FORMAT: u32 = 1;
/// The statement over all other files.
pub const MANIFEST: &str = "MANIFEST.json";
/// Its signed form.
pub const MANIFEST_DSSE: &str = "MANIFEST.dsse.json";
/// Plain words.
pub const README: &str = "README.txt";
/// The check without this program.
pub const SCRIPT: &str = "verify.sh";
/// The key of the ledger.
pub const POLICY: &str = "trust/policy.txt";
/// The key of decisions.
pub const DECISIONS: &str = "trust/decisions.pub.pem";
/// Folder of the evidence keys.
pub const AGENTS: &str = "trust/agents/";
/// The checkpoint before the first entry of the period.
pub const CHECKPOINT_START: &str = "ledger/checkpoint.start.txt";
/// The checkpoint behind the last entry of the period.
pub const CHECKPOINT_END: &str = "ledger/checkpoint.end.txt";
/// Folder of the proofs, and how their names end.
pub const PROOFS: (&str, &str) = ("proofs/", ".tlog-proof");
/// Longest manifest: about 400,000 files. A longer period is cut into several packs.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most files in a pack.
pub const FILES_MAX: usize = 1_000_000;
/// Longest name of a file, and most folders in it.
const NAME_BYTES_MAX: usize = 160;
const DEPTH_MAX: usize = 12;

const README_TEXT: &str = include_str!("pack/README.txt");
const SCRIPT_TEXT: &str = include_str!("pack/verify.sh");

/// The predicate of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the collector.
    pub collector: String,
    /// Origin of the ledger.
    pub ledger: String,
    /// Which entries, by their time of receipt.
    pub period: Period,
    /// Entries before the period, which is the size of the checkpoint at its start.
    pub start: u64,
    /// Entries up to the end of the period, which is the size of the checkpoint at its end.
    pub end: u64,
    /// Time of receipt of the last entry; the begin of the period when there is none.
    pub made: Timestamp,
    /// Id of the key that signed the manifest.
    pub exporter: Digest,
    /// Program that cut the pack, with its version.
    pub tool: String,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first moment.
    pub from: Timestamp,
    /// The moment behind the last.
    pub to: Timestamp,
}

/// Where the attestation or decision `id` lies.
#[must_use]
pub fn record_name(id: &Digest) -> String {
    let id = id.to_string();
    let folder: String = id.chars().take(2).collect();
    format!("attestations/{folder}/{id}.json")
}

/// Where the blob `digest` lies.
#[must_use]
pub fn blob_name(digest: &Digest) -> String {
    let digest = digest.to_string();
    let folder: String = digest.chars().take(2).collect();
    format!("blobs/{folder}/{digest}")
}

/// Where the proof of the record `id` lies.
#[must_use]
pub fn proof_name(id: &Digest) -> String {
    format!("{}{id}{}", PROOFS.0, PROOFS.1)
}

/// Where the evidence key of a stream lies.
#[must_use]
pub fn agent_name(stream: &Stream) -> String {
    format!("{AGENTS}{stream}.pub.pem")
}

/// Where a tile lies.
#[must_use]
pub fn tile_name(path: &TilePath) -> String {
    format!("ledger/{path}")
}

/// The tiles of a ledger of `end` entries that a pack from entry `start` on holds.
///
/// Of each level all those from the one that entry `start - 1` is under to the last: then every
/// leaf of the period is there and the one before it, both roots can be computed, and that the
/// ledger at the start is the beginning of the ledger at the end.
pub fn tiles(start: u64, end: u64) -> impl Iterator<Item = TilePath> {
    let width = u64::from(tile::WIDTH);
    rows(start, end).flat_map(move |(content, count, numbers)| {
        numbers.map(move |number| TilePath {
            content,
            number,
            width: u16::try_from(count - number * width)
                .map_or(tile::WIDTH, |rest| rest.min(tile::WIDTH)),
        })
    })
}

/// How many [`tiles`] gives, which may be more than anybody can look at.
#[must_use]
pub fn tile_count(start: u64, end: u64) -> u64 {
    let counts = rows(start, end).map(|(_, _, numbers)| numbers.end.saturating_sub(numbers.start));
    counts.fold(0, u64::saturating_add)
}

/// Of each kind of tile, how many hashes or leaves there are, and the numbers of the tiles.
fn rows(start: u64, end: u64) -> impl Iterator<Item = (Content, u64, Range<u64>)> {
    let first = start.saturating_sub(1);
    let width = u64::from(tile::WIDTH);
    let levels = (0..=tile::LEVEL_MAX).map(|level| (Content::Hashes(level), 8 * u32::from(level)));
    levels
        .chain([(Content::Entries, 0)])
        .map(move |(content, shift)| {
            let count = end >> shift;
            let numbers = (first >> shift) / width..count.div_ceil(width);
            (content, count, numbers)
        })
}

/// Whether a text can be the name of a file in a pack: plain ASCII without hidden parts, relative.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    name.len() <= NAME_BYTES_MAX
        && name.split('/').count() <= DEPTH_MAX
        && name.split('/').all(part)
}

/// A pack cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is something in the folder. The operator must choose another.
    #[error("`{0}` is not an empty folder")]
    NotEmpty(PathBuf),
    /// A file or folder cannot be written.
    #[error("`{path}` cannot be written")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The name cannot stand in a pack, or stands in it already with other contents.
    #[error("`{0}` cannot be the name of a file of the pack")]
    Name(String),
    /// There are more files than a manifest may list. The operator must choose a shorter period.
    #[error("more files than one pack may have; choose a shorter period")]
    TooLarge,
    /// The manifest has no JSON form, which is not known to happen.
    #[error("manifest cannot be written")]
    Manifest(#[source] serde_json::Error),
}

/// Writes a pack file by file; only names and digests stay in memory.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    files: BTreeMap<String, Digest>,
}

impl Writer {
    /// Begins a pack in `dir`, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotEmpty`]: nothing is overwritten.
    pub fn create(dir: &Path) -> Result<Self, WriteError> {
        let refused = |source| WriteError::File {
            path: dir.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(dir).map_err(refused)?;
        if std::fs::read_dir(dir).map_err(refused)?.next().is_some() {
            return Err(WriteError::NotEmpty(dir.to_owned()));
        }
        let mut writer = Self {
            dir: dir.to_owned(),
            files: BTreeMap::new(),
        };
        writer.add(README, README_TEXT.as_bytes())?;
        writer.add(SCRIPT, SCRIPT_TEXT.as_bytes())?;
        Ok(writer)
    }

    /// Whether there is a file of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Adds a file. The same file may be added twice.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let digest = Digest::of(bytes);
        match self.files.get(name) {
            Some(known) if *known == digest => return Ok(()),
            Some(_other) => return Err(WriteError::Name(name.to_owned())),
            None if !is_name(name) => return Err(WriteError::Name(name.to_owned())),
            None if FILES_MAX <= self.files.len() => return Err(WriteError::TooLarge),
            None => drop(self.files.insert(name.to_owned(), digest)),
        }
        self.write(name, bytes)
    }

    /// Closes the pack with its signed manifest.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; then the folder is no pack, because it has no manifest.
    pub fn close(self, manifest: Manifest, exporter: &SigningKey) -> Result<usize, WriteError> {
        let subjects = self.files.iter();
        let subjects = subjects.map(|(name, digest)| Subject::new(name, *digest));
        let statement = Statement::new(PACK_TYPE, subjects.collect(), manifest);
        debug_assert_eq!(statement.kind, STATEMENT_TYPE);
        let body = serde_json::to_vec(&statement).map_err(WriteError::Manifest)?;
        if MANIFEST_BYTES_MAX < body.len() {
            return Err(WriteError::TooLarge);
        }
        self.write(MANIFEST, &body)?;
        self.write(MANIFEST_DSSE, &dsse::seal(exporter, &body))?;
        Ok(self.files.len())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let path = self.dir.join(name);
        let written = || {
            if let Some(folder) = path.parent() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o755)
                    .create(folder)?;
            }
            let mut file = File::create_new(&path)?;
            file.write_all(bytes)?;
            if name == MANIFEST_DSSE {
                file.sync_all()?;
            }
            Ok(())
        };
        written().map_err(|source| WriteError::File {
            path: path.clone(),
            source,
        })
    }
}
