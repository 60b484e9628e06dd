//! Gathers from ledger, register and derived state what was known at an instant.

use std::collections::BTreeMap;

use shared::id::{AgentId, Digest};
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

use super::{Enrolled, Given, List, Own, Population, Told, own, reconcile, told};
use crate::inventory::{self, Listed};
use crate::ledger::{Ledger, LedgerError};
use crate::register::{Record, Register};
use crate::status::{Evidence, Happened, Status, StatusError};

/// The check by whose evidence the observations of the probe `neighbours` are found.
const CHECK: &str = "neighbours.told";

/// The population cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum PopulationError {
    /// The derived state cannot be read. It can be made again by `replay`.
    #[error("the derived state cannot be read")]
    Status(#[from] StatusError),
    /// The ledger cannot be read. `fsck` names what is damaged.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
    /// A list that was brought is not in the ledger, or cannot be understood any more.
    #[error("the list `{0}` cannot be read: bring it again with `population import`")]
    List(String),
}

/// What was read for the question before: most hosts tell the same again.
#[derive(Debug, Default)]
pub struct Memory {
    hosts: BTreeMap<AgentId, Heard>,
    lists: BTreeMap<Digest, Vec<Listed>>,
}

/// What a host told, and where it stands.
#[derive(Clone, Debug)]
struct Heard {
    evidence: Evidence,
    own: Own,
    told: Vec<Told>,
}

/// The population at an instant; `register` is that of the instant.
///
/// # Errors
///
/// [`PopulationError`].
pub fn look(
    memory: &mut Memory,
    (ledger, status, register): (&Ledger, &Status, &Register),
    at: Timestamp,
) -> Result<Population, PopulationError> {
    let mut enrolled = Vec::new();
    let mut all_told = Vec::new();
    let mut heard = BTreeMap::new();
    for known in status.hosts(at)? {
        let host = known.host;
        let Some((since, retired)) = life(status, &host, at)? else {
            continue;
        };
        let mut own = None;
        // What a host told that is gone still shows what it knew, but not who is there now.
        if retired.is_none()
            && let Some(one) = hear(memory, ledger, status, &host, at)?
        {
            own = Some(one.own.clone());
            all_told.extend(one.told.iter().cloned());
            drop(heard.insert(host.clone(), one));
        }
        let silences = status.silences(&host, at, at.plus_ms(1))?;
        let silent = silences
            .into_iter()
            .find(|one| one.probe.is_none() && one.from <= at);
        enrolled.push(Enrolled {
            host,
            since,
            retired,
            silent: silent.map(|one| one.from),
            own,
        });
    }
    memory.hosts = heard;
    let lists = lists(memory, ledger, register)?;
    Ok(reconcile(&Given {
        at,
        enrolled,
        lists,
        told: all_told,
        groups: &register.groups(),
        scope: &register.scope(),
    }))
}

/// Since when a host is enrolled and when it was revoked, as of an instant; `None` when it was not
/// enrolled by then.
fn life(
    status: &Status,
    host: &AgentId,
    at: Timestamp,
) -> Result<Option<(Timestamp, Option<Timestamp>)>, StatusError> {
    let mut life = None;
    for event in status
        .life(host)?
        .into_iter()
        .filter(|event| event.at <= at)
    {
        match (event.what, &mut life) {
            (Happened::Enrolled, _) => life = Some((event.at, None)),
            (Happened::Revoked, Some((_since, retired))) => *retired = Some(event.at),
            (Happened::Revoked | Happened::Forked(_), _) => {}
        }
    }
    Ok(life)
}

/// What a host told last until an instant.
fn hear(
    memory: &mut Memory,
    ledger: &Ledger,
    status: &Status,
    host: &AgentId,
    at: Timestamp,
) -> Result<Option<Heard>, PopulationError> {
    let evidence = status.at(host, CHECK, at)?.and_then(|at| at.evidence);
    let Some(evidence) = evidence.filter(|evidence| evidence.collected <= at) else {
        return Ok(None);
    };
    if let Some(known) = memory.hosts.remove(host)
        && known.evidence == evidence
    {
        return Ok(Some(known));
    }
    let Some(id) = evidence.observation else {
        return Ok(None);
    };
    let bytes = ledger.blob(&id)?;
    let observation = bytes.and_then(|bytes| Observation::from_bytes(&bytes).ok());
    let facts = observation.filter(|seen| seen.outcome == Outcome::Facts);
    Ok(facts.map(|seen| Heard {
        own: own(&seen.facts),
        told: told(&seen.facts, (host, evidence.collected, evidence.record)),
        evidence,
    }))
}

/// The lists in force, in the order of their names.
fn lists(
    memory: &mut Memory,
    ledger: &Ledger,
    register: &Register,
) -> Result<Vec<List>, PopulationError> {
    let mut lists = Vec::new();
    let mut read = BTreeMap::new();
    let records = register.records("inventory").into_iter();
    for record in records.filter(|record| record.state == "current") {
        if let Some(list) = list(memory, ledger, record)? {
            drop(read.insert(list.document, list.hosts.clone()));
            lists.push(list);
        }
    }
    memory.lists = read;
    lists.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(lists)
}

fn list(
    memory: &Memory,
    ledger: &Ledger,
    record: &Record,
) -> Result<Option<List>, PopulationError> {
    let lost = || PopulationError::List(record.id.clone());
    let Some(brought) = record.last("bring") else {
        return Ok(None);
    };
    let document = record.text("document").unwrap_or_default();
    let document: Digest = document.parse().map_err(|_no_digest| lost())?;
    let hosts = if let Some(hosts) = memory.lists.get(&document) {
        hosts.clone()
    } else {
        let bytes = ledger.blob(&document)?.ok_or_else(lost)?;
        inventory::read(&record.id, &bytes).map_err(|_faults| lost())?
    };
    Ok(Some(List {
        name: record.id.clone(),
        document,
        dated: record.instant("dated").unwrap_or(brought.at),
        record: brought.record,
        hosts,
    }))
}
