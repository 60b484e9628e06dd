//! A line of time against a model that looks at every millisecond.

use proptest::prelude::*;

use super::*;

const END: i64 = 60;

/// Cuts of the time from 0 to the end, and what each piece is.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    let piece = (1_i64..12, 0_u8..5);
    (0_i64..10, prop::collection::vec(piece, 0..9), any::<bool>()).prop_map(
        |(start, pieces, lasts)| {
            let mut from = start;
            let mut spans = Vec::new();
            for (length, kind) in pieces {
                let (verdict, stale) = match kind {
                    0 => (Verdict::Pass, false),
                    1 => (Verdict::Fail, false),
                    2 => (Verdict::NotApplicable, false),
                    3 => (Verdict::Unknown, false),
                    _ => (Verdict::Unknown, true),
                };
                spans.push(span(from, Some(from + length), verdict, stale));
                from += length;
            }
            if let Some(last) = spans.last_mut().filter(|_| lasts) {
                last.to = None;
            }
            spans
        },
    )
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    let one = (0_i64..END, 1_i64..25);
    prop::collection::vec(one, 0..4).prop_map(|all| {
        all.into_iter()
            .map(|(from, ms)| window(from, from + ms))
            .collect()
    })
}

/// Windows in order that do not overlap.
fn ordered(all: &[Window]) -> Vec<Window> {
    let inside = |ms: i64| all.iter().any(|one| one.holds(at(ms)));
    let mut ordered: Vec<Window> = Vec::new();
    for ms in (0..END).filter(|ms| inside(*ms)) {
        match ordered.last_mut().filter(|last| last.to == at(ms)) {
            Some(last) => last.to = at(ms + 1),
            None => ordered.push(window(ms, ms + 1)),
        }
    }
    ordered
}

/// What holds at one millisecond: verdict, gap, excepted.
fn sampled(spans: &[Span], excepted: &[Window], ms: i64) -> (Verdict, bool, bool) {
    let holds = |span: &&Span| {
        let to = span.to.unwrap_or(at(END));
        (Window {
            from: span.from,
            to,
        })
        .holds(at(ms))
    };
    match spans.iter().find(holds) {
        None => (Verdict::Unknown, true, false),
        Some(span) => {
            let covered = excepted.iter().any(|one| one.holds(at(ms)));
            let excepted = span.verdict == Verdict::Fail && covered;
            (span.verdict, span.stale, excepted)
        }
    }
}

fn shares_sampled(said: &[(Verdict, bool, bool)]) -> Shares {
    let count = |of: &dyn Fn(&(Verdict, bool, bool)) -> bool| {
        i64::try_from(said.iter().filter(|one| of(one)).count()).unwrap()
    };
    Shares {
        expected_ms: count(&|_| true),
        passing_ms: count(&|one| one.0 == Verdict::Pass),
        failing_ms: count(&|one| one.0 == Verdict::Fail),
        excepted_ms: count(&|one| one.2),
        unknown_ms: count(&|one| one.0 == Verdict::Unknown),
        gap_ms: count(&|one| one.1),
        not_applicable_ms: count(&|one| one.0 == Verdict::NotApplicable),
    }
}

/// The longest run of milliseconds that are gaps, none left out in between.
fn gap_sampled(spans: &[Span], expected: &[Window]) -> i64 {
    let (mut longest, mut run) = (0, 0);
    for ms in 0..END {
        let there = expected.iter().any(|one| one.holds(at(ms)));
        run = if there && sampled(spans, &[], ms).1 {
            run + 1
        } else {
            0
        };
        longest = longest.max(run);
    }
    longest
}

proptest! {
    #[test]
    fn shares_and_gaps_are_those_of_every_millisecond(
        spans in spans(), expected in windows(), excepted in windows()
    ) {
        let expected = ordered(&expected);
        let line = line(&spans, &expected, &excepted);
        let inside = |ms: &i64| expected.iter().any(|one| one.holds(at(*ms)));
        let said: Vec<_> = (0..END)
            .filter(inside)
            .map(|ms| sampled(&spans, &excepted, ms))
            .collect();
        prop_assert_eq!(line.shares(), shares_sampled(&said));
        let gap = longest_gap(&line).map_or(0, Window::ms);
        prop_assert_eq!(gap, gap_sampled(&spans, &expected));
    }

    #[test]
    fn the_worst_of_several_is_that_of_every_millisecond(
        all in prop::collection::vec((spans(), windows(), windows()), 1..4)
    ) {
        let lines: Vec<_> = all
            .iter()
            .map(|(spans, expected, excepted)| line(spans, &ordered(expected), excepted))
            .collect();
        let mut said = Vec::new();
        for ms in 0..END {
            let there = all.iter().filter(|(_, expected, _)| {
                expected.iter().any(|one| one.holds(at(ms)))
            });
            let there: Vec<_> = there.map(|(spans, _, out)| sampled(spans, out, ms)).collect();
            let Some(worst) = there.iter().map(|one| one.0).min_by_key(|one| one.rank()) else {
                continue;
            };
            let same = || there.iter().filter(|one| one.0 == worst);
            said.push((worst, same().any(|one| one.1), same().all(|one| one.2)));
        }
        let found = line::worst(&lines);
        prop_assert_eq!(found.shares(), shares_sampled(&said));
    }

    #[test]
    fn deviations_are_those_of_a_walk_through_every_millisecond(
        spans in spans(),
        period in (0_i64..END - 1, 1_i64..END),
        excepted in windows(),
        sla in 0_i64..20,
    ) {
        let period = window(period.0, (period.0 + period.1).min(END));
        let mut open: Option<i64> = None;
        let mut wanted = Vec::new();
        let mut there = false;
        for ms in 0..period.to.unix_ms() {
            let (verdict, gap, _) = sampled(&spans, &[], ms);
            let left = gap && !spans.iter().any(|span| {
                span.from <= at(ms) && span.to.is_none_or(|to| at(ms) < to)
            });
            let over = match verdict {
                _ if left && there => Some(Ending::Left),
                Verdict::Pass | Verdict::NotApplicable => Some(Ending::Fixed),
                Verdict::Fail | Verdict::Unknown => None,
            };
            there = !left;
            if let (Some(ending), Some(begun)) = (over, open) {
                wanted.push((begun, ms, ending));
                open = None;
            }
            if verdict == Verdict::Fail && open.is_none() {
                open = Some(ms);
            }
        }
        wanted.extend(open.map(|begun| (begun, period.to.unix_ms(), Ending::Open)));
        wanted.retain(|(from, to, _)| window(*from, *to).cut(period).is_some());
        let known = Known { last_collected: &|_| None, received: &|_| None };
        let found = deviations(&spans, period, (&excepted, sla), &known);
        let times: Vec<_> = found
            .iter()
            .map(|one| (one.from.unix_ms(), one.to.unix_ms(), one.ending))
            .collect();
        prop_assert_eq!(times, wanted);
        for one in &found {
            let inside = |ms: &i64| excepted.iter().any(|out| out.holds(at(*ms)));
            let excepted = (one.from.unix_ms()..one.to.unix_ms()).filter(inside).count();
            prop_assert_eq!(one.excepted_ms, i64::try_from(excepted).unwrap());
            prop_assert_eq!(one.late, sla < one.length_ms - one.excepted_ms);
        }
    }
}
