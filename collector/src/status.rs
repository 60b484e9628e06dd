//! Derived state: what each check says of each host, now and at every instant before.
//!
//! Everything here follows from the ledger and the catalogues that were in force, and can be
//! dropped and made again by applying the same changes in the same order: the [`Status::export`]
//! is then byte for byte the same, however the changes were cut into batches and on how many
//! processors. So it is never trusted more than that: after an unclean stop, after any damage and
//! after a change of catalogue or program it starts empty at position 0, and the caller applies all
//! changes again.
//!
//! What is known of a host now is in memory: one row with a cell for each check, so a question
//! about the fleet reads no disk. On disk, written as it grows, is what is long: the words of the
//! findings, every change of verdict, and which evidence was collected on which day. The rows
//! follow when the state is closed; nothing is lost by that, for a state that was not closed is
//! made again anyway.
//!
//! No clock is read: that evidence is too old, or a host silent, is worked out for the instant that
//! is asked about, and written down only when the next evidence ends it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};
use shared::id::{AgentId, Digest};
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

use crate::catalog::Catalog;
use crate::evaluate::{self, Finding};

mod change;
mod history;
mod controls;
mod store;
mod record;
mod plan;
mod row;
mod judging;
mod spread;
mod table;
mod query;
mod instant;
mod timeline;

pub use change::{Change, Place, ProbeOutcome, Sight};
pub use controls::{CheckStatus, ControlState, ControlStatus, HostFinding, controls};
pub use history::{At, Cell, Changed, Changes, Cursor, Event, Evidence, Happened, Silence, Span};
pub(crate) use spread::spread;
pub use store::{Rebuild, StatusError};

use store::Store;
use table::Table;

/// The derived state. One owner, one writer.
#[derive(Debug)]
pub struct Status {
    store: Store,
    table: RwLock<Table>,
    /// The catalogue that the state began with.
    base: Digest,
}

/// A finding and the evidence it stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// What the check says.
    pub finding: Finding,
    /// The host's time of the run.
    pub collected: Timestamp,
    /// The collector's time of receipt.
    pub received: Timestamp,
    /// Since when the check says this, without a gap in the evidence.
    pub since: Timestamp,
    /// The attestation; `None` when no collector received it.
    pub attestation: Option<Digest>,
    /// The observation, when there is one.
    pub observation: Option<Digest>,
    /// It was too old already when another catalogue came into force.
    pub stale: bool,
}

/// An enrolled host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Generation in force.
    pub generation: u64,
    /// When it was enrolled under this generation.
    pub enrolled: Timestamp,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
    /// The longest time between two records, in seconds; after it the host is silent.
    pub heartbeat_s: u64,
    /// When the last record came, of whatever kind; before the first, when it was enrolled.
    pub heard: Timestamp,
    /// Number of the next record of this generation.
    pub next_seq: u64,
    /// Number of the record that came where another one stands or was due. The key or the state of
    /// the host has a copy somewhere, so nothing more of this generation counts.
    pub forked: Option<u64>,
    /// The last run that counts.
    pub last: Option<LastRun>,
}

/// The last run of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The host's time of it.
    pub collected: Timestamp,
    /// The collector's time of receipt.
    pub received: Timestamp,
    /// The attestation.
    pub attestation: Digest,
    /// What came of each probe that was due.
    pub probes: BTreeMap<String, Outcome>,
}

/// A host and the number of its checks by verdict, as of a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    /// The host.
    pub host: AgentId,
    /// Its enrolment and its last run.
    #[serde(flatten)]
    pub enrolment: Host,
    /// What happened that a person must see to, and how; `None` for most.
    pub warning: Option<String>,
    /// Checks that pass.
    pub passing: usize,
    /// Checks that fail.
    pub failing: usize,
    /// Checks of which nothing can be told; stale and missing ones are among them.
    pub unknown: usize,
    /// Checks that do not concern the host.
    pub not_applicable: usize,
    /// Checks whose evidence is too old.
    pub stale: usize,
}

/// What is known of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Number of the record at which its stream forked: then every finding counts as unknown.
    pub forked: Option<u64>,
    /// The latest finding of each check.
    pub latest: BTreeMap<String, Latest>,
}

impl Status {
    /// Opens the state in `folder`, or makes it; `catalog` judges until a change puts another in
    /// force.
    ///
    /// When what is there cannot be trusted, it is moved aside, the state begins empty, and the
    /// [`Rebuild`] says why, to be logged; the caller then applies all changes from position 0.
    ///
    /// # Errors
    ///
    /// [`StatusError`] when no fresh state can be made either: the operator must act.
    pub fn open(
        folder: &Path,
        catalog: Arc<Catalog>,
    ) -> Result<(Self, Option<Rebuild>), StatusError> {
        Self::open_with(folder, catalog, |_position| None)
    }

    /// As [`Status::open`], where a change may have put another catalogue in force: `entered`
    /// brings the one of the change with that number. Without it the state begins empty.
    ///
    /// # Errors
    ///
    /// As [`Status::open`].
    pub fn open_with(
        folder: &Path,
        catalog: Arc<Catalog>,
        entered: impl FnOnce(u64) -> Option<Arc<Catalog>>,
    ) -> Result<(Self, Option<Rebuild>), StatusError> {
        let base = catalog.digest();
        let (mut store, mut rebuild) = Store::open(folder, base)?;
        let table = match Table::read(&store, &catalog, entered) {
            Ok(table) => table,
            Err(reason) => {
                let (empty, why) = store.emptied(reason)?;
                (store, rebuild) = (empty, Some(why));
                Table::new(catalog)
            }
        };
        let table = RwLock::new(table);
        Ok((Self { store, table, base }, rebuild))
    }

    /// Makes the next [`Status::open`] of `folder` begin empty, as a replay wants it.
    ///
    /// # Errors
    ///
    /// [`StatusError::InUse`] while a collector has it open: the operator must stop it.
    pub fn forget(folder: &Path) -> Result<(), StatusError> {
        Store::forget(folder)
    }

    /// The number of changes that were applied, which is the number of the next one.
    ///
    /// # Errors
    ///
    /// [`StatusError::Broken`]: open again.
    pub fn position(&self) -> Result<u64, StatusError> {
        let table = self.table();
        table.whole()?;
        Ok(table.position)
    }

    /// Applies change number `position`.
    ///
    /// # Errors
    ///
    /// [`StatusError::Position`] when it is not the next one: the caller skipped or repeated.
    pub fn apply(&self, position: u64, change: &Change) -> Result<(), StatusError> {
        self.apply_all(position, std::slice::from_ref(change), |_id| Ok(None))
    }

    /// Applies the changes from number `first` on, on all processors.
    ///
    /// `load` brings an observation that a change names and does not carry; `None` when it is not
    /// there or not readable. It is not asked for one that cannot change what is known.
    ///
    /// # Errors
    ///
    /// [`StatusError::Position`] when `first` is not the next one, and nothing was changed. After
    /// any other error the state is broken: it must be opened again, and is then made anew.
    pub fn apply_all<E: From<StatusError> + Send>(
        &self,
        first: u64,
        changes: &[Change],
        load: impl Fn(&Digest) -> Result<Option<Observation>, E> + Sync,
    ) -> Result<(), E> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.apply(&self.store, first, changes, &load)
    }

    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole derived state as canonical bytes: equal changes give equal bytes.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn export(&self) -> Result<Vec<u8>, StatusError> {
        self.table().write(&self.store)?;
        self.store.export()
    }

    /// Names the whole derived state, as [`Status::export`] would, in little memory.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn digest(&self) -> Result<Digest, StatusError> {
        self.table().write(&self.store)?;
        self.store.digest()
    }

    /// Closes cleanly: only a state that was closed by this is taken up again at the next open.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: then the next open rebuilds.
    pub fn close(self) -> Result<(), StatusError> {
        self.table().write(&self.store)?;
        self.store.close(self.base)
    }
}

/// The findings of observations that no collector received, as if one host had just sent them.
#[must_use]
pub fn judge(
    catalog: &Catalog,
    observations: &[(Digest, Observation)],
    collected: Timestamp,
) -> Findings {
    let findings = observations.iter().flat_map(|(id, observation)| {
        let found = evaluate::evaluate(catalog, observation, collected);
        found.into_iter().map(move |finding| (*id, finding))
    });
    let latest = findings.map(|(id, finding)| {
        let latest = Latest {
            collected,
            received: collected,
            since: collected,
            attestation: None,
            observation: Some(id),
            stale: false,
            finding,
        };
        (latest.finding.check.clone(), latest)
    });
    Findings {
        forked: None,
        latest: latest.collect(),
    }
}

#[cfg(test)]
mod tests;
