//! The clock of the kernel: its state now, and what became of it since the look before.

use shared::fact::{Facts, Record, Value};
use shared::observation::Means;

use crate::host::{Host, KernelClock};
use crate::probe::{Before, Scene, Seen};

/// What the kernel adds to the maximum error each second: 500 parts in a million, `MAXFREQ` in
/// `kernel/time/ntp.c`.
const GROWTH_US_PER_S: i64 = 500;
/// The kernel adds it once a second, and the two looks may each lie just before or behind.
const GROWTH_SLACK_US: i64 = 3 * GROWTH_US_PER_S;
/// Smaller differences of the two clocks may come from the moment at which each was read.
const STEP_MS_MIN: i64 = 500;
/// Most steps that are remembered: the last ones.
const STEPS_MAX: usize = 64;

/// States what adjtimex(2) says, and what changed. Of another root folder nothing is stated: its
/// clock is not the one that this process sees.
pub(super) fn observe(host: &dyn Host, scene: &Scene, seen: &mut Seen) {
    let kernel = host.kernel_clock();
    let Some(clock) = seen.note(Means::Syscall, "adjtimex", kernel) else {
        return;
    };
    state(seen, &clock);
    let Some(before) = &scene.before else {
        // Nothing was watched yet, so there is no list of steps either.
        seen.state("steps_watched_s", Value::Number(0));
        return;
    };
    if let Some(undisciplined_s) = undisciplined_s(before, &clock) {
        let value = Value::Number(undisciplined_s);
        seen.state("kernel_undisciplined_s", value);
    }
    state_steps(seen, before, scene);
}

fn state(seen: &mut Seen, clock: &KernelClock) {
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

fn number(facts: &Facts, name: &str) -> Option<i64> {
    match facts.get(name)? {
        Value::Number(number) => Some(*number),
        Value::Flag(_) | Value::Text(_) | Value::Instant(_) | Value::List(_) => None,
    }
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}

/// For how long at least nobody has corrected the clock, as far as the looks of this process reach.
///
/// Whoever corrects the clock sets its maximum error too. Left alone it grows by the same amount
/// each second until the kernel stops counting.
fn undisciplined_s(before: &Before, clock: &KernelClock) -> Option<i64> {
    let was = number(&before.facts, "kernel_max_error_us")?;
    let passed_s = seconds(before.ago_ms);
    let expected = was.saturating_add(passed_s.saturating_mul(GROWTH_US_PER_S));
    let alone = KernelClock::MAX_ERROR_US <= clock.max_error_us
        || clock.max_error_us.abs_diff(expected) <= GROWTH_SLACK_US.unsigned_abs();
    if !alone {
        return Some(0);
    }
    // An interval that is shorter than the slack shows nothing.
    if passed_s.saturating_mul(GROWTH_US_PER_S) <= 2 * GROWTH_SLACK_US {
        return number(&before.facts, "kernel_undisciplined_s");
    }
    let earlier = number(&before.facts, "kernel_undisciplined_s").unwrap_or(0);
    Some(earlier.saturating_add(passed_s))
}

/// States by how much the wall clock was set since this process looked first: it and the clock
/// that nobody sets are slewed alike, so they only part when the wall clock is stepped.
fn state_steps(seen: &mut Seen, before: &Before, scene: &Scene) {
    let watched_s = number(&before.facts, "steps_watched_s").unwrap_or(0);
    let watched_s = watched_s.saturating_add(seconds(before.ago_ms));
    seen.state("steps_watched_s", Value::Number(watched_s));
    let mut steps = match before.facts.get("steps") {
        Some(Value::List(steps)) => steps.clone(),
        _ => Vec::new(),
    };
    let passed_ms = i64::try_from(before.ago_ms).unwrap_or(i64::MAX);
    let step_ms = scene.now.ms_since(before.at).saturating_sub(passed_ms);
    if STEP_MS_MIN <= step_ms.saturating_abs() {
        steps.push(Record::from([
            ("seen".to_owned(), Value::Instant(scene.now)),
            ("step_ms".to_owned(), Value::Number(step_ms)),
        ]));
    }
    steps.drain(..steps.len().saturating_sub(STEPS_MAX));
    seen.state_list("steps", steps);
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::time::Timestamp;

    fn clock(max_error_us: i64) -> KernelClock {
        KernelClock {
            state: 0,
            status: 0,
            offset_ns: 0,
            frequency_ppb: 0,
            max_error_us,
            estimated_error_us: 0,
            tai_offset_s: 0,
        }
    }

    fn before(ago_ms: u64, facts: &[(&str, i64)]) -> Before {
        let facts = facts.iter();
        let facts = facts.map(|&(name, number)| (name.to_owned(), Value::Number(number)));
        Before {
            at: Timestamp::from_unix_ms(1_800_000_000_000).unwrap(),
            ago_ms,
            facts: facts.collect(),
        }
    }

    #[test]
    fn a_clock_that_nobody_corrects_is_told_from_one_that_somebody_does() {
        for (was, earlier, passed_s, is, expected) in [
            (1000, None, 900, 451_000, Some(900)),
            (1000, None, 900, 451_500, Some(900)),
            (1000, Some(900), 900, 449_500, Some(1800)),
            // Set to a small error, or to a larger one, meanwhile.
            (1000, Some(900), 900, 250_000, Some(0)),
            (1000, None, 900, 900_000, Some(0)),
            // The kernel stopped counting.
            (15_900_000, Some(7200), 900, 16_000_000, Some(8100)),
            (16_000_000, None, 900, 16_000_000, Some(900)),
            (16_000_000, None, 900, 20_000, Some(0)),
            // Too short to tell, and what was told before still holds.
            (1000, None, 2, 2000, None),
            (1000, Some(900), 2, 2000, Some(900)),
        ] {
            let mut facts = vec![("kernel_max_error_us", was)];
            facts.extend(earlier.map(|earlier| ("kernel_undisciplined_s", earlier)));
            let found = undisciplined_s(&before(passed_s * 1000, &facts), &clock(is));
            assert_eq!(found, expected, "{was} to {is} in {passed_s} s");
        }
        assert_eq!(undisciplined_s(&before(900_000, &[]), &clock(1)), None);
    }

    /// What is stated of steps when the wall clock says that this much passed.
    fn steps(before: &Before, wall_ms: i64) -> (i64, Vec<i64>, Facts) {
        let scene = Scene {
            now: before.at.plus_ms(wall_ms),
            before: Some(before.clone()),
            ..Scene::default()
        };
        let mut seen = Seen::default();
        state_steps(&mut seen, before, &scene);
        let (observation, _none) = seen.facts().observation(&shared::fact::clock::SUBJECT);
        let facts = observation.facts;
        let Some(Value::List(list)) = facts.get("steps") else {
            panic!("no list");
        };
        let steps = list.iter().map(|step| number(step, "step_ms").unwrap());
        let steps = steps.collect();
        (number(&facts, "steps_watched_s").unwrap(), steps, facts)
    }

    #[test]
    fn steps_are_seen_both_ways_and_remembered() {
        assert_eq!(steps(&before(900_000, &[]), 900_020).1, [0; 0]);
        assert_eq!(steps(&before(900_000, &[]), 899_501).1, [0; 0]);
        // An hour back, then a second on.
        let (watched_s, first, facts) = steps(&before(900_000, &[]), 900_000 - 3_600_000);
        assert_eq!((watched_s, first), (900, vec![-3_600_000]));
        let mut again = before(60_000, &[]);
        again.facts = facts;
        let (watched_s, both, _facts) = steps(&again, 61_000);
        assert_eq!((watched_s, both), (960, vec![-3_600_000, 1000]));
        let (_watched, one, _facts) = steps(&again, 60_000);
        assert_eq!(one, [-3_600_000]);
    }

    #[test]
    fn only_the_last_steps_are_remembered() {
        let mut again = before(60_000, &[]);
        for step in 1..=100 {
            again.facts = steps(&again, 60_000 + step * 1000).2;
        }
        let (_watched, all, _facts) = steps(&again, 60_000);
        assert_eq!((all.len(), all[0], all[63]), (64, 37_000, 100_000));
    }
}
