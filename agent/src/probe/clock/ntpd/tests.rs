//! Recorded answers of `NTPsec`, and answers that lie.

use super::*;
use crate::host::recorded::Recorded;
use crate::probe::golden;

fn host() -> Recorded {
    Recorded::open(&golden::folder("clock-ntpsec")).unwrap()
}

/// Half a second after the recording.
fn now() -> Timestamp {
    "2026-11-22T09:33:38.815Z".parse().unwrap()
}

#[test]
fn recorded_answers() {
    let tracking = tracking(&host(), now()).unwrap();
    let expected = Tracking {
        daemon: "ntpd",
        reference: Some("10.9.0.2".to_owned()),
        leap: "normal",
        updated: Some("2026-11-22T09:33:38.314Z".parse().unwrap()),
        numbers: vec![
            ("tracking_root_delay_us", 44),
            ("tracking_root_dispersion_us", 1000),
            // Half a second later.
            ("tracking_root_distance_us", 1031),
            ("tracking_stratum", 9),
            ("tracking_offset_us", 13),
            ("tracking_rms_offset_us", 0),
            ("tracking_frequency_ppb", 0),
            ("tracking_interval_s", 8),
        ],
    };
    assert_eq!(tracking, expected);
    let sources = sources(&host(), now()).unwrap();
    let states: Vec<_> = sources
        .iter()
        .map(|one| (one.state, one.answers, one.nts))
        .collect();
    let expected = [("candidate", true, Some(0)), ("selected", true, Some(0))];
    assert_eq!(states, expected);
    let text = serde_json::to_string(&sources[1].record).unwrap();
    let expected =
        r#"{"address":"10.9.0.2","authentication":"none","error_us":117,"mode":"client","#;
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains(r#""since_sample_s":0,"#), "{text}");
}

#[test]
fn a_sample_of_tomorrow_was_not_taken_some_time_ago() {
    let sources = sources(&host(), now().plus_ms(-86_400_000)).unwrap();
    assert!(!sources[1].record.contains_key("since_sample_s"));
    assert!(sources[1].record.contains_key("offset_us"));
}

/// What becomes of the answer about the clock with these bytes in place of those at `at`.
fn changed(at: usize, bytes: &[u8]) -> Status {
    let file = golden::folder("clock-ntpsec").join("live/ntpd-2-0.bin");
    let mut answer = shared::durable::read(&file, 4096).unwrap();
    answer[at..at + bytes.len()].copy_from_slice(bytes);
    data(&answer, READ_VARIABLES, 0).err().unwrap_or(Status::Ok)
}

#[test]
fn other_answers_are_refused() {
    assert_eq!(changed(0, &[0xd6]), Status::Ok);
    for (at, bytes, status) in [
        (0, &[0x17][..], Status::Malformed),
        (1, &[0x02], Status::Malformed),
        (1, &[0x81], Status::Malformed),
        (1, &[0xc2, 1, 2, 1], Status::NotPermitted),
        (1, &[0xc2, 1, 2, 4], Status::Failed),
        (1, &[0xa2], Status::Limit),
        (2, &[9, 9], Status::Malformed),
        (6, &[0, 1], Status::Malformed),
        (8, &[0, 4], Status::Limit),
        (10, &[1, 0], Status::Malformed),
    ] {
        assert_eq!(changed(at, bytes), status, "{bytes:?} at {at}");
    }
    assert_eq!(data(&[0x16; 11], READ_VARIABLES, 0), Err(Status::Malformed));
}

fn all(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(", ").filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn what_the_clock_follows() {
    const GOOD: &str = "leap=0, stratum=3, rootdelay=1.5, rootdisp=2.0005, reftime=0x0.0";
    let read = |more: &str| read_tracking(&all(&format!("{GOOD}, {more}")), now());
    let tracking = read("refid=GPS").unwrap();
    assert_eq!(
        (tracking.reference.as_deref(), tracking.updated),
        (Some("GPS"), None)
    );
    for own in ["LOCL", "127.127.1.0"] {
        let tracking = read(&format!("refid={own}")).unwrap();
        assert_eq!(tracking.reference.as_deref(), Some("local"));
    }
    assert_eq!(read("refid=INIT").unwrap().reference, None);
    for bad in [
        "leap=4",
        "leap=x",
        "stratum=",
        "rootdelay=1e3",
        "rootdisp=nan",
        "reftime=1.0",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
    assert_eq!(read_tracking(&all("leap=0"), now()), None);
}

#[test]
fn states_of_associations() {
    let peer = |reach: &str, more: &str, status| {
        let text = format!("srcadr=192.0.2.1, stratum=2, hmode=3, rec=0x1.0, reach={reach}{more}");
        let polled = read_source(&all(&text), status, now()).unwrap();
        let mode = serde_json::to_string(&polled.record["authentication"]).unwrap();
        (polled.state, mode.trim_matches('"').to_owned())
    };
    for (reach, more, status, state, mode) in [
        ("0xff", "", 0xf6, "selected", "symmetric"),
        ("0xff", ", ntscookies=8", 0xb6, "selected", "nts"),
        ("0xff", ", ntscookies=0", 0xb4, "candidate", "none"),
        ("0xff", ", ntscookies=-1", 0xb3, "outlier", "none"),
        ("255", "", 0x91, "falseticker", "none"),
        ("0xff", "", 0x90, "rejected", "none"),
        ("0x0", "", 0x80, "unreachable", "none"),
        ("0x0", "", 0x84, "unreachable", "none"),
    ] {
        let found = peer(reach, more, status);
        assert_eq!(found, (state, mode.to_owned()), "{status:x} {more}");
    }
}

#[test]
fn numbers_and_times() {
    for (text, expected) in [
        ("0.044", Some(44)),
        ("-1.5", Some(-1500)),
        ("12", Some(12_000)),
        ("0.0009", Some(0)),
        ("3.", Some(3000)),
        (".5", None),
        ("", None),
        ("--1", None),
        ("1.2.3", None),
        ("99999999999999999999", None),
        ("9223372036854775807", None),
    ] {
        assert_eq!(thousandths(text), expected, "{text}");
    }
    let at = |text: &str| time(text).map(|time| time.map(|time| time.to_string()));
    let known = "2026-11-22T09:33:38.314Z".to_owned();
    assert_eq!(at("0xeead3572.508f7f46"), Ok(Some(known)));
    assert_eq!(
        at("0x00000001.0"),
        Ok(Some("2036-02-07T06:28:17.000Z".to_owned()))
    );
    assert_eq!(at("0x0.0"), Ok(None));
    for bad in ["", "0x", "1.2", "0x1", "0x1.g", "0x100000000.0"] {
        assert_eq!(at(bad), Err(NoTime), "{bad}");
    }
    assert_eq!(
        (power(6), power(0), power(-3), power(70)),
        (Some(64), Some(1), None, None)
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, text in "[a-z]{1,8}=[-x0-9.]{0,20}", status: u8) {
        let _data = data(&bytes, READ_VARIABLES, 0);
        let _tracking = read_tracking(&all(&text), now());
        let full = "srcadr=a, stratum=1, hmode=3, rec=0x1.0, reach=1";
        let _source = read_source(&all(&format!("{full}, {text}")), status, now());
        let _number = thousandths(&text);
        let _time = time(&text);
    }
}
