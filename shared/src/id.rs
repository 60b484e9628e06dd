//! Names: SHA-256 digests, the names of agents and those of people.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

use crate::limits;

/// A SHA-256 digest, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// A text names nothing: it is not 64 lower-case hex digits, or no name of an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The operand is not 64 lower-case hex digits. The writer of the text must correct it.
    #[error("`{0}` is no SHA-256: 64 lower-case hex digits are wanted")]
    Digest(String),
    /// The operand is no name of an agent. The operator must choose another.
    #[error(
        "`{0}` is no name of an agent: 1 to 63 of a-z, 0-9, `.` and `-`, beginning and ending with a letter or digit"
    )]
    Agent(String),
    /// The operand is no name of a person. The writer must correct it.
    #[error(
        "`{0}` is no name of a person: 1 to 63 of a-z, 0-9, `.` and `-`, beginning and ending with a letter or digit"
    )]
    Person(String),
}

impl Digest {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Hands out the 64 hex digits. A receipt has thousands of them, so nothing is allocated.
    fn as_hex<T>(&self, take: impl FnOnce(&str) -> T) -> T {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        let mut text = [b'0'; 64];
        let (pairs, _none_is_left) = text.as_chunks_mut::<2>();
        for (pair, byte) in pairs.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        take(str::from_utf8(&text).unwrap_or_default())
    }

    /// The first 12 hex digits: enough for a person to tell two apart.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_hex(|text| f.write_str(text))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of one lower-case hex digit; 16 for any other byte.
const fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => 16,
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refused = || IdError::Digest(text.chars().take(80).collect());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(refused());
        }
        // Digits are random, so a branch for each would be guessed wrong half of the time.
        let (mut bytes, mut seen) = ([0; 32], 0);
        for (to, &[high, low]) in bytes.iter_mut().zip(pairs) {
            let (high, low) = (hex_digit(high), hex_digit(low));
            *to = high << 4 | low;
            seen |= high | low;
        }
        if seen < 16 {
            Ok(Self(bytes))
        } else {
            Err(refused())
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_hex(|text| to.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Hex)
    }
}

/// Reads a digest without a copy of its text.
struct Hex;

impl Visitor<'_> for Hex {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 lower-case hex digits")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
        text.parse().map_err(E::custom)
    }
}

/// Whether a text can be a name: the characters of a host name. It stands in leaf data, in file
/// names and in certificates, so it holds no space, no slash and no upper case.
fn is_name(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= limits::AGENT_ID_BYTES_MAX
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes
            .iter()
            .all(|byte| plain(byte) || matches!(byte, b'.' | b'-'))
}

/// A name of its own type: text that [`is_name`] takes.
macro_rules! name {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// The name of an agent, which is the name of its host.
    AgentId
}
name! {
    /// The short name by which a person decides: chosen when the person is made known.
    PersonId
}

impl FromStr for AgentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Agent(text.chars().take(80).collect()))
        }
    }
}

impl FromStr for PersonId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Person(text.chars().take(80).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_nothing() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(Digest::of(b"")));
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn only_one_written_form_of_a_digest() {
        let good = Digest::of(b"x").to_string();
        let cut: String = good.chars().skip(1).collect();
        for bad in [
            good.to_uppercase(),
            cut,
            format!("{good}0"),
            good.replace('0', "g"),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_agents() {
        for good in ["a", "web-1", "db.example.org", "0"] {
            assert!(good.parse::<AgentId>().is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "", "Web", "-a", "a-", ".a", "a b", "a/b", "a\n", "\u{e4}", &long,
        ] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad}");
        }
    }
}
