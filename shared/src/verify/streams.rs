//! The streams of a pack: what was left out, what stands twice, and who was silent.

use std::collections::BTreeMap;

use super::records::Shown;
use super::{Claim, Verdict};
use crate::pack::Manifest;
use crate::stream::{self, Stream};

/// Judges every stream up to the end of the period.
pub(super) fn check(
    streams: &BTreeMap<Stream, Shown>,
    manifest: &Manifest,
    claims: &mut Vec<Claim>,
) {
    let mut broken = Claim::new("streams");
    let mut silent = Claim::new("silence");
    let period = &manifest.period;
    let mut live = 0_usize;
    for (stream, shown) in streams {
        let ended = shown
            .enrolment
            .as_ref()
            .and_then(|enrolment| enrolment.until);
        if shown.records.is_empty() && ended.is_some_and(|ended| ended <= period.from) {
            continue;
        }
        live += 1;
        for fault in stream::judge(&shown.records, shown.enrolment.as_ref(), period.to) {
            if fault.contradicts() {
                broken.fail(stream, fault);
            } else {
                silent.add(Verdict::Note, stream, fault);
            }
        }
    }
    let says =
        format!("{live} streams have no gap, no second record for a number, and whole links");
    claims.push(broken.says(says));
    let says = match silent.problem_count {
        0 => format!("none of {live} hosts was silent or had its clock stepped"),
        count => format!("{count} times a host was silent or had its clock stepped"),
    };
    claims.push(silent.says(says));
}
