//! The records of a pack: each is an entry of the ledger, and holds under the key it must.

mod absent;
mod decided;
mod evidence;

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Checked, Pack};
use super::tree::{Hashes, Tree};
use super::{Claim, Verdict};
use crate::cause::chain;
use crate::checkpoint::TlogProof;
use crate::decision::{self, Decided, Enrolled};
use crate::dsse::Envelope;
use crate::id::Digest;
use crate::key::PublicKey;
use crate::leaf::{Leaf, LeafKind, LeafOrigin};
use crate::limits;
use crate::merkle;
use crate::pack;
use crate::stream::{Enrolment, Record, Stream};
use crate::time::Timestamp;

/// Longest key file.
const KEY_BYTES_MAX: usize = 4096;

/// One stream as the pack shows it.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) records: Vec<Record>,
    pub(super) enrolment: Option<Enrolment>,
    key: Option<PublicKey>,
    /// It was revoked, or a newer one of its agent was enrolled.
    ended: bool,
    absent: absent::Absent,
}

/// The records, as far as they were looked at.
pub(super) struct Records<'a> {
    pack: &'a Pack,
    manifest: &'a Checked,
    tree: &'a Tree<'a>,
    hashes: Hashes<'a>,
    entries: Claim,
    proofs: Claim,
    enrolled: Claim,
    signatures: Claim,
    decided: Claim,
    content: Claim,
    seen: Claim,
    streams: BTreeMap<Stream, Shown>,
    people: decided::People,
    /// Names of files that something asked for.
    used: BTreeSet<String>,
    /// What was read, and whether it was read as an observation.
    blobs: BTreeMap<(Digest, bool), evidence::Blob>,
    /// Records that a proof file shows to be in the ledger, and where.
    proven: BTreeMap<Digest, u64>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    period: u64,
    older: u64,
    evidence: u64,
    observed: u64,
    decisions: u64,
    roots: u64,
    roots_older: u64,
    dropped: usize,
    outside: u64,
}

impl<'a> Records<'a> {
    pub(super) fn new(pack: &'a Pack, manifest: &'a Checked, tree: &'a Tree<'a>) -> Self {
        Self {
            pack,
            manifest,
            tree,
            hashes: tree.hashes(),
            entries: Claim::new("records"),
            proofs: Claim::new("proofs"),
            enrolled: Claim::new("enrolments"),
            signatures: Claim::new("signatures"),
            decided: Claim::new("decisions"),
            content: Claim::new("blobs"),
            seen: Claim::new("seen"),
            streams: BTreeMap::new(),
            people: decided::People::default(),
            used: BTreeSet::new(),
            blobs: BTreeMap::new(),
            proven: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// Looks at every record in the order of the ledger, so that keys come before their use.
    pub(super) fn check(&mut self) {
        let older = self.proofs();
        for (index, leaf) in &older {
            self.counts.older += 1;
            self.record(*index, leaf);
        }
        let mut own: BTreeMap<u64, u64> = older
            .iter()
            .filter_map(|(index, leaf)| Some((*index, own_number(leaf)?)))
            .collect();
        let mut whole_from = None;
        let mut sights = None;
        let mut made = self.manifest.predicate.period.from;
        for (index, leaf) in self.tree.leaves() {
            let _first = whole_from.get_or_insert(index);
            let Some(leaf) = leaf else {
                self.entries
                    .fail(format!("entry {index}"), "is no leaf data");
                continue;
            };
            if let LeafOrigin::Observer { number } = leaf.origin {
                self.sight_number(index, number, &mut sights);
            }
            if let Some(number) = own_number(&leaf) {
                let _same = own.insert(index, number);
                if index < self.tree.start && !older.contains_key(&index) {
                    let what = "is of the collector itself and has no record here";
                    self.entries.fail(format!("entry {index}"), what);
                }
            }
            let period = &self.manifest.predicate.period;
            let inside = (period.from..period.to).contains(&leaf.received);
            if index < self.tree.start {
                // The one before the period shows that the period was not begun too late.
                if index + 1 == self.tree.start && period.from <= leaf.received {
                    let what = "was received in the period, but stands before its first entry";
                    self.entries.fail(format!("entry {index}"), what);
                }
                continue;
            }
            if !inside {
                self.counts.outside += 1;
            }
            self.counts.period += 1;
            made = leaf.received;
            if self.proven.get(&leaf.id).is_none_or(|at| *at != index) {
                self.proofs.fail(
                    pack::proof_name(&leaf.id),
                    format!("shows no entry {index}"),
                );
            }
            self.record(index, &leaf);
        }
        if made != self.manifest.predicate.made {
            let what = format!("says it was made at another time than its last entry, {made}");
            self.entries.fail(pack::MANIFEST, what);
        }
        self.own_numbers(&own, whole_from.unwrap_or(0));
    }

    /// Checks that no record of the collector itself is left out: its numbers begin with 0 and
    /// have no gap. The last of them are certain when one stands at or behind the entry
    /// `whole_from`, from which on every leaf is here.
    fn own_numbers(&mut self, own: &BTreeMap<u64, u64>, whole_from: u64) {
        let mut due = 0;
        for (index, number) in own {
            if *number != due {
                let what = format!("is record {number} of the collector; {due} is due");
                self.entries.fail(format!("entry {index}"), what);
            }
            due = number.saturating_add(1);
        }
        if 0 < whole_from && own.range(whole_from..).next().is_none() {
            let what = format!(
                "made no record from entry {whole_from} on, so nothing here shows whether it made \
                 more than {due} before: an enrolment or revocation may be left out"
            );
            self.enrolled.add(Verdict::Note, "collector", what);
        }
    }

    /// Checks that what the collector observed has numbers without a gap, where leaves are here.
    fn sight_number(&mut self, index: u64, number: u64, due: &mut Option<u64>) {
        if due.is_some_and(|due| due != number) {
            let what = format!("is observation {number} of the collector; another one is due");
            self.entries.fail(format!("entry {index}"), what);
        }
        *due = Some(number.saturating_add(1));
    }

    /// Checks every proof file; gives the leaves that are older than the period.
    fn proofs(&mut self) -> BTreeMap<u64, Leaf> {
        let mut older = BTreeMap::new();
        for name in self.pack.under(pack::PROOFS.0) {
            let read = match self.pack.read_text(name, limits::NOTE_BYTES_MAX) {
                Ok(text) => self.proof(name, &text),
                Err(error) => {
                    self.proofs.unread(name, &error);
                    continue;
                }
            };
            match read {
                Ok((index, leaf)) => {
                    let _only = self.proven.insert(leaf.id, index);
                    if index < self.tree.start {
                        self.used.insert(name.to_owned());
                        let _only = older.insert(index, leaf);
                    }
                }
                Err(what) => self.proofs.fail(name, what),
            }
        }
        older
    }

    fn proof(&self, name: &str, text: &str) -> Result<(u64, Leaf), String> {
        let proof: TlogProof = text
            .parse()
            .map_err(|_form| "is no proof file".to_owned())?;
        let data = proof.extra.ok_or_else(|| "holds no leaf data".to_owned())?;
        let leaf = Leaf::from_bytes(&data).map_err(|error| error.to_string())?;
        if pack::proof_name(&leaf.id) != name {
            return Err("proves another record than its name says".to_owned());
        }
        if proof.checkpoint != self.tree.checkpoint {
            return Err("is under another checkpoint than the one at the end".to_owned());
        }
        let (hash, root) = (merkle::leaf_hash(&data), &self.tree.root);
        merkle::verify_inclusion(proof.index, self.tree.end, &hash, &proof.hashes, root)
            .map_err(|error| error.to_string())?;
        Ok((proof.index, leaf))
    }

    fn record(&mut self, index: u64, leaf: &Leaf) {
        let name = pack::record_name(&leaf.id);
        self.used.insert(name.clone());
        self.used.insert(pack::proof_name(&leaf.id));
        let file = match self.pack.read(&name, limits::ENVELOPE_BYTES_MAX) {
            Ok(file) if Digest::of(&file) == leaf.id => file,
            Ok(_other) => {
                self.entries
                    .fail(&name, format!("is not the record of entry {index}"));
                return;
            }
            Err(error) => return self.entries.unread(&name, &error),
        };
        let held = match (leaf.kind, &leaf.origin) {
            (LeafKind::Evidence, LeafOrigin::Agent { .. }) => self.evidence(index, leaf, file),
            (LeafKind::Evidence, LeafOrigin::Collector { .. } | LeafOrigin::Observer { .. }) => {
                Err("is evidence without an agent".to_owned())
            }
            (LeafKind::Observed, LeafOrigin::Observer { .. }) => self.observed(index, &file),
            (LeafKind::Observed, _) | (_, LeafOrigin::Observer { .. }) => {
                Err("has a number of the other row of the collector".to_owned())
            }
            // The numbers of the collector show that none of its records is left out.
            (_, LeafOrigin::Agent { .. }) => {
                Err("is a decision with the number of an agent".into())
            }
            (LeafKind::Enrol | LeafKind::Revoke, _) => self.authority(index, leaf, &file),
            (LeafKind::Decision | LeafKind::Catalogue, _) => self.decided(leaf, &file),
            (LeafKind::Roster | LeafKind::Redact | LeafKind::Pack, _) => self.own(&file),
        };
        if let Err(what) = held {
            self.signatures.fail(&name, what);
        }
    }

    /// A record of the collector whose contents are not looked at here.
    fn own(&mut self, file: &[u8]) -> Result<(), String> {
        self.counts.decisions += 1;
        let envelope = Envelope::from_file(file).map_err(|error| error.to_string())?;
        let held = envelope.verify(&self.manifest.decisions);
        held.map_err(|error| error.to_string())
    }

    fn authority(&mut self, index: u64, leaf: &Leaf, file: &[u8]) -> Result<(), String> {
        self.counts.decisions += 1;
        let decision =
            decision::open(file, &self.manifest.decisions).map_err(|error| chain(&error))?;
        self.person_said(leaf, &decision);
        match (leaf.kind, decision.decides) {
            (LeafKind::Enrol, Decided::Enrol(enrolled)) => {
                let begin = self.manifest.predicate.period.from;
                let older = index < self.tree.start;
                let from = if older {
                    leaf.received.max(begin)
                } else {
                    leaf.received
                };
                let enrolment = Enrolment {
                    id: leaf.id,
                    first: 0,
                    from,
                    until: None,
                    heartbeat_ms: i64::try_from(enrolled.heartbeat_s)
                        .unwrap_or(i64::MAX)
                        .saturating_mul(1000),
                };
                for (stream, shown) in &mut self.streams {
                    if stream.agent == enrolled.agent {
                        shown.end(leaf.received);
                    }
                }
                self.enrol(&enrolled, enrolment)
            }
            (LeafKind::Revoke, Decided::Revoke(revoked)) => {
                let stream = Stream {
                    agent: revoked.agent,
                    generation: revoked.generation,
                };
                let shown = self.streams.get_mut(&stream);
                let shown = shown.ok_or_else(|| format!("revokes {stream}, never enrolled"))?;
                shown.end(leaf.received);
                Ok(())
            }
            _ => Err("is not of the kind that its entry says".to_owned()),
        }
    }

    fn enrol(&mut self, enrolled: &Enrolled, enrolment: Enrolment) -> Result<(), String> {
        let stream = Stream {
            agent: enrolled.agent.clone(),
            generation: enrolled.generation,
        };
        if self
            .streams
            .get(&stream)
            .is_some_and(|shown| shown.enrolment.is_some())
        {
            return Err(format!("enrols {stream} a second time"));
        }
        let key = PublicKey::from_pem(&enrolled.evidence_key).map_err(|error| error.to_string())?;
        key.check_strength().map_err(|error| error.to_string())?;
        let name = pack::agent_name(&stream);
        match self.pack.read_text(&name, KEY_BYTES_MAX) {
            Ok(text) if text == key.to_pem() => {}
            Ok(_other) => self
                .enrolled
                .fail(&name, "is not the key that was enrolled"),
            Err(error) => self.enrolled.unread(&name, &error),
        }
        self.used.insert(name);
        self.asked(enrolled, &stream, &key);
        let shown = self.streams.entry(stream).or_default();
        (shown.enrolment, shown.key) = (Some(enrolment), Some(key));
        Ok(())
    }

    /// Checks the statement by which the agent asked to be enrolled: it holds its own key.
    fn asked(&mut self, enrolled: &Enrolled, stream: &Stream, key: &PublicKey) {
        let name = pack::blob_name(&enrolled.statement);
        self.used.insert(name.clone());
        let file = match self.pack.read(&name, limits::ENVELOPE_BYTES_MAX) {
            Ok(file) if Digest::of(&file) == enrolled.statement => file,
            Ok(_other) => return self.content.fail(&name, "is not the blob of its name"),
            Err(error) => return self.content.unread(&name, &error),
        };
        match decision::open_enrolment(&file) {
            Ok((asked, own))
                if own == *key && asked.agent == stream.agent && asked.token == enrolled.token => {}
            Ok(_other) => {
                let what = format!("asks for something else than {stream} was given");
                self.enrolled.fail(&name, what);
            }
            Err(error) => self.enrolled.fail(&name, chain(&error)),
        }
    }

    /// Says of blobs that are not here what their hosts say.
    fn absent(&mut self) {
        for (stream, shown) in &mut self.streams {
            let judged = std::mem::take(&mut shown.absent).judge();
            self.counts.dropped += judged.dropped;
            for (digest, seq) in judged.missing {
                let what = format!(
                    "is missing; {stream} record {seq} names it, and no gap accounts for it"
                );
                self.content.fail(pack::blob_name(&digest), what);
            }
            for (digest, seq) in judged.owed {
                let what = format!(
                    "is missing; {stream} record {seq} names it, and its host may say later that \
                     it dropped it"
                );
                let name = pack::blob_name(&digest);
                self.content.add(Verdict::CannotCheck, name, what);
            }
        }
    }

    /// Ends the claims about records; gives the streams.
    pub(super) fn close(mut self, claims: &mut Vec<Claim>) -> BTreeMap<Stream, Shown> {
        self.absent();
        for folder in ["attestations/", "blobs/", pack::PROOFS.0, pack::AGENTS] {
            for name in self.pack.under(folder) {
                if !self.used.contains(name) {
                    self.entries.fail(name, "belongs to nothing in this pack");
                }
            }
        }
        let counts = &self.counts;
        if counts.period == 0 {
            let what = "has no entry: nothing was received in it";
            self.entries.add(Verdict::Note, "period", what);
        }
        if 0 < counts.outside {
            let what = format!(
                "{} entries have a time of receipt outside it",
                counts.outside
            );
            self.entries.add(Verdict::Note, "period", what);
        }
        if 0 < counts.dropped {
            let what = format!(
                "{} blobs were dropped by full spools, which said so",
                counts.dropped
            );
            self.content.add(Verdict::Note, "blobs", what);
        }
        let entries = format!(
            "each of the {} entries of the period has its record, and nothing else is here",
            counts.period
        );
        let proofs = format!(
            "{} of the period and {} from before it are in the ledger",
            counts.period, counts.older
        );
        let keys = self.streams.values().filter(|shown| shown.key.is_some());
        let enrolled = format!(
            "{} agents' keys are those that the key of decisions enrolled",
            keys.count()
        );
        let signatures = format!(
            "{} attestations hold under the enrolled keys, {} records under the key of decisions",
            counts.evidence,
            counts.decisions + counts.observed
        );
        let decided = format!(
            "{} decisions are what people signed; {} others are orders of accounts or the collector's",
            self.people.signed, self.people.orders
        );
        let blobs = self.pack.under("blobs/");
        let blobs = blobs.filter(|name| self.used.contains(*name)).count();
        let content = format!("{blobs} blobs are what the records name");
        let seen = format!(
            "{} records saw the same ledger; {} saw a state older than this pack can show",
            counts.roots, counts.roots_older
        );
        claims.extend([
            self.entries.says(entries),
            self.proofs.says(proofs),
            self.enrolled.says(enrolled),
            self.signatures.says(signatures),
            self.decided.says(decided),
            self.content.says(content),
            self.seen.says(seen),
        ]);
        self.streams
    }
}

impl Shown {
    /// Ends the stream at the time of receipt, which the ledger fixes in its order.
    fn end(&mut self, at: Timestamp) {
        self.ended = true;
        if let Some(enrolment) = &mut self.enrolment
            && enrolment.until.is_none()
        {
            enrolment.until = Some(at);
        }
    }
}

/// The number of a record of the collector itself.
const fn own_number(leaf: &Leaf) -> Option<u64> {
    match leaf.origin {
        LeafOrigin::Collector { number } => Some(number),
        LeafOrigin::Agent { .. } | LeafOrigin::Observer { .. } => None,
    }
}
