//! What a time daemon reports, whichever it is: the state of its clock, and its sources.

use shared::fact::{Record, Value};
use shared::time::Timestamp;

use crate::probe::Seen;

/// The clock as a daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracking {
    /// Name of the daemon.
    pub(super) daemon: &'static str,
    /// Address or identifier of the source in use; `None` when there is none.
    pub(super) reference: Option<String>,
    /// normal, insert, delete or unsynchronised.
    pub(super) leap: &'static str,
    /// Time of the last update; `None` when there was none.
    pub(super) updated: Option<Timestamp>,
    /// Facts that are numbers.
    pub(super) numbers: Vec<(&'static str, i64)>,
}

impl Tracking {
    /// States it.
    pub(super) fn state(self, seen: &mut Seen) {
        seen.state("tracking_daemon", Value::Text(self.daemon.to_owned()));
        seen.state("tracking_leap", Value::Text(self.leap.to_owned()));
        for (name, number) in self.numbers {
            seen.state(name, Value::Number(number));
        }
        if let Some(reference) = self.reference {
            seen.state("tracking_reference", Value::Text(reference));
        }
        if let Some(updated) = self.updated {
            seen.state("tracking_updated", Value::Instant(updated));
        }
    }
}

/// The word for a leap indicator: RFC 5905, figure 9.
pub(super) fn leap(indicator: u64) -> Option<&'static str> {
    Some(match indicator {
        0 => "normal",
        1 => "insert",
        2 => "delete",
        3 => "unsynchronised",
        _ => return None,
    })
}

/// What the error of a clock may have grown by since its last update, in microseconds: 15 parts in
/// a million, PHI of RFC 5905 section 7.2. chronyd adds it itself.
pub(super) fn aged_us(updated: Option<Timestamp>, now: Timestamp) -> i64 {
    let age_ms = updated.map_or(0, |updated| now.ms_since(updated).max(0));
    age_ms.saturating_mul(15).saturating_add(999) / 1000
}

/// One source of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Polled {
    /// What is stated of it.
    pub(super) record: Record,
    /// selected, candidate, outlier and more.
    pub(super) state: &'static str,
    /// It answered one of the last eight polls.
    pub(super) answers: bool,
    /// 1 or 0; `None` when the daemon did not say.
    pub(super) nts: Option<usize>,
}

/// States the sources of the daemon whose tracking was stated.
pub(super) fn state_sources(seen: &mut Seen, sources: Vec<Polled>) {
    seen.state_count("usable_source_count", usable(&sources));
    let nts = sources.iter().map(|source| source.nts);
    if let Some(nts) = nts.sum::<Option<usize>>() {
        seen.state_count("nts_source_count", nts);
    }
    let records = sources.into_iter().map(|source| source.record);
    seen.state_list("sources", records.collect());
}

/// How many sources could keep the clock right.
///
/// An outlier is one that chronyd accepts and leaves out of the average: chronyc(1), `sources`. But
/// while none is selected it calls those outliers too that it does not trust.
pub(super) fn usable(sources: &[Polled]) -> usize {
    let selected = sources.iter().any(|source| source.state == "selected");
    let usable = |source: &&Polled| match source.state {
        "selected" | "candidate" => source.answers,
        "outlier" => source.answers && selected,
        _ => false,
    };
    sources.iter().filter(usable).count()
}

/// A record of these fields; what is `None` is left out.
pub(super) fn record<const N: usize>(fields: [(&str, Option<Value>); N]) -> Record {
    let fields = fields.into_iter();
    let fields = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    fields.collect()
}
