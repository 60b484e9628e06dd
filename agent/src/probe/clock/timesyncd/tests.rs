//! What a real systemd-timesyncd said, and answers that lie.

use super::*;

/// Ten seconds after the packet.
fn now() -> Timestamp {
    "2026-11-22T09:17:34.522Z".parse().unwrap()
}

/// A recorded answer.
fn recorded() -> Json {
    let text = include_str!("../../../../../tests/hosts/clock-timesyncd/live/bus-timesync.json");
    serde_json::from_str(text).unwrap()
}

/// What a recorded answer says with what `change` makes of it.
fn told(change: fn(&mut Json)) -> Result<(Tracking, Vec<Polled>), Unseen> {
    let mut all = recorded();
    change(&mut all);
    read(&all, now())
}

#[test]
fn a_server_that_answers() {
    let (tracking, sources) = told(|_as_is| ()).unwrap();
    let expected = Tracking {
        daemon: TIMESYNCD,
        reference: Some("127.0.0.1".to_owned()),
        leap: "normal",
        updated: Some("2026-11-22T09:17:24.522Z".parse().unwrap()),
        numbers: vec![
            ("tracking_interval_s", 32),
            ("tracking_root_distance_max_us", 5_000_000),
            ("tracking_offset_us", 5),
            ("tracking_packet_count", 12),
            ("tracking_rms_offset_us", 2),
            ("tracking_root_delay_us", 35),
            ("tracking_root_dispersion_us", 0),
            ("tracking_root_distance_us", 18 + 150),
            ("tracking_stratum", 9),
        ],
    };
    assert_eq!(tracking, expected);
    assert_eq!(sources.len(), 1);
    assert_eq!((sources[0].state, sources[0].nts), ("selected", Some(0)));
}

#[test]
fn no_packet_yet_is_not_synchronised() {
    let (tracking, sources) = told(|all| all["NTPMessage"][13] = 0.into()).unwrap();
    assert_eq!((tracking.leap, tracking.updated), ("unsynchronised", None));
    assert_eq!(tracking.numbers[2], ("tracking_packet_count", 0));
    assert!(sources.is_empty());
}

#[test]
fn a_spike_is_no_update() {
    let (tracking, sources) = told(|all| all["NTPMessage"][12] = true.into()).unwrap();
    assert_eq!(tracking.updated, None);
    assert_eq!(sources[0].state, "jittery");
}

#[test]
fn addresses() {
    for (json, expected) in [
        ("[2, [192, 0, 2, 1]]", Some("192.0.2.1")),
        (
            "[10, [32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1]]",
            Some("2001:db8::1"),
        ),
        ("[0, []]", None),
        ("[2, [1, 2, 3]]", None),
        ("[2, [1, 2, 3, 256]]", None),
        ("[]", None),
    ] {
        let found = address(&serde_json::from_str(json).unwrap());
        assert_eq!(found.as_deref(), expected, "{json}");
    }
}

#[test]
fn lies_are_malformed() {
    let lies: [fn(&mut Json); 6] = [
        |all| *all = Json::Null,
        |all| all["ServerName"] = 7.into(),
        |all| all["PollIntervalUSec"] = (-1).into(),
        |all| all["NTPMessage"] = Json::Array(Vec::new()),
        |all| all["NTPMessage"][0] = 4.into(),
        |all| all["NTPMessage"][11] = "yesterday".into(),
    ];
    for lie in lies {
        assert_eq!(
            told(lie).map(|_any| ()).unwrap_err().status,
            Status::Malformed
        );
    }
    let late = told(|all| all["NTPMessage"][11] = u64::MAX.into());
    assert_eq!(
        late.map(|_any| ()).unwrap_err().status,
        Status::Malformed,
        "no such year"
    );
}
