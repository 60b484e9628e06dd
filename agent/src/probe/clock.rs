//! The clock: what the kernel, the time daemon and its settings say about it.
//!
//! Sources: adjtimex(2); chronyd's command socket or UDP 127.0.0.1:323; ntpd's control port, UDP
//! 127.0.0.1:123; systemd-timesyncd and the units of all daemons over D-Bus; their settings;
//! `/run/systemd/timesync/synchronized`; `/proc`; `/sys`; `/etc/adjtime` and `/etc/localtime`.
//! Rights: root or `_chrony` for chronyd's socket, none for the rest. `Absent` is never said: a
//! host has a clock. Limits: 512 sources of chronyd, 64 of ntpd; settings files of 256 KiB.

use shared::fact::{Subject, Value};
use shared::observation::{Means, Status};

use super::processes::Processes;
use super::{Probe, Scene, Seen, container};
use crate::host::{Host, Unseen};

mod kernel;
mod reported;
mod chrony;
mod chronyd;
mod ntpd;
mod timesyncd;
mod daemons;
mod platform;
mod sources;

use daemons::Daemons;
use sources::Configured;
use timesyncd::TIMESYNCD;

/// Its modification time is the last time that systemd-timesyncd heard a server. It is written even
/// when the clock could not be set, so it says nothing without the kernel.
const TIMESYNCD_STAMP: &str = "/run/systemd/timesync/synchronized";

/// Looks at the clock.
#[derive(Debug)]
pub struct Clock;

impl Probe for Clock {
    fn subject(&self) -> &'static Subject {
        &shared::fact::clock::SUBJECT
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        kernel::observe(host, scene, &mut seen);
        let processes = Processes::look(host, &mut seen);
        let container = container::look(host, &mut seen, processes.as_ref());
        let daemons = daemons::observe(host, &mut seen, processes.as_ref(), container);
        observe_daemon(host, scene, &mut seen, &daemons);
        if let Some(configured) = sources::configured(host, &mut seen) {
            // The settings of the host are not seen in a container, so none there means nothing.
            if container == Some(false) || !configured.is_empty() {
                state_configured(&mut seen, &configured, &daemons, container);
            }
        }
        let stamp = host.stat(TIMESYNCD_STAMP);
        if let Some(stamp) = seen.note(Means::File, TIMESYNCD_STAMP, stamp) {
            seen.state("timesyncd_synchronised_at", Value::Instant(stamp.modified));
        }
        // What a clock stands on says nothing about it.
        if seen.is_empty() {
            return seen.unknown("nothing could be learned about the clock");
        }
        platform::observe(host, &mut seen);
        seen.facts()
    }
}

/// States what the daemon that sets the clock says of it: of two the one that can tell more.
fn observe_daemon(host: &dyn Host, scene: &Scene, seen: &mut Seen, daemons: &Daemons) {
    let mut told = chronyd::observe(host, seen);
    if daemons.has("ntpd") && !told {
        let tracking = ntpd::tracking(host, scene.now);
        if let Some(tracking) = seen.note(Means::Socket, "ntpd clock", tracking) {
            told = true;
            tracking.state(seen);
            let sources = ntpd::sources(host, scene.now);
            if let Some(sources) = seen.note(Means::Socket, "ntpd associations", sources) {
                reported::state_sources(seen, sources);
            }
        }
    }
    if !told {
        let reported = timesyncd::ask(host, scene.now);
        if let Some((tracking, sources)) = seen.note(Means::Dbus, TIMESYNCD, reported) {
            tracking.state(seen);
            reported::state_sources(seen, sources);
            seen.state("single_source", Value::Flag(true));
        }
    }
    for (daemon, what) in [
        ("openntpd", "sources of openntpd"),
        ("ptp4l", "management socket of ptp4l"),
    ] {
        if daemons.has(daemon) {
            seen.unseen(Means::Socket, Unseen::new(what, Status::Unsupported, None));
        }
    }
}

fn state_configured(
    seen: &mut Seen,
    sources: &[Configured],
    daemons: &Daemons,
    container: Option<bool>,
) {
    // Settings of a daemon that does not run set no clock; in a container it may run outside.
    let built_in = daemons.has(TIMESYNCD) && !sources.iter().any(|one| one.daemon == TIMESYNCD);
    if built_in {
        // It then uses the servers that it was built with: timesyncd.conf(5), `FallbackNTP=`.
        let what = "servers built into systemd-timesyncd";
        seen.unseen(Means::File, Unseen::new(what, Status::Unsupported, None));
    } else if daemons.any() || container == Some(false) {
        let counted = sources.iter().filter(|source| daemons.has(source.daemon));
        let weights = counted.map(|source| if source.kind == "pool" { 2 } else { 1 });
        seen.state_count("configured_source_count", weights.sum());
    }
    let records = sources.iter().map(|source| {
        let values = [
            ("address", Value::Text(source.address.clone())),
            ("daemon", Value::Text(source.daemon.to_owned())),
            ("kind", Value::Text(source.kind.to_owned())),
            ("nts", Value::Flag(source.nts)),
        ];
        values.map(|(name, value)| (name.to_owned(), value)).into()
    });
    seen.state_list("configured_sources", records.collect());
}

#[cfg(test)]
mod tests;
