//! What people bear for a time: exceptions, acknowledgements, silences.

use shared::time::Timestamp;

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
            with the exception beside it; when it ends, 365 days after its approval at most, the \
            finding is open again by itself. A group counts with the members that it had at the \
            approval. Auditors ask which exceptions are in force, who accepted them and when they end.",
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
            clears: &[],
        },
        StepKind {
            name: "approve",
            about: "accept it; from now on it is in force",
            from: &["proposed"],
            to: "approved",
            must: &[],
            may: &["comment"],
            who: &[Who::IsNot("owner"), Who::DidNot("propose")],
            clears: &[],
        },
        StepKind {
            name: "refuse",
            about: "do not accept it",
            from: &["proposed"],
            to: "refused",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "end",
            about: "end it before its time",
            from: &["proposed", "approved"],
            to: "ended",
            must: &["comment"],
            may: &[],
            who: &[],
            clears: &[],
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
    if !["propose", "approve"].contains(&proposal.step.name) {
        return Ok(());
    }
    to_come(proposal, "until")?;
    at_most(proposal, EXCEPTION_DAYS_MAX, "an exception")
}

/// Longest time of an exception in days: what lasts longer is no exception.
const EXCEPTION_DAYS_MAX: i64 = 365;
/// Longest time of a silence in days.
const SILENCE_DAYS_MAX: i64 = 30;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Refuses an end that is further away than this.
fn at_most(proposal: &Proposal<'_>, days: i64, what: &str) -> Result<(), Refusal> {
    let last: Timestamp = proposal.terms.now.plus_ms(days.saturating_mul(DAY_MS));
    match proposal.instant("until") {
        Some(until) if last < until => {
            let problem = format!("{what} lasts {days} days at most: until {last}");
            Err(Refusal::new("until", problem).hint("renew it then, if it is still wanted"))
        }
        _ => Ok(()),
    }
}

/// Whether one of the patterns of hosts stands for all.
fn names_all(proposal: &Proposal<'_>) -> bool {
    let all = |pattern: &&str| pattern.chars().all(|c| c == '*');
    proposal.list("host").iter().any(all)
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
            clears: &[],
        },
        StepKind {
            name: "end",
            about: "take it back",
            from: &["given"],
            to: "ended",
            must: &[],
            may: &["comment"],
            who: &[],
            clears: &[],
        },
    ],
    due: &[],
    example: "acknowledgement give --host web-3 --check clock.synchronised \
              --comment \"the firewall blocks NTP since the move; ticket 4711\"",
    rule: |proposal| {
        if proposal.step.name != "give" {
            return Ok(());
        }
        if names_all(proposal) && proposal.text("until").is_none() {
            let problem = "who knows of something on all hosts says until when";
            return Err(Refusal::new("until", problem).hint("or name the hosts: web-*"));
        }
        to_come(proposal, "until")
    },
};

/// Alerts that are not sent for a time.
pub(super) static SILENCE: Kind = Kind {
    name: "silence",
    title: "Silences",
    about: "Alerts that are not sent for a time, e.g. while hosts are being moved. What is wrong is \
            recorded all the same. It always has an end, 30 days away at most.",
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
            clears: &[],
        },
        StepKind {
            name: "end",
            about: "end it before its time",
            from: &["begun"],
            to: "ended",
            must: &[],
            may: &["reason"],
            who: &[],
            clears: &[],
        },
    ],
    due: &[],
    example: "silence begin --host 'rack7-*' --reason \"rack 7 moves to hall B\" \
              --until 2026-12-01T06:00:00Z",
    rule: |proposal| {
        if proposal.step.name != "begin" {
            return Ok(());
        }
        let about = ["control", "check", "host", "group"];
        if about.iter().all(|field| proposal.list(field).is_empty()) {
            let problem = "a host, a group, a check or a control must be named";
            return Err(Refusal::new("host", problem).hint("write --host '*' when all are meant"));
        }
        to_come(proposal, "until")?;
        at_most(proposal, SILENCE_DAYS_MAX, "a silence")
    },
};
