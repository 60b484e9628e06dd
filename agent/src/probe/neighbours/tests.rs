//! Tests of the neighbours probe: recorded hosts, and names that are none.

use shared::observation::Outcome;

use super::senders::{Place, place};
use super::*;
use crate::probe::golden::{check, check_here, list, number};

#[test]
fn recorded_hosts() {
    for host in [
        "bare",
        "neighbours",
        "neighbours-deviating",
        "neighbours-unreadable",
    ] {
        check(host, &Neighbours);
    }
}

#[test]
fn this_host() {
    let observation = check_here(&Neighbours);
    assert_eq!(observation.outcome, Outcome::Facts);
    let links = list(&observation, "links").len();
    let links = i64::try_from(links).unwrap();
    // A machine may be seen through two devices.
    assert!(number(&observation, "link_count").unwrap() <= links);
}

#[test]
fn what_is_a_machine() {
    for (word, expected) in [
        ("web-1", Some("web-1")),
        ("Web-1.Example.ORG.", Some("web-1.example.org")),
        ("192.0.2.1", Some("192.0.2.1")),
        ("2001:DB8:0:0::1", Some("2001:db8::1")),
        ("fe80::1%eth0", Some("fe80::1")),
        ("127.0.1.1", None),
        ("::1", None),
        ("0.0.0.0", None),
        ("255.255.255.255", None),
        ("ff02::1", None),
        ("localhost", None),
        ("ip6-allnodes", None),
        ("*.example.org", None),
        ("!web-1", None),
        ("web..1", None),
        (".web", None),
        ("1234", None),
        ("", None),
        (&"a".repeat(254), None),
    ] {
        let machine = Machine::read(word).map(|machine| machine.field().1);
        assert_eq!(machine.as_deref(), expected, "{word}");
    }
}

#[test]
fn places_of_senders() {
    let at = |folder: &str, before: &str, after: &str| {
        Some(Ok(Place {
            folder: folder.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        }))
    };
    for (path, expected) in [
        ("/srv/log/%HOSTNAME%/x.log", at("/srv/log", "", "")),
        ("/srv/log/%fromhost-ip%.log", at("/srv/log", "", ".log")),
        ("/srv/log/h-$HOST_FROM/x", at("/srv/log", "h-", "")),
        ("/srv/log/${HOST}/x.log)", at("/srv/log", "", "")),
        ("/var/log/%HOSTNAME%.log", at("/var/log", "", ".log")),
        ("/srv/log/%PROGRAMNAME%.log", None),
        ("/srv/log/$YEAR/all", None),
        ("/srv/100%", None),
        ("/srv/${HOST", None),
    ] {
        assert_eq!(place(path), expected, "{path}");
    }
    for path in [
        "/var/log/%HOSTNAME%/x.log",
        "/srv/%$YEAR%/%HOSTNAME%.log",
        "/srv/%HOSTNAME%-%PROGRAMNAME%.log",
    ] {
        assert!(matches!(place(path), Some(Err(_))), "{path}");
    }
}
