//! Silence of the whole fleet and of the collector itself.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::id::AgentId;
use shared::time::Timestamp;

use crate::assess::Window;
use crate::status::Silence;

/// A time in which nothing came at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quiet {
    /// From when on.
    pub from: Timestamp,
    /// Until when; `None` while it lasts.
    pub to: Option<Timestamp>,
    /// The collector entered nothing; else every host that was expected was silent.
    pub collector: bool,
}

/// The times in which every host that was expected was silent, if there were two or more.
///
/// `expected` says when each host was enrolled, `silences` when it was silent.
#[must_use]
pub fn fleet_silences(
    expected: &[(AgentId, Vec<Window>)],
    silences: &BTreeMap<AgentId, Vec<Silence>>,
    period: Window,
) -> Vec<Quiet> {
    // At each instant: how many more are expected, and how many more are silent.
    let mut steps: BTreeMap<Timestamp, (i64, i64)> = BTreeMap::new();
    let mut step = |window: Window, (expected, silent): (i64, i64)| {
        for (at, sign) in [(window.from, 1), (window.to, -1)] {
            let sum = steps.entry(at).or_default();
            sum.0 += sign * expected;
            sum.1 += sign * silent;
        }
    };
    for (host, enrolled) in expected {
        for there in enrolled.iter().filter_map(|one| one.cut(period)) {
            step(there, (1, 0));
            let of = silences.get(host).map_or(&[][..], Vec::as_slice);
            for silence in of.iter().filter(|one| one.probe.is_none()) {
                let to = silence.to.unwrap_or(period.to);
                let window = Window {
                    from: silence.from,
                    to,
                };
                if let Some(cut) = window.cut(there) {
                    step(cut, (0, 1));
                }
            }
        }
    }
    let mut found: Vec<Quiet> = Vec::new();
    let (mut expected, mut silent) = (0, 0);
    let mut open: Option<Timestamp> = None;
    for (at, (more, quieter)) in steps {
        expected += more;
        silent += quieter;
        match (open, 1 < expected && silent == expected) {
            (None, true) => open = Some(at),
            (Some(from), false) => {
                open = None;
                found.push(Quiet {
                    from,
                    // At the end of the period everything ends here and goes on there.
                    to: (at < period.to).then_some(at),
                    collector: false,
                });
            }
            _ => {}
        }
    }
    found
}

/// The times in which the collector entered nothing for longer than `limit_ms`.
///
/// `received` gives the time of receipt of an entry among `size`. Entries are in the order of
/// receipt, so of a stretch that is shorter than the limit from end to end nothing more is read.
///
/// # Errors
///
/// That of `received`, when the ledger cannot be read.
pub fn gaps<E>(
    size: u64,
    period: Window,
    limit_ms: i64,
    mut received: impl FnMut(u64) -> Result<Timestamp, E>,
) -> Result<Vec<Quiet>, E> {
    let Some(last) = size.checked_sub(1) else {
        return Ok(Vec::new());
    };
    let first = before(size, period.from, &mut received)?;
    let mut found = Vec::new();
    let begun = received(first)?;
    let newest = received(last)?;
    let mut open = vec![((first, begun), (last, newest))];
    while let Some((low, high)) = open.pop() {
        if high.1.ms_since(low.1) <= limit_ms || period.to <= low.1 {
            continue;
        }
        let middle = low.0.midpoint(high.0);
        if middle == low.0 {
            let quiet = Window {
                from: low.1,
                to: high.1,
            };
            if quiet.cut(period).is_some() {
                found.push(Quiet {
                    from: low.1,
                    to: Some(high.1),
                    collector: true,
                });
            }
            continue;
        }
        let half = (middle, received(middle)?);
        open.push((half, high));
        open.push((low, half));
    }
    if limit_ms < period.to.ms_since(newest) {
        found.push(Quiet {
            from: newest,
            to: None,
            collector: true,
        });
    }
    Ok(found)
}

/// The last entry that was received before an instant, or the first of all.
fn before<E>(
    size: u64,
    at: Timestamp,
    received: &mut impl FnMut(u64) -> Result<Timestamp, E>,
) -> Result<u64, E> {
    let (mut low, mut high) = (0, size);
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if received(middle)? < at {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
