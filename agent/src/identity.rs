//! The host's keys and certificate: made here, never leave, renewed before they end.
//!
//! ```text
//! <state dir>/                  0700, of the agent's user alone
//!   identity.json               which generation is in force, and what its enrolment said
//!   g<generation>-<record>/     one folder for each generation, never changed by a later one
//!     evidence.key.pem          signs records; 0600 like everything here
//!     tls.key.pem  certificate.pem  authority.pem
//!     enrolment.json            the enrolment record, signed with the decisions key
//!     spool/
//!     probes/               what probes keep between two looks
//! ```
//!
//! `identity.json` is written last, so an enrolment that is cut off leaves no half identity. There
//! is no function that takes a key in from elsewhere or hands one out.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::checkpoint::VerifierKey;
use shared::durable;
use shared::id::{AgentId, Digest};
use shared::key::SigningKey;
use shared::time::Timestamp;
use shared::wire::{self, RenewAnswer, RenewRequest};

use crate::connection::{Connection, ConnectionError, Credentials, plain};
use crate::probe::Own;

pub use enrol::{EnrolError, Enrolling, enrol};
pub use token::{Token, TokenError};

mod certificate;
pub(crate) mod enrol;
mod token;

const IDENTITY: &str = "identity.json";
const EVIDENCE_KEY: &str = "evidence.key.pem";
const TLS_KEY: &str = "tls.key.pem";
const CERTIFICATE: &str = "certificate.pem";
const AUTHORITY: &str = "authority.pem";
const RECORD: &str = "enrolment.json";
const SPOOL: &str = "spool";
const PROBES: &str = "probes";
/// Longest file of an identity.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What an enrolment said, as `identity.json` keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrolled {
    agent: AgentId,
    generation: u64,
    /// Address of the collector.
    url: String,
    /// Key of the ledger, in the form of a C2SP verifier key.
    ledger_key: String,
    /// Id of the enrolment record.
    record: Digest,
    /// The longest time between two records, in seconds.
    heartbeat_s: u64,
    since: Timestamp,
}

/// The identity of an enrolled host.
#[derive(Debug)]
pub struct Identity {
    folder: PathBuf,
    enrolled: Enrolled,
    ledger_key: VerifierKey,
    key: Arc<SigningKey>,
    tls_key_pem: String,
    certificate_pem: String,
    authority_pem: String,
    life: certificate::Life,
}

/// The identity of the host cannot be used. The operator must look.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot {operation} {path}")]
    Machine {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} is {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Others may read the folder of the keys.
    #[error("{path} has mode {mode:o}: others than its owner may enter")]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The folder of the keys belongs to another user, who can read and replace them.
    #[error("{path} belongs to user {owner}, but evident-agent runs as user {user}")]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Its numeric owner.
        owner: u32,
        /// The numeric user of this process.
        user: u32,
    },
    /// The collector sent a certificate that is not ours.
    #[error("the renewed certificate is {0}")]
    Renewed(String),
    /// The collector could not be asked.
    #[error("the certificate cannot be renewed")]
    Connection(#[from] ConnectionError),
}

impl IdentityError {
    fn machine(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Machine {
            operation,
            path,
            source,
        }
    }

    /// The soonest time to try again that the collector named, in milliseconds from now.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<i64> {
        if let Self::Connection(error) = self {
            error.retry_after_ms()
        } else {
            None
        }
    }

    /// What the operator can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the state of the agent belongs to root: run this as root".to_owned())
            }
            Self::Machine { .. } | Self::Renewed(_) => None,
            Self::Content { .. } => {
                Some("`evident-agent enrol --again` makes a new identity".to_owned())
            }
            Self::Open { path, .. } => Some(format!("chmod 0700 {}", path.display())),
            Self::Owner { path, user, .. } => {
                let path = path.display();
                Some(format!("run it as that user, or chown -R {user} {path}"))
            }
            Self::Connection(error) => error.hint(),
        }
    }
}

impl Identity {
    /// Reads the identity in force; `None` when this host is not enrolled.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn load(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = dir.join(IDENTITY);
        let enrolled = match durable::read(&path, FILE_BYTES_MAX) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(IdentityError::machine("read", &path)(error)),
        };
        check_closed(dir)?;
        let content = |path: &Path, what: String| IdentityError::Content {
            path: path.to_owned(),
            what,
        };
        let enrolled: Enrolled =
            serde_json::from_slice(&enrolled).map_err(|error| content(&path, error.to_string()))?;
        let ledger_key = (enrolled.ledger_key.parse::<VerifierKey>())
            .map_err(|error| content(&path, error.to_string()))?;
        let folder = dir.join(folder_name(enrolled.generation, &enrolled.record));
        let read = |name: &str| {
            let path = folder.join(name);
            durable::read_text(&path, FILE_BYTES_MAX).map_err(IdentityError::machine("read", &path))
        };
        let key = SigningKey::from_pem(&read(EVIDENCE_KEY)?)
            .map_err(|error| content(&folder.join(EVIDENCE_KEY), error.to_string()))?;
        let certificate_pem = read(CERTIFICATE)?;
        let life = certificate::life(&certificate_pem)
            .map_err(|what| content(&folder.join(CERTIFICATE), what))?;
        Ok(Some(Self {
            enrolled,
            ledger_key,
            key: Arc::new(key),
            tls_key_pem: read(TLS_KEY)?,
            certificate_pem,
            authority_pem: read(AUTHORITY)?,
            life,
            folder,
        }))
    }

    /// Name of the agent.
    pub const fn agent(&self) -> &AgentId {
        &self.enrolled.agent
    }

    /// Which enrolment of this agent it is, from 1.
    pub const fn generation(&self) -> u64 {
        self.enrolled.generation
    }

    /// Id of the enrolment record.
    pub const fn record(&self) -> Digest {
        self.enrolled.record
    }

    /// Address of the collector at enrolment.
    pub fn url(&self) -> &str {
        &self.enrolled.url
    }

    /// The longest time between two records that the collector takes for life, in milliseconds.
    pub fn silence_ms_max(&self) -> i64 {
        i64::try_from(self.enrolled.heartbeat_s)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000)
    }

    /// Key of the ledger.
    pub const fn ledger_key(&self) -> &VerifierKey {
        &self.ledger_key
    }

    /// The key that signs records.
    pub fn evidence_key(&self) -> &SigningKey {
        &self.key
    }

    /// The agent as its probes know it.
    pub fn own(&self) -> Arc<Own> {
        Arc::new(Own {
            agent: self.agent().clone(),
            generation: self.generation(),
            key: Arc::clone(&self.key),
            folder: self.folder.join(PROBES),
        })
    }

    /// Folder of the spool of this generation.
    pub fn spool_folder(&self) -> PathBuf {
        self.folder.join(SPOOL)
    }

    /// Folder of this generation.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// When the certificate ends.
    pub const fn certificate_end(&self) -> Timestamp {
        self.life.end
    }

    /// Whether two thirds of the life of the certificate have passed.
    pub const fn renewal_due(&self, now: Timestamp) -> bool {
        self.life.renewal_due(now)
    }

    /// Opens the way to the collector at `url`.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Credentials`].
    pub fn connect(&self, url: &str) -> Result<Connection, ConnectionError> {
        let with = Credentials {
            certificate_pem: &self.certificate_pem,
            key_pem: &self.tls_key_pem,
            authority_pem: &self.authority_pem,
        };
        Connection::mutual(url, with)
    }

    /// Gets a new certificate for the same TLS key and keeps it; the old one stands until then.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub async fn renew(&mut self, connection: &Connection) -> Result<(), IdentityError> {
        let request_pem = certificate::request(&self.tls_key_pem, self.agent())
            .map_err(IdentityError::Renewed)?;
        let request = RenewRequest { request_pem };
        let answer: RenewAnswer = connection.ask(wire::RENEW, &request).await?;
        let life = certificate::check(
            &answer.certificate_pem,
            &self.tls_key_pem,
            self.agent(),
            self.generation(),
        )
        .map_err(|what| IdentityError::Renewed(plain(&what)))?;
        let path = self.folder.join(CERTIFICATE);
        durable::write(&path, answer.certificate_pem.as_bytes(), 0o600)
            .map_err(IdentityError::machine("write", &path))?;
        self.certificate_pem = answer.certificate_pem;
        self.life = life;
        Ok(())
    }
}

fn folder_name(generation: u64, record: &Digest) -> String {
    format!("g{generation}-{}", record.short())
}

/// Makes the folder of the state, for its owner alone.
fn create_closed(dir: &Path) -> Result<(), IdentityError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(IdentityError::machine("create", dir))?;
    check_closed(dir)
}

fn check_closed(dir: &Path) -> Result<(), IdentityError> {
    let stat = std::fs::metadata(dir).map_err(IdentityError::machine("look at", dir))?;
    let user = rustix::process::geteuid().as_raw();
    closed(dir, stat.mode() & 0o7777, stat.uid(), user)
}

/// Whether a folder of this mode and owner is closed to all but `user`.
fn closed(dir: &Path, mode: u32, owner: u32, user: u32) -> Result<(), IdentityError> {
    let path = dir.to_owned();
    // Nothing for the group, nothing for others.
    if mode.trailing_zeros() < 6 {
        Err(IdentityError::Open { path, mode })
    } else if owner != user {
        Err(IdentityError::Owner { path, owner, user })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
