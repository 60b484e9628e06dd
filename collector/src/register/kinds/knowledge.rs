//! What is laid down, and who has looked at it: the statement of applicability, documents, reviews.

use std::collections::BTreeMap;

use shared::id::{Digest, PersonId};

use super::super::Proposal;
use super::super::kind::{Due, FieldKind, Ids, Kind, NEW, Refusal, StepKind, Who, many, one};
use crate::catalog::soa::{Soa, Wrong};

/// Versions of the statement of applicability.
pub(super) static APPLICABILITY: Kind = Kind {
    name: "applicability",
    title: "Statement of applicability",
    about: "Versions of the statement of applicability: which of the 93 controls apply, why or why \
            not, how far they are, who owns them. A version is in force from its approval until the \
            next one's. The certificate names a version, and auditors begin with it.",
    source: "ISO/IEC 27001:2022 6.1.3 d",
    ids: Ids::Numbered("SOA"),
    fields: &[
        one("document", FieldKind::Document, "the statement: soa.toml"),
        one(
            "version",
            FieldKind::Text,
            "how the version is called, e.g. 2026-2",
        ),
        one("reason", FieldKind::Text, "what changed and why"),
        one(
            "comment",
            FieldKind::Text,
            "what there is to say of the step",
        ),
    ],
    steps: &[
        StepKind {
            name: "propose",
            about: "bring a version; it has no effect until it is approved",
            from: &[NEW],
            to: "proposed",
            must: &["document", "version", "reason"],
            may: &[],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "approve",
            about: "put it in force in place of the one before",
            from: &["proposed"],
            to: "approved",
            must: &[],
            may: &["comment"],
            who: &[Who::DidNot("propose")],
            clears: &[],
        },
        StepKind {
            name: "refuse",
            about: "do not put it in force",
            from: &["proposed"],
            to: "refused",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[],
    example: "applicability propose --document soa.toml --version 2026-2 \
              --reason \"backups are restored by program now\"",
    rule: applicability,
};

/// Refuses a statement that cannot be read, that names what is not there or, at its approval, that
/// leaves open what only people can say.
fn applicability(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let approving = proposal.step.name == "approve";
    if !approving && proposal.step.name != "propose" {
        return Ok(());
    }
    one_version(proposal)?;
    let refused = |problem: String| Refusal::new("document", problem);
    let id = proposal
        .text("document")
        .and_then(|id| id.parse::<Digest>().ok());
    let bytes = id.and_then(|id| (proposal.terms.document)(&id));
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| refused("the statement is no text".to_owned()))?;
    let soa = Soa::read("soa.toml", &text, Some(proposal.terms.catalog))
        .map_err(|error| refused(error.to_string()))?;
    for row in &soa.rows {
        let owner = row.owner.as_ref().map(PersonId::as_str);
        if let Some(owner) = owner.filter(|owner| !proposal.register.is_active(owner)) {
            return Err(refused(format!("{}: nobody is known as `{owner}`", row.id))
                .hint("`evident-collector person list` shows who is"));
        }
        let named = [("risk", &row.risks), ("document", &row.documents)];
        let mut named = named
            .iter()
            .flat_map(|(of, ids)| ids.iter().map(move |id| (*of, id)));
        if let Some((of, id)) = named.find(|(of, id)| proposal.register.record(of, id).is_none()) {
            return Err(refused(format!("{}: there is no {of} `{id}`", row.id)));
        }
    }
    let gaps = soa.gaps();
    let ownerless = soa.inconsistencies().into_iter();
    let ownerless = ownerless.filter(|found| found.what == Wrong::NoOwner);
    let open: Vec<_> = if gaps.is_empty() {
        ownerless.collect()
    } else {
        gaps
    };
    match open.first() {
        Some(first) if approving => Err(refused(format!(
            "{} controls lack what only people can say; the first is {}: {}",
            open.len(),
            first.control,
            first.what
        ))
        .hint("`evident-collector soa show soa.toml` names them all")),
        _ => Ok(()),
    }
}

/// A version is called as no other is; and who brought a statement does not approve it because
/// somebody else brought it again.
fn one_version(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let all = proposal.register.records("applicability").into_iter();
    let own = proposal.before.map(|record| record.id.as_str());
    for other in all.filter(|other| Some(other.id.as_str()) != own) {
        let id = &other.id;
        let counts = other.state != "refused";
        if counts && other.text("version") == proposal.text("version") {
            let problem = format!("{id} is called so already");
            return Err(Refusal::new("version", problem).hint("take another name"));
        }
        let brought = other.last("propose").map(|event| event.by.as_str());
        if proposal.step.name == "approve"
            && brought == Some(proposal.by.as_str())
            && other.text("document") == proposal.text("document")
        {
            let problem = format!("`{}` brought the same statement as {id}", proposal.by);
            return Err(Refusal::new("by", problem).hint("two people see more than one"));
        }
    }
    Ok(())
}

/// The statement of applicability in force, and who owns each control as it says; `None` when
/// there is none that can be read.
pub(super) fn owners(proposal: &Proposal<'_>) -> Option<(String, BTreeMap<String, PersonId>)> {
    let version = proposal.register.soa()?;
    let bytes = (proposal.terms.document)(&version.document)?;
    let text = String::from_utf8(bytes).ok()?;
    let soa = Soa::read("soa.toml", &text, None).ok()?;
    let rows = soa.rows.into_iter();
    let owned = rows.filter_map(|row| Some((row.id, row.owner?)));
    Some((version.id, owned.collect()))
}

/// Evidence that people bring.
pub(super) static DOCUMENT: Kind = Kind {
    name: "document",
    title: "Documents and manual evidence",
    about: "What no agent can see: policies, minutes, training records, contracts. Each says from \
            when to when it covers, who owns it and when it is looked at again, and each revision \
            is approved by somebody else. It is always shown as brought by a person.",
    source: "ISO/IEC 27001:2022 7.5",
    ids: Ids::Numbered("DOC"),
    fields: &[
        one("title", FieldKind::Text, "what it is"),
        one("document", FieldKind::Document, "the file"),
        one(
            "location",
            FieldKind::Text,
            "where the file is, when it is not given here",
        ),
        one(
            "origin",
            FieldKind::Text,
            "where it comes from: who wrote it, which system",
        ),
        many(
            "requirement",
            FieldKind::Requirement,
            "control or clause, e.g. A.5.1 or 5.2",
        ),
        one("covers_from", FieldKind::Instant, "from when it speaks"),
        one("covers_to", FieldKind::Instant, "until when it speaks"),
        one("owner", FieldKind::Person, "who answers for it"),
        one(
            "review_every",
            FieldKind::Days,
            "how often it is to be looked at: 365d",
        ),
        one(
            "review_by",
            FieldKind::Day,
            "when it is to be looked at next",
        ),
        one(
            "expires",
            FieldKind::Instant,
            "from when on it counts no more",
        ),
        one(
            "revision",
            FieldKind::Text,
            "which revision it is, and what changed",
        ),
        one(
            "comment",
            FieldKind::Text,
            "what there is to say of the step",
        ),
    ],
    steps: &[
        StepKind {
            name: "submit",
            about: "bring it, or a new revision of it; it counts when somebody else approved it",
            from: &[NEW, "submitted", "approved", "refused"],
            to: "submitted",
            must: &["title", "requirement", "covers_from", "owner", "revision"],
            may: &[
                "document",
                "location",
                "origin",
                "covers_to",
                "review_every",
                "review_by",
                "expires",
            ],
            who: &[],
            clears: &[
                "document",
                "location",
                "origin",
                "covers_to",
                "review_every",
                "review_by",
                "expires",
                "comment",
            ],
        },
        StepKind {
            name: "approve",
            about: "let it count as evidence",
            from: &["submitted"],
            to: "approved",
            must: &[],
            may: &["comment", "review_by"],
            who: &[Who::IsNot("owner"), Who::DidNot("submit")],
            clears: &[],
        },
        StepKind {
            name: "refuse",
            about: "do not let it count",
            from: &["submitted"],
            to: "refused",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "review",
            about: "say that you looked at it and that it still holds",
            from: &["approved"],
            to: "",
            must: &["comment", "review_by"],
            may: &[],
            who: &[Who::IsNot("owner")],
            clears: &[],
        },
        StepKind {
            name: "retire",
            about: "it counts no more",
            from: &["submitted", "approved", "refused"],
            to: "retired",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[
        Due {
            field: "review_by",
            states: &["approved"],
            what: "is to be reviewed",
            ahead_days: 30,
        },
        Due {
            field: "expires",
            states: &["approved"],
            what: "expires",
            ahead_days: 30,
        },
    ],
    example: "document submit --title \"Backup policy\" --file policy.pdf --requirement A.8.13 \
              --covers-from 2026-01-01T00:00:00Z --owner ada --review-every 365d --revision 3",
    rule: document,
};

fn document(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let at_hand = |field: &str| proposal.text(field).is_some();
    if proposal.step.name == "submit" && !at_hand("document") && !at_hand("location") {
        return Err(
            Refusal::new("document", "the file is wanted, or where it is")
                .hint("only a file that is given here can be shown to be unchanged"),
        );
    }
    order(proposal, "covers_from", "covers_to")?;
    order(proposal, "covers_from", "expires")
}

/// Refuses a period that ends before it begins.
pub(super) fn order(proposal: &Proposal<'_>, from: &str, to: &str) -> Result<(), Refusal> {
    match (proposal.instant(from), proposal.instant(to)) {
        (Some(begin), Some(end)) if end < begin => {
            Err(Refusal::new(to, format!("{end} is before {begin}")))
        }
        _ => Ok(()),
    }
}

/// What a named person concluded from evidence.
pub(super) static REVIEW: Kind = Kind {
    name: "review",
    title: "Reviews of evidence",
    about: "What a named person concludes from the evidence of a control in a period. Findings are \
            made by checks, conclusions only by people, and not by the owner of the control. \
            Auditors ask who looked, when, and what was decided.",
    source: "ISO/IEC 27001:2022 9.1, A.5.35",
    ids: Ids::Numbered("REV"),
    fields: &[
        one("control", FieldKind::Control, "the control, e.g. A.8.13"),
        one("group", FieldKind::Group, "only for this group of hosts"),
        one("from", FieldKind::Instant, "from when"),
        one("to", FieldKind::Instant, "until when"),
        one(
            "conclusion",
            FieldKind::Choice(&["effective", "partly effective", "not effective"]),
            "what you conclude",
        ),
        one(
            "owner",
            FieldKind::Person,
            "who owns the control; the statement of applicability in force says it, where there is one",
        ),
        many(
            "evidence",
            FieldKind::Evidence,
            "records of the ledger that you looked at",
        ),
        many(
            "document",
            FieldKind::Record("document"),
            "documents that you looked at",
        ),
        one(
            "comment",
            FieldKind::Text,
            "on what you base it, and what you could not see",
        ),
    ],
    steps: &[
        StepKind {
            name: "conclude",
            about: "say what you conclude",
            from: &[NEW],
            to: "concluded",
            must: &["control", "from", "to", "conclusion", "comment"],
            may: &["owner", "group", "evidence", "document"],
            who: &[Who::IsNot("owner")],
            clears: &[],
        },
        StepKind {
            name: "withdraw",
            about: "take it back; it stays in the history",
            from: &["concluded"],
            to: "withdrawn",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[],
    example: "review conclude --control A.8.13 --from 2026-01-01T00:00:00Z --to 2026-03-31T00:00:00Z \
              --conclusion effective --comment \"all sets restored, 2 of 40 late\"",
    rule: |proposal| {
        order(proposal, "from", "to")?;
        if proposal.step.name == "conclude" {
            not_their_own(proposal)?;
        }
        let now = proposal.terms.now;
        match proposal.instant("to") {
            Some(to) if now < to => Err(Refusal::new("to", format!("{to} is to come"))
                .hint("nobody has seen that evidence yet")),
            _ => Ok(()),
        }
    },
};

/// Refuses a reviewer who owns the control as the statement of applicability in force says.
fn not_their_own(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let control = proposal.text("control").unwrap_or_default();
    let said = proposal.text("owner");
    let in_force = owners(proposal);
    let owner = in_force.as_ref().and_then(|(soa, owners)| {
        let owner = owners.get(control)?;
        Some((soa, owner.as_str()))
    });
    match (owner, said) {
        (Some((soa, owner)), Some(said)) if owner != said => {
            let problem = format!("`{owner}` is the owner of {control}, as {soa} says");
            Err(Refusal::new("owner", problem).hint("leave it out"))
        }
        (Some((soa, owner)), _) if owner == proposal.by.as_str() => {
            let problem = format!("`{owner}` is the owner of {control}, as {soa} says");
            Err(Refusal::new("by", problem).hint("somebody else has to conclude"))
        }
        (None, None) => {
            let problem = format!("no statement in force says who owns {control}: name the owner");
            Err(Refusal::new("owner", problem))
        }
        _ => Ok(()),
    }
}
