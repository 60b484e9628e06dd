//! How long the updates waited that were applied in the last 90 days.
//!
//! An update waited from when it was offered until it was applied. The day on which it was offered
//! lies between two dates (see `memory.rs`); its changelog has one more that is before that day.
//! The wait is measured from the later one of those before, so it is never said to be shorter than
//! it was. An update with neither date is counted, and has no wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use shared::fact::{Record, Value};
use shared::time::Timestamp;

use super::changelog::{self, Made};
use super::history::Upgrade;
use super::memory::Memory;
use crate::host::Host;
use crate::probe::Seen;

/// The period that is looked at.
pub(super) const PERIOD_MS: i64 = 90 * 24 * 3_600_000;
/// Most versions whose dates are remembered between two looks.
const REMEMBERED_MAX: usize = 4096;

/// An update that was applied.
#[derive(Debug)]
pub(super) struct Applied<'a> {
    /// The update.
    pub(super) upgrade: &'a Upgrade,
    /// It was for security.
    pub(super) security: bool,
    /// Before it was offered.
    pub(super) after: Option<Timestamp>,
    /// It was offered.
    pub(super) since: Option<Timestamp>,
}

impl Applied<'_> {
    /// The longest that it may have waited, in seconds.
    fn wait_s(&self) -> Option<i64> {
        let after = self.after?;
        Some(self.upgrade.at.ms_since(after).max(0) / 1000)
    }

    fn record(&self) -> Record {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let fields = [
            ("package", text(&self.upgrade.package)),
            ("architecture", text(&self.upgrade.architecture)),
            ("from", text(&self.upgrade.from)),
            ("to", text(&self.upgrade.to)),
            ("applied", Some(Value::Instant(self.upgrade.at))),
            ("security", Some(Value::Flag(self.security))),
            ("available_since", self.since.map(Value::Instant)),
            ("available_after", self.after.map(Value::Instant)),
            ("wait_s", self.wait_s().map(Value::Number)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// States which updates were applied, and how long those for security waited.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, upgrades: &[Upgrade], memory: &Memory) {
    let all = upgrades
        .iter()
        .map(|upgrade| applied(host, upgrade, memory));
    state_all(seen, all.collect());
}

/// States updates of which it is known when they were offered.
pub(super) fn state_all(seen: &mut Seen, mut all: Vec<Applied<'_>>) {
    seen.state_count("applied_count", all.len());
    let security = all.iter().filter(|applied| applied.security);
    seen.state_count("applied_security_count", security.clone().count());
    let undated = all.iter().filter(|applied| applied.after.is_none());
    seen.state_count("applied_undated_count", undated.count());
    let mut waits: Vec<i64> = security.filter_map(Applied::wait_s).collect();
    waits.sort_unstable();
    for (fact, percent) in [("security_wait_p50_s", 50), ("security_wait_p95_s", 95)] {
        if let Some(wait_s) = percentile(&waits, percent) {
            seen.state(fact, Value::Number(wait_s));
        }
    }
    // The newest first, those for security before all others.
    all.sort_by_key(|applied| (!applied.security, -applied.upgrade.at.unix_ms()));
    all.truncate(shared::limits::LIST_RECORDS_MAX);
    seen.state_list("applied", all.iter().map(Applied::record).collect());
}

fn applied<'a>(host: &dyn Host, upgrade: &'a Upgrade, memory: &Memory) -> Applied<'a> {
    let (name, architecture) = (&upgrade.package, &upgrade.architecture);
    let offered = memory.version(name, architecture, &upgrade.to);
    let made = made(host, upgrade);
    let before = [
        offered.and_then(|offered| offered.after),
        made.map(|made| made.at),
    ];
    Applied {
        upgrade,
        security: offered.is_some_and(|offered| offered.security)
            || made.is_some_and(|made| made.security),
        // A date behind the upgrade is no date of what was installed with it.
        after: before
            .into_iter()
            .flatten()
            .filter(|at| *at <= upgrade.at)
            .max(),
        since: offered.map(|offered| offered.since),
    }
}

/// What changelogs said: it does not change, and reading them is the dear part.
static REMEMBERED: Mutex<BTreeMap<String, Made>> = Mutex::new(BTreeMap::new());

fn made(host: &dyn Host, upgrade: &Upgrade) -> Option<Made> {
    let name = format!(
        "{}:{} {}",
        upgrade.package, upgrade.architecture, upgrade.to
    );
    let remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = remembered.get(&name).copied();
    drop(remembered);
    if known.is_some() {
        return known;
    }
    let package = (upgrade.package.as_str(), upgrade.architecture.as_str());
    let made = changelog::made(host, package, &upgrade.to)?;
    let mut remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if REMEMBERED_MAX <= remembered.len() {
        remembered.clear();
    }
    let _same = remembered.insert(name, made);
    Some(made)
}

/// The smallest of the sorted values that so many percent do not exceed: the nearest rank.
fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_by_nearest_rank() {
        for (values, percent, expected) in [
            (&[][..], 95, None),
            (&[7], 50, Some(7)),
            (&[1, 2], 50, Some(1)),
            (&[1, 2], 95, Some(2)),
            (&(1..=20).collect::<Vec<i64>>(), 95, Some(19)),
            (&(1..=100).collect::<Vec<i64>>(), 50, Some(50)),
        ] {
            assert_eq!(percentile(values, percent), expected, "{values:?}");
        }
    }
}
