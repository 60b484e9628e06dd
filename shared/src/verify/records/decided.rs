//! What people decided: each statement holds under the key that the person had then, and says what
//! was entered.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Verdict;
use super::Records;
use crate::attestation::Statement;
use crate::cause::chain;
use crate::decision::{self, Decided, Decision, InForce, Person, Said, Step};
use crate::dsse::Envelope;
use crate::id::{Digest, PersonId};
use crate::key::PublicKey;
use crate::leaf::{Leaf, LeafKind};
use crate::limits;
use crate::pack;

/// How far the clock of a person may be from the one of the collector.
const CLOCK_MS: u64 = 10 * 60 * 1000;

/// The people as the decisions so far say, and what they said.
#[derive(Default)]
pub(super) struct People {
    /// By the name: the key, and whether the person may decide.
    known: BTreeMap<PersonId, (PublicKey, bool)>,
    /// Every key that was ever somebody's, and whose it was first.
    held: BTreeMap<PublicKey, PersonId>,
    /// By register and id: the last decision about the record.
    last: BTreeMap<(String, String), Digest>,
    said: BTreeSet<Digest>,
    pub(super) signed: u64,
    pub(super) orders: u64,
}

impl Records<'_> {
    /// A decision or a catalogue: it holds, and so does what the person signed.
    pub(super) fn decided(&mut self, leaf: &Leaf, file: &[u8]) -> Result<(), String> {
        self.counts.decisions += 1;
        let envelope = Envelope::from_file(file).map_err(|error| error.to_string())?;
        let held = envelope.verify(&self.manifest.decisions);
        held.map_err(|error| error.to_string())?;
        let name = pack::record_name(&leaf.id);
        match decision::open(file, &self.manifest.decisions) {
            Ok(decision) => {
                let kind = match decision.decides {
                    Decided::Enrol(_) => LeafKind::Enrol,
                    Decided::Revoke(_) => LeafKind::Revoke,
                    Decided::Catalogue(_) => LeafKind::Catalogue,
                    Decided::Import(_) | Decided::Person(_) | Decided::Record(_) => {
                        LeafKind::Decision
                    }
                };
                if kind != leaf.kind {
                    return Err("is not of the kind that its entry says".to_owned());
                }
                self.person_said(leaf, &decision);
                match &decision.decides {
                    Decided::Record(step) => self.follows(&name, &leaf.id, step),
                    Decided::Catalogue(catalogue) => self.catalogue(catalogue),
                    Decided::Enrol(_)
                    | Decided::Revoke(_)
                    | Decided::Import(_)
                    | Decided::Person(_) => {}
                }
            }
            Err(error) => {
                let what = format!("is of a form that is not known here: {}", chain(&error));
                self.decided.add(Verdict::CannotCheck, &name, what);
            }
        }
        Ok(())
    }

    /// Checks what a person said, if a person stands for the decision, and makes people known.
    pub(super) fn person_said(&mut self, leaf: &Leaf, decision: &Decision) {
        let name = &pack::record_name(&leaf.id);
        if decision.at != leaf.received {
            let what = format!(
                "says it was made at {}, not when it was entered",
                decision.at
            );
            self.decided.fail(name, what);
        }
        match &decision.statement {
            Some(statement) => {
                self.people.signed += 1;
                if let Err(what) = self.statement(decision, statement) {
                    return self.decided.fail(name, what);
                }
            }
            None if matches!(decision.decides, Decided::Record(_)) => {
                return self.decided.fail(name, "is a record that nobody signed");
            }
            // A host speaks for itself at its enrolment.
            None if matches!(decision.decides, Decided::Enrol(_)) => {}
            None => self.people.orders += 1,
        }
        if let Decided::Person(person) = &decision.decides
            && let Err(what) = self.person(name, decision, person)
        {
            self.decided.fail(name, what);
        }
    }

    /// Makes a person known. A key is for ever of one person, and of a person nobody but an
    /// account of the machine says anything that another did not sign.
    fn person(&mut self, name: &str, decision: &Decision, person: &Person) -> Result<(), String> {
        let (id, by) = (&person.id, &decision.by);
        let strong = |key: PublicKey| key.check_strength().map(|()| key);
        let key = PublicKey::from_pem(&person.key)
            .and_then(strong)
            .map_err(|error| format!("makes a key known: {error}"))?;
        if key.to_pem() != person.key {
            return Err("makes a key known that is not in its one written form".to_owned());
        }
        if decision.statement.is_some() && by != id.as_str() {
            return Err(format!("is about `{id}`, and `{by}` signed it"));
        }
        let first = self.people.held.entry(key).or_insert_with(|| id.clone());
        if first != id {
            return Err(format!("gives `{id}` the key of `{first}`"));
        }
        let before = self.people.known.insert(id.clone(), (key, person.active));
        if before.is_some_and(|(before, _active)| before != key) {
            let key = key.id().short();
            let what = format!("gives `{id}` another key, {key}, by order of `{by}`");
            self.decided.add(Verdict::Note, name, what);
        }
        Ok(())
    }

    /// Whether the step is about the record as the decision before it left it.
    fn follows(&mut self, name: &str, id: &Digest, step: &Step) {
        let place = (step.register.clone(), step.record.clone());
        let before = self.people.last.insert(place, *id);
        if before != step.after {
            let what = format!(
                "is about another state of {} `{}` than the one before it",
                step.register, step.record
            );
            self.decided.fail(name, what);
        }
    }

    /// The files of a catalogue, whether a person signed for them or an account gave the order.
    fn catalogue(&mut self, catalogue: &InForce) {
        for digest in catalogue.files.values() {
            let name = pack::blob_name(digest);
            if self.used.insert(name.clone()) {
                let _there = self.brought(&name, digest, limits::DOCUMENT_BYTES_MAX);
            }
        }
    }

    fn statement(&mut self, decision: &Decision, digest: &Digest) -> Result<(), String> {
        let by: PersonId = decision
            .by
            .parse()
            .map_err(|_name| "has a statement and names no person".to_owned())?;
        let name = pack::blob_name(digest);
        let _new = self.used.insert(name.clone());
        let Some(file) = self.brought(&name, digest, limits::ENVELOPE_BYTES_MAX) else {
            return Ok(());
        };
        let (key, active) = *self
            .people
            .known
            .get(&by)
            .ok_or_else(|| format!("was decided by `{by}`, who was not known then"))?;
        if !active {
            return Err(format!("was decided by `{by}`, who had left"));
        }
        let said = decision::open_said(&file, &key)
            .map_err(|error| format!("was not said by `{by}`: {}", chain(&error)))?;
        if !self.people.said.insert(*digest) {
            return Err("rests on a statement that decided something before".to_owned());
        }
        self.same(&said, decision, &by)?;
        for subject in &said.subject {
            let document = subject.digest.sha256;
            let name = pack::blob_name(&document);
            if self.used.insert(name.clone()) {
                let _there = self.brought(&name, &document, limits::DOCUMENT_BYTES_MAX);
            }
        }
        Ok(())
    }

    /// Whether the person said this, to this ledger, then.
    fn same(
        &self,
        said: &Statement<Said>,
        decision: &Decision,
        by: &PersonId,
    ) -> Result<(), String> {
        let said = &said.predicate;
        let ledger = &self.manifest.predicate.ledger;
        if said.by != *by {
            return Err(format!("was said by `{}`, not by `{by}`", said.by));
        }
        if said.ledger != *ledger {
            return Err(format!("was said to the ledger `{}`", said.ledger));
        }
        if said.decides != decision.decides {
            return Err(format!("is not what `{by}` said"));
        }
        if CLOCK_MS < said.at.unix_ms().abs_diff(decision.at.unix_ms()) {
            return Err(format!("was said at another time, {}", said.at));
        }
        Ok(())
    }

    /// A file that a decision brought; what is wrong with it is said of the blobs.
    fn brought(&mut self, name: &str, digest: &Digest, bytes_max: usize) -> Option<Vec<u8>> {
        match self.pack.read(name, bytes_max) {
            Ok(file) if Digest::of(&file) == *digest => return Some(file),
            Ok(_other) => self.content.fail(name, "is not the blob of its name"),
            Err(error) => self.content.unread(name, &error),
        }
        None
    }
}
