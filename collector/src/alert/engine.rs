//! The engine at work: looks at what is wrong, keeps the outbox, and serves each channel apart.
//!
//! A channel that is down holds nobody else up: each has its own queue and its own pace. After a
//! failure it waits a second, then twice as long each time up to five minutes, and longer when the
//! receiver says so; a part of the wait is left to chance, so that collectors do not come together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use shared::cause::chain;
use shared::id::Digest;
use shared::time::Timestamp;
use tokio::sync::watch;

use super::incident::Now;
use super::outbox::{Held, Outbox, OutboxError, Settled, Tally};
use super::quiet::{Hush, Quiet};
use super::route::Routes;
use super::{DeliveryError, Notice, undelivered_key};
use crate::catalog::Severity;
use crate::drift::{Condition, ConditionKind};

#[cfg(test)]
mod tests;

/// The longest wait after a failure.
const WAIT_MAX: Duration = Duration::from_mins(5);
/// How long one delivery may take, whatever the channel says.
const DELIVERY_MAX: Duration = Duration::from_mins(10);
/// How long a delivery may go on when the collector is told to stop.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How long the outbox is left alone after it could not be written.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a channel may fail before others are told.
const FAILING_MS: i64 = 2 * 60 * 1000;
/// How long all channels may fail before the collector counts as dead, in milliseconds.
const DUMB_MS: i64 = 5 * 60 * 1000;
/// So often a notice is tried before others of its channel pass it.
const TRIES: u32 = 5;
/// Most characters that are kept of what a receiver said.
const SAID_CHARS_MAX: usize = 300;

/// What came of a delivery.
pub type Delivery = Pin<Box<dyn Future<Output = Result<(), DeliveryError>> + Send>>;
/// Delivers a notice.
pub type Deliver = Arc<dyn Fn(Notice) -> Delivery + Send + Sync>;
/// Reads the clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The engine.
pub struct Engine {
    name: String,
    folder: PathBuf,
    routes: Routes,
    channels: BTreeMap<String, Deliver>,
    clock: Clock,
    /// `None` after a failure, until it can be opened again.
    outbox: Mutex<Option<Outbox>>,
    /// Changes when there is something to deliver.
    made: watch::Sender<u64>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.folder.display())
    }
}

/// What people ask the engine: open incidents, and how channels do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Open incidents, the newest condition last.
    pub incidents: Vec<Listed>,
    /// Channels.
    pub channels: BTreeMap<String, Pace>,
}

/// An open incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name; empty while nobody was told.
    pub incident: String,
    /// The route that takes it.
    pub route: String,
    /// What its conditions have in common, e.g. `check=clock.synchronised`.
    pub group: Vec<String>,
    /// The highest severity of what is there; none while all of it is gone.
    pub severity: Option<Severity>,
    /// When people were told first; none while it waits or is silenced.
    pub raised: Option<Timestamp>,
    /// How often it was escalated.
    pub escalated: usize,
    /// All of it is acknowledged or silenced.
    pub hushed: bool,
    /// Notices so far.
    pub notices: u64,
    /// Its conditions.
    pub conditions: Vec<ListedCondition>,
}

/// A condition of an open incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedCondition {
    /// The condition.
    #[serde(flatten)]
    pub condition: Condition,
    /// Somebody was told.
    pub told: bool,
    /// Why nobody is reminded of it.
    pub hush: Option<Hush>,
}

/// How a channel does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// Notices that wait.
    pub waiting: usize,
    /// What became of the others.
    #[serde(flatten)]
    pub tally: Tally,
}

impl Listing {
    /// What an outbox says.
    #[must_use]
    pub fn of(outbox: &Held) -> Self {
        let incidents = outbox.state().incidents().map(|incident| {
            let head = &incident.head;
            let conditions = incident.members.values().map(|member| ListedCondition {
                condition: member.condition.clone(),
                told: member.told,
                hush: member.hush.clone(),
            });
            Listed {
                incident: head.id.clone(),
                route: head.route.clone(),
                group: head.group.clone(),
                severity: incident.severity(),
                raised: head.raised,
                escalated: head.rung,
                hushed: head.hushed,
                notices: head.number,
                conditions: conditions.collect(),
            }
        });
        let tallies = outbox.tallies().iter();
        let mut channels: BTreeMap<String, Pace> = tallies
            .map(|(channel, tally)| {
                let tally = tally.clone();
                (channel.clone(), Pace { waiting: 0, tally })
            })
            .collect();
        for (channel, waiting) in outbox.waiting() {
            channels.entry(channel.to_owned()).or_default().waiting = waiting;
        }
        Self {
            incidents: incidents.collect(),
            channels,
        }
    }
}

impl Engine {
    /// An engine with its outbox in `folder`.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]: the operator must look at the folder.
    pub fn open(
        (name, folder): (String, PathBuf),
        routes: Routes,
        channels: BTreeMap<String, Deliver>,
        clock: Clock,
    ) -> Result<Self, OutboxError> {
        let engine = Self {
            name,
            folder,
            routes,
            channels,
            clock,
            outbox: Mutex::new(None),
            made: watch::Sender::new(0),
        };
        let names: Vec<&str> = engine.channels().collect();
        engine.with(|outbox| outbox.retire((engine.clock)(), &names))?;
        drop(names);
        Ok(engine)
    }

    /// Names of the channels.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.channels.keys().map(String::as_str)
    }

    /// Takes all that is wrong now, and gives the channels what follows from it. Syncs files.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]: nobody is told; the next look tries again.
    pub fn look(&self, conditions: &[Condition], quiet: &Quiet) -> Result<(), OutboxError> {
        let at = (self.clock)();
        let made = self.with(|outbox| {
            let mut conditions = conditions.to_vec();
            conditions.extend(self.undelivered(outbox.held(), at));
            let now = Now {
                at,
                collector: &self.name,
                conditions: &conditions,
                quiet,
            };
            outbox.step(&self.routes, &now)
        })?;
        if 0 < made {
            self.made.send_modify(|made| *made = made.wrapping_add(1));
        }
        Ok(())
    }

    /// What people ask.
    ///
    /// # Errors
    ///
    /// [`OutboxError`] when the outbox cannot be opened.
    pub fn listing(&self) -> Result<Listing, OutboxError> {
        self.with(|outbox| Ok(Listing::of(outbox.held())))
    }

    /// Whether there are channels, and all of them fail since minutes, or the outbox does.
    pub async fn is_dumb(self: Arc<Self>) -> bool {
        let now = (self.clock)();
        let names: Vec<String> = self.channels().map(str::to_owned).collect();
        let fails = self.apart(move |outbox| {
            let tallies = outbox.held().tallies();
            let fails = |name: &String| {
                let failing = tallies.get(name).and_then(|tally| tally.failing.as_ref());
                failing.is_some_and(|(since, _said)| DUMB_MS <= now.ms_since(*since))
            };
            Ok(!names.is_empty() && names.iter().all(fails))
        });
        fails.await.unwrap_or(true)
    }

    /// Delivers what waits for a channel until `stop` changes.
    pub async fn serve(self: Arc<Self>, channel: String, mut stop: watch::Receiver<bool>) {
        let Some(deliver) = self.channels.get(&channel).map(Arc::clone) else {
            return;
        };
        let mut made = self.made.subscribe();
        let mut failures = 0_u32;
        // Incidents that others pass, and how often the notice at hand was tried.
        let (mut passed, mut tried) = (BTreeSet::new(), (0, 0_u32));
        while !*stop.borrow_and_update() {
            let _seen = *made.borrow_and_update();
            let (order, notice) = match self.next(&channel, &passed).await {
                Ok(Some(next)) => next,
                Ok(None) if !passed.is_empty() => {
                    passed.clear();
                    continue;
                }
                Ok(None) => {
                    tokio::select! {
                        _ = made.changed() => {}
                        _ = stop.changed() => {}
                    }
                    continue;
                }
                Err(error) => {
                    tracing::error!(channel, error = chain(&error), "outbox cannot be read");
                    rest(AGAIN, &mut stop).await;
                    continue;
                }
            };
            let incident = notice.incident.clone();
            let Some(delivered) = in_time(deliver(notice), &mut stop).await else {
                return;
            };
            let settled = match delivered {
                Ok(()) => Settled::Delivered,
                Err(DeliveryError::Refused(said)) => {
                    let said = short(&said);
                    tracing::error!(channel, said, "a notice is refused");
                    Settled::Refused(said)
                }
                Err(DeliveryError::Again { why, after }) => {
                    failures = failures.saturating_add(1);
                    tried = (
                        order,
                        if tried.0 == order { tried.1 } else { 0 }.saturating_add(1),
                    );
                    if TRIES <= tried.1 {
                        tried.1 = 0;
                        let _new = passed.insert(incident);
                    }
                    self.failed(&channel, short(&why)).await;
                    let wait = pause(failures, order, (self.clock)());
                    rest(wait.max(after.unwrap_or_default()), &mut stop).await;
                    continue;
                }
            };
            failures = 0;
            self.settle(&channel, order, settled, &mut stop).await;
        }
    }

    /// What a channel is to be told next.
    async fn next(
        self: &Arc<Self>,
        channel: &str,
        passed: &BTreeSet<String>,
    ) -> Result<Option<(u64, Notice)>, OutboxError> {
        let (channel, passed) = (channel.to_owned(), passed.clone());
        self.apart(move |outbox| {
            let next = outbox.held().next(&channel, &passed);
            Ok(next.map(|(order, notice)| (order, notice.clone())))
        })
        .await
    }

    /// Remembers that a channel does not work.
    async fn failed(self: &Arc<Self>, channel: &str, said: String) {
        tracing::warn!(channel, said, "a notice waits");
        let (at, channel) = ((self.clock)(), channel.to_owned());
        let noted = self.apart(move |outbox| {
            outbox.failing(at, &channel, said);
            Ok(())
        });
        if let Err(error) = noted.await {
            tracing::error!(error = chain(&error), "the outbox is not there");
        }
    }

    /// Writes down what became of a notice. Until that is done nothing else is sent: what was
    /// confirmed must not be sent again.
    async fn settle(
        self: &Arc<Self>,
        channel: &str,
        order: u64,
        settled: Settled,
        stop: &mut watch::Receiver<bool>,
    ) {
        loop {
            let (at, channel, settled) = ((self.clock)(), channel.to_owned(), settled.clone());
            let written = self.apart(move |outbox| outbox.settle(at, &channel, order, settled));
            let Err(error) = written.await else { return };
            tracing::error!(error = chain(&error), "the outbox cannot be written");
            if *stop.borrow() {
                return;
            }
            rest(AGAIN, stop).await;
        }
    }

    /// Works with the outbox on a thread that may wait for the disk.
    async fn apart<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Outbox) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, OutboxError> {
        let engine = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || engine.with(work)).await;
        done.unwrap_or_else(|error| Err(OutboxError::BrokeOff(error.to_string())))
    }

    /// Channels that do not work.
    fn undelivered(&self, held: &Held, now: Timestamp) -> Vec<Condition> {
        let failing = held.tallies().iter().filter_map(|(channel, tally)| {
            let (since, said) = tally.failing.as_ref()?;
            let lasting = FAILING_MS <= now.ms_since(*since);
            (lasting && self.channels.contains_key(channel)).then(|| Condition {
                key: undelivered_key(channel),
                kind: ConditionKind::Undelivered,
                severity: Severity::High,
                host: None,
                groups: Vec::new(),
                check: None,
                controls: Vec::new(),
                owners: Vec::new(),
                since: *since,
                text: format!(
                    "alert channel `{channel}` takes nothing: {said}; \
                     try `evident-collector alert test {channel}`"
                ),
                facts: BTreeMap::new(),
                evidence: Vec::new(),
            })
        });
        failing.collect()
    }

    /// Works with the outbox; after a failure it is opened again the next time.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Outbox) -> Result<T, OutboxError>,
    ) -> Result<T, OutboxError> {
        let mut held: MutexGuard<'_, Option<Outbox>> =
            self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outbox = if let Some(outbox) = held.take() {
            outbox
        } else {
            let (outbox, damage) = Outbox::open(&self.folder, (self.clock)())?;
            if let Some(damage) = damage {
                tracing::error!(damage, "the outbox of alerts begins anew");
            }
            outbox
        };
        let done = work(&mut outbox)?;
        *held = Some(outbox);
        Ok(done)
    }
}

/// A delivery to its end; `None` when the collector stops before.
async fn in_time(
    delivery: Delivery,
    stop: &mut watch::Receiver<bool>,
) -> Option<Result<(), DeliveryError>> {
    let mut delivery = std::pin::pin!(tokio::time::timeout(DELIVERY_MAX, delivery));
    let done = tokio::select! {
        done = &mut delivery => done,
        _ = stop.changed() => tokio::time::timeout(LAST_WORD, delivery).await.ok()?,
    };
    Some(done.unwrap_or_else(|_elapsed| {
        Err(DeliveryError::Again {
            why: "no answer in time".to_owned(),
            after: None,
        })
    }))
}

/// Waits, unless the collector is told to stop.
async fn rest(wait: Duration, stop: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        _ = stop.changed() => {}
    }
}

/// How long to wait after so many failures: doubled each time, and up to a quarter less by chance.
fn pause(failures: u32, order: u64, at: Timestamp) -> Duration {
    let doubled = 1_u64
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u64::MAX);
    let wait = Duration::from_secs(doubled).min(WAIT_MAX);
    let chance = Digest::of(format!("{order} {}", at.unix_ms()).as_bytes());
    let [chance, ..] = *chance.as_bytes();
    wait.saturating_sub(wait.saturating_mul(u32::from(chance)) / 1024)
}

/// What a receiver said, on one line and not too long.
fn short(said: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    said.chars().take(SAID_CHARS_MAX).map(plain).collect()
}
