//! What one entry of the ledger changes in the derived state.

use std::sync::Arc;

use shared::id::{AgentId, Digest};
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

use crate::catalog::Catalog;

/// What one entry of the ledger changes here.
#[derive(Clone, Debug)]
pub enum Change {
    /// A host may submit from now on, under this generation.
    Enrolled {
        /// The host.
        host: AgentId,
        /// Its generation; it rises at every enrolment.
        generation: u64,
        /// When.
        at: Timestamp,
        /// The longest time between two records, in seconds.
        heartbeat_s: u64,
    },
    /// A host may submit no more; it is no longer expected.
    Revoked {
        /// The host.
        host: AgentId,
        /// The generation that ends.
        generation: u64,
        /// When.
        at: Timestamp,
    },
    /// A record of a host that says nothing about findings: it started, lives, stopped.
    Record(Place),
    /// A host collected evidence.
    Run {
        /// Where the record stands.
        place: Place,
        /// Id of the attestation.
        attestation: Digest,
        /// The host's time of the run.
        collected: Timestamp,
        /// Every probe that was due.
        outcomes: Vec<ProbeOutcome>,
    },
    /// The collector itself observed something of a host.
    Observed(Sight),
    /// A catalogue is in force from this entry on.
    Catalogue {
        /// The catalogue.
        catalog: Arc<Catalog>,
        /// When it was entered.
        at: Timestamp,
    },
    /// An entry that says nothing about findings: it only moves the position.
    Nothing,
}

impl Change {
    /// The host that it concerns; `None` when all or none.
    pub(super) const fn host(&self) -> Option<&AgentId> {
        match self {
            Self::Enrolled { host, .. } | Self::Revoked { host, .. } => Some(host),
            Self::Record(place) | Self::Run { place, .. } => Some(&place.host),
            Self::Observed(sight) => Some(&sight.host),
            Self::Catalogue { .. } | Self::Nothing => None,
        }
    }
}

/// Place of a record in the stream of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host.
    pub host: AgentId,
    /// Its generation.
    pub generation: u64,
    /// Number of the record.
    pub seq: u64,
    /// The collector's time of receipt.
    pub received: Timestamp,
}

/// What came of one probe that was due.
#[derive(Clone, Debug)]
pub struct ProbeOutcome {
    /// Name of the probe.
    pub probe: String,
    /// What the attestation says of it.
    pub outcome: Outcome,
    /// Name of the observation, when the attestation names one.
    pub observation_id: Option<Digest>,
    /// The observation, when it is at hand: else it is loaded by its name where it is needed.
    pub observation: Option<Observation>,
}

/// What the collector itself observed of a host.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The host.
    pub host: AgentId,
    /// The generation under which it submitted what this rests on.
    pub generation: u64,
    /// Id of the record.
    pub record: Digest,
    /// The collector's time of the observation.
    pub collected: Timestamp,
    /// When the record was entered.
    pub received: Timestamp,
    /// What came of it.
    pub outcome: ProbeOutcome,
}
