//! Ed25519 keys: made, kept, named and checked in one place.
//!
//! Signatures are decided by aws-lc-rs, one at a time: batch verification accepts signatures that
//! OpenSSL refuses. Keys are written in the forms that OpenSSL reads: PKCS#8 and SPKI in PEM.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::id::Digest;

/// DER head of an Ed25519 SubjectPublicKeyInfo; the 32 bytes of the key follow (RFC 8410).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
/// DER head of an Ed25519 private key in PKCS#8 version 1; the 32 bytes of the seed follow.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

/// An Ed25519 signature: 64 bytes.
pub type Signature = [u8; 64];

/// A key is not usable, or a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text or the bytes are no Ed25519 key in the form that was asked for.
    #[error("not an Ed25519 key in PEM or DER")]
    Form,
    /// The key is a point of small order, not on the prime-order subgroup, or not in its one
    /// written form. Whoever made it must make another.
    #[error("weak Ed25519 key: small order, torsion or not canonical")]
    Weak,
    /// The signature is not one of this key over these bytes.
    #[error("signature does not hold")]
    Signature,
    /// The key is not the one that belongs to what lies beside it.
    #[error("not the key of the certificate beside it")]
    Other,
    /// The machine gave no random bytes.
    #[error("no random bytes from the machine")]
    Random,
}

/// A private key. It has no text form and no `Debug` that shows it.
pub struct SigningKey {
    seed: [u8; 32],
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// Makes a new key from the random bytes of the machine.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_seed(random()?)
    }

    /// The key of a seed of 32 bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Form`], which no seed is known to give.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, KeyError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_rejected| KeyError::Form)?;
        Ok(Self { seed, pair })
    }

    /// Reads a key written by [`SigningKey::to_pem`] or by `openssl genpkey`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Form`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = from_pem(text, "PRIVATE KEY")?;
        let seed = der.strip_prefix(&PKCS8_HEAD).ok_or(KeyError::Form)?;
        Self::from_seed(seed.try_into().map_err(|_length| KeyError::Form)?)
    }

    /// The key as PKCS#8 in PEM. The file that takes it must be readable by its owner alone.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem("PRIVATE KEY", &[&PKCS8_HEAD[..], &self.seed].concat())
    }

    /// The seed, for signers that keep it themselves.
    pub const fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(self.pair.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey(bytes)
    }

    /// Signs bytes. The same bytes give the same signature.
    ///
    /// Source: RFC 8032 section 5.1.6.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        for (to, from) in signature.iter_mut().zip(self.pair.sign(bytes).as_ref()) {
            *to = *from;
        }
        signature
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

/// A public key: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key of these 32 bytes, not yet checked for strength.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// [`KeyError::Form`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let bytes = der.strip_prefix(&SPKI_HEAD).ok_or(KeyError::Form)?;
        Ok(Self(bytes.try_into().map_err(|_length| KeyError::Form)?))
    }

    /// The SubjectPublicKeyInfo: 44 bytes.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        [&SPKI_HEAD[..], &self.0].concat()
    }

    /// Reads a SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    ///
    /// [`KeyError::Form`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&from_pem(text, "PUBLIC KEY")?)
    }

    /// The SubjectPublicKeyInfo in PEM, as `openssl pkey -pubin` reads it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        to_pem("PUBLIC KEY", &self.to_der())
    }

    /// Name of the key: SHA-256 of its SubjectPublicKeyInfo.
    #[must_use]
    pub fn id(&self) -> Digest {
        Digest::of(&self.to_der())
    }

    /// Refuses keys for which one signature holds for many messages, or that have two forms.
    ///
    /// # Errors
    ///
    /// [`KeyError::Weak`].
    ///
    /// Source: RFC 8032 section 8.6; "Taming the many `EdDSA`s", section 3.
    pub fn check_strength(&self) -> Result<(), KeyError> {
        let compressed = curve25519_dalek::edwards::CompressedEdwardsY(self.0);
        let point = compressed.decompress().ok_or(KeyError::Weak)?;
        let canonical = point.compress() == compressed;
        if canonical && !point.is_small_order() && point.is_torsion_free() {
            Ok(())
        } else {
            Err(KeyError::Weak)
        }
    }

    /// Verifies one signature.
    ///
    /// # Errors
    ///
    /// [`KeyError::Signature`].
    pub fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(bytes, signature)
            .map_err(|_refused| KeyError::Signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// Random bytes of the machine.
///
/// # Errors
///
/// [`KeyError::Random`].
pub fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| KeyError::Random)?;
    Ok(bytes)
}

fn to_pem(label: &str, der: &[u8]) -> String {
    // An Ed25519 key is one line of base64.
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

fn from_pem(text: &str, label: &str) -> Result<Vec<u8>, KeyError> {
    let (head, tail) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let body = text
        .trim()
        .strip_prefix(&head)
        .and_then(|rest| rest.strip_suffix(&tail))
        .ok_or(KeyError::Form)?;
    STANDARD
        .decode(body.trim())
        .map_err(|_not_base64| KeyError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_as_written() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(
            PublicKey::from_pem(&key.public().to_pem()),
            Ok(key.public())
        );
        assert_eq!(key.public().check_strength(), Ok(()));
        for bad in [
            "",
            "x",
            &key.public().to_pem(),
            &key.to_pem().replace("MC4", "MC5"),
        ] {
            assert_eq!(SigningKey::from_pem(bad).unwrap_err(), KeyError::Form);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_signature_is_refused() {
        let key = SigningKey::from_seed([7; 32]).unwrap();
        let signature = key.sign(b"evidence");
        assert_eq!(key.public().verify(b"evidence", &signature), Ok(()));
        assert_eq!(
            key.public().verify(b"Evidence", &signature),
            Err(KeyError::Signature)
        );
        for bit in 0..512 {
            let mut bad = signature;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.public().verify(b"evidence", &bad),
                Err(KeyError::Signature)
            );
        }
    }

    #[test]
    fn weak_keys_are_refused() {
        let mut one = [0; 32];
        one[0] = 1; // The neutral element.
        let mut two_torsion = [0xff; 32];
        two_torsion[0] = 0xec;
        two_torsion[31] = 0x7f; // y = -1, order two.
        let mut not_canonical = [0xff; 32];
        not_canonical[0] = 0xee;
        not_canonical[31] = 0x7f; // y = p + 1, a second form of the neutral element.
        for bad in [[0; 32], one, two_torsion, not_canonical] {
            assert_eq!(
                PublicKey::from_bytes(bad).check_strength(),
                Err(KeyError::Weak)
            );
        }
        // A good key with a component of order two added.
        let good = SigningKey::from_seed([7; 32]).unwrap().public();
        let point = curve25519_dalek::edwards::CompressedEdwardsY(*good.as_bytes());
        let torsion = curve25519_dalek::edwards::CompressedEdwardsY(two_torsion);
        let sum = point.decompress().unwrap() + torsion.decompress().unwrap();
        let mixed = PublicKey::from_bytes(sum.compress().0);
        assert_eq!(mixed.check_strength(), Err(KeyError::Weak));
    }
}
