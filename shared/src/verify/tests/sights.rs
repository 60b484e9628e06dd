//! What the collector itself observed is held to the same rules as what hosts say.

use super::exporter::check;
use super::sample::{Ledger, at, stream};
use crate::id::Digest;
use crate::key::SigningKey;
use crate::leaf::{LeafKind, LeafOrigin};
use crate::observation::Observation;
use crate::observed;
use crate::pack;
use crate::verify::Verdict;

const OFFSET: &str = r#"{"artifacts":[],"facts":{"offset_ms":3},"outcome":"facts","probe":"offset","reason":"","schema":1,"source":[]}"#;

/// What is to be entered; a test changes it before.
struct Sight {
    number: u64,
    agent: &'static str,
    basis: Vec<Digest>,
    kind: LeafKind,
    key: SigningKey,
}

impl Sight {
    fn new(ledger: &Ledger, number: u64) -> Self {
        Self {
            number,
            agent: "web-1",
            basis: vec![ledger.leaves[270].id],
            kind: LeafKind::Observed,
            key: SigningKey::from_seed(*ledger.decisions.seed()).unwrap(),
        }
    }

    fn enter(self, ledger: &mut Ledger) {
        let about = (self.agent.parse().unwrap(), 1, at(ledger.size()));
        let observation = Observation::from_bytes(OFFSET.as_bytes()).unwrap();
        let (file, bytes) = observed::seal(about, &observation, &self.basis, &self.key).unwrap();
        ledger.blobs.insert(Digest::of(&bytes), bytes);
        let origin = LeafOrigin::Observer {
            number: self.number,
        };
        let _id = ledger.enter(self.kind, origin, file);
    }
}

fn with_sights(change: impl FnOnce(&mut Sight)) -> Ledger {
    let mut ledger = Ledger::sample();
    Sight::new(&ledger, 0).enter(&mut ledger);
    ledger.evidence(&stream("web-1", 1), |_| {});
    let mut second = Sight::new(&ledger, 1);
    change(&mut second);
    second.enter(&mut ledger);
    ledger
}

#[test]
fn what_the_collector_observed_is_part_of_a_pack() {
    let good = with_sights(|_| {});
    let part = "4 records under the key of decisions";
    check(&good, |_, _| {}, ("signatures", Verdict::Ok, part));
    let name = pack::blob_name(&Digest::of(OFFSET.as_bytes()));
    check(
        &good,
        |_, cut| drop(cut.files.remove(&name)),
        ("blobs", Verdict::Fail, "is missing"),
    );
}

#[test]
fn what_no_collector_can_have_observed_is_told() {
    #[track_caller]
    fn told(change: impl FnOnce(&mut Sight), claim: &str, part: &str) {
        check(
            &with_sights(change),
            |_, _| {},
            (claim, Verdict::Fail, part),
        );
    }
    told(|sight| sight.number = 2, "records", "is observation 2");
    told(|sight| sight.number = 0, "records", "is observation 0");
    told(
        |sight| sight.agent = "gone-1",
        "signatures",
        "is about gone-1-g1, which was never enrolled",
    );
    told(
        |sight| sight.kind = LeafKind::Decision,
        "signatures",
        "of the other row",
    );
    told(
        |sight| sight.key = SigningKey::from_seed([9; 32]).unwrap(),
        "signatures",
        "not signed with the key",
    );
}

#[test]
fn what_rests_on_a_later_record_is_told() {
    let mut ledger = with_sights(|_| {});
    ledger.evidence(&stream("web-1", 1), |_| {});
    let later = ledger.leaves.last().unwrap().clone();
    ledger.forget_last();
    let mut third = Sight::new(&ledger, 2);
    third.basis = vec![later.id];
    third.enter(&mut ledger);
    // The same record again, now behind what rests on it.
    let file = ledger.files[&later.id].clone();
    let _id = ledger.enter(LeafKind::Evidence, later.origin, file);
    let part = "which stands behind it";
    check(&ledger, |_, _| {}, ("signatures", Verdict::Fail, part));
}
