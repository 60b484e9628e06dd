//! The recorded vectors that no unit test reads: envelopes of another writer, a timestamp.
//!
//! They were made by an independent implementation in another language. OpenSSL has its own say
//! on each signature here, so that a fault in our code cannot make a bad vector look good.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::checkpoint::Signer;
use shared::dsse::{self, Envelope, EnvelopeError, PAYLOAD_TYPE};
use shared::id::Digest;
use shared::key::{PublicKey, SigningKey};
use shared::leaf::Leaf;
use shared::tile;
use shared::wire::Frame;

#[derive(Deserialize)]
struct Recorded {
    ed25519: Pair,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Pair {
    seed: Digest,
    public_key: Digest,
    keyid: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    n: u8,
    payload_type: String,
    body: String,
    #[serde(rename = "pae_sha256")]
    pae: Digest,
    sig: String,
    #[serde(rename = "envelope_sha256")]
    id: Digest,
}

fn at(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    shared::durable::read(&at(name), 1 << 20).unwrap()
}

fn text(name: &str) -> String {
    String::from_utf8(bytes(name)).unwrap()
}

fn recorded() -> Recorded {
    serde_json::from_slice(&bytes("dsse/dsse_vectors.json")).unwrap()
}

/// Whether OpenSSL ends well with these arguments in the folder of the vectors.
fn openssl(arguments: &[&str]) -> bool {
    #[expect(clippy::disallowed_methods, reason = "another implementation judges")]
    let mut openssl = std::process::Command::new("openssl");
    let output = openssl
        .args(arguments)
        .current_dir(at(""))
        .output()
        .unwrap();
    output.status.success()
}

#[test]
fn the_recorded_key_is_ours() {
    let Recorded { ed25519, cases } = recorded();
    let key = SigningKey::from_seed(ed25519.seed.0).unwrap();
    assert_eq!(key.public().as_bytes(), ed25519.public_key.as_bytes());
    assert_eq!(key.public().id(), ed25519.keyid);
    assert_eq!(text("dsse/ed25519.pub.pem"), key.public().to_pem());
    assert_eq!(
        text("dsse/ed25519.seed.hex").trim(),
        ed25519.seed.to_string()
    );
    assert_eq!(cases.len(), 3);
}

#[test]
fn recorded_envelopes_are_those_that_we_write() {
    let Recorded { ed25519, cases } = recorded();
    let key = SigningKey::from_seed(ed25519.seed.0).unwrap();
    for case in cases {
        let name = format!("case {}", case.n);
        let body = case.body.as_bytes();
        assert_eq!(case.payload_type, PAYLOAD_TYPE, "{name}");
        assert_eq!(
            dsse::pae(body),
            bytes(&format!("dsse/pae.{}.bin", case.n)),
            "{name}"
        );
        assert_eq!(Digest::of(&dsse::pae(body)), case.pae, "{name}");
        let file = bytes(&format!("dsse/envelope.ed25519.{}.json", case.n));
        assert_eq!(dsse::seal(&key, body), file, "{name}");
        assert_eq!(Digest::of(&file), case.id, "{name}");
        let envelope = Envelope::from_file(&file).unwrap();
        assert_eq!(envelope.body, body, "{name}");
        assert_eq!(envelope.key_id, Some(ed25519.keyid), "{name}");
        assert_eq!(envelope.verify(&key.public()), Ok(()), "{name}");
        let hex = hex(&envelope.signature).replace(' ', "");
        assert_eq!(hex, case.sig, "{name}");
    }
}

#[test]
fn openssl_accepts_the_recorded_signatures_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let signature = folder.path().join("signature");
    let verify = |pae: &str, of: &[u8]| {
        shared::durable::write(&signature, of, 0o600).unwrap();
        let signature = signature.to_str().unwrap();
        openssl(&[
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "dsse/ed25519.pub.pem",
            "-rawin",
            "-in",
            pae,
            "-sigfile",
            signature,
        ])
    };
    for case in recorded().cases {
        let file = bytes(&format!("dsse/envelope.ed25519.{}.json", case.n));
        let mut of = Envelope::from_file(&file).unwrap().signature;
        assert!(
            verify(&format!("dsse/pae.{}.bin", case.n), &of),
            "case {}",
            case.n
        );
        assert!(!verify(&format!("dsse/pae.{}.bin", (case.n + 1) % 3), &of));
        of[0] ^= 1;
        assert!(!verify(&format!("dsse/pae.{}.bin", case.n), &of));
    }
}

#[test]
fn an_envelope_of_another_algorithm_is_refused() {
    let file = bytes("dsse/envelope.p256.0.json");
    assert_eq!(Envelope::from_file(&file), Err(EnvelopeError::Form));
    assert!(PublicKey::from_pem(&text("dsse/p256.pub.pem")).is_err());
}

/// Each value of the example is computed here and must stand in the document.
#[test]
fn the_worked_example_of_the_document_holds() {
    let document = shared::durable::read_text(&at("../../shared/FORMAT.md"), 1 << 20).unwrap();
    let holds = |text: &str| assert!(document.contains(text), "the document lacks\n{text}");
    let Recorded { ed25519, cases } = recorded();
    let pae = dsse::pae(cases[0].body.as_bytes());
    assert_eq!((cases[0].body.len(), pae.len()), (492, 535));
    for digest in [ed25519.seed, ed25519.public_key, ed25519.keyid] {
        holds(&digest.to_string());
    }
    holds(&dump(&pae[..48]));
    holds(&format!("SHA-256(PAE) {}", cases[0].pae));
    holds(&format!("signature    {}", cases[0].sig));
    holds(&format!("id           {}", cases[0].id));

    let data = bytes("chain/leaf.txt");
    let leaf = Leaf::from_bytes(&data).unwrap();
    assert_eq!(leaf.id, cases[0].id);
    holds(&format!("{}\nleaf hash    {}", dump(&data), leaf.hash()));
    let bundle = tile::encode_bundle(&[&data]).unwrap();
    assert_eq!(bundle, [&[0, 0x7e], data.as_slice()].concat());

    let notes: serde_json::Value = serde_json::from_slice(&bytes("tlog/notes.json")).unwrap();
    let seed = notes["log"]["seed"].as_str().unwrap();
    holds(seed);
    let seed: Digest = seed.parse().unwrap();
    let signer = Signer::new(notes["log"]["origin"].as_str().unwrap(), &seed.0).unwrap();
    holds(&signer.verifier_key().to_string());
    let checkpoint = signer.sign(1, leaf.hash()).to_string();
    holds(&checkpoint.replace('\u{2014}', "--"));

    let mut frame = Vec::new();
    Frame::Blob(b"hi").write(&mut frame);
    holds(&format!("`hi` is `{}`", hex(&frame)));
}

/// Two hex digits for each byte, apart.
fn hex(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.join(" ")
}

/// Bytes as the document shows them.
fn dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).enumerate().map(|(at, line)| {
        let shown = |byte: &u8| matches!(byte, 0x20..=0x7e);
        let text = line
            .iter()
            .map(|byte| if shown(byte) { char::from(*byte) } else { '.' });
        let text: String = text.collect();
        format!("{:04x}  {:47}  {text}\n", at * 16, hex(line))
    });
    lines.collect()
}

/// The certificates of the recorded authority end; the check is made for the minute of the stamp.
#[test]
fn the_recorded_timestamp_is_over_the_recorded_checkpoint() {
    let verify = |checkpoint: &str| {
        openssl(&[
            "ts",
            "-verify",
            "-attime",
            "1795318020",
            "-data",
            checkpoint,
            "-in",
            "rfc3161/cp.tsr",
            "-CAfile",
            "rfc3161/ca.pem",
            "-untrusted",
            "rfc3161/tsa.pem",
        ])
    };
    assert!(verify("tlog/checkpoint.70000.txt"));
    assert!(!verify("tlog/checkpoint.257.txt"));
    // The query that was answered asks for the same hash.
    let query = bytes("rfc3161/cp.tsq");
    let hash = Digest::of(&bytes("tlog/checkpoint.70000.txt"));
    assert!(query.windows(32).any(|window| window == hash.as_bytes()));
}
