//! Which hosts there are, and which of them count: groups, scope, inventories.

use shared::decision::Value;
use shared::id::Digest;

use super::super::Proposal;
use super::super::kind::{FieldKind, Ids, Kind, NEW, Refusal, StepKind, many, one};
use crate::inventory;

/// A group of hosts.
pub(super) static GROUP: Kind = Kind {
    name: "group",
    title: "Groups of hosts",
    about: "Hosts that belong together, by their names: a site, a service, a customer. Scope, \
            exceptions, alerts and assessments can name a group.",
    source: "ISO/IEC 27001:2022 A.5.9",
    ids: Ids::Named,
    fields: &[
        many("member", FieldKind::Machine, "host, or several: web-*"),
        one("owner", FieldKind::Person, "who answers for these hosts"),
        one("purpose", FieldKind::Text, "what they are for"),
    ],
    steps: &[
        StepKind {
            name: "define",
            about: "name a group and its members; once more to change them",
            from: &[NEW, "defined", "ended"],
            to: "defined",
            must: &["member"],
            may: &["owner", "purpose"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "end",
            about: "the group is no more",
            from: &["defined"],
            to: "ended",
            must: &[],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[],
    example: "group define databases --member 'db-*' --member pg.example --owner ada",
    rule: |_any| Ok(()),
};

/// What is in the scope of the management system.
pub(super) static SCOPE: Kind = Kind {
    name: "scope",
    title: "Scope",
    about: "Which hosts are in the scope of the management system, and which are not, with the \
            reason. Without any entry all enrolled hosts are in. The latest entry that names a host \
            decides.",
    source: "ISO/IEC 27001:2022 4.3",
    ids: Ids::Numbered("SC"),
    fields: &[
        many(
            "host",
            FieldKind::Machine,
            "machine, or several: test-*; also one that is not enrolled, by name or address",
        ),
        many("group", FieldKind::Group, "group of hosts"),
        one(
            "reason",
            FieldKind::Text,
            "why, in words that an auditor can check",
        ),
    ],
    steps: &[
        StepKind {
            name: "include",
            about: "these hosts are in",
            from: &[NEW],
            to: "in",
            must: &["reason"],
            may: &["host", "group"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "exclude",
            about: "these hosts are not in",
            from: &[NEW],
            to: "out",
            must: &["reason"],
            may: &["host", "group"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "end",
            about: "the entry counts no more",
            from: &["in", "out"],
            to: "ended",
            must: &["reason"],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[],
    example: "scope exclude --host 'lab-*' --reason \"no data of customers, a network of its own\"",
    rule: scope,
};

fn scope(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    if proposal.list("host").is_empty() && proposal.list("group").is_empty() {
        return Err(Refusal::new("host", "a host or a group must be named"));
    }
    Ok(())
}

/// A list of hosts that another system keeps.
pub(super) static INVENTORY: Kind = Kind {
    name: "inventory",
    title: "Inventories",
    about: "Lists of hosts that other systems keep: an asset register, a hypervisor, a cloud. Two of \
            them, and what the evidence itself reveals, show which hosts are missing here. Auditors \
            ask how you know that it is all of them.",
    source: "ISO/IEC 27001:2022 A.5.9",
    ids: Ids::Named,
    fields: &[
        one(
            "document",
            FieldKind::Document,
            "the list: CSV with a column `host`",
        ),
        one(
            "hosts",
            FieldKind::Number {
                least: 0,
                most: 1_000_000,
                unit: "hosts",
            },
            "how many it lists",
        ),
        one(
            "dated",
            FieldKind::Instant,
            "when the other system wrote it",
        ),
        one("owner", FieldKind::Person, "who answers for the list"),
        one(
            "origin",
            FieldKind::Text,
            "which system it is from, and which query",
        ),
    ],
    steps: &[
        StepKind {
            name: "bring",
            about: "bring a list, in place of the one before of this name; `population import` does it",
            from: &[NEW, "current", "ended"],
            to: "current",
            must: &["document", "hosts", "origin"],
            may: &["dated", "owner"],
            who: &[],
            clears: &[],
        },
        StepKind {
            name: "end",
            about: "the list counts no more",
            from: &["current"],
            to: "ended",
            must: &[],
            may: &[],
            who: &[],
            clears: &[],
        },
    ],
    due: &[],
    example: "population import --name cmdb --origin \"CMDB, all servers in operation\" hosts.csv",
    rule: inventory,
};

/// The list must be one: it is read here as it will be read ever after.
fn inventory(proposal: &Proposal<'_>) -> Result<(), Refusal> {
    if proposal.step.name != "bring" {
        return Ok(());
    }
    let digest = proposal.text("document").and_then(|text| text.parse().ok());
    let list = digest.and_then(|digest: Digest| (proposal.terms.document)(&digest));
    let Some(list) = list else {
        return Err(Refusal::new("document", "the file was not given with it"));
    };
    let listed = inventory::read("the list", &list).map_err(|faults| {
        let shown: Vec<_> = faults.into_iter().map(|fault| fault.shown).collect();
        Refusal::new(
            "document",
            format!("it cannot be read:\n{}", shown.join("\n\n")),
        )
        .hint("CSV with a heading: host, and perhaps address, group, owner, note")
    })?;
    let said = proposal.fields.get("hosts");
    let count = i64::try_from(listed.len()).unwrap_or(i64::MAX);
    if said == Some(&Value::Number(count)) {
        Ok(())
    } else {
        Err(Refusal::new("hosts", format!("the list has {count} hosts")))
    }
}
