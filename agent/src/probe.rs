//! What a probe is, and the one static table of all probes.
//!
//! A probe does not fail: it observes that it could not look. It looks through [`Host`] alone. Two
//! probes also do something, so that there is something to see: `canary` sends a log line,
//! `restore` writes a canary file. What a probe must know at its next look it notes in the agent's
//! own folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shared::fact::{Facts, Record, Subject, Value};
use shared::id::{AgentId, Digest};
use shared::key::SigningKey;
use shared::limits;
use shared::observation::{Artifact, Means, Observation, Outcome, Source, Status};
use shared::time::Timestamp;

use crate::config::ProbeSettings;
use crate::host::{Host, Unseen};

pub mod notes;
pub mod settings;
pub mod processes;
pub mod container;
pub mod units;
pub mod lines;
pub mod audit;
pub mod backup;
pub mod canary;
pub mod clock;
pub mod logging;
pub mod neighbours;
pub mod restore;
pub mod updates;

/// Longest time for one look of an ordinary probe.
pub const LOOK_TIME_MAX: Duration = Duration::from_secs(30);

/// Every probe, in the order of their names.
pub static PROBES: &[&dyn Probe] = &[
    &audit::Audit,
    &backup::Backup,
    &canary::Delivery,
    &clock::Clock,
    &logging::Logging,
    &neighbours::Neighbours,
    &restore::Restore,
    &updates::Updates,
];

/// Looks at one subject of a host.
pub trait Probe: Sync {
    /// The schema of what it may state; its name is the name of the probe.
    fn subject(&self) -> &'static Subject;

    /// Longest time for one look. A probe takes milliseconds; a host that swaps takes seconds. One
    /// that asks for more looks beside the others, and holds none of them up.
    fn time_max(&self) -> Duration {
        LOOK_TIME_MAX
    }

    /// Looks once.
    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen;
}

/// What a probe knows besides the host that it looks at.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The settings of the probes.
    pub settings: Arc<ProbeSettings>,
    /// When it looks, by the wall clock of the host.
    pub now: Timestamp,
    /// What the same probe saw when it looked before; `None` at the first look of this process,
    /// so both looks belong to one boot.
    pub before: Option<Before>,
    /// Who signs what is seen; `None` when nobody does.
    pub own: Option<Arc<Own>>,
}

/// What a probe saw when it looked before.
#[derive(Clone, Debug)]
pub struct Before {
    /// When that was, by the wall clock of the host.
    pub at: Timestamp,
    /// Milliseconds from then to [`Scene::now`], by the clock that nobody sets.
    pub ago_ms: u64,
    /// The facts.
    pub facts: Facts,
}

/// The agent itself, for probes that leave a mark which the collector knows again.
#[derive(Debug)]
pub struct Own {
    /// Its name.
    pub agent: AgentId,
    /// Its generation.
    pub generation: u64,
    /// Its evidence key.
    pub key: Arc<SigningKey>,
    /// A folder of the agent alone, for what probes keep between two looks; made by whoever
    /// writes first.
    pub folder: PathBuf,
}

/// What a probe has seen so far: facts, sources and the bytes of artifacts.
///
/// It is filled while the probe looks, and closed with [`Seen::facts`], [`Seen::absent`] or
/// [`Seen::unknown`].
#[derive(Debug, Default)]
pub struct Seen {
    facts: Facts,
    sources: Vec<Source>,
    artifacts: Vec<(Artifact, Vec<u8>)>,
    outcome: Option<Outcome>,
    reasons: Vec<String>,
}

impl Seen {
    /// Notes that a place was looked at, and hands the result on: what was not seen becomes a
    /// source with its status, and `None`.
    pub fn note<T>(&mut self, means: Means, name: &str, result: Result<T, Unseen>) -> Option<T> {
        let (status, value) = match result {
            Ok(value) => (Status::Ok, Some(value)),
            Err(unseen) => {
                if !unseen.is_absent() {
                    self.reasons.push(unseen.to_string());
                }
                (unseen.status, None)
            }
        };
        self.sources.push(Source {
            kind: means,
            name: shortened(name),
            status,
        });
        value
    }

    /// Whether no fact was stated yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// States a fact; of a text that is longer than an observation may have the beginning, and
    /// says so.
    pub fn state(&mut self, name: &str, mut value: Value) {
        let cut = match &mut value {
            Value::List(records) => {
                let values = records.iter_mut().flat_map(BTreeMap::values_mut);
                values.map(cut_text).filter(|cut| *cut).count() != 0
            }
            Value::Flag(_) | Value::Instant(_) | Value::Number(_) | Value::Text(_) => {
                cut_text(&mut value)
            }
        };
        if cut {
            let why = format!("a text of more than {} bytes", limits::TEXT_BYTES_MAX);
            self.unseen(Means::File, Unseen::new(name, Status::Limit, Some(&why)));
        }
        drop(self.facts.insert(name.to_owned(), value));
    }

    /// States how many there are of something.
    pub fn state_count(&mut self, name: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.state(name, Value::Number(count));
    }

    /// States a list; of a longer one than an observation may have the beginning, and says so.
    pub fn state_list(&mut self, name: &str, mut records: Vec<Record>) {
        if limits::LIST_RECORDS_MAX < records.len() {
            let why = format!("{} records", records.len());
            self.unseen(Means::File, Unseen::new(name, Status::Limit, Some(&why)));
            records.truncate(limits::LIST_RECORDS_MAX);
        }
        self.state(name, Value::List(records));
    }

    /// Notes that a place could not be looked at.
    pub fn unseen(&mut self, means: Means, unseen: Unseen) {
        let name = unseen.what.clone();
        let _none: Option<()> = self.note(means, &name, Err(unseen));
    }

    /// Keeps a redacted copy of what was read, `redacted` secrets replaced in it.
    pub fn keep(&mut self, name: &str, copy: Vec<u8>, redacted: u64) {
        let bytes = u64::try_from(copy.len()).unwrap_or(u64::MAX);
        let sha256 = Digest::of(&copy);
        let artifact = Artifact {
            bytes,
            name: name.to_owned(),
            redacted,
            sha256,
            truncated: false,
        };
        self.artifacts.push((artifact, copy));
    }

    /// The observation, and the bytes of its artifacts.
    ///
    /// Facts that do not fit the schema are a fault of the probe: then nothing is stated, and the
    /// outcome is `unknown` with the fault as its reason.
    #[must_use]
    pub fn observation(mut self, subject: &Subject) -> (Observation, Vec<Vec<u8>>) {
        let mut outcome = self.outcome.unwrap_or(Outcome::Unknown);
        if let Err(error) = subject.check(&self.facts) {
            outcome = Outcome::Unknown;
            self.reasons
                .insert(0, format!("fault of the probe: {error}"));
        }
        if outcome != Outcome::Facts {
            self.facts.clear();
        }
        self.sources.sort();
        self.sources.dedup();
        self.reasons.dedup();
        let (artifacts, copies) = self.artifacts.into_iter().unzip();
        let observation = Observation {
            artifacts,
            facts: self.facts,
            outcome,
            probe: subject.probe.to_owned(),
            reason: shortened(&self.reasons.join("; ")),
            schema: subject.schema,
            source: self.sources,
        };
        (observation, copies)
    }

    /// Closes it: there are facts.
    #[must_use]
    pub fn facts(mut self) -> Self {
        self.outcome = Some(Outcome::Facts);
        self
    }

    /// Closes it: the subject is certainly not on this host.
    #[must_use]
    pub fn absent(mut self, reason: &str) -> Self {
        self.outcome = Some(Outcome::Absent);
        self.reasons = vec![reason.to_owned()];
        self
    }

    /// Closes it: it could not be told.
    #[must_use]
    pub fn unknown(mut self, reason: &str) -> Self {
        self.outcome = Some(Outcome::Unknown);
        self.reasons.insert(0, reason.to_owned());
        self
    }
}

/// At most [`limits::TEXT_BYTES_MAX`] bytes of a text, cut between characters.
fn shortened(text: &str) -> String {
    let mut text = text.to_owned();
    text.truncate(text.floor_char_boundary(limits::TEXT_BYTES_MAX));
    text
}

/// Cuts a text that is too long. Whether it was.
fn cut_text(value: &mut Value) -> bool {
    let long = |text: &&mut String| limits::TEXT_BYTES_MAX < text.len();
    let text = match value {
        Value::Text(text) => Some(text).filter(long),
        Value::Flag(_) | Value::Instant(_) | Value::List(_) | Value::Number(_) => None,
    };
    text.map(|text| *text = shortened(text)).is_some()
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_and_subjects_are_the_same() {
        let probes = PROBES.iter().map(|probe| probe.subject().probe);
        let subjects = shared::fact::of_hosts().map(|subject| subject.probe);
        assert!(probes.eq(subjects));
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        let mut seen = Seen::default();
        seen.state_list("sources", vec![Record::new(); limits::LIST_RECORDS_MAX]);
        assert!(seen.sources.is_empty());
        seen.state_list("sources", vec![Record::new(); limits::LIST_RECORDS_MAX + 1]);
        let (observation, _copies) = seen.facts().observation(&shared::fact::clock::SUBJECT);
        assert_eq!(observation.outcome, Outcome::Facts);
        assert_eq!(observation.reason, "sources: limit (513 records)");
    }

    #[test]
    fn a_text_that_is_cut_says_so() {
        let mut seen = Seen::default();
        let text = |bytes: usize| Value::Text("\u{e4}".repeat(bytes / 2));
        let record = |bytes| Record::from([("name".to_owned(), text(bytes))]);
        seen.state("tracking_leap", text(limits::TEXT_BYTES_MAX));
        seen.state_list("daemons", vec![record(limits::TEXT_BYTES_MAX)]);
        assert!(seen.sources.is_empty());
        seen.state("tracking_leap", text(limits::TEXT_BYTES_MAX + 2));
        seen.state_list("daemons", vec![record(limits::TEXT_BYTES_MAX + 2)]);
        let (observation, _copies) = seen.facts().observation(&shared::fact::clock::SUBJECT);
        assert_eq!(observation.outcome, Outcome::Facts);
        assert_eq!(
            observation.facts["tracking_leap"],
            text(limits::TEXT_BYTES_MAX)
        );
        let why = "limit (a text of more than 4096 bytes)";
        assert_eq!(
            observation.reason,
            format!("tracking_leap: {why}; daemons: {why}")
        );
    }

    #[test]
    fn a_fact_that_is_not_declared_leaves_nothing_stated() {
        let mut seen = Seen::default();
        seen.state_count("colour", 1);
        let (observation, _copies) = seen.facts().observation(&shared::fact::clock::SUBJECT);
        assert_eq!(observation.outcome, Outcome::Unknown);
        assert!(observation.facts.is_empty());
        assert!(observation.reason.starts_with("fault of the probe"));
    }

    #[test]
    fn names_and_reasons_are_bounded() {
        let mut seen = Seen::default();
        let name = "\u{e4}".repeat(limits::TEXT_BYTES_MAX);
        seen.unseen(Means::File, Unseen::new(&name, Status::Failed, None));
        let (observation, _copies) = seen.facts().observation(&shared::fact::clock::SUBJECT);
        assert_eq!(observation.reason.len(), limits::TEXT_BYTES_MAX);
        assert_eq!(observation.source[0].name.len(), limits::TEXT_BYTES_MAX);
    }
}
