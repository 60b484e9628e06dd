//! Tests of attestations: what is read, and what is refused.

use super::*;

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32]).unwrap()
}

fn body() -> serde_json::Value {
    serde_json::json!({
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "observation/clock", "digest": {"sha256": Digest::of(b"o")}}],
        "predicateType": EVIDENCE_TYPE,
        "predicate": {
            "stream": {"agent": "web-1", "generation": 1, "seq": 42, "prev": Digest::of(b"p")},
            "kind": "evidence",
            "boot": {"id": "5f0c2b52", "mono_ms": 123_456},
            "time": {"wall": "2026-01-02T03:04:05.678Z", "synced": true, "max_error_ms": 12},
            "seen": {"size": 65537,
                "root": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "acked": 41},
            "run": {"agent": "evident-agent/0.1.0", "binary": Digest::of(b"b"),
                "config": Digest::of(b"c"), "due": "2026-01-02T03:04:00.000Z",
                "probes": [{"probe": "clock", "outcome": "facts", "took_ms": 3}]}}})
}

fn read(body: &serde_json::Value) -> Result<Attestation, AttestationError> {
    let key = key();
    Attestation::from_file(dsse::seal(&key, body.to_string().as_bytes()))
}

#[test]
fn reads_and_verifies() {
    let key = SigningKey::from_seed([7; 32]).unwrap();
    let attestation = read(&body()).unwrap();
    assert_eq!(attestation.evidence().stream.seq, 42);
    assert_eq!(attestation.observation("clock"), Some(Digest::of(b"o")));
    assert_eq!(attestation.observation("cloc"), None);
    assert!(attestation.clone().verify(&key.public()).is_ok());
    let other = SigningKey::from_seed([8; 32]).unwrap().public();
    assert_eq!(attestation.verify(&other).unwrap_err(), KeyError::Signature);
}

#[track_caller]
fn refused(pointer: &str, value: serde_json::Value) {
    let mut bad = body();
    *bad.pointer_mut(pointer).unwrap() = value;
    assert!(read(&bad).is_err(), "{pointer}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    refused("/_type", "https://in-toto.io/Statement/v0.1".into());
    refused("/predicateType", "urn:other".into());
    refused("/predicate/stream/agent", "Web 1".into());
    refused("/predicate/stream/generation", 0.into());
    refused("/predicate/stream/seq", (1_u64 << 53).into());
    refused("/predicate/stream/seq", (-1).into());
    refused("/predicate/stream/seq", 1.5.into());
    refused("/predicate/stream/prev", "00".into());
    refused("/predicate/kind", "heartbeat".into());
    refused("/predicate/kind", "gap".into());
    refused("/predicate/kind", "other".into());
    refused("/predicate/time/wall", "yesterday".into());
    refused("/predicate/seen/root", "AAAA".into());
    refused("/predicate/seen/acked", 42.into());
    refused("/predicate/run/probes", serde_json::json!([]));
    refused("/predicate/run/probes/0/probe", "backup".into());
    refused("/predicate/run/probes/0/outcome", "pass".into());
    refused("/subject/0/name", "observation/backup".into());
}

#[test]
fn a_host_cannot_say_what_only_the_collector_observes() {
    for subject in fact::SUBJECTS {
        let mut said = body();
        *said.pointer_mut("/predicate/run/probes/0/probe").unwrap() = subject.probe.into();
        let name = format!("observation/{}", subject.probe);
        *said.pointer_mut("/subject/0/name").unwrap() = name.into();
        let own = subject.observer == Observer::Host;
        assert_eq!(read(&said).is_ok(), own, "{}", subject.probe);
    }
}

#[test]
fn repeated_and_unknown_members_are_refused() {
    let key = SigningKey::from_seed([7; 32]).unwrap();
    let good = serde_json::to_string(&body()).unwrap();
    for (from, to) in [
        (
            "\"kind\":\"evidence\"",
            "\"kind\":\"evidence\",\"kind\":\"evidence\"",
        ),
        (
            "\"kind\":\"evidence\"",
            "\"kind\":\"evidence\",\"colour\":1",
        ),
        ("{\"_type\"", "\u{feff}{\"_type\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(
            Attestation::from_file(dsse::seal(&key, bad.as_bytes())).is_err(),
            "{to}"
        );
    }
}
