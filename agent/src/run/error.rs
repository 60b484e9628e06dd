//! Why the agent cannot go on, and what the operator can do.

use crate::attest::AttestError;
use crate::identity::IdentityError;
use crate::spool::SpoolError;

/// The agent cannot go on. The operator must look.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A record cannot be made.
    #[error("record cannot be made")]
    Attest(#[from] AttestError),
    /// Nothing is sent any more in this generation.
    #[error("this generation sends nothing any more: {0}")]
    Ended(&'static str),
}

impl RunError {
    /// What the operator can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Spool(error) => Some(error.hint().to_owned()),
            Self::Identity(error) => error.hint(),
            Self::Attest(_) => None,
            Self::Ended(_) => Some(
                "`evident-agent status` says more; `evident-agent enrol --again` begins a new \
                     generation"
                    .to_owned(),
            ),
        }
    }
}
