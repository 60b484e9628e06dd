//! The delivery canary: one signed log line that nobody can guess, and that proves its own way.
//!
//! ```text
//! evident-canary/v1 <agent> <generation> <milliseconds since 1970> <signature>
//! ```
//!
//! The signature is Ed25519 with the evidence key of the agent over the text before it, in base64
//! without padding and with `-` and `_`. Whoever shows the line has received it, or can break the
//! key; whoever knows the enrolled key can tell both. A log daemon may put any text around it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::id::AgentId;
use crate::key::{KeyError, PublicKey, Signature, SigningKey};
use crate::limits;
use crate::time::Timestamp;

/// The first word of every canary.
pub const HEAD: &str = "evident-canary/v1";
/// Characters of a signature.
const SIGNATURE_CHARS: usize = 86;
/// Digits of the largest number.
const NUMBER_CHARS_MAX: usize = 20;
/// Longest canary: five words and the spaces between them.
pub const CANARY_BYTES_MAX: usize =
    HEAD.len() + limits::AGENT_ID_BYTES_MAX + 2 * NUMBER_CHARS_MAX + SIGNATURE_CHARS + 4;

/// A canary, as it stands in a line; nobody has verified it yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Canary {
    /// The agent that says it has sent it.
    pub agent: AgentId,
    /// The generation of its key.
    pub generation: u64,
    /// When it was sent, by the clock of its host.
    pub sent: Timestamp,
    signature: Signature,
}

/// A text is no canary. Whoever wrote it, it proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a canary of version 1")]
pub struct CanaryError;

impl Canary {
    /// Makes the canary of this moment.
    #[must_use]
    pub fn new(agent: AgentId, generation: u64, sent: Timestamp, key: &SigningKey) -> Self {
        let signature = key.sign(signed(&agent, generation, sent).as_bytes());
        Self {
            agent,
            generation,
            sent,
            signature,
        }
    }

    /// Finds the first canary in a line, whatever stands around it.
    #[must_use]
    pub fn find(line: &str) -> Option<Self> {
        Self::all(line).next()
    }

    /// Finds every canary in a line, in their order: whoever can write into a line of another must
    /// not hide what follows. There is one at most for each [`HEAD`] in the line.
    pub fn all(line: &str) -> impl Iterator<Item = Self> {
        line.match_indices(HEAD).filter_map(|(begin, _head)| {
            let rest = line.get(begin..)?;
            // No canary is longer, and a line may have thousands of heads.
            let near = rest.get(..rest.floor_char_boundary(CANARY_BYTES_MAX))?;
            let words: Vec<&str> = near.split(' ').take(5).collect();
            // The first word may be longer than the head, and is then of another version.
            let [HEAD, agent, generation, sent, signature] = words.as_slice() else {
                return None;
            };
            let signature = signature.get(..SIGNATURE_CHARS).unwrap_or(signature);
            let text = format!("{HEAD} {agent} {generation} {sent} {signature}");
            text.parse().ok()
        })
    }

    /// Verifies it with the key of its agent and generation.
    ///
    /// # Errors
    ///
    /// [`KeyError::Signature`]: somebody else made it.
    pub fn verify(&self, key: &PublicKey) -> Result<(), KeyError> {
        let signed = signed(&self.agent, self.generation, self.sent);
        key.verify(signed.as_bytes(), &self.signature)
    }
}

/// What is signed: all that stands before the signature.
fn signed(agent: &AgentId, generation: u64, sent: Timestamp) -> String {
    format!("{HEAD} {agent} {generation} {}", sent.unix_ms())
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signed = signed(&self.agent, self.generation, self.sent);
        write!(f, "{signed} {}", URL_SAFE_NO_PAD.encode(self.signature))
    }
}

impl FromStr for Canary {
    type Err = CanaryError;

    fn from_str(text: &str) -> Result<Self, CanaryError> {
        if CANARY_BYTES_MAX < text.len() {
            return Err(CanaryError);
        }
        let words: Vec<&str> = text.split(' ').collect();
        let [HEAD, agent, generation, sent, signature] = words.as_slice() else {
            return Err(CanaryError);
        };
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_form| CanaryError)?;
        let sent = sent.parse().map_err(|_form| CanaryError)?;
        let canary = Self {
            agent: agent.parse().map_err(|_form| CanaryError)?,
            generation: generation.parse().map_err(|_form| CanaryError)?,
            sent: Timestamp::from_unix_ms(sent).map_err(|_range| CanaryError)?,
            signature: signature.try_into().map_err(|_length| CanaryError)?,
        };
        // One canary has one text.
        if canary.to_string() == text {
            Ok(canary)
        } else {
            Err(CanaryError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Canary, SigningKey) {
        let key = SigningKey::from_seed([7; 32]).unwrap();
        let sent = Timestamp::from_unix_ms(1_767_323_045_678).unwrap();
        let agent = "web-1".parse().unwrap();
        (Canary::new(agent, 3, sent, &key), key)
    }

    #[test]
    fn it_is_found_in_any_line() {
        let (canary, key) = sample();
        for line in [
            canary.to_string(),
            format!("<14>1 2026-01-02T03:04:05Z web-1 evident - - - {canary}"),
            format!("Jan  2 03:04:05 web-1 evident: {canary}\n"),
            format!("{{\"MESSAGE\":\"{canary}\"}}"),
            format!("evident-canary/v1 no such one {canary}"),
        ] {
            let found = Canary::find(&line).unwrap();
            assert_eq!(found, canary, "{line}");
            assert!(found.verify(&key.public()).is_ok());
        }
    }

    #[test]
    fn every_one_of_a_line_is_found() {
        let (first, key) = sample();
        let sent = first.sent.plus_ms(1);
        let second = Canary::new("web-2".parse().unwrap(), 1, sent, &key);
        for line in [
            format!("{first} {second}"),
            format!("<14>{first}{second}"),
            format!("{HEAD} {HEAD} {first}, {HEAD} web-1 3 {HEAD} {second} {HEAD}"),
        ] {
            let found: Vec<Canary> = Canary::all(&line).collect();
            assert_eq!(found, [first.clone(), second.clone()], "{line}");
        }
        assert_eq!(Canary::all(HEAD).count(), 0);
    }

    #[test]
    fn what_is_changed_is_no_canary_or_does_not_hold() {
        let (canary, key) = sample();
        let text = canary.to_string();
        assert!(text.len() <= CANARY_BYTES_MAX);
        for (from, to) in [("web-1", "web-2"), (" 3 ", " 4 "), ("678 ", "679 ")] {
            let other = Canary::find(&text.replacen(from, to, 1)).unwrap();
            assert_eq!(other.verify(&key.public()), Err(KeyError::Signature));
        }
        for (from, to) in [("/v1", "/v2"), (" 3 ", " 03 "), ("web-1", "Web-1")] {
            assert_eq!(Canary::find(&text.replacen(from, to, 1)), None, "{to}");
        }
        for end in 0..text.len() {
            let cut = text.get(..end).unwrap();
            assert_eq!(Canary::find(cut), None);
        }
        let other = SigningKey::from_seed([8; 32]).unwrap().public();
        assert_eq!(canary.verify(&other), Err(KeyError::Signature));
    }
}
