//! Whether entries leave the host, and whether the host takes those of others.
//!
//! Settings alone deliver nothing: a daemon must run and have a connection to the port that it
//! sends to. A connection at one moment is a sign and no proof that entries arrive.

use std::collections::{BTreeMap, BTreeSet};

use shared::fact::{Record, Value};
use shared::observation::Means;

use super::forwarding::Target;
use super::sockets::{self, Sockets};
use crate::host::Host;
use crate::probe::Seen;
use crate::probe::processes::Processes;

/// Ports at which log daemons take entries: syslog over UDP and TCP, over TLS (RFC 5425), RELP as
/// its documentation has it, systemd-journal-remote.
const PORTS: [u16; 6] = [514, 601, 2514, 6514, 19_532, 20_514];

/// Sockets of the daemons by their names; a daemon whose sockets could not be seen is not there.
type Owned = BTreeMap<&'static str, BTreeSet<u64>>;

/// States what the targets are and whether they are reached, and which ports are open for entries.
/// `daemons` are the names of those that are known.
pub(super) fn state(
    host: &dyn Host,
    seen: &mut Seen,
    targets: Option<&[Target]>,
    processes: Option<&Processes>,
    daemons: &[&'static str],
) {
    let sockets = Sockets::look(host, seen);
    let mut owned = Owned::new();
    if let Some(processes) = processes {
        for name in daemons.iter().filter(|name| processes.has(name)) {
            let found = sockets::owned(host, processes, name);
            let what = format!("sockets of {name}");
            if let Some(found) = seen.note(Means::File, &what, found) {
                let _new = owned.insert(*name, found);
            }
        }
        if let Some(sockets) = &sockets {
            let all = daemons
                .iter()
                .all(|name| !processes.has(name) || owned.contains_key(name));
            state_receivers(seen, sockets, &owned, all);
        }
    }
    if let Some(targets) = targets {
        state_targets(host, seen, targets, processes, (sockets.as_ref(), &owned));
    }
}

/// A port that is known counts whoever has it: systemd may listen in place of a daemon.
fn state_receivers(seen: &mut Seen, sockets: &Sockets, owned: &Owned, all: bool) {
    let mut records = Vec::new();
    for socket in sockets.open() {
        let daemon = owned.iter().find(|(_, inodes)| socket.is_one_of(inodes));
        if daemon.is_none() && !PORTS.contains(&socket.local.1) {
            continue;
        }
        let protocol = if socket.tcp { "tcp" } else { "udp" };
        let mut record = Record::from([
            (
                "address".to_owned(),
                Value::Text(socket.local.0.to_string()),
            ),
            ("port".to_owned(), Value::Number(socket.local.1.into())),
            ("protocol".to_owned(), Value::Text(protocol.to_owned())),
        ]);
        if let Some((name, _)) = daemon {
            let _new = record.insert("daemon".to_owned(), Value::Text((*name).to_owned()));
        }
        records.push(record);
    }
    // None is said only when the sockets of every daemon were seen.
    if all || !records.is_empty() {
        seen.state_list("receivers", records);
    }
}

fn state_targets(
    host: &dyn Host,
    seen: &mut Seen,
    targets: &[Target],
    processes: Option<&Processes>,
    (sockets, owned): (Option<&Sockets>, &Owned),
) {
    // Settings of a daemon that does not run send nothing; whether it runs must have been seen.
    if let Some(processes) = processes {
        let sends = |target: &&Target| processes.has(target.daemon) && !target.here();
        let sending: Vec<_> = targets.iter().filter(sends).collect();
        let count =
            |meant: fn(&Target) -> bool| sending.iter().filter(|target| meant(target)).count();
        seen.state_count("forwarding_count", sending.len());
        seen.state_count("forwarding_encrypted_count", count(Target::encrypted));
        // Where a way is not written, the version of the daemon decides.
        if sending
            .iter()
            .all(|target| !target.encrypted() || target.authenticated().is_some())
        {
            let asked = count(|target| target.authenticated() == Some(true));
            seen.state_count("forwarding_authenticated_count", asked);
        }
        let reached: Option<Vec<bool>> = sending
            .iter()
            .filter(|target| target.lasts())
            .map(|target| connected(target, sockets, owned))
            .collect();
        if let Some(reached) = reached {
            let reached = reached.iter().filter(|one| **one).count();
            seen.state_count("forwarding_connected_count", reached);
            let lasting = count(Target::lasts);
            seen.state_count("forwarding_connectable_count", lasting);
        }
    }
    let records = targets
        .iter()
        .map(|target| record(host, target, processes, connected(target, sockets, owned)));
    seen.state_list("forwarding", records.collect());
}

/// Whether the daemon has a connection to its target; `None` where that cannot be seen: UDP has
/// none, and the port or the sockets of the daemon may not be known.
fn connected(target: &Target, sockets: Option<&Sockets>, owned: &Owned) -> Option<bool> {
    if target.protocol == "udp" {
        return None;
    }
    let port = target.effective_port()?;
    let owned = owned.get(target.daemon)?;
    Some(sockets?.connected(owned, target.address(), port))
}

fn record(
    host: &dyn Host,
    target: &Target,
    processes: Option<&Processes>,
    connected: Option<bool>,
) -> Record {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut record = Record::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            let _new = record.insert(name.to_owned(), value);
        }
    };
    put("daemon", Some(text(target.daemon)));
    put("encrypted", Some(Value::Flag(target.encrypted())));
    put("file", Some(text(&target.file)));
    put("protocol", Some(text(target.protocol)));
    put("target", Some(text(&target.host)));
    put("port", target.port.map(Value::Number));
    put("authentication", target.authentication.map(text));
    put("queue", target.queue.map(text));
    put("retry_count", target.retries.map(Value::Number));
    put("connected", connected.map(Value::Flag));
    let runs = processes.map(|processes| processes.has(target.daemon));
    put("running", runs.map(Value::Flag));
    if let Some(authority) = &target.authority {
        put("authority", Some(text(authority)));
        let there = match host.stat(authority) {
            Ok(_there) => Some(true),
            Err(unseen) => unseen.is_absent().then_some(false),
        };
        put("authority_present", there.map(Value::Flag));
    }
    record
}
