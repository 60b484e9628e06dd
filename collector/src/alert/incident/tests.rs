//! Incidents step by step, and whatever happens in whatever order.

use proptest::prelude::*;

use super::super::{Occasion, condition, settings};
use super::*;
use crate::register::Pattern;
use crate::register::views::{Note, Reach};

const MINUTE: i64 = 60;
/// Told after a minute and half of one, over after five, once an hour, escalated after two.
const ROUTES: &str = r#"
    [[route]]
    name = "boss"
    channels = ["phone"]

    [[route]]
    name = "all"
    match = {}
    channels = ["mail", "chat"]
    group_by = ["check"]
    for_seconds = 60
    group_wait_seconds = 30
    resolve_after_seconds = 300
    repeat_seconds = 3600
    escalate_after_seconds = 7200
    escalate_to = "boss"
"#;

/// A collector that goes from moment to moment.
pub(super) struct Bench {
    pub(super) state: State,
    /// The state as it was written down.
    written: State,
    pub(super) routes: Routes,
    pub(super) quiet: Quiet,
    pub(super) now: Timestamp,
    told: Vec<Order>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self {
            state: State::default(),
            written: State::default(),
            routes: settings(ROUTES, &["mail", "chat", "phone"]),
            quiet: Quiet::default(),
            now: "2026-03-01T00:00:00Z".parse().unwrap(),
            told: Vec::new(),
        }
    }

    fn look(&mut self, conditions: &[Condition]) -> Vec<Order> {
        let now = Now {
            at: self.now,
            collector: "here",
            conditions,
            quiet: &self.quiet,
        };
        let step = self.state.step(&self.routes, &now);
        if step.changes.is_empty() {
            assert_eq!(step.orders, [], "a notice that nothing remembers");
        } else {
            let text = serde_json::to_string(&step.changes).unwrap();
            self.written.apply(serde_json::from_str(&text).unwrap());
        }
        self.told.extend(step.orders.iter().cloned());
        step.orders
    }

    /// What is told when this time has passed and all that is there: channel, occasion, number and
    /// how many conditions.
    pub(super) fn after(&mut self, seconds: i64, conditions: &[Condition]) -> Vec<String> {
        self.now = self.now.plus_ms(seconds.saturating_mul(1000));
        let orders = self.look(conditions);
        let said = orders.iter().map(|order| {
            let notice = &order.notice;
            let occasion = notice.occasion;
            format!(
                "{} {occasion:?} {} {}",
                order.channel, notice.number, notice.count
            )
        });
        said.collect()
    }

    /// The process is killed and begins again.
    pub(super) fn killed(&mut self) {
        self.state = self.written.clone();
    }

    pub(super) fn at(&self, key: &str) -> Condition {
        condition(key, self.now)
    }
}

/// What a person says of these hosts, and of one check if there is one.
pub(super) fn note(id: &str, (hosts, check): (&str, Option<&str>), from: Timestamp) -> Note {
    Note {
        id: id.to_owned(),
        reach: Reach {
            hosts: Pattern::new(hosts).into_iter().collect(),
            checks: check.into_iter().map(str::to_owned).collect(),
            ..Reach::default()
        },
        severity: None,
        reason: String::new(),
        by: "ada".to_owned(),
        from,
        until: None,
        record: shared::id::Digest::of(b"a decision"),
    }
}

pub(super) const NOTHING: [&str; 0] = [];

#[test]
fn a_condition_is_told_once_reminded_escalated_and_resolved() {
    let mut bench = Bench::new();
    let one = [bench.at("web-1 clock.synchronised")];
    assert_eq!(bench.after(0, &one), NOTHING);
    assert_eq!(bench.after(59, &one), NOTHING, "it has not lasted");
    assert_eq!(bench.after(1, &one), NOTHING, "it waits for others");
    let raised = ["chat Raised 1 1", "mail Raised 1 1"];
    assert_eq!(bench.after(30, &one), raised);
    assert_eq!(bench.after(3599, &one), NOTHING);
    assert_eq!(
        bench.after(1, &one),
        ["chat Reminder 2 1", "mail Reminder 2 1"]
    );
    assert_eq!(bench.after(3600, &one), ["phone Escalated 3 1"]);
    let reminded = [
        "chat Reminder 4 1",
        "mail Reminder 4 1",
        "phone Reminder 4 1",
    ];
    assert_eq!(bench.after(3600, &one), reminded);
    assert_eq!(bench.after(1, &[]), NOTHING);
    assert_eq!(bench.after(299, &[]), NOTHING, "it may come back");
    let over = [
        "chat Resolved 5 1",
        "mail Resolved 5 1",
        "phone Resolved 5 1",
    ];
    assert_eq!(bench.after(1, &[]), over);
    assert_eq!(bench.after(90_000, &[]), NOTHING);
    assert_eq!(bench.state.slots.len(), 0);
}

#[test]
fn what_flaps_is_one_incident_and_what_was_short_is_none() {
    let mut bench = Bench::new();
    let one = [bench.at("web-1 clock.synchronised")];
    assert_eq!(bench.after(0, &one), NOTHING);
    for _short in 0..100 {
        assert_eq!(bench.after(1, &[]), NOTHING);
        assert_eq!(bench.after(300, &[]), NOTHING);
        let one = [bench.at("web-1 clock.synchronised")];
        assert_eq!(bench.after(10, &one), NOTHING);
    }
    let mut told = Vec::new();
    for _flap in 0..100 {
        told.extend(bench.after(50, &[]));
        told.extend(bench.after(50, &one));
    }
    let raised = ["chat Raised 1 1", "mail Raised 1 1"];
    assert_eq!(told[..2], raised);
    let rest = &told[2..];
    assert!(
        !rest
            .iter()
            .any(|told| told.contains("Raised") || told.contains("Resolved"))
    );
}

#[test]
fn conditions_that_belong_together_are_one_notice_and_others_are_not() {
    let mut bench = Bench::new();
    let first = bench.at("web-1 clock.synchronised");
    let other = bench.at("web-1 backup.recent");
    assert_eq!(bench.after(0, &[first.clone(), other.clone()]), NOTHING);
    assert_eq!(bench.after(60, &[first.clone(), other.clone()]), NOTHING);
    let second = bench.at("web-2 clock.synchronised");
    let mut late = bench.at("web-3 clock.synchronised");
    late.since = bench.now.plus_ms(-3_600_000);
    let all = [first.clone(), second.clone(), other.clone(), late];
    let told = bench.after(30, &all);
    // `backup.recent` alone, and the clocks that have lasted: the one of web-2 began just now.
    let want = [
        "chat Raised 1 1",
        "mail Raised 1 1",
        "chat Raised 1 2",
        "mail Raised 1 2",
    ];
    assert_eq!(told, want);
    assert_eq!(bench.after(60, &all), NOTHING);
    assert_eq!(
        bench.after(30, &all),
        ["chat Raised 2 3", "mail Raised 2 3"]
    );
    let title = &bench.told.last().unwrap().notice.title;
    assert!(title.starts_with("3 conditions, the worst: "), "{title}");
    // One of three is over: nothing is said until the next notice.
    let fewer = [first, second, other];
    assert_eq!(bench.after(0, &fewer), NOTHING);
    assert_eq!(bench.after(300, &fewer), NOTHING);
    let reminded = bench.after(3300, &fewer);
    assert_eq!(reminded[2..], ["chat Reminder 3 2", "mail Reminder 3 2"]);
}

#[test]
fn what_gets_worse_is_told_again() {
    let mut bench = Bench::new();
    let mut one = bench.at("web-1 clock.synchronised");
    assert_eq!(bench.after(0, &[one.clone()]), NOTHING);
    assert_eq!(bench.after(60, &[one.clone()]), NOTHING);
    assert_eq!(bench.after(30, &[one.clone()]).len(), 2);
    one.severity = crate::catalog::Severity::Critical;
    assert_eq!(bench.after(60, &[one.clone()]), NOTHING);
    assert_eq!(
        bench.after(30, &[one]),
        ["chat Raised 2 1", "mail Raised 2 1"]
    );
    assert_eq!(bench.after(0, &[]), NOTHING);
    assert_eq!(
        bench.after(300, &[]),
        ["chat Resolved 3 1", "mail Resolved 3 1"]
    );
}

#[test]
fn nobody_is_reminded_of_what_is_acknowledged_or_silenced() {
    let mut bench = Bench::new();
    let one = [bench.at("web-1 clock.synchronised")];
    let told = [(0, 0), (60, 0), (30, 2)];
    for (seconds, count) in told {
        assert_eq!(bench.after(seconds, &one).len(), count);
    }
    let known = note("ACK-1", ("*", Some("clock.synchronised")), bench.now);
    bench.quiet.acknowledgements.push(known);
    let known = ["chat Acknowledged 2 1", "mail Acknowledged 2 1"];
    assert_eq!(bench.after(60, &one), known);
    assert_eq!(bench.after(90_000, &one), NOTHING);
    // Another host: the same incident, and nobody has acknowledged this.
    let two = [one[0].clone(), bench.at("web-2 clock.synchronised")];
    assert_eq!(bench.after(0, &two), NOTHING);
    assert_eq!(bench.after(60, &two), NOTHING);
    assert_eq!(
        bench.after(30, &two),
        ["chat Raised 3 2", "mail Raised 3 2"]
    );
    bench.quiet = Quiet::default();
    let mut silence = note("SIL-1", ("web-*", None), bench.now);
    silence.until = Some(bench.now.plus_ms(86_400_000));
    bench.quiet.silences.push(silence);
    assert_eq!(bench.after(86_399, &two), NOTHING);
    // It ends by itself; then two hours are given again before it is escalated.
    assert_eq!(
        bench.after(1, &two),
        ["chat Reminder 4 2", "mail Reminder 4 2"]
    );
    assert_eq!(bench.after(7200, &two), ["phone Escalated 5 2"]);
    // What is over is told even when it is silenced again.
    bench.quiet.silences[0].until = Some(bench.now.plus_ms(86_400_000));
    assert_eq!(bench.after(10, &[]), NOTHING);
    assert_eq!(bench.after(300, &[]).len(), 3);
    // And what begins while it is silenced is told when that ends.
    let one = [bench.at("web-1 backup.recent")];
    assert_eq!(bench.after(600, &one), NOTHING);
    let open: Vec<_> = bench.state.incidents().collect();
    let hush = Some(Hush::Silenced("SIL-1".to_owned()));
    assert_eq!(open[0].members.values().next().unwrap().hush, hush);
    assert_eq!(bench.after(86_400, &one), NOTHING);
    assert_eq!(
        bench.after(30, &one),
        ["chat Raised 1 1", "mail Raised 1 1"]
    );
}

#[test]
fn a_clock_that_is_set_tells_nothing_twice() {
    let mut bench = Bench::new();
    let one = [bench.at("web-1 clock.synchronised")];
    for (seconds, count) in [(0, 0), (60, 0), (30, 2), (-86_400, 0), (3599, 0), (1, 2)] {
        assert_eq!(bench.after(seconds, &one).len(), count, "{seconds}");
    }
    bench.killed();
    for (seconds, count) in [(-86_400, 0), (3599, 0), (1, 1), (86_400 * 365, 3), (1, 0)] {
        assert_eq!(bench.after(seconds, &one).len(), count, "{seconds}");
    }
}

#[test]
fn what_a_route_told_that_is_gone_is_taken_by_another() {
    let mut bench = Bench::new();
    let one = [bench.at("web-1 clock.synchronised")];
    for (seconds, count) in [(0, 0), (60, 0), (30, 2)] {
        assert_eq!(bench.after(seconds, &one).len(), count);
    }
    bench.routes = settings("route = []", &["mail"]);
    // The built-in route takes it now, and nothing is over.
    assert_eq!(bench.after(1, &one), NOTHING);
    assert_eq!(bench.after(30, &one), NOTHING);
    bench.killed();
    assert_eq!(bench.after(1, &[]), NOTHING);
    assert_eq!(bench.after(300, &[]), ["mail Resolved 2 1"]);
}

#[test]
fn who_forgets_is_told_again_also_of_what_is_acknowledged() {
    let mut bench = Bench::new();
    bench.routes = settings(
        "[[route]]\nname = 'default'\nchannels = ['mail', 'memory']\nrepeat_seconds = 0",
        &["mail", "memory"],
    );
    let one = [bench.at("web-1 clock.synchronised")];
    assert_eq!(bench.after(0, &one), NOTHING);
    let raised = ["mail Raised 1 1", "memory Raised 1 1"];
    assert_eq!(bench.after(30, &one), raised);
    assert_eq!(bench.after(86_399, &one), NOTHING);
    assert_eq!(bench.after(1, &one), ["memory Reminder 2 1"]);
    let known = note("ACK-1", ("web-1", None), bench.now);
    bench.quiet.acknowledgements.push(known);
    assert_eq!(bench.after(1, &one).len(), 2);
    assert_eq!(bench.after(86_399, &one), NOTHING);
    assert_eq!(bench.after(1, &one), ["memory Reminder 4 1"]);
    assert_eq!(bench.after(1, &[]), NOTHING);
    assert_eq!(
        bench.after(300, &[]),
        ["mail Resolved 5 1", "memory Resolved 5 1"]
    );
}

#[test]
fn what_a_silence_hides_is_not_over() {
    let mut bench = Bench::new();
    bench.routes = settings("route = []", &["mail"]);
    let mut unknown = bench.at("web-1 clock.synchronised");
    unknown.kind = ConditionKind::Unknown;
    let mut host = bench.at("web-1 ");
    (host.kind, host.check) = (ConditionKind::SilentHost, None);
    let mut fleet = bench.at("- ");
    (fleet.kind, fleet.host) = (ConditionKind::SilentFleet, None);
    for (seconds, there, told) in [
        (0, &unknown, &[][..]),
        (30, &unknown, &["mail Raised 1 1"]),
        (0, &host, &[]),
        (30, &host, &["mail Raised 1 1"]),
        (600, &fleet, &[]),
        (600, &fleet, &["mail Raised 1 1"]),
        (600, &host, &[]),
        (300, &host, &["mail Resolved 2 1"]),
    ] {
        assert_eq!(
            bench.after(seconds, std::slice::from_ref(there)),
            told,
            "{}",
            there.key
        );
    }
    assert_eq!(bench.after(0, &[]), NOTHING);
    let over = ["mail Resolved 2 1", "mail Resolved 2 1"];
    assert_eq!(bench.after(300, &[]), over);
}

#[test]
fn a_channel_is_not_told_that_it_does_not_work() {
    let mut bench = Bench::new();
    let mut one = bench.at("- -");
    one.key = super::super::undelivered_key("mail");
    one.kind = ConditionKind::Undelivered;
    for (seconds, count) in [(0, 0), (60, 0)] {
        assert_eq!(
            bench.after(seconds, std::slice::from_ref(&one)).len(),
            count
        );
    }
    assert_eq!(bench.after(30, &[one]), ["chat Raised 1 1"]);
    assert_eq!(bench.after(0, &[]), NOTHING);
    assert_eq!(bench.after(300, &[]), ["chat Resolved 2 1"]);
}

const KEYS: [&str; 4] = [
    "web-1 clock.synchronised",
    "web-2 clock.synchronised",
    "web-1 backup.recent",
    "db-1 backup.recent",
];

/// What is there for how long.
fn moments(least: i64) -> impl Strategy<Value = Vec<(i64, Vec<bool>, bool)>> {
    let seconds = prop_oneof![4 => 0..120i64, 2 => 120..4000i64, 1 => least..=0];
    let there = proptest::collection::vec(any::<bool>(), KEYS.len());
    proptest::collection::vec((seconds, there, any::<bool>()), 1..60)
}

/// Goes through these moments; where it says so, the process is killed before.
fn run(moments: &[(i64, Vec<bool>, bool)], kills: bool) -> Bench {
    let mut bench = Bench::new();
    let mut since = [None; KEYS.len()];
    for (seconds, there, killed) in moments {
        if kills && *killed {
            bench.killed();
        }
        let now = bench.now.plus_ms(seconds.saturating_mul(1000));
        let mut conditions = Vec::new();
        for ((key, since), there) in KEYS.iter().zip(&mut since).zip(there) {
            *since = there.then(|| since.unwrap_or(now));
            conditions.extend(since.map(|since| condition(key, since)));
        }
        let _said = bench.after(*seconds, &conditions);
    }
    bench
}

/// Each incident has the numbers 1, 2, .., begins with `Raised`, and ends with `Resolved` if it is
/// over; a channel is told of each number once.
fn in_order(told: &[Order]) -> BTreeMap<String, Vec<(u64, Occasion)>> {
    let mut incidents: BTreeMap<String, BTreeMap<u64, Occasion>> = BTreeMap::new();
    let mut once = BTreeSet::new();
    for Order { channel, notice } in told {
        assert!(once.insert((channel, &notice.incident, notice.number)));
        let numbers = incidents.entry(notice.incident.clone()).or_default();
        let _same = numbers.insert(notice.number, notice.occasion);
    }
    let incidents = incidents.into_iter().map(|(id, numbers)| {
        let numbers: Vec<_> = numbers.into_iter().collect();
        for (place, (number, occasion)) in numbers.iter().enumerate() {
            assert_eq!(*number, u64::try_from(place).unwrap() + 1);
            assert!((*number == 1) <= (*occasion == Occasion::Raised));
            let last = place + 1 == numbers.len();
            assert!((*occasion == Occasion::Resolved) <= last);
        }
        (id, numbers)
    });
    incidents.collect()
}

proptest! {
    #[test]
    fn a_kill_at_any_moment_changes_nothing(moments in moments(0)) {
        let (straight, killed) = (run(&moments, false), run(&moments, true));
        prop_assert_eq!(straight.told, killed.told);
    }

    #[test]
    fn whatever_happens_all_is_told_in_order_and_resolved(moments in moments(-90_000)) {
        let mut bench = run(&moments, true);
        let _open = in_order(&bench.told);
        // What is there long enough is told.
        let all: Vec<_> = KEYS.iter().map(|key| bench.at(key)).collect();
        for seconds in [0, MINUTE, MINUTE] {
            let _said = bench.after(seconds, &all);
        }
        let there = bench.state.incidents().flat_map(|incident| incident.members.values());
        prop_assert_eq!(there.filter(|member| member.told).count(), KEYS.len());
        // What is gone long enough is over.
        for seconds in [0, 5 * MINUTE] {
            let _said = bench.after(seconds, &[]);
        }
        prop_assert_eq!(bench.state.incidents().count(), 0);
        for (id, numbers) in in_order(&bench.told) {
            let last = numbers.last().map(|(_number, occasion)| *occasion);
            prop_assert_eq!(last, Some(Occasion::Resolved), "{}", id);
        }
        prop_assert_eq!(bench.written.incidents().count(), 0);
    }
}
