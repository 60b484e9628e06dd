//! What people say: statements that a known person signed for this ledger, now and once.
//!
//! Who brings a statement does not matter: it holds under the key of the person or it does not.
//! What it decides is held to the registers while nothing else is decided; a refusal changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::PoisonError;

use shared::attestation::Statement;
use shared::cause::chain;
use shared::decision::{Decided, Imported, Revoked, SAID_TYPE, Said, Step, Value};
use shared::dsse::Envelope;
use shared::id::{AgentId, Digest, PersonId};
use shared::key::PublicKey;
use shared::limits;
use shared::words;

use super::api::problem::{Kind, Problem};
use super::decide::{self, Author, Brought, Entered};
use super::{Intake, adopt};
use crate::register::{self, FieldKind, Refusal, Terms};

/// How far the clock of a person may be from the one of the collector.
const CLOCK_MS: i64 = 10 * 60 * 1000;

/// Folder of the imported lists in the folder of the collector, each named by its digest.
pub const FEEDS: &str = "feeds";

/// What a person said, and the files that belong to it.
#[derive(Debug)]
pub(super) struct Brings {
    /// The statement: a DSSE file.
    pub(super) statement: Vec<u8>,
    /// The files, by their SHA-256.
    pub(super) documents: BTreeMap<Digest, Vec<u8>>,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::refused(&refusal.operand, &refusal.problem).hint(refusal.hint)
    }
}

/// Enters what a person decides.
pub(super) async fn decide(intake: &Intake, brings: Brings) -> Result<Entered, Problem> {
    let _one_at_a_time = intake.deciding.lock().await;
    let said = opened(intake, &brings.statement)?;
    let digest = Digest::of(&brings.statement);
    hold_here(intake, &said.predicate, &digest)?;
    complete(intake, &said, &brings.documents)?;
    let Said { by, decides, .. } = said.predicate;
    held(intake, &decides, Some(&by), &brings.documents)?;
    let author = Author {
        by: by.to_string(),
        statement: Some(digest),
    };
    let mut brought: Vec<Brought> = vec![("statement", brings.statement)];
    brought.extend(
        brings
            .documents
            .into_values()
            .map(|bytes| ("document", bytes)),
    );
    Ok(decide::enter(intake, author, decides, brought).await?)
}

/// Enters an order that nobody signed; `by` is the account of the machine that gave it.
pub(super) async fn order(
    intake: &Intake,
    by: String,
    decides: Decided,
    documents: BTreeMap<Digest, Vec<u8>>,
) -> Result<Entered, Problem> {
    let _one_at_a_time = intake.deciding.lock().await;
    let named = named(&decides);
    if let Some(digest) = documents.keys().find(|digest| !named.contains(digest)) {
        let other = format!("a file {digest} was brought that the order does not name");
        return Err(Problem::refused("files", other));
    }
    sized("files", &documents)?;
    held(intake, &decides, None, &documents)?;
    let author = Author::unsigned(by);
    let brought = documents.into_values().map(|bytes| ("document", bytes));
    Ok(decide::enter(intake, author, decides, brought.collect()).await?)
}

/// Opens the statement with the key of the person that it names.
fn opened(intake: &Intake, file: &[u8]) -> Result<Statement<Said>, Problem> {
    let malformed = |error: &(dyn std::error::Error + 'static)| {
        Problem::new(Kind::Malformed, chain(error)).of("statement")
    };
    let envelope = Envelope::from_file(file).map_err(|error| malformed(&error))?;
    let said: Statement<Said> =
        Statement::from_body(&envelope.body, SAID_TYPE).map_err(|error| malformed(&error))?;
    let by = &said.predicate.by;
    let register = intake.register();
    let known = register.person(by).ok_or_else(|| {
        Problem::new(
            Kind::Signature,
            format!("nobody is known as `{by}`, who is said to have signed"),
        )
        .of("by")
        .hint("whoever may open the collector's folder can `evident-collector person add`")
    })?;
    if !known.active {
        let left = format!("`{by}` may not decide here any more");
        return Err(Problem::new(Kind::Signature, left).of("by"));
    }
    let held = PublicKey::from_pem(&known.key).and_then(|key| envelope.verify(&key));
    held.map_err(|error| {
        Problem::new(
            Kind::Signature,
            format!("not signed with the key of `{by}`: {error}"),
        )
        .of("statement")
        .hint("was the key changed? `evident-collector person list` shows the ids of the keys")
    })?;
    Ok(said)
}

/// Whether the statement was made for this ledger, now, and for the first time.
fn hold_here(intake: &Intake, said: &Said, digest: &Digest) -> Result<(), Problem> {
    let origin = intake.ledger_key.name();
    if said.ledger != origin {
        let other = format!("it was said to `{}`, and this is `{origin}`", said.ledger);
        return Err(Problem::new(Kind::Signature, other).of("ledger"));
    }
    if intake.register().has_said(digest) {
        let twice = format!("the statement {digest} stands in the ledger");
        return Err(Problem::new(Kind::Replayed, twice).of("statement"));
    }
    let now = intake.now();
    let apart = now.unix_ms().abs_diff(said.at.unix_ms());
    if CLOCK_MS.unsigned_abs() < apart {
        let apart = format!(
            "it was signed at {}, and it is {now} here: more than 10 minutes apart",
            said.at
        );
        let hint = "compare the clocks, and sign it again";
        return Err(Problem::new(Kind::Signature, apart).of("at").hint(hint));
    }
    Ok(())
}

/// Whether each file that is brought is signed for, and each that is signed for is there.
fn complete(
    intake: &Intake,
    said: &Statement<Said>,
    documents: &BTreeMap<Digest, Vec<u8>>,
) -> Result<(), Problem> {
    let signed: BTreeSet<Digest> = said
        .subject
        .iter()
        .map(|subject| subject.digest.sha256)
        .collect();
    // The decision has one subject more: the statement itself.
    let most = limits::SUBJECTS_MAX.saturating_sub(1);
    if most < said.subject.len() {
        let many = format!("the statement names {} files", said.subject.len());
        let hint = format!("{most} can stand in one decision");
        return Err(Problem::new(Kind::TooLarge, many)
            .of("documents")
            .hint(hint));
    }
    if let Some(digest) = documents.keys().find(|digest| !signed.contains(digest)) {
        let other = format!("a file {digest} was brought that the statement does not name");
        return Err(Problem::refused("documents", other));
    }
    sized("documents", documents)?;
    let there = |digest: &Digest| documents.contains_key(digest) || intake.ledger.has_blob(digest);
    let named = named(&said.predicate.decides);
    if let Some(digest) = signed.iter().chain(&named).find(|digest| !there(digest)) {
        let missing = format!("the file {digest} was not brought");
        return Err(Problem::refused("documents", missing));
    }
    // Then whoever has the statement knows which files belong to it, and a pack has them.
    if let Some(digest) = named.iter().find(|digest| !signed.contains(digest)) {
        let missing = format!("the file {digest} is decided on and is no subject");
        return Err(Problem::refused("documents", missing));
    }
    Ok(())
}

/// Whether each file can be kept.
fn sized(operand: &'static str, documents: &BTreeMap<Digest, Vec<u8>>) -> Result<(), Problem> {
    for (digest, bytes) in documents {
        if bytes.is_empty() || limits::DOCUMENT_BYTES_MAX < bytes.len() {
            let size = format!("the file {digest} has {} bytes", bytes.len());
            let most = format!("1 to {} bytes can be kept", limits::DOCUMENT_BYTES_MAX);
            return Err(Problem::new(Kind::TooLarge, size).of(operand).hint(most));
        }
    }
    Ok(())
}

/// The files that a decision names: those of a catalogue, and what stands in fields of documents.
fn named(decided: &Decided) -> BTreeSet<Digest> {
    match decided {
        Decided::Catalogue(catalogue) => catalogue.files.values().copied().collect(),
        Decided::Record(step) => documents(step),
        Decided::Enrol(_) | Decided::Revoke(_) | Decided::Import(_) | Decided::Person(_) => {
            BTreeSet::new()
        }
    }
}

/// What stands in the fields of documents; what is no SHA-256 is refused with its field.
fn documents(step: &Step) -> BTreeSet<Digest> {
    let Some(kind) = register::kind(&step.register) else {
        return BTreeSet::new();
    };
    let is_document = |name: &str| {
        let field = kind.field(name);
        field.is_some_and(|field| field.kind == FieldKind::Document)
    };
    let given = step.fields.iter().filter(|(name, _)| is_document(name));
    given
        .flat_map(|(_name, value)| match value {
            Value::Text(text) => std::slice::from_ref(text),
            Value::List(texts) => texts,
            Value::Flag(_) | Value::Number(_) => &[],
        })
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// Holds what is decided to what is known.
fn held(
    intake: &Intake,
    decided: &Decided,
    by: Option<&PersonId>,
    documents: &BTreeMap<Digest, Vec<u8>>,
) -> Result<(), Problem> {
    match decided {
        Decided::Enrol(_) => Err(Problem::refused(
            "kind",
            "a host is enrolled by what it says itself",
        )
        .hint("make a token: `evident-collector enrol-token`")),
        Decided::Revoke(revoked) => revocable(intake, revoked),
        Decided::Import(list) => brought(&intake.dir, list),
        Decided::Person(person) => {
            intake.register().check_person(person, by)?;
            Ok(())
        }
        Decided::Catalogue(catalogue) => adopt::held(intake, catalogue, documents),
        Decided::Record(step) => match by {
            Some(by) => recorded(intake, step, by, documents),
            None => Err(Problem::new(
                Kind::Forbidden,
                "a record of the management system needs the signature of a person",
            )
            .of("by")
            .hint("give the key of a person with --as")),
        },
    }
}

fn revocable(intake: &Intake, revoked: &Revoked) -> Result<(), Problem> {
    let (agent, generation) = (&revoked.agent, revoked.generation);
    words::line(&revoked.reason, limits::TEXT_BYTES_MAX).map_err(|error| {
        let hint = "say in a few words why the host is put out";
        Problem::refused("reason", error).hint(hint)
    })?;
    let fleet = intake.fleet.read().unwrap_or_else(PoisonError::into_inner);
    match fleet.newest(agent) {
        Some(stream) if stream.ended => Err(Problem::refused(
            "host",
            format!("the enrolment of `{agent}` has ended already"),
        )),
        Some(stream) if stream.generation == generation => Ok(()),
        Some(stream) => {
            let newest = stream.generation;
            let other = format!("`{agent}` is enrolled with generation {newest}, not {generation}");
            Err(Problem::refused("host", other))
        }
        None => Err(Problem::refused(
            "host",
            format!("`{agent}` is not enrolled"),
        )),
    }
}

/// Whether the list lies in the collector's folder, where hosts are joined with it.
fn brought(dir: &Path, list: &Imported) -> Result<(), Problem> {
    if dir.join(FEEDS).join(list.sha256.to_string()).is_file() {
        return Ok(());
    }
    let missing = format!(
        "the list {} does not lie in the collector's folder",
        list.sha256
    );
    Err(Problem::refused("sha256", missing).hint("`evident-collector import` brings it"))
}

fn recorded(
    intake: &Intake,
    step: &Step,
    by: &PersonId,
    documents: &BTreeMap<Digest, Vec<u8>>,
) -> Result<(), Problem> {
    let hosts: BTreeSet<AgentId> = {
        let fleet = intake.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.streams().map(|stream| stream.agent.clone()).collect()
    };
    let catalog = {
        let status = intake.status.read().unwrap_or_else(PoisonError::into_inner);
        let status = status.as_ref().ok_or_else(unavailable)?;
        status.catalog()
    };
    let document = |digest: &Digest| match documents.get(digest) {
        Some(bytes) => Some(bytes.clone()),
        None => intake.ledger.blob(digest).ok().flatten(),
    };
    let terms = Terms {
        catalog: &catalog,
        hosts: &hosts,
        has_record: &|id| intake.ledger.index_of(id).is_some(),
        document: &document,
        now: intake.now(),
    };
    intake.register().check(step, by, &terms)?;
    Ok(())
}

/// The derived state is being made again.
pub(super) fn unavailable() -> Problem {
    Problem::new(Kind::Unavailable, "the derived state is made again").hint("ask again soon")
}
