//! Messages that a client of its own sent to a real bus, what came back, and bytes that are none.

use super::*;

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../../../../../tests/vectors/dbus/", $name, ".bin")).as_slice()
    };
}

const TIMESYNC: Call<'_> = Call {
    destination: "org.freedesktop.timesync1",
    path: "/org/freedesktop/timesync1",
    interface: "org.freedesktop.DBus.Properties",
    member: "GetAll",
    arguments: &[Argument::Text("org.freedesktop.timesync1.Manager")],
};

#[test]
fn calls_are_as_recorded() {
    assert_eq!(TIMESYNC.bytes(2), recorded!("timesync-call"));
    let failed = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "ListUnitsByPatterns",
        arguments: &[Argument::Texts(&["failed"]), Argument::Texts(&[])],
    };
    assert_eq!(failed.bytes(4), recorded!("failed-call"));
}

#[test]
fn answers_are_read() {
    let message = Message::read(recorded!("timesync-reply")).unwrap();
    assert_eq!((message.answers, message.error), (2, None));
    let expected = serde_json::json!([{
        "FallbackNTPServers": [
            "0.debian.pool.ntp.org", "1.debian.pool.ntp.org",
            "2.debian.pool.ntp.org", "3.debian.pool.ntp.org"
        ],
        "Frequency": 0,
        "LinkNTPServers": [],
        "NTPMessage": message.body[0]["NTPMessage"],
        "PollIntervalMaxUSec": 32_000_000,
        "PollIntervalMinUSec": 16_000_000,
        "PollIntervalUSec": 32_000_000,
        "RootDistanceMaxUSec": 5_000_000,
        "RuntimeNTPServers": [],
        "ServerAddress": [2, [127, 0, 0, 1]],
        "ServerName": "127.0.0.1",
        "SystemNTPServers": ["127.0.0.1"],
    }]);
    assert_eq!(serde_json::json!(message.body), expected);
    let packet = &message.body[0]["NTPMessage"];
    assert_eq!(packet.as_array().unwrap().len(), 15);
    assert_eq!(packet[7], serde_json::json!([127, 127, 1, 1]));

    let message = Message::read(recorded!("failed-reply")).unwrap();
    assert_eq!(message.body[0][0][0], "broken.service");
    let signal = Message::read(recorded!("name-acquired-signal")).unwrap();
    assert_eq!((signal.answers, signal.error), (0, None));
    let error = Message::read(recorded!("no-service-error")).unwrap();
    let name = "org.freedesktop.DBus.Error.NameHasNoOwner";
    assert_eq!(error.error.as_deref(), Some(name));
}

/// A reply with this signature and body, in the order of the letter that stands first.
fn reply(order: u8, signature: &[u8], body: &[u8]) -> Vec<u8> {
    let number = |number: usize| {
        let mut bytes = u32::try_from(number).unwrap().to_be_bytes();
        if order == b'l' {
            bytes.reverse();
        }
        bytes
    };
    let mut bytes = vec![order, 2, 1, 1];
    bytes.extend(number(body.len()));
    bytes.extend(number(9));
    bytes.extend(number(8 + 4 + 1 + signature.len() + 1));
    bytes.extend([5, 1, b'u', 0]);
    bytes.extend(number(7));
    let length = u8::try_from(signature.len()).unwrap();
    bytes.extend([8, 1, b'g', 0, length]);
    bytes.extend(signature);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}

#[test]
fn values_of_every_type_in_both_orders() {
    for (order, signature, body, expected) in [
        (b'B', "q", &[1, 2][..], serde_json::json!([258])),
        (b'l', "q", &[1, 2], serde_json::json!([513])),
        (b'B', "n", &[0xff, 0xfe], serde_json::json!([-2])),
        (b'B', "b", &[0, 0, 0, 1], serde_json::json!([true])),
        (
            b'B',
            "yx",
            &[
                7, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
            serde_json::json!([7, -1]),
        ),
        (b'l', "t", &[255; 8], serde_json::json!([u64::MAX])),
        (
            b'B',
            "d",
            &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
            serde_json::json!([1.5]),
        ),
        (b'B', "d", &[0xff; 8], serde_json::json!([null])),
        (
            b'B',
            "v",
            &[1, b's', 0, 0, 0, 0, 0, 1, b'a', 0],
            serde_json::json!(["a"]),
        ),
        (
            b'B',
            "a{us}",
            &[0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, b'a', 0],
            serde_json::json!([{"3": "a"}]),
        ),
        (
            b'B',
            "at",
            &[0, 0, 0, 0, 0, 0, 0, 0],
            serde_json::json!([[]]),
        ),
        (
            b'B',
            "a(yy)ai",
            &[0, 0, 0, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0],
            serde_json::json!([[[1, 2]], []]),
        ),
    ] {
        let message = Message::read(&reply(order, signature.as_bytes(), body));
        let body = message.map(|message| (message.answers, serde_json::json!(message.body)));
        assert_eq!(body, Some((7, expected)), "{signature}");
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    for (signature, body) in [
        ("b", &[0, 0, 0, 2][..]),
        ("s", &[0, 0, 0, 1, b'a', 1]),
        ("s", &[0, 0, 0, 1, 0xff, 0]),
        ("s", &[0xff, 0xff, 0xff, 0xff]),
        ("h", &[0, 0, 0, 0]),
        ("q", &[0, 0, 0]),
        ("q", &[0, 0, 0, 0]),
        ("(y", &[0]),
        ("ay", &[0, 0, 0, 9, 1]),
        ("a", &[0, 0, 0, 0]),
        ("a{ays}", &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("aq", &[0, 0, 0, 3, 0, 0, 0, 0]),
        ("v", &[2, b'y', b'y', 0, 1, 1]),
        (")", &[]),
    ] {
        let read = Message::read(&reply(b'B', signature.as_bytes(), body));
        assert!(read.is_none(), "{signature} {body:?}");
    }
    // Nested without end, and more values than fit into memory.
    assert_eq!(Message::read(&reply(b'B', &[b'a'; 200], &[0; 4])), None);
    let variants = [1, b'v', 0].repeat(100);
    assert_eq!(Message::read(&reply(b'B', b"v", &variants)), None);
    let mut many = u32::try_from(VALUES_MAX).unwrap().to_be_bytes().to_vec();
    many.extend(vec![0; VALUES_MAX]);
    assert_eq!(Message::read(&reply(b'B', b"ay", &many)), None);
    let mut head = *recorded!("hello-reply").first_chunk().unwrap();
    head[4..8].copy_from_slice(&[0, 0, 16, 0]);
    assert_eq!(message_length(&head), None, "longer than is read");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read(bytes: Vec<u8>, at in 0_usize..752, byte: u8) {
        let _none = Message::read(&bytes);
        let mut changed = recorded!("timesync-reply").to_vec();
        changed[at] = byte;
        let _maybe = Message::read(&changed);
        changed.truncate(at);
        proptest::prop_assert_eq!(Message::read(&changed), None);
    }
}
