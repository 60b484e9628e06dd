//! What was observed, by hosts and by the collector: place, signature, what they saw of the ledger,
//! and the blobs they name.

use super::super::Verdict;
use super::{Records, chain};
use crate::attestation::Attestation;
use crate::id::Digest;
use crate::leaf::{Leaf, LeafOrigin};
use crate::limits;
use crate::observation::{Observation, ObservationError, Outcome};
use crate::observed;
use crate::pack;
use crate::stream::{Record, Stream};

/// What a blob turned out to be.
pub(super) enum Blob {
    Observation(String, Outcome),
    /// Another thing, or an observation that is not known here.
    Plain,
}

impl Records<'_> {
    pub(super) fn evidence(
        &mut self,
        index: u64,
        leaf: &Leaf,
        file: Vec<u8>,
    ) -> Result<(), String> {
        self.counts.evidence += 1;
        let attestation = Attestation::from_file(file).map_err(|error| chain(&error))?;
        let place = &attestation.evidence().stream;
        let origin = LeafOrigin::Agent {
            agent: place.agent.clone(),
            generation: place.generation,
            seq: place.seq,
        };
        if leaf.origin != origin {
            return Err(format!(
                "is record {origin}, but its entry says {}",
                leaf.origin
            ));
        }
        let stream = Stream {
            agent: place.agent.clone(),
            generation: place.generation,
        };
        let record = Record::of(&attestation, index, leaf.received);
        let shown = self.streams.entry(stream.clone()).or_default();
        if index < self.tree.start
            && let Some(enrolment) = &mut shown.enrolment
            && shown.records.is_empty()
        {
            enrolment.first = record.seq;
        }
        shown.records.push(record);
        if shown.ended {
            return Err(format!("was entered after {stream} was ended"));
        }
        let Some(key) = shown.key else {
            return Err(format!("is of {stream}, which was never enrolled"));
        };
        let verified = attestation
            .verify(&key)
            .map_err(|error| error.to_string())?;
        let attestation = verified.attestation();
        let period = self.tree.start <= index;
        shown.absent.record(attestation.evidence(), period);
        self.saw(index, &stream, attestation);
        if period {
            self.blobs(&stream, attestation);
        }
        Ok(())
    }

    /// What the collector observed of a host: of one that was enrolled, resting on records that
    /// stand before it, with the observation that it says.
    pub(super) fn observed(&mut self, index: u64, file: &[u8]) -> Result<(), String> {
        self.counts.observed += 1;
        let sight =
            observed::open(file, &self.manifest.decisions).map_err(|error| chain(&error))?;
        let observed = &sight.observed;
        let stream = Stream {
            agent: observed.agent.clone(),
            generation: observed.generation,
        };
        if self
            .streams
            .get(&stream)
            .is_none_or(|shown| shown.key.is_none())
        {
            return Err(format!("is about {stream}, which was never enrolled"));
        }
        let later = |id: &&Digest| self.proven.get(*id).is_some_and(|at| index <= *at);
        if let Some(later) = sight.basis.iter().find(later) {
            return Err(format!("rests on {later}, which stands behind it"));
        }
        if index < self.tree.start {
            return Ok(());
        }
        let name = pack::blob_name(&sight.observation);
        self.used.insert(name.clone());
        match self.pack.read(&name, limits::BLOB_BYTES_MAX) {
            Ok(bytes) => {
                let (probe, outcome) = (&observed.probe, observed.outcome);
                let blob = self.blob(&name, &sight.observation, (Some(probe), &bytes));
                if let Blob::Observation(is, found) = blob
                    && (is != *probe || found != outcome)
                {
                    let what = format!("is not what the collector's record says of {probe}");
                    self.content.fail(&name, what);
                }
            }
            Err(error) => self.content.unread(&name, &error),
        }
        Ok(())
    }

    /// Compares what the host had seen of the ledger with the ledger that is shown here.
    fn saw(&mut self, index: u64, stream: &Stream, attestation: &Attestation) {
        let evidence = attestation.evidence();
        let (seen, seq) = (&evidence.seen, evidence.stream.seq);
        let place = format!("{stream} record {seq}");
        if index < seen.size {
            let what = format!(
                "has seen {} entries, but is entry {index} itself",
                seen.size
            );
            return self.seen.fail(place, what);
        }
        match self.hashes.root(seen.size) {
            Some(root) if root == seen.root => self.counts.roots += 1,
            Some(_other) => {
                let what = format!(
                    "has seen another ledger: other root over {} entries",
                    seen.size
                );
                self.seen.fail(place, what);
            }
            None => self.counts.roots_older += 1,
        }
    }

    fn blobs(&mut self, stream: &Stream, attestation: &Attestation) {
        let evidence = attestation.evidence();
        let seq = evidence.stream.seq;
        for subject in attestation.subjects() {
            if subject.name == "attestation" {
                continue;
            }
            let digest = subject.digest.sha256;
            let probe = subject.name.strip_prefix("observation/");
            let name = pack::blob_name(&digest);
            let key = (digest, probe.is_some());
            if !self.blobs.contains_key(&key) {
                match self.pack.read(&name, limits::BLOB_BYTES_MAX) {
                    Ok(bytes) => {
                        self.used.insert(name.clone());
                        let blob = self.blob(&name, &digest, (probe, &bytes));
                        let _only = self.blobs.insert(key, blob);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        let shown = self.streams.entry(stream.clone()).or_default();
                        shown.absent.names(digest, seq);
                        continue;
                    }
                    Err(error) => {
                        self.used.insert(name.clone());
                        self.content.unread(&name, &error);
                        continue;
                    }
                }
            }
            if let (Some(Blob::Observation(is, outcome)), Some(probe)) =
                (self.blobs.get(&key), probe)
            {
                let run = evidence.run.probes.iter().find(|run| run.probe == probe);
                if is != probe || run.is_none_or(|run| run.outcome != *outcome) {
                    let what = format!("is not what {stream} record {seq} says of {probe}");
                    self.content.fail(&name, what);
                }
            }
        }
    }

    fn blob(&mut self, name: &str, digest: &Digest, (probe, bytes): (Option<&str>, &[u8])) -> Blob {
        if Digest::of(bytes) != *digest {
            self.content.fail(name, "is not the blob of its name");
            return Blob::Plain;
        }
        if probe.is_none() {
            return Blob::Plain;
        }
        match Observation::from_bytes(bytes) {
            Ok(observation) => Blob::Observation(observation.probe, observation.outcome),
            Err(error @ ObservationError::Schema { .. }) => {
                self.content.add(Verdict::CannotCheck, name, error);
                Blob::Plain
            }
            Err(error) => {
                self.content.fail(name, chain(&error));
                Blob::Plain
            }
        }
    }
}
