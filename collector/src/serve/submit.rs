//! Submission: frames of a known agent in, one receipt out.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use shared::id::Digest;
use shared::leaf::LeafKind;
use shared::limits;
use shared::receipt::{Entered, Receipt};
use shared::wire::{
    self, Code, Frame, Hello, HelloAnswer, Problem, Refused, SubmitAnswer, TimeAnswer, TimeRequest,
};

use super::Intake;
use super::answer::{Answer, Enrolled, Wrong, bytes, json};
use crate::admit::{self, Admission, Admitted, Known, Notice, Offered, Refusal, Shape};
use crate::fleet::{Standing, Stream};
use crate::ledger::{self, LedgerError, NewEntry, Submission};
use crate::observer::Event;

/// Most blobs of which it is remembered what they are.
const SHAPES_MAX: usize = 65_536;

/// Tells an agent where its stream and the ledger stand.
pub(super) async fn hello(
    State(intake): State<Arc<Intake>>,
    Enrolled(stream): Enrolled,
    body: Body,
) -> Answer<HelloAnswer> {
    let hello: Hello = json(body).await?;
    if hello.generation != stream.generation {
        let title = "the agent speaks of another generation than its certificate";
        return Err(Wrong::new(
            Code::ForeignStream,
            title,
            "enrol this host again",
        ));
    }
    let standing = *stream.standing.lock().await;
    if let Some(seq) = standing.forked {
        let refusal = Refusal::Quarantined {
            agent: stream.agent.clone(),
            seq,
        };
        return Err(Wrong(Box::new(refusal.problem())));
    }
    let published = intake.ledger.published().size;
    let same =
        hello.seen.size <= published && intake.ledger.root(hello.seen.size)? == hello.seen.root;
    if !same {
        intake.counters.count("contradiction");
        tracing::error!(agent = %stream.agent, seen = hello.seen.size, entries = published,
            "the agent has seen another history of this ledger than there is now");
    }
    let receipt = receipt(&intake, hello.seen.size, Vec::new())?;
    Ok(Json(HelloAnswer {
        head: standing.head,
        receipt,
        now: intake.now(),
    }))
}

/// Tells an agent the time, and remembers what was told.
pub(super) async fn time(
    State(intake): State<Arc<Intake>>,
    Enrolled(stream): Enrolled,
    body: Body,
) -> Answer<TimeAnswer> {
    let received = intake.now();
    let TimeRequest { sent } = json(body).await?;
    let answered = intake.now();
    stream.given.note(sent, received, answered);
    Ok(Json(TimeAnswer { received, answered }))
}

/// What the agent says in the query of a submission.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    /// Number of entries of the ledger that it has seen: the receipt proves growth from there.
    #[serde(default)]
    seen: u64,
}

/// Enters what is admitted, up to the first refusal.
pub(super) async fn submit(
    State(intake): State<Arc<Intake>>,
    Enrolled(stream): Enrolled,
    seen: Result<Query<Seen>, QueryRejection>,
    body: Body,
) -> Answer<SubmitAnswer> {
    let Query(Seen { seen }) = seen.map_err(|error| {
        let hint = "update the agent";
        Wrong::new(Code::Malformed, "`seen` is no number of entries", hint).with(error.body_text())
    })?;
    // One at a time for each host, so that no host takes the places of others; both are held until
    // the work is done, also when the caller hangs up.
    let busy = || Wrong::new(Code::Busy, "the collector has too much to do", "try again");
    let one_at_a_time = Arc::clone(&stream.submitting)
        .try_lock_owned()
        .map_err(|_held| busy())?;
    let place = Arc::clone(&intake.submissions)
        .try_acquire_owned()
        .map_err(|_full| busy())?;
    let body = bytes(body, limits::REQUEST_BYTES_MAX).await?;
    // To the end even when the caller hangs up: the ledger and the standing must agree.
    let done = tokio::spawn(async move {
        let answer = take(&intake, &stream, &body, seen).await;
        drop((one_at_a_time, place));
        answer
    });
    done.await.unwrap_or_else(|_panicked| {
        Err(Wrong::new(
            Code::Unavailable,
            "the submission failed in the collector",
            "try again",
        ))
    })
}

/// One submission as it was looked at.
#[derive(Default)]
struct Looked {
    /// To be entered, in order.
    group: Submission,
    /// Index of those that are in the ledger already; `None` for those of `group`.
    places: Vec<Option<u64>>,
    refused: Option<Refused>,
    /// Clocks that were compared, with the record that says so.
    compared: Vec<Event>,
}

async fn take(intake: &Intake, stream: &Stream, body: &[u8], seen: u64) -> Answer<SubmitAnswer> {
    let frames = wire::frames(body).map_err(|error| {
        Wrong::new(
            Code::Malformed,
            "the submission is not a row of frames",
            "update the agent",
        )
        .with(error)
    })?;
    let files = frames
        .iter()
        .filter(|frame| matches!(frame, Frame::Attestation(_)))
        .count();
    if limits::BATCH_ATTESTATIONS_MAX < files {
        return Err(Wrong::new(
            Code::TooLarge,
            "too many attestations at once",
            "send less at once",
        ));
    }
    let mut standing = stream.standing.lock().await;
    // Whoever ends a stream holds this lock, so from here on it does not end.
    let stream = &*intake.enrolled(&stream.agent, stream.generation)?;
    let mut after = *standing;
    let Looked {
        group,
        places,
        refused,
        compared,
    } = look(intake, (stream, &mut after), &frames);
    let entered = if group.entries.is_empty() {
        Vec::new()
    } else {
        intake.ledger.append(group).await?
    };
    *standing = after;
    drop(standing);
    for event in compared {
        if !intake.observer.tell(event) {
            intake.counters.count("event-dropped");
        }
    }
    let mut entered = entered
        .into_iter()
        .map(|appended| (appended.index, appended.leaf));
    let proven = places
        .into_iter()
        .filter_map(|place| place.map_or_else(|| entered.next(), |index| Some((index, None))))
        .collect();
    if let Some(refused) = &refused {
        intake.counters.count(refused.problem.code.as_str());
        tracing::warn!(agent = %stream.agent, code = refused.problem.code.as_str(),
            record = %refused.id, "record refused: {}", refused.problem.title);
    }
    Ok(Json(SubmitAnswer {
        receipt: receipt(intake, seen, proven)?,
        refused,
    }))
}

/// Looks at the attestations in order, up to the first that is refused.
fn look(
    intake: &Intake,
    (stream, standing): (&Stream, &mut Standing),
    frames: &[Frame<'_>],
) -> Looked {
    let mut looked = Looked::default();
    let mut sight = Sight {
        intake,
        fresh: BTreeSet::new(),
        entered: BTreeSet::new(),
        root: Cell::new(None),
    };
    let mut offered = Offered::default();
    let received = intake.now();
    for frame in frames {
        let file = match frame {
            Frame::Blob(bytes) => {
                let _same = offered.blobs.insert(Digest::of(bytes), *bytes);
                continue;
            }
            Frame::Dropped(digest) => {
                intake.counters.count("dropped");
                let _new = offered.dropped.insert(*digest);
                continue;
            }
            Frame::Attestation(file) => *file,
        };
        let known = (stream, &*standing);
        let problem = match admit::admit(file.to_vec(), &offered, known, &sight, received) {
            Ok(Admission::Again(index)) => {
                looked.places.push(Some(index));
                None
            }
            Ok(Admission::Next(admitted)) => {
                notice(intake, stream, &admitted);
                looked.compared.extend(compared(stream, &admitted));
                looked.enter(admitted, standing, &mut sight);
                None
            }
            // The same record twice in one submission is said once.
            Ok(Admission::Fork(again)) if sight.entered.contains(&again.attestation().id()) => None,
            Ok(Admission::Fork(admitted)) => {
                let seq = admitted.attestation().evidence().stream.seq;
                looked.enter(admitted, standing, &mut sight);
                tracing::error!(agent = %stream.agent, seq, "stream forked; it is stopped");
                let refusal = Refusal::Quarantined {
                    agent: stream.agent.clone(),
                    seq,
                };
                Some(Problem {
                    code: Code::Fork,
                    ..refusal.problem()
                })
            }
            Err(refusal) => Some(refusal.problem()),
        };
        if let Some(problem) = problem {
            looked.refused = Some(Refused {
                id: Digest::of(file),
                problem,
            });
            break;
        }
    }
    looked
}

impl Looked {
    fn enter(&mut self, admitted: Admitted, standing: &mut Standing, sight: &mut Sight<'_>) {
        let received = admitted.received();
        let (attestation, blobs) = admitted.into_parts();
        let place = attestation.evidence().stream.clone();
        sight
            .fresh
            .extend(blobs.iter().map(|(digest, _bytes)| *digest));
        let _new = sight.entered.insert(attestation.id());
        let seen = attestation.evidence().seen.size;
        standing.take(place.seq, attestation.id(), seen);
        self.places.push(None);
        self.group.blobs.extend(blobs);
        self.group.entries.push(NewEntry {
            kind: LeafKind::Evidence,
            stream: Some(ledger::Stream {
                agent: place.agent,
                generation: place.generation,
                seq: place.seq,
            }),
            envelope: attestation.into_file(),
            received,
        });
    }
}

/// The comparison of clocks that a record signs, when the host was given those times.
fn compared(stream: &Stream, admitted: &Admitted) -> Option<Event> {
    let attestation = admitted.attestation();
    let exchange = attestation.evidence().time.exchange?;
    // A clock was set while the answer was on its way, or the host says so: it tells nothing.
    let told = 0 <= exchange.delay_ms() && stream.given.take(&exchange);
    told.then(|| Event::Compared {
        agent: stream.agent.clone(),
        generation: stream.generation,
        exchange,
        record: attestation.id(),
    })
}

fn notice(intake: &Intake, stream: &Stream, admitted: &Admitted) {
    if let Some(Notice::ClockAhead(ms)) = admitted.notice() {
        intake.counters.count(Code::Clock.as_str());
        tracing::warn!(agent = %stream.agent, ahead_ms = ms,
            "clock of the host is ahead of the collector's");
    }
}

/// The ledger together with what this submission is about to enter.
struct Sight<'a> {
    intake: &'a Intake,
    /// New blobs.
    fresh: BTreeSet<Digest>,
    /// New records.
    entered: BTreeSet<Digest>,
    /// The root that was asked for last: records that come together have seen the same.
    root: Cell<Option<(u64, Digest)>>,
}

impl Known for Sight<'_> {
    fn has_blob(&self, digest: &Digest) -> bool {
        self.fresh.contains(digest) || self.intake.ledger.has_blob(digest)
    }

    fn index_of(&self, id: &Digest) -> Option<u64> {
        self.intake.ledger.index_of(id)
    }

    fn root(&self, size: u64) -> Option<Digest> {
        match self.root.get() {
            Some((known, root)) if known == size => Some(root),
            _ => {
                let root = self.intake.ledger.root(size).ok()?;
                self.root.set(Some((size, root)));
                Some(root)
            }
        }
    }

    fn shape(&self, digest: &Digest, came: Option<&[u8]>) -> Shape {
        let shapes = &self.intake.shapes;
        let known = shapes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .copied();
        known.unwrap_or_else(|| {
            let kept = || self.intake.ledger.blob(digest).ok().flatten();
            let shape = match came {
                Some(bytes) => Shape::of(bytes),
                None => kept().map_or(Shape::Other, |bytes| Shape::of(&bytes)),
            };
            let mut shapes = shapes.lock().unwrap_or_else(PoisonError::into_inner);
            if SHAPES_MAX <= shapes.len() {
                shapes.clear();
            }
            let _new = shapes.insert(*digest, shape);
            shape
        })
    }

    fn size(&self) -> u64 {
        self.intake.ledger.published().size
    }
}

/// The newest checkpoint with its growth from `seen` entries, and proofs for these entries.
///
/// Leaf data that the caller has is not read again.
pub(super) fn receipt(
    intake: &Intake,
    seen: u64,
    proven: Vec<(u64, Option<String>)>,
) -> Result<Receipt, LedgerError> {
    let ledger = &intake.ledger;
    let published = ledger.published();
    // Who has seen more than there is gets the checkpoint, which is the proof against us.
    let consistency = if seen <= published.size {
        ledger.consistency(seen, published.size)?
    } else {
        Vec::new()
    };
    let mut entries = Vec::new();
    for (index, leaf) in proven {
        let read = || Ok::<_, LedgerError>(ledger.entry(index)?.leaf.to_string());
        entries.push(Entered {
            leaf: leaf.map_or_else(read, Ok)?,
            index,
            inclusion: ledger.inclusion(index, published.size)?,
        });
    }
    Ok(Receipt {
        checkpoint: published.note.clone(),
        consistency,
        entries,
    })
}
