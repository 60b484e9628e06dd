//! What a reader of a pack trusts: two values that did not come with it.

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::{Algorithm, KeyError, VerifierKey};
use crate::id::{Digest, IdError};

/// The trusted values are not usable. The reader must get them again.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The line with this number, from 1, has another form.
    #[error("line {0} is none of `ledger <key>` and `decisions <sha256>`")]
    Line(usize),
    /// A value is given twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// A value is not given.
    #[error("`{0}` is not given")]
    Missing(&'static str),
    /// The key of the ledger is malformed.
    #[error("the key of the ledger is malformed")]
    Ledger(#[source] KeyError),
    /// The key is that of a witness, not of a ledger.
    #[error("the key is that of a witness, not of a ledger")]
    Witness,
    /// The digest of the key of decisions is malformed.
    #[error("the digest of the key of decisions is malformed")]
    Decisions(#[source] IdError),
}

/// What is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// Key of the ledger.
    pub ledger: VerifierKey,
    /// SHA-256 of the SubjectPublicKeyInfo of the key of decisions.
    pub decisions: Digest,
}

impl Trust {
    /// Reads the two values.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn new(ledger: &str, decisions: &str) -> Result<Self, TrustError> {
        let ledger: VerifierKey = ledger.parse().map_err(TrustError::Ledger)?;
        if ledger.algorithm() != Algorithm::Ed25519 {
            return Err(TrustError::Witness);
        }
        let decisions = decisions.parse().map_err(TrustError::Decisions)?;
        Ok(Self { ledger, decisions })
    }
}

impl fmt::Display for Trust {
    /// Writes the file that [`Trust::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger {}\ndecisions {}\n", self.ledger, self.decisions)
    }
}

impl FromStr for Trust {
    type Err = TrustError;

    /// Reads the file that the collector made: `ledger <key>` and `decisions <sha256>`. Empty
    /// lines and lines that begin with `#` are passed over.
    fn from_str(text: &str) -> Result<Self, TrustError> {
        let (mut ledger, mut decisions) = (None, None);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (place, name, value) = match line.split_once(' ') {
                Some(("ledger", value)) => (&mut ledger, "ledger", value),
                Some(("decisions", value)) => (&mut decisions, "decisions", value),
                _ => return Err(TrustError::Line(number)),
            };
            if place.replace(value.trim()).is_some() {
                return Err(TrustError::Twice(name));
            }
        }
        Self::new(
            ledger.ok_or(TrustError::Missing("ledger"))?,
            decisions.ok_or(TrustError::Missing("decisions"))?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Signer;

    #[test]
    fn both_values_are_wanted_once() {
        let key = Signer::new("c.example/evident/1", &[7; 32]).unwrap();
        let key = key.verifier_key();
        let digest = Digest::of(b"key");
        let good = format!("# trust\n\nledger {key}\ndecisions {digest}\n");
        let trust: Trust = good.parse().unwrap();
        assert_eq!((&trust.ledger, trust.decisions), (key, digest));
        assert_eq!(trust.to_string().parse::<Trust>().unwrap(), trust);
        let witness = VerifierKey::new("w", Algorithm::Cosignature, *key.key()).unwrap();
        for (bad, part) in [
            (String::new(), "`ledger` is not given"),
            (format!("ledger {key}\n"), "`decisions` is not given"),
            (format!("{good}ledger {key}\n"), "`ledger` is given twice"),
            (format!("{good}more\n"), "line 5 is none of"),
            (good.replace("ledger", "log"), "line 3 is none of"),
            (
                good.replace("c.example", "d.example"),
                "key of the ledger is malformed",
            ),
            (
                format!("ledger {witness}\ndecisions {digest}\n"),
                "of a witness",
            ),
            (
                format!("ledger {key}\ndecisions 00\n"),
                "digest of the key of decisions",
            ),
        ] {
            let error = bad.parse::<Trust>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
