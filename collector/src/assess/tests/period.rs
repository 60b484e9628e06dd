//! Controls over a period: hosts that come and go, editions of the catalogue, times to detect.

use std::sync::Arc;

use super::*;

type History = BTreeMap<(&'static str, &'static str), Vec<Span>>;

struct Told {
    given: Given,
    hosts: Vec<(AgentId, Vec<Window>)>,
    in_force: BTreeMap<(String, String), Vec<Window>>,
    earlier: Vec<Arc<Catalog>>,
    asked: Asked,
    history: History,
}

impl Told {
    fn new(hosts: &[(&str, i64, i64)], history: History) -> Self {
        let hosts = hosts.iter();
        Self {
            given: Given::default(),
            hosts: hosts
                .map(|(name, from, to)| (host(name), vec![window(*from, *to)]))
                .collect(),
            in_force: BTreeMap::new(),
            earlier: Vec::new(),
            asked: Asked {
                controls: vec!["A.8.17".to_owned()],
                ..Asked::default()
            },
            history,
        }
    }

    fn over(&self, from: i64, to: i64) -> ControlPeriod {
        let mut found = self.whole(from, to);
        assert_eq!(found.controls.len(), 1);
        found.controls.remove(0)
    }

    fn whole(&self, from: i64, to: i64) -> Period {
        let catalog = catalog();
        let input = Input {
            catalog: &catalog,
            given: &self.given,
            window: window(from, to),
            hosts: &self.hosts,
            in_force: &self.in_force,
            earlier: &self.earlier,
            asked: &self.asked,
        };
        let spans = |host: &AgentId, check: &str| {
            let of = self.history.iter();
            let found = of
                .filter(|((name, id), _)| *name == host.as_str() && *id == check)
                .flat_map(|(_, spans)| spans.clone());
            Ok::<_, ()>(found.collect())
        };
        let source = Source {
            spans: &spans,
            // Evidence comes each 10, and one after it began.
            last_collected: &|_, _, span| span.to.map(|to| to.plus_ms(-2)),
            received: &|record| {
                (0..2000)
                    .find(|ms| super::record(*ms) == *record)
                    .map(|ms| at(ms + 3))
            },
        };
        period(&input, &source).unwrap()
    }
}

fn bearing(check: &str) -> (String, String) {
    ("A.8.17".to_owned(), check.to_owned())
}

fn check<'a>(control: &'a ControlPeriod, id: &str) -> &'a CheckPeriod {
    control
        .checks
        .iter()
        .find(|check| check.check == id)
        .unwrap()
}

/// Every check on the control passes all the time, but one on one host.
fn history(hosts: &[&'static str], but: (&'static str, &'static str), spans: Vec<Span>) -> History {
    let catalog = catalog();
    let mut history = History::new();
    for name in hosts {
        for (check, _) in catalog.bearing_on("A.8.17") {
            let id: &'static str = String::leak(check.id.clone());
            let passes = vec![span(0, None, Verdict::Pass, false)];
            let _new = history.insert((name, id), passes);
        }
    }
    let _old = history.insert(but, spans);
    history
}

#[test]
fn a_failure_is_counted_detected_and_mended() {
    let spans = vec![
        span(0, Some(400), Verdict::Pass, false),
        span(400, Some(500), Verdict::Fail, false),
        span(500, Some(550), Verdict::Unknown, true),
        span(550, Some(600), Verdict::Fail, false),
        span(600, None, Verdict::Pass, false),
    ];
    let told = Told::new(
        &[("a", 0, 9999)],
        history(&["a"], ("a", SYNCHRONISED), spans),
    );
    let clock = told.over(100, 1100);
    let wanted = Shares {
        expected_ms: 1000,
        passing_ms: 800,
        failing_ms: 150,
        unknown_ms: 50,
        gap_ms: 50,
        ..Shares::default()
    };
    assert_eq!(clock.shares, wanted);
    assert_eq!(check(&clock, SYNCHRONISED).shares, wanted);
    assert_eq!(clock.any_failing_ms, 150);
    let spent = clock.deviations;
    assert_eq!(
        (spent.count, spent.fixed, spent.open, spent.late),
        (1, 1, 0, 0)
    );
    // Silence in between mends nothing.
    assert_eq!((spent.longest_ms, spent.longest_fix_ms), (200, Some(200)));
    // The last pass was collected at 398, and the failure of 400 was received at 403.
    assert_eq!(spent.longest_detection_ms, Some(5));
    let gap = clock.longest_gap.as_ref().unwrap();
    assert_eq!((gap.length_ms, gap.check.as_str()), (50, SYNCHRONISED));
    let deviation = &check(&clock, SYNCHRONISED).hosts[0].deviations[0];
    assert_eq!(deviation.record, Some(record(400)));
    assert_eq!(deviation.fixed_by, Some(record(600)));
}

#[test]
fn what_is_open_counts_to_the_end_and_can_be_late() {
    let spans = vec![span(0, None, Verdict::Fail, false)];
    let mut told = Told::new(
        &[("a", 0, 9999)],
        history(&["a"], ("a", SYNCHRONISED), spans),
    );
    told.given.sla.high_ms = 1000;
    assert_eq!(told.over(0, 1000).deviations.late, 0);
    let clock = told.over(500, 1001);
    assert_eq!(clock.deviations.late, 1);
    assert_eq!(
        (clock.deviations.open, clock.deviations.longest_ms),
        (1, 1001)
    );
    // Nothing passed before, so how fast it was seen is not known.
    assert_eq!(clock.deviations.longest_detection_ms, None);
    // Under an exception the time for repair stands still, and the finding stays.
    told.given.exceptions = vec![exception("A.8.17", "", "a", (600, 900))];
    let clock = told.over(500, 1001);
    assert_eq!((clock.deviations.late, clock.shares.excepted_ms), (0, 300));
    assert_eq!(clock.shares.failing_ms, 501);
}

#[test]
fn a_host_that_comes_and_goes_counts_while_it_was_there() {
    let spans = vec![
        span(510, Some(600), Verdict::Pass, false),
        span(600, Some(800), Verdict::Fail, false),
    ];
    let mut all = history(&["a"], ("b", SYNCHRONISED), spans);
    all.retain(|(name, id), _| *name == "b" || *id == SYNCHRONISED);
    let mut told = Told::new(&[("a", 0, 9999), ("b", 500, 800)], all);
    told.asked.hosts = vec!["b".to_owned()];
    let clock = told.over(0, 1000);
    let found = check(&clock, SYNCHRONISED);
    assert_eq!((found.shares.expected_ms, found.shares.gap_ms), (300, 10));
    assert_eq!(
        (found.shares.passing_ms, found.shares.failing_ms),
        (90, 200)
    );
    // Of the other checks there never was evidence.
    assert_eq!(check(&clock, ERROR).shares.gap_ms, 300);
    assert_eq!((clock.shares.passing_ms, clock.shares.failing_ms), (0, 200));
}

#[test]
fn a_check_counts_while_its_edition_of_the_catalogue_was_in_force() {
    let spans = vec![span(410, None, Verdict::Pass, false)];
    let mut told = Told::new(
        &[("a", 0, 9999)],
        history(&["a"], ("a", SYNCHRONISED), spans),
    );
    let _old = told
        .in_force
        .insert(bearing(SYNCHRONISED), vec![window(400, 9999)]);
    let clock = told.over(0, 1000);
    let found = check(&clock, SYNCHRONISED);
    assert_eq!((found.shares.expected_ms, found.shares.gap_ms), (600, 10));
    assert_eq!(
        (clock.shares.expected_ms, clock.shares.passing_ms),
        (1000, 990)
    );
}

#[test]
fn a_check_that_a_catalogue_dropped_stays_in_the_period() {
    const GONE: &str = "clock.gone";
    let file = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/catalog/");
        shared::durable::read_text(Path::new(&format!("{folder}{name}")), 1 << 20).unwrap()
    };
    let texts = file("checks/clock.toml").replace("clock.synchronised", GONE);
    let before = Catalog::from_texts(&file("controls.tsv"), &[("clock.toml", &texts)]).unwrap();
    let spans = vec![span(0, Some(400), Verdict::Fail, false)];
    let mut told = Told::new(&[("a", 0, 9999)], history(&["a"], ("a", GONE), spans));
    told.earlier = vec![Arc::new(before)];
    let _old = told.in_force.insert(bearing(GONE), vec![window(0, 400)]);
    let clock = told.over(0, 1000);
    let gone = check(&clock, GONE);
    assert_eq!(gone.dropped, Some(at(400)));
    assert_eq!(
        (gone.shares.expected_ms, gone.shares.failing_ms),
        (400, 400)
    );
    assert_eq!(
        (clock.shares.failing_ms, clock.shares.passing_ms),
        (400, 600)
    );
    assert_eq!(check(&clock, SYNCHRONISED).dropped, None);
    assert_eq!(gone.deviations.count, 1);
}

#[test]
fn who_is_left_out_on_the_last_day_counts_for_the_days_before() {
    let fails = vec![span(100, None, Verdict::Fail, false)];
    let mut told = Told::new(
        &[("a", 0, 9999)],
        history(&["a"], ("a", SYNCHRONISED), fails),
    );
    let place = |out: Option<&str>| Place {
        groups: Vec::new(),
        out: out.map(str::to_owned),
    };
    let out = place(Some("SC-1: a laboratory"));
    told.given.places = [(host("a"), out.clone())].into();
    told.given.moves = [(
        host("a"),
        vec![(at(0), place(None)), (at(900), out.clone())],
    )]
    .into();
    let found = told.whole(0, 1000);
    let counts = (found.hosts, found.out_of_scope, found.partly_out_of_scope);
    assert_eq!(counts, (1, 0, 1));
    let left_out = LeftOut {
        host: host("a"),
        window: window(900, 1000),
        why: "SC-1: a laboratory".to_owned(),
    };
    assert_eq!(found.left_out, [left_out]);
    let clock = &found.controls[0];
    assert_eq!(
        (clock.shares.expected_ms, clock.shares.failing_ms),
        (900, 800)
    );
    assert_eq!(clock.deviations.open, 1);
    assert_eq!(told.whole(900, 1000).out_of_scope, 1);
    // It came into the scope on the last day, and counts from then on.
    told.given.moves = [(host("a"), vec![(at(0), out), (at(900), place(None))])].into();
    let clock = told.over(0, 1000);
    assert_eq!(
        (clock.shares.expected_ms, clock.shares.failing_ms),
        (100, 100)
    );
    assert_eq!(told.over(0, 1000).deviations.count, 1);
    // A question for a group counts the time in the group.
    let web = Place {
        groups: vec!["web".to_owned()],
        out: None,
    };
    told.given.moves = [(host("a"), vec![(at(0), web), (at(300), place(None))])].into();
    told.asked.groups = vec!["web".to_owned()];
    assert_eq!(told.over(0, 1000).shares.expected_ms, 300);
}

#[test]
fn no_host_and_hosts_out_of_scope_are_no_time() {
    let mut told = Told::new(&[], History::new());
    assert_eq!(told.over(0, 1000).shares, Shares::default());
    told = Told::new(&[("a", 0, 9999)], History::new());
    let out = Place {
        groups: Vec::new(),
        out: Some("a laboratory".to_owned()),
    };
    told.given.places = [(host("a"), out)].into();
    assert_eq!(told.over(0, 1000).shares, Shares::default());
}

#[test]
fn hosts_fail_together_or_one_after_the_other() {
    let fails = |from, to| {
        vec![
            span(0, Some(from), Verdict::Pass, false),
            span(from, Some(to), Verdict::Fail, false),
            span(to, None, Verdict::Pass, false),
        ]
    };
    let mut all = history(&["a", "b"], ("a", SYNCHRONISED), fails(100, 300));
    let _old = all.insert(("b", SYNCHRONISED), fails(200, 500));
    let told = Told::new(&[("a", 0, 9999), ("b", 0, 9999)], all);
    let clock = told.over(0, 1000);
    assert_eq!(
        (clock.shares.expected_ms, clock.shares.failing_ms),
        (2000, 500)
    );
    assert_eq!((clock.any_failing_ms, clock.deviations.count), (400, 2));
    let names = check(&clock, SYNCHRONISED).hosts.iter();
    let names: Vec<_> = names.map(|one| one.host.as_str()).collect();
    assert_eq!(names, ["b", "a"], "the one that failed longest first");
}
