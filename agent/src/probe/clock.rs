//! The clock: what the kernel, the time daemon and its settings say about it.
//!
//! Sources: adjtimex(2); chronyd's command socket or UDP 127.0.0.1:323; the settings of chronyd,
//! ntpd, `OpenNTPD` and systemd-timesyncd; `/run/systemd/timesync/synchronized`; `/proc`. Rights:
//! root or `_chrony` for the command socket, none for the rest. `Absent` is never said: a host has
//! a clock. Limits: 512 sources; settings files of 256 KiB.

use shared::fact::{Record, Subject, Value};
use shared::limits;
use shared::observation::{Means, Status};

use super::processes::Processes;
use super::{Probe, Scene, Seen, container};
use crate::host::{Host, KernelClock, Unseen};

mod chrony;
mod sources;

use sources::Configured;

/// Time daemons that are known by name. The processes of `OpenNTPD` and `NTPsec` are named ntpd.
const DAEMONS: [&str; 5] = ["chronyd", "ntpd", "phc2sys", "ptp4l", TIMESYNCD];

/// Its modification time is the last time that systemd-timesyncd set the clock.
const TIMESYNCD_STAMP: &str = "/run/systemd/timesync/synchronized";

/// The daemon of systemd, which has servers built into it.
const TIMESYNCD: &str = "systemd-timesyncd";

/// Looks at the clock.
#[derive(Debug)]
pub struct Clock;

impl Probe for Clock {
    fn subject(&self) -> &'static Subject {
        &shared::fact::clock::SUBJECT
    }

    fn observe(&self, host: &dyn Host, _scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        let kernel = host.kernel_clock();
        if let Some(clock) = seen.note(Means::Syscall, "adjtimex", kernel) {
            state_kernel(&mut seen, &clock);
        }
        let processes = Processes::look(host, &mut seen);
        let container = container::look(host, &mut seen, processes.as_ref());
        if let Some(processes) = &processes {
            state_daemons(&mut seen, processes, container);
        }
        observe_chronyd(host, &mut seen);
        if let Some(configured) = sources::configured(host, &mut seen) {
            // The settings of the host are not seen in a container, so none there means nothing.
            if container == Some(false) || !configured.is_empty() {
                state_configured(&mut seen, &configured, processes.as_ref(), container);
            }
        }
        let stamp = host.stat(TIMESYNCD_STAMP);
        if let Some(stamp) = seen.note(Means::File, TIMESYNCD_STAMP, stamp) {
            seen.state("timesyncd_synchronised_at", Value::Instant(stamp.modified));
        }
        if seen.is_empty() {
            seen.unknown("nothing could be learned about the clock")
        } else {
            seen.facts()
        }
    }
}

fn state_kernel(seen: &mut Seen, clock: &KernelClock) {
    let synchronised = Value::Flag(clock.is_synchronised());
    seen.state("kernel_synchronised", synchronised);
    for (name, number) in [
        ("kernel_estimated_error_us", clock.estimated_error_us),
        ("kernel_frequency_ppb", clock.frequency_ppb),
        ("kernel_max_error_us", clock.max_error_us),
        ("kernel_offset_ns", clock.offset_ns),
        ("kernel_state", clock.state),
        ("kernel_status", clock.status),
        ("tai_offset_s", clock.tai_offset_s),
    ] {
        seen.state(name, Value::Number(number));
    }
}

/// Daemons whose sources are not asked for: that takes another protocol, or D-Bus.
const UNASKED: [&str; 2] = ["ntpd", TIMESYNCD];

/// The clock is that of the whole host, so a container that runs no time daemon says nothing.
fn state_daemons(seen: &mut Seen, processes: &Processes, container: Option<bool>) {
    let running = processes.records(&DAEMONS);
    container::state_daemons(seen, running, container);
    for daemon in UNASKED.iter().filter(|daemon| processes.has(daemon)) {
        let what = format!("sources of {daemon}");
        seen.unseen(Means::Socket, Unseen::new(&what, Status::Unsupported, None));
    }
}

fn observe_chronyd(host: &dyn Host, seen: &mut Seen) {
    let tracking = chrony::tracking(host);
    // A daemon that does not answer once is not asked again: each question may take two seconds.
    let answers = tracking.is_ok();
    if let Some(tracking) = seen.note(Means::Socket, "chronyd tracking", tracking) {
        state_tracking(seen, tracking);
    }
    if !answers {
        return;
    }
    let sources = read_sources(host, seen);
    let sources = seen.note(Means::Socket, "chronyd sources", sources);
    let Some(sources) = sources else { return };
    seen.state_count("usable_source_count", usable(&sources));
    if let Some(nts) = sources
        .iter()
        .map(|source| source.nts)
        .sum::<Option<usize>>()
    {
        seen.state_count("nts_source_count", nts);
    }
    let records = sources.into_iter().map(|source| source.record);
    seen.state("sources", Value::List(records.collect()));
}

fn state_tracking(seen: &mut Seen, tracking: chrony::Tracking) {
    let leap = tracking.leap.to_owned();
    seen.state("tracking_leap", Value::Text(leap));
    seen.state("tracking_stratum", Value::Number(tracking.stratum));
    for (name, number) in [
        ("tracking_interval_s", tracking.interval_ns / 1_000_000_000),
        ("tracking_offset_us", tracking.offset_ns / 1000),
        // A bound is rounded up.
        (
            "tracking_root_distance_us",
            tracking.root_distance_ns.saturating_add(999) / 1000,
        ),
    ] {
        seen.state(name, Value::Number(number));
    }
    if let Some(reference) = tracking.reference {
        seen.state("tracking_reference", Value::Text(reference));
    }
    if let Some(updated) = tracking.updated {
        seen.state("tracking_updated", Value::Instant(updated));
    }
}

/// One source of chronyd.
struct Polled {
    record: Record,
    state: &'static str,
    answers: bool,
    /// 1 or 0; `None` when chronyd did not say.
    nts: Option<usize>,
}

fn read_sources(host: &dyn Host, seen: &mut Seen) -> Result<Vec<Polled>, Unseen> {
    let total = chrony::source_count(host)?;
    if !usize::try_from(total).is_ok_and(|total| total <= limits::LIST_RECORDS_MAX) {
        let why = format!("{total} sources");
        return Err(Unseen::new("chronyd sources", Status::Limit, Some(&why)));
    }
    let mut sources = Vec::new();
    let mut authentication_told = true;
    for index in 0..total {
        let source = chrony::source(host, index)?;
        let clock = source.mode == "refclock";
        let authentication = if clock {
            Some("none")
        } else if authentication_told {
            let told = chrony::authentication(host, source.address);
            seen.note(Means::Socket, "chronyd authentication", told)
        } else {
            None
        };
        authentication_told &= authentication.is_some();
        sources.push(Polled {
            record: record(&source, authentication),
            state: source.state,
            answers: source.reach != 0,
            nts: authentication.map(|mode| usize::from(mode == "nts")),
        });
    }
    Ok(sources)
}

/// How many sources could keep the clock right.
///
/// An outlier is one that chronyd accepts and leaves out of the average: chronyc(1), `sources`. But
/// while none is selected it calls those outliers too that it does not trust.
fn usable(sources: &[Polled]) -> usize {
    let selected = sources.iter().any(|source| source.state == "selected");
    let usable = |source: &&Polled| match source.state {
        "selected" | "candidate" => source.answers,
        "outlier" => source.answers && selected,
        _ => false,
    };
    sources.iter().filter(usable).count()
}

fn record(source: &chrony::SourceData, authentication: Option<&str>) -> Record {
    let address = if source.mode == "refclock" {
        source.address.clock_name()
    } else {
        source.address.text()
    };
    let mut record = Record::from(
        [
            ("address", Value::Text(address)),
            ("mode", Value::Text(source.mode.to_owned())),
            ("state", Value::Text(source.state.to_owned())),
            ("stratum", Value::Number(source.stratum)),
            ("reach", Value::Number(source.reach)),
            ("poll_s", Value::Number(source.poll_s)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    // Without a sample there is nothing to say about it; chronyd sends the largest number then.
    if source.since_sample_s != i64::from(u32::MAX) {
        for (name, number) in [
            ("since_sample_s", source.since_sample_s),
            ("offset_us", source.offset_ns / 1000),
            ("error_us", source.error_ns.saturating_add(999) / 1000),
        ] {
            let _new = record.insert(name.to_owned(), Value::Number(number));
        }
    }
    if let Some(mode) = authentication {
        let mode = Value::Text(mode.to_owned());
        let _new = record.insert("authentication".to_owned(), mode);
    }
    record
}

fn state_configured(
    seen: &mut Seen,
    sources: &[Configured],
    processes: Option<&Processes>,
    container: Option<bool>,
) {
    // Settings of a daemon that does not run set no clock; in a container it may run outside.
    let runs = |daemon: &str| processes.is_some_and(|all| all.has(daemon));
    let any = DAEMONS.iter().any(|daemon| runs(daemon));
    let built_in = runs(TIMESYNCD) && !sources.iter().any(|one| one.daemon == TIMESYNCD);
    if built_in {
        // It then uses the servers that it was built with: timesyncd.conf(5), `FallbackNTP=`.
        let what = "servers built into systemd-timesyncd";
        seen.unseen(Means::File, Unseen::new(what, Status::Unsupported, None));
    } else if any || container == Some(false) {
        let counted = sources.iter().filter(|source| runs(source.daemon));
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
