//! The one-time token: a secret for the collector, and the digest by which to know it.

use std::fmt;
use std::io::{self, Read as _};
use std::str::FromStr;

use shared::id::Digest;

const VERSION: &str = "evd1_";
/// 32 bytes in base64url without padding.
const SECRET_CHARS: usize = 43;

/// Longest text that is read for a token.
const TEXT_BYTES_MAX: u64 = 1024;

/// A token as the operator gave it: `evd1_<secret>_<SHA-256 of the authority's certificate>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    authority: Digest,
}

/// A text is no token. The operator must copy it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token: `evd1_`, 43 characters, `_`, 64 hex digits")]
pub struct TokenError;

impl Token {
    /// Reads a token from a file or a pipe, so that it stands in no command line for others to see.
    ///
    /// # Errors
    ///
    /// What the machine said; of the kind `InvalidData` for a text that is no token.
    pub fn read(from: impl io::Read) -> io::Result<Self> {
        let mut text = String::new();
        let _length = from.take(TEXT_BYTES_MAX).read_to_string(&mut text)?;
        let invalid = |error: TokenError| io::Error::new(io::ErrorKind::InvalidData, error);
        text.parse().map_err(invalid)
    }

    /// The secret, for the collector alone.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What stands for the token in signed records: SHA-256 of the secret's text.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }

    /// SHA-256 of the certificate of the collector's authority, in DER.
    pub const fn authority(&self) -> Digest {
        self.authority
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.trim().strip_prefix(VERSION).ok_or(TokenError)?;
        let (secret, rest) = rest.split_at_checked(SECRET_CHARS).ok_or(TokenError)?;
        let authority = rest.strip_prefix('_').ok_or(TokenError)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !secret.bytes().all(plain) {
            return Err(TokenError);
        }
        Ok(Self {
            secret: secret.to_owned(),
            authority: authority.parse().map_err(|_not_hex| TokenError)?,
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(authority {})", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_a_pipe() {
        let text = format!("evd1_{}_{}", "s".repeat(43), "0".repeat(64));
        let token = Token::read(format!("{text}\n").as_bytes()).unwrap();
        assert_eq!(token, text.parse().unwrap());
        let endless = io::Read::chain(text.as_bytes(), io::repeat(b' '));
        assert_eq!(Token::read(endless).unwrap(), token);
        for bad in [&b""[..], b"\n", b"\xff", &[b'x'; 4096]] {
            let error = Token::read(bad).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn tokens() {
        // A secret may hold the sign that parts it from the digest.
        let secret = "_-Aa0".repeat(8) + "___";
        let authority = Digest::of(b"authority");
        let text = format!("evd1_{secret}_{authority}");
        let token: Token = format!(" {text}\n").parse().unwrap();
        assert_eq!(
            (token.secret(), token.authority()),
            (secret.as_str(), authority)
        );
        assert_eq!(token.hash(), Digest::of(secret.as_bytes()));
        assert!(!format!("{token:?}").contains(&secret));
        for bad in [
            String::new(),
            text.replace("evd1", "evd2"),
            text.replacen('0', "", 1),
            text.replacen("_-", "_+", 1),
            text.replacen("Aa", "\u{e4}", 1),
            format!("{text}0"),
            format!("evd1_{secret}-{authority}"),
            format!("evd1_{secret}_{}", authority.to_string().to_uppercase()),
        ] {
            assert_eq!(bad.parse::<Token>(), Err(TokenError), "{bad}");
        }
    }
}
