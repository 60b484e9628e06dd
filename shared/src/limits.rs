//! Every bound in one place: nothing read from outside is unbounded.
//!
//! Sizes are bytes, times are milliseconds unless the name says otherwise.

/// Longest body of a statement that may be signed.
pub const STATEMENT_BYTES_MAX: usize = 48 * 1024;
/// Longest DSSE file: the body in base64 and its frame.
pub const ENVELOPE_BYTES_MAX: usize = STATEMENT_BYTES_MAX / 3 * 4 + 1024;
/// Longest blob: an observation, an artifact, a document.
pub const BLOB_BYTES_MAX: usize = 1024 * 1024;
/// Longest file that a person brings with a decision: a report, a statement of applicability.
pub const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most blobs that one attestation may name.
pub const SUBJECTS_MAX: usize = 256;
/// Longest text of one fact, and of a reason.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Most records in a list fact; a longer list is cut and the observation says so.
pub const LIST_RECORDS_MAX: usize = 512;
/// Most facts in one observation.
pub const FACTS_MAX: usize = 256;
/// Longest body of one request to the collector's intake.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest answer that an agent reads.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most attestations in one request.
pub const BATCH_ATTESTATIONS_MAX: usize = 256;
/// Most hashes in an inclusion or a consistency proof (a tree of at most 2^63 leaves).
pub const PROOF_HASHES_MAX: usize = 64;
/// Longest signed note that is read.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signature lines of a note.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// Longest leaf data: five short lines.
pub const LEAF_BYTES_MAX: usize = 1024;
/// Longest name of an agent.
pub const AGENT_ID_BYTES_MAX: usize = 63;
/// Payload of one record of a segment file.
pub const RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Size at which a new segment file is begun.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
