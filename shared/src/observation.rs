//! An observation: what a probe saw at one moment, as bytes that are equal when the facts are.
//!
//! It holds no time of collection, so that an unchanged host gives the same bytes and the same
//! name, and the blob is not sent again. The time stands in the attestation that names it.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fact::{self, FactError, Facts, FactsError};
use crate::id::Digest;
use crate::limits;

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Observation {
    // Fields stand in the order of their names: that is the order of the members in the bytes.
    /// Bounded, redacted copies of what was read.
    pub artifacts: Vec<Artifact>,
    /// The facts, typed by the schema of the probe; empty unless the outcome is `facts`.
    pub facts: Facts,
    /// Whether there are facts.
    pub outcome: Outcome,
    /// Name of the probe.
    pub probe: String,
    /// Why the subject is absent or unknown, or what part of it could not be seen; may be empty.
    pub reason: String,
    /// Version of the schema of the facts.
    pub schema: u32,
    /// Where each fact came from and what answered.
    pub source: Vec<Source>,
}

/// Whether a probe could look, and found its subject. It is never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There are facts; some may be missing, and the sources say why.
    Facts,
    /// The subject is certainly not on this host.
    Absent,
    /// It could not be told; the reason says why.
    Unknown,
}

impl Outcome {
    /// The word that stands in the bytes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

/// A bounded, redacted copy of a file or of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Size of the copy.
    pub bytes: u64,
    /// Path or name of what was copied.
    pub name: String,
    /// How many secrets were replaced.
    pub redacted: u64,
    /// SHA-256 of the copy, which is a blob.
    pub sha256: Digest,
    /// The copy is shorter than what was read.
    pub truncated: bool,
}

/// One place that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// By which means.
    pub kind: Means,
    /// Path, address or name of the call.
    pub name: String,
    /// What answered: `ok`, or why not.
    pub status: Status,
}

/// By which means a place was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// A file or a folder.
    File,
    /// A system call.
    Syscall,
    /// A method or a property on D-Bus.
    Dbus,
    /// A socket.
    Socket,
    /// Netlink.
    Netlink,
    /// A command from the fixed list.
    Command,
}

/// What a place answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was read.
    Ok,
    /// It is not there.
    Absent,
    /// The right to read it is missing.
    NotPermitted,
    /// It did not answer in time.
    TimedOut,
    /// It answered what could not be understood.
    Malformed,
    /// It is larger than what is read.
    Limit,
    /// Its form or version is not known to this agent, or another root folder is read.
    Unsupported,
    /// It is there and nobody answers.
    Unreachable,
    /// Reading it gave an error of the machine.
    Failed,
}

impl Status {
    /// The word that stands in the bytes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::NotPermitted => "not-permitted",
            Self::TimedOut => "timed-out",
            Self::Malformed => "malformed",
            Self::Limit => "limit",
            Self::Unsupported => "unsupported",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
        }
    }
}

/// Bytes are no observation. The sender is wrong, or uses a schema that is not known here.
#[derive(Debug, thiserror::Error)]
pub enum ObservationError {
    /// No JSON of the right form.
    #[error("not an observation")]
    Form(#[source] serde_json::Error),
    /// The members are right, but not their order, their spacing or their escapes.
    #[error("not the one written form of this observation")]
    Encoding,
    /// No probe of this name, or of this version of its schema, is known here.
    #[error("probe `{probe}` with schema {schema} is not known here")]
    Schema {
        /// Name of the probe.
        probe: String,
        /// Version of the schema.
        schema: u32,
    },
    /// A fact does not fit the schema.
    #[error("a fact does not fit its schema")]
    Fact(#[from] FactError),
    /// Larger than a blob may be.
    #[error("{0} bytes are more than an observation may have")]
    Size(usize),
}

/// The form in JSON, before the facts are typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    artifacts: Vec<Artifact>,
    // They stand before the name of the probe, which says how they are read.
    #[serde(borrow)]
    facts: &'a RawValue,
    outcome: Outcome,
    probe: String,
    reason: String,
    schema: u32,
    source: Vec<Source>,
}

impl Observation {
    /// The bytes: JSON with sorted members and no white space.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Only strings, integers, flags, lists and maps with text keys: it cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads an observation, typed by the schema of its probe.
    ///
    /// # Errors
    ///
    /// [`ObservationError`]: what decodes here encodes again to the same bytes, or it is refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ObservationError> {
        if bytes.len() > limits::BLOB_BYTES_MAX {
            return Err(ObservationError::Size(bytes.len()));
        }
        let raw: Raw<'_> = serde_json::from_slice(bytes).map_err(ObservationError::Form)?;
        let subject = fact::subject(&raw.probe)
            .filter(|subject| subject.schema == raw.schema)
            .ok_or(ObservationError::Schema {
                probe: raw.probe.clone(),
                schema: raw.schema,
            })?;
        let facts = subject.read(raw.facts.get()).map_err(|error| match error {
            FactsError::Form(source) => ObservationError::Form(source),
            FactsError::Fact(source) => ObservationError::Fact(source),
        })?;
        let observation = Self {
            artifacts: raw.artifacts,
            facts,
            outcome: raw.outcome,
            probe: raw.probe,
            reason: raw.reason,
            schema: raw.schema,
            source: raw.source,
        };
        if observation.is_written_as(bytes) {
            Ok(observation)
        } else {
            Err(ObservationError::Encoding)
        }
    }

    /// Whether [`Observation::to_bytes`] are these, without making them.
    fn is_written_as(&self, bytes: &[u8]) -> bool {
        let mut rest = Rest(bytes);
        serde_json::to_writer(&mut rest, self).is_ok() && rest.0.is_empty()
    }
}

/// What is still to be written; anything else cannot be.
struct Rest<'a>(&'a [u8]);

impl io::Write for Rest<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .strip_prefix(bytes)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"artifacts":[],"facts":{"kernel_synchronised":false},"outcome":"facts","probe":"clock","reason":"","schema":1,"source":[{"kind":"syscall","name":"adjtimex","status":"ok"}]}"#;

    #[test]
    fn reads_back_as_written() {
        let observation = Observation::from_bytes(GOOD.as_bytes()).unwrap();
        assert_eq!(observation.outcome, Outcome::Facts);
        assert_eq!(observation.to_bytes(), GOOD.as_bytes());
    }

    #[test]
    fn no_other_form_is_read() {
        for (from, to) in [
            (":[]", ": []"),
            ("\"clock\"", "\"cl\\u006fck\""),
            ("\"schema\":1", "\"schema\":2"),
            ("\"facts\":{", "\"facts\":{\"more\":1,"),
            ("{\"artifacts\"", "{\"extra\":1,\"artifacts\""),
            ("false", "0"),
            ("\"facts\",\"probe\"", "\"pass\",\"probe\""),
            ("}]}", "}]} "),
            ("\"facts\":{", "\"facts\":{\"kernel_synchronised\":true,"),
            ("ed\":false}", "ed\":false }"),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            assert_ne!(bad, GOOD, "{from}");
            assert!(Observation::from_bytes(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
