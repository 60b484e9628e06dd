//! Signed notes: a text and the lines of those who signed it.
//!
//! ```text
//! <text, ending in a newline>
//!                                                      an empty line, the last of the note
//! \u{2014} <key name> <base64 of key id (4 bytes) || signature>
//! ```
//!
//! A line of a key that is not known is passed over; a false line of a known key refuses the note.
//!
//! Source: C2SP signed-note and tlog-cosignature.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::id::Digest;
use crate::limits;

/// What begins a signature line: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// A text is no key that checks notes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not `<name>+<id>+<key>`. Whoever wrote it must correct it.
    #[error("`{0}` is no key of a note: `name+id+key` is wanted")]
    Form(String),
    /// The name is empty or holds a space, a control character or `+`.
    #[error("`{0}` is no name of a key: it is empty or holds a space or `+`")]
    Name(String),
    /// The id does not belong to the name and the key: one of the three was changed.
    #[error("key `{name}` has id {computed}, not {given}")]
    Id {
        /// The name of the key.
        name: String,
        /// The id that belongs to it.
        computed: String,
        /// The id that was written.
        given: String,
    },
    /// The key is of a kind that is not supported (only 0x01 and 0x04 are).
    #[error("key `{name}` is of type {algorithm:#04x}; Ed25519 (0x01, 0x04) is wanted")]
    Algorithm {
        /// The name of the key.
        name: String,
        /// The type byte.
        algorithm: u8,
    },
    /// The bytes of the key are no Ed25519 key.
    #[error("the key is no Ed25519 key of 32 bytes")]
    Key,
}

/// A note is not what it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The note is longer than is read.
    #[error("the note has {0} bytes, more than are read")]
    TooLong(usize),
    /// The note holds a control character, or has no empty line, or no signature.
    #[error("the text is no signed note")]
    Form,
    /// The signature line with this number, from 1, is malformed, or one too many.
    #[error("signature line {0} of the note is malformed or too many")]
    Line(usize),
    /// The text is no checkpoint; the operand names the part that is wrong.
    #[error("the note holds no checkpoint: the {0} is malformed")]
    Text(&'static str),
    /// The checkpoint is that of another ledger.
    #[error("this is a checkpoint of `{given}`, not of `{wanted}`")]
    OtherOrigin {
        /// The ledger that the checkpoint names.
        given: String,
        /// The ledger that was meant.
        wanted: String,
    },
    /// There is no signature of the key with this name.
    #[error("the note is not signed by `{0}`")]
    Unsigned(String),
    /// There is a line of the key with this name, and it is false. Someone forged or changed it.
    #[error("the signature of `{0}` is false")]
    Forged(String),
    /// Fewer witnesses than the policy asks for have cosigned.
    #[error("the witnesses that cosigned do not make up the quorum `{0}`")]
    Quorum(String),
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 over the text of the note: the ledger's own signature. Type byte 0x01.
    Ed25519,
    /// Ed25519 over a time and the text: a witness saw the ledger grow. Type byte 0x04.
    Cosignature,
}

impl Algorithm {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A public key that checks lines of notes, written `<name>+<id>+<base64 of type || key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    algorithm: Algorithm,
    key: [u8; 32],
}

impl VerifierKey {
    /// The key `key` under the name `name`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Name`].
    pub fn new(name: &str, algorithm: Algorithm, key: [u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name(name.chars().take(80).collect()));
        }
        let name = name.to_owned();
        Ok(Self {
            name,
            algorithm,
            key,
        })
    }

    /// The name of the key; for the key of a ledger it is the origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the key signs.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The 32 bytes of the public key.
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// SHA-256(name || 0x0A || type || key), of which the first four bytes: a hint, not a proof.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        id(&self.name, &self.typed())
    }

    fn typed(&self) -> Vec<u8> {
        let mut typed = vec![self.algorithm.byte()];
        typed.extend_from_slice(&self.key);
        typed
    }

    /// Checks one signature; the time is that of a cosignature, else 0.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        let (time, message, signature) = match self.algorithm {
            Algorithm::Ed25519 => (0, text.to_owned(), signature),
            Algorithm::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                let message = format!("cosignature/v1\ntime {time}\n{text}");
                (time, message, signature)
            }
        };
        key.verify(message.as_bytes(), signature).ok()?;
        Some(time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(self.typed());
        write!(f, "{}+{}+{key}", self.name, hex(self.id()))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let form = || KeyError::Form(text.chars().take(80).collect());
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(given), Some(key)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(form());
        };
        if limits::NOTE_BYTES_MAX < key.len() {
            return Err(form());
        }
        let typed = STANDARD.decode(key).map_err(|_not_base64| form())?;
        let (&algorithm, key) = typed.split_first().ok_or_else(form)?;
        let algorithm = match algorithm {
            0x01 => Algorithm::Ed25519,
            0x04 => Algorithm::Cosignature,
            algorithm => {
                let name = name.chars().take(80).collect();
                return Err(KeyError::Algorithm { name, algorithm });
            }
        };
        let key = <[u8; 32]>::try_from(key).map_err(|_other_length| KeyError::Key)?;
        let parsed = Self::new(name, algorithm, key)?;
        let computed = hex(parsed.id());
        if computed == given {
            Ok(parsed)
        } else {
            let (name, given) = (parsed.name, given.chars().take(80).collect());
            Err(KeyError::Id {
                name,
                computed,
                given,
            })
        }
    }
}

/// One signature line: who signed, and the bytes that only that key can judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    /// The name of the key that the line claims.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A text with signature lines. That it parses says nothing about who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<Signature>,
}

impl SignedNote {
    /// A note with one signature, by whoever holds the secret key.
    pub(super) fn of(text: String, key: &VerifierKey, bytes: Vec<u8>) -> Self {
        let (name, id) = (key.name().to_owned(), key.id());
        let signatures = vec![Signature { name, id, bytes }];
        Self { text, signatures }
    }

    /// The text that was signed, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines in their order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks every line of `key`: the time of its last cosignature (0 for an Ed25519 key), or
    /// `None` when it has no line.
    ///
    /// # Errors
    ///
    /// [`NoteError::Forged`] when a line with the name and the id of the key is false.
    pub fn signed_by(&self, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
        let id = key.id();
        let mut signed = None;
        for line in &self.signatures {
            if line.name == key.name && line.id == id {
                let forged = || NoteError::Forged(key.name.clone());
                let time = key.verify(&self.text, &line.bytes).ok_or_else(forged)?;
                signed = signed.max(Some(time));
            }
        }
        Ok(signed)
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| {
            let mut bytes = line.id.to_vec();
            bytes.extend_from_slice(&line.bytes);
            writeln!(f, "{DASH}{} {}", line.name, STANDARD.encode(bytes))
        })
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if limits::NOTE_BYTES_MAX < note.len() {
            return Err(NoteError::TooLong(note.len()));
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Form);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let signatures = (1..).zip(lines.split('\n')).map(|(number, line)| {
            let allowed = number <= limits::NOTE_SIGNATURES_MAX;
            let parsed = signature(line).filter(|_| allowed);
            parsed.ok_or(NoteError::Line(number))
        });
        Ok(Self {
            signatures: signatures.collect::<Result<_, _>>()?,
            text: format!("{text}\n"),
        })
    }
}

/// Reads one signature line.
fn signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    let (id, bytes) = (*id, bytes.to_vec());
    let name = Some(name).filter(|name| is_name(name) && !bytes.is_empty())?;
    let name = name.to_owned();
    Some(Signature { name, id, bytes })
}

/// Whether `name` may be the name of a key.
pub(super) fn is_name(name: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && !name.contains(bad)
}

fn id(name: &str, typed: &[u8]) -> [u8; 4] {
    let hash = Digest::of(&[name.as_bytes(), b"\n", typed].concat());
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}
