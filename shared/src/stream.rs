//! Streams: what the records of an agent must look like in the ledger, and what is wrong with them.
//!
//! A stream is one generation of one agent: the records 0, 1, 2 .. that one evidence key signed,
//! each naming the one before. These rules are pure; who calls them has verified the signatures.
//!
//! ```text
//! unknown-generation   records, but no enrolment; nothing else is judged
//! missing a..b         numbers that are not there, up to the highest that is
//! fork n               number n stands on records with different ids
//! repeated n           number n stands twice in the ledger with one id
//! broken-link n        `prev` names none of the records n - 1 that are there; of record 0, it is
//!                      not the id of the enrolment
//! seen-went-back n     record n had seen a smaller ledger than the record that it names
//! clock-step n         since the record that it names, in one boot, the wall clock and the running
//!                      time went apart by more than 2 s and a thousandth of the time between
//!                      (clocks are slewed by less), or the running time went back
//! silent a..b          longer than the heartbeat between two records, by the wall clock
//! silent-tail a..b     longer than the heartbeat from the last record to the end
//! ```
//!
//! Silence is measured in ledger order against the latest wall time so far, so neither a second
//! branch nor a clock that steps back makes or hides one; wall times outside the enrolment do not
//! count. It does not use the time of receipt: what came late was not silent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::attestation::{Attestation, Kind};
use crate::id::{AgentId, Digest};
use crate::time::Timestamp;

/// Apart from this, wall clock and running time may drift by a thousandth.
const STEP_MS: u64 = 2000;

/// One generation of one agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream {
    /// The agent.
    pub agent: AgentId,
    /// Its generation, from 1.
    pub generation: u64,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-g{}", self.agent, self.generation)
    }
}

/// What the rules need of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Place in the ledger.
    pub index: u64,
    /// When the collector received it. No rule uses it: it tells late from lost.
    pub received: Timestamp,
    /// Id of the record.
    pub id: Digest,
    /// Number in the stream.
    pub seq: u64,
    /// Id of the record before, or of the enrolment.
    pub prev: Digest,
    /// What kind of record it is.
    pub kind: Kind,
    /// SHA-256 of the id of the boot.
    pub boot: Digest,
    /// Milliseconds since boot.
    pub mono_ms: u64,
    /// The wall clock of the host.
    pub wall: Timestamp,
    /// Size of the ledger that the agent had seen.
    pub seen: u64,
}

impl Record {
    /// The record of an attestation at place `index` of the ledger.
    #[must_use]
    pub fn of(attestation: &Attestation, index: u64, received: Timestamp) -> Self {
        let evidence = attestation.evidence();
        Self {
            index,
            received,
            id: attestation.id(),
            seq: evidence.stream.seq,
            prev: evidence.stream.prev,
            kind: evidence.kind,
            boot: Digest::of(evidence.boot.id.as_bytes()),
            mono_ms: evidence.boot.mono_ms,
            wall: evidence.time.wall,
            seen: evidence.seen.size,
        }
    }
}

/// When a stream may have records, and how often it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Id of the enrolment record.
    pub id: Digest,
    /// The first number that is looked at: 0, or that of a record that is known to be the last
    /// before the time that is looked at.
    pub first: u64,
    /// Begin of the enrolment or of the time that is looked at.
    pub from: Timestamp,
    /// End of the enrolment; `None` while it lasts.
    pub until: Option<Timestamp>,
    /// The longest time between two records, in milliseconds.
    pub heartbeat_ms: i64,
}

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// There is no enrolment.
    UnknownGeneration,
    /// These numbers are not there.
    Missing(u64, u64),
    /// Records with different ids have this number.
    Fork(u64),
    /// One record stands twice in the ledger.
    Repeated(u64),
    /// The record does not name the one before.
    BrokenLink(u64),
    /// The record had seen less of the ledger than the one before.
    SeenWentBack(u64),
    /// The wall clock jumped before this record.
    ClockStep(u64),
    /// No record between these times.
    Silent(Timestamp, Timestamp),
    /// No record since the first time; the second is the end.
    SilentTail(Timestamp, Timestamp),
}

impl Fault {
    /// The name of the finding.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownGeneration => "unknown-generation",
            Self::Missing(..) => "missing",
            Self::Fork(_) => "fork",
            Self::Repeated(_) => "repeated",
            Self::BrokenLink(_) => "broken-link",
            Self::SeenWentBack(_) => "seen-went-back",
            Self::ClockStep(_) => "clock-step",
            Self::Silent(..) => "silent",
            Self::SilentTail(..) => "silent-tail",
        }
    }

    /// Whether it contradicts what streams promise. The rest are things that happen on a good
    /// host, and that a reader must know: silence and clock steps.
    #[must_use]
    pub const fn contradicts(self) -> bool {
        !matches!(
            self,
            Self::ClockStep(_) | Self::Silent(..) | Self::SilentTail(..)
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::UnknownGeneration => write!(f, "{name}"),
            Self::Missing(first, last) => write!(f, "{name} {first}..{last}"),
            Self::Fork(seq)
            | Self::Repeated(seq)
            | Self::BrokenLink(seq)
            | Self::SeenWentBack(seq)
            | Self::ClockStep(seq) => write!(f, "{name} {seq}"),
            Self::Silent(from, to) | Self::SilentTail(from, to) => write!(f, "{name} {from}..{to}"),
        }
    }
}

/// Judges one stream: its records in ledger order, its enrolment, and the end of what is looked at.
///
/// The faults come in the order of [`Fault`], and inside one kind in that of their places.
#[must_use]
pub fn judge(
    records: &[Record],
    enrolment: Option<&Enrolment>,
    until: Timestamp,
) -> BTreeSet<Fault> {
    let mut faults = BTreeSet::new();
    let Some(enrolment) = enrolment else {
        if !records.is_empty() {
            faults.insert(Fault::UnknownGeneration);
        }
        return faults;
    };
    let mut by_seq: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_seq.entry(record.seq).or_default().push(record);
    }
    let mut next = enrolment.first;
    for (&seq, same) in &by_seq {
        if next < seq {
            faults.insert(Fault::Missing(next, seq - 1));
        }
        next = next.max(seq.saturating_add(1));
        let ids: BTreeSet<Digest> = same.iter().map(|record| record.id).collect();
        if 1 < ids.len() {
            faults.insert(Fault::Fork(seq));
        }
        if ids.len() < same.len() {
            faults.insert(Fault::Repeated(seq));
        }
    }
    for record in records {
        let before = record.seq.checked_sub(1).map(|seq| by_seq.get(&seq));
        match before {
            None if record.prev != enrolment.id => {
                faults.insert(Fault::BrokenLink(record.seq));
            }
            Some(Some(before)) => match before.iter().find(|before| before.id == record.prev) {
                Some(before) => compare(before, record, &mut faults),
                None => {
                    faults.insert(Fault::BrokenLink(record.seq));
                }
            },
            None | Some(None) => {}
        }
    }
    silences(records, enrolment, until, &mut faults);
    faults
}

/// Compares a record with the one that it names.
fn compare(before: &Record, record: &Record, faults: &mut BTreeSet<Fault>) {
    if record.seen < before.seen {
        faults.insert(Fault::SeenWentBack(record.seq));
    }
    if record.boot != before.boot {
        return;
    }
    let wall = i128::from(record.wall.ms_since(before.wall));
    let mono = i128::from(record.mono_ms) - i128::from(before.mono_ms);
    let slack = i128::from(STEP_MS) + mono / 1000;
    if mono < 0 || slack < (wall - mono).abs() {
        faults.insert(Fault::ClockStep(record.seq));
    }
}

fn silences(
    records: &[Record],
    enrolment: &Enrolment,
    until: Timestamp,
    faults: &mut BTreeSet<Fault>,
) {
    let end = enrolment.until.map_or(until, |ended| ended.min(until));
    // A record from before the time that is looked at is where the silence begins.
    let first = records
        .first()
        .filter(|record| 0 < enrolment.first && record.seq == enrolment.first);
    let mut latest = first.map_or(enrolment.from, |first| first.wall);
    for record in records {
        if record.wall < latest || end < record.wall {
            continue;
        }
        if enrolment.heartbeat_ms < record.wall.ms_since(latest) {
            faults.insert(Fault::Silent(latest, record.wall));
        }
        latest = record.wall;
    }
    if enrolment.heartbeat_ms < end.ms_since(latest) {
        faults.insert(Fault::SilentTail(latest, end));
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Scenario {
        name: String,
        records: Vec<Recorded>,
        enrolments: Vec<Enrolled>,
        period: i64,
        until: i64,
        want: Vec<(String, u64, String, serde_json::Value)>,
    }

    #[derive(Deserialize)]
    struct Recorded {
        agent: String,
        r#gen: u64,
        seq: u64,
        prev: String,
        boot: String,
        wall: i64,
        mono: u64,
        seen: u64,
        idx: u64,
        recv: i64,
        kind: Kind,
        hash: String,
    }

    #[derive(Deserialize)]
    struct Enrolled {
        agent: String,
        r#gen: u64,
        hash: String,
        from: i64,
        to: Option<i64>,
    }

    /// The model counts seconds.
    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000).unwrap()
    }

    /// The model has names such as `E1` where the product has digests.
    fn digest(text: &str) -> Digest {
        text.parse().unwrap_or_else(|_| Digest::of(text.as_bytes()))
    }

    fn stream(agent: &str, generation: u64) -> Stream {
        Stream {
            agent: agent.parse().unwrap(),
            generation,
        }
    }

    fn scenarios() -> Vec<Scenario> {
        let text = include_str!("../../tests/vectors/chain/scenarios.json");
        serde_json::from_str(text).unwrap()
    }

    /// The streams of a scenario, with their records in ledger order.
    fn streams(scenario: &Scenario) -> BTreeMap<Stream, (Vec<Record>, Option<Enrolment>)> {
        let mut streams: BTreeMap<Stream, (Vec<Record>, Option<Enrolment>)> = BTreeMap::new();
        for from in &scenario.records {
            let record = Record {
                index: from.idx,
                received: at(from.recv),
                id: digest(&from.hash),
                seq: from.seq,
                prev: digest(&from.prev),
                kind: from.kind,
                boot: digest(&from.boot),
                mono_ms: from.mono * 1000,
                wall: at(from.wall),
                seen: from.seen,
            };
            let (records, _) = streams.entry(stream(&from.agent, from.r#gen)).or_default();
            records.push(record);
            records.sort_by_key(|record| record.index);
        }
        for from in &scenario.enrolments {
            let enrolment = Enrolment {
                id: digest(&from.hash),
                first: 0,
                from: at(from.from),
                until: from.to.map(at),
                heartbeat_ms: scenario.period * 1000,
            };
            streams
                .entry(stream(&from.agent, from.r#gen))
                .or_default()
                .1 = Some(enrolment);
        }
        streams
    }

    fn place(fault: Fault) -> serde_json::Value {
        let seconds = |at: Timestamp| at.unix_ms() / 1000;
        match fault {
            Fault::UnknownGeneration => serde_json::Value::Null,
            Fault::Missing(first, last) => format!("{first}..{last}").into(),
            Fault::Silent(from, to) | Fault::SilentTail(from, to) => {
                format!("{}..{}", seconds(from), seconds(to)).into()
            }
            Fault::Fork(seq)
            | Fault::Repeated(seq)
            | Fault::BrokenLink(seq)
            | Fault::SeenWentBack(seq)
            | Fault::ClockStep(seq) => seq.into(),
        }
    }

    #[test]
    fn every_recorded_history_gives_exactly_its_findings() {
        let scenarios = scenarios();
        assert_eq!(scenarios.len(), 10);
        for scenario in scenarios {
            let mut found = Vec::new();
            for (stream, (records, enrolment)) in streams(&scenario) {
                for fault in judge(&records, enrolment.as_ref(), at(scenario.until)) {
                    let (agent, name) = (stream.agent.to_string(), fault.name().to_owned());
                    found.push((agent, stream.generation, name, place(fault)));
                }
            }
            let sorted = |mut list: Vec<(String, u64, String, serde_json::Value)>| {
                list.sort_by_key(|entry| format!("{entry:?}"));
                list
            };
            assert_eq!(sorted(found), sorted(scenario.want), "{}", scenario.name);
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<Record>, &mut Enrolment), wanted: &[&str]) {
        let normal = streams(&scenarios()[0]).remove(&stream("a1", 1)).unwrap();
        let (mut records, mut enrolment) = (normal.0, normal.1.unwrap());
        change(&mut records, &mut enrolment);
        let faults = judge(&records, Some(&enrolment), at(1560));
        let names: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(names, wanted);
    }

    #[test]
    fn rules_at_their_edges() {
        check(|_, _| {}, &[]);
        check(
            |records, _| records[0].prev = digest("E2"),
            &["broken-link 0"],
        );
        check(
            |records, _| records.truncate(0),
            &["silent-tail 1970-01-01T00:16:40.000Z..1970-01-01T00:26:00.000Z"],
        );
        let cut_front = |records: &mut Vec<Record>| drop(records.drain(..3));
        check(
            |records, _| cut_front(records),
            &[
                "missing 0..2",
                "silent 1970-01-01T00:16:40.000Z..1970-01-01T00:19:40.000Z",
            ],
        );
        // The record before the time that is looked at is known, and where silence begins.
        check(
            |records, enrolment| {
                cut_front(records);
                enrolment.first = 3;
            },
            &[],
        );
        check(
            |records, enrolment| {
                cut_front(records);
                enrolment.first = 2;
                enrolment.from = at(1180);
            },
            &["missing 2..2"],
        );
        check(
            |records, _| records.push(records[9].clone()),
            &["repeated 9"],
        );
        check(
            |records, _| records[4].mono_ms -= 61_000,
            &["clock-step 4", "clock-step 5"],
        );
        // 2 s and 60 ms are slewed, one more millisecond is a step.
        check(
            |records, _| records[9].wall = records[9].wall.plus_ms(-2060),
            &[],
        );
        check(
            |records, _| records[9].wall = records[9].wall.plus_ms(-2061),
            &["clock-step 9"],
        );
        check(|records, _| records[9].boot = digest("b2"), &[]);
        check(|_, enrolment| enrolment.heartbeat_ms = 60_000, &[]);
        check(
            |records, enrolment| {
                records.truncate(2);
                enrolment.until = Some(at(1100));
            },
            &[],
        );
    }

    #[test]
    fn a_clock_ahead_of_the_end_hides_no_silence() {
        check(
            |records, _| {
                records.drain(4..9);
                records[4].seq = 4;
                records[4].prev = records[3].id;
                records[4].mono_ms = 200_000;
                records[4].wall = at(90_000);
            },
            &[
                "clock-step 4",
                "silent-tail 1970-01-01T00:19:40.000Z..1970-01-01T00:26:00.000Z",
            ],
        );
    }
}
