//! Recorded replies of chronyd, and bytes that are none.

use super::*;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!(
            "../../../../../tests/vectors/chrony/chrony-",
            $name,
            ".bin"
        ))
    };
}

fn read<T>(
    reply: &[u8],
    (command, kind): (u16, u16),
    read: fn(&mut Body<'_>) -> Option<T>,
) -> Option<T> {
    read(&mut body(reply, command, kind).ok()?)
}

#[test]
fn requests_are_as_recorded() {
    assert_eq!(request(33, &[]), vector!("tracking-request"));
    assert_eq!(request(33, &[]), vector!("nts-tracking-request"));
}

#[test]
fn recorded_replies() {
    let tracking = read(vector!("tracking-reply"), TRACKING, read_tracking).unwrap();
    let expected = Tracking {
        daemon: "chronyd",
        reference: Some("127.0.0.1".to_owned()),
        leap: "normal",
        updated: Some("2026-11-22T03:59:41.917Z".parse().unwrap()),
        numbers: vec![
            ("tracking_frequency_ppb", -1),
            ("tracking_interval_s", 1),
            ("tracking_last_offset_us", 0),
            ("tracking_offset_us", 0),
            ("tracking_rms_offset_us", 0),
            ("tracking_root_delay_us", 6),
            ("tracking_root_dispersion_us", 1),
            ("tracking_root_distance_us", 4),
            ("tracking_skew_ppb", 36),
            ("tracking_stratum", 9),
        ],
    };
    assert_eq!(tracking, expected);
    let source = read(vector!("sourcedata-reply"), SOURCE_DATA, read_source).unwrap();
    assert_eq!(source.address.text(), "127.0.0.1");
    assert_eq!((source.mode, source.state), ("client", "selected"));
    assert_eq!((source.stratum, source.reach, source.poll_s), (8, 255, 1));
    assert_eq!((source.offset_ns, source.error_ns), (166, 2693));
    let none = read(vector!("authdata-reply"), AUTH_DATA, read_authentication).unwrap();
    assert_eq!((none.mode, none.key_age_s), ("none", None));
    let nts = read(
        vector!("nts-authdata-reply"),
        AUTH_DATA,
        read_authentication,
    );
    let expected = Authentication {
        mode: "nts",
        key_age_s: Some(11),
        attempts: 0,
        cookies: 8,
        refused: false,
    };
    assert_eq!(nts, Some(expected));
}

#[test]
fn set_up_but_not_agreed_is_not_authenticated() {
    let mut reply = vector!("nts-authdata-reply").to_vec();
    reply[36..38].copy_from_slice(&[0, 0]);
    let found = read(&reply, AUTH_DATA, read_authentication).unwrap();
    assert_eq!((found.mode, found.key_age_s), ("none", None));
}

#[test]
fn other_replies_are_refused() {
    let good = vector!("tracking-reply");
    for (at, byte, status) in [
        (0, 5, Status::Unsupported),
        (1, 1, Status::Malformed),
        (5, 34, Status::Malformed),
        (7, 6, Status::Unsupported),
        (9, 2, Status::NotPermitted),
        (9, 19, Status::Failed),
    ] {
        let mut bad = good.to_vec();
        bad[at] = byte;
        let refused = body(&bad, 33, 5).map(|_body| ()).unwrap_err();
        assert_eq!(refused.0, status, "byte {at} is {byte}");
    }
    for length in 0..good.len() {
        assert_eq!(
            read(&good[..length], TRACKING, read_tracking),
            None,
            "{length}"
        );
    }
}

#[test]
fn floats_are_exact() {
    for (bits, ns) in [
        (0x0000_0000_u32, 0),
        (0x0100_0000, -500_000_000),  // c = -2^24, e = 0
        (0x0480_0000, 1_000_000_000), // c = 2^23, e = 2
        (0x0480_0001, 1_000_000_119),
        (0x7e80_0000, i64::MAX),
        (0x7f00_0000, i64::MIN),
        (0x8080_0000, 0),
    ] {
        let bytes = bits.to_be_bytes();
        assert_eq!(Body(&bytes).float_ns(), Some(ns), "{bits:08x}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..128)) {
        let _tracking = read_tracking(&mut Body(&bytes));
        let _source = read_source(&mut Body(&bytes)).map(|source| source.address.text());
        let _authentication = read_authentication(&mut Body(&bytes));
        let _header = body(&bytes, 33, 5).is_ok();
    }
}
