//! The clock probe on recorded hosts and on this one.

use super::Clock;
use crate::host::machine::Machine;
use crate::probe::golden;
use shared::observation::Outcome;

#[test]
fn as_found() {
    golden::check("debian12-good", &Clock);
}

/// The kernel is not synchronised, chronyd takes its own clock for a reference, one source does
/// not answer and another is set up for NTS and never agreed on keys.
#[test]
fn deviating() {
    golden::check("debian12-deviating", &Clock);
}

#[test]
fn unreadable() {
    golden::check("unreadable", &Clock);
}

#[test]
fn malformed() {
    golden::check("malformed", &Clock);
}

/// In a container the daemons of the host are not seen, which is not the same as none.
#[test]
fn container() {
    golden::check("bare", &Clock);
}

#[test]
fn another_root_has_settings_and_no_kernel() {
    let root = golden::folder("debian12-good").join("root");
    let observation = golden::observed(&Machine::open(&root).unwrap(), &Clock);
    assert_eq!(observation.outcome, Outcome::Facts);
    assert!(observation.facts.contains_key("configured_sources"));
    for unseen in ["kernel_synchronised", "tracking_leap", "sources"] {
        assert!(!observation.facts.contains_key(unseen), "{unseen}");
    }
    assert!(observation.reason.contains("another root folder"));
}

#[test]
fn an_empty_root_has_no_settings_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Clock);
    let names: Vec<_> = observation.facts.keys().collect();
    assert_eq!(names, ["configured_source_count", "configured_sources"]);
}

#[test]
fn this_host() {
    let observation = golden::check_here(&Clock);
    assert!(
        observation
            .source
            .iter()
            .any(|source| source.name == "adjtimex")
    );
}
