//! Questions over a socket whose other end says what was recorded of a real bus, or something bad.

use std::os::unix::net::UnixListener;

use super::*;

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/vectors/dbus/", $name, ".bin")).as_slice()
    };
}

const LET_IN: &[u8] = b"OK cb5b174a62d581c3d9ceedc26b02b1a7\r\n";

/// Asks a daemon that says this, one part after each time that it was spoken to, and hangs up.
fn ask(parts: &[&[u8]], call: BusCall<'_>) -> (Status, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _client) = listener.accept().unwrap();
        for part in parts {
            let heard = stream.read(&mut [0; 4096]).unwrap();
            assert_ne!(heard, 0, "the client hung up");
            stream.write_all(&part).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // What it still says is heard, so that it can say it.
        stream.read(&mut [0; 4096]).map(drop)
    });
    let answer = ask_at(path.to_str().unwrap(), true, call);
    let _ended = daemon.join().unwrap();
    match answer {
        Ok(value) => (Status::Ok, value),
        Err(unseen) => (unseen.status, unseen.to_string().into()),
    }
}

#[test]
fn what_timesyncd_said() {
    // The signal that every new client hears lies between the two answers.
    let hello = [recorded!("hello-reply"), recorded!("name-acquired-signal")].concat();
    let parts = [LET_IN, &hello, recorded!("timesync-reply")];
    let (status, answer) = ask(&parts, BusCall::Timesync);
    assert_eq!(status, Status::Ok, "{answer}");
    assert_eq!(answer["ServerName"], "127.0.0.1");
}

#[test]
fn what_cannot_be_asked_says_why() {
    let hello = recorded!("hello-reply");
    let mut reply = recorded!("timesync-reply").to_vec();
    reply.truncate(600);
    let mut error = recorded!("no-service-error").to_vec();
    // The number of the call that it answers.
    let field = error.windows(4).position(|bytes| bytes == [5, 1, b'u', 0]);
    error[field.unwrap() + 4] = 2;
    let endless = recorded!("name-acquired-signal").repeat(64);
    for (parts, status) in [
        (
            &[b"REJECTED EXTERNAL\r\n".as_slice()][..],
            Status::NotPermitted,
        ),
        (&[b"220 mail.example.org ESMTP\r\n"], Status::Malformed),
        (&[&[b'x'; 2000]], Status::Malformed),
        (&[b""], Status::Unreachable),
        (&[LET_IN, hello, &[0; 16]], Status::Malformed),
        (&[LET_IN, hello, &reply], Status::Unreachable),
        (&[LET_IN, hello, &endless], Status::Malformed),
        (&[LET_IN, hello, &error], Status::Absent),
    ] {
        let (found, why) = ask(parts, BusCall::Timesync);
        assert_eq!(found, status, "{why}");
    }
}

#[test]
fn a_daemon_that_says_nothing_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    let path = path.to_str().unwrap();
    let begun = since_boot();
    let unseen = ask_at(path, true, BusCall::Units(Listed::Failed)).unwrap_err();
    assert_eq!(
        (unseen.what.as_str(), unseen.status),
        (path, Status::TimedOut)
    );
    assert!(since_boot().saturating_sub(begun) < 2 * ANSWER_WAIT);
    drop(listener);
    let dead = ask_at(path, true, BusCall::Timesync).unwrap_err();
    assert_eq!(dead.status, Status::Unreachable);
    let none = ask_at("/nowhere/bus", true, BusCall::Timesync).unwrap_err();
    assert_eq!(none.status, Status::Absent);
}

#[test]
fn names_of_errors() {
    for (error, status) in [
        ("org.freedesktop.DBus.Error.ServiceUnknown", Status::Absent),
        (
            "org.freedesktop.DBus.Error.AccessDenied",
            Status::NotPermitted,
        ),
        (
            "org.freedesktop.DBus.Error.UnknownObject",
            Status::Unsupported,
        ),
        ("org.freedesktop.DBus.Error.NoReply", Status::TimedOut),
        ("org.example.Broken", Status::Failed),
    ] {
        let unseen = refused("x", error, &["why".into()]);
        assert_eq!(unseen.status, status, "{error}");
    }
    let unseen = refused("x", "org.example.Broken", &["why".into()]);
    assert_eq!(unseen.to_string(), "x: failed (org.example.Broken: why)");
}

#[test]
fn units_have_paths() {
    let path = unit_path("systemd-tmpfiles-clean.timer");
    let expected = "/org/freedesktop/systemd1/unit/systemd_2dtmpfiles_2dclean_2etimer";
    assert_eq!(path, expected);
    assert!(unit_path("1a@b.service").ends_with("/_31a_40b_2eservice"));
}
