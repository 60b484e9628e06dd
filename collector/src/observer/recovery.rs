//! What came back from backups, against what the collector knew before.
//!
//! A host places a file of random bytes in the data that is backed up, and says its SHA-256; later
//! it restores that file from the backup, and says the SHA-256 of what came back. The restore has
//! *matched* when the same host has placed that content in the same set in an earlier entry of the
//! ledger, which the collector received before the restore was made. So nobody can declare
//! afterwards that what came back is what was meant.
//!
//! - A content that was never placed, or only in the same record or a later one, is *mismatched*.
//!   A restore is held to the entry that told of it first, however often it is told again.
//! - When the collector received the placing only after the restore, as the host was not connected,
//!   the restore is *unproven*; and so it is when the clock of the host is too uncertain to tell.
//! - What a host placed under an older generation counts: it is the same host, and its backups are
//!   not made anew because it was enrolled again.
//! - Times are those of the host. A restore is not dated later than its record came; ages that are
//!   negative or beyond the history of the collector are left out, and it is said.
//!
//! A host that wants to deceive can hash its own file and call that a restore. That it did not is
//! not shown here; what is shown is that no other content was taken for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::fact::{Record, Value};
use shared::id::{AgentId, Digest};
use shared::observation::{Means, Observation, Outcome, Source, Status};
use shared::observed;
use shared::time::Timestamp;

use super::offset::Offsets;
use super::{HISTORY_MS, Run, Sight, field};

/// What says nothing new is entered this often.
const ENTER_MS: i64 = 6 * 3600 * 1000;
/// Most placed files of one host that are remembered.
const PLACED_MAX: usize = 8192;
/// Most observations of one host that wait to be entered.
const UNSAID_MAX: usize = 16;
/// A clock that was never measured is believed when a record came this soon after it was made.
const SOON_MS: i64 = 5 * 60 * 1000;
/// Longest restore that is believed.
const DURATION_MS_MAX: i64 = 30 * 24 * 3600 * 1000;

/// The files and restores of all hosts.
#[derive(Debug, Default)]
pub(super) struct Recoveries(BTreeMap<AgentId, Host>);

#[derive(Debug, Default)]
struct Host {
    /// What was placed, by set and SHA-256, in the order of the ledger.
    placed: BTreeMap<(String, String), Placed>,
    /// The last restore of each set, as it was first told.
    restores: BTreeMap<String, Restore>,
    /// The last thing that was said, and when.
    said: Option<(Timestamp, Observation)>,
    unsaid: VecDeque<(Digest, u64, Observation)>,
}

/// A file that was placed.
#[derive(Clone, Copy, Debug)]
struct Placed {
    /// The first entry that says so.
    index: u64,
    received: Timestamp,
    /// When, by the clock of the host.
    at: Option<Timestamp>,
}

/// A restore, as the host told of it first.
#[derive(Clone, Debug)]
struct Restore {
    told: Record,
    index: u64,
    /// When the record came, and how far the clock of the host was ahead then.
    received: Timestamp,
    clock: Option<(i64, i64)>,
}

/// What is found out about one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Result {
    Untested,
    Failed,
    Mismatched,
    Unproven,
    Matched,
}

impl Recoveries {
    /// Takes a run: judges what was restored, and remembers what was placed.
    pub(super) fn run(&mut self, run: &Run<'_>, seen: &Observation, clocks: &Offsets) {
        let evidence = run.attestation.evidence();
        let agent = &evidence.stream.agent;
        let host = self.0.entry(agent.clone()).or_default();
        let apart = run.received.ms_since(evidence.time.wall).saturating_abs();
        let believed = (apart <= SOON_MS).then_some((0, SOON_MS));
        let clock = clocks.of(agent, run.received).or(believed);
        host.restored(run, seen, clock);
        let said = host.judge(seen);
        host.place(run, seen);
        let last = host.unsaid.back().map(|(_record, _generation, last)| last);
        let again = match (last, &host.said) {
            (Some(last), _) => *last == said,
            (None, Some((at, last))) => *last == said && run.received.ms_since(*at) < ENTER_MS,
            (None, None) => false,
        };
        if !again {
            let record = run.attestation.id();
            let generation = evidence.stream.generation;
            host.unsaid.push_back((record, generation, said));
            if UNSAID_MAX < host.unsaid.len() {
                let _oldest = host.unsaid.pop_front();
            }
        }
    }

    /// Takes what was entered of a host: nothing of it is entered again.
    pub(super) fn entered(&mut self, sight: &observed::Sight, observation: Observation) {
        let host = self.0.entry(sight.observed.agent.clone()).or_default();
        let of = |record: &Digest| sight.basis.contains(record);
        if let Some(last) = host.unsaid.iter().rposition(|(record, ..)| of(record)) {
            drop(host.unsaid.drain(..=last));
        }
        host.said = Some((sight.observed.at, observation));
    }

    /// What is to be entered.
    pub(super) fn settle(&mut self) -> Vec<Sight> {
        let mut sights = Vec::new();
        for (agent, host) in &mut self.0 {
            for (record, generation, observation) in host.unsaid.drain(..) {
                sights.push(Sight {
                    agent: agent.clone(),
                    generation,
                    observation,
                    basis: vec![record],
                });
            }
        }
        sights
    }
}

impl Host {
    /// Remembers the last restore of each set.
    fn restored(&mut self, run: &Run<'_>, seen: &Observation, clock: Option<(i64, i64)>) {
        let told = field::list(&seen.facts, "restored").unwrap_or_default();
        let mut sets = BTreeSet::new();
        for record in told {
            let Some(set) = field::text(record, "set") else {
                continue;
            };
            let _new = sets.insert(set);
            // One that could not begin says nothing of the backup: the one before it stands.
            let known = self.restores.get(set);
            if known.is_none_or(|known| tried(record) && !known.is(record)) {
                let restore = Restore {
                    told: record.clone(),
                    index: run.index,
                    received: run.received,
                    clock,
                };
                let _before = self.restores.insert(set.to_owned(), restore);
            }
        }
        if seen.outcome == Outcome::Facts {
            self.restores.retain(|set, _| sets.contains(set.as_str()));
        }
    }

    /// Remembers what was placed; what an earlier entry says of the same content stands.
    fn place(&mut self, run: &Run<'_>, seen: &Observation) {
        let placed = field::list(&seen.facts, "placed").unwrap_or_default();
        for record in placed {
            let (Some(set), Some(sha256)) =
                (field::text(record, "set"), field::text(record, "sha256"))
            else {
                continue;
            };
            let key = (set.to_owned(), sha256.to_owned());
            let _first = self.placed.entry(key).or_insert(Placed {
                index: run.index,
                received: run.received,
                at: field::instant(record, "at"),
            });
        }
        if PLACED_MAX < self.placed.len() {
            let oldest = self.placed.values().map(|placed| placed.index).min();
            self.placed
                .retain(|_key, placed| Some(placed.index) != oldest);
        }
    }

    /// What follows from what was seen.
    fn judge(&self, seen: &Observation) -> Observation {
        if seen.outcome != Outcome::Facts {
            return observation(seen.outcome, &seen.reason, Record::new());
        }
        let placed = field::list(&seen.facts, "placed").unwrap_or_default();
        let mut sets: BTreeSet<&str> = placed
            .iter()
            .filter_map(|record| field::text(record, "set"))
            .collect();
        sets.extend(self.restores.keys().map(String::as_str));
        let declared = field::number(&seen.facts, "declared_count").unwrap_or(0);
        let declared = usize::try_from(declared).unwrap_or(0);
        if declared == 0 && sets.is_empty() {
            let reason = "no backup set of the host is to be tested by a restore";
            return observation(Outcome::Absent, reason, Record::new());
        }
        let found: Vec<(Result, Record)> = sets.iter().map(|set| self.set(set)).collect();
        let of = |wanted| found.iter().filter(move |(result, _)| *result == wanted);
        let number = |wanted| Some(field::count(of(wanted).count()));
        let count = declared.max(sets.len());
        let unseen = count.saturating_sub(sets.len());
        let untested = of(Result::Untested).count().saturating_add(unseen);
        let all = of(Result::Matched).count() == count;
        let each = |name: &str| -> Option<Vec<i64>> {
            of(Result::Matched)
                .map(|(_, record)| field::number(record, name))
                .collect()
        };
        let most = |name| each(name)?.into_iter().max().map(Value::Number);
        let restores = of(Result::Matched).filter_map(|(_, set)| field::instant(set, "restored"));
        let oldest = restores.min().filter(|_oldest| all);
        let facts = field::known([
            ("failed_count", number(Result::Failed)),
            ("matched_count", number(Result::Matched)),
            ("mismatched_count", number(Result::Mismatched)),
            ("oldest_data_ms", most("data_age_ms")),
            ("oldest_restore", oldest.map(Value::Instant)),
            ("set_count", Some(field::count(count))),
            ("slowest_ms", most("duration_ms")),
            ("unproven_count", number(Result::Unproven)),
            ("untested_count", Some(field::count(untested))),
        ]);
        let mut observation = observation(Outcome::Facts, "", facts);
        let sets = found.into_iter().map(|(_result, record)| record).collect();
        let _none = observation
            .facts
            .insert("sets".to_owned(), Value::List(sets));
        observation
    }

    /// What is found out about one set.
    fn set(&self, set: &str) -> (Result, Record) {
        let name = ("set", Some(Value::Text(set.to_owned())));
        let Some(restore) = self.restores.get(set) else {
            return (Result::Untested, field::known([name]));
        };
        let text = |name| field::text(&restore.told, name).map(ToOwned::to_owned);
        let Some(sha256) = text("sha256") else {
            let result = if tried(&restore.told) {
                Result::Failed
            } else {
                Result::Untested
            };
            let fields = [
                name,
                ("tool", text("tool").map(Value::Text)),
                ("restored", restore.at().map(Value::Instant)),
                ("snapshot", text("snapshot").map(Value::Text)),
                ("reason", text("reason").map(Value::Text)),
            ];
            return (result, field::known(fields));
        };
        let placed = self.placed.get(&(set.to_owned(), sha256));
        let placed = placed.filter(|placed| placed.index < restore.index);
        let before = |name| placed.and_then(|placed| restore.known_at(placed, name));
        let (result, reason) = match (placed, before("at")) {
            (None, _) => (
                Result::Mismatched,
                "the host had placed no such content in this set before",
            ),
            (Some(_), Some(true)) => (Result::Matched, ""),
            (Some(_), Some(false)) => (
                Result::Unproven,
                "the collector learnt of the content only after the restore",
            ),
            (Some(_), None) => (
                Result::Unproven,
                "the clock of the host is too uncertain to tell whether the collector had the \
                 content before the restore",
            ),
        };
        let matched = match result {
            Result::Matched => Some(true),
            Result::Mismatched => Some(false),
            Result::Untested | Result::Failed | Result::Unproven => None,
        };
        let (age, doubtful) = restore.age(placed.and_then(|placed| placed.at));
        let reason = if doubtful && reason.is_empty() {
            "the times of placing and restore contradict each other"
        } else {
            reason
        };
        let index = placed.and_then(|placed| i64::try_from(placed.index).ok());
        let fields = [
            name,
            ("tool", text("tool").map(Value::Text)),
            ("matched", matched.map(Value::Flag)),
            ("entry", index.map(Value::Number)),
            ("before_snapshot", before("snapshot_at").map(Value::Flag)),
            (
                "placed",
                placed.and_then(|placed| placed.at).map(Value::Instant),
            ),
            ("restored", restore.at().map(Value::Instant)),
            ("duration_ms", restore.duration_ms().map(Value::Number)),
            ("data_age_ms", age.map(Value::Number)),
            ("snapshot", text("snapshot").map(Value::Text)),
            ("reason", Some(Value::Text(reason.to_owned()))),
        ];
        (result, field::known(fields))
    }
}

/// Whether a backup was looked at: a tool, a secret or a repository that is missing or in use says
/// nothing of it.
fn tried(told: &Record) -> bool {
    let outcome = field::text(told, "outcome").unwrap_or_default();
    !["no-tool", "no-secret", "locked", "unreachable", "timed-out"].contains(&outcome)
}

impl Restore {
    /// Whether this is the same restore, told again.
    fn is(&self, told: &Record) -> bool {
        let same = |name| self.told.get(name) == told.get(name);
        ["at", "sha256", "snapshot"].into_iter().all(same)
    }

    /// When it was made: as the host says, but not later than its record came.
    fn at(&self) -> Option<Timestamp> {
        let at = field::instant(&self.told, "at")?;
        Some(at.min(self.received))
    }

    /// Whether the collector had the record of a placing when the host did something; `None` when
    /// the time of it is not known, or not well enough. The doubt is never to the good of the host.
    fn known_at(&self, placed: &Placed, name: &str) -> Option<bool> {
        let (offset, doubt) = self.clock?;
        let at = field::instant(&self.told, name)?;
        let at = at.plus_ms(offset.saturating_neg());
        let earliest = at.plus_ms(doubt.saturating_neg()).min(self.received);
        let latest = at.plus_ms(doubt).min(self.received);
        if placed.received <= earliest {
            return Some(true);
        }
        (latest < placed.received).then_some(false)
    }

    fn duration_ms(&self) -> Option<i64> {
        let duration = field::number(&self.told, "duration_ms")?;
        (0..=DURATION_MS_MAX)
            .contains(&duration)
            .then_some(duration)
    }

    /// Age of the data when it came back, and whether the times contradict each other.
    fn age(&self, placed: Option<Timestamp>) -> (Option<i64>, bool) {
        let (Some(at), Some(placed)) = (field::instant(&self.told, "at"), placed) else {
            return (None, false);
        };
        let age = at.ms_since(placed);
        let possible = (0..=HISTORY_MS).contains(&age);
        (possible.then_some(age), !possible)
    }
}

fn observation(outcome: Outcome, reason: &str, facts: Record) -> Observation {
    let source = Source {
        kind: Means::File,
        name: "restore of the host".to_owned(),
        status: Status::Ok,
    };
    Observation {
        artifacts: Vec::new(),
        facts,
        outcome,
        probe: "recovery".to_owned(),
        reason: reason.to_owned(),
        schema: 1,
        source: vec![source],
    }
}
