//! Drift seen end to end: what breaks on a running system is a finding at the next look, with the
//! facts that decided it; what is repaired is closed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod estate;

use estate::Estate;
use evident_tests::site::Site;

/// What can break, where it is seen, and how it is repaired.
struct Case {
    control: &'static str,
    /// Checks that must not pass any more, each with its verdict and what its reason must name.
    found: &'static [(&'static str, &'static str, &'static str)],
    /// The checks that still fail when it is repaired, as they look back.
    remains: &'static [&'static str],
    broken: &'static str,
    repaired: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        control: "A.8.15",
        found: &[("logging.forwarded", "fail", "forwarding_count 0")],
        remains: &[],
        broken: "mv /etc/rsyslog.d/forward.conf /root/; systemctl restart rsyslog",
        // It connects when it has something to send: port 6514 is 1972, state 01 is established.
        repaired: "mv /root/forward.conf /etc/rsyslog.d/; systemctl restart rsyslog; \
                   timeout 120 bash -c 'until grep -q \":1972 01 \" /proc/net/tcp; \
                   do logger again; sleep 0.2; done'",
    },
    // One byte of what was saved is another, as on a disk that begins to fail.
    Case {
        control: "A.8.13",
        found: &[("backup.intact", "fail", "damaged [/srv/backup/data/")],
        remains: &[],
        broken: "file=$(find /srv/backup/data -type f | sort | head -1); cp -a $file /srv/whole; \
                 byte=$(head -c 100 $file | tail -c 1 | od -An -tu1); chmod u+w $file; \
                 printf \"\\\\$(printf %o $((byte ^ 1)))\" | \
                     dd of=$file bs=1 seek=99 conv=notrunc status=none",
        repaired: "file=$(find /srv/backup/data -type f | sort | head -1); mv /srv/whole $file",
    },
    // It died, and nobody started it again: for hours the kernel calls its clock synchronised.
    Case {
        control: "A.8.17",
        found: &[("clock.one-daemon", "fail", "daemons")],
        remains: &[],
        broken: "systemctl kill --signal=KILL chrony; \
                 until ! systemctl is-active --quiet chrony; do :; done",
        repaired: "systemctl reset-failed chrony; systemctl start chrony; synchronised",
    },
    // An archive says that it has had this for twenty days; somebody held it back.
    Case {
        control: "A.8.8",
        found: &[
            (
                "updates.security-held",
                "fail",
                "pending_security_held_count 1",
            ),
            (
                "updates.security-pending",
                "fail",
                "pending_security_count 1",
            ),
            ("updates.security-wait", "fail", "pending_security_since"),
        ],
        remains: &["updates.security-latency"],
        broken: "apt-mark -qq hold evident-sample >/dev/null; \
                 sed -i 'p;s,/srv/archive,/srv/older,' /etc/apt/sources.list.d/own.list; \
                 publish /srv/older 1 20",
        repaired: "apt-mark -qq unhold evident-sample >/dev/null; \
                   apt-get -qq install -y evident-sample >/dev/null; \
                   sed -i '/older/d' /etc/apt/sources.list.d/own.list; apt-get -qq update",
    },
];

#[test]
fn what_breaks_is_found_at_the_next_look_and_what_is_repaired_is_closed() {
    let site = Site::new();
    let estate = Estate::new(&site);
    let good = estate.look();
    for case in CASES {
        for (check, ..) in case.found {
            assert_eq!(good.check(check).0, "pass", "{:#?}", good.wanting());
        }
        let _said = estate.machine.ok(case.broken);
        let broken = estate.look();
        for (check, verdict, named) in case.found {
            let (found, reason) = broken.check(check);
            assert_eq!(found, *verdict, "{check}: {reason}");
            assert!(reason.contains(named), "{check}: {reason}");
        }
        assert_eq!(broken.control(case.control), "failing", "{}", case.control);
        // What broke is told apart from what did not.
        for other in CASES.iter().map(|other| other.control) {
            let (now, before) = (broken.failing(other), good.failing(other));
            let same = other != case.control;
            assert_eq!(now == before, same, "{other}: {before:?}, now {now:?}");
        }
        let _said = estate.machine.ok(case.repaired);
        let repaired = estate.look();
        for (check, ..) in case.found {
            assert_eq!(repaired.check(check).0, "pass", "{:#?}", repaired.wanting());
        }
        let mut left = repaired.failing(case.control);
        left.retain(|check| !case.remains.contains(check));
        assert_eq!(left, good.failing(case.control));
    }
    // Of these nothing failed before it was broken.
    assert_ne!(good.control("A.8.8"), "failing", "{:#?}", good.wanting());
    assert_ne!(good.control("A.8.17"), "failing", "{:#?}", good.wanting());
    estate.arrives();
    assert_eq!(estate.clock_records("before"), 0);
    estate.set_clock_back();
    // Once at the jump, and once more when the daemon has set it right again.
    assert_eq!(estate.clock_records("after"), 2);
    let last = estate.look();
    let (mut left, mut before) = (last.failing("A.8.17"), good.failing("A.8.17"));
    assert!(left.remove("logging.clock-set"), "{left:?}");
    let _stepped_at_boot = before.remove("logging.clock-set");
    assert_eq!(left, before);
}
