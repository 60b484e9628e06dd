//! Changes of verdict over the whole fleet, in the order of time.

use std::collections::BTreeSet;

use shared::id::AgentId;
use shared::time::Timestamp;

use super::history::{Changed, Changes, Cursor, Span};
use super::query::span_of;
use super::record::{self, Past};
use super::table::Table;
use super::{Status, StatusError, store};

/// A change by its place in the order of all: time, index of the entry that showed it (the highest
/// number while none did), host, check.
type Place = (Timestamp, u64, AgentId, String);

impl Status {
    /// All changes from `from` until before `to` over the fleet in the order of time, at most
    /// `most`, those behind `after` only. Evidence that is too old before `to` counts so.
    ///
    /// A change that a late record shows can stand before a cursor that was given out earlier.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn changes(
        &self,
        from: Timestamp,
        to: Timestamp,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Changes, StatusError> {
        let table = self.table();
        table.whole()?;
        let after = after.and_then(Cursor::place);
        let from = after.as_ref().map_or(from, |(at, ..)| from.max(*at));
        let behind = |place: &Place| after.as_ref().is_none_or(|after| after < place);
        let enough = most.saturating_add(1);
        let mut places = open_places(&table, (from, to), enough, behind);
        let stored = self
            .store
            .range::<()>(&record::when_from(from), &record::when_from(to));
        let mut many = 0_usize;
        for pair in stored {
            let (key, ()) = pair?;
            let place = record::when_parts(&key).ok_or_else(|| store::damaged(&key))?;
            if behind(&place) {
                let _new = places.insert(place);
                many = many.saturating_add(1);
            }
            if enough <= many {
                break;
            }
        }
        let mut changes = Vec::new();
        let mut last = None;
        let more = most < places.len();
        for place in places.into_iter().take(most) {
            changes.push(self.changed(&table, &place)?);
            last = Some(place);
        }
        let next = last.filter(|_| more).map(|place| Cursor::of(&place));
        Ok(Changes { changes, next })
    }

    fn changed(&self, table: &Table, place: &Place) -> Result<Changed, StatusError> {
        let (at, index, host, check) = place;
        let before = self.before(host, check, (*at, *index))?;
        let open = || Self::open_stale(table, host, check);
        let after = if *index == u64::MAX {
            open().and_then(|(from, past)| span_of(from, past, None))
        } else {
            let key = record::past(host, check, *at, *index);
            let past: Option<Past> = self.store.get(&key)?;
            let past = past.ok_or_else(|| store::damaged(&key))?;
            let next = self.next(host, check, (*at, *index))?;
            let end = next.or_else(|| open().map(|(from, _past)| from));
            span_of(*at, past, end)
        };
        Ok(Changed {
            at: *at,
            host: host.clone(),
            check: check.clone(),
            before,
            after,
        })
    }

    /// The span that ends with a change.
    fn before(
        &self,
        host: &AgentId,
        check: &str,
        (at, index): (Timestamp, u64),
    ) -> Result<Option<Span>, StatusError> {
        let from = record::past_from(host, check, Timestamp::default().plus_ms(i64::MIN));
        let to = record::past(host, check, at, index);
        let before = self.store.range::<Past>(&from, &to).next_back();
        let Some((key, past)) = before.transpose()? else {
            return Ok(None);
        };
        let begun = record::past_at(&key).ok_or_else(|| store::damaged(&key))?;
        Ok(span_of(begun, past, Some(at)))
    }

    /// When the change after a stored one is.
    fn next(
        &self,
        host: &AgentId,
        check: &str,
        (at, index): (Timestamp, u64),
    ) -> Result<Option<Timestamp>, StatusError> {
        let from = record::past(host, check, at, index.saturating_add(1));
        let to = record::past_from(host, check, Timestamp::default().plus_ms(i64::MAX));
        let next = self.store.range::<Past>(&from, &to).next();
        Ok(next
            .transpose()?
            .and_then(|(key, _past)| record::past_at(&key)))
    }
}

/// The first of the changes that no entry has shown yet: evidence that is too old.
fn open_places(
    table: &Table,
    (from, to): (Timestamp, Timestamp),
    most: usize,
    wanted: impl Fn(&Place) -> bool,
) -> BTreeSet<Place> {
    let mut places: BTreeSet<Place> = BTreeSet::new();
    for (name, row) in &table.rows {
        for (number, check) in table.plan.checks.iter().enumerate() {
            let stale = row.stale_from(number, &table.plan);
            let Some(at) = stale.filter(|at| from <= *at && *at < to) else {
                continue;
            };
            // A whole fleet can be silent: no more are held than are told.
            if most <= places.len() && places.last().is_some_and(|last| last.0 < at) {
                continue;
            }
            let place = (at, u64::MAX, name.clone(), check.id.clone());
            if wanted(&place) && places.insert(place) && most < places.len() {
                drop(places.pop_last());
            }
        }
    }
    places
}

impl Cursor {
    fn of((at, index, host, check): &Place) -> Self {
        Self(format!("{} {index} {host} {check}", at.unix_ms()))
    }

    /// Where it stands; `None` when it is none that was given out here.
    fn place(&self) -> Option<Place> {
        let mut parts = self.0.split(' ');
        let at = Timestamp::from_unix_ms(parts.next()?.parse().ok()?).ok()?;
        let index = parts.next()?.parse().ok()?;
        let host = parts.next()?.parse().ok()?;
        Some((at, index, host, parts.next()?.to_owned()))
    }
}
