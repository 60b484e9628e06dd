//! Asks chronyd for the state of its clock, for its sources, and how each is authenticated.

use shared::fact::{Record, Value};
use shared::limits;
use shared::observation::{Means, Status};

use super::chrony::{self, Authentication, SourceData};
use super::reported::{Polled, record, state_sources};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// States what chronyd says. Whether it says anything.
pub(super) fn observe(host: &dyn Host, seen: &mut Seen) -> bool {
    let tracking = chrony::tracking(host);
    let Some(tracking) = seen.note(Means::Socket, "chronyd tracking", tracking) else {
        // A daemon that does not answer once is not asked again: each question may take two
        // seconds.
        return false;
    };
    tracking.state(seen);
    let sources = read_sources(host, seen);
    if let Some(sources) = seen.note(Means::Socket, "chronyd sources", sources) {
        state_sources(seen, sources);
    }
    true
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
        let authentication = if authentication_told && !clock {
            let told = chrony::authentication(host, source.address);
            seen.note(Means::Socket, "chronyd authentication", told)
        } else {
            None
        };
        authentication_told &= clock || authentication.is_some();
        let mode = if clock {
            Some("none")
        } else {
            authentication.map(|told| told.mode)
        };
        sources.push(Polled {
            record: source_record(&source, mode, authentication.as_ref()),
            state: source.state,
            answers: source.reach != 0,
            nts: mode.map(|mode| usize::from(mode == "nts")),
        });
    }
    Ok(sources)
}

fn source_record(
    source: &SourceData,
    mode: Option<&str>,
    authentication: Option<&Authentication>,
) -> Record {
    let address = if source.mode == "refclock" {
        source.address.clock_name()
    } else {
        source.address.text()
    };
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let number = |number| Some(Value::Number(number));
    // Without a sample there is nothing to say about it; chronyd sends the largest number then.
    let sampled = source.since_sample_s != i64::from(u32::MAX);
    let sample = |number| sampled.then_some(Value::Number(number));
    let nts = authentication.filter(|told| told.mode == "nts" || told.attempts != 0);
    record([
        ("address", Some(Value::Text(address))),
        ("mode", text(source.mode)),
        ("state", text(source.state)),
        ("stratum", number(source.stratum)),
        ("reach", number(source.reach)),
        ("poll_s", number(source.poll_s)),
        ("since_sample_s", sample(source.since_sample_s)),
        ("offset_us", sample(source.offset_ns / 1000)),
        (
            "error_us",
            sample(source.error_ns.saturating_add(999) / 1000),
        ),
        ("authentication", mode.and_then(text)),
        ("cookies", nts.and_then(|told| number(told.cookies))),
        (
            "key_age_s",
            nts.and_then(|told| told.key_age_s).map(Value::Number),
        ),
        ("key_attempts", nts.and_then(|told| number(told.attempts))),
        ("key_refused", nts.map(|told| Value::Flag(told.refused))),
    ])
}
