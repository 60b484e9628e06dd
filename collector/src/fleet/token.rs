//! One-time tokens for enrolment, kept as hashes until they are spent or have ended.
//!
//! The file is small and replaced whole under a lock, so that the running collector and the
//! command line can both change it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::durable;
use shared::id::{AgentId, Digest};
use shared::key::{self, KeyError};
use shared::time::Timestamp;

const FILE: &str = "tokens.json";
const LOCK: &str = "tokens.lock";
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most tokens at once.
const TOKENS_MAX: usize = 4096;

/// A token, as its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    sha256: Digest,
    host: Option<AgentId>,
    until: Timestamp,
    /// Who made it: the account of the machine. Tokens of older programs do not say.
    #[serde(default)]
    by: Option<String>,
}

impl Token {
    /// Who made it, and so decided that the host may submit; `None` when it does not say.
    #[must_use]
    pub fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }

    /// The hash, which stands in the ledger.
    #[must_use]
    pub const fn sha256(&self) -> Digest {
        self.sha256
    }

    fn admits(&self, host: &AgentId) -> Result<(), TokenError> {
        match &self.host {
            Some(wanted) if wanted != host => Err(TokenError::OtherHost {
                wanted: wanted.clone(),
                given: host.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// A token cannot be made or is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file of the tokens cannot be used. The operator must repair it.
    #[error("`{path}` cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No random bytes.
    #[error("no token can be made")]
    Random(#[source] KeyError),
    /// Too many tokens wait to be spent.
    #[error("{TOKENS_MAX} tokens wait to be spent already")]
    Full,
    /// Nobody made this token, or it was spent, or it has ended.
    #[error("the token is unknown, spent or has ended")]
    Unknown,
    /// The token was made for any host, and this one was enrolled before. It is not spent.
    #[error("`{0}` was enrolled before, and the token names no host")]
    Unbound(AgentId),
    /// The token was made for another host. It is not spent.
    #[error("the token was made for host `{wanted}`, not for `{given}`")]
    OtherHost {
        /// The host that it was made for.
        wanted: AgentId,
        /// The host that showed it.
        given: AgentId,
    },
}

/// Makes a token for `host`, or for any host, until `until`, in the name of `by`; returns its text.
///
/// # Errors
///
/// [`TokenError`].
pub fn make(
    dir: &Path,
    (host, by): (Option<AgentId>, &str),
    now: Timestamp,
    until: Timestamp,
) -> Result<String, TokenError> {
    let secret: [u8; 32] = key::random().map_err(TokenError::Random)?;
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let sha256 = hash(&secret);
    change(dir, now, |tokens| {
        if TOKENS_MAX <= tokens.len() {
            return Err(TokenError::Full);
        }
        tokens.push(Token {
            sha256,
            host,
            until,
            by: Some(by.to_owned()),
        });
        Ok(())
    })?;
    Ok(secret)
}

/// Checks that a token can be spent for `host`; `bound` tells that it must name that host.
///
/// # Errors
///
/// [`TokenError::Unknown`], [`TokenError::OtherHost`] or [`TokenError::Unbound`].
pub fn check(
    dir: &Path,
    secret: &str,
    host: &AgentId,
    bound: bool,
    now: Timestamp,
) -> Result<(), TokenError> {
    let sha256 = hash(secret);
    change(dir, now, |tokens| {
        let token = tokens
            .iter()
            .find(|token| token.sha256 == sha256)
            .ok_or(TokenError::Unknown)?;
        if bound && token.host.is_none() {
            return Err(TokenError::Unbound(host.clone()));
        }
        token.admits(host)
    })
}

/// Spends a token for `host`: afterwards nobody can use it again.
///
/// # Errors
///
/// [`TokenError::Unknown`] or [`TokenError::OtherHost`]; then nothing is spent.
pub fn spend(
    dir: &Path,
    secret: &str,
    host: &AgentId,
    now: Timestamp,
) -> Result<Token, TokenError> {
    let sha256 = hash(secret);
    change(dir, now, |tokens| {
        let place = tokens.iter().position(|token| token.sha256 == sha256);
        let token = place
            .and_then(|at| tokens.get(at))
            .ok_or(TokenError::Unknown)?
            .clone();
        token.admits(host)?;
        tokens.retain(|token| token.sha256 != sha256);
        Ok(token)
    })
}

/// Makes a token usable again whose enrolment was not entered.
///
/// # Errors
///
/// [`TokenError::File`].
pub fn give_back(dir: &Path, token: Token, now: Timestamp) -> Result<(), TokenError> {
    change(dir, now, |tokens| {
        tokens.push(token);
        Ok(())
    })
}

/// What is kept of a token, and what stands in the ledger.
#[must_use]
pub fn hash(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

fn change<T>(
    dir: &Path,
    now: Timestamp,
    edit: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let path = dir.join(FILE);
    let failed = |source| TokenError::File {
        path: path.clone(),
        source,
    };
    let lock = File::create(dir.join(LOCK)).map_err(failed)?;
    // Dropped with the file at the end of this function.
    lock.lock().map_err(failed)?;
    let mut tokens: Vec<Token> = match durable::read(&path, FILE_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    tokens.retain(|token| now < token.until);
    let before = tokens.len();
    let edited = edit(&mut tokens)?;
    if tokens.len() == before {
        return Ok(edited);
    }
    let bytes = serde_json::to_vec(&tokens).map_err(|error| failed(error.into()))?;
    durable::write(&path, &bytes, 0o600).map_err(failed)?;
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms).unwrap()
    }

    #[test]
    fn a_token_is_spent_once_by_its_host_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (web, db): (AgentId, AgentId) = ("web".parse().unwrap(), "db".parse().unwrap());
        let token = make(dir.path(), (Some(web.clone()), "uid 0"), at(0), at(100)).unwrap();
        let other = spend(dir.path(), &token, &db, at(1));
        assert!(matches!(other, Err(TokenError::OtherHost { .. })));
        let late = spend(dir.path(), &token, &web, at(100));
        assert!(matches!(late, Err(TokenError::Unknown)));
        let token = make(dir.path(), (Some(web.clone()), "uid 0"), at(0), at(100)).unwrap();
        let spent = spend(dir.path(), &token, &web, at(1)).unwrap();
        assert_eq!((spent.sha256(), spent.by()), (hash(&token), Some("uid 0")));
        let again = spend(dir.path(), &token, &web, at(2));
        assert!(matches!(again, Err(TokenError::Unknown)));
    }

    #[test]
    fn a_token_that_names_no_host_does_not_begin_a_known_one_again() {
        let dir = tempfile::tempdir().unwrap();
        let web: AgentId = "web".parse().unwrap();
        let token = make(dir.path(), (None, "uid 0"), at(0), at(100)).unwrap();
        assert!(check(dir.path(), &token, &web, false, at(1)).is_ok());
        let known = check(dir.path(), &token, &web, true, at(1));
        assert!(matches!(known, Err(TokenError::Unbound(_))));
        let bound = make(dir.path(), (Some(web.clone()), "uid 0"), at(0), at(100)).unwrap();
        assert!(check(dir.path(), &bound, &web, true, at(1)).is_ok());
        let spent = spend(dir.path(), &bound, &web, at(1)).unwrap();
        give_back(dir.path(), spent, at(1)).unwrap();
        assert!(check(dir.path(), &bound, &web, true, at(1)).is_ok());
    }

    #[test]
    fn the_file_holds_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let token = make(dir.path(), (None, "uid 0"), at(0), at(100)).unwrap();
        let text = durable::read_text(&dir.path().join(FILE), FILE_BYTES_MAX).unwrap();
        assert!(!text.contains(&token));
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        let unknown = spend(dir.path(), &token, &"db".parse().unwrap(), at(1));
        assert!(matches!(unknown, Err(TokenError::Unknown)));
    }
}
