//! Known vulnerabilities of what hosts have installed, by the imported lists.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shared::decision::Imported;
use shared::fact::{Facts, Record, Value};
use shared::id::{AgentId, Digest};
use shared::limits;
use shared::observation::{Means, Source, Status};
use shared::time::Timestamp;

use super::{Run, Sight, facts};
use crate::feed::{self, Feed, Match, Publisher, Severity};
use crate::ledger::{Ledger, LedgerError};

/// Name of the artifact that lists what is installed.
const BOM: &str = "artifact/sbom.cdx.json";
/// What says nothing new is entered this often, so that it does not grow stale.
const ENTER_MS: i64 = 12 * 3600 * 1000;

/// The lists in force, and what was last told of each host.
#[derive(Debug, Default)]
pub(super) struct Vulnerabilities {
    folder: PathBuf,
    lists: BTreeMap<Publisher, (Imported, Feed)>,
    /// Hosts of which there is something to tell: the record, and the bill of materials it names.
    waiting: BTreeMap<(AgentId, u64), (Digest, Digest)>,
    /// The last bill of materials of each host, with the record that names it.
    known: BTreeMap<(AgentId, u64), Known>,
}

#[derive(Debug)]
struct Known {
    record: Digest,
    bom: Digest,
    entered: Timestamp,
}

impl Vulnerabilities {
    pub(super) fn with_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    /// Takes a list that came into force. One whose file is gone or changed is not in force.
    pub(super) fn import(&mut self, list: Imported) {
        let known = Publisher::ALL.into_iter();
        let publisher = known
            .into_iter()
            .find(|known| known.as_str() == list.publisher);
        let Some(publisher) = publisher else {
            return;
        };
        let path = self.folder.join(list.sha256.to_string());
        match Feed::read(&path, publisher) {
            Ok(feed) if feed.sha256 == list.sha256 => {
                drop(self.lists.insert(publisher, (list, feed)));
                // Every host is joined anew.
                let all = self.known.iter();
                let all = all.map(|(about, known)| (about.clone(), (known.record, known.bom)));
                self.waiting.extend(all.collect::<Vec<_>>());
            }
            Ok(_other) => {
                tracing::error!(list = %path.display(), "the list is not the one that was imported");
            }
            Err(error) => {
                tracing::error!(list = %path.display(), %error, "the list cannot be read");
            }
        }
    }

    /// Takes a run of a host: a bill of materials that is new, or was told of too long ago.
    pub(super) fn run(&mut self, run: &Run<'_>) {
        let named = run.attestation.subjects().iter();
        let named = named.filter(|subject| subject.name == BOM);
        let Some(bom) = named.map(|subject| subject.digest.sha256).next() else {
            return;
        };
        let place = &run.attestation.evidence().stream;
        let about = (place.agent.clone(), place.generation);
        let same = self.known.get(&about).is_some_and(|known| {
            known.bom == bom && run.received.ms_since(known.entered) < ENTER_MS
        });
        if !same {
            let _older = self.waiting.insert(about, (run.attestation.id(), bom));
        }
    }

    /// What there is to tell now.
    pub(super) fn due(
        &mut self,
        ledger: &Ledger,
        now: Timestamp,
    ) -> Result<Vec<Sight>, LedgerError> {
        let mut sights = Vec::new();
        while let Some((about, (record, bom))) = self.waiting.pop_first() {
            if let Some(components) = ledger.blob(&bom)?.and_then(|bom| feed::components(&bom))
                && !self.lists.is_empty()
            {
                sights.push(self.joined(about.clone(), &components, record));
            }
            let known = Known {
                record,
                bom,
                entered: now,
            };
            let _older = self.known.insert(about, known);
        }
        Ok(sights)
    }

    fn joined(
        &self,
        (agent, generation): (AgentId, u64),
        components: &[feed::Component],
        record: Digest,
    ) -> Sight {
        let feeds: Vec<&Feed> = self.lists.values().map(|(_, feed)| feed).collect();
        let seen = feed::join(&feeds, components);
        let count = |keep: &dyn Fn(&Match) -> bool| {
            number(seen.matches.iter().filter(|one| keep(one)).count())
        };
        let fixable =
            |severity| count(&|one: &Match| one.fixed.is_some() && one.severity == severity);
        let shown = seen.matches.iter().take(limits::LIST_RECORDS_MAX);
        let lists = self.lists.values().map(|(list, _)| of_list(list));
        let values = [
            ("component_count", number(components.len())),
            ("covered_count", number(seen.covered)),
            ("critical_count", fixable(Severity::Critical)),
            ("exploited_count", count(&|one| one.exploited)),
            ("feeds", Value::List(lists.collect())),
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
