//! The audit probe on recorded hosts, on files, and on the kernel of this host.
//!
//! `audit-1013.bin` of the good and the deviating host are the answers of a real kernel (6.18) to
//! rules that auditctl 3.0.9 had loaded: one after the other, each deleted again.

#![expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the order of the host"
)]

use std::path::Path;

use shared::fact::{Facts, Value};
use shared::observation::Status;

use super::rule::loaded;
use super::{Audit, kernel};
use crate::host::machine::Machine;
use crate::host::recorded::Recorded;
use crate::host::{Host as _, Socket};
use crate::probe::golden;
use crate::probe::{Before, Probe as _, Scene};

#[test]
fn as_found() {
    golden::check("debian12-good", &Audit);
}

/// A written rule is not loaded, a loaded one is not written, the parts were not merged, auditd
/// takes no records of this host and would let the disk run full.
#[test]
fn deviating() {
    golden::check("debian12-deviating", &Audit);
}

#[test]
fn unreadable() {
    golden::check("unreadable", &Audit);
}

/// The list of the kernel is cut off, a written rule names a system call that there is not.
#[test]
fn malformed() {
    golden::check("malformed", &Audit);
}

#[test]
fn this_host() {
    golden::check_here(&Audit);
}

#[test]
fn losses_are_counted_from_the_look_before() {
    let host = Recorded::open(&golden::folder("debian12-deviating")).unwrap();
    let observed = |earlier: Option<i64>| {
        let before = earlier.map(|lost| Before {
            at: "2026-01-02T03:00:00Z".parse().unwrap(),
            ago_ms: 900_999,
            facts: Facts::from([("lost_count".to_owned(), Value::Number(lost))]),
        });
        let scene = Scene {
            before,
            ..Scene::default()
        };
        let (observation, _copies) = Audit.observe(&host, &scene).observation(Audit.subject());
        let fact = |name: &str| observation.facts.get(name).cloned();
        (fact("lost_new_count"), fact("lost_new_span_s"))
    };
    let number = |number| Some(Value::Number(number));
    assert_eq!(observed(None), (None, None));
    assert_eq!(observed(Some(12)), (number(0), number(900)));
    assert_eq!(observed(Some(5)), (number(7), number(900)));
    // The counter was set back meanwhile.
    assert_eq!(observed(Some(99)), (number(12), number(900)));
}

/// Deletes the rule again, however the test ends.
struct Loaded(Vec<u8>);

impl Drop for Loaded {
    fn drop(&mut self) {
        /// `AUDIT_DEL_RULE` in linux/audit.h.
        const DELETE: [u8; 2] = 1012_u16.to_ne_bytes();
        self.0[4..6].copy_from_slice(&DELETE);
        let machine = Machine::open(Path::new("/")).unwrap();
        drop(machine.ask(Socket::Audit, &self.0));
    }
}

/// The kernel of this host takes one harmless rule and lists it. Where it lets nobody ask, that is
/// said, and no list is invented.
#[test]
fn the_kernel_lists_what_it_was_given() {
    let machine = Machine::open(Path::new("/")).unwrap();
    if let Err(unseen) = kernel::rules(&machine) {
        let expected = [Status::NotPermitted, Status::Unsupported];
        assert!(expected.contains(&unseen.status), "{unseen}");
        return;
    }
    let key = format!("evident-test-{}", std::process::id());
    let rule = Loaded(add_rule(&key));
    drop(machine.ask(Socket::Audit, &rule.0).unwrap());
    let (_, rules) = kernel::rules(&machine).unwrap();
    let found: Vec<_> = rules.iter().filter(|rule| rule.key == key).collect();
    let text = "never,exit pid=4194305 syscall=all";
    assert_eq!(found.len(), 1, "{rules:?}");
    assert_eq!(found[0].text, text);
    drop(rule);
    let (_, rules) = kernel::rules(&machine).unwrap();
    assert!(rules.iter().all(|rule| rule.key != key));
}

/// `AUDIT_ADD_RULE` that leaves out a process whose number is above the highest one.
fn add_rule(key: &str) -> Vec<u8> {
    let mut words = vec![0_u32; 3 + 4 * 64 + 1];
    // The list `exit`, the action `never`, two fields, every system call.
    words[..3].copy_from_slice(&[4, 0, 2]);
    words[3..3 + 63].fill(u32::MAX);
    words[3 + 64..][..2].copy_from_slice(&[0, 210]);
    let length = u32::try_from(key.len()).unwrap();
    words[3 + 128..][..2].copy_from_slice(&[4_194_305, length]);
    words[3 + 192..][..2].copy_from_slice(&[0x4000_0000; 2]);
    words[3 + 256] = length;
    let mut data: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    data.extend(key.bytes());
    let length = u32::try_from(16 + data.len()).unwrap();
    // A request with an acknowledgement.
    let mut message = length.to_ne_bytes().to_vec();
    message.extend([1011_u16.to_ne_bytes(), 5_u16.to_ne_bytes()].concat());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(data);
    message
}

#[test]
fn several_keys_are_one_text() {
    let mut message = add_rule("b\u{1}a");
    message[4..6].copy_from_slice(&1013_u16.to_ne_bytes());
    let (_, rules) = loaded(&message).unwrap();
    assert_eq!(rules[0].key, "a,b");
}
