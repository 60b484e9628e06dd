//! What agent and collector say to each other over HTTPS: paths, bodies, frames, problems.
//!
//! Bodies are JSON but for the submission, which is a row of frames: one byte that tells what the
//! frame holds, four bytes of its length (big-endian), then the bytes. Blobs stand before the
//! attestation that names them.

use serde::{Deserialize, Serialize};

use crate::attestation::TreeHead;
use crate::id::{AgentId, Digest};
use crate::limits;
use crate::receipt::Receipt;
use crate::time::Timestamp;

/// Path: asks for a number to be signed at enrolment; no certificate is needed.
pub const ENROL_NONCE: &str = "/v1/enrol/nonce";
/// Path: enrols; no certificate is needed, but a token.
pub const ENROL: &str = "/v1/enrol";
/// Path: renews the certificate of the connection.
pub const RENEW: &str = "/v1/renew";
/// Path: states where the agent stands and learns where the collector does.
pub const HELLO: &str = "/v1/hello";
/// Path: asks for the time, to compare clocks.
pub const TIME: &str = "/v1/time";
/// Path: submits attestations and blobs.
pub const SUBMIT: &str = "/v1/submit";
/// Media type of a submission.
pub const FRAMES_TYPE: &str = "application/vnd.evident.frames";

/// Answer of [`ENROL_NONCE`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NonceAnswer {
    /// To be signed within five minutes.
    pub nonce: Digest,
}

/// Body of [`ENROL`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The one-time token, as the operator gave it.
    pub token: String,
    /// Signing request for the TLS key: PKCS#10 in PEM.
    pub request_pem: String,
    /// The statement of the agent: a DSSE file.
    pub statement: String,
}

/// Answer of [`ENROL`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolAnswer {
    /// Name of the agent.
    pub agent: AgentId,
    /// The generation that begins.
    pub generation: u64,
    /// Certificate of the agent, in PEM.
    pub certificate_pem: String,
    /// Certificate of the authority, in PEM.
    pub authority_pem: String,
    /// The enrolment record: a DSSE file signed with the decisions key.
    pub record: String,
    /// Key of the ledger, in the form of a C2SP verifier key.
    pub ledger_key: String,
    /// Proof that the enrolment record is in the ledger.
    pub receipt: Receipt,
    /// The longest time between two records, in seconds.
    pub heartbeat_s: u64,
}

/// Body of [`RENEW`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// Signing request for the TLS key: PKCS#10 in PEM.
    pub request_pem: String,
}

/// Answer of [`RENEW`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// The new certificate, in PEM.
    pub certificate_pem: String,
}

/// Body of [`HELLO`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Generation of the stream.
    pub generation: u64,
    /// The last record that the agent signed; absent before the first.
    pub head: Option<StreamHead>,
    /// Id of the boot.
    pub boot: String,
    /// What the agent has seen of the ledger.
    pub seen: TreeHead,
}

/// The last record of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamHead {
    /// Number of the record.
    pub seq: u64,
    /// Id of the record.
    pub id: Digest,
}

/// Answer of [`HELLO`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HelloAnswer {
    /// The last record of the stream that the ledger holds; absent before the first.
    pub head: Option<StreamHead>,
    /// Proof that the ledger grew from what the agent had seen; it holds no entries.
    pub receipt: Receipt,
    /// The clock of the collector.
    pub now: Timestamp,
}

/// Body of [`TIME`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRequest {
    /// When it was sent, by the clock of the host.
    pub sent: Timestamp,
}

/// Answer of [`TIME`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TimeAnswer {
    /// When the request was received, by the clock of the collector.
    pub received: Timestamp,
    /// When this was sent, by the clock of the collector.
    pub answered: Timestamp,
}

/// Answer of [`SUBMIT`]: what was entered, and why the rest was not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SubmitAnswer {
    /// Proofs for the attestations that are in the ledger now, in the order of submission.
    pub receipt: Receipt,
    /// The first attestation that was refused; those after it were not looked at.
    pub refused: Option<Refused>,
}

/// An attestation that was not entered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Id of the attestation.
    pub id: Digest,
    /// Why.
    pub problem: Problem,
}

/// An error as callers see it.
///
/// Source: RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem it is.
    pub code: Code,
    /// HTTP status.
    pub status: u16,
    /// One line for people: what is wrong.
    pub title: String,
    /// More, with the operands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the reader can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Blobs that must be sent first; only with [`Code::MissingBlobs`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Digest>,
}

/// Kinds of problems. Each is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No certificate, or not one of an agent.
    Certificate,
    /// The host is not enrolled.
    UnknownHost,
    /// The host was revoked.
    Revoked,
    /// The record belongs to the stream of another agent or generation.
    ForeignStream,
    /// A signature does not hold.
    Signature,
    /// Bytes are not in the one written form.
    Encoding,
    /// The record does not follow the last one of its stream.
    Chain,
    /// The stream has another record with this number.
    Fork,
    /// The stream is stopped until a person decides.
    Quarantined,
    /// Larger than a limit.
    TooLarge,
    /// Blobs that the record names are not here.
    MissingBlobs,
    /// An observation or a blob is not what the record says.
    Content,
    /// The time of the record cannot be.
    Clock,
    /// The token is unknown, spent, ended or meant for another host.
    Token,
    /// The request is malformed.
    Malformed,
    /// No such path or method.
    NotFound,
    /// Too much at once; try again after the time in `Retry-After`.
    Busy,
    /// The collector cannot store anything now.
    Unavailable,
}

impl Code {
    /// The word in the answer and in the counters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::UnknownHost => "unknown-host",
            Self::Revoked => "revoked",
            Self::ForeignStream => "foreign-stream",
            Self::Signature => "signature",
            Self::Encoding => "encoding",
            Self::Chain => "chain",
            Self::Fork => "fork",
            Self::Quarantined => "quarantined",
            Self::TooLarge => "too-large",
            Self::MissingBlobs => "missing-blobs",
            Self::Content => "content",
            Self::Clock => "clock",
            Self::Token => "token",
            Self::Malformed => "malformed",
            Self::NotFound => "not-found",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One frame of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A DSSE file.
    Attestation(&'a [u8]),
    /// A blob.
    Blob(&'a [u8]),
    /// The digest of a blob that a later record names and that the agent has not any more: its
    /// spool was full. A record of kind `gap` says so under signature.
    Dropped(Digest),
}

/// A submission is not a row of frames within the limits. The sender is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end inside a frame.
    #[error("submission ends inside a frame at byte {0}")]
    Cut(usize),
    /// A frame of unknown kind.
    #[error("frame of unknown kind {kind} at byte {at}")]
    Kind {
        /// The byte that tells the kind.
        kind: u8,
        /// Where it stands.
        at: usize,
    },
    /// A frame is larger than what it may hold.
    #[error("frame of {length} bytes at byte {at} is too large")]
    Size {
        /// Length that the frame states.
        length: usize,
        /// Where it stands.
        at: usize,
    },
}

const ATTESTATION: u8 = 1;
const BLOB: u8 = 2;
const DROPPED: u8 = 3;
const DIGEST_BYTES: usize = 32;

impl Frame<'_> {
    /// Appends the frame to a submission.
    pub fn write(self, to: &mut Vec<u8>) {
        let (kind, bytes) = match self {
            Frame::Attestation(bytes) => (ATTESTATION, bytes),
            Frame::Blob(bytes) => (BLOB, bytes),
            Frame::Dropped(ref digest) => (DROPPED, digest.as_bytes().as_slice()),
        };
        to.push(kind);
        to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        to.extend_from_slice(bytes);
    }
}

/// Reads the frames of a submission.
///
/// # Errors
///
/// [`FrameError`].
pub fn frames(submission: &[u8]) -> Result<Vec<Frame<'_>>, FrameError> {
    let mut frames = Vec::new();
    let mut rest = submission;
    while let Some((&kind, after)) = rest.split_first() {
        let at = submission.len() - rest.len();
        let (length, after) = after.split_first_chunk::<4>().ok_or(FrameError::Cut(at))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let bytes_max = match kind {
            ATTESTATION => limits::ENVELOPE_BYTES_MAX,
            BLOB => limits::BLOB_BYTES_MAX,
            DROPPED => DIGEST_BYTES,
            _ => return Err(FrameError::Kind { kind, at }),
        };
        if bytes_max < length {
            return Err(FrameError::Size { length, at });
        }
        let (bytes, after) = after.split_at_checked(length).ok_or(FrameError::Cut(at))?;
        frames.push(match kind {
            BLOB => Frame::Blob(bytes),
            DROPPED => {
                let digest = bytes
                    .try_into()
                    .map_err(|_short| FrameError::Size { length, at })?;
                Frame::Dropped(Digest(digest))
            }
            _ => Frame::Attestation(bytes),
        });
        rest = after;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_as_written() {
        let row = [
            Frame::Dropped(Digest::of(b"gone")),
            Frame::Blob(b"blob"),
            Frame::Attestation(b""),
            Frame::Attestation(b"x"),
        ];
        let mut bytes = Vec::new();
        for frame in row {
            frame.write(&mut bytes);
        }
        assert_eq!(frames(&bytes).unwrap(), row);
        assert_eq!(frames(b"").unwrap(), []);
        for end in 1..bytes.len() {
            let cut = frames(&bytes[..end]);
            assert!(cut.is_err() || cut.unwrap().len() < row.len(), "{end}");
        }
    }

    #[test]
    fn wrong_frames_are_named() {
        assert_eq!(frames(b"\x01\0\0"), Err(FrameError::Cut(0)));
        assert_eq!(frames(b"\x01\0\0\0\x01"), Err(FrameError::Cut(0)));
        assert_eq!(
            frames(b"\x07\0\0\0\0"),
            Err(FrameError::Kind { kind: 7, at: 0 })
        );
        let short = FrameError::Size { length: 1, at: 0 };
        assert_eq!(frames(b"\x03\0\0\0\x01x"), Err(short));
        let length = limits::ENVELOPE_BYTES_MAX + 1;
        let mut long = vec![1];
        long.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        assert_eq!(frames(&long), Err(FrameError::Size { length, at: 0 }));
    }
}
