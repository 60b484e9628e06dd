//! What is found and made better: nonconformities and their corrective actions.

use super::super::kind::{Due, FieldKind, Ids, Kind, NEW, Refusal, StepKind, Who, many, one};
use super::super::{Field, Proposal};

pub(super) const COMMENT: Field = one(
    "comment",
    FieldKind::Text,
    "what there is to say of the step",
);
pub(super) const EVIDENCE: Field = many(
    "evidence",
    FieldKind::Evidence,
    "records of the ledger that show it",
);
pub(super) const DOCUMENT: Field = many(
    "document",
    FieldKind::Record("document"),
    "documents that show it",
);
pub(super) const REQUIREMENT: Field = many(
    "requirement",
    FieldKind::Requirement,
    "control or clause, e.g. A.8.13 or 9.2.2",
);

/// Requirements that are not fulfilled, and what is done about them.
pub(super) static NONCONFORMITY: Kind = Kind {
    name: "nonconformity",
    title: "Nonconformities and corrective actions",
    about: "A requirement that is not fulfilled, raised by a person: what was corrected, how far it \
            reaches, why it came to be, what is done so that it does not come back, and whether that \
            worked. Somebody else than the owner checks the effect, not before a set date. Auditors \
            look at each one since the last audit.",
    source: "ISO/IEC 27001:2022 10.2",
    ids: Ids::Numbered("NC"),
    fields: &[
        one(
            "source",
            FieldKind::Choice(&[
                "external audit",
                "internal audit",
                "monitoring",
                "incident",
                "complaint",
                "management review",
            ]),
            "how it was found",
        ),
        REQUIREMENT,
        one(
            "own_rule",
            FieldKind::Record("document"),
            "the own document that it breaks",
        ),
        one(
            "grade",
            FieldKind::Choice(&["major", "minor", "opportunity"]),
            "how grave it is; an opportunity is none, and could be better",
        ),
        one(
            "statement",
            FieldKind::Text,
            "what was expected and what was seen",
        ),
        EVIDENCE,
        DOCUMENT,
        one(
            "audit",
            FieldKind::Record("audit"),
            "the internal audit that found it",
        ),
        one(
            "owner",
            FieldKind::Person,
            "who answers for the corrective action",
        ),
        one("correction", FieldKind::Text, "what was done at once"),
        one("corrected_on", FieldKind::Day, "when it was done"),
        one(
            "extent",
            FieldKind::Text,
            "where else it was looked for, and what was found",
        ),
        one(
            "cause",
            FieldKind::Text,
            "why it came to be; not the symptom once more",
        ),
        one(
            "method",
            FieldKind::Text,
            "how the cause was found, e.g. five whys",
        ),
        one(
            "action",
            FieldKind::Text,
            "what is done so that it does not come back",
        ),
        one("due", FieldKind::Day, "by when"),
        one(
            "criterion",
            FieldKind::Text,
            "by what one will see that it worked",
        ),
        one(
            "check_from",
            FieldKind::Day,
            "before which day its effect cannot be seen",
        ),
        one("implemented_on", FieldKind::Day, "when the action was done"),
        one(
            "accepted_on",
            FieldKind::Day,
            "when the certification body accepted it",
        ),
        COMMENT,
    ],
    steps: &[
        StepKind {
            name: "raise",
            about: "say what is not fulfilled",
            from: &[NEW],
            to: "open",
            must: &["source", "requirement", "grade", "statement", "owner"],
            may: &["evidence", "document", "own_rule", "audit"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "correct",
            about: "say what was done at once",
            from: &["open", "planned", "implemented", "effective"],
            to: "",
            must: &["correction", "corrected_on"],
            may: &["evidence", "document"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "plan",
            about: "say how far it reaches, why it came to be, and what is done about the cause",
            from: &["open", "planned"],
            to: "planned",
            must: &[
                "extent",
                "cause",
                "action",
                "due",
                "criterion",
                "check_from",
            ],
            may: &["method", "owner"],
            who: &[],
            clears: &["method"],
        },
        StepKind {
            name: "implement",
            about: "say that the action is done",
            from: &["planned"],
            to: "implemented",
            must: &["implemented_on"],
            may: &["evidence", "document", "comment"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "confirm",
            about: "say that you saw that it worked; nobody who owned, planned or did it, and not \
                    before --check-from",
            from: &["implemented"],
            to: "effective",
            must: &["comment"],
            may: &["evidence", "document"],
            who: &[
                Who::NeverWas("owner"),
                Who::Never("plan"),
                Who::Never("implement"),
            ],
            clears: &[],
        },
        StepKind {
            name: "reject",
            about: "say that it did not work; it is open again",
            from: &["implemented"],
            to: "open",
            must: &["comment"],
            may: &["evidence", "document"],
            who: &[Who::IsNot("owner")],
            clears: &[],
        },
        StepKind {
            name: "accept",
            about: "note that the certification body accepted it",
            from: &["planned", "implemented", "effective", "closed"],
            to: "",
            must: &["accepted_on"],
            may: &["comment"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "close",
            about: "close what was corrected and is effective; an opportunity at any time",
            from: &["open", "planned", "implemented", "effective"],
            to: "closed",
            must: &["comment"],
            may: &[],
            who: &[Who::IsNot("owner")],
            clears: &[],
        },
        StepKind {
            name: "reopen",
            about: "it came back; it is counted",
            from: &["effective", "closed"],
            to: "open",
            must: &["comment"],
            may: &["evidence", "document"],
            who: &[],
            clears: &[
                "correction",
                "corrected_on",
                "extent",
                "cause",
                "method",
                "action",
                "due",
                "criterion",
                "check_from",
                "implemented_on",
                "accepted_on",
            ],
        },
    ],
    due: &[
        Due {
            field: "due",
            states: &["planned"],
            what: "is to be done",
            ahead_days: 14,
        },
        Due {
            field: "check_from",
            states: &["implemented"],
            what: "can be checked for its effect",
            ahead_days: 1,
        },
    ],
    example: "nonconformity raise --source \"internal audit\" --requirement A.8.13 --grade minor \
              --statement \"two restores in the year, and the policy says four\" --owner ada",
    rule: nonconformity,
};

fn nonconformity(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let (now, step) = (proposal.terms.now, proposal.step.name);
    let state = proposal.before.map_or(NEW, |record| record.state.as_str());
    if ["plan", "implement"].contains(&step) {
        effect(proposal)?;
    }
    let early = proposal.instant("check_from").filter(|from| now < *from);
    if step == "confirm"
        && let Some(from) = early
    {
        let problem = format!("its effect cannot be seen before {from}");
        return Err(Refusal::new("check-from", problem));
    }
    if step == "close" && proposal.text("grade") != Some("opportunity") {
        if state != "effective" {
            let problem = format!("it is {state}, and only what is effective is closed");
            return Err(Refusal::new("step", problem).hint("first plan, implement and confirm it"));
        }
        if proposal.text("correction").is_none() {
            return Err(
                Refusal::new("correction", "nobody said what was done at once")
                    .hint("`nonconformity correct` says it"),
            );
        }
    }
    for field in ["corrected_on", "implemented_on", "accepted_on"] {
        past(proposal, field)?;
    }
    Ok(())
}

/// The effect is seen after the action, and neither is planned for a time that is over.
fn effect(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let planning = proposal.step.name == "plan";
    let Some(from) = proposal.instant("check_from") else {
        return Ok(());
    };
    if planning {
        for field in ["due", "check_from"] {
            if let Some(day) = proposal.instant(field)
                && day.plus_ms(DAY_MS) <= proposal.terms.now
            {
                let day = proposal.text(field).unwrap_or_default();
                return Err(Refusal::new(field, format!("{day} is over")));
            }
        }
    }
    let (field, what) = if planning {
        ("due", "by when it is to be done")
    } else {
        ("implemented_on", "when it was done")
    };
    match proposal.instant(field) {
        Some(done) if from <= done => {
            let (done, from) = (proposal.text(field), proposal.text("check_from"));
            let (done, from) = (done.unwrap_or_default(), from.unwrap_or_default());
            let problem = format!("{from} is not after {done}, {what}");
            Err(Refusal::new("check_from", problem)
                .hint("an effect is seen later: `nonconformity plan` names another day"))
        }
        _ => Ok(()),
    }
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Refuses a day that is to come.
pub(super) fn past(proposal: &Proposal<'_>, field: &str) -> Result<(), Refusal> {
    match proposal.instant(field) {
        Some(day) if proposal.terms.now < day => {
            Err(Refusal::new(field, format!("{day} is to come")))
        }
        _ => Ok(()),
    }
}
