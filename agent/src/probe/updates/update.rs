//! A pending update, whatever package manager offers it, and the facts that count them.

use std::collections::BTreeMap;

use shared::fact::{Record, Value};
use shared::time::Timestamp;

use crate::probe::Seen;

/// A pending update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// Name of the package.
    pub(super) package: String,
    /// Its architecture.
    pub(super) architecture: String,
    /// The version that is installed.
    pub(super) installed: String,
    /// The version that the package manager would choose.
    pub(super) candidate: String,
    /// The archive that has it, for people.
    pub(super) origin: String,
    /// The package that it is built from, where that is known.
    pub(super) source: Option<String>,
    /// The version of that package for the candidate.
    pub(super) source_version: Option<String>,
    /// How severe the archive calls it, where it says so.
    pub(super) severity: Option<String>,
    /// The most severe advisory about it, where the archive has any.
    pub(super) advisory: Option<String>,
    /// CVE ids that the archive says it is about.
    pub(super) cves: Vec<String>,
    /// A newer version than the installed one was offered at this date of the archive, for
    /// security where it is an update for security.
    pub(super) available_since: Option<Timestamp>,
    /// None was offered yet at this date of the archive.
    pub(super) available_after: Option<Timestamp>,
    /// It is held back, by a hold or by preferences.
    pub(super) held: bool,
    /// A source of security updates has a newer version than the installed one.
    pub(super) security: bool,
}

impl Update {
    /// The update as a record of the fact `pending`.
    fn record(&self, sorted: bool) -> Record {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let known = |text: &Option<String>| text.clone().map(Value::Text);
        let fields = [
            ("package", text(&self.package)),
            ("architecture", text(&self.architecture)),
            ("installed", text(&self.installed)),
            ("candidate", text(&self.candidate)),
            ("origin", text(&self.origin)),
            ("security", sorted.then_some(Value::Flag(self.security))),
            ("held", Some(Value::Flag(self.held))),
            ("source", known(&self.source)),
            ("source_version", known(&self.source_version)),
            ("severity", known(&self.severity)),
            ("advisory", known(&self.advisory)),
            (
                "cves",
                Some(self.cves.join(" "))
                    .filter(|text| !text.is_empty())
                    .map(Value::Text),
            ),
            ("available_since", self.available_since.map(Value::Instant)),
            ("available_after", self.available_after.map(Value::Instant)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// States the pending updates and their numbers.
pub(super) fn state(seen: &mut Seen, updates: &[Update]) {
    let security = updates.iter().filter(|update| update.security);
    seen.state_count("pending_count", updates.len());
    seen.state_count("pending_security_count", security.clone().count());
    seen.state_count(
        "pending_security_held_count",
        security.clone().filter(|update| update.held).count(),
    );
    // The oldest of those that are known shows the least that one waits; the most is known only
    // when it is of all.
    let since = security.clone().filter_map(|update| update.available_since);
    if let Some(oldest) = since.min() {
        seen.state("pending_security_since", Value::Instant(oldest));
    }
    let after: Option<Vec<Timestamp>> = security.map(|update| update.available_after).collect();
    if let Some(oldest) = after.and_then(|after| after.into_iter().min()) {
        seen.state("pending_security_after", Value::Instant(oldest));
    }
    state_list(seen, updates, true);
}

/// States the pending updates of an archive that does not say which are for security.
pub(super) fn state_unsorted(seen: &mut Seen, updates: &[Update]) {
    seen.state_count("pending_count", updates.len());
    state_list(seen, updates, false);
}

fn state_list(seen: &mut Seen, updates: &[Update], sorted: bool) {
    seen.state_list("pending_origins", origins(updates));
    let records = updates.iter().map(|update| update.record(sorted));
    seen.state_list("pending", records.collect());
}

/// How many updates each archive has.
fn origins(updates: &[Update]) -> Vec<Record> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for update in updates {
        *counts.entry(&update.origin).or_default() += 1;
    }
    let record = |(origin, count): (&str, i64)| {
        Record::from([
            ("origin".to_owned(), Value::Text(origin.to_owned())),
            ("count".to_owned(), Value::Number(count)),
        ])
    };
    counts.into_iter().map(record).collect()
}
