//! Turns the observations of one run into one signed attestation.
//!
//! Each attestation has the next number of its stream, the id of the one before, the time by both
//! clocks, and what the agent had seen of the ledger. Nothing is sent from here: the spool keeps
//! it first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared::attestation::{
    Attestation, AttestationError, Boot, EVIDENCE_TYPE, Evidence, Gap, HostTime, Kind, Position,
    ProbeRun, Run, Seen, Statement, StatementError, Subject,
};
use shared::exchange::Exchange;
use shared::id::Digest;
use shared::key::SigningKey;
use shared::limits;
use shared::observation::Observation;
use shared::time::Timestamp;

use crate::host::{KernelClock, Unseen};

/// The bound that the kernel itself shows once nobody corrects the clock: 16 seconds.
const ERROR_MS_UNKNOWN: u64 = 16_000;
/// How far the clocks of one boot may part between two records before the wall clock has jumped.
const STEP_MS_MIN: i64 = 1000;
/// Most bytes of blobs in one run: with its attestation they must fit into one submission.
const RUN_BYTES_MAX: usize = limits::REQUEST_BYTES_MAX / 2;

/// One moment by both clocks of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// The running time.
    pub boot: Boot,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// By how many milliseconds the wall clock jumped between `earlier` and this moment of the
    /// same boot; `None` when it did not.
    #[must_use]
    pub fn step_since(&self, earlier: &Self) -> Option<i64> {
        if self.boot.id != earlier.boot.id {
            return None;
        }
        let ran = i64::try_from(self.boot.mono_ms)
            .ok()?
            .checked_sub(i64::try_from(earlier.boot.mono_ms).ok()?)?;
        let step = self.wall.ms_since(earlier.wall).saturating_sub(ran);
        (STEP_MS_MIN < step.saturating_abs()).then_some(step)
    }
}

/// What stands in every record: who signs, with which program and settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name and version.
    pub name: String,
    /// SHA-256 of the program file.
    pub binary: Digest,
    /// SHA-256 of the settings.
    pub config: Digest,
}

/// One probe that has looked.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What it saw.
    pub observation: Observation,
    /// The bytes of its artifacts, in their order.
    pub copies: Vec<Vec<u8>>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What is to be recorded.
#[derive(Debug)]
pub enum Matter<'a> {
    /// A run of probes, in the order of their names.
    Run(&'a [Observed]),
    /// What the spool dropped.
    Gap(Gap),
    /// The agent has started.
    Start,
    /// A sign of life.
    Heartbeat,
    /// The wall clock jumped.
    Clock,
    /// The agent was told to stop.
    Stop,
}

/// Where and when something is recorded.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The next place in the stream.
    pub stream: Position,
    /// Now, by both clocks.
    pub moment: Moment,
    /// What the kernel says of the wall clock.
    pub time: HostTime,
    /// What was seen of the ledger.
    pub seen: Seen,
    /// When it was due.
    pub due: Timestamp,
}

/// An attestation could not be made. It is a fault of the agent: a run is larger than a record.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// The statement cannot be written.
    #[error("run cannot be written as a statement")]
    Statement(#[from] StatementError),
    /// What was written would not be read again.
    #[error("record would be refused by every reader")]
    Attestation(#[from] AttestationError),
}

/// What the kernel and an exchange with the collector say of the wall clock; a clock that could not
/// be asked about is not synchronised.
#[must_use]
pub fn host_time(
    wall: Timestamp,
    kernel: &Result<KernelClock, Unseen>,
    exchange: Option<Exchange>,
) -> HostTime {
    match kernel {
        Ok(clock) => HostTime {
            wall,
            synced: clock.is_synchronised(),
            max_error_ms: u64::try_from(clock.max_error_us)
                .map_or(ERROR_MS_UNKNOWN, |error_us| error_us.div_ceil(1000)),
            exchange,
        },
        Err(_unseen) => HostTime {
            wall,
            synced: false,
            max_error_ms: ERROR_MS_UNKNOWN,
            exchange,
        },
    }
}

/// Writes and signs one record, and returns it with the blobs that it names.
///
/// Artifacts that do not fit into one submission are left out, the last ones first; their
/// observation still names their digests.
///
/// # Errors
///
/// [`AttestError`].
pub fn attest(
    key: &SigningKey,
    program: &Program,
    at: Circumstances,
    matter: Matter<'_>,
) -> Result<(Attestation, Vec<Vec<u8>>), AttestError> {
    let mut probes = Vec::new();
    let mut subjects = vec![Subject::new("attestation", at.stream.prev)];
    let (mut blobs, mut gap) = (Vec::new(), None);
    let kind = match matter {
        Matter::Run(run) => {
            (subjects, blobs) = subjects_of(run);
            probes = run.iter().map(Observed::outcome).collect();
            Kind::Evidence
        }
        Matter::Gap(dropped) => {
            gap = Some(dropped);
            Kind::Gap
        }
        Matter::Start => Kind::Start,
        Matter::Heartbeat => Kind::Heartbeat,
        Matter::Clock => Kind::Clock,
        Matter::Stop => Kind::Stop,
    };
    let evidence = Evidence {
        stream: at.stream,
        kind,
        boot: at.moment.boot,
        time: at.time,
        seen: at.seen,
        run: Run {
            agent: program.name.clone(),
            binary: program.binary,
            config: program.config,
            due: at.due,
            probes,
        },
        gap,
    };
    let file = Statement::new(EVIDENCE_TYPE, subjects, evidence).seal(key)?;
    Ok((Attestation::from_file(file)?, blobs))
}

/// The observations in the order of the probes, then the artifacts, each once.
fn subjects_of(run: &[Observed]) -> (Vec<Subject>, Vec<Vec<u8>>) {
    let mut blobs: Vec<Vec<u8>> = run
        .iter()
        .map(|observed| observed.observation.to_bytes())
        .collect();
    let mut subjects: Vec<Subject> = run
        .iter()
        .zip(&blobs)
        .map(|(observed, bytes)| {
            let name = format!("observation/{}", observed.observation.probe);
            Subject::new(&name, Digest::of(bytes))
        })
        .collect();
    let mut bytes: usize = blobs.iter().map(Vec::len).sum();
    let mut named = BTreeSet::new();
    let artifacts = run
        .iter()
        .flat_map(|observed| observed.observation.artifacts.iter().zip(&observed.copies));
    for (artifact, copy) in artifacts {
        let fits = subjects.len() < limits::SUBJECTS_MAX
            && bytes.saturating_add(copy.len()) <= RUN_BYTES_MAX
            && copy.len() <= limits::BLOB_BYTES_MAX;
        if fits && named.insert((&artifact.name, artifact.sha256)) {
            let name = format!("artifact/{}", artifact.name.trim_start_matches('/'));
            subjects.push(Subject::new(&name, artifact.sha256));
            bytes = bytes.saturating_add(copy.len());
            blobs.push(copy.clone());
        }
    }
    (subjects, blobs)
}

impl Observed {
    fn outcome(&self) -> ProbeRun {
        ProbeRun {
            probe: self.observation.probe.clone(),
            outcome: self.observation.outcome,
            took_ms: self.took_ms,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use shared::observation::{Artifact, Outcome, Status};

    use super::*;

    pub(crate) fn program() -> Program {
        Program {
            name: "evident-agent/0".to_owned(),
            binary: Digest::of(b"binary"),
            config: Digest::of(b""),
        }
    }

    pub(crate) fn moment(wall: i64, mono_ms: u64) -> Moment {
        let id = "boot".to_owned();
        Moment {
            boot: Boot { id, mono_ms },
            wall: Timestamp::from_unix_ms(wall).unwrap(),
        }
    }

    pub(crate) fn circumstances(seq: u64, prev: Digest) -> Circumstances {
        let moment = moment(1000, 10);
        let root = Digest::of(b"");
        Circumstances {
            stream: Position {
                agent: "web-1".parse().unwrap(),
                generation: 1,
                seq,
                prev,
            },
            time: host_time(moment.wall, &Err(unseen()), None),
            seen: Seen {
                size: 0,
                root,
                acked: None,
            },
            due: moment.wall,
            moment,
        }
    }

    fn unseen() -> Unseen {
        Unseen {
            what: "adjtimex".to_owned(),
            status: Status::NotPermitted,
            detail: None,
        }
    }

    /// What a probe saw that keeps copies of files with these contents.
    pub(crate) fn observed(probe: &str, reason: &str, copies: &[&[u8]]) -> Observed {
        let artifact = |copy: &&[u8]| Artifact {
            bytes: copy.len().try_into().unwrap(),
            name: format!("/etc/{probe}"),
            redacted: 0,
            sha256: Digest::of(copy),
            truncated: false,
        };
        Observed {
            observation: Observation {
                artifacts: copies.iter().map(artifact).collect(),
                facts: shared::fact::Facts::new(),
                outcome: Outcome::Unknown,
                probe: probe.to_owned(),
                reason: reason.to_owned(),
                schema: 1,
                source: Vec::new(),
            },
            copies: copies.iter().map(|copy| copy.to_vec()).collect(),
            took_ms: 3,
        }
    }

    pub(crate) fn key() -> SigningKey {
        SigningKey::from_seed([7; 32]).unwrap()
    }

    #[test]
    fn a_run_names_observations_then_artifacts() {
        let run = [
            observed("backup", "x", &[]),
            observed("clock", "y", &[b"a", b"a", b"b"]),
        ];
        let at = circumstances(0, Digest::of(b"record"));
        let (record, blobs) = attest(&key(), &program(), at, Matter::Run(&run)).unwrap();
        let names: Vec<&str> = record.subjects().iter().map(|s| s.name.as_str()).collect();
        let expected = [
            "observation/backup",
            "observation/clock",
            "artifact/etc/clock",
            "artifact/etc/clock",
        ];
        assert_eq!(names, expected);
        let digests: Vec<Digest> = blobs.iter().map(|blob| Digest::of(blob)).collect();
        assert_eq!(record.blobs().collect::<Vec<_>>(), digests);
        assert_eq!(record.evidence().kind, Kind::Evidence);
        assert!(record.verify(&key().public()).is_ok());
    }

    #[test]
    fn other_records_have_the_one_before_as_subject() {
        let dropped = Gap {
            first: 1,
            last: 2,
            blobs: 3,
            reason: "full".to_owned(),
        };
        for (matter, kind) in [
            (Matter::Start, Kind::Start),
            (Matter::Heartbeat, Kind::Heartbeat),
            (Matter::Clock, Kind::Clock),
            (Matter::Stop, Kind::Stop),
            (Matter::Gap(dropped), Kind::Gap),
        ] {
            let at = circumstances(5, Digest::of(b"four"));
            let (record, blobs) = attest(&key(), &program(), at, matter).unwrap();
            assert_eq!(
                record.subjects(),
                [Subject::new("attestation", Digest::of(b"four"))]
            );
            assert_eq!((record.evidence().kind, blobs.len()), (kind, 0));
        }
    }

    #[test]
    fn an_empty_run_is_no_record() {
        let at = circumstances(0, Digest::of(b"record"));
        let result = attest(&key(), &program(), at, Matter::Run(&[]));
        assert!(matches!(result, Err(AttestError::Attestation(_))));
    }

    #[test]
    fn artifacts_beyond_one_submission_are_left_out() {
        let large: Vec<Vec<u8>> = (0..6).map(|n| vec![n; limits::BLOB_BYTES_MAX]).collect();
        let too_large = vec![9; limits::BLOB_BYTES_MAX + 1];
        let mut copies: Vec<&[u8]> = vec![&too_large];
        copies.extend(large.iter().map(Vec::as_slice));
        let run = [observed("clock", "", &copies)];
        let (subjects, blobs) = subjects_of(&run);
        // The observation itself takes from the fourth mebibyte.
        assert_eq!((subjects.len(), blobs.len()), (4, 4));
        assert!(blobs.iter().map(Vec::len).sum::<usize>() <= RUN_BYTES_MAX);
    }

    #[test]
    fn jumps_of_the_wall_clock() {
        let before = moment(10_000, 500);
        for (wall, mono, expected) in [
            (11_000, 1500, None),
            (12_000, 1500, None),
            (12_001, 1500, Some(1001)),
            (9999, 1500, Some(-1001)),
            (10_000, 1501, Some(-1001)),
        ] {
            assert_eq!(
                moment(wall, mono).step_since(&before),
                expected,
                "{wall} {mono}"
            );
        }
        let mut other_boot = moment(99_000, 1500);
        "other".clone_into(&mut other_boot.boot.id);
        assert_eq!(other_boot.step_since(&before), None);
    }

    #[test]
    fn the_kernel_decides_whether_the_clock_is_synchronised() {
        let clock = |state, status, max_error_us| {
            Ok(KernelClock {
                state,
                status,
                offset_ns: 0,
                frequency_ppb: 0,
                max_error_us,
                estimated_error_us: 0,
                tai_offset_s: 37,
            })
        };
        for (kernel, synced, max_error_ms) in [
            (clock(0, 1, 1500), true, 2),
            (clock(0, 0x2001, 0), true, 0),
            // chronyd without rtcsync: the flag stays, but the error is bounded.
            (clock(5, 0x41, 1000), true, 1),
            (clock(5, 0x41, 15_999_999), true, 16_000),
            (clock(5, 0x41, 16_000_000), false, 16_000),
            (clock(0, 1, -1), true, 16_000),
            (Err(unseen()), false, 16_000),
        ] {
            let time = host_time(Timestamp::default(), &kernel, None);
            assert_eq!((time.synced, time.max_error_ms), (synced, max_error_ms));
        }
    }
}
