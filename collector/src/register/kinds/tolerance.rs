//! What people bear for a time: exceptions, acknowledgements, silences.

use super::super::Proposal;
use super::super::kind::{Due, FieldKind, Ids, Kind, NEW, Refusal, StepKind, Who, many, one};

const REASON: super::super::Field = one(
    "reason",
    FieldKind::Text,
    "why, in words that an auditor can check",
);
const UNTIL: super::super::Field = one(
    "until",
    FieldKind::Instant,
    "when it ends by itself: an instant with its zone, e.g. 2026-12-31T18:00:00Z",
);
const CONTROL: super::super::Field = many(
    "control",
    FieldKind::Control,
    "control of Annex A, e.g. A.8.13",
);
const CHECK: super::super::Field = many("check", FieldKind::Check, "check, e.g. backup.recent");
const HOST: super::super::Field = many("host", FieldKind::Host, "host, or several: web-*");
const GROUP: super::super::Field = many("group", FieldKind::Group, "group of hosts");

/// A deviation that is accepted for a time.
pub(super) static EXCEPTION: Kind = Kind {
    name: "exception",
    title: "Exceptions",
    about: "A deviation that is accepted for a time. The check goes on failing and is counted apart, \
            with the exception beside it; when it ends, the finding is open again by itself. Auditors \
            ask which exceptions are in force, who accepted them and when they end.",
    source: "ISO/IEC 27001:2022 6.1.3, 8.3",
    ids: Ids::Numbered("EX"),
    fields: &[
        CONTROL,
        CHECK,
        HOST,
        GROUP,
        REASON,
        one(
            "owner",
            FieldKind::Person,
            "who answers for it until it ends",
        ),
        UNTIL,
        one(
            "compensation",
            FieldKind::Text,
            "what keeps the risk down meanwhile",
        ),
        one("risk", FieldKind::Record("risk"), "the risk that it raises"),
        one(
            "comment",
            FieldKind::Text,
            "what there is to say of the step",
        ),
    ],
    steps: &[
        StepKind {
            name: "propose",
            about: "ask for it; it has no effect until somebody else approves it",
            from: &[NEW],
            to: "proposed",
            must: &["reason", "owner", "until"],
            may: &["control", "check", "host", "group", "compensation", "risk"],
            who: &[],
        },
        StepKind {
            name: "approve",
            about: "accept it; from now on it is in force",
            from: &["proposed"],
            to: "approved",
            must: &[],
            may: &["comment"],
            who: &[Who::IsNot("owner"), Who::DidNot("propose")],
        },
        StepKind {
            name: "refuse",
            about: "do not accept it",
            from: &["proposed"],
            to: "refused",
            must: &["comment"],
            may: &[],
            who: &[],
        },
        StepKind {
            name: "end",
            about: "end it before its time",
            from: &["proposed", "approved"],
            to: "ended",
            must: &["comment"],
            may: &[],
            who: &[],
        },
    ],
    due: &[Due {
        field: "until",
        states: &["approved"],
        what: "ends, and what it covers is open again",
        ahead_days: 14,
    }],
    example: "exception propose --check backup.recent --host db-1 --owner ada \
              --reason \"the new storage comes in March\" --until 2027-03-31T00:00:00Z",
    rule: exception,
};

fn exception(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    let named = |fields: [&str; 2]| fields.iter().any(|field| !proposal.list(field).is_empty());
    if !named(["control", "check"]) {
        return Err(Refusal::new("check", "a check or a control must be named")
            .hint("an exception from everything is none"));
    }
    if !named(["host", "group"]) {
        return Err(Refusal::new("host", "a host or a group must be named")
            .hint("write --host '*' when it holds for all"));
    }
    let ends = ["propose", "approve"].contains(&proposal.step.name);
    if ends {
        to_come(proposal, "until")
    } else {
        Ok(())
    }
}

/// Refuses an instant that is over.
pub(super) fn to_come(proposal: &Proposal<'_>, field: &str) -> Result<(), Refusal> {
    let now = proposal.terms.now;
    match proposal.instant(field) {
        Some(until) if until <= now => {
            let problem = format!("{until} is over");
            Err(Refusal::new(field, problem).hint(format!("now is {now}")))
        }
        _ => Ok(()),
    }
}

/// Somebody knows of a deviation and works on it.
pub(super) static ACKNOWLEDGEMENT: Kind = Kind {
    name: "acknowledgement",
    title: "Acknowledgements",
    about: "Somebody has seen what is wrong and works on it: alerts about it are not escalated any \
            more. It changes no verdict.",
    source: "ISO/IEC 27001:2022 A.8.16, A.5.25",
    ids: Ids::Numbered("ACK"),
    fields: &[
        CHECK,
        HOST,
        GROUP,
        one("comment", FieldKind::Text, "what is being done"),
        UNTIL,
    ],
    steps: &[
        StepKind {
            name: "give",
            about: "say that you have seen it; it counts until the deviation is over, or until then",
            from: &[NEW],
            to: "given",
            must: &["comment", "host"],
            may: &["check", "group", "until"],
            who: &[],
        },
        StepKind {
            name: "end",
            about: "take it back",
            from: &["given"],
            to: "ended",
            must: &[],
            may: &["comment"],
            who: &[],
        },
    ],
    due: &[],
    example: "acknowledgement give --host web-3 --check clock.synchronised \
              --comment \"the firewall blocks NTP since the move; ticket 4711\"",
    rule: |proposal| to_come(proposal, "until"),
};

/// Alerts that are not sent for a time.
pub(super) static SILENCE: Kind = Kind {
    name: "silence",
    title: "Silences",
    about: "Alerts that are not sent for a time, e.g. while hosts are being moved. What is wrong is \
            recorded all the same. It always has an end.",
    source: "ISO/IEC 27001:2022 A.8.16",
    ids: Ids::Numbered("SIL"),
    fields: &[
        CONTROL,
        CHECK,
        HOST,
        GROUP,
        one(
            "severity",
            FieldKind::Choice(&["low", "medium", "high", "critical"]),
            "only what matters this much at most",
        ),
        REASON,
        UNTIL,
    ],
    steps: &[
        StepKind {
            name: "begin",
            about: "send no alert about what all the given fields name",
            from: &[NEW],
            to: "begun",
            must: &["reason", "until"],
            may: &["control", "check", "host", "group", "severity"],
            who: &[],
        },
        StepKind {
            name: "end",
            about: "end it before its time",
            from: &["begun"],
            to: "ended",
            must: &[],
            may: &["reason"],
            who: &[],
        },
    ],
    due: &[],
    example: "silence begin --host 'rack7-*' --reason \"rack 7 moves to hall B\" \
              --until 2026-12-01T06:00:00Z",
    rule: |proposal| {
        if proposal.step.name == "begin" {
            to_come(proposal, "until")
        } else {
            Ok(())
        }
    },
};
