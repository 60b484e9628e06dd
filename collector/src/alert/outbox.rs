//! The outbox: what is known of incidents and what is still to be told, on disk before it is told.
//!
//! ```text
//! <collector>/alerts/   segment files (shared::durable); each record is JSON, in pieces if long
//!   whole    everything that counts, in place of all before it
//!   step     what a step has changed, with the notices that it made
//!   told     a notice is settled: delivered, refused, or given up because too many wait
//! ```
//!
//! - A step and its notices are one record, synced before anything is sent: a process that is
//!   killed has either done nothing or knows what it has to tell.
//! - A notice is settled when the receiver has confirmed it, and that is synced before the next
//!   is sent. One whose confirmation was lost in a crash is sent again, with the same incident and
//!   number.
//! - The folder is no derived state: a replay of the ledger or a rebuild of the status leaves it
//!   alone. What is damaged is moved aside; then all that is wrong is told anew.
//! - The queue of a channel is bounded: a reminder that a later notice overtakes is dropped, then
//!   the oldest reminders, and only then the oldest of the others, which is counted and shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::cause::chain;
use shared::durable::{Position, Reader, SegmentError, Segments};
use shared::time::Timestamp;

use super::incident::{Changes, Now, Order, State};
use super::route::Routes;
use super::{Notice, Occasion, undelivered_key};

#[cfg(test)]
mod tests;

/// Most notices that wait for a channel.
pub const WAITING_MAX: usize = 1000;
/// Size of a segment file.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// Bytes of one piece of a record.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// So much is written, beyond twice the bytes of a whole, before a whole is written again.
const GROWTH_BYTES: usize = 4 * 1024 * 1024;
/// First byte of a piece: the first one of a record.
const FIRST: u8 = 1;
/// First byte of a piece: the last one of a record.
const LAST: u8 = 2;

/// The outbox cannot be kept. The operator looks at the disk; it is opened again meanwhile.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The files cannot be used.
    #[error("the outbox of alerts cannot be kept")]
    Files(#[from] SegmentError),
    /// A damaged folder cannot be moved aside.
    #[error("the outbox cannot be moved aside to `{to}`")]
    Aside {
        /// Where it was to go.
        to: PathBuf,
        /// What the machine said.
        source: std::io::Error,
    },
    /// The work broke off; what it did is found when the outbox is opened again.
    #[error("the work on the outbox broke off: {0}")]
    BrokeOff(String),
    /// A record has no form in JSON.
    #[error("a record of the outbox cannot be written")]
    Form(#[from] serde_json::Error),
}

/// What is known of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Notices that the receiver has confirmed.
    pub delivered: u64,
    /// Notices that the receiver has refused.
    pub refused: u64,
    /// Notices that were given up because too many waited; reminders are not counted.
    pub lost: u64,
    /// When the last one was delivered.
    pub last: Option<Timestamp>,
    /// Since when nothing was delivered, though something was to be, and what was said.
    pub failing: Option<(Timestamp, String)>,
}

/// How a notice was settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Settled {
    /// The receiver has it.
    Delivered,
    /// The receiver does not want it.
    Refused(String),
}

/// A record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry {
    Whole(Whole),
    Step {
        at: Timestamp,
        changes: Changes,
        orders: Vec<Order>,
    },
    Told {
        at: Timestamp,
        channel: String,
        order: u64,
        settled: Settled,
    },
}

/// Everything that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Whole {
    changes: Changes,
    queue: Queue,
}

/// What waits, in the order in which it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Queue {
    /// Number of the next order.
    next: u64,
    waiting: BTreeMap<String, BTreeMap<u64, Notice>>,
    tallies: BTreeMap<String, Tally>,
}

impl Queue {
    /// Takes orders; also what it drops for them depends on nothing else.
    fn take(&mut self, at: Timestamp, orders: Vec<Order>) {
        for Order { channel, notice } in orders {
            let waiting = self.waiting.entry(channel.clone()).or_default();
            // Whoever comes late needs the newest word of an incident, and when it began.
            waiting.retain(|_order, older| {
                older.occasion != Occasion::Reminder || older.incident != notice.incident
            });
            let _new = waiting.insert(self.next, notice);
            self.next = self.next.saturating_add(1);
            if waiting.len() <= WAITING_MAX {
                continue;
            }
            let reminder = waiting
                .iter()
                .find(|(_order, notice)| notice.occasion == Occasion::Reminder);
            if let Some(order) = reminder.map(|(order, _notice)| *order) {
                let _reminder = waiting.remove(&order);
                continue;
            }
            let _oldest = waiting.pop_first();
            let tally = self.tallies.entry(channel).or_default();
            tally.lost = tally.lost.saturating_add(1);
            let said = "too many notices wait".to_owned();
            let _since = tally.failing.get_or_insert((at, said));
        }
    }

    fn settle(&mut self, at: Timestamp, channel: &str, order: u64, settled: Settled) {
        if let Some(waiting) = self.waiting.get_mut(channel) {
            let _notice = waiting.remove(&order);
            if waiting.is_empty() {
                let _none = self.waiting.remove(channel);
            }
        }
        let tally = self.tallies.entry(channel.to_owned()).or_default();
        match settled {
            Settled::Delivered => {
                tally.delivered = tally.delivered.saturating_add(1);
                tally.last = Some(at);
                tally.failing = None;
            }
            Settled::Refused(said) => {
                tally.refused = tally.refused.saturating_add(1);
                let since = tally.failing.take().map_or(at, |(since, _said)| since);
                tally.failing = Some((since, said));
            }
        }
    }
}

/// The outbox on disk. One owner, one writer.
#[derive(Debug)]
pub struct Outbox {
    segments: Segments,
    held: Held,
    /// Bytes written since the last whole, and bytes of that.
    grown: (usize, usize),
}

/// What the records say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    state: State,
    queue: Queue,
}

impl Held {
    /// Reads an outbox that another process may be writing.
    ///
    /// # Errors
    ///
    /// [`OutboxError`] when it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, OutboxError> {
        if !folder.exists() {
            return Ok(Self::default());
        }
        Self::of(&Reader::open(folder)).map(|(held, _bytes)| held)
    }

    /// Takes all records, and counts the bytes.
    fn of(reader: &Reader) -> Result<(Self, usize), OutboxError> {
        let (mut held, mut text, mut bytes) = (Self::default(), Vec::new(), 0_usize);
        for record in reader.records()? {
            let (_position, piece) = record?;
            bytes = bytes.saturating_add(piece.len());
            let Some((flags, piece)) = piece.split_first() else {
                continue;
            };
            // Pieces without an end were not synced when the process was killed.
            if flags & FIRST != 0 {
                text.clear();
            }
            text.extend_from_slice(piece);
            if flags & LAST != 0 {
                held.take(serde_json::from_slice(&text)?);
            }
        }
        Ok((held, bytes))
    }

    /// Channels of which people were told that they take nothing, and since when. One for which
    /// nothing waits has nothing to show that it works.
    fn undelivered(&self) -> Vec<(String, Timestamp)> {
        let since = |channel: &String| {
            let key = undelivered_key(channel);
            let mut members = self
                .state
                .incidents()
                .filter_map(|one| one.members.get(&key));
            let told = members.find(|member| member.told)?;
            Some((channel.clone(), told.condition.since))
        };
        self.queue.waiting.keys().filter_map(since).collect()
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Whole(whole) => {
                *self = Self::default();
                self.state.apply(whole.changes);
                self.queue = whole.queue;
            }
            Entry::Step {
                at,
                changes,
                orders,
            } => {
                self.state.apply(changes);
                self.queue.take(at, orders);
            }
            Entry::Told {
                at,
                channel,
                order,
                settled,
            } => self.queue.settle(at, &channel, order, settled),
        }
    }

    /// The incidents.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What is known of each channel that was ever told something.
    pub const fn tallies(&self) -> &BTreeMap<String, Tally> {
        &self.queue.tallies
    }

    /// Channels for which something waits, and how much.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, usize)> {
        let waiting = self.queue.waiting.iter();
        waiting.map(|(channel, waiting)| (channel.as_str(), waiting.len()))
    }

    /// What the channel is to be told next, but for these incidents: what is wrong before what is
    /// over or known, the worst first; of one incident one after the other.
    pub fn next(&self, channel: &str, passed: &BTreeSet<String>) -> Option<(u64, &Notice)> {
        let waiting = self.queue.waiting.get(channel)?;
        let waiting = || {
            waiting
                .iter()
                .filter(|(_, one)| !passed.contains(&one.incident))
        };
        let first = waiting().min_by_key(|(order, notice)| {
            let calls = matches!(notice.occasion, Occasion::Raised | Occasion::Escalated);
            (!calls, calls.then_some(Reverse(notice.severity)), **order)
        });
        let (_order, first) = first?;
        let mut of = waiting().filter(|(_order, notice)| notice.incident == first.incident);
        of.next().map(|(order, notice)| (*order, notice))
    }
}

impl Outbox {
    /// Opens the outbox in `folder`, or makes it. What is damaged is moved aside; the second result
    /// says where to and why, to be logged.
    ///
    /// # Errors
    ///
    /// [`OutboxError`] when nothing can be written there either: the operator must act.
    pub fn open(folder: &Path, now: Timestamp) -> Result<(Self, Option<String>), OutboxError> {
        match Self::open_whole(folder) {
            Ok(outbox) => Ok((outbox, None)),
            Err(
                error @ (OutboxError::Form(_) | OutboxError::Files(SegmentError::Damaged { .. })),
            ) => {
                let to = folder.with_extension(format!("damaged-{}", now.unix_ms()));
                std::fs::rename(folder, &to).map_err(|source| OutboxError::Aside {
                    to: to.clone(),
                    source,
                })?;
                let said = format!("{}; it is now `{}`", chain(&error), to.display());
                Ok((Self::open_whole(folder)?, Some(said)))
            }
            Err(error) => Err(error),
        }
    }

    fn open_whole(folder: &Path) -> Result<Self, OutboxError> {
        let segments = Segments::open(folder, SEGMENT_BYTES)?;
        let (mut held, bytes) = Held::of(segments.reader())?;
        // Whoever starts the collector anew may have repaired what did not work; what people were
        // told of is over when something is delivered.
        for tally in held.queue.tallies.values_mut() {
            tally.failing = None;
        }
        for (channel, since) in held.undelivered() {
            let said = "nothing was delivered since the collector began".to_owned();
            let tally = held.queue.tallies.entry(channel).or_default();
            tally.failing = Some((since, said));
        }
        Ok(Self {
            segments,
            held,
            grown: (bytes, 0),
        })
    }

    /// What the records say.
    pub const fn held(&self) -> &Held {
        &self.held
    }

    /// Goes on to a moment, and returns how many notices were made. They are on disk then.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]: nothing of the step counts; open the outbox again.
    pub fn step(&mut self, routes: &Routes, now: &Now<'_>) -> Result<usize, OutboxError> {
        let step = self.held.state.step(routes, now);
        if step.changes.is_empty() && step.orders.is_empty() {
            return Ok(0);
        }
        let count = step.orders.len();
        let entry = Entry::Step {
            at: now.at,
            changes: step.changes,
            orders: step.orders,
        };
        self.write(&entry)?;
        // The state has gone on already.
        if let Entry::Step { at, orders, .. } = entry {
            self.held.queue.take(at, orders);
        }
        self.shorten()?;
        Ok(count)
    }

    /// Gives up what waits for channels that are not among these: the settings have them no more.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]: open the outbox again.
    pub fn retire(&mut self, at: Timestamp, channels: &[&str]) -> Result<(), OutboxError> {
        let waiting = self.held.queue.waiting.iter();
        let gone = waiting.filter(|(channel, _waiting)| !channels.contains(&channel.as_str()));
        let orders = gone.flat_map(|(channel, waiting)| {
            waiting.keys().map(move |order| (channel.clone(), *order))
        });
        for (channel, order) in orders.collect::<Vec<_>>() {
            let said = "the settings have no such channel any more".to_owned();
            self.settle(at, &channel, order, Settled::Refused(said))?;
        }
        Ok(())
    }

    /// Settles a notice.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]: the notice will be sent again.
    pub fn settle(
        &mut self,
        at: Timestamp,
        channel: &str,
        order: u64,
        settled: Settled,
    ) -> Result<(), OutboxError> {
        let entry = Entry::Told {
            at,
            channel: channel.to_owned(),
            order,
            settled,
        };
        self.write(&entry)?;
        self.held.take(entry);
        self.shorten()
    }

    /// Remembers, for as long as the process runs, that a channel does not work.
    pub fn failing(&mut self, at: Timestamp, channel: &str, said: String) {
        let tally = self.held.queue.tallies.entry(channel.to_owned());
        let tally = tally.or_default();
        let since = tally.failing.take().map_or(at, |(since, _said)| since);
        tally.failing = Some((since, said));
    }

    /// Writes a whole in place of all before it, when that is much shorter.
    fn shorten(&mut self) -> Result<(), OutboxError> {
        let (grown, whole) = self.grown;
        if grown < whole.saturating_mul(2).saturating_add(GROWTH_BYTES) {
            return Ok(());
        }
        let entry = Entry::Whole(Whole {
            changes: self.held.state.whole(),
            queue: self.held.queue.clone(),
        });
        let before = self.grown.0;
        let position = self.write(&entry)?;
        self.grown = (0, self.grown.0.saturating_sub(before));
        Ok(self.segments.forget_before(position)?)
    }

    fn write(&mut self, entry: &Entry) -> Result<Position, OutboxError> {
        let text = serde_json::to_vec(entry)?;
        let count = text.len().div_ceil(PIECE_BYTES).max(1);
        let pieces: Vec<Vec<u8>> = text
            .chunks(PIECE_BYTES)
            .enumerate()
            .map(|(place, piece)| {
                let first = if place == 0 { FIRST } else { 0 };
                let last = if place.saturating_add(1) == count {
                    LAST
                } else {
                    0
                };
                let mut record = Vec::with_capacity(piece.len().saturating_add(1));
                record.push(first | last);
                record.extend_from_slice(piece);
                record
            })
            .collect();
        let records: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let positions = self.segments.append(&records)?;
        self.segments.sync()?;
        self.grown.0 = self.grown.0.saturating_add(text.len());
        Ok(positions.first().copied().unwrap_or_default())
    }
}
