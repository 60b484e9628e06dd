//! A pending update, whatever package manager offers it, and the facts that count them.

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
    /// How urgent the archive calls it, where it says so.
    pub(super) urgency: Option<String>,
    /// How severe the archive calls it, where it says so.
    pub(super) severity: Option<String>,
    /// The most severe advisory about it, where the archive has any.
    pub(super) advisory: Option<String>,
    /// CVE ids that the archive says it is about.
    pub(super) cves: Vec<String>,
    /// The earliest evidence that it was offered, by a date of the archive.
    pub(super) available_since: Option<Timestamp>,
    /// It is held back, by a hold or by preferences.
    pub(super) held: bool,
    /// A source of security updates has a newer version than the installed one.
    pub(super) security: bool,
}

impl Update {
    /// The update as a record of the fact `pending`.
    fn record(&self) -> Record {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let known = |text: &Option<String>| text.clone().map(Value::Text);
        let fields = [
            ("package", text(&self.package)),
            ("architecture", text(&self.architecture)),
            ("installed", text(&self.installed)),
            ("candidate", text(&self.candidate)),
            ("origin", text(&self.origin)),
            ("security", Some(Value::Flag(self.security))),
            ("held", Some(Value::Flag(self.held))),
            ("source", known(&self.source)),
            ("source_version", known(&self.source_version)),
            ("urgency", known(&self.urgency)),
            ("severity", known(&self.severity)),
            ("advisory", known(&self.advisory)),
            ("cves", Some(self.cves.join(" ")).filter(|text| !text.is_empty()).map(Value::Text)),
            ("available_since", self.available_since.map(Value::Instant)),
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
    // Of one update without a date nobody knows whether it is the oldest.
    let since: Option<Vec<Timestamp>> = security.map(|update| update.available_since).collect();
    if let Some(oldest) = since.and_then(|since| since.into_iter().min()) {
        seen.state("oldest_security_pending", Value::Instant(oldest));
    }
    seen.state_list("pending", updates.iter().map(Update::record).collect());
}
