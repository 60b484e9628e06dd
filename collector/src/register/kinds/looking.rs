//! How the management system looks at itself: internal audits and management reviews.

use shared::id::PersonId;

use super::super::Proposal;
use super::super::kind::{Due, FieldKind, Ids, Kind, NEW, Refusal, StepKind, Who, many, one};

use super::improvement::{COMMENT, DOCUMENT, EVIDENCE, REQUIREMENT, past};
use super::knowledge::{order, owners};

/// What is to be audited, by year.
pub(super) static AUDIT_PROGRAMME: Kind = Kind {
    name: "audit-programme",
    title: "Internal audit programmes",
    about: "What is to be audited in a period, how often, by whom and by which method, so that all \
            clauses and all applicable controls are covered within the cycle.",
    source: "ISO/IEC 27001:2022 9.2.2",
    ids: Ids::Numbered("AP"),
    fields: &[
        one(
            "title",
            FieldKind::Text,
            "what it is, e.g. Internal audits 2027",
        ),
        one("from", FieldKind::Day, "from when"),
        one("to", FieldKind::Day, "until when"),
        REQUIREMENT,
        many("auditor", FieldKind::Person, "who audits"),
        one(
            "method",
            FieldKind::Text,
            "how: samples, interviews, inspection",
        ),
        one("owner", FieldKind::Person, "who answers for the programme"),
        COMMENT,
    ],
    steps: &[
        StepKind {
            name: "plan",
            about: "lay it down; once more to change it, and then it is approved again",
            from: &[NEW, "planned", "approved"],
            to: "planned",
            must: &["title", "from", "to", "requirement", "method", "owner"],
            may: &["auditor"],
            who: &[],
            clears: &["auditor"],
        },
        StepKind {
            name: "approve",
            about: "approve it",
            from: &["planned"],
            to: "approved",
            must: &[],
            may: &["comment"],
            who: &[Who::DidNot("plan")],
            clears: &[],
        },
        StepKind {
            name: "close",
            about: "close it, and say what was not covered",
            from: &["approved"],
            to: "closed",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[Due {
        field: "to",
        states: &["approved"],
        what: "ends",
        ahead_days: 30,
    }],
    example: "audit-programme plan --title \"Internal audits 2027\" --from 2027-01-01 --to 2027-12-31 \
              --requirement 9.2.2 --requirement A.8.13 --method samples --owner ada",
    rule: |proposal| order(proposal, "from", "to"),
};

/// Internal audits and their results.
pub(super) static AUDIT: Kind = Kind {
    name: "audit",
    title: "Internal audits",
    about: "One internal audit: what it looked at, by which criteria, who audited, what came out. \
            Nobody audits what they own. Its nonconformities are records of their own that name it.",
    source: "ISO/IEC 27001:2022 9.2.1, 9.2.2",
    ids: Ids::Numbered("IA"),
    fields: &[
        one(
            "programme",
            FieldKind::Record("audit-programme"),
            "the programme that it belongs to",
        ),
        one("title", FieldKind::Text, "what is audited"),
        REQUIREMENT,
        one("criteria", FieldKind::Text, "by what it is measured"),
        many("auditor", FieldKind::Person, "who audits"),
        many(
            "owner",
            FieldKind::Person,
            "who answers for what is audited",
        ),
        one("from", FieldKind::Day, "from when"),
        one("to", FieldKind::Day, "until when"),
        one(
            "result",
            FieldKind::Text,
            "what came out, also what was good",
        ),
        one(
            "not_covered",
            FieldKind::Text,
            "what was planned and not looked at, and why",
        ),
        EVIDENCE,
        DOCUMENT,
        COMMENT,
    ],
    steps: &[
        StepKind {
            name: "plan",
            about: "lay down what is audited, when and by whom",
            from: &[NEW, "planned"],
            to: "planned",
            must: &[
                "title",
                "requirement",
                "criteria",
                "auditor",
                "owner",
                "from",
                "to",
            ],
            may: &["programme"],
            who: &[],
            clears: &["programme"],
        },
        StepKind {
            name: "report",
            about: "say what came out; one of its auditors does",
            from: &["planned"],
            to: "reported",
            must: &["result"],
            may: &["not_covered", "evidence", "document"],
            who: &[Who::Is("auditor"), Who::IsNot("owner")],
            clears: &[],
        },
        StepKind {
            name: "close",
            about: "take note of it as the one who answers for what was audited",
            from: &["reported"],
            to: "closed",
            must: &["comment"],
            may: &[],
            who: &[Who::Is("owner")],
            clears: &[],
        },
        StepKind {
            name: "cancel",
            about: "it does not take place",
            from: &["planned"],
            to: "cancelled",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[Due {
        field: "to",
        states: &["planned"],
        what: "is to be reported",
        ahead_days: 14,
    }],
    example: "audit plan --title Backups --requirement A.8.13 --criteria \"backup policy, revision 3\" \
              --auditor bob --owner ada --from 2027-02-01 --to 2027-02-03",
    rule: |proposal| {
        order(proposal, "from", "to")?;
        if ["plan", "report"].contains(&proposal.step.name) {
            independent(proposal)?;
        }
        let owners = proposal.list("owner");
        match proposal
            .list("auditor")
            .into_iter()
            .find(|one| owners.contains(one))
        {
            Some(both) => {
                let problem = format!("`{both}` answers for what is audited");
                Err(Refusal::new("auditor", problem).hint("nobody audits what they own"))
            }
            None => Ok(()),
        }
    },
};

/// Refuses an auditor whom the statement of applicability in force names as the owner of what is
/// audited.
fn independent(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let Some((soa, owners)) = owners(proposal) else {
        return Ok(());
    };
    for requirement in proposal.list("requirement") {
        let owner = owners.get(requirement).map(PersonId::as_str);
        let both = owner.filter(|owner| proposal.list("auditor").contains(owner));
        if let Some(both) = both {
            let problem = format!("`{both}` is the owner of {requirement}, as {soa} says");
            return Err(Refusal::new("auditor", problem).hint("nobody audits what they own"));
        }
    }
    Ok(())
}

/// Reviews by top management.
pub(super) static MANAGEMENT_REVIEW: Kind = Kind {
    name: "management-review",
    title: "Management reviews",
    about: "What top management looked at and what it decided. What was not looked at is said. \
            Auditors ask for the last one and whether all inputs were there.",
    source: "ISO/IEC 27001:2022 9.3",
    ids: Ids::Numbered("MR"),
    fields: &[
        one("held_on", FieldKind::Day, "when it was held"),
        many("attendee", FieldKind::Person, "who took part"),
        many(
            "input",
            FieldKind::Choice(&[
                "earlier actions",
                "context",
                "interested parties",
                "nonconformities",
                "measurements",
                "audits",
                "objectives",
                "feedback",
                "risks",
                "improvement",
            ]),
            "what was looked at",
        ),
        one(
            "missing",
            FieldKind::Text,
            "which input was not there, and why",
        ),
        one("decisions", FieldKind::Text, "what was decided"),
        one("actions", FieldKind::Text, "who does what by when"),
        one("next_by", FieldKind::Day, "by when the next one is held"),
        DOCUMENT,
        COMMENT,
    ],
    steps: &[
        StepKind {
            name: "hold",
            about: "record what was looked at and decided",
            from: &[NEW, "held"],
            to: "held",
            must: &["held_on", "attendee", "input", "decisions", "next_by"],
            may: &["missing", "actions", "document"],
            who: &[],
            clears: &["missing", "actions", "document"],
        },
        StepKind {
            name: "approve",
            about: "say as one who took part that it was so",
            from: &["held"],
            to: "approved",
            must: &[],
            may: &["comment"],
            who: &[Who::Is("attendee"), Who::DidNot("hold")],
            clears: &[],
        },
    ],
    due: &[Due {
        field: "next_by",
        states: &["approved"],
        what: "is followed by the next one",
        ahead_days: 30,
    }],
    example: "management-review hold --held-on 2026-11-20 --attendee ada --attendee bob \
              --input context --input \"interested parties\" --input nonconformities \
              --input measurements --input audits --input objectives --input risks \
              --input \"earlier actions\" --input improvement \
              --missing \"feedback: nobody was asked\" \
              --decisions \"storage is bought in March\" --next-by 2027-11-30",
    rule: management_review,
};

fn management_review(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    if proposal.step.name != "hold" {
        return Ok(());
    }
    past(proposal, "held_on")?;
    if proposal.instant("next_by") <= proposal.instant("held_on") {
        let problem = "the next one is held after this one";
        return Err(Refusal::new("next_by", problem));
    }
    let others = |one: &&str| *one != proposal.by.as_str();
    if !proposal.list("attendee").iter().any(others) {
        return Err(Refusal::new("attendee", "nobody but you took part")
            .hint("one of the others says that it was so"));
    }
    let Some(FieldKind::Choice(all)) = MANAGEMENT_REVIEW.field("input").map(|field| field.kind)
    else {
        return Ok(());
    };
    let inputs = proposal.list("input");
    let said = proposal.text("missing").unwrap_or_default().to_lowercase();
    let missing: Vec<_> = all
        .iter()
        .filter(|input| !inputs.contains(input) && !said.contains(**input))
        .copied()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let problem = format!("these inputs were not looked at: {}", missing.join(", "));
    Err(Refusal::new("input", problem).hint("name each with --missing, and why"))
}
