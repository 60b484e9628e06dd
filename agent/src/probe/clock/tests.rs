//! The clock probe on recorded hosts and on this one.

use super::Clock;
use super::reported::{Polled, usable};
use crate::host::machine::Machine;
use crate::host::recorded::Recorded;
use crate::probe::{Before, Probe as _, Scene, golden};
use shared::fact::{Record, Value};
use shared::observation::Outcome;
use shared::time::Timestamp;

#[test]
fn as_found() {
    golden::check("debian12-good", &Clock);
}

/// The kernel is not synchronised, chronyd takes its own clock for a reference, one source does
/// not answer and another is set up for NTS and never agreed on keys.
#[test]
fn deviating() {
    golden::check("debian12-deviating", &Clock);
}

#[test]
fn unreadable() {
    golden::check("unreadable", &Clock);
}

#[test]
fn malformed() {
    golden::check("malformed", &Clock);
}

/// In a container the daemons of the host are not seen, which is not the same as none.
#[test]
fn container() {
    golden::check("bare", &Clock);
}

/// ntpd of `NTPsec`, which says everything over its control port.
#[test]
fn ntpsec() {
    golden::check("clock-ntpsec", &Clock);
}

/// systemd-timesyncd, which has one source at a time.
#[test]
fn timesyncd() {
    golden::check("clock-timesyncd", &Clock);
}

/// Both of them are started at boot and run.
#[test]
fn two_daemons() {
    golden::check("clock-two-daemons", &Clock);
}

#[test]
fn nobody_answers() {
    golden::check("clock-unreadable", &Clock);
}

#[test]
fn everybody_lies() {
    golden::check("clock-malformed", &Clock);
}

#[test]
fn another_root_has_settings_and_no_kernel() {
    let root = golden::folder("debian12-good").join("root");
    let observation = golden::observed(&Machine::open(&root).unwrap(), &Clock);
    assert_eq!(observation.outcome, Outcome::Facts);
    assert!(observation.facts.contains_key("configured_sources"));
    for unseen in ["kernel_synchronised", "tracking_leap", "sources"] {
        assert!(!observation.facts.contains_key(unseen), "{unseen}");
    }
    assert!(observation.reason.contains("another root folder"));
}

#[test]
fn an_empty_root_says_nothing() {
    let root = tempfile::tempdir().unwrap();
    let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Clock);
    assert_eq!(observation.outcome, Outcome::Unknown);
}

#[test]
fn this_host() {
    let observation = golden::check_here(&Clock);
    assert!(
        observation
            .source
            .iter()
            .any(|source| source.name == "adjtimex")
    );
}

#[test]
fn usable_sources() {
    for (states, expected) in [
        (&[][..], 0),
        (&[("selected", true)], 1),
        (
            &[("selected", true), ("candidate", true), ("outlier", true)],
            3,
        ),
        (&[("outlier", true), ("outlier", true)], 0),
        (
            &[("selected", true), ("candidate", false), ("outlier", false)],
            1,
        ),
        (
            &[("selected", true), ("falseticker", true), ("jittery", true)],
            1,
        ),
        (&[("unreachable", false), ("unreachable", true)], 0),
    ] {
        let polled = |&(state, answers): &(&'static str, bool)| Polled {
            record: Record::new(),
            state,
            answers,
            nts: None,
        };
        let sources: Vec<_> = states.iter().map(polled).collect();
        assert_eq!(usable(&sources), expected, "{states:?}");
    }
}

/// A root folder with a first process, a kernel thread and a daemon.
fn root_with(daemon: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let line = format!("/sbin/{daemon}\0");
    for (pid, name) in [("1", "systemd"), ("2", "kthreadd"), ("9", daemon)] {
        write(
            &root,
            &format!("proc/{pid}/comm"),
            name.get(..15).unwrap_or(name),
        );
        write(&root, &format!("proc/{pid}/cmdline"), &line);
        write(&root, &format!("proc/{pid}/status"), "Uid:\t0\n");
    }
    root
}

fn write(root: &tempfile::TempDir, path: &str, text: &str) {
    let path = root.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    shared::durable::write(&path, text.as_bytes(), 0o644).unwrap();
}

/// A daemon whose sources are not asked for is no daemon without sources.
#[test]
fn openntpd_is_seen_and_its_sources_are_not() {
    let root = root_with("ntpd");
    let observe = || golden::observed(&Machine::open(root.path()).unwrap(), &Clock);
    let name = |name: &str| {
        let (name, user) = (Value::Text(name.to_owned()), Value::Text("0".to_owned()));
        let record = Record::from([("name".to_owned(), name), ("user".to_owned(), user)]);
        Some(Value::List(vec![record]))
    };
    let observation = observe();
    assert_eq!(observation.facts.get("daemons").cloned(), name("ntpd"));
    assert!(
        observation
            .reason
            .contains("ntpd: unsupported (another root folder")
    );
    write(&root, "run/openntpd.sock", "");
    let observation = observe();
    assert_eq!(observation.facts.get("daemons").cloned(), name("openntpd"));
    assert!(!observation.facts.contains_key("sources"));
    assert!(
        observation
            .reason
            .contains("sources of openntpd: unsupported")
    );
}

/// ptp4l sets the clock of a network card; its management socket is not asked.
#[test]
fn ptp4l_is_seen_and_its_state_is_not() {
    let root = root_with("ptp4l");
    let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Clock);
    assert!(observation.facts.contains_key("daemons"));
    assert!(
        observation
            .reason
            .contains("management socket of ptp4l: unsupported")
    );
}

/// Debian leaves its settings empty, and builds four servers in.
#[test]
fn timesyncd_without_settings_has_servers() {
    let root = root_with("systemd-timesyncd");
    let count = || {
        let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Clock);
        let count = observation.facts.get("configured_source_count").cloned();
        let built_in = observation.reason.contains("servers built into");
        (count, built_in)
    };
    let settings = "etc/systemd/timesyncd.conf";
    write(&root, settings, "[Time]\n#NTP=\n#FallbackNTP=a b c d\n");
    assert_eq!(count(), (None, true));
    write(&root, "etc/chrony/chrony.conf", "pool a\n");
    assert_eq!(count(), (None, true), "chronyd does not run");
    for (text, expected) in [
        ("NTP=a", 1),
        ("FallbackNTP=a b", 2),
        ("NTP=a\nFallbackNTP=b c", 1),
    ] {
        write(&root, settings, &format!("[Time]\n{text}\n"));
        assert_eq!(count(), (Some(Value::Number(expected)), false), "{text}");
    }
}

/// The clock jumps an hour back between two looks at a kernel that nobody corrects.
#[test]
fn what_became_of_the_clock_since_the_look_before() {
    let host = Recorded::open(&golden::folder("clock-timesyncd")).unwrap();
    let look = |now: Timestamp, before: Option<Before>| {
        let scene = Scene {
            now,
            before,
            ..Scene::default()
        };
        let seen = Clock.observe(&host, &scene);
        seen.observation(Clock.subject()).0.facts
    };
    let at: Timestamp = "2026-11-22T09:20:00Z".parse().unwrap();
    let (mut seen_at, mut facts) = (at, look(at, None));
    assert_eq!(facts.get("steps_watched_s"), Some(&Value::Number(0)));
    assert_eq!(facts.get("steps"), None);
    assert_eq!(facts.get("kernel_undisciplined_s"), None);
    for (now_ms, undisciplined_s, steps) in [
        (900_000, 900, &[][..]),
        (1_800_000 - 3_600_000, 1800, &[-3_600_000]),
        (2_700_000 - 3_600_000, 2700, &[-3_600_000]),
    ] {
        let now = at.plus_ms(now_ms);
        let before = Before {
            // The look before was fifteen minutes ago, whatever the wall clock says.
            at: seen_at,
            ago_ms: 900_000,
            facts,
        };
        (seen_at, facts) = (now, look(now, Some(before)));
        let found = facts.get("kernel_undisciplined_s");
        assert_eq!(found, Some(&Value::Number(undisciplined_s)));
        let Some(Value::List(list)) = facts.get("steps") else {
            panic!("no list of steps");
        };
        let found: Vec<_> = list.iter().map(|step| step["step_ms"].clone()).collect();
        let steps: Vec<_> = steps.iter().map(|ms| Value::Number(*ms)).collect();
        assert_eq!(found, steps, "{now_ms}");
    }
}
