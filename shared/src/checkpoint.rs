//! Checkpoints: what the ledger signs about itself, and how others check it.
//!
//! A checkpoint is the text `<origin>\n<size>\n<root in base64>\n` under a signed note. The ledger
//! signs it with a key whose name is the origin; witnesses may add cosignatures. What parses here
//! prints to the same bytes, so there is one written form of each checkpoint.
//!
//! Source: C2SP tlog-checkpoint, signed-note, tlog-cosignature.

mod note;
mod policy;
mod proof;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::id::Digest;
use crate::merkle;

pub use note::{Algorithm, KeyError, NoteError, Signature, SignedNote, VerifierKey};
pub use policy::{Accepted, Policy, PolicyError};
pub use proof::{TlogProof, TlogProofError};

/// The head of a ledger: which ledger, how many entries, and the root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the ledger, which is also the name of its key.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the Merkle tree over them.
    pub root: Digest,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root.as_bytes());
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// Reads the text of a checkpoint. Extension lines are refused: this ledger writes none.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (origin, rest) = text.split_once('\n').ok_or(NoteError::Text("origin"))?;
        let (size, rest) = rest.split_once('\n').ok_or(NoteError::Text("size"))?;
        let root = rest.strip_suffix('\n').ok_or(NoteError::Text("root"))?;
        if !note::is_name(origin) {
            return Err(NoteError::Text("origin"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: number(size)
                .filter(|size| *size <= merkle::SIZE_MAX)
                .ok_or(NoteError::Text("size"))?,
            root: digest(root).ok_or(NoteError::Text("root"))?,
        })
    }
}

/// A checkpoint whose signature was checked. Only [`Verified::open`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl Verified {
    /// Reads a signed checkpoint and checks the signature of the ledger.
    ///
    /// Lines of other keys are kept but not checked.
    ///
    /// # Errors
    ///
    /// [`NoteError`] when the text is no signed checkpoint of exactly this key.
    pub fn open(text: &str, log: &VerifierKey) -> Result<Self, NoteError> {
        let note: SignedNote = text.parse()?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if log.algorithm() != Algorithm::Ed25519 {
            return Err(NoteError::Unsigned(log.name().to_owned()));
        }
        if checkpoint.origin != log.name() {
            return Err(NoteError::OtherOrigin {
                given: checkpoint.origin,
                wanted: log.name().to_owned(),
            });
        }
        match note.signed_by(log)? {
            Some(_no_time) => Ok(Self { checkpoint, note }),
            None => Err(NoteError::Unsigned(log.name().to_owned())),
        }
    }

    /// The checkpoint.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note it was read from, with every signature line.
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// When `witness` cosigned, in seconds since 1970; `None` when it did not.
    ///
    /// # Errors
    ///
    /// [`NoteError::Forged`] when a line in its name is false.
    pub fn cosigned_by(&self, witness: &VerifierKey) -> Result<Option<u64>, NoteError> {
        if witness.algorithm() != Algorithm::Cosignature {
            return Ok(None);
        }
        self.note.signed_by(witness)
    }
}

/// The key that signs the checkpoints of one ledger.
pub struct Signer {
    key: Ed25519KeyPair,
    public: VerifierKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

impl Signer {
    /// The key of the ledger `origin`, from its 32 secret bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`] when `origin` is no name of a key. The operator must choose another.
    pub fn new(origin: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let refused = |_rejected| KeyError::Key;
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(refused)?;
        let public = key.public_key().as_ref();
        let public = <[u8; 32]>::try_from(public).map_err(|_other_length| KeyError::Key)?;
        let public = VerifierKey::new(origin, Algorithm::Ed25519, public)?;
        Ok(Self { key, public })
    }

    /// The key that checks what this one signs; its name is the origin.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    /// Signs the checkpoint of `size` entries with `root`.
    ///
    /// Whoever calls this must have made `size` and `root` durable before: two signed checkpoints
    /// that contradict each other end the ledger.
    #[must_use]
    pub fn sign(&self, size: u64, root: Digest) -> SignedNote {
        let origin = self.public.name().to_owned();
        let text = Checkpoint { origin, size, root }.to_string();
        let signature = self.key.sign(text.as_bytes()).as_ref().to_vec();
        SignedNote::of(text, &self.public, signature)
    }
}

/// A decimal number without sign and without leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| plain && !leading)
}

/// A digest in padded base64.
fn digest(text: &str) -> Option<Digest> {
    // A digest has 44 characters; nothing longer is decoded at all.
    let bytes = STANDARD.decode(text.get(..44)?).ok()?;
    let bytes = <[u8; 32]>::try_from(bytes).ok()?;
    Some(Digest(bytes)).filter(|_| text.len() == 44)
}

#[cfg(test)]
mod tests;
