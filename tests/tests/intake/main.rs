//! What a bad peer can send to the intake: each gets a clear answer, is counted, and harms nobody.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::PoisonError;

use collector::follow;
use collector::serve::Intake;
use rcgen::KeyPair;
use shared::attestation::Kind;
use shared::exchange::Exchange;
use shared::id::Digest;
use shared::leaf::LeafKind;
use shared::limits;
use shared::observation::Outcome;
use shared::observed;
use shared::time::Timestamp;
use shared::wire::{self, Code, Frame};

mod decisions;
mod site;

use site::{OBSERVATION, Site, machine_time};

const DAY_MS: i64 = 24 * 3_600_000;

/// Runs a test on a runtime of its own.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

#[test]
fn records_that_are_wrong_are_refused_counted_and_harm_nothing() {
    run(async {
        let site = Site::start().await;
        let mut peer = site.enrol("web-1").await;
        let other = site.enrol("web-2").await;
        peer.good(&site).await;
        let good = peer.record(&site, |_evidence| {});
        let mut lax = good.clone();
        lax.push(b'\n');
        let foreign = other.record(&site, |_evidence| {});
        let early = peer.record(&site, |evidence| {
            evidence.stream.seq += 1;
            evidence.seen.acked = None;
        });
        let link = peer.record(&site, |evidence| evidence.stream.prev = Digest::of(b"x"));
        let forged = other.record(&site, |evidence| {
            evidence.stream.agent.clone_from(&peer.agent);
            evidence.stream.seq = peer.seq;
            evidence.stream.prev = peer.prev;
        });
        let ahead = peer.record(&site, |evidence| evidence.seen.size = 1000);
        let behind = peer.record(&site, |evidence| evidence.seen.size = 0);
        let elsewhere = peer.record(&site, |evidence| evidence.seen.root = Digest::of(b"x"));
        let unlike = peer.record(&site, |evidence| {
            evidence
                .run
                .probes
                .iter_mut()
                .for_each(|run| run.outcome = Outcome::Absent);
        });
        for (file, code, part) in [
            (lax, Code::Encoding, "malformed"),
            (
                foreign,
                Code::ForeignStream,
                "record of web-2 generation 1 came over",
            ),
            (early, Code::Chain, "record 2 came, but 1 is due"),
            (link, Code::Chain, "record 1 links to"),
            (forged, Code::Signature, "record 1 of web-1 is not signed"),
            (ahead, Code::Unavailable, "has seen 1000 entries"),
            (
                behind,
                Code::Chain,
                "has seen 0 entries, and the record before it 1",
            ),
            (
                elsewhere,
                Code::Chain,
                "has seen another root over 1 entries",
            ),
            (unlike, Code::Content, "not the observation of `clock`"),
        ] {
            let before = site.count(code);
            let problem = peer.submit(&site, &file).await.unwrap_err();
            assert_eq!(problem.code, code, "{problem:?}");
            assert!(problem.title.contains(part), "{problem:?}");
            assert!(problem.hint.is_some(), "{problem:?}");
            assert_eq!(site.count(code), before + 1, "{code:?} is not counted");
        }
        // Nothing was lost or moved: the good record is still the next one.
        assert_eq!(peer.submit(&site, &good).await, Ok(1));
        peer.advance(&good);
        assert_eq!(peer.head(&site).await.unwrap().unwrap().id, peer.prev);
    });
}

#[test]
fn a_record_that_comes_again_has_the_same_place() {
    run(async {
        let site = Site::start().await;
        let mut peer = site.enrol("web-1").await;
        let file = peer.record(&site, |_evidence| {});
        let entries = site.intake.ledger.published().size;
        for _time in 0..3 {
            assert_eq!(peer.submit(&site, &file).await, Ok(1));
        }
        let mut twice = Vec::new();
        Frame::Attestation(&file).write(&mut twice);
        Frame::Attestation(&file).write(&mut twice);
        assert_eq!(peer.submit_body(&site, twice).await, Ok(2));
        assert_eq!(site.intake.ledger.published().size, entries + 1);
        peer.advance(&file);
        peer.good(&site).await;
    });
}

#[test]
fn a_forked_stream_is_kept_and_stopped_until_the_host_is_enrolled_again() {
    run(async {
        let site = Site::start().await;
        let mut peer = site.enrol("web-1").await;
        let twin = peer.record(&site, |evidence| evidence.boot.mono_ms = 2);
        peer.good(&site).await;
        let entries = site.intake.ledger.published().size;
        let problem = peer.submit(&site, &twin).await.unwrap_err();
        assert_eq!(problem.code, Code::Fork);
        assert_eq!(
            site.intake.ledger.published().size,
            entries + 1,
            "the proof is not kept"
        );
        let next = peer.record(&site, |_evidence| {});
        let problem = peer.submit(&site, &next).await.unwrap_err();
        assert_eq!(problem.code, Code::Quarantined);
        assert_eq!(peer.head(&site).await.unwrap_err().code, Code::Quarantined);
        let mut again = site.enrol("web-1").await;
        assert_eq!(again.generation, 2);
        again.good(&site).await;
        // The old certificate is out.
        assert_eq!(
            peer.submit(&site, &next).await.unwrap_err().code,
            Code::Revoked
        );
    });
}

#[test]
fn a_fork_is_followed_into_the_status_and_ends_with_a_new_enrolment() {
    run(async {
        let site = Site::start().await;
        let Intake { ledger, status, .. } = &*site.intake;
        let decisions = site.intake.authority.decisions.public();
        let seen = || {
            let status = status.read().unwrap_or_else(PoisonError::into_inner);
            let status = status.as_ref().unwrap();
            let _position = follow::catch_up(ledger, status, &decisions).unwrap();
            let hosts = status.hosts(machine_time()).unwrap();
            (hosts[0].failing, hosts[0].warning.is_some())
        };
        let mut peer = site.enrol("web-1").await;
        let start = peer.record(&site, |evidence| {
            evidence.kind = Kind::Start;
            evidence.run.probes.clear();
        });
        peer.submit(&site, &start).await.unwrap();
        peer.advance(&start);
        peer.good(&site).await;
        let twin = peer.record(&site, |evidence| evidence.boot.mono_ms = 2);
        peer.good(&site).await;
        assert_eq!(seen(), (1, false));
        let problem = peer.submit(&site, &twin).await.unwrap_err();
        assert_eq!(problem.code, Code::Fork);
        assert_eq!(seen(), (0, true));
        let mut again = site.enrol("web-1").await;
        assert_eq!(seen(), (0, false));
        again.good(&site).await;
        assert_eq!(seen(), (1, false));
    });
}

#[test]
fn bodies_that_are_no_submission_are_refused() {
    run(async {
        let site = Site::start().await;
        let peer = site.enrol("web-1").await;
        let file = peer.record(&site, |_evidence| {});
        let mut cut = Vec::new();
        Frame::Attestation(&file).write(&mut cut);
        cut.pop();
        let wrong = peer.submit_body(&site, cut).await.unwrap_err();
        assert_eq!((wrong.code, wrong.status), (Code::Malformed, 400));
        let wrong = peer
            .submit_body(&site, vec![9, 0, 0, 0, 0])
            .await
            .unwrap_err();
        assert_eq!(wrong.code, Code::Malformed);
        let long = vec![0; limits::REQUEST_BYTES_MAX + 1];
        let wrong = peer.submit_body(&site, long).await.unwrap_err();
        assert_eq!((wrong.code, wrong.status), (Code::TooLarge, 413));
        let mut many = Vec::new();
        for _frame in 0..=limits::BATCH_ATTESTATIONS_MAX {
            Frame::Attestation(&file).write(&mut many);
        }
        assert_eq!(
            peer.submit_body(&site, many).await.unwrap_err().code,
            Code::TooLarge
        );
        // A blob that is not what the record names is no blob of it.
        let mut other = Vec::new();
        Frame::Blob(b"something else").write(&mut other);
        Frame::Attestation(&file).write(&mut other);
        let wrong = peer.submit_body(&site, other).await.unwrap_err();
        assert_eq!(wrong.code, Code::MissingBlobs);
        assert_eq!(wrong.missing, [Digest::of(OBSERVATION)]);
        assert_eq!(peer.submit(&site, &file).await, Ok(1));
        let odd = site
            .send(&peer.client, "/v1/submit?seen=abc", Vec::new())
            .await
            .unwrap_err();
        assert_eq!((odd.code, odd.status), (Code::Malformed, 400));
    });
}

#[test]
fn nothing_is_entered_behind_the_end_of_an_enrolment() {
    run(async {
        let site = Site::start().await;
        for round in 0..8 {
            let name = format!("web-{round}");
            let peer = site.enrol(&name).await;
            let file = peer.record(&site, |_evidence| {});
            // A large submission and the end of the enrolment at the same time.
            let mut body = Vec::new();
            for filler in 0..6_u8 {
                Frame::Blob(&vec![filler; limits::BLOB_BYTES_MAX]).write(&mut body);
            }
            Frame::Blob(OBSERVATION).write(&mut body);
            Frame::Attestation(&file).write(&mut body);
            let (entered, ended) = tokio::join!(peer.submit_body(&site, body), site.enrol(&name));
            assert_eq!(ended.generation, 2);
            let ledger = &site.intake.ledger;
            let end = ledger.index_of(&ended.prev).unwrap();
            let record = ledger.index_of(&Digest::of(&file));
            assert_eq!(entered.is_ok(), record.is_some());
            assert!(
                record.is_none_or(|record| record < end),
                "round {round}: {record:?} {end}"
            );
        }
    });
}

#[test]
fn a_wrong_clock_is_counted_and_its_evidence_is_kept() {
    run(async {
        let site = Site::start().await;
        let mut peer = site.enrol("web-1").await;
        let ahead = site.intake.config.fleet.certificate_days;
        let future = peer.record(&site, |evidence| {
            evidence.time.wall = evidence.time.wall.plus_ms(i64::from(ahead) * DAY_MS);
        });
        assert_eq!(peer.submit(&site, &future).await, Ok(1));
        assert_eq!(site.count(Code::Clock), 1);
        peer.advance(&future);
        let past = peer.record(&site, |evidence| evidence.time.wall = Timestamp::default());
        assert_eq!(peer.submit(&site, &past).await, Ok(1));
        peer.advance(&past);
        peer.good(&site).await;
    });
}

#[test]
fn certificates_that_are_not_of_an_enrolled_agent_open_nothing() {
    run(async {
        let site = Site::start().await;
        let peer = site.enrol("web-1").await;
        let url = format!("https://{}{}", site.address, wire::HELLO);
        let problem = site
            .send(&site.client(None), wire::HELLO, Vec::new())
            .await
            .unwrap_err();
        assert_eq!((problem.code, problem.status), (Code::Certificate, 403));

        // Certified by the same authority, and enrolled nowhere.
        let (pair, now) = (KeyPair::generate().unwrap(), machine_time());
        let request = rcgen::CertificateParams::default();
        let request = request.serialize_request(&pair).unwrap().pem().unwrap();
        let certify = |days| {
            let name = "stranger".parse().unwrap();
            site.intake
                .authority
                .issue_agent(&request, &name, 1, (now, days))
                .unwrap()
                .1
        };
        let stranger = site.client(Some((&certify(7), &pair)));
        let problem = site
            .send(&stranger, wire::HELLO, Vec::new())
            .await
            .unwrap_err();
        assert_eq!(problem.code, Code::UnknownHost);
        assert_eq!(problem.detail.as_deref(), Some("stranger generation 1"));

        // One that has ended, and one of another authority, do not pass the handshake.
        let before = |site: &Site| site.intake.counters.all().get("handshake").copied();
        assert_eq!(before(&site), None);
        let ended = site.client(Some((&certify(-1), &pair)));
        assert!(ended.post(&url).send().await.is_err());
        let elsewhere = Site::start().await;
        let foreign = elsewhere.enrol("web-1").await;
        let foreign = site.client(Some((&foreign.certificate, &foreign.tls)));
        assert!(foreign.post(&url).send().await.is_err());
        // The peer may know of it before it is counted.
        evident_tests::soon(|| before(&site) == Some(2));
        assert_eq!(peer.head(&site).await, Ok(None));
    });
}

#[test]
fn enrolments_that_are_wrong_spend_no_token() {
    run(async {
        let site = Site::start().await;
        let client = site.client(None);
        let enrol = async |request: &wire::EnrolRequest| {
            let body = serde_json::to_vec(request).unwrap();
            site.send(&client, wire::ENROL, body).await
        };
        let (_key, _tls, request) = site
            .request("web-1", |claim, _token| claim.nonce = Digest::of(b"x"))
            .await;
        assert_eq!(enrol(&request).await.unwrap_err().code, Code::Token);
        let (_key, _tls, request) = site
            .request("web-1", |claim, _token| claim.tls_key = Digest::of(b"x"))
            .await;
        assert_eq!(enrol(&request).await.unwrap_err().code, Code::Signature);
        let (_key, _tls, request) = site.request("web-1", |_claim, token| token.push('x')).await;
        assert_eq!(enrol(&request).await.unwrap_err().code, Code::Token);
        let weak = shared::key::PublicKey::from_bytes([0; 32]).to_pem();
        let (_key, _tls, request) = site
            .request("web-1", |claim, _token| claim.evidence_key = weak)
            .await;
        assert_eq!(enrol(&request).await.unwrap_err().code, Code::Signature);
        let (_key, _tls, late) = site.request("web-1", |_claim, _token| {}).await;
        site.pass(5 * 60_000);
        assert_eq!(enrol(&late).await.unwrap_err().code, Code::Token);
        assert_eq!(site.intake.ledger.published().size, 0);

        // Numbers cost nothing, so nobody can use them up.
        for _number in 0..5000 {
            assert!(
                site.send(&client, wire::ENROL_NONCE, Vec::new())
                    .await
                    .is_ok()
            );
        }
        let (_key, _tls, good) = site.request("web-1", |_claim, _token| {}).await;
        assert!(enrol(&good).await.is_ok());
        // The number and the token are spent.
        assert_eq!(enrol(&good).await.unwrap_err().code, Code::Token);
        let newest = {
            let fleet = site
                .intake
                .fleet
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            fleet.newest(&"web-1".parse().unwrap()).unwrap().generation
        };
        assert_eq!(newest, 1);
        // A token for any host does not begin a known one again.
        let (_key, _tls, any) = site.request_unbound("web-1").await;
        let problem = enrol(&any).await.unwrap_err();
        assert_eq!(problem.code, Code::Token);
        let (_key, _tls, any) = site.request_unbound("web-2").await;
        assert!(enrol(&any).await.is_ok());
    });
}

#[test]
fn a_certificate_is_renewed_over_the_connection_of_the_old_one() {
    run(async {
        let site = Site::start().await;
        let peer = site.enrol("web-1").await;
        let pair = KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::default();
        let request_pem = params.serialize_request(&pair).unwrap().pem().unwrap();
        let body = serde_json::to_vec(&wire::RenewRequest { request_pem }).unwrap();
        let answer = site.send(&peer.client, wire::RENEW, body).await.unwrap();
        let answer: wire::RenewAnswer = serde_json::from_value(answer).unwrap();
        let mut renewed = peer;
        renewed.client = site.client(Some((&answer.certificate_pem, &pair)));
        renewed.good(&site).await;
        let body = serde_json::to_vec(&wire::RenewRequest {
            request_pem: "x".to_owned(),
        })
        .unwrap();
        let wrong = site
            .send(&renewed.client, wire::RENEW, body)
            .await
            .unwrap_err();
        assert_eq!(wrong.code, Code::Malformed);
        assert!(!renewed.ledger_key.to_string().is_empty());
    });
}

#[test]
fn only_times_that_the_host_was_given_are_compared() {
    run(async {
        let site = Site::start().await;
        let mut peer = site.enrol("web-1").await;
        let other = site.enrol("web-2").await;
        let sent = machine_time().plus_ms(-5000);
        let ask = |client: reqwest::Client| {
            let body = serde_json::to_vec(&wire::TimeRequest { sent }).unwrap();
            let site = &site;
            async move {
                let answer = site.send(&client, wire::TIME, body).await.unwrap();
                serde_json::from_value::<wire::TimeAnswer>(answer).unwrap()
            }
        };
        let exchange = |answer: wire::TimeAnswer| Exchange {
            sent,
            received: answer.received,
            answered: answer.answered,
            returned: sent.plus_ms(20),
        };
        // Invented; given to another host; given to this host and changed.
        let foreign = exchange(ask(other.client.clone()).await);
        let invented = Exchange {
            sent,
            received: sent,
            answered: sent,
            returned: sent,
        };
        let own = exchange(ask(peer.client.clone()).await);
        let changed = Exchange {
            answered: own.answered.plus_ms(1),
            ..own
        };
        // The clock of the host was set back between the question and the answer.
        let backwards = Exchange {
            returned: own.sent.plus_ms(-7_200_000),
            ..own
        };
        // The right one twice: it counts once.
        for exchange in [invented, foreign, changed, backwards, own, own] {
            let file = peer.record(&site, |evidence| evidence.time.exchange = Some(exchange));
            // It is evidence all the same.
            assert_eq!(peer.submit(&site, &file).await, Ok(1));
            peer.advance(&file);
        }
        let observed = || {
            let ledger = &site.intake.ledger;
            let entries = (0..ledger.published().size).map(|index| ledger.entry(index).unwrap());
            let key = site.intake.authority.decisions.public();
            let entries = entries.filter(|entry| entry.leaf.kind == LeafKind::Observed);
            let sights = entries.map(|entry| observed::open(&entry.envelope, &key).unwrap());
            sights.collect::<Vec<_>>()
        };
        let end = std::time::Duration::from_mins(1);
        let mut grown = site.intake.ledger.grown().unwrap();
        let wait = async {
            while observed().is_empty() {
                grown.changed().await.unwrap();
            }
        };
        tokio::time::timeout(end, wait).await.unwrap();
        peer.good(&site).await;
        let found = observed();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].observed.agent, peer.agent);
        let bytes = site
            .intake
            .ledger
            .blob(&found[0].observation)
            .unwrap()
            .unwrap();
        let seen: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(seen["facts"]["offset_ms"], own.offset_ms(), "{seen}");
    });
}
