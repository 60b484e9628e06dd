//! Known vulnerabilities of what hosts have installed, by the imported lists.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;

use shared::decision::Imported;
use shared::fact::{Facts, Record, Value};
use shared::id::{AgentId, Digest};
use shared::limits;
use shared::observation::{Means, Observation, Source, Status};
use shared::observed;
use shared::time::Timestamp;

use super::{Run, Sight, facts};
use crate::feed::{self, Feed, Match, Publisher, Severity};
use crate::ledger::{Ledger, LedgerError};

/// Name of the artifact that lists what is installed.
const BOM: &str = "artifact/sbom.cdx.json";
/// What says nothing new is entered this often, so that it does not grow stale.
const ENTER_MS: i64 = 12 * 3600 * 1000;
/// What a record named longer ago tells nothing of now: hosts look at least once a day, and the
/// checks want nothing older than this.
const RECORD_MS: i64 = 26 * 3600 * 1000;
/// Most hosts that are joined in one turn: a join takes long, and events wait meanwhile.
const TURN_HOSTS_MAX: usize = 8;

/// The lists in force, and what was last told of each host.
#[derive(Debug, Default)]
pub(super) struct Vulnerabilities {
    folder: PathBuf,
    lists: BTreeMap<Publisher, (Imported, Feed)>,
    /// The newest import of each publisher that was not read yet.
    fresh: BTreeMap<Publisher, Imported>,
    /// The oldest date that any import gave a file.
    dated: BTreeMap<Digest, Timestamp>,
    /// Lists that a newer import took the place of, whose copies are still in the folder.
    superseded: BTreeSet<(Publisher, Digest)>,
    /// Hosts that may have something to tell.
    waiting: BTreeSet<(AgentId, u64)>,
    hosts: BTreeMap<(AgentId, u64), Host>,
}

/// The last bill of materials of a host, with the record that names it.
#[derive(Debug)]
struct Host {
    record: Digest,
    bom: Digest,
    /// When the record was received.
    received: Timestamp,
    told: Option<Told>,
}

/// What was told last of a host.
#[derive(Debug)]
struct Told {
    bom: Digest,
    /// The lists that were in force, as the fact.
    feeds: Option<Value>,
    at: Timestamp,
}

impl Host {
    fn is_due(&self, feeds: &Value, now: Timestamp) -> bool {
        let told = self.told.as_ref();
        let same = told.is_some_and(|told| {
            told.bom == self.bom
                && told.feeds.as_ref() == Some(feeds)
                && now.ms_since(told.at) < ENTER_MS
        });
        !same && now.ms_since(self.received) <= RECORD_MS
    }
}

impl Vulnerabilities {
    pub(super) fn with_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// Takes an import. The list is read when something is to be told: of many imports that the
    /// ledger holds only the newest are.
    pub(super) fn import(&mut self, mut list: Imported) {
        let known = Publisher::ALL.into_iter();
        let publisher = known
            .into_iter()
            .find(|known| known.as_str() == list.publisher);
        let Some(publisher) = publisher else {
            return;
        };
        // The same file does not grow younger by being brought again.
        let oldest = self.dated.entry(list.sha256).or_insert(list.dated);
        *oldest = list.dated.min(*oldest);
        list.dated = *oldest;
        if let Some(before) = self.fresh.remove(&publisher) {
            let _new = self.superseded.insert((publisher, before.sha256));
        }
        drop(self.fresh.insert(publisher, list));
    }

    /// Puts imported lists in force. One whose file is gone or changed is not in force.
    fn read_lists(&mut self) {
        while let Some((publisher, list)) = self.fresh.pop_first() {
            let path = self.folder.join(list.sha256.to_string());
            match Feed::read(&path, publisher) {
                Ok(mut feed) if feed.sha256 == list.sha256 => {
                    feed.complete = list.complete;
                    if let Some((before, _)) = self.lists.insert(publisher, (list, feed)) {
                        let _new = self.superseded.insert((publisher, before.sha256));
                    }
                    self.remove_superseded(publisher);
                    // Every host is joined anew.
                    self.waiting.extend(self.hosts.keys().cloned());
                }
                Ok(_other) => {
                    tracing::error!(list = %path.display(), "the list is not what was imported");
                }
                Err(error) => {
                    tracing::error!(list = %path.display(), %error, "the list cannot be read");
                }
            }
        }
    }

    /// Removes the copies of lists that a newer one has taken the place of.
    fn remove_superseded(&mut self, publisher: Publisher) {
        let in_force = self.lists.values().map(|(list, _)| list);
        let used = in_force.chain(self.fresh.values()).map(|list| list.sha256);
        let used: BTreeSet<Digest> = used.collect();
        for (_, sha256) in self.superseded.extract_if(.., |(of, _)| *of == publisher) {
            let path = self.folder.join(sha256.to_string());
            if used.contains(&sha256) {
                continue;
            }
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(list = %path.display(), %error, "an old list cannot be removed");
                }
            }
        }
    }

    /// Takes a run of a host that names a bill of materials.
    pub(super) fn run(&mut self, run: &Run<'_>) {
        let named = run.attestation.subjects().iter();
        let named = named.filter(|subject| subject.name == BOM);
        let Some(bom) = named.map(|subject| subject.digest.sha256).next() else {
            return;
        };
        let place = &run.attestation.evidence().stream;
        let about = (place.agent.clone(), place.generation);
        let before = self.hosts.remove(&about);
        let host = Host {
            record: run.attestation.id(),
            bom,
            received: run.received,
            told: before.and_then(|before| before.told),
        };
        let _new = self.waiting.insert(about.clone());
        let _none = self.hosts.insert(about, host);
    }

    /// Takes what was entered, by this process or by one before it.
    pub(super) fn entered(&mut self, sight: &observed::Sight, seen: &Observation) {
        let about = (sight.observed.agent.clone(), sight.observed.generation);
        if let Some(host) = self.hosts.get_mut(&about)
            && sight.basis.contains(&host.record)
        {
            host.told = Some(Told {
                bom: host.bom,
                feeds: seen.facts.get("feeds").cloned(),
                at: sight.observed.at,
            });
        }
    }

    /// Forgets hosts whose enrolment has ended.
    pub(super) fn ended(&mut self, ended: impl Fn(&(AgentId, u64)) -> bool) {
        self.hosts.retain(|about, _| !ended(about));
    }

    /// Hosts wait for a further turn.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What there is to tell now, of some hosts: the others wait.
    pub(super) fn due(
        &mut self,
        ledger: &Ledger,
        now: Timestamp,
        sights: &mut Vec<Sight>,
    ) -> Result<(), LedgerError> {
        self.read_lists();
        if self.lists.is_empty() {
            self.waiting.clear();
        }
        let lists = self.lists.values().map(|(list, _)| of_list(list));
        let feeds = Value::List(lists.collect());
        let mut joined = 0;
        while joined < TURN_HOSTS_MAX
            && let Some(about) = self.waiting.first().cloned()
        {
            let due = self.hosts.get(&about);
            if let Some(host) = due.filter(|host| host.is_due(&feeds, now)) {
                let (record, bom) = (host.record, host.bom);
                let bytes = ledger.blob(&bom)?;
                if let Some(components) = bytes.and_then(|bytes| feed::components(&bytes)) {
                    sights.push(self.joined(about.clone(), &components, record, feeds.clone()));
                }
                if let Some(host) = self.hosts.get_mut(&about) {
                    host.told = Some(Told {
                        bom,
                        feeds: Some(feeds.clone()),
                        at: now,
                    });
                }
                joined += 1;
            }
            let _was = self.waiting.remove(&about);
        }
        Ok(())
    }

    fn joined(
        &self,
        (agent, generation): (AgentId, u64),
        components: &[feed::Component],
        record: Digest,
        in_force: Value,
    ) -> Sight {
        let feeds: Vec<&Feed> = self.lists.values().map(|(_, feed)| feed).collect();
        let seen = feed::join(&feeds, components);
        let count = |keep: &dyn Fn(&Match) -> bool| {
            number(seen.matches.iter().filter(|one| keep(one)).count())
        };
        let fixable =
            |severity| count(&|one: &Match| one.fixed.is_some() && one.severity == severity);
        let shown = seen.matches.iter().take(limits::LIST_RECORDS_MAX);
        let values = [
            ("component_count", number(components.len())),
            ("covered_count", number(seen.covered)),
            ("critical_count", fixable(Severity::Critical)),
            ("exploited_count", count(&|one| one.exploited)),
            ("feeds", in_force),
            ("fixable_count", count(&|one| one.fixed.is_some())),
            ("high_count", fixable(Severity::High)),
            ("matched_count", number(seen.matches.len())),
            ("matches", Value::List(shown.map(of_match).collect())),
        ];
        let values: Facts = named(values);
        let mut observation = facts("vulnerabilities", values, &["sbom.cdx.json"]);
        if limits::LIST_RECORDS_MAX < seen.matches.len() {
            observation.reason = format!("matches: limit ({} records)", seen.matches.len());
            observation.source.push(Source {
                kind: Means::File,
                name: "matches".to_owned(),
                status: Status::Limit,
            });
        }
        Sight {
            agent,
            generation,
            observation,
            basis: vec![record],
        }
    }
}

fn number(count: usize) -> Value {
    Value::Number(i64::try_from(count).unwrap_or(i64::MAX))
}

fn named<const N: usize>(values: [(&str, Value); N]) -> BTreeMap<String, Value> {
    let values = values.into_iter();
    values
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn of_list(list: &Imported) -> Record {
    let records = i64::try_from(list.records).unwrap_or(i64::MAX);
    named([
        ("publisher", Value::Text(list.publisher.clone())),
        ("sha256", Value::Text(list.sha256.to_string())),
        ("dated", Value::Instant(list.dated)),
        ("complete", Value::Flag(list.complete)),
        ("records", Value::Number(records)),
    ])
}

fn of_match(one: &Match) -> Record {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut record = named([
        ("id", text(&one.id)),
        ("package", text(&one.package)),
        ("installed", text(&one.installed)),
        ("severity", text(one.severity.as_str())),
        ("exploited", Value::Flag(one.exploited)),
    ]);
    if let Some(fixed) = &one.fixed {
        let _new = record.insert("fixed".to_owned(), text(fixed));
    }
    if let Some(due) = one.due {
        let _new = record.insert("due".to_owned(), Value::Instant(due));
    }
    record
}
