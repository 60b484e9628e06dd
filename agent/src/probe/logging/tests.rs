//! The logging probe on recorded hosts and on this one.

use super::Logging;
use crate::host::machine::Machine;
use crate::probe::golden;
use shared::observation::Outcome;

#[test]
fn as_found() {
    golden::check("debian12-good", &Logging);
}

/// The journal is volatile, entries leave in the clear, nothing audits, and a relay on the host
/// itself is no other host.
#[test]
fn deviating() {
    golden::check("debian12-deviating", &Logging);
}

#[test]
fn unreadable() {
    golden::check("unreadable", &Logging);
}

#[test]
fn malformed() {
    golden::check("malformed", &Logging);
}

#[test]
fn nothing_is_absent_only_when_all_was_seen() {
    golden::check("bare", &Logging);
    let root = tempfile::tempdir().unwrap();
    let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Logging);
    assert_ne!(observation.outcome, Outcome::Absent, "no process was seen");
}

#[test]
fn this_host() {
    golden::check_here(&Logging);
}
