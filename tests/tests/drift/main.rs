//! Drift seen end to end: what breaks on a running system is a finding at the next look, with the
//! facts that decided it; what is repaired is closed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod estate;

use estate::{Estate, Status};
use evident_tests::site::Site;

/// What can break, where it is seen, and how it is repaired.
struct Case {
    control: &'static str,
    /// Checks that must not pass any more, each with its verdict and what its reason must name.
    found: &'static [(&'static str, &'static str, &'static str)],
    broken: &'static str,
    repaired: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        control: "A.8.15",
        found: &[("logging.forwarded", "fail", "forwarding_count 0")],
        broken: "mv /etc/rsyslog.d/forward.conf /root/; systemctl restart rsyslog",
        repaired: "mv /root/forward.conf /etc/rsyslog.d/; systemctl restart rsyslog",
    },
    // Half of the repository is gone, as after a disk has failed.
    Case {
        control: "A.8.13",
        found: &[("backup.declared", "fail", "found_count 0")],
        broken: "cp -a /srv/backup /srv/whole; truncate --size=40 /srv/backup/config; \
                 rm -r /srv/backup/data /srv/backup/keys",
        repaired: "rm -r /srv/backup; mv /srv/whole /srv/backup",
    },
    // It died, and nobody started it again: for hours the kernel calls its clock synchronised.
    Case {
        control: "A.8.17",
        found: &[
            ("clock.one-daemon", "fail", "daemons none"),
            ("clock.synchronised", "unknown", "no time daemon told"),
        ],
        broken: "systemctl kill --signal=KILL chrony; \
                 until ! systemctl is-active --quiet chrony; do sleep 0.1; done",
        repaired: "systemctl reset-failed chrony; systemctl start chrony; \
                   until chronyc -n tracking | grep -q 'Leap status *: Normal'; do \
                       sleep 0.2; done; \
                   until [ \"$(chronyc -n sources | grep -c '^^[*+]')\" = 2 ]; do \
                       sleep 0.2; done",
    },
    Case {
        control: "A.8.8",
        found: &[(
            "updates.security-pending",
            "fail",
            "pending_security_count 1",
        )],
        broken: "apt-mark -qq hold evident-sample >/dev/null; publish 1 0",
        repaired: "apt-mark -qq unhold evident-sample >/dev/null; \
                   apt-get -qq install -y evident-sample >/dev/null",
    },
];

#[test]
fn what_breaks_is_found_at_the_next_look_and_what_is_repaired_is_closed() {
    let site = Site::new();
    let estate = Estate::new(&site);
    let good = estate.look();
    assert_well_run(&good);
    for case in CASES {
        let _said = estate.machine.ok(case.broken);
        let broken = estate.look();
        for (check, verdict, named) in case.found {
            let (found, reason) = broken.check(check);
            assert_eq!(found, *verdict, "{check}: {reason}");
            assert!(reason.contains(named), "{check}: {reason}");
        }
        assert_ne!(broken.control(case.control), "passing", "{}", case.control);
        // What broke is told apart from what did not.
        for other in CASES.iter().map(|other| other.control) {
            let same = other == case.control;
            assert!(
                same || broken.control(other) == "passing",
                "{:?}",
                broken.wanting()
            );
        }
        let _said = estate.machine.ok(case.repaired);
        assert_well_run(&estate.look());
    }
    estate.arrives();
    assert_eq!(estate.clock_records("before"), 0);
    estate.set_clock_back();
    // Once at the jump, and once more when the daemon has set it right again.
    assert_eq!(estate.clock_records("after"), 2);
    assert_well_run(&estate.look());
}

/// Each of the four controls holds.
#[track_caller]
fn assert_well_run(status: &Status) {
    for control in CASES.iter().map(|case| case.control) {
        assert_eq!(
            status.control(control),
            "passing",
            "{:#?}",
            status.wanting()
        );
    }
}
