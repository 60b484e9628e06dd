//! What is wrong in the ledger itself, or odd about a host, is told.

use super::exporter::check;
use super::sample::{Ledger, OBSERVATION, gap, stream};
use crate::attestation::Kind;
use crate::decision::{Decided, Revoked};
use crate::id::Digest;
use crate::key::SigningKey;
use crate::leaf::LeafKind;
use crate::stream::Stream;
use crate::verify::Verdict;

/// Checks what is said of a ledger that goes on in an odd way.
#[track_caller]
fn goes_on(change: impl FnOnce(&mut Ledger), wanted: (&str, Verdict, &str)) {
    let mut ledger = Ledger::sample();
    change(&mut ledger);
    check(&ledger, |_, _| {}, wanted);
}

#[test]
fn what_is_wrong_in_the_ledger_itself_is_told() {
    let web = stream("web-1", 1);
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.seq += 1),
        ("streams", Verdict::Fail, "web-1-g1: missing 136..136"),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.prev = Digest::of(b"x")),
        ("streams", Verdict::Fail, "web-1-g1: broken-link 136"),
    );
    goes_on(
        |ledger| {
            ledger.evidence(&web, |evidence| evidence.stream.seq -= 1);
        },
        ("streams", Verdict::Fail, "web-1-g1: fork 135"),
    );
    goes_on(
        |ledger| {
            let root = ledger.root(3);
            ledger.evidence(&web, |evidence| {
                (evidence.seen.size, evidence.seen.root) = (3, root);
            });
        },
        ("streams", Verdict::Fail, "web-1-g1: seen-went-back 136"),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.seen.root = Digest::of(b"x")),
        (
            "seen",
            Verdict::Fail,
            "web-1-g1 record 136: has seen another ledger",
        ),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.seen.size += 2),
        ("seen", Verdict::Fail, "but is entry 274 itself"),
    );
}

#[test]
fn records_of_no_enrolment_and_of_an_ended_one_are_told() {
    let (web, db) = (stream("web-1", 1), stream("db-1", 1));
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.generation = 2),
        ("streams", Verdict::Fail, "web-1-g2: unknown-generation"),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.agent = db.agent.clone()),
        ("signatures", Verdict::Fail, "signature does not hold"),
    );
    goes_on(
        |ledger| {
            ledger.revoke(&web);
            ledger.evidence(&web, |_| {});
        },
        (
            "signatures",
            Verdict::Fail,
            "was entered after web-1-g1 was ended",
        ),
    );
    goes_on(
        |ledger| {
            ledger.enrol(&stream("web-1", 2), 5);
            ledger.evidence(&web, |_| {});
        },
        (
            "signatures",
            Verdict::Fail,
            "was entered after web-1-g1 was ended",
        ),
    );
    goes_on(
        |ledger| {
            let origin = ledger.leaves[2].origin.clone();
            let _id = ledger.decide_as(LeafKind::Revoke, origin, revoked(&web));
        },
        (
            "signatures",
            Verdict::Fail,
            "is a decision with the number of an agent",
        ),
    );
    goes_on(
        |ledger| ledger.revoke(&stream("web-1", 7)),
        (
            "signatures",
            Verdict::Fail,
            "revokes web-1-g7, never enrolled",
        ),
    );
    goes_on(
        |ledger| ledger.enrol(&web, 3),
        ("signatures", Verdict::Fail, "enrols web-1-g1 a second time"),
    );
}

fn revoked(stream: &Stream) -> Decided {
    Decided::Revoke(Revoked {
        agent: stream.agent.clone(),
        generation: stream.generation,
        reason: String::new(),
    })
}

#[test]
fn a_decision_counts_from_its_receipt_whatever_time_it_says() {
    // Silent for 16 entries of 10 s, then revoked with a date from before the silence.
    for late_ms in [0, -1_000_000, 1_000_000] {
        let goes_silent = |ledger: &mut Ledger| {
            for _ in 0..16 {
                ledger.evidence(&stream("web-1", 1), |_| {});
            }
            ledger.late_ms = late_ms;
            ledger.revoke(&stream("db-1", 1));
            for _ in 0..16 {
                ledger.evidence(&stream("web-1", 1), |_| {});
            }
        };
        let part = "db-1-g1: silent-tail 2026-01-02T03:48:49.900Z..2026-01-02T03:51:40.000Z";
        goes_on(goes_silent, ("silence", Verdict::Note, part));
    }
}

#[test]
fn silence_and_steps_are_noted_and_break_nothing() {
    let web = stream("web-1", 1);
    let mut ledger = Ledger::sample();
    for _ in 0..8 {
        ledger.evidence(&web, |_| {});
    }
    let part = "db-1-g1: silent-tail";
    check(&ledger, |_, _| {}, ("silence", Verdict::Note, part));
    check(&ledger, |_, _| {}, ("streams", Verdict::Ok, "2 streams"));
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.boot.mono_ms += 3000),
        ("silence", Verdict::Note, "web-1-g1: clock-step 136"),
    );
    // A host that is enrolled again goes on under a new key; the old stream has an end.
    goes_on(
        |ledger| {
            ledger.enrol(&stream("web-1", 2), 5);
            for _ in 0..10 {
                ledger.evidence(&stream("web-1", 2), |_| {});
                ledger.evidence(&stream("db-1", 1), |_| {});
            }
        },
        ("silence", Verdict::Ok, "none of 3 hosts"),
    );
}

#[test]
fn blobs_that_a_host_says_it_dropped_are_noted() {
    let web = stream("web-1", 1);
    let lose = |ledger: &mut Ledger| {
        // Record 135 of this host is a run of a probe; so is 270 of the ledger.
        ledger
            .blobs
            .remove(&Digest::of(OBSERVATION.as_bytes()))
            .unwrap();
    };
    let part = "web-1-g1 record 132 names it";
    goes_on(lose, ("blobs", Verdict::Fail, part));
    let drops = |ledger: &mut Ledger| {
        ledger.evidence(&web, |evidence| {
            evidence.kind = Kind::Gap;
            evidence.gap = Some(gap(0, 135, 1));
        });
        ledger.evidence(&stream("db-1", 1), |evidence| {
            evidence.kind = Kind::Gap;
            evidence.gap = Some(gap(0, 135, 1));
        });
        lose(ledger);
    };
    goes_on(
        drops,
        ("blobs", Verdict::Note, "were dropped by full spools"),
    );
}

/// Enters three runs of one host (138, 141, 144) whose blobs are lost, what it says of them in the
/// records behind them, and `later` more records.
fn lost(gaps: &[(u64, u64, u64)], acked: u64, later: u64) -> impl Fn(&mut Ledger) {
    let (gaps, web) = (gaps.to_vec(), stream("web-1", 1));
    move |ledger| {
        for error_us in 0..3 {
            let fact = format!("\"kernel_max_error_us\":{error_us},\"kernel_sync");
            ledger.observation = OBSERVATION.replacen("\"kernel_sync", &fact, 1);
            for _ in 0..3 {
                ledger.evidence(&web, |evidence| evidence.seen.acked = Some(130));
            }
            let digest = Digest::of(ledger.observation.as_bytes());
            drop(ledger.blobs.remove(&digest).unwrap());
        }
        ledger.observation = OBSERVATION.to_owned();
        for (first, last, blobs) in &gaps {
            ledger.evidence(&web, |evidence| {
                evidence.kind = Kind::Gap;
                evidence.seen.acked = Some(130);
                evidence.gap = Some(gap(*first, *last, *blobs));
            });
        }
        for _ in 0..later {
            ledger.evidence(&web, |evidence| evidence.seen.acked = Some(acked));
        }
    }
}

#[test]
fn a_gap_accounts_for_no_more_blobs_than_it_says() {
    let missing = |seq| (Verdict::Fail, format!("record {seq} names it, and no gap"));
    let dropped = || (Verdict::Note, "3 blobs were dropped by full".to_owned());
    for (gaps, (verdict, part)) in [
        (&[(138, 144, 3)][..], dropped()),
        (&[(0, 200, 9)], dropped()),
        (&[(138, 144, 2)], missing(144)),
        (&[(138, 144, 0)], missing(138)),
        (&[(138, 143, 3)], missing(144)),
        (&[(139, 144, 3)], missing(138)),
        (&[(145, 200, 3)], missing(138)),
        (&[], missing(138)),
        // Two that overlap: the one that ends first is used first.
        (&[(138, 144, 1), (138, 141, 2)], dropped()),
        (&[(138, 141, 2), (138, 144, 1)], dropped()),
        (&[(138, 144, 2), (141, 141, 1)], dropped()),
        (&[(138, 138, 2), (138, 144, 1)], missing(144)),
        // Records from before the period may have named the blobs first, but not more of them.
        (&[(100, 129, 3)], dropped()),
        (&[(100, 129, 2)], missing(144)),
        (&[(130, 137, 3)], missing(138)),
    ] {
        goes_on(lost(gaps, 144, 3), ("blobs", verdict, &part));
    }
}

#[test]
fn what_a_host_may_still_owe_is_neither_shown_nor_held_against_it() {
    let owed = "record 144 names it, and its host may say later";
    let missing = "record 144 names it, and no gap accounts for it";
    let cannot = Verdict::CannotCheck;
    for (acked, later, verdict, part) in [
        (130, 0, cannot, owed),
        (143, 9, cannot, owed),
        // The last record of a host that was stopped and started: its gap comes next.
        (144, 1, cannot, owed),
        (144, 2, Verdict::Fail, missing),
    ] {
        for gaps in [&[][..], &[(138, 144, 2)]] {
            let verdict = match gaps {
                // Of those before, one was seen in the ledger without a gap behind it.
                [] if acked == 143 => Verdict::Fail,
                _ => verdict,
            };
            goes_on(lost(gaps, acked, later), ("blobs", verdict, part));
        }
    }
}

#[test]
fn a_blob_that_is_named_again_behind_its_gap_is_missing() {
    let web = stream("web-1", 1);
    for (later, verdict) in [
        (0, Verdict::CannotCheck),
        (2, Verdict::CannotCheck),
        (3, Verdict::Fail),
    ] {
        let again = |ledger: &mut Ledger| {
            lost(&[(138, 144, 3)], 144, 1)(ledger);
            let fact = "\"kernel_max_error_us\":0,\"kernel_sync";
            let again = OBSERVATION.replacen("\"kernel_sync", fact, 1);
            ledger.observation.clone_from(&again);
            ledger.evidence(&web, |_| {});
            drop(ledger.blobs.remove(&Digest::of(again.as_bytes())).unwrap());
            ledger.observation = OBSERVATION.to_owned();
            for _ in 0..later {
                ledger.evidence(&web, |_| {});
            }
        };
        goes_on(again, ("blobs", verdict, "record 147 names it"));
    }
}

#[test]
fn observations_are_what_their_records_say() {
    let observed = |from: &str, to: &str, wanted| {
        let observe = |ledger: &mut Ledger| {
            ledger.observation = OBSERVATION.replacen(from, to, 1);
            for _ in 0..3 {
                ledger.evidence(&stream("web-1", 1), |_| {});
            }
        };
        goes_on(observe, wanted);
    };
    let other = "is not what web-1-g1 record 138 says of clock";
    observed(
        "\"facts\",\"probe\"",
        "\"absent\",\"probe\"",
        ("blobs", Verdict::Fail, other),
    );
    observed(
        "{\"art",
        " {\"art",
        ("blobs", Verdict::Fail, "not the one written form"),
    );
    observed(
        "false",
        "1",
        ("blobs", Verdict::Fail, "a fact does not fit its schema"),
    );
    // A newer schema may be right: that is for a newer verifier to say.
    observed(
        "schema\":1",
        "schema\":99",
        ("blobs", Verdict::CannotCheck, "is not known here"),
    );
}

#[test]
fn a_copy_that_is_named_as_an_observation_later_is_read_as_one() {
    let bad = OBSERVATION.replacen("false", "1", 1);
    for later in [true, false] {
        let name_both = |ledger: &mut Ledger| {
            ledger.copy = Some(bad.clone());
            for _ in 0..3 {
                ledger.evidence(&stream("web-1", 1), |_| {});
            }
            if later {
                ledger.observation.clone_from(&bad);
            }
            for _ in 0..3 {
                ledger.evidence(&stream("web-1", 1), |_| {});
            }
        };
        let wanted = if later {
            ("blobs", Verdict::Fail, "a fact does not fit its schema")
        } else {
            // The observation, the copy, and by what two hosts asked to be enrolled.
            ("blobs", Verdict::Ok, "4 blobs are what the records name")
        };
        goes_on(name_both, wanted);
    }
}

#[test]
fn decisions_of_other_kinds_hold_under_their_key() {
    let decided = |ledger: &mut Ledger| {
        let revoked = revoked(&stream("web-1", 1));
        ledger.decide(LeafKind::Roster, revoked.clone());
        ledger.decide(LeafKind::Decision, revoked);
    };
    goes_on(
        decided,
        (
            "signatures",
            Verdict::Fail,
            "not of the kind that its entry says",
        ),
    );
    let alone = |ledger: &mut Ledger| {
        decided(ledger);
        ledger.forget_last();
    };
    goes_on(
        alone,
        (
            "signatures",
            Verdict::Ok,
            "3 records under the key of decisions",
        ),
    );
    let other_key = |ledger: &mut Ledger| {
        let own = std::mem::replace(
            &mut ledger.decisions,
            SigningKey::from_seed([9; 32]).unwrap(),
        );
        alone(ledger);
        ledger.decisions = own;
    };
    goes_on(
        other_key,
        ("signatures", Verdict::Fail, "signature does not hold"),
    );
}
