//! Lets probes look, each on a thread of its own: a mount that does not answer holds up one probe,
//! never the agent.
//!
//! Ordinary probes look one after the other, and what they saw is one run. A probe that asks for
//! more time than these have goes on beside them when it has not come back soon; what it saw is
//! then a run of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use shared::time::Timestamp;
use tokio::sync::oneshot;

use crate::attest::Observed;
use crate::config::ProbeSettings;
use crate::host::Host;
use crate::probe::{Before, LOOK_TIME_MAX, Own, PROBES, Probe, Scene, Seen};
use crate::schedule::Clock;

/// How long the others wait for a probe that asks for more time.
const PATIENCE: Duration = Duration::from_millis(500);
/// Stack of a probe's thread. Probes keep what they read on the heap.
const STACK_BYTES: usize = 512 * 1024;

/// The probes of these names, or all of them when none is named, in the order of the table.
///
/// # Errors
///
/// The first name that no probe has.
pub fn probes(names: &[String]) -> Result<Vec<&'static dyn Probe>, String> {
    let known = |name: &String| PROBES.iter().any(|probe| probe.subject().probe == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(unknown.clone());
    }
    let chosen = PROBES.iter().copied().filter(|probe| {
        let name = probe.subject().probe;
        names.is_empty() || names.iter().any(|wanted| wanted == name)
    });
    Ok(chosen.collect())
}

/// Whether a probe may go on beside the others.
#[must_use]
pub fn looks_beside(probe: &dyn Probe) -> bool {
    LOOK_TIME_MAX < probe.time_max()
}

/// Logs how long probes took.
pub(super) fn log(observed: &[Observed]) {
    for one in observed {
        tracing::debug!(
            probe = one.observation.probe,
            outcome = one.observation.outcome.as_str(),
            took_ms = one.took_ms,
            "probe has looked"
        );
    }
}

/// A look that goes on.
struct Look {
    probe: &'static dyn Probe,
    thread: JoinHandle<()>,
    answered: oneshot::Receiver<Seen>,
    /// When it began, by both clocks.
    now: Timestamp,
    begun_ms: u64,
}

impl std::fmt::Debug for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Look({})", self.probe.subject().probe)
    }
}

/// What became of a look.
enum Answer {
    Seen(Seen),
    BrokeOff,
    TookTooLong,
}

impl From<Result<Seen, oneshot::error::RecvError>> for Answer {
    fn from(answer: Result<Seen, oneshot::error::RecvError>) -> Self {
        answer.map_or(Self::BrokeOff, Self::Seen)
    }
}

/// Lets probes look, and knows which of them have not come back from an earlier look.
#[derive(Debug)]
pub struct Lookers {
    /// Longest time for one look of an ordinary probe.
    time_max: Duration,
    beside: Vec<Look>,
    busy: BTreeMap<&'static str, JoinHandle<()>>,
    /// What each probe saw last, and when by the clock that nobody sets.
    before: BTreeMap<&'static str, (Before, u64)>,
}

impl Default for Lookers {
    fn default() -> Self {
        Self {
            time_max: LOOK_TIME_MAX,
            beside: Vec::new(),
            busy: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }
}

impl Lookers {
    /// Lets probes look, one after the other, each for half a minute at most: what takes longer is
    /// `unknown`, and looks no second time before it has come back. What those saw that go on
    /// beside the others [`Self::late`] hands over.
    pub async fn look(
        &mut self,
        probes: &[&'static dyn Probe],
        host: &Arc<dyn Host>,
        (settings, own): (&ProbeSettings, Option<&Arc<Own>>),
        clock: &dyn Clock,
    ) -> Vec<Observed> {
        let settings = Arc::new(settings.clone());
        let mut observed = Vec::with_capacity(probes.len());
        for probe in probes {
            let name = probe.subject().probe;
            if self.beside.iter().any(|look| look.is_of(name)) {
                continue;
            }
            let (begun_ms, now) = (clock.since_boot_ms(), clock.wall());
            let before = self.before.get(name).cloned();
            let scene = Scene {
                settings: Arc::clone(&settings),
                now,
                before: before.map(|(before, at_ms)| Before {
                    ago_ms: begun_ms.saturating_sub(at_ms),
                    ..before
                }),
                own: own.cloned(),
            };
            let seen = match self.begin(*probe, host, scene, begun_ms) {
                Ok(mut look) if looks_beside(*probe) => {
                    let soon = tokio::time::timeout(PATIENCE, &mut look.answered).await;
                    let Ok(answer) = soon else {
                        self.beside.push(look);
                        continue;
                    };
                    self.ended(*probe, look.thread, answer.into())
                }
                Ok(look) => self.awaited(look).await,
                Err(why) => Seen::default().unknown(&why),
            };
            observed.push(self.observed(*probe, seen, (now, begun_ms), clock));
        }
        observed
    }

    /// Lets probes look and waits for all of them.
    pub async fn look_through(
        &mut self,
        probes: &[&'static dyn Probe],
        host: &Arc<dyn Host>,
        known: (&ProbeSettings, Option<&Arc<Own>>),
        clock: &dyn Clock,
    ) -> Vec<Observed> {
        let mut observed = self.look(probes, host, known, clock).await;
        for look in std::mem::take(&mut self.beside) {
            let (probe, begun) = (look.probe, (look.now, look.begun_ms));
            let seen = self.awaited(look).await;
            observed.push(self.observed(probe, seen, begun, clock));
        }
        observed.sort_by(|one, other| one.observation.probe.cmp(&other.observation.probe));
        observed
    }

    /// Whether a probe looks beside the others now.
    #[must_use]
    pub fn are_beside(&self) -> bool {
        !self.beside.is_empty()
    }

    /// What probes beside the others saw that have come back, or had their time, and when the first
    /// of them began.
    pub fn late(&mut self, clock: &dyn Clock) -> Option<(Timestamp, Vec<Observed>)> {
        let now_ms = clock.since_boot_ms();
        let mut late = Vec::new();
        let mut since = None;
        for mut look in std::mem::take(&mut self.beside) {
            let time_ms = u64::try_from(look.probe.time_max().as_millis()).unwrap_or(u64::MAX);
            let over = time_ms <= now_ms.saturating_sub(look.begun_ms);
            let answer = match look.answered.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) if !over => {
                    self.beside.push(look);
                    continue;
                }
                Err(oneshot::error::TryRecvError::Empty) => Answer::TookTooLong,
                Err(oneshot::error::TryRecvError::Closed) => Answer::BrokeOff,
                Ok(seen) => Answer::Seen(seen),
            };
            let (probe, begun) = (look.probe, (look.now, look.begun_ms));
            since = since.or(Some(look.now));
            let seen = self.ended(look.probe, look.thread, answer);
            late.push(self.observed(probe, seen, begun, clock));
        }
        since.map(|since| (since, late))
    }

    fn observed(
        &mut self,
        probe: &'static dyn Probe,
        seen: Seen,
        (now, begun_ms): (Timestamp, u64),
        clock: &dyn Clock,
    ) -> Observed {
        let (observation, copies) = seen.observation(probe.subject());
        let before = Before {
            at: now,
            ago_ms: 0,
            facts: observation.facts.clone(),
        };
        let _older = self
            .before
            .insert(probe.subject().probe, (before, begun_ms));
        Observed {
            observation,
            copies,
            took_ms: clock.since_boot_ms().saturating_sub(begun_ms),
        }
    }

    /// Lets a probe begin to look, unless it has not come back from an earlier look.
    fn begin(
        &mut self,
        probe: &'static dyn Probe,
        host: &Arc<dyn Host>,
        scene: Scene,
        begun_ms: u64,
    ) -> Result<Look, String> {
        let name = probe.subject().probe;
        match self.busy.remove(name) {
            Some(busy) if !busy.is_finished() => {
                drop(self.busy.insert(name, busy));
                let why = "timed out: the probe has not come back from an earlier look";
                return Err(why.to_owned());
            }
            Some(_) | None => {}
        }
        let (answer, answered) = oneshot::channel();
        let (host, now) = (Arc::clone(host), scene.now);
        // Nobody waits any more for an answer that comes too late.
        let look = move || drop(answer.send(probe.observe(host.as_ref(), &scene)));
        let thread = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        match thread.spawn(look) {
            Ok(thread) => Ok(Look {
                probe,
                thread,
                answered,
                now,
                begun_ms,
            }),
            Err(error) => Err(format!("the probe has no thread: {error}")),
        }
    }

    async fn awaited(&mut self, look: Look) -> Seen {
        let time_max = self.time_of(look.probe);
        let answer = tokio::time::timeout(time_max, look.answered).await;
        let answer = answer.map_or(Answer::TookTooLong, Answer::from);
        self.ended(look.probe, look.thread, answer)
    }

    fn time_of(&self, probe: &dyn Probe) -> Duration {
        if looks_beside(probe) {
            probe.time_max()
        } else {
            self.time_max
        }
    }

    /// What a look gave.
    fn ended(&mut self, probe: &'static dyn Probe, thread: JoinHandle<()>, answer: Answer) -> Seen {
        let unknown = |why: &str| Seen::default().unknown(why);
        if matches!(answer, Answer::TookTooLong) {
            drop(self.busy.insert(probe.subject().probe, thread));
            let time_max = self.time_of(probe).as_secs();
            return unknown(&format!(
                "timed out: the probe did not come back within {time_max} s"
            ));
        }
        match (thread.join(), answer) {
            (Ok(()), Answer::Seen(seen)) => seen,
            (Ok(()) | Err(_), _) => unknown("fault of the probe: it broke off"),
        }
    }
}

impl Look {
    fn is_of(&self, name: &str) -> bool {
        self.probe.subject().probe == name
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use shared::fact::Subject;
    use shared::observation::{Observation, Outcome};

    use super::*;
    use crate::host::machine::Machine;
    use crate::probe::clock;
    use crate::run::tests::{Hands, done};

    /// Whoever holds it keeps [`Stuck`] from coming back, as a dead mount does.
    static MOUNT: Mutex<()> = Mutex::new(());

    struct Stuck;

    impl Probe for Stuck {
        fn subject(&self) -> &'static Subject {
            clock::Clock.subject()
        }

        fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
            drop(MOUNT.lock().unwrap());
            clock::Clock.observe(host, scene)
        }
    }

    /// Asks for more time than others have, and comes back when it is let go.
    struct Slow;

    static REPOSITORY: Mutex<()> = Mutex::new(());

    impl Probe for Slow {
        fn subject(&self) -> &'static Subject {
            clock::Clock.subject()
        }

        fn time_max(&self) -> Duration {
            Duration::from_mins(10)
        }

        fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
            drop(REPOSITORY.lock().unwrap());
            clock::Clock.observe(host, scene)
        }
    }

    #[test]
    fn a_slow_probe_goes_on_beside_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let host: Arc<dyn Host> = Arc::new(Machine::open(folder.path()).unwrap());
        let (settings, hands) = (ProbeSettings::default(), Hands::default());
        let mut lookers = Lookers::default();
        let look = |lookers: &mut Lookers| {
            let probes: [&'static dyn Probe; 2] = [&Slow, &crate::probe::logging::Logging];
            done(lookers.look(&probes, &host, (&settings, None), &hands))
        };
        // One that comes back soon is part of the run.
        assert_eq!(look(&mut lookers).len(), 2);
        assert!(!lookers.are_beside());
        let repository = REPOSITORY.lock().unwrap();
        for _due_again in 0..2 {
            let observed = look(&mut lookers);
            assert_eq!(observed.len(), 1);
            assert_eq!(observed[0].observation.probe, "logging");
            assert!(lookers.are_beside() && lookers.late(&hands).is_none());
        }
        drop(repository);
        let late = (0..1000).find_map(|_attempt| {
            std::thread::sleep(Duration::from_millis(10));
            lookers.late(&hands)
        });
        let (since, late) = late.unwrap();
        assert_eq!((since, late.len()), (hands.wall(), 1));
        assert_eq!(late[0].observation.probe, "clock");
        assert!(!lookers.are_beside() && lookers.busy.is_empty());
        // Its time ends too, and it holds up nobody until it has come back.
        let repository = REPOSITORY.lock().unwrap();
        assert_eq!(look(&mut lookers).len(), 1);
        hands.run_on(600_000);
        let (_since, late) = lookers.late(&hands).unwrap();
        let reason = &late[0].observation.reason;
        assert!(
            reason.contains("did not come back within 600 s"),
            "{reason}"
        );
        assert_eq!(look(&mut lookers).len(), 2);
        assert_eq!(lookers.busy.len(), 1);
        drop(repository);
        lookers.busy.remove("clock").unwrap().join().unwrap();
        let probes: [&'static dyn Probe; 2] = [&crate::probe::logging::Logging, &Slow];
        let all = done(lookers.look_through(&probes, &host, (&settings, None), &hands));
        let names: Vec<_> = all
            .iter()
            .map(|one| one.observation.probe.as_str())
            .collect();
        assert_eq!(names, ["clock", "logging"]);
    }

    struct Broken;

    impl Probe for Broken {
        fn subject(&self) -> &'static Subject {
            clock::Clock.subject()
        }

        fn observe(&self, _host: &dyn Host, _scene: &Scene) -> Seen {
            panic!("a probe that breaks off, as it must never")
        }
    }

    fn look(lookers: &mut Lookers, probe: &'static dyn Probe) -> Observation {
        let folder = tempfile::tempdir().unwrap();
        let host: Arc<dyn Host> = Arc::new(Machine::open(folder.path()).unwrap());
        let settings = ProbeSettings::default();
        let clock = Hands::default();
        let mut observed = done(lookers.look(&[probe], &host, (&settings, None), &clock));
        observed.remove(0).observation
    }

    #[test]
    fn a_probe_that_does_not_come_back_is_unknown_and_holds_up_nothing() {
        let mut lookers = Lookers {
            time_max: Duration::from_millis(20),
            ..Lookers::default()
        };
        let mount = MOUNT.lock().unwrap();
        for expected in ["did not come back", "an earlier look", "an earlier look"] {
            let observation = look(&mut lookers, &Stuck);
            assert_eq!(observation.outcome, Outcome::Unknown);
            let reason = observation.reason;
            assert!(
                reason.starts_with("timed out") && reason.contains(expected),
                "{reason}"
            );
        }
        assert_eq!(lookers.busy.len(), 1);
        drop(mount);
        let thread = lookers.busy.remove("clock").unwrap();
        thread.join().unwrap();
        lookers.time_max = LOOK_TIME_MAX;
        let reason = look(&mut lookers, &Stuck).reason;
        assert!(!reason.contains("timed out"), "{reason}");
        assert!(lookers.busy.is_empty());
    }

    #[test]
    fn a_probe_that_breaks_off_ends_nothing() {
        let mut lookers = Lookers::default();
        let observation = look(&mut lookers, &Broken);
        assert_eq!(observation.outcome, Outcome::Unknown);
        assert_eq!(observation.reason, "fault of the probe: it broke off");
        assert!(lookers.busy.is_empty());
    }

    #[test]
    fn only_known_probes_are_chosen() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            probes(&names).map(|probes| probes.len())
        };
        assert_eq!(names(&[]), Ok(PROBES.len()));
        assert_eq!(names(&["updates", "clock", "clock"]), Ok(2));
        assert_eq!(names(&["clock", "clok"]), Err("clok".to_owned()));
    }
}
