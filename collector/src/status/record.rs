//! The records of the derived state, and the keys that they stand under.
//!
//! ```text
//! meta                              position, catalogue in force; written at close
//! row/HOST                          what is known of a host now; written at close
//! found/HOST/PROBE/(fixed|timed)    the words of the newest findings, by check
//! past/HOST/CHECK/ time index       a change of verdict
//! when/ time index HOST/CHECK       the same changes in the order of time over all hosts
//! seen/HOST/ day                    which evidence was collected on a day
//! silent/HOST/ time PROBE           a silence that ended
//! ```
//!
//! Times and indices in keys are 8 bytes that sort as the numbers do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::id::{AgentId, Digest};
use shared::observation::Outcome;
use shared::time::Timestamp;

use super::Host;
use super::history::Event;
use crate::catalog::Verdict;

/// Length of a day in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// What the state as a whole rests on.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Number of the next change.
    pub(super) position: u64,
    /// Digest of the catalogue in force.
    pub(super) catalogue: String,
    /// Number of the change that put it in force; `None` for the one that the state began with.
    pub(super) entered: Option<u64>,
    /// When it was put in force.
    pub(super) since_ms: i64,
}

/// What is known of a host now.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RowRecord {
    pub(super) host: Host,
    pub(super) events: Vec<Event>,
    pub(super) probes: BTreeMap<String, Sighting>,
    /// One for each check of the catalogue in force, in the order of their ids.
    pub(super) cells: Vec<Option<Judged>>,
}

/// The newest evidence of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sighting {
    /// When it counts as collected: never before the evidence before it.
    pub(super) at: Timestamp,
    /// The host's time, not after the receipt.
    pub(super) collected: Timestamp,
    /// The collector's time of receipt.
    pub(super) received: Timestamp,
    /// Index of the record.
    pub(super) index: u64,
    /// The record.
    pub(super) record: [u8; 32],
    /// The observation, when the record names one.
    pub(super) observation: Option<[u8; 32]>,
    /// What the record says of it.
    pub(super) outcome: Outcome,
    /// All checks of the catalogue in force were evaluated on this observation.
    pub(super) judged: bool,
    /// Names the words of the findings that were written last, so that they are not written again.
    #[serde(skip)]
    pub(super) words: Option<u64>,
}

impl Sighting {
    /// The earlier of both clocks: one that runs ahead keeps no evidence fresh for longer.
    pub(super) fn seen(&self) -> Timestamp {
        self.collected.min(self.received)
    }
}

/// What a check says of a host now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Judged {
    /// What it said of the newest evidence.
    pub(super) said: Verdict,
    /// What it says in the open span.
    pub(super) verdict: Verdict,
    /// The open span says that evidence was too old.
    pub(super) stale: bool,
    /// There is evidence that counts.
    pub(super) counts: bool,
    /// When the open span began.
    pub(super) from: Timestamp,
}

/// The words of a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Words {
    pub(super) reason: String,
    pub(super) deciding: BTreeMap<String, String>,
}

/// A change of verdict: the span that begins here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    /// What is said from here on; `None` when the check left the catalogue.
    pub(super) verdict: Option<Verdict>,
    pub(super) stale: bool,
    pub(super) words: Words,
    pub(super) record: Option<[u8; 32]>,
}

/// The evidence of a host of one day, in the order of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    /// Names of probes; what follows says their places.
    pub(super) probes: Vec<String>,
    /// Observations, each once.
    pub(super) observations: Vec<[u8; 32]>,
    pub(super) records: Vec<DayRecord>,
}

/// What one record brought on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DayRecord {
    pub(super) index: u64,
    pub(super) record: [u8; 32],
    pub(super) probes: Vec<DayProbe>,
}

/// A probe in it: its place, that of its observation and 1 (0 for none), milliseconds of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DayProbe(pub(super) u16, pub(super) u32, pub(super) u32);

impl Day {
    /// Adds what a record brought of one probe at an instant of this day.
    pub(super) fn add(&mut self, probe: &str, sighting: &Sighting) {
        let place = self.probes.iter().position(|known| known == probe);
        let place = place.unwrap_or_else(|| {
            self.probes.push(probe.to_owned());
            self.probes.len() - 1
        });
        let observation = sighting.observation.map_or(0, |observation| {
            // The newest are at the end, and mostly nothing has changed since.
            let known = self
                .observations
                .iter()
                .rposition(|one| *one == observation);
            let place = known.unwrap_or_else(|| {
                self.observations.push(observation);
                self.observations.len() - 1
            });
            place + 1
        });
        let ms = sighting.at.unix_ms().rem_euclid(DAY_MS);
        let seen = DayProbe(
            u16::try_from(place).unwrap_or(u16::MAX),
            u32::try_from(observation).unwrap_or_default(),
            u32::try_from(ms).unwrap_or_default(),
        );
        match self.records.last_mut() {
            Some(last) if last.index == sighting.index => last.probes.push(seen),
            _ => self.records.push(DayRecord {
                index: sighting.index,
                record: sighting.record,
                probes: vec![seen],
            }),
        }
    }

    /// The newest evidence of a probe that was collected until `ms` of this day.
    pub(super) fn newest(&self, probe: &str, until_ms: i64) -> Option<Found<'_>> {
        let place = self.probes.iter().position(|known| known == probe)?;
        self.records.iter().rev().find_map(|record| {
            let mut probes = record.probes.iter().rev();
            let seen = probes
                .find(|seen| usize::from(seen.0) == place && i64::from(seen.2) <= until_ms)?;
            let observation = usize::try_from(seen.1).ok()?.checked_sub(1);
            Some(Found {
                ms: i64::from(seen.2),
                record,
                observation: observation.and_then(|place| self.observations.get(place)),
            })
        })
    }
}

/// Evidence in a day.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Milliseconds of the day.
    pub(super) ms: i64,
    pub(super) record: &'a DayRecord,
    pub(super) observation: Option<&'a [u8; 32]>,
}

/// A silence that ended, under the time at which it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) to: Timestamp,
    pub(super) heard: Timestamp,
}

/// The number of the day of an instant, and its milliseconds in it.
pub(super) fn day_of(at: Timestamp) -> (i64, i64) {
    let ms = at.unix_ms();
    (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS))
}

/// The instant at `ms` of a day.
pub(super) fn in_day(day: i64, ms: i64) -> Timestamp {
    Timestamp::default().plus_ms(day.saturating_mul(DAY_MS).saturating_add(ms))
}

pub(super) fn digest(bytes: [u8; 32]) -> Digest {
    Digest(bytes)
}

pub(super) const META: &[u8] = b"meta";
pub(super) const ROWS: &str = "row/";

fn key(start: &str, parts: &[&str]) -> Vec<u8> {
    let mut key = start.as_bytes().to_vec();
    for part in parts {
        key.extend_from_slice(part.as_bytes());
        key.push(b'/');
    }
    key
}

/// 8 bytes that sort as the numbers do.
fn sorted(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

pub(super) fn row(host: &AgentId) -> Vec<u8> {
    format!("{ROWS}{host}").into_bytes()
}

pub(super) fn found(host: &AgentId, probe: &str, timed: bool) -> Vec<u8> {
    let part = if timed { "timed" } else { "fixed" };
    key("found/", &[host.as_str(), probe, part])
}

/// From here on stand the changes of a check on a host that begin at `at`.
pub(super) fn past_from(host: &AgentId, check: &str, at: Timestamp) -> Vec<u8> {
    let mut key = key("past/", &[host.as_str(), check]);
    key.extend_from_slice(&sorted(at.unix_ms()));
    key
}

pub(super) fn past(host: &AgentId, check: &str, at: Timestamp, index: u64) -> Vec<u8> {
    let mut key = past_from(host, check, at);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// When a change began, by its key under `past/`.
pub(super) fn past_at(key: &[u8]) -> Option<Timestamp> {
    let (start, _index) = key.split_last_chunk::<8>()?;
    let (_start, at) = start.split_last_chunk::<8>()?;
    instant(*at)
}

fn instant(sorted: [u8; 8]) -> Option<Timestamp> {
    let number = u64::from_be_bytes(sorted) ^ (1 << 63);
    Timestamp::from_unix_ms(number.cast_signed()).ok()
}

pub(super) fn when_from(at: Timestamp) -> Vec<u8> {
    let mut key = key("when/", &[]);
    key.extend_from_slice(&sorted(at.unix_ms()));
    key
}

pub(super) fn when(at: Timestamp, index: u64, host: &AgentId, check: &str) -> Vec<u8> {
    let mut key = when_from(at);
    key.extend_from_slice(&index.to_be_bytes());
    key.extend_from_slice(format!("{host}/{check}").as_bytes());
    key
}

/// The parts of a key under `when/`.
pub(super) fn when_parts(key: &[u8]) -> Option<(Timestamp, u64, AgentId, String)> {
    let (at, rest) = key.strip_prefix(b"when/")?.split_first_chunk::<8>()?;
    let (index, name) = rest.split_first_chunk::<8>()?;
    let (host, check) = std::str::from_utf8(name).ok()?.split_once('/')?;
    let index = u64::from_be_bytes(*index);
    Some((instant(*at)?, index, host.parse().ok()?, check.to_owned()))
}

pub(super) fn seen(host: &AgentId, day: i64) -> Vec<u8> {
    let mut key = key("seen/", &[host.as_str()]);
    key.extend_from_slice(&sorted(day));
    key
}

/// The day of a key under `seen/`.
pub(super) fn seen_day(key: &[u8]) -> Option<i64> {
    let (_start, day) = key.split_last_chunk::<8>()?;
    Some((u64::from_be_bytes(*day) ^ (1 << 63)).cast_signed())
}

pub(super) fn silent_from(host: &AgentId, at: Timestamp) -> Vec<u8> {
    let mut key = key("silent/", &[host.as_str()]);
    key.extend_from_slice(&sorted(at.unix_ms()));
    key
}

pub(super) fn silent(host: &AgentId, at: Timestamp, probe: &str) -> Vec<u8> {
    let mut key = silent_from(host, at);
    key.extend_from_slice(probe.as_bytes());
    key
}

/// When a silence began and of which probe, by its key under `silent/` of this host.
pub(super) fn silent_parts(host: &AgentId, name: &[u8]) -> Option<(Timestamp, String)> {
    let start = key("silent/", &[host.as_str()]);
    let (at, probe) = name
        .strip_prefix(start.as_slice())?
        .split_first_chunk::<8>()?;
    let probe = std::str::from_utf8(probe).ok()?;
    Some((instant(*at)?, probe.to_owned()))
}
