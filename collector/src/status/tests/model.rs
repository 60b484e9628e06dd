//! Tests of what is told of the past against a slow model that works everything out each time.

use proptest::prelude::*;

use super::*;
use crate::catalog::Check;

/// One run of one of two hosts: hours of both clocks, and what was seen.
#[derive(Clone, Debug)]
struct Seen {
    host: usize,
    collected: i64,
    received: i64,
    synchronised: bool,
    /// The observation came with the change, can be loaded, or is nowhere.
    brought: usize,
}

fn seen() -> impl Strategy<Value = Seen> {
    (
        0..2_usize,
        0..200_i64,
        -3..40_i64,
        any::<bool>(),
        0..7_usize,
    )
        .prop_map(|(host, collected, later, synchronised, brought)| Seen {
            host,
            collected,
            received: collected + later,
            synchronised,
            brought,
        })
}

const HOSTS: [&str; 2] = ["a", "b"];

/// The changes, and the observations that can be loaded.
fn changes_of(all: &[Seen]) -> (Vec<Change>, BTreeMap<Digest, Observation>) {
    let mut changes: Vec<_> = HOSTS.map(|name| enrolled(name, 1)).into();
    let mut seqs = [0; 2];
    let mut stored = BTreeMap::new();
    for (number, seen) in all.iter().enumerate() {
        let mut change = run(HOSTS[seen.host], seqs[seen.host], 0, seen.synchronised);
        seqs[seen.host] += 1;
        if let Change::Run {
            place,
            attestation,
            collected,
            outcomes,
        } = &mut change
        {
            *collected = at(seen.collected);
            place.received = at(seen.received);
            *attestation = Digest::of(&number.to_be_bytes());
            let observation = match seen.brought {
                0..3 => outcomes[0].observation.clone(),
                3..6 => outcomes[0].observation.take(),
                _ => {
                    outcomes[0].observation = None;
                    outcomes[0].observation_id = Some(Digest::of(b"nowhere"));
                    None
                }
            };
            if let (Some(id), Some(observation)) = (outcomes[0].observation_id, observation) {
                let _same = stored.insert(id, observation);
            }
        }
        changes.push(change);
    }
    (changes, stored)
}

pub(super) fn apply(
    status: &Status,
    first: usize,
    changes: &[Change],
    stored: &BTreeMap<Digest, Observation>,
) {
    let load = |id: &Digest| Ok::<_, StatusError>(stored.get(id).cloned());
    let first = u64::try_from(first).unwrap();
    status.apply_all(first, changes, load).unwrap();
}

/// What is true at an instant, worked out from all evidence each time.
fn slowly(
    all: &[Seen],
    (host, check): (usize, &Check),
    instant: Timestamp,
) -> Option<(Verdict, bool, u64)> {
    let (mut newest, mut high) = (None, at(-1000));
    for (index, seen) in (2..).zip(all).filter(|(_, seen)| seen.host == host) {
        let earlier = at(seen.collected).min(at(seen.received));
        high = high.max(earlier);
        if high <= instant {
            newest = Some((index, seen, earlier));
        }
    }
    let (index, seen, earlier) = newest?;
    let old = check.freshness_ms < instant.ms_since(earlier);
    let verdict = if seen.brought == 6 {
        Verdict::Unknown
    } else {
        let observation = clock(seen.synchronised);
        evaluate::finding_of(check, &observation, at(seen.collected)).verdict
    };
    Some((if old { Verdict::Unknown } else { verdict }, old, index))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Late records, clocks that run ahead, gaps, observations that are gone: every instant is told
    /// as the slow model tells it, and cuts into batches and restarts leave no trace.
    #[test]
    fn every_instant_is_told_as_a_slow_model_tells_it(
        all in prop::collection::vec(seen(), 1..25),
        cut in 0..27_usize,
        instants in prop::collection::vec(-5..300_i64, 8),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (changes, stored) = changes_of(&all);
        let (status, _new) = Status::open(&folder.path().join("one"), catalog()).unwrap();
        for (position, change) in changes.iter().enumerate() {
            apply(&status, position, std::slice::from_ref(change), &stored);
        }
        restarted(&folder.path().join("other"), &changes, &stored, cut, &status);
        let catalog = catalog();
        let mut begun = Vec::new();
        for (number, name) in HOSTS.iter().enumerate() {
            for check in catalog.checks_of("clock") {
                for hour in &instants {
                    let instant = at(*hour).plus_ms(1);
                    let told = status.at(&host(name), &check.id, instant).unwrap();
                    let cells = status.cells_at(&host(name), &[None, Some(check)], instant);
                    let cell = cells.unwrap()[1];
                    let dated = told.as_ref().map(|told| {
                        let collected = told.evidence.as_ref().unwrap().collected;
                        (told.span.verdict, told.span.stale, collected, told.span.from)
                    });
                    let shown = cell.since.map(|since| {
                        (cell.verdict, cell.stale, cell.collected.unwrap(), since)
                    });
                    prop_assert_eq!(shown, dated);
                    prop_assert_eq!(cell.covered, dated.is_some() && !cell.stale);
                    let told = told.map(|told| {
                        let index = told.evidence.unwrap().index;
                        (told.span.verdict, told.span.stale, index)
                    });
                    prop_assert_eq!(told, slowly(&all, (number, check), instant));
                }
                let spans = status.spans(&host(name), &check.id, at(-10), at(400)).unwrap();
                follow_each_other(&spans);
                begun.extend(spans.iter().map(|span| (span.from, host(name), check.id.clone())));
            }
        }
        begun.sort();
        prop_assert_eq!(page_by_page(&status), begun);
    }
}

/// The same changes in two batches with a restart between leave the same state.
fn restarted(
    folder: &Path,
    changes: &[Change],
    stored: &BTreeMap<Digest, Observation>,
    cut: usize,
    want: &Status,
) {
    let cut = cut.min(changes.len());
    let (status, _new) = Status::open(folder, catalog()).unwrap();
    apply(&status, 0, &changes[..cut], stored);
    status.close().unwrap();
    let (status, rebuild) = Status::open(folder, catalog()).unwrap();
    assert_eq!(rebuild, None);
    apply(&status, cut, &changes[cut..], stored);
    assert!(status.export().unwrap() == want.export().unwrap());
    assert_eq!(status.digest().unwrap(), want.digest().unwrap());
}

fn follow_each_other(spans: &[Span]) {
    for pair in spans.windows(2) {
        assert_eq!(pair[0].to, Some(pair[1].from));
    }
    assert!(spans.last().is_none_or(|last| last.to.is_none()));
}

/// When which check began to say something else of which host, asked for in small pages.
fn page_by_page(status: &Status) -> Vec<(Timestamp, AgentId, String)> {
    let mut cursor = None;
    let mut told = Vec::new();
    loop {
        let page = status
            .changes(at(-10), at(400), cursor.as_ref(), 3)
            .unwrap();
        told.extend(page.changes);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(told.is_sorted_by_key(|change| change.at));
    // What lasted no time is a change, and no span.
    told.retain(|one| {
        one.after
            .as_ref()
            .is_some_and(|after| after.to != Some(one.at))
    });
    let told = told.into_iter().map(|one| (one.at, one.host, one.check));
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}
