//! The life of the agent: look when it is due, record, keep, bring, and say so when it stops.
//!
//! [`Agent::turn`] does what is due and says for how long the caller may sleep. A collector that is
//! away, a full disk or a probe that cannot look never end a run; a spool that cannot be read does,
//! since a stream must not go on beside it.

use std::sync::Arc;

use shared::attestation::{Boot, Position};
use shared::cause::chain;
use shared::exchange::Exchange;
use shared::time::Timestamp;

use crate::attest::{Circumstances, Matter, Moment, Observed, Program, attest, host_time};
use crate::config::Settings;
use crate::connection::Connection;
use crate::host::Host;
use crate::identity::Identity;
use crate::probe::{PROBES, Probe};
use crate::schedule::{self, Clock, HEARTBEAT, LastRuns, Plan};
use crate::ship::{self, Retry, ShipError};
use crate::spool::{Spool, SpoolError};

pub use contact::{Contact, End, Failure};
pub use error::RunError;
pub use look::{Lookers, looks_beside, probes};

mod contact;
mod error;
mod look;
pub mod show;
pub mod standing;

/// Longest time that the caller may sleep, in milliseconds: the wall clock may be set meanwhile.
const SLEEP_MS_MAX: i64 = 60_000;

/// How often it is asked for what probes saw beside the others, in milliseconds.
const BESIDE_MS: i64 = 1000;

/// What the agent works with; made by the main program.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// What stands in every record of the program.
    pub program: &'a Program,
    /// The host that is looked at.
    pub host: &'a Arc<dyn Host>,
    /// The clocks.
    pub clock: &'a dyn Clock,
    /// Id of this boot.
    pub boot: &'a str,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Surroundings({:?})", self.program)
    }
}

/// An enrolled agent at work.
#[derive(Debug)]
pub struct Agent<'a> {
    around: Surroundings<'a>,
    identity: Identity,
    plan: Plan,
    last: LastRuns,
    /// Closed after a failed write, to be opened anew.
    spool: Option<Spool>,
    contact: Contact,
    lookers: Lookers,
    /// What probes beside the others saw, until it stands in a record, and since when it was due.
    late: Option<(Timestamp, Vec<Observed>)>,
    /// Whether it stands in no record yet that the agent has started.
    unstarted: bool,
    /// What the last visit says of the clock, until a record says it.
    exchange: Option<Exchange>,
    /// When records are made again.
    keeping: Retry,
    /// When the collector is visited again.
    visiting: Retry,
    /// When a new certificate is asked for again.
    renewing: Retry,
}

impl<'a> Agent<'a> {
    /// Opens identity and spool.
    ///
    /// # Errors
    ///
    /// [`RunError`]; what a later turn may do better is logged instead.
    pub fn open(around: Surroundings<'a>, identity: Identity) -> Result<Self, RunError> {
        // What must not be forgotten, that this generation ended, shows again at the next visit.
        let contact = Contact::load(identity.folder()).unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "how visits ended is not known");
            Contact::default()
        });
        let plan = Plan::new(identity.agent().as_str(), &around.settings.schedule.0);
        let mut agent = Self {
            around,
            identity,
            plan,
            last: LastRuns::new(),
            spool: None,
            contact,
            lookers: Lookers::default(),
            late: None,
            unstarted: false,
            exchange: None,
            keeping: Retry::default(),
            visiting: Retry::default(),
            renewing: Retry::default(),
        };
        agent.check_going()?;
        let opened = agent.opened().map(drop);
        let _kept = kept(opened.map_err(RunError::from))?;
        Ok(agent)
    }

    /// Records that the agent has started, now or at the first turn that can.
    ///
    /// # Errors
    ///
    /// [`RunError`]; what a later turn may do better is logged instead.
    pub fn start(&mut self) -> Result<(), RunError> {
        let times = self.around.settings.schedule.0.get(HEARTBEAT);
        let silence_ms = times.map_or(0, |cron| cron.shortest_ms().saturating_mul(2));
        if self.identity.silence_ms_max() < silence_ms {
            tracing::warn!(
                silence_ms,
                silence_ms_max = self.identity.silence_ms_max(),
                "heartbeats are rarer than the collector expects"
            );
        }
        self.unstarted = true;
        let outcome = self.record_start();
        self.kept_or_later(outcome).map(drop)
    }

    /// Does what is due, and returns for how many milliseconds the caller may sleep.
    ///
    /// # Errors
    ///
    /// [`RunError`]; what a later turn may do better is logged instead.
    pub async fn turn(&mut self) -> Result<u64, RunError> {
        self.check_going()?;
        if self.keeping.may(self.around.clock.since_boot_ms()) {
            let before = self.last.clone();
            let outcome = self.gather().await;
            if !self.kept_or_later(outcome)? {
                // Still due, and its record will say since when.
                self.last = before;
            }
        }
        self.visit().await;
        Ok(self.sleep_ms())
    }

    /// Lets the probes look that are due, and records it; a jump of the clock is recorded alone.
    async fn gather(&mut self) -> Result<(), RunError> {
        self.record_start()?;
        self.record_late()?;
        let now = self.around.clock.wall();
        schedule::set_back(&mut self.last, now);
        let due = self.plan.due(now, &self.last);
        let names: Vec<String> = due.iter().map(|line| line.name.clone()).collect();
        let Some(since) = due.iter().map(|line| line.since).min() else {
            return self.record_step(now);
        };
        let heartbeat = self.last.get(HEARTBEAT).copied();
        for name in names.iter().chain([&HEARTBEAT.to_owned()]) {
            let _before = self.last.insert(name.clone(), now);
        }
        let recorded = self.due(&names, since).await?;
        if let (false, Some(heartbeat)) = (recorded, heartbeat) {
            let _now = self.last.insert(HEARTBEAT.to_owned(), heartbeat);
        }
        Ok(())
    }

    /// Records what probes saw beside the others, once they have come back.
    fn record_late(&mut self) -> Result<(), RunError> {
        if self.late.is_none() {
            self.late = self.lookers.late(self.around.clock);
        }
        let Some((since, observed)) = self.late.take() else {
            return Ok(());
        };
        look::log(&observed);
        let outcome = self.record(Matter::Run(&observed), since);
        if outcome.is_err() {
            self.late = Some((since, observed));
        }
        outcome
    }

    /// One run of these probes now, and a visit to the collector.
    ///
    /// # Errors
    ///
    /// [`RunError`], or the [`ShipError`] of the visit.
    pub async fn once(
        &mut self,
        observed: &[Observed],
        due: Timestamp,
    ) -> Result<Result<usize, ShipError>, RunError> {
        self.check_going()?;
        self.record(Matter::Run(observed), due)?;
        let result = self.ship().await;
        self.note(&result);
        Ok(result)
    }

    /// Records that the agent was told to stop; [`Agent::visit`] or the next start brings it to the
    /// collector.
    ///
    /// # Errors
    ///
    /// [`RunError`]; a disk that does not take it is logged instead.
    pub fn stop(&mut self) -> Result<(), RunError> {
        let now = self.around.clock.wall();
        kept(self.record(Matter::Stop, now)).map(drop)
    }

    fn record_start(&mut self) -> Result<(), RunError> {
        if self.unstarted {
            let now = self.around.clock.wall();
            self.record(Matter::Start, now)?;
            self.unstarted = false;
        }
        Ok(())
    }

    /// Whether something was kept; when the disk did not take it, it is tried again later.
    fn kept_or_later(&mut self, outcome: Result<(), RunError>) -> Result<bool, RunError> {
        let kept = kept(outcome)?;
        if kept {
            self.keeping.went_well();
        } else {
            let now_ms = self.around.clock.since_boot_ms();
            let salt = self.identity.agent().as_str();
            let _wait_ms = self.keeping.failed(now_ms, None, salt);
        }
        Ok(kept)
    }

    fn check_going(&self) -> Result<(), RunError> {
        match self.contact.end {
            Some(end) if end.ends_generation() => Err(RunError::Ended(end.what())),
            Some(_) | None => Ok(()),
        }
    }

    /// Lets these probes look. Whether a record was made: those that look beside the others make
    /// theirs later.
    async fn due(&mut self, names: &[String], since: Timestamp) -> Result<bool, RunError> {
        let due = |probe: &&dyn Probe| {
            let name = probe.subject().probe;
            names.iter().any(|due| due == name)
        };
        let probes: Vec<&'static dyn Probe> = PROBES.iter().copied().filter(due).collect();
        if probes.is_empty() {
            return self.record(Matter::Heartbeat, since).map(|()| true);
        }
        let (around, own) = (self.around, self.identity.own());
        let observed = self
            .lookers
            .look(
                &probes,
                around.host,
                (&around.settings.probe, Some(&own)),
                around.clock,
            )
            .await;
        if observed.is_empty() {
            return self.record_step(since).map(|()| false);
        }
        look::log(&observed);
        self.record(Matter::Run(&observed), since).map(|()| true)
    }

    /// Records something, before it that the wall clock jumped, and after it what was dropped.
    fn record(&mut self, matter: Matter<'_>, due: Timestamp) -> Result<(), RunError> {
        self.record_step(due)?;
        self.write(matter, due)?;
        if let Some(gap) = self.opened()?.lost().cloned() {
            tracing::error!(
                first = gap.first,
                last = gap.last,
                blobs = gap.blobs,
                "the spool was full and blobs were dropped"
            );
            self.write(Matter::Gap(gap), due)?;
        }
        Ok(())
    }

    /// Records that the wall clock jumped since the last record, when it did.
    fn record_step(&mut self, due: Timestamp) -> Result<(), RunError> {
        let moment = self.moment();
        let last = self.opened()?.last();
        match last.and_then(|last| moment.step_since(last)) {
            Some(step_ms) => {
                tracing::warn!(step_ms, "the wall clock jumped");
                self.write(Matter::Clock, due)
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, matter: Matter<'_>, due: Timestamp) -> Result<(), RunError> {
        let (around, moment) = (self.around, self.moment());
        let exchange = self.exchange.take();
        let (agent, generation) = (self.identity.agent().clone(), self.identity.generation());
        let spool = self.opened()?;
        let at = Circumstances {
            stream: Position {
                agent,
                generation,
                seq: spool.next_seq(),
                prev: spool.link(),
            },
            time: host_time(moment.wall, &around.host.kernel_clock(), exchange),
            moment,
            seen: spool.seen(),
            due,
        };
        let key = self.identity.evidence_key();
        let (record, blobs) = attest(key, around.program, at, matter)?;
        let kept = self.opened()?.append(&record, &blobs);
        if kept.is_err() {
            // What a failed write left on disk is known only after reading it.
            self.spool = None;
        }
        Ok(kept?)
    }

    fn moment(&self) -> Moment {
        let mono_ms = self.around.clock.since_boot_ms();
        let id = self.around.boot.to_owned();
        Moment {
            boot: Boot { id, mono_ms },
            wall: self.around.clock.wall(),
        }
    }

    fn opened(&mut self) -> Result<&mut Spool, SpoolError> {
        let spool = match self.spool.take() {
            Some(spool) => spool,
            None => Spool::open(
                &self.identity.spool_folder(),
                self.around.settings.spool.bytes_max,
            )?,
        };
        Ok(self.spool.insert(spool))
    }

    /// Visits the collector when there is a reason to; how it ended is logged and kept.
    pub async fn visit(&mut self) {
        let now_ms = self.around.clock.since_boot_ms();
        // Opened anew after a failed write: what is on the disk is brought also when it is full.
        let unsent = self.opened().is_ok_and(|spool| 0 < spool.depth());
        let wanted = unsent || self.renewal_due();
        // A ledger that contradicted what was seen is asked again whether it still does.
        if self.check_going().is_ok() && wanted && self.visiting.may(now_ms) {
            let result = self.ship().await;
            self.note(&result);
        }
    }

    async fn ship(&mut self) -> Result<usize, ShipError> {
        let url = &self.around.settings.collector.url;
        let url = url
            .clone()
            .unwrap_or_else(|| self.identity.url().to_owned());
        let connection = self.identity.connect(&url)?;
        if self.renewal_due() {
            self.renew(&connection).await;
        }
        let boot = self.around.boot;
        let clock = self.around.clock;
        self.exchange = ship::compare_clocks(&connection, clock)
            .await
            .or(self.exchange);
        self.opened()?;
        let Some(spool) = self.spool.as_mut() else {
            return Ok(0);
        };
        let result = ship::ship(&connection, &self.identity, spool, boot).await;
        if matches!(&result, Err(ShipError::Spool(_))) {
            self.spool = None;
        }
        result
    }

    fn renewal_due(&self) -> bool {
        self.renewing.may(self.around.clock.since_boot_ms())
            && self.identity.renewal_due(self.around.clock.wall())
    }

    /// Asks for a new certificate. When it does not come, what is in the spool is brought while the
    /// old one lasts.
    async fn renew(&mut self, connection: &Connection) {
        match self.identity.renew(connection).await {
            Ok(()) => {
                self.renewing.went_well();
                let until = self.identity.certificate_end();
                tracing::info!(%until, "certificate renewed");
            }
            Err(error) => {
                let after_ms = error.retry_after_ms();
                let now_ms = self.around.clock.since_boot_ms();
                let salt = self.identity.agent().as_str();
                let wait_ms = self.renewing.failed(now_ms, after_ms, salt);
                let (error, hint) = (chain(&error), error.hint());
                tracing::warn!(error, hint, wait_ms, "certificate not renewed");
            }
        }
    }

    /// Keeps how the visit ended, for the next one and for `status`.
    fn note(&mut self, result: &Result<usize, ShipError>) {
        let now = self.around.clock.wall();
        match result {
            Ok(records) => {
                tracing::debug!(records, "records have receipts");
                self.visiting.went_well();
            }
            Err(error) => {
                let salt = self.identity.agent().as_str();
                let now_ms = self.around.clock.since_boot_ms();
                let after_ms = error.retry_after_ms();
                let wait_ms = self.visiting.failed(now_ms, after_ms, salt);
                tracing::warn!(
                    error = chain(error),
                    hint = error.hint(),
                    wait_ms,
                    "the collector has not taken everything"
                );
            }
        }
        let before = self.contact.end;
        if let Err(error) = self.contact.note(self.identity.folder(), now, result) {
            tracing::error!(error = chain(&error), "the visit cannot be noted");
        }
        if before.is_some() && self.contact.end.is_none() {
            tracing::warn!("the ledger has shown again that it grew from what was seen");
            if let Err(error) = self.record(Matter::Start, now) {
                tracing::error!(error = chain(&error), "the repair cannot be recorded");
            }
        }
        if let Some(end) = self.contact.end {
            tracing::error!(end = end.what(), "nothing is sent");
        }
    }

    fn sleep_ms(&self) -> u64 {
        let (now, now_ms) = (self.around.clock.wall(), self.around.clock.since_boot_ms());
        let next = self.plan.next(now, &self.last);
        let mut sleep_ms = next.map_or(SLEEP_MS_MAX, |next| next.ms_since(now));
        sleep_ms = sleep_ms.max(self.keeping.wait_ms(now_ms));
        let unsent = self.spool.as_ref().is_some_and(|spool| 0 < spool.depth());
        if unsent {
            sleep_ms = sleep_ms.min(self.visiting.wait_ms(now_ms));
        }
        if self.lookers.are_beside() {
            sleep_ms = sleep_ms.min(BESIDE_MS);
        }
        // A turn that failed at once must not be repeated at once.
        u64::try_from(sleep_ms.clamp(200, SLEEP_MS_MAX)).unwrap_or(200)
    }
}

/// Whether something was kept; lets pass what a later turn may do better: a disk that is full or
/// does not answer.
fn kept(outcome: Result<(), RunError>) -> Result<bool, RunError> {
    match outcome {
        Err(RunError::Spool(error)) if error.may_pass() => {
            let (error, hint) = (chain(&error), error.hint());
            tracing::error!(
                error,
                hint,
                "what was seen cannot be kept; tried again later"
            );
            Ok(false)
        }
        outcome => outcome.map(|()| true),
    }
}

#[cfg(test)]
mod tests;
