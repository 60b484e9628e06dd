//! Compares what a probe observes on a recorded host with the file that says what is there.

use std::path::{Path, PathBuf};

use shared::fact::{Record, Value};
use shared::observation::{Observation, Outcome};

use super::{Probe, Scene};
use crate::host::Host;
use crate::host::machine::Machine;
use crate::host::recorded::Recorded;

/// Longest file with an observation.
const BYTES_MAX: u64 = 64 * 1024;

/// The folder of a recorded host.
pub(crate) fn folder(host: &str) -> PathBuf {
    let hosts = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/hosts");
    Path::new(hosts).join(host)
}

/// Observes a host, and shows that the observation is one: it reads back to the same bytes.
#[track_caller]
pub(crate) fn observed(host: &dyn Host, probe: &dyn Probe) -> Observation {
    let seen = probe.observe(host, &Scene::default());
    let (observation, copies) = seen.observation(probe.subject());
    assert_eq!(observation.artifacts.len(), copies.len());
    let back = Observation::from_bytes(&observation.to_bytes()).unwrap();
    assert_eq!(back, observation);
    observation
}

/// Compares with `tests/hosts/HOST/PROBE.json`.
#[track_caller]
pub(crate) fn check(host: &str, probe: &dyn Probe) {
    let recorded = Recorded::open(&folder(host)).unwrap();
    let observation = observed(&recorded, probe);
    let found = serde_json::to_string_pretty(&observation).unwrap() + "\n";
    let golden = folder(host).join(format!("{}.json", probe.subject().probe));
    let expected = shared::durable::read_text(&golden, BYTES_MAX).unwrap_or_default();
    if found != expected {
        // Kept where it can be compared with, and taken over when it is right.
        let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/golden");
        let name = format!("{host}.{}.json", probe.subject().probe);
        std::fs::create_dir_all(target).unwrap();
        shared::durable::write(&Path::new(target).join(name), found.as_bytes(), 0o644).unwrap();
    }
    assert_eq!(found, expected, "{host}: see target/golden");
}

/// Observes the host that the tests run on: there an outcome must not be invented.
#[track_caller]
pub(crate) fn check_here(probe: &dyn Probe) -> Observation {
    let machine = Machine::open(Path::new("/")).unwrap();
    let observation = observed(&machine, probe);
    match observation.outcome {
        Outcome::Facts => assert!(!observation.facts.is_empty()),
        Outcome::Absent | Outcome::Unknown => assert!(!observation.reason.is_empty()),
    }
    assert!(!observation.reason.contains("fault of the probe"));
    observation
}

/// A number that was stated, if it was.
#[track_caller]
pub(crate) fn number(observation: &Observation, name: &str) -> Option<i64> {
    let value = observation.facts.get(name)?;
    let Value::Number(number) = value else {
        panic!("{name}: {value:?}")
    };
    Some(*number)
}

/// The records of a list that was stated.
#[track_caller]
pub(crate) fn list(observation: &Observation, name: &str) -> Vec<Record> {
    match observation.facts.get(name) {
        Some(Value::List(records)) => records.clone(),
        other => panic!("{name}: {other:?}"),
    }
}
