//! The files of a pack: all of them, no others, and the manifest that lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use super::{Claim, Trust, Verdict};
use crate::attestation::{STATEMENT_TYPE, Statement};
use crate::checkpoint::Policy;
use crate::dsse::Envelope;
use crate::id::Digest;
use crate::key::PublicKey;
use crate::limits;
use crate::pack::{self, Manifest};

/// Longest key file.
const KEY_BYTES_MAX: usize = 4096;
/// Longest signed manifest: the body in base64 and its frame.
const SIGNED_BYTES_MAX: usize = pack::MANIFEST_BYTES_MAX / 3 * 4 + 1024;

/// A folder with the names of all plain files in it.
pub(super) struct Pack {
    dir: PathBuf,
    names: BTreeSet<String>,
    /// What cannot be a file of a pack: links, devices, folders that are empty or too deep.
    odd: Vec<(String, &'static str)>,
}

impl Pack {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let mut pack = Self {
            dir: dir.to_owned(),
            names: BTreeSet::new(),
            odd: Vec::new(),
        };
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let mut empty = true;
            for entry in std::fs::read_dir(dir.join(&folder))? {
                let entry = entry?;
                empty = false;
                if pack::FILES_MAX < pack.names.len() + pack.odd.len() + folders.len() {
                    return Err(io::Error::new(
                        io::ErrorKind::FileTooLarge,
                        "more files than a pack may have",
                    ));
                }
                let last = entry.file_name().to_string_lossy().into_owned();
                let name = match folder.as_str() {
                    "" => last,
                    folder => format!("{folder}/{last}"),
                };
                // The kind of the entry itself: links are not followed.
                let kind = entry.file_type()?;
                if !pack::is_name(&name) {
                    pack.odd
                        .push((name, "has a name that no file of a pack has"));
                } else if kind.is_dir() {
                    folders.push(name);
                } else if kind.is_file() {
                    pack.names.insert(name);
                } else {
                    pack.odd.push((name, "is no plain file"));
                }
            }
            if empty && !folder.is_empty() {
                pack.odd.push((folder, "is an empty folder"));
            }
        }
        Ok(pack)
    }

    /// Opens a plain file, and no link.
    fn file(&self, name: &str) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags};

        if !self.names.contains(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(self.dir.join(name), flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    pub(super) fn read(&self, name: &str, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let _read = self
            .file(name)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes_max < bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    pub(super) fn read_text(&self, name: &str, bytes_max: usize) -> io::Result<String> {
        String::from_utf8(self.read(name, bytes_max)?)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The SHA-256 of a file of any length.
    fn digest(&self, name: &str) -> io::Result<Digest> {
        let mut file = self.file(name)?;
        let mut hash = sha2::Sha256::new();
        let mut part = [0; 16 * 1024];
        loop {
            match file.read(&mut part)? {
                0 => return Ok(Digest(hash.finalize().into())),
                read => hash.update(part.get(..read).unwrap_or_default()),
            }
        }
    }

    /// The names that begin with `folder`.
    pub(super) fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.names
            .range(folder.to_owned()..)
            .map(String::as_str)
            .take_while(move |name| name.starts_with(folder))
    }
}

/// A manifest, and the key of decisions that its pack holds.
pub(super) struct Checked {
    pub(super) predicate: Manifest,
    pub(super) decisions: PublicKey,
}

/// Checks manifest, files and trusted keys.
pub(super) fn check(pack: &Pack, trust: &Trust, claims: &mut Vec<Claim>) -> Option<Checked> {
    let mut keys = Claim::new("keys");
    let decisions = decisions_key(pack, trust, &mut keys);
    policy(pack, trust, &mut keys);
    let says = format!(
        "the keys of ledger {} and of decisions are the trusted ones",
        trust.ledger.name()
    );
    let keys = keys.says(says);
    let mut signed = Claim::new("manifest");
    let statement = manifest(pack, decisions.as_ref(), &mut signed);
    let Some(statement) = statement else {
        let says = "the manifest cannot be used".to_owned();
        claims.extend([keys, signed.says(says)]);
        return None;
    };
    let manifest = &statement.predicate;
    if manifest.ledger != trust.ledger.name() {
        signed.fail(pack::MANIFEST, "names another ledger than the trusted one");
    }
    if manifest.exporter != trust.decisions {
        signed.fail(
            pack::MANIFEST,
            "names another exporter than the key of decisions",
        );
    }
    if manifest.end < manifest.start || manifest.period.to < manifest.period.from {
        signed.fail(pack::MANIFEST, "ends before it begins");
    }
    let says = format!(
        "signed by the exporter: {} from {} to {}, cut by {}",
        super::plain(&manifest.collector),
        manifest.period.from,
        manifest.period.to,
        super::plain(&manifest.tool),
    );
    claims.extend([keys, signed.says(says), listed(pack, &statement)]);
    Some(Checked {
        predicate: statement.predicate,
        decisions: decisions?,
    })
}

/// The key of decisions in the pack, if it is the trusted one.
fn decisions_key(pack: &Pack, trust: &Trust, claim: &mut Claim) -> Option<PublicKey> {
    let text = match pack.read_text(pack::DECISIONS, KEY_BYTES_MAX) {
        Ok(text) => text,
        Err(error) => {
            claim.unread(pack::DECISIONS, &error);
            return None;
        }
    };
    match PublicKey::from_pem(&text) {
        Ok(key) if key.id() == trust.decisions => {
            if key.to_pem() != text {
                claim.fail(pack::DECISIONS, "is not the one written form of the key");
            }
            Some(key)
        }
        Ok(key) => {
            claim.fail(
                pack::DECISIONS,
                format!("is {}, not the trusted key", key.id()),
            );
            None
        }
        Err(error) => {
            claim.fail(pack::DECISIONS, error);
            None
        }
    }
}

fn policy(pack: &Pack, trust: &Trust, claim: &mut Claim) {
    match pack.read_text(pack::POLICY, limits::NOTE_BYTES_MAX) {
        Ok(text) => match text.parse::<Policy>() {
            Ok(policy) if policy.logs() == [trust.ledger.clone()] => {}
            Ok(_other) => claim.fail(pack::POLICY, "does not name the trusted ledger alone"),
            Err(error) => claim.fail(pack::POLICY, error),
        },
        Err(error) => claim.unread(pack::POLICY, &error),
    }
}

/// Reads the manifest. What was signed counts; without it, what stands there, to name more.
fn manifest(
    pack: &Pack,
    decisions: Option<&PublicKey>,
    claim: &mut Claim,
) -> Option<Statement<Manifest>> {
    let plain = pack.read(pack::MANIFEST, pack::MANIFEST_BYTES_MAX);
    let plain = plain
        .map_err(|error| claim.unread(pack::MANIFEST, &error))
        .ok();
    let envelope = match pack.read(pack::MANIFEST_DSSE, SIGNED_BYTES_MAX) {
        Ok(file) => Envelope::from_file_within(&file, SIGNED_BYTES_MAX)
            .map_err(|error| claim.fail(pack::MANIFEST_DSSE, error))
            .ok(),
        Err(error) => {
            claim.unread(pack::MANIFEST_DSSE, &error);
            None
        }
    };
    let envelope = envelope.filter(|envelope| match decisions {
        None => {
            let why = "its signature cannot be checked without the key of decisions";
            claim.add(Verdict::CannotCheck, pack::MANIFEST_DSSE, why);
            true
        }
        Some(key) => match envelope.verify(key) {
            Ok(()) => true,
            Err(error) => {
                claim.fail(pack::MANIFEST_DSSE, error);
                false
            }
        },
    });
    if let (Some(plain), Some(envelope)) = (&plain, &envelope)
        && *plain != envelope.body
    {
        claim.fail(pack::MANIFEST, "is not what was signed");
    }
    let body = envelope.map(|envelope| envelope.body).or(plain)?;
    match serde_json::from_slice::<Statement<Manifest>>(&body) {
        Ok(statement)
            if statement.kind == STATEMENT_TYPE
                && statement.predicate_type == pack::PACK_TYPE
                && statement.predicate.format == pack::FORMAT =>
        {
            Some(statement)
        }
        Ok(_other) => {
            claim.fail(pack::MANIFEST, "is no manifest of a pack of version 1");
            None
        }
        Err(error) => {
            claim.fail(pack::MANIFEST, error);
            None
        }
    }
}

/// Compares every file with the manifest.
fn listed(pack: &Pack, statement: &Statement<Manifest>) -> Claim {
    let mut claim = Claim::new("files");
    let mut listed = BTreeMap::new();
    for subject in &statement.subject {
        let name = subject.name.as_str();
        if !pack::is_name(name) {
            claim.fail(name, "cannot be the name of a file");
        } else if listed.insert(name, subject.digest.sha256).is_some() {
            claim.fail(name, "is listed twice");
        }
    }
    for (name, digest) in &listed {
        match pack.digest(name) {
            Ok(found) if found == *digest => {}
            Ok(_other) => claim.fail(name, "is not the file that was signed for"),
            Err(error) => claim.unread(name, &error),
        }
    }
    for name in &pack.names {
        let own = matches!(name.as_str(), pack::MANIFEST | pack::MANIFEST_DSSE);
        if !own && !listed.contains_key(name.as_str()) {
            claim.fail(name, "is not in the manifest");
        }
    }
    for (name, what) in &pack.odd {
        claim.fail(name, what);
    }
    let says = format!(
        "{} files are as the manifest says, and none is beside it",
        listed.len()
    );
    claim.says(says)
}
