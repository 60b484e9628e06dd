//! DSSE version 1 around an in-toto statement: the one signed form in the product.
//!
//! [`Envelope::from_file`] takes exactly the form that [`seal`] writes, so that a file has one id.
//! Other forms that DSSE allows are refused everywhere, by the verifier of packs too.
//!
//! Source: DSSE protocol v1.0.2, envelope v1.0.0; in-toto attestation framework v1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::id::Digest;
use crate::key::{KeyError, PublicKey, Signature, SigningKey};
use crate::limits;

/// Media type of every payload.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

const HEAD: &[u8] = b"{\"payload\":\"";
const MIDDLE: &[u8] =
    b"\",\"payloadType\":\"application/vnd.in-toto+json\",\"signatures\":[{\"keyid\":\"";
const BEFORE_SIGNATURE: &[u8] = b"\",\"sig\":\"";
const TAIL: &[u8] = b"\"}]}";
/// Length of a key id in hex, and of a signature in base64.
const KEY_ID_CHARS: usize = 64;
const SIGNATURE_CHARS: usize = 88;

/// Bytes are no envelope of the form that is asked for. The sender is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than [`limits::ENVELOPE_BYTES_MAX`].
    #[error("{0} bytes are more than an envelope may have")]
    Size(usize),
    /// Not the exact form: member order, white space, padding or number of signatures differ.
    #[error("not the one written form of a DSSE envelope with one Ed25519 signature")]
    Form,
}

/// An envelope with one signature, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The bytes that were signed, inside the PAE.
    pub body: Vec<u8>,
    /// Whose key it claims to be: it chooses no key, but must be that of the key it holds under.
    pub key_id: Option<Digest>,
    /// The signature over the PAE of the body.
    pub signature: Signature,
}

/// The bytes that are signed for `body`: the pre-authentication encoding.
#[must_use]
pub fn pae(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Signs `body` and writes the file.
#[must_use]
pub fn seal(key: &SigningKey, body: &[u8]) -> Vec<u8> {
    encode(body, &key.public().id(), &key.sign(&pae(body)))
}

fn encode(body: &[u8], key_id: &Digest, signature: &Signature) -> Vec<u8> {
    let (payload, key_id) = (STANDARD.encode(body), key_id.to_string());
    let signature = STANDARD.encode(signature);
    let (payload, key_id, signature) =
        (payload.as_bytes(), key_id.as_bytes(), signature.as_bytes());
    [
        HEAD,
        payload,
        MIDDLE,
        key_id,
        BEFORE_SIGNATURE,
        signature,
        TAIL,
    ]
    .concat()
}

impl Envelope {
    /// Reads the exact form: what decodes here encodes again to the same bytes.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Size`] or [`EnvelopeError::Form`].
    pub fn from_file(file: &[u8]) -> Result<Self, EnvelopeError> {
        Self::from_file_within(file, limits::ENVELOPE_BYTES_MAX)
    }

    /// Reads the exact form of a file of at most `bytes_max` bytes: manifests are longer than
    /// attestations.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError::Size`] or [`EnvelopeError::Form`].
    pub fn from_file_within(file: &[u8], bytes_max: usize) -> Result<Self, EnvelopeError> {
        if file.len() > bytes_max {
            return Err(EnvelopeError::Size(file.len()));
        }
        Self::exact(file).ok_or(EnvelopeError::Form)
    }

    fn exact(file: &[u8]) -> Option<Self> {
        // Everything but the payload has a fixed length, so it is taken from both ends.
        let rest = file.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
        let (rest, signature) = rest.split_at_checked(rest.len().checked_sub(SIGNATURE_CHARS)?)?;
        let rest = rest.strip_suffix(BEFORE_SIGNATURE)?;
        let (rest, key_id) = rest.split_at_checked(rest.len().checked_sub(KEY_ID_CHARS)?)?;
        let payload = rest.strip_suffix(MIDDLE)?;
        // `STANDARD` wants canonical padding and zero trailing bits, so each text is the one form.
        Some(Self {
            body: STANDARD.decode(payload).ok()?,
            key_id: Some(std::str::from_utf8(key_id).ok()?.parse().ok()?),
            signature: STANDARD.decode(signature).ok()?.try_into().ok()?,
        })
    }

    /// Verifies the signature with a key that the caller trusts for this purpose.
    ///
    /// The key id must be that of the key. It chooses nothing, but were it free, one signed body
    /// would have many files and so many ids.
    ///
    /// # Errors
    ///
    /// [`KeyError::Signature`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), KeyError> {
        if self.key_id != Some(key.id()) {
            return Err(KeyError::Signature);
        }
        key.verify(&pae(&self.body), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        seal(&SigningKey::from_seed([7; 32]).unwrap(), b"{\"a\":1}")
    }

    #[test]
    fn what_is_sealed_opens() {
        let key = SigningKey::from_seed([7; 32]).unwrap().public();
        let envelope = Envelope::from_file(&sample()).unwrap();
        assert_eq!(envelope.body, b"{\"a\":1}");
        assert_eq!(envelope.key_id, Some(key.id()));
        assert_eq!(envelope.verify(&key), Ok(()));
        let other = SigningKey::from_seed([8; 32]).unwrap().public();
        assert_eq!(envelope.verify(&other), Err(KeyError::Signature));
    }

    #[test]
    fn a_changed_byte_is_refused_or_does_not_verify() {
        let key = SigningKey::from_seed([7; 32]).unwrap().public();
        let good = sample();
        for at in 0..good.len() {
            for change in [1, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= change;
                let Ok(envelope) = Envelope::from_file(&bad) else {
                    continue;
                };
                // What is read is read one way only.
                let again = encode(
                    &envelope.body,
                    &envelope.key_id.unwrap(),
                    &envelope.signature,
                );
                assert_eq!(again, bad);
                assert!(envelope.verify(&key).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let good = String::from_utf8(sample()).unwrap();
        let refused = |other: &str| {
            let read = Envelope::from_file(other.as_bytes());
            assert_eq!(read, Err(EnvelopeError::Form), "{other}");
        };
        for (from, to) in [
            ("\",\"payloadType", "\", \"payloadType"),
            ("}]}", "}]}\n"),
            ("{\"payload", " {\"payload"),
            ("in-toto+json", "other+json"),
            ("signatures", "s"),
            ("}]}", "},{}]}"),
            ("==\"}", "\"}"),
            ("\"sig\"", "\"sIg\""),
        ] {
            let other = good.replacen(from, to, 1);
            assert_ne!(other, good);
            refused(&other);
        }
        for bad in ["", "{}", "{\"payload\":\"\"}"] {
            refused(bad);
        }
        let long = vec![b'a'; limits::ENVELOPE_BYTES_MAX + 1];
        assert_eq!(
            Envelope::from_file(&long),
            Err(EnvelopeError::Size(long.len()))
        );
    }
}
