//! Questions at a desk: the same history asked for in every way gives answers that agree.

use std::sync::Arc;

use shared::checkpoint::Signer;
use shared::fact;
use shared::observation::{Observation, Outcome};

use super::*;
use crate::assess::{Desk, Shares};
use crate::ledger::Ledger;
use crate::register::Register;
use crate::status::ControlState;
use crate::status::{Change, Place, ProbeOutcome, Status};

const HOUR: i64 = 3_600_000;

fn hour(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    start.plus_ms(hours * HOUR)
}

fn record(hours: i64) -> Digest {
    Digest::of(&hours.to_be_bytes())
}

fn run(seq: u64, hours: i64, synchronised: bool) -> Change {
    let json = format!(
        r#"{{"container":false,"kernel_synchronised":{synchronised},
            "timesyncd_synchronised_at":{}}}"#,
        hour(hours).unix_ms()
    );
    let subject = fact::subject("clock").unwrap();
    let seen = Observation {
        artifacts: Vec::new(),
        facts: subject.read(&json).unwrap(),
        outcome: Outcome::Facts,
        probe: "clock".to_owned(),
        reason: String::new(),
        schema: subject.schema,
        source: Vec::new(),
    };
    Change::Run {
        place: Place {
            host: host("a"),
            generation: 1,
            seq,
            received: hour(hours),
        },
        attestation: record(hours),
        collected: hour(hours),
        outcomes: vec![ProbeOutcome {
            probe: "clock".to_owned(),
            outcome: Outcome::Facts,
            observation_id: Some(Digest::of(&seen.to_bytes())),
            observation: Some(seen),
        }],
    }
}

/// Enrolled at 0 with a heartbeat of 2 h; fails at 3 and 4, and is silent between 5 and 10.
fn history() -> Vec<Change> {
    let enrolled = Change::Enrolled {
        host: host("a"),
        generation: 1,
        at: hour(0),
        heartbeat_s: 7200,
    };
    let runs = [1, 2, 3, 4, 5, 10];
    let runs = (0..).zip(runs);
    let runs = runs.map(|(seq, hours)| run(seq, hours, ![3, 4].contains(&hours)));
    [enrolled].into_iter().chain(runs).collect()
}

fn asked() -> Asked {
    Asked {
        controls: vec!["A.8.17".to_owned()],
        ..Asked::default()
    }
}

/// Asks after the first `changes` of the history.
fn at_desk(changes: usize, ask: impl FnOnce(&Desk<'_>)) {
    let folder = tempfile::tempdir().unwrap();
    let (status, _new) = Status::open(&folder.path().join("status"), Arc::new(catalog())).unwrap();
    for (position, change) in (0..).zip(history().iter().take(changes)) {
        status.apply(position, change).unwrap();
    }
    let signer = Signer::new("desk.example/evident/1", &[7; 32]).unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger"), signer).unwrap();
    ask(&Desk {
        status: &status,
        register: &Register::default(),
        ledger: &ledger,
        sla: crate::assess::Sla::default(),
    });
    status.close().unwrap();
}

#[test]
fn an_instant_of_the_past_gives_its_state_and_its_evidence() {
    at_desk(7, |desk| {
        for (hours, verdict, evidence) in [
            (1, PASS, 1),
            (2, PASS, 2),
            (3, FAIL, 3),
            (4, FAIL, 4),
            (5, PASS, 5),
            (9, PASS, 5),
            (10, PASS, 10),
        ] {
            let found = desk.at(&asked(), hour(hours).plus_ms(1)).unwrap();
            let [control] = found.controls.as_slice() else {
                panic!("{found:?}");
            };
            let mut checks = control.checks.iter();
            let check = checks.find(|one| one.check == SYNCHRONISED).unwrap();
            let [named] = check.named.as_slice() else {
                panic!("{check:?}");
            };
            let detail = named.detail.as_ref().unwrap();
            let told = (named.verdict, detail.record);
            assert_eq!(told, (verdict, Some(record(evidence))), "{hours}");
            assert!(detail.observation.is_some());
        }
        // Before there was any evidence, and before there was a host.
        let found = desk.at(&asked(), hour(0).plus_ms(1)).unwrap();
        assert_eq!(found.controls[0].finding.state, ControlState::Unknown);
        assert_eq!(found.controls[0].collected.missing.count, 1);
        let found = desk.at(&asked(), hour(-1)).unwrap();
        assert_eq!(found.controls[0].finding.state, ControlState::NoHost);
        let wrong = Asked {
            controls: vec!["A.9.9".to_owned()],
            ..Asked::default()
        };
        assert!(desk.at(&wrong, hour(1)).is_err());
    });
}

#[test]
fn now_is_the_last_instant() {
    at_desk(7, |desk| {
        let now = hour(10).plus_ms(30 * 60_000);
        let (live, past) = (desk.now(&asked(), now), desk.at(&asked(), now));
        assert_eq!(live.unwrap(), past.unwrap());
    });
}

#[test]
fn a_period_and_its_drift_tell_the_same_story() {
    at_desk(7, |desk| {
        let now = hour(10).plus_ms(30 * 60_000);
        let window = Window {
            from: hour(0),
            to: now,
        };
        let found = desk.over(&asked(), window, now).unwrap();
        let mut checks = found.controls[0].checks.iter();
        let check = checks.find(|one| one.check == SYNCHRONISED).unwrap();
        let wanted = Shares {
            expected_ms: window.ms(),
            passing_ms: 7 * HOUR + HOUR / 2,
            failing_ms: 2 * HOUR,
            unknown_ms: HOUR,
            gap_ms: HOUR,
            ..Shares::default()
        };
        assert_eq!(check.shares, wanted);
        let spent = check.deviations;
        assert_eq!((spent.count, spent.fixed), (1, 1));
        assert_eq!(spent.longest_fix_ms, Some(2 * HOUR));

        let drift = over(desk, &Asked::default(), window, now).unwrap();
        let of_check = |one: &&Entry| {
            let What::Changed { check, .. } = &one.what else {
                return false;
            };
            check == SYNCHRONISED
        };
        let told: Vec<_> = drift.entries.iter().filter(of_check).collect();
        let told: Vec<_> = told.iter().map(|one| (one.at, why(one))).collect();
        let enrolled = Some(Why::Enrolment);
        assert_eq!(
            told,
            [(hour(1), enrolled), (hour(3), None), (hour(5), None)]
        );
        let silence = drift.entries.iter().find_map(|one| {
            if let What::Silent {
                probe: None, to, ..
            } = &one.what
            {
                Some((one.at, *to))
            } else {
                None
            }
        });
        assert_eq!(silence, Some((hour(7), Some(hour(10)))));
    });
}

#[test]
fn what_is_wrong_now_is_told_once() {
    let keys = |changes, now: Timestamp| {
        let mut keys = Vec::new();
        at_desk(changes, |desk| {
            let found = conditions(desk, at(0), now).unwrap();
            keys = found.0.into_iter().map(|one| one.key).collect();
        });
        keys
    };
    let failing = "failing/a/clock.synchronised";
    assert_eq!(keys(4, hour(3).plus_ms(1)), [failing]);
    assert_eq!(keys(6, hour(5).plus_ms(1)), Vec::<String>::new());
    assert_eq!(keys(6, hour(8)), ["silent-host/a"]);
    // A failure stays one also when the host falls silent.
    assert_eq!(keys(5, hour(8)), [failing, "silent-host/a"]);
}
