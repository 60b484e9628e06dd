//! What is planned: risks and their treatment, objectives, the cycle of surveillance.

use std::collections::BTreeMap;

use shared::decision::Value;

use super::super::kind::{Due, FieldKind, Ids, Kind, NEW, Refusal, StepKind, Who, many, one};
use super::super::{Event, Field, Proposal};

use super::improvement::EVIDENCE;
use super::knowledge::order;

const COMMENT: Field = one(
    "comment",
    FieldKind::Text,
    "what there is to say of the step",
);

const fn level(name: &'static str, about: &'static str) -> Field {
    let (least, most, unit) = (1, 5, "levels");
    one(name, FieldKind::Number { least, most, unit }, about)
}

/// Risks, their treatment, and who accepts what is left.
pub(super) static RISK: Kind = Kind {
    name: "risk",
    title: "Risks and their treatment",
    about: "Risks with their owners: how likely, how bad, what is done about them, and what is left. \
            The owner of the risk approves the plan and accepts the rest, nobody else. Auditors ask \
            for movements since the last audit and for treatments past their date.",
    source: "ISO/IEC 27001:2022 6.1.2, 6.1.3, 8.2, 8.3",
    ids: Ids::Numbered("R"),
    fields: &[
        one(
            "title",
            FieldKind::Text,
            "what can happen, to what, and why",
        ),
        one("owner", FieldKind::Person, "who owns the risk"),
        level(
            "likelihood",
            "how likely, from 1 (rare) to 5 (almost certain)",
        ),
        level("impact", "how bad, from 1 (slight) to 5 (grave)"),
        one(
            "option",
            FieldKind::Choice(&["mitigate", "avoid", "share", "accept"]),
            "what is done about it",
        ),
        one("plan", FieldKind::Text, "what exactly, and by whom"),
        one("due", FieldKind::Day, "by when"),
        many("control", FieldKind::Control, "controls that treat it"),
        level("residual_likelihood", "how likely it is then"),
        level("residual_impact", "how bad it is then"),
        one(
            "review_by",
            FieldKind::Day,
            "when it is to be assessed again",
        ),
        one(
            "reason",
            FieldKind::Text,
            "why, in words that an auditor can check",
        ),
        EVIDENCE,
        COMMENT,
    ],
    steps: &[
        StepKind {
            name: "identify",
            about: "say what can happen",
            from: &[NEW],
            to: "identified",
            must: &["title", "owner", "likelihood", "impact"],
            may: &["control", "review_by"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "assess",
            about: "assess it again",
            from: &["identified", "treated", "accepted", "done"],
            to: "identified",
            must: &["likelihood", "impact", "reason"],
            may: &["owner", "title", "review_by"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "treat",
            about: "say what is done about it, and what is left then",
            from: &["identified", "treated"],
            to: "treated",
            must: &[
                "option",
                "plan",
                "due",
                "residual_likelihood",
                "residual_impact",
            ],
            may: &["control", "review_by"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "accept",
            about: "approve the plan and accept what is left, as the owner whom somebody else named",
            from: &["treated"],
            to: "accepted",
            must: &["reason", "review_by"],
            may: &[],
            who: &[Who::Is("owner")],
            clears: &[],
        },
        StepKind {
            name: "done",
            about: "say that the treatment that was accepted is done",
            from: &["accepted"],
            to: "done",
            must: &["comment"],
            may: &["evidence"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "close",
            about: "it cannot happen any more",
            from: &["identified", "treated", "accepted", "done"],
            to: "closed",
            must: &["reason"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[
        Due {
            field: "due",
            states: &["treated", "accepted"],
            what: "is to be treated",
            ahead_days: 14,
        },
        Due {
            field: "review_by",
            states: &["identified", "treated", "accepted", "done"],
            what: "is to be assessed again",
            ahead_days: 30,
        },
    ],
    example: "risk identify --title \"backups share the room with the servers: a fire takes both\" \
              --owner ada --likelihood 2 --impact 5 --control A.8.13",
    rule: risk,
};

fn risk(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let named = |event: &&Event| event.fields.contains_key("owner");
    let named = proposal.events().iter().rev().find(named);
    if proposal.step.name == "accept" && named.is_some_and(|e| e.by == proposal.by.as_str()) {
        let problem = format!("`{0}` made `{0}` the owner", proposal.by);
        return Err(Refusal::new("by", problem)
            .hint("somebody else names the owner: `risk assess --owner` does it"));
    }
    let level = |field: &str| match proposal.fields.get(field) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    for (before, after) in [
        ("likelihood", "residual_likelihood"),
        ("impact", "residual_impact"),
    ] {
        if proposal.step.name == "treat" && level(before) < level(after) {
            return Err(Refusal::new(after, "what is left is more than there was")
                .hint("assess the risk again first"));
        }
    }
    Ok(())
}

/// Objectives and what was measured.
pub(super) static OBJECTIVE: Kind = Kind {
    name: "objective",
    title: "Objectives and measurements",
    about: "What the management system is to reach, by when, and how it is measured. Auditors ask \
            for values over the period, and who drew which conclusion.",
    source: "ISO/IEC 27001:2022 6.2, 9.1",
    ids: Ids::Numbered("O"),
    fields: &[
        one("title", FieldKind::Text, "what is to be reached"),
        one("owner", FieldKind::Person, "who answers for it"),
        one(
            "target",
            FieldKind::Number {
                least: 0,
                most: 1_000_000_000,
                unit: "the unit",
            },
            "the value to be reached, a whole number: choose the unit so",
        ),
        one(
            "unit",
            FieldKind::Text,
            "what the value counts, e.g. percent of restores in time",
        ),
        one(
            "direction",
            FieldKind::Choice(&["at least", "at most"]),
            "whether more or less is better",
        ),
        one(
            "method",
            FieldKind::Text,
            "how it is measured, by whom, how often",
        ),
        one("due", FieldKind::Day, "by when it is to be reached"),
        one(
            "value",
            FieldKind::Number {
                least: 0,
                most: 1_000_000_000,
                unit: "the unit",
            },
            "what was measured, a whole number",
        ),
        one("measured_at", FieldKind::Instant, "when"),
        many(
            "evidence",
            FieldKind::Evidence,
            "records of the ledger that show it",
        ),
        one(
            "outcome",
            FieldKind::Choice(&["reached", "missed", "abandoned"]),
            "what came of it",
        ),
        COMMENT,
    ],
    steps: &[
        StepKind {
            name: "set",
            about: "lay down what is to be reached",
            from: &[NEW, "set"],
            to: "set",
            must: &[
                "title",
                "owner",
                "target",
                "unit",
                "direction",
                "method",
                "due",
            ],
            may: &[],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "measure",
            about: "note a value; all of them stay in the history",
            from: &["set"],
            to: "",
            must: &["value", "measured_at", "comment"],
            may: &["evidence"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "close",
            about: "say what came of it",
            from: &["set"],
            to: "closed",
            must: &["outcome", "comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[Due {
        field: "due",
        states: &["set"],
        what: "is to be reached",
        ahead_days: 30,
    }],
    example: "objective set --title \"restores work\" --owner ada --target 95 \
              --unit \"percent of restore tests\" --direction \"at least\" \
              --method \"monthly, from A.8.13\" --due 2027-12-31",
    rule: objective,
};

fn objective(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let measured = proposal.events().iter().any(|one| one.step == "measure");
    if proposal.step.name == "set" && measured {
        let problem = "values were measured against what was set";
        return Err(Refusal::new("step", problem).hint("close it and set a new one"));
    }
    let reached = proposal.text("outcome") == Some("reached");
    if proposal.step.name == "close" && reached && reaches(&proposal.fields) != Some(true) {
        let problem = "the last value that was measured does not reach the target";
        return Err(Refusal::new("outcome", problem).hint("measure it, or say `missed`"));
    }
    match proposal.instant("measured_at") {
        Some(at) if proposal.terms.now < at => {
            Err(Refusal::new("measured_at", format!("{at} is to come")))
        }
        _ => Ok(()),
    }
}

/// Whether the last value of an objective reaches its target; `None` before the first.
pub(in crate::register) fn reaches(fields: &BTreeMap<String, Value>) -> Option<bool> {
    let number = |field: &str| match fields.get(field) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    let (value, target) = (number("value")?, number("target")?);
    let most = matches!(fields.get("direction"), Some(Value::Text(text)) if text == "at most");
    Some(if most {
        value <= target
    } else {
        target <= value
    })
}

/// Which controls are looked at in which year of the cycle.
pub(super) static SURVEILLANCE: Kind = Kind {
    name: "surveillance",
    title: "Surveillance plan",
    about: "Which controls are looked at in which audit of the three-year cycle, and why each of \
            them is in that year's subset. The certification body decides; this is what was agreed.",
    source: "ISO/IEC 17021-1 9.6.2; ISO/IEC 27006-1",
    ids: Ids::Numbered("SV"),
    fields: &[
        many(
            "control",
            FieldKind::Control,
            "control of Annex A, e.g. A.8.13",
        ),
        one(
            "audit",
            FieldKind::Choice(&["surveillance 1", "surveillance 2", "recertification"]),
            "which audit of the cycle",
        ),
        one("from", FieldKind::Day, "from when the audit looks"),
        one("to", FieldKind::Day, "until when: the day of the audit"),
        one(
            "cause",
            FieldKind::Choice(&[
                "core",
                "changed",
                "incident",
                "nonconformity",
                "exception",
                "evidence gap",
                "rotation",
                "asked for",
            ]),
            "why they are in this subset",
        ),
        one("reason", FieldKind::Text, "the same in words"),
        COMMENT,
    ],
    steps: &[
        StepKind {
            name: "select",
            about: "these controls are looked at in this audit",
            from: &[NEW, "selected"],
            to: "selected",
            must: &["control", "audit", "from", "to", "cause", "reason"],
            may: &[],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "drop",
            about: "they are not, after all",
            from: &["selected"],
            to: "dropped",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[Due {
        field: "to",
        states: &["selected"],
        what: "is audited",
        ahead_days: 60,
    }],
    example: "surveillance select --audit \"surveillance 1\" --control A.8.13 --control A.8.15 \
              --from 2026-01-01 --to 2026-12-31 --cause core --reason \"backups and logs each year\"",
    rule: |proposal| order(proposal, "from", "to"),
};
