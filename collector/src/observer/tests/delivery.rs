//! Lines on their way, on a real ledger.

use shared::fact::Value;

use super::site::{HOUR, Host, MINUTE, SECOND, Site, list, number, seen};
use super::*;

/// What a host says that it sent, each by another way.
fn sent(lines: &[&Canary]) -> Observation {
    let records = lines.iter().zip(["journal", "syslog"].iter().cycle());
    let records = records.map(|(line, way)| {
        field::known([
            ("line", Some(Value::Text(line.to_string()))),
            ("way", Some(Value::Text((*way).to_owned()))),
            ("at", Some(Value::Instant(line.sent))),
        ])
    });
    let sent = list(records.collect());
    seen("canary", [("sends", Value::Flag(true)), ("sent", sent)])
}

/// What a log host says that it received.
fn received(log_host: &Host, now: Timestamp, lines: &[String]) -> Observation {
    let records = lines.iter().map(|line| {
        field::known([
            ("line", Some(Value::Text(line.clone()))),
            (
                "file",
                Some(Value::Text("/var/log/remote/web-1.log".to_owned())),
            ),
            ("seen", Some(Value::Instant(now.plus_ms(log_host.ahead_ms)))),
        ])
    });
    let received = list(records.collect());
    seen(
        "canary",
        [("received", received), ("watch_count", field::count(1))],
    )
}

/// A host sends a line by each of two ways and tells of it two seconds later.
fn sends(site: &mut Site, host: &mut Host) -> [Canary; 2] {
    let lines = [host.line(site.now()), host.line(site.now().plus_ms(1))];
    site.pass(2 * SECOND);
    let _id = site.report(host, &sent(&[&lines[0], &lines[1]]), 0);
    lines
}

fn counts(observation: &Observation) -> [Option<i64>; 4] {
    ["sent_count", "arrived_count", "lost_count", "untold_count"]
        .map(|name| number(observation, name))
}

#[test]
fn lines_that_the_listener_saw_have_arrived_with_their_latency() {
    let mut site = Site::new(true);
    let mut host = site.enrol("web-1", 1);
    host.ahead_ms = 3_600_000;
    site.measure(&host, 20);
    let lines = [host.line(site.now()), host.line(site.now().plus_ms(1))];
    site.pass(SECOND);
    site.show(&lines[0]);
    site.show(&lines[1]);
    site.nothing();
    let _id = site.report(&mut host, &sent(&[&lines[0], &lines[1]]), 0);
    let found = site.one();
    assert_eq!(counts(&found), [Some(2), Some(2), Some(0), Some(0)]);
    // A second on the way; the clock is known to 10 ms, and one of rounding.
    assert_eq!(number(&found, "latency_min_ms"), Some(989));
    assert_eq!(number(&found, "latency_max_ms"), Some(1011));
    assert_eq!(number(&found, "receiver_count"), Some(1));
    let receivers = field::list(&found.facts, "receivers").unwrap();
    assert_eq!(field::text(&receivers[0], "name"), Some("(collector)"));
    assert_eq!(field::flag(&receivers[0], "encrypted"), Some(true));
    // Told again, or shown again, nothing more follows.
    let _id = site.report(&mut host, &sent(&[&lines[0], &lines[1]]), 0);
    site.show(&lines[0]);
    site.pass(HOUR);
    site.nothing();
}

#[test]
fn a_line_that_never_comes_is_lost_and_may_come_late() {
    let mut site = Site::new(true);
    let mut host = site.enrol("web-1", 1);
    site.measure(&host, 2);
    site.pass(MINUTE);
    let lines = sends(&mut site, &mut host);
    site.show(&lines[1]);
    site.pass(4 * MINUTE);
    site.nothing();
    site.pass(2 * MINUTE);
    let found = site.one();
    assert_eq!(counts(&found), [Some(2), Some(1), Some(1), Some(0)]);
    let lost = field::list(&found.facts, "lost").unwrap();
    assert_eq!(field::text(&lost[0], "way"), Some("journal"));
    assert_eq!(field::instant(&lost[0], "sent"), Some(lines[0].sent));
    site.show(&lines[0]);
    site.nothing();
    for line in sends(&mut site, &mut host) {
        site.show(&line);
    }
    let found = site.one();
    assert_eq!(counts(&found), [Some(2), Some(2), Some(0), Some(0)]);
    assert_eq!(number(&found, "late_count"), Some(1));
}

#[test]
fn a_log_host_has_its_time_to_look() {
    let mut site = Site::trusting("log-1");
    let (mut host, mut log_host) = (site.enrol("web-1", 1), site.enrol("log-1", 1));
    log_host.ahead_ms = -7_000;
    site.measure(&host, 2);
    site.measure(&log_host, 2);
    let look = |site: &mut Site, log_host: &mut Host, lines: &[&Canary]| {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let told = received(log_host, site.now(), &lines);
        let _id = site.report(log_host, &told, 0);
    };
    look(&mut site, &mut log_host, &[]);
    site.pass(MINUTE);
    let lines = sends(&mut site, &mut host);
    // A look before the lines are due says nothing of them; there is no other for a while.
    site.pass(4 * MINUTE);
    look(&mut site, &mut log_host, &[]);
    site.pass(10 * MINUTE);
    site.nothing();
    look(&mut site, &mut log_host, &[&lines[0], &lines[1]]);
    let found = site.one();
    assert_eq!(counts(&found), [Some(2), Some(2), Some(0), Some(0)]);
    // Not there at the look before, 4 min 2 s after they were sent; there at the next.
    let least = number(&found, "latency_min_ms").unwrap();
    let most = number(&found, "latency_max_ms").unwrap();
    assert!((242_000 - 1000..=242_000).contains(&least), "{least}");
    assert!((842_000..=842_000 + 2000).contains(&most), "{most}");
    let receivers = field::list(&found.facts, "receivers").unwrap();
    assert_eq!(field::text(&receivers[0], "name"), Some("log-1"));
    assert_eq!(field::flag(&receivers[0], "encrypted"), None);

    let _lines = sends(&mut site, &mut host);
    site.pass(6 * MINUTE);
    site.nothing();
    look(&mut site, &mut log_host, &[]);
    assert_eq!(counts(&site.one()), [Some(2), Some(0), Some(2), Some(0)]);
}

#[test]
fn what_is_not_genuine_or_not_of_another_is_no_arrival() {
    let mut site = Site::trusting("log-1");
    let (mut host, mut log_host) = (site.enrol("web-1", 1), site.enrol("log-1", 1));
    let stranger = SigningKey::generate().unwrap();
    let forged = |line: &Canary| Canary::new(host.agent.clone(), 1, line.sent, &stranger);
    let lines = [host.line(site.now()), host.line(site.now().plus_ms(1))];
    let own = log_host.line(site.now());
    let other = Canary::new(host.agent.clone(), 1, own.sent.plus_ms(5), &host.key);
    let shown = [forged(&lines[0]), forged(&lines[1]), own.clone(), other];
    let mut shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
    shown.push("evident-canary/v1 web-1 1 1 no".to_owned());
    let told = received(&log_host, site.now(), &[]);
    let _id = site.report(&mut log_host, &told, 0);
    let _id = site.report(&mut host, &sent(&[&lines[0], &lines[1]]), 0);
    site.pass(6 * MINUTE);
    site.nothing();
    let mut told = received(&log_host, site.now(), &shown);
    told.facts.extend(sent(&[&own]).facts);
    let _id = site.report(&mut log_host, &told, 0);
    let found = site.observed();
    assert_eq!(found.len(), 2);
    // A log host is no receiver of its own lines.
    assert!(
        found[0].reason.starts_with("no receiver is known"),
        "{found:?}"
    );
    assert_eq!(counts(&found[1]), [Some(2), Some(0), Some(2), Some(0)]);
}

#[test]
fn without_a_receiver_it_is_unknown_and_said_once_an_hour() {
    let mut site = Site::new(false);
    let mut host = site.enrol("web-1", 1);
    let _lines = sends(&mut site, &mut host);
    site.pass(6 * MINUTE);
    let found = site.one();
    assert_eq!(found.outcome, Outcome::Unknown);
    assert!(
        found.reason.starts_with("no receiver is known"),
        "{found:?}"
    );
    for _run in 0..3 {
        site.pass(9 * MINUTE);
        let _lines = sends(&mut site, &mut host);
    }
    site.pass(6 * MINUTE);
    site.nothing();
    site.pass(30 * MINUTE);
    let _lines = sends(&mut site, &mut host);
    site.pass(6 * MINUTE);
    assert_eq!(site.one().outcome, Outcome::Unknown);
}

#[test]
fn of_a_silent_log_host_nothing_is_told() {
    let mut site = Site::trusting("log-1");
    let (mut host, mut log_host) = (site.enrol("web-1", 1), site.enrol("log-1", 1));
    let told = received(&log_host, site.now(), &[]);
    let _id = site.report(&mut log_host, &told, 0);
    let _lines = sends(&mut site, &mut host);
    site.pass(2 * HOUR);
    site.nothing();
    // It looks, but cannot read everything; or looks, and tells only hours later.
    let mut told = received(&log_host, site.now(), &[]);
    let _new = told
        .facts
        .insert("received_dropped_count".to_owned(), field::count(1));
    let _id = site.report(&mut log_host, &told, 0);
    site.nothing();
    site.pass(10 * MINUTE);
    let found = site.one();
    let reason = "the log host `log-1` has not told in time what arrived there";
    assert_eq!(
        (found.outcome, found.reason.as_str()),
        (Outcome::Unknown, reason)
    );
}

#[test]
fn an_agent_that_says_it_watches_makes_no_line_of_others_lost() {
    let mut site = Site::new(false);
    let (mut host, mut rogue) = (site.enrol("web-1", 1), site.enrol("db-1", 1));
    for one in [&host, &rogue] {
        site.measure(one, 2);
    }
    let look = |site: &mut Site, rogue: &mut Host, lines: &[String]| {
        let told = received(rogue, site.now(), lines);
        let _id = site.report(rogue, &told, 0);
    };
    look(&mut site, &mut rogue, &[]);
    let lines = sends(&mut site, &mut host);
    site.pass(6 * MINUTE);
    look(&mut site, &mut rogue, &[]);
    site.pass(2 * HOUR - 2 * MINUTE);
    site.nothing();
    site.pass(2 * MINUTE);
    let found = site.one();
    assert_eq!(found.outcome, Outcome::Unknown);
    assert!(found.reason.contains("name no log host"), "{found:?}");
    // A line that it shows makes it one of the receivers of this host.
    look(&mut site, &mut rogue, &[lines[0].to_string()]);
    site.measure(&host, 2);
    site.measure(&rogue, 2);
    let _lines = sends(&mut site, &mut host);
    site.pass(6 * MINUTE);
    look(&mut site, &mut rogue, &[]);
    assert_eq!(counts(&site.one()), [Some(2), Some(0), Some(2), Some(0)]);
}

#[test]
fn a_named_log_host_that_never_reported_has_told_nothing() {
    let mut site = Site::trusting("log-1");
    let (mut host, mut rogue) = (site.enrol("web-1", 1), site.enrol("db-1", 1));
    site.measure(&rogue, 2);
    let _lines = sends(&mut site, &mut host);
    site.pass(10 * MINUTE);
    let told = received(&rogue, site.now(), &[]);
    let _id = site.report(&mut rogue, &told, 0);
    site.pass(2 * HOUR);
    let found = site.one();
    assert_eq!(found.outcome, Outcome::Unknown);
    assert!(found.reason.contains("`log-1`"), "{found:?}");
}

#[test]
fn each_line_of_one_that_a_log_host_shows_has_arrived() {
    let mut site = Site::trusting("log-1");
    let (mut host, mut log_host) = (site.enrol("web-1", 1), site.enrol("log-1", 1));
    let lines = sends(&mut site, &mut host);
    let both = vec![format!("<14>{} {}", lines[0], lines[1])];
    let told = received(&log_host, site.now(), &both);
    let _id = site.report(&mut log_host, &told, 0);
    assert_eq!(counts(&site.one()), [Some(2), Some(2), Some(0), Some(0)]);
}

#[test]
fn a_line_is_not_lost_when_the_collector_was_away() {
    type Away = fn(&mut Site);
    let aways: [Away; 4] = [
        Site::start,
        |site| site.turn(vec![Event::Missed]),
        |site| site.jump(10 * MINUTE),
        |site| site.jump(-10 * MINUTE),
    ];
    for (number, away) in aways.into_iter().enumerate() {
        let mut site = Site::new(true);
        let mut host = site.enrol("web-1", 1);
        site.measure(&host, 2);
        site.pass(11 * MINUTE);
        let lines = sends(&mut site, &mut host);
        away(&mut site);
        site.pass(20 * MINUTE);
        assert_eq!(site.observed(), Vec::new(), "{number}");
        // It may still arrive; and the next ones are judged as ever.
        site.show(&lines[0]);
        site.show(&lines[1]);
        assert_eq!(counts(&site.one())[1], Some(2), "{number}");
        let _lines = sends(&mut site, &mut host);
        site.pass(6 * MINUTE);
        assert_eq!(counts(&site.one())[2], Some(2), "{number}");
        site.pass(3 * HOUR);
        site.nothing();
    }
}

#[test]
fn a_restart_enters_nothing_twice_and_knows_what_was_measured() {
    let mut site = Site::new(true);
    let mut host = site.enrol("web-1", 1);
    host.ahead_ms = -50_000;
    site.measure(&host, 2);
    for _run in 0..3 {
        for line in sends(&mut site, &mut host) {
            site.show(&line);
        }
    }
    assert_eq!(site.observed().len(), 3);
    site.start();
    site.pass(10 * MINUTE);
    site.nothing();
    for line in sends(&mut site, &mut host) {
        site.show(&line);
    }
    let found = site.one();
    assert!(number(&found, "latency_max_ms").unwrap() < 3 * SECOND);
}

#[test]
fn a_host_cannot_pass_old_or_foreign_lines_as_sent() {
    let mut site = Site::new(true);
    let (mut host, other) = (site.enrol("web-1", 1), site.enrol("web-2", 1));
    site.measure(&host, 2);
    let old = host.line(site.now().plus_ms(-HOUR - MINUTE));
    let ahead = host.line(site.now().plus_ms(10 * MINUTE));
    let foreign = other.line(site.now());
    for line in [&old, &ahead, &foreign] {
        site.show(line);
    }
    let _id = site.report(&mut host, &sent(&[&old, &ahead]), 0);
    let _id = site.report(&mut host, &sent(&[&foreign]), 0);
    let mut again = site.enrol("web-1", 2);
    let line = host.line(site.now());
    site.show(&line);
    let _id = site.report(&mut again, &sent(&[&line]), 0);
    site.pass(3 * HOUR);
    site.nothing();
}

#[test]
fn without_a_measured_clock_there_is_no_latency_and_no_spool_is_taken_for_now() {
    let mut site = Site::new(true);
    let mut host = site.enrol("web-1", 1);
    for line in sends(&mut site, &mut host) {
        site.show(&line);
    }
    let found = site.one();
    assert_eq!(counts(&found)[1], Some(2));
    assert_eq!(number(&found, "latency_max_ms"), None);
    assert!(found.reason.starts_with("how long lines took"), "{found:?}");
    // Its record was made half an hour before it came.
    let line = host.line(site.now().plus_ms(-30 * MINUTE));
    let _id = site.report(&mut host, &sent(&[&line]), 30 * MINUTE);
    site.pass(3 * HOUR);
    site.nothing();
}

#[test]
fn what_a_host_says_of_itself_is_taken_over() {
    let mut site = Site::new(true);
    let mut host = site.enrol("web-1", 1);
    let silent = seen("canary", [("sends", Value::Flag(false))]);
    let _id = site.report(&mut host, &silent, 0);
    let found = site.one();
    assert_eq!(found.outcome, Outcome::Unknown);
    assert!(found.reason.contains("no line is sent"), "{found:?}");
    let mut absent = seen("canary", []);
    absent.outcome = Outcome::Absent;
    absent.reason = "no log daemon listens on this host".to_owned();
    let _id = site.report(&mut host, &absent, 0);
    let _id = site.report(&mut host, &absent, 0);
    let found = site.one();
    assert_eq!(found.outcome, Outcome::Absent);
    assert_eq!(found.reason, "no log daemon listens on this host");
}
