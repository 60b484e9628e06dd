//! Proof files: that one leaf is in a ledger, checkable with nothing but a policy file.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>                  may be absent; nobody signed it
//! index <number>
//! <hash in base64>                one line for each, from the leaf upwards
//!                                 an empty line
//! <signed checkpoint>
//! ```
//!
//! Source: C2SP tlog-proof.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::NoteError;
use super::policy::{Accepted, Policy};
use super::{digest, number};
use crate::id::Digest;
use crate::limits;
use crate::merkle::{self, ProofError};

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// A proof file does not show what it was given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// The text has another form, or is longer than is read. Whoever made it must correct it.
    #[error("the text is no transparency log proof of version 1")]
    Form,
    /// The checkpoint in the proof is not accepted.
    #[error("the checkpoint of the proof is not accepted")]
    Checkpoint(#[source] NoteError),
    /// The hashes do not lead from the leaf to the root.
    #[error("the leaf is not shown to be in the ledger")]
    Inclusion(#[source] ProofError),
}

/// A proof file as it was read. That it parses says nothing about what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Bytes that travel along and that nobody signed.
    pub extra: Option<Vec<u8>>,
    /// The index of the entry.
    pub index: u64,
    /// The hashes from the leaf's sibling to the child of the root.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, word for word.
    pub checkpoint: String,
}

impl TlogProof {
    /// Checks that the leaf with hash `leaf` is in a ledger that `policy` accepts.
    ///
    /// # Errors
    ///
    /// [`TlogProofError::Checkpoint`] or [`TlogProofError::Inclusion`].
    pub fn verify(&self, leaf: &Digest, policy: &Policy) -> Result<Accepted, TlogProofError> {
        let accepted = policy.accept(&self.checkpoint);
        let accepted = accepted.map_err(TlogProofError::Checkpoint)?;
        let head = accepted.verified().checkpoint();
        merkle::verify_inclusion(self.index, head.size, leaf, &self.hashes, &head.root)
            .map_err(TlogProofError::Inclusion)?;
        Ok(accepted)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, TlogProofError> {
        if limits::NOTE_BYTES_MAX < text.len() {
            return Err(TlogProofError::Form);
        }
        parse(text).ok_or(TlogProofError::Form)
    }
}

fn parse(text: &str) -> Option<TlogProof> {
    let (head, checkpoint) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    if lines.next()? != HEAD {
        return None;
    }
    let mut line = lines.next()?;
    let mut extra = None;
    if let Some(bytes) = line.strip_prefix("extra ") {
        extra = Some(STANDARD.decode(bytes).ok()?);
        line = lines.next()?;
    }
    let index = number(line.strip_prefix("index ")?)?;
    let hashes = lines.map(digest).collect::<Option<Vec<_>>>()?;
    if limits::PROOF_HASHES_MAX < hashes.len() {
        return None;
    }
    let checkpoint = checkpoint.to_owned();
    Some(TlogProof {
        extra,
        index,
        hashes,
        checkpoint,
    })
}
