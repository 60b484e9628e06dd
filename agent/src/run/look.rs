//! Lets probes look, each on a thread of its own: a mount that does not answer holds up one probe,
//! never the agent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::attest::Observed;
use crate::config::ProbeSettings;
use crate::host::Host;
use crate::probe::{Before, Own, PROBES, Probe, Scene, Seen};
use crate::schedule::Clock;

/// Longest time for one probe. A probe takes milliseconds; a host that swaps takes seconds.
const LOOK_TIME_MAX: Duration = Duration::from_secs(30);
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

/// Lets probes look, and knows which of them have not come back from an earlier look.
#[derive(Debug)]
pub struct Lookers {
    time_max: Duration,
    busy: BTreeMap<&'static str, JoinHandle<()>>,
    /// What each probe saw last, and when by the clock that nobody sets.
    before: BTreeMap<&'static str, (Before, u64)>,
}

impl Default for Lookers {
    fn default() -> Self {
        Self {
            time_max: LOOK_TIME_MAX,
            busy: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }
}

impl Lookers {
    /// Lets probes look, one after the other, each for half a minute at most: what takes longer is
    /// `unknown`, and looks no second time before it has come back.
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
            let (begun, now) = (clock.since_boot_ms(), clock.wall());
            let name = probe.subject().probe;
            let before = self
                .before
                .get(name)
                .cloned()
                .map(|(before, at_ms)| Before {
                    ago_ms: begun.saturating_sub(at_ms),
                    ..before
                });
            let scene = Scene {
                settings: Arc::clone(&settings),
                now,
                before,
                own: own.cloned(),
            };
            let seen = self.seen(*probe, host, scene).await;
            let (observation, copies) = seen.observation(probe.subject());
            let before = Before {
                at: now,
                ago_ms: 0,
                facts: observation.facts.clone(),
            };
            let _older = self.before.insert(name, (before, begun));
            observed.push(Observed {
                observation,
                copies,
                took_ms: clock.since_boot_ms().saturating_sub(begun),
            });
        }
        observed
    }

    async fn seen(
        &mut self,
        probe: &'static dyn Probe,
        host: &Arc<dyn Host>,
        scene: Scene,
    ) -> Seen {
        let unknown = |why: &str| Seen::default().unknown(why);
        let name = probe.subject().probe;
        match self.busy.remove(name) {
            Some(busy) if !busy.is_finished() => {
                drop(self.busy.insert(name, busy));
                return unknown("timed out: the probe has not come back from an earlier look");
            }
            Some(_) | None => {}
        }
        let (answer, answered) = oneshot::channel();
        let host = Arc::clone(host);
        // Nobody waits any more for an answer that comes too late.
        let look = move || drop(answer.send(probe.observe(host.as_ref(), &scene)));
        let thread = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let thread = match thread.spawn(look) {
            Ok(thread) => thread,
            Err(error) => return unknown(&format!("the probe has no thread: {error}")),
        };
        match tokio::time::timeout(self.time_max, answered).await {
            Ok(answer) => {
                let ended = thread.join();
                let seen = ended.ok().and(answer.ok());
                seen.unwrap_or_else(|| unknown("fault of the probe: it broke off"))
            }
            Err(_elapsed) => {
                drop(self.busy.insert(name, thread));
                let time_max = self.time_max.as_secs();
                unknown(&format!(
                    "timed out: the probe did not come back within {time_max} s"
                ))
            }
        }
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
