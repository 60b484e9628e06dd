//! What people can send to the operator's socket: what they signed is entered, all else changes
//! nothing and says why.
#![expect(clippy::indexing_slicing, reason = "a missing member is null")]

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use shared::attestation::{Statement, Subject};
use shared::decision::{Decided, Person, Revoked, SAID_TYPE, Said, Step, Value};
use shared::id::Digest;
use shared::key::SigningKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::run;
use crate::site::Site;

const ORIGIN: &str = "localhost/evident/1";
const MINUTE_MS: i64 = 60_000;
const MONTH_MS: i64 = 30 * 24 * 60 * MINUTE_MS;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32]).unwrap()
}

fn person(id: &str, seed: u8) -> Person {
    Person {
        id: id.parse().unwrap(),
        name: format!("The {id}"),
        email: String::new(),
        key: key(seed).public().to_pem(),
        active: true,
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn step(register: &str, record: &str, step: &str, fields: &[(&str, Value)]) -> Decided {
    let fields = fields.iter();
    Decided::Record(Step {
        register: register.to_owned(),
        record: record.to_owned(),
        step: step.to_owned(),
        after: None,
        fields: fields
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    })
}

fn raise(record: &str) -> Decided {
    let fields = [
        ("source", text("internal audit")),
        ("requirement", Value::List(vec!["A.8.13".to_owned()])),
        ("grade", text("minor")),
        ("statement", text("two restores in the year")),
        ("owner", text("ada")),
    ];
    step("nonconformity", record, "raise", &fields)
}

/// What a person says now, after `change`, with the names of these files; sealed with the key of
/// this seed.
fn said(
    site: &Site,
    (by, seed): (&str, u8),
    decides: Decided,
    files: &[&[u8]],
    change: impl FnOnce(&mut Said),
) -> String {
    let mut said = Said {
        by: by.parse().unwrap(),
        at: site.now(),
        ledger: ORIGIN.to_owned(),
        decides,
    };
    change(&mut said);
    let subjects = files.iter();
    let subjects = subjects.map(|bytes| Subject::new("document/file", Digest::of(bytes)));
    let file = Statement::new(SAID_TYPE, subjects.collect(), said);
    String::from_utf8(file.seal(&key(seed)).unwrap()).unwrap()
}

fn brought(statement: &str, files: &[&[u8]]) -> Vec<u8> {
    let documents: Vec<String> = files.iter().map(|bytes| STANDARD.encode(bytes)).collect();
    serde_json::to_vec(&json!({"statement": statement, "documents": documents})).unwrap()
}

fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// One exchange over the socket: the status and the body.
async fn ask(site: &Site, method: &str, path: &str, body: &[u8]) -> (u16, Json) {
    let mut socket = UnixStream::connect(site.operator()).await.unwrap();
    let head = head(method, path, body.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    let _length = socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let problem = head.contains("application/problem+json");
    assert_eq!(problem, status != 200, "{answer}");
    (status, serde_json::from_str(body).unwrap())
}

async fn post(site: &Site, statement: &str) -> (u16, Json) {
    ask(site, "POST", "/v1/decisions", &brought(statement, &[])).await
}

fn size(site: &Site) -> u64 {
    site.intake.ledger.published().size
}

/// Sends what must be refused with this status and operand, and with this in its detail; the
/// ledger stays as it is.
async fn refused(site: &Site, body: &[u8], (status, operand, part): (u16, &str, &str)) {
    let before = size(site);
    let (found, problem) = ask(site, "POST", "/v1/decisions", body).await;
    assert_eq!(
        (found, &problem["operand"]),
        (status, &json!(operand)),
        "{problem}"
    );
    assert!(
        problem["detail"].as_str().unwrap().contains(part),
        "{problem}"
    );
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(size(site), before, "{problem}");
}

/// A collector that knows Ada and Bob.
async fn with_people() -> Site {
    let site = Site::start().await;
    for (id, seed) in [("ada", 21), ("bob", 22)] {
        let order = serde_json::to_vec(&Decided::Person(person(id, seed))).unwrap();
        let (status, done) = ask(&site, "POST", "/v1/orders", &order).await;
        assert_eq!(status, 200, "{done}");
    }
    site
}

#[test]
fn two_people_are_needed_and_each_step_is_attributed() {
    run(async {
        let site = with_people().await;
        let until = site.now().plus_ms(MONTH_MS).to_string();
        let fields = [
            ("control", Value::List(vec!["A.8.13".to_owned()])),
            ("host", Value::List(vec!["*".to_owned()])),
            ("reason", text("new storage")),
            ("owner", text("ada")),
            ("until", text(&until)),
        ];
        let propose = step("exception", "EX-1", "propose", &fields);
        let approve = |after: &Json| {
            let mut decides = step("exception", "EX-1", "approve", &[]);
            if let Decided::Record(step) = &mut decides {
                step.after = after.as_str().map(|id| id.parse().unwrap());
            }
            decides
        };
        let proposal = said(&site, ("ada", 21), propose, &[], |_| {});
        let (status, done) = post(&site, &proposal).await;
        assert_eq!(status, 200, "{done}");
        let own = said(&site, ("ada", 21), approve(&done["record"]), &[], |_| {});
        refused(
            &site,
            &brought(&own, &[]),
            (422, "by", "`ada` is the owner"),
        )
        .await;
        let unseen = said(&site, ("bob", 22), approve(&Json::Null), &[], |_| {});
        let wanted = (422, "after", "does not say which state");
        refused(&site, &brought(&unseen, &[]), wanted).await;
        let older = json!(Digest::of(b"older").to_string());
        let older = said(&site, ("bob", 22), approve(&older), &[], |_| {});
        let wanted = (422, "after", "came meanwhile");
        refused(&site, &brought(&older, &[]), wanted).await;
        let approval = said(&site, ("bob", 22), approve(&done["record"]), &[], |_| {});
        let (status, done) = post(&site, &approval).await;
        assert_eq!(status, 200, "{done}");

        let (_ok, record) = ask(&site, "GET", "/v1/registers/exception/EX-1", b"").await;
        assert_eq!(record["state"], "approved");
        let history = record["history"].as_array().unwrap();
        let by: Vec<_> = history.iter().map(|event| &event["by"]).collect();
        assert_eq!(by, ["ada", "bob"]);
        assert_eq!(
            history[0]["statement"],
            Digest::of(proposal.as_bytes()).to_string()
        );
        assert_eq!(history[1]["entry"], done["entry"]);
        let before = site.now().plus_ms(-MINUTE_MS);
        let then = format!("/v1/registers/exception?at={before}");
        let (_ok, then) = ask(&site, "GET", &then, b"").await;
        assert_eq!(
            (&then["records"], &then["next_id"]),
            (&json!([]), &json!("EX-1"))
        );
    });
}

#[test]
fn a_statement_that_does_not_hold_here_decides_nothing() {
    run(async {
        let site = with_people().await;
        let send = async |who, change: fn(&mut Said), wanted| {
            let statement = said(&site, who, raise("NC-1"), &[], change);
            refused(&site, &brought(&statement, &[]), wanted).await;
        };
        send(("eve", 23), |_| {}, (403, "by", "nobody is known as `eve`")).await;
        send(("ada", 22), |_| {}, (403, "statement", "the key of `ada`")).await;
        let elsewhere = |said: &mut Said| said.ledger = "other.example/evident/1".to_owned();
        send(("ada", 21), elsewhere, (403, "ledger", "other.example")).await;
        let late = |said: &mut Said| said.at = said.at.plus_ms(-11 * MINUTE_MS);
        send(("ada", 21), late, (403, "at", "more than 10 minutes")).await;
        let early = |said: &mut Said| said.at = said.at.plus_ms(11 * MINUTE_MS);
        send(("ada", 21), early, (403, "at", "more than 10 minutes")).await;

        let within = |said: &mut Said| said.at = said.at.plus_ms(9 * MINUTE_MS);
        let good = said(&site, ("ada", 21), raise("NC-1"), &[], within);
        assert_eq!(post(&site, &good).await.0, 200);
        refused(
            &site,
            &brought(&good, &[]),
            (409, "statement", "stands in the ledger"),
        )
        .await;
        let (id, other) = (key(21).public().id(), Digest::of(b"other"));
        let renamed = good.replace(&id.to_string(), &other.to_string());
        let wanted = (403, "statement", "the key of `ada`");
        refused(&site, &brought(&renamed, &[]), wanted).await;

        let left = Decided::Person(Person {
            active: false,
            ..person("ada", 21)
        });
        let other = said(&site, ("bob", 22), left.clone(), &[], |_| {});
        let wanted = (422, "by", "not for `ada`");
        refused(&site, &brought(&other, &[]), wanted).await;
        let left = said(&site, ("ada", 21), left, &[], |_| {});
        assert_eq!(post(&site, &left).await.0, 200);
        send(
            ("ada", 21),
            |_| {},
            (403, "by", "may not decide here any more"),
        )
        .await;
        refused(&site, b"{", (400, "body", "EOF")).await;
        refused(&site, &brought("{}", &[]), (400, "statement", "")).await;
    });
}

#[test]
fn files_come_with_the_statement_that_names_them() {
    run(async {
        let site = with_people().await;
        let policy: &[u8] = b"the policy";
        let submit = |digest: Digest| {
            let fields = [
                ("title", text("Backup policy")),
                ("document", text(&digest.to_string())),
                ("requirement", Value::List(vec!["A.8.13".to_owned()])),
                ("covers_from", text("2026-01-01T00:00:00Z")),
                ("owner", text("ada")),
                ("review_every", text("365d")),
                ("revision", text("3")),
            ];
            step("document", "DOC-1", "submit", &fields)
        };
        let send = |named: &[&[u8]]| {
            said(
                &site,
                ("ada", 21),
                submit(Digest::of(policy)),
                named,
                |_| {},
            )
        };
        let missing = (422, "documents", "was not brought");
        refused(&site, &brought(&send(&[policy]), &[]), missing).await;
        let unnamed = (422, "documents", "does not name");
        refused(&site, &brought(&send(&[]), &[policy]), unnamed).await;
        let large = vec![7; shared::limits::DOCUMENT_BYTES_MAX + 1];
        let too_large = (413, "documents", "8388609 bytes");
        let both: [&[u8]; 2] = [policy, &large];
        refused(&site, &brought(&send(&both), &both), too_large).await;
        let endless = vec![b' '; 25 * 1024 * 1024];
        refused(&site, &endless, (413, "body", "at most")).await;

        let good = brought(&send(&[policy]), &[policy]);
        let (status, done) = ask(&site, "POST", "/v1/decisions", &good).await;
        assert_eq!(status, 200, "{done}");
        let kept = site.intake.ledger.blob(&Digest::of(policy)).unwrap();
        assert_eq!(kept.as_deref(), Some(policy));
    });
}

#[test]
fn as_many_files_as_a_decision_can_name_are_taken_and_it_can_be_read_again() {
    run(async {
        let site = with_people().await;
        let files: Vec<Vec<u8>> = (0..256u16).map(|n| n.to_be_bytes().to_vec()).collect();
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let many = said(&site, ("ada", 21), raise("NC-1"), &files, |_| {});
        let wanted = (413, "documents", "256 files");
        refused(&site, &brought(&many, &files), wanted).await;
        let most = &files[..255];
        let good = said(&site, ("ada", 21), raise("NC-1"), most, |_| {});
        let body = brought(&good, most);
        let (status, done) = ask(&site, "POST", "/v1/decisions", &body).await;
        assert_eq!(status, 200, "{done}");
        let entry = done["entry"].as_u64().unwrap();
        let entry = site.intake.ledger.entry(entry).unwrap();
        let key = site.intake.authority.decisions.public();
        assert!(shared::decision::open(&entry.envelope, &key).is_ok());

        let decides = json!({"catalogue": Digest::of(b"c").to_string(), "files": {},
            "dropped": [], "reason": "surplus"});
        let order = json!({"decides": decides, "files": [STANDARD.encode(b"surplus")]});
        let before = size(&site);
        let order = serde_json::to_vec(&order).unwrap();
        let (status, problem) = ask(&site, "POST", "/v1/orders/catalogue", &order).await;
        assert_eq!((status, &problem["operand"]), (422, &json!("files")));
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("does not name")
        );
        assert_eq!(size(&site), before);
    });
}

#[test]
fn of_two_at_once_one_is_refused() {
    run(async {
        let site = with_people().await;
        let before = size(&site);
        let (ada, bob) = (
            said(&site, ("ada", 21), raise("NC-1"), &[], |_| {}),
            said(&site, ("bob", 22), raise("NC-1"), &[], |_| {}),
        );
        let (one, other) = tokio::join!(post(&site, &ada), post(&site, &bob));
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "{one:?} {other:?}");
        assert_eq!(size(&site), before + 1);
    });
}

#[test]
fn who_hangs_up_half_way_decides_nothing_and_who_does_not_wait_decides() {
    run(async {
        let site = with_people().await;
        let before = size(&site);
        let body = brought(&said(&site, ("ada", 21), raise("NC-1"), &[], |_| {}), &[]);
        let head = head("POST", "/v1/decisions", body.len());
        let (half, rest) = body.split_at(body.len() / 2);
        let mut socket = UnixStream::connect(site.operator()).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(half).await.unwrap();
        drop(socket);
        assert_eq!(ask(&site, "GET", "/v1/people", b"").await.0, 200);
        assert_eq!(size(&site), before);

        let mut socket = UnixStream::connect(site.operator()).await.unwrap();
        for part in [head.as_bytes(), half, rest] {
            socket.write_all(part).await.unwrap();
        }
        drop(socket);
        let entered = async {
            loop {
                let path = "/v1/registers/nonconformity/NC-1";
                let (status, record) = ask(&site, "GET", path, b"").await;
                if status == 200 {
                    break record;
                }
            }
        };
        let patience = std::time::Duration::from_secs(30);
        let record = tokio::time::timeout(patience, entered).await.unwrap();
        assert_eq!(record["state"], "open");
        assert_eq!(size(&site), before + 1);
    });
}

#[test]
fn orders_are_for_few_things_and_name_the_account() {
    run(async {
        let site = with_people().await;
        let socket = std::fs::metadata(site.operator()).unwrap();
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        let order = async |decides: &Decided, wanted: (u16, &str)| {
            let before = size(&site);
            let body = serde_json::to_vec(decides).unwrap();
            let (status, problem) = ask(&site, "POST", "/v1/orders", &body).await;
            assert_eq!(
                (status, &problem["operand"]),
                (wanted.0, &json!(wanted.1)),
                "{problem}"
            );
            assert_eq!(size(&site), before);
        };
        order(&raise("NC-1"), (403, "by")).await;
        let revoked = Revoked {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            reason: "lost".to_owned(),
        };
        order(&Decided::Revoke(revoked), (422, "host")).await;
        order(&Decided::Person(person("eve", 21)), (422, "key")).await;
        let nameless = Person {
            name: " ".to_owned(),
            ..person("eve", 23)
        };
        order(&Decided::Person(nameless), (422, "name")).await;

        let entry = site.intake.ledger.entry(0).unwrap();
        let key = site.intake.authority.decisions.public();
        let decision = shared::decision::open(&entry.envelope, &key).unwrap();
        let uid = own_account();
        assert!(
            decision.by.starts_with(&format!("uid {uid}")),
            "{}",
            decision.by
        );
        assert_eq!(decision.statement, None);
        let (status, _) = ask(&site, "GET", "/v1/registers/nothing", b"").await;
        assert_eq!(status, 404);
        let (status, _) = ask(&site, "DELETE", "/v1/people", b"").await;
        assert_eq!(status, 405);
    });
}

/// The account under which this test runs, as its own files have it.
fn own_account() -> u32 {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata("/proc/self").unwrap().uid()
}
