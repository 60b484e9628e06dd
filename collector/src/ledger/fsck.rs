//! The examination of a ledger: everything that can be computed is computed anew and compared.
//!
//! It trusts nothing but the bytes of the segment files: checksums, ids and names of blobs, leaf
//! data, commits, the checkpoint beside the ledger, every full tile and bundle. It may run while
//! the collector runs; it looks at what was committed when it came to the end.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shared::checkpoint::{Verified, VerifierKey};
use shared::durable::{self, Position, Reader, SegmentError};
use shared::id::Digest;
use shared::leaf::Leaf;
use shared::limits;
use shared::merkle::EMPTY_ROOT;

use super::record::Record;
use super::tree::{self, Full, Tree};
use super::{LedgerError, load};

/// Most findings that are listed; the rest is counted.
const FINDINGS_MAX: usize = 1000;

/// What is wrong somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// A segment file is damaged or missing; what lies behind that place was not looked at.
    Segment,
    /// A record has an unknown form.
    Form,
    /// The bytes of a blob have another name.
    BlobName,
    /// The index of an entry does not follow the one before.
    Index,
    /// Leaf data is malformed.
    Leaf,
    /// The SHA-256 of an envelope is not the id in its leaf.
    Id,
    /// The size or the root of a commit is not that of the entries before it.
    Commit,
    /// A tile or a bundle is missing.
    TileMissing,
    /// A tile or a bundle is not what the entries say.
    TileContent,
    /// The checkpoint beside the ledger is missing or not signed by its key.
    Checkpoint,
    /// The checkpoint beside the ledger is not one of these entries.
    Contradiction,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub flaw: Flaw,
    /// The file.
    pub file: PathBuf,
    /// The offset in it, in bytes.
    pub offset: u64,
    /// The entry that it concerns, if it concerns one.
    pub index: Option<u64>,
    /// In words.
    pub text: String,
}

/// What an examination found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Committed entries.
    pub entries: u64,
    /// Blob records.
    pub blobs: u64,
    /// Commit records.
    pub commits: u64,
    /// Full tiles and bundles that there must be.
    pub tiles: u64,
    /// Tiles and bundles that were written again.
    pub repaired: u64,
    /// The root over the committed entries.
    pub root: Option<Digest>,
    /// What is wrong, at most 1000.
    pub findings: Vec<Finding>,
    /// How many findings there are in all.
    pub findings_count: u64,
}

/// Examines the ledger in `dir` and changes nothing.
///
/// # Errors
///
/// [`LedgerError::Machine`] or [`LedgerError::Segments`] when the folder cannot be read at all;
/// damage is no error but a finding.
pub fn check(dir: &Path, key: &VerifierKey) -> Result<Report, LedgerError> {
    examine(dir, key, false)
}

/// Examines the ledger in `dir` and writes tiles and bundles again that are missing or wrong.
///
/// # Errors
///
/// As [`check`], and [`LedgerError::Machine`] when a tile cannot be written.
pub fn repair(dir: &Path, key: &VerifierKey) -> Result<Report, LedgerError> {
    examine(dir, key, true)
}

fn examine(dir: &Path, key: &VerifierKey, repair: bool) -> Result<Report, LedgerError> {
    let reader = Reader::open(&dir.join("segments"));
    let mut examination = Examination {
        dir,
        repair,
        report: Report::default(),
        tree: Tree::default(),
        pending: Vec::new(),
        signed: None,
        signed_root: None,
    };
    examination.open_checkpoint(key)?;
    match reader.records() {
        Ok(mut records) => loop {
            match records.next() {
                Some(Ok((position, payload))) => {
                    examination.record(&reader, position, &payload)?;
                }
                Some(Err(error)) => {
                    examination.segment(error)?;
                    break;
                }
                None => break,
            }
        },
        Err(error) => examination.segment(error)?,
    }
    Ok(examination.finish())
}

struct Examination<'a> {
    dir: &'a Path,
    repair: bool,
    report: Report,
    tree: Tree,
    /// The leaf data of entries whose commit was not read yet.
    pending: Vec<Vec<u8>>,
    /// Size and root of the checkpoint beside the ledger.
    signed: Option<(u64, Digest)>,
    signed_root: Option<Digest>,
}

impl Examination<'_> {
    fn find(&mut self, flaw: Flaw, place: (PathBuf, u64, Option<u64>), text: String) {
        let (file, offset, index) = place;
        self.report.findings_count += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding {
                flaw,
                file,
                offset,
                index,
                text,
            });
        }
    }

    fn open_checkpoint(&mut self, key: &VerifierKey) -> Result<(), LedgerError> {
        let file = load::checkpoint_file(self.dir);
        let bytes_max = u64::try_from(limits::NOTE_BYTES_MAX).unwrap_or(u64::MAX);
        let note = match durable::read_text(&file, bytes_max) {
            Ok(note) => note,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(LedgerError::machine("read", &file)(error));
            }
            Err(error) => {
                self.find(Flaw::Checkpoint, (file, 0, None), error.to_string());
                return Ok(());
            }
        };
        match Verified::open(&note, key) {
            Ok(verified) => {
                let head = verified.checkpoint();
                self.signed = Some((head.size, head.root));
                self.signed_root = Some(EMPTY_ROOT).filter(|_| head.size == 0);
            }
            Err(error) => self.find(Flaw::Checkpoint, (file, 0, None), error.to_string()),
        }
        Ok(())
    }

    fn segment(&mut self, error: SegmentError) -> Result<(), LedgerError> {
        if let SegmentError::Damaged { path, offset, what } = error {
            self.find(Flaw::Segment, (path, offset, None), what.to_owned());
            Ok(())
        } else {
            Err(LedgerError::segments(error))
        }
    }

    fn record(
        &mut self,
        reader: &Reader,
        position: Position,
        payload: &[u8],
    ) -> Result<(), LedgerError> {
        let file = reader.path(position.segment());
        let place = |index| (file.clone(), u64::from(position.offset()), index);
        match Record::decode(payload) {
            None => {
                let text = "the record has an unknown form".to_owned();
                self.find(Flaw::Form, place(None), text);
            }
            Some(Record::Void) => self.pending.clear(),
            Some(Record::Blob { digest, bytes }) => {
                self.report.blobs += 1;
                let computed = Digest::of(bytes);
                if computed != digest {
                    let text = format!("blob {digest} has the name {computed}");
                    self.find(Flaw::BlobName, place(None), text);
                }
            }
            Some(Record::Entry {
                index,
                leaf,
                envelope,
            }) => {
                self.entry(index, leaf, envelope, place(Some(index)));
            }
            Some(Record::Commit { size, root }) => {
                self.report.commits += 1;
                self.commit()?;
                let (stored, computed) = (self.tree.size(), self.tree.edge().root());
                if (size, root) != (stored, computed) {
                    let text = format!(
                        "the commit says {size} entries under {root}, and there are {stored} under \
                         {computed}"
                    );
                    self.find(Flaw::Commit, place(None), text);
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        index: u64,
        leaf: &[u8],
        envelope: &[u8],
        place: (PathBuf, u64, Option<u64>),
    ) {
        let waiting = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        let due = self.tree.size().saturating_add(waiting);
        if index != due {
            let text = format!("entry {index} stands where entry {due} is due");
            self.find(Flaw::Index, place.clone(), text);
        }
        match Leaf::from_bytes(leaf) {
            Ok(parsed) => {
                let computed = Digest::of(envelope);
                if parsed.id != computed {
                    let text = format!("the leaf names {}, the envelope is {computed}", parsed.id);
                    self.find(Flaw::Id, place, text);
                }
            }
            Err(error) => self.find(Flaw::Leaf, place, error.to_string()),
        }
        self.pending.push(leaf.to_vec());
    }

    fn commit(&mut self) -> Result<(), LedgerError> {
        for data in std::mem::take(&mut self.pending) {
            // Too long leaf data was found malformed already; its bundle cannot be made.
            let full = self.tree.push(data).unwrap_or_default();
            if self
                .signed
                .is_some_and(|(size, _)| size == self.tree.size())
            {
                self.signed_root = Some(self.tree.edge().root());
            }
            for full in full {
                self.tile(&full)?;
                self.tree.written(full.path);
            }
        }
        Ok(())
    }

    fn tile(&mut self, full: &Full) -> Result<(), LedgerError> {
        self.report.tiles += 1;
        let file = tree::file(self.dir, full.path);
        let wanted = u64::try_from(full.bytes.len()).unwrap_or(u64::MAX);
        let flaw = match durable::read(&file, wanted) {
            Ok(bytes) if bytes == *full.bytes => return Ok(()),
            Ok(_) => Flaw::TileContent,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Flaw::TileMissing,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Flaw::TileContent,
            Err(error) => return Err(LedgerError::machine("read", &file)(error)),
        };
        let text = format!("{} is not what the entries say", full.path);
        self.find(flaw, (file.clone(), 0, None), text);
        if self.repair {
            tree::write(self.dir, full).map_err(LedgerError::machine("write", &file))?;
            self.report.repaired += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Report {
        self.report.entries = self.tree.size();
        self.report.root = Some(self.tree.edge().root());
        if let Some((size, root)) = self.signed
            && self.signed_root != Some(root)
        {
            let stored = self.tree.size();
            let text = format!("{size} entries under {root} were signed; {stored} are stored");
            let file = load::checkpoint_file(self.dir);
            self.find(Flaw::Contradiction, (file, 0, None), text);
        }
        self.report
    }
}
