//! Names of other machines in `/etc/hosts` and in the files of host keys that SSH knows.

use std::collections::BTreeSet;

use shared::fact::Value;
use shared::observation::Means;

use super::{Machine, Machines, lines, record};
use crate::host::{Host, Unseen};
use crate::probe::{Seen, settings};

/// `proc_sys_kernel(5)`.
const NAME: &str = "/proc/sys/kernel/hostname";
/// hosts(5).
const HOSTS: &str = "/etc/hosts";
/// Host keys that count for every user, and for root: sshd(8), ssh(1). Those of other users are
/// their own affair.
const KNOWN: [&str; 4] = [
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
    "/root/.ssh/known_hosts",
    "/root/.ssh/known_hosts2",
];

/// States the name of this host itself.
pub(super) fn own(host: &dyn Host, seen: &mut Seen) {
    let text = settings::text(host, NAME);
    let text = seen.note(Means::File, NAME, text).unwrap_or_default();
    if let Some(Machine::Name(name)) = Machine::read(text.trim()) {
        seen.state("name", Value::Text(name));
    }
}

/// States the names in `/etc/hosts`. An address and all names behind it are one machine, but which
/// of its names it goes by is not known, so each is told.
pub(super) fn hosts(host: &dyn Host, seen: &mut Seen) {
    let text = settings::text(host, HOSTS);
    let absent = text.as_ref().is_err_and(Unseen::is_absent);
    let text = seen.note(Means::File, HOSTS, text);
    let Some(text) = text.or_else(|| absent.then(String::new)) else {
        return;
    };
    let mut all = BTreeSet::new();
    for line in lines(&text) {
        let mut words = line.split_ascii_whitespace();
        // A line for this machine, for nobody (a list of refused names) or for a group.
        let Some(Machine::Address(address)) = words.next().and_then(Machine::read) else {
            continue;
        };
        for name in words.filter_map(Machine::read) {
            if let Machine::Name(name) = name {
                let _new = all.insert((address, name));
            }
        }
    }
    seen.state_count("host_count", all.len());
    let records = all
        .into_iter()
        .map(|(address, name)| record(&[("address", address.to_string()), ("name", name)]));
    seen.state_list("hosts", records.collect());
}

/// States the machines whose host keys are known.
pub(super) fn known(host: &dyn Host, seen: &mut Seen) {
    let mut machines = Machines::new();
    let mut hashed = 0;
    for path in KNOWN {
        let Some(text) = machines.text(host, seen, path) else {
            continue;
        };
        for line in text.lines().map(str::trim) {
            hashed += usize::from(known_line(line, path, &mut machines));
        }
    }
    if machines.some && machines.whole {
        seen.state_count("known_hashed_count", hashed);
    }
    machines.state(seen, "known", "known_count");
}

/// Adds the machines of a line such as `[gate.example.org]:2222,192.0.2.1 ssh-ed25519 AAAA..`.
/// Whether its name is hashed.
fn known_line(line: &str, path: &str, machines: &mut Machines) -> bool {
    let mut words = line.split_ascii_whitespace();
    let names = match words.next() {
        // A key that signs for others names no machine, and a revoked one none that is trusted.
        None | Some("@cert-authority" | "@revoked") => return false,
        Some(word) if word.starts_with('#') => return false,
        Some(word) => word,
    };
    if words.next().is_none() {
        return false;
    }
    if names.starts_with('|') {
        return true;
    }
    for name in names.split(',') {
        // A port stands behind brackets. What has `*`, `?` or `!` is a pattern and no name.
        let bare = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        machines.add(bare.map_or(name, |(bare, _port)| bare), path);
    }
    false
}
