//! Decisions in force at an instant, as those who assess and alert want them.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::id::{AgentId, Digest, PersonId};
use shared::time::Timestamp;

use super::{Due, FieldKind, Kind, Pattern, Record, Register, instant, kind, list, revision, text};

/// Which findings a decision is about. Each list that is empty names all; of those that are not,
/// one member must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Controls.
    pub controls: Vec<String>,
    /// Checks.
    pub checks: Vec<String>,
    /// Hosts by name or pattern; a host of one of the groups counts too.
    pub hosts: Vec<Pattern>,
    /// Groups.
    pub groups: Vec<String>,
}

/// An exception that was approved and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Id, e.g. `EX-3`.
    pub id: String,
    /// What it covers. Where it names checks and controls, both must match. Of a group those hosts
    /// count that were its members at the approval: they are among `hosts`, and `groups` is empty.
    pub reach: Reach,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Who approved it.
    pub approver: String,
    /// Since when it is in force.
    pub from: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// The decision that approved it.
    pub record: Digest,
}

/// An acknowledgement or a silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Id, e.g. `ACK-2`.
    pub id: String,
    /// What it is about.
    pub reach: Reach,
    /// The highest severity that it is about; `None` for all.
    pub severity: Option<String>,
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub by: String,
    /// Since when.
    pub from: Timestamp,
    /// When it ends; `None` while it lasts.
    pub until: Option<Timestamp>,
    /// The decision.
    pub record: Digest,
}

/// A rule of the scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRule {
    /// Id, e.g. `SC-1`.
    pub id: String,
    /// The hosts are in.
    pub included: bool,
    /// Which hosts.
    pub reach: Reach,
    /// Why.
    pub reason: String,
}

/// A version of the statement of applicability that was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SoaVersion {
    /// Id, e.g. `SOA-2`.
    pub id: String,
    /// How people call it.
    pub version: String,
    /// The file, a blob of the ledger.
    pub document: Digest,
    /// Since when it is in force.
    pub since: Timestamp,
    /// Who approved it.
    pub approver: String,
}

/// What a person concluded of a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conclusion {
    /// Id, e.g. `REV-7`.
    pub id: String,
    /// The control.
    pub control: String,
    /// Only for this group of hosts.
    pub group: Option<String>,
    /// The period.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// The words of the person.
    pub conclusion: String,
    /// Who concluded.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// On what it is based.
    pub comment: String,
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DueNow {
    /// The register.
    pub register: String,
    /// The record.
    pub id: String,
    /// The field with the date.
    pub field: String,
    /// When it is due; a day ends at its end, in UTC.
    pub at: Timestamp,
    /// Since when it is to be told: so many days ahead, and not before it was said.
    pub since: Timestamp,
    /// What is due, e.g. `ends`.
    pub what: String,
    /// Who answers for it; may be empty.
    pub owner: String,
}

/// The members of each group, by its name.
pub type Groups = BTreeMap<String, Vec<Pattern>>;

impl Reach {
    /// What a record is about.
    fn of(record: &Record) -> Self {
        let texts = |field: &str| -> Vec<String> {
            record.list(field).into_iter().map(str::to_owned).collect()
        };
        Self {
            controls: texts("control"),
            checks: texts("check"),
            hosts: record
                .list("host")
                .into_iter()
                .filter_map(Pattern::new)
                .collect(),
            groups: texts("group"),
        }
    }

    /// Whether it is about this check on this host, which bears on these controls and is in these
    /// groups.
    #[must_use]
    pub fn covers(
        &self,
        (check, controls): (&str, &[&str]),
        (host, groups): (&str, &[&str]),
    ) -> bool {
        let check = self.checks.is_empty() || self.checks.iter().any(|one| one == check);
        let control = self.controls.is_empty()
            || self
                .controls
                .iter()
                .any(|one| controls.contains(&one.as_str()));
        check && control && self.names(host, groups)
    }

    /// Whether it is about this host, which is in these groups.
    #[must_use]
    pub fn names(&self, host: &str, groups: &[&str]) -> bool {
        let all = self.hosts.is_empty() && self.groups.is_empty();
        all || self.hosts.iter().any(|pattern| pattern.matches(host))
            || self.groups.iter().any(|one| groups.contains(&one.as_str()))
    }
}

impl Register {
    /// The exceptions in force at an instant.
    #[must_use]
    pub fn exceptions(&self, at: Timestamp) -> Vec<Exception> {
        let all = self.records("exception").into_iter();
        let approved = all.filter(|record| record.state == "approved");
        approved
            .filter_map(|record| {
                let approval = record.last("approve")?;
                let until = record.instant("until").filter(|until| at < *until)?;
                Some(Exception {
                    id: record.id.clone(),
                    reach: self.reach(record, "approve")?,
                    reason: record.text("reason").unwrap_or_default().to_owned(),
                    owner: record.text("owner").unwrap_or_default().to_owned(),
                    approver: approval.by.clone(),
                    from: approval.at,
                    until,
                    record: approval.record,
                })
            })
            .collect()
    }

    /// What a record was about when this step was last taken: of a group those patterns count that
    /// it had then, so that whoever widens it later widens nothing else. `None` when the step was
    /// not taken, or when nothing is left of what was named.
    #[must_use]
    pub fn reach(&self, record: &Record, step: &str) -> Option<Reach> {
        let taken = record.last(step)?.entry;
        let mut reach = Reach::of(record);
        let all = reach.hosts.is_empty() && reach.groups.is_empty();
        for group in std::mem::take(&mut reach.groups) {
            let defined = self.record("group", &group);
            let events = defined.map_or(&[][..], |group| &group.history);
            let then = events.iter().rev().find(|event| event.entry < taken);
            let members = then.map_or_else(Vec::new, |event| list(&event.fields, "member"));
            reach
                .hosts
                .extend(members.into_iter().filter_map(Pattern::new));
        }
        (all || !reach.hosts.is_empty()).then_some(reach)
    }

    /// The acknowledgements in force at an instant.
    #[must_use]
    pub fn acknowledgements(&self, at: Timestamp) -> Vec<Note> {
        self.notes("acknowledgement", "given", "comment", at)
    }

    /// The silences in force at an instant.
    #[must_use]
    pub fn silences(&self, at: Timestamp) -> Vec<Note> {
        self.notes("silence", "begun", "reason", at)
    }

    fn notes(&self, register: &str, state: &str, reason: &str, at: Timestamp) -> Vec<Note> {
        let all = self.records(register).into_iter();
        let lasting = all.filter(|record| record.state == state);
        lasting
            .filter_map(|record| {
                let given = record.history.last()?;
                let until = record.instant("until");
                let lasts = until.is_none_or(|until| at < until);
                let reach = self.reach(record, &given.step)?;
                lasts.then(|| Note {
                    id: record.id.clone(),
                    reach,
                    severity: record.text("severity").map(str::to_owned),
                    reason: record.text(reason).unwrap_or_default().to_owned(),
                    by: given.by.clone(),
                    from: given.at,
                    until,
                    record: given.record,
                })
            })
            .collect()
    }

    /// All groups with their members.
    #[must_use]
    pub fn groups(&self) -> Groups {
        let all = self.records("group").into_iter();
        let defined = all.filter(|record| record.state == "defined");
        let members = |record: &Record| {
            record
                .list("member")
                .into_iter()
                .filter_map(Pattern::new)
                .collect()
        };
        defined
            .map(|record| (record.id.clone(), members(record)))
            .collect()
    }

    /// The rules of the scope, the latest first: the first one that names a host decides. Without
    /// one every host is in.
    #[must_use]
    pub fn scope(&self) -> Vec<ScopeRule> {
        let all = self.records("scope").into_iter().rev();
        let lasting = all.filter(|record| ["in", "out"].contains(&record.state.as_str()));
        lasting
            .map(|record| ScopeRule {
                id: record.id.clone(),
                included: record.state == "in",
                reach: Reach::of(record),
                reason: record.text("reason").unwrap_or_default().to_owned(),
            })
            .collect()
    }

    /// The statement of applicability in force; `None` until the first was approved.
    #[must_use]
    pub fn soa(&self) -> Option<SoaVersion> {
        let all = self.records("applicability").into_iter();
        let approved = all.filter(|record| record.state == "approved");
        let versions = approved.filter_map(|record| {
            let approval = record.last("approve")?;
            let version = SoaVersion {
                id: record.id.clone(),
                version: record.text("version")?.to_owned(),
                document: record.text("document")?.parse().ok()?,
                since: approval.at,
                approver: approval.by.clone(),
            };
            Some((approval.entry, version))
        });
        versions
            .max_by_key(|(entry, _version)| *entry)
            .map(|(_entry, version)| version)
    }

    /// What people concluded, the latest first.
    #[must_use]
    pub fn conclusions(&self) -> Vec<Conclusion> {
        let all = self.records("review").into_iter().rev();
        let lasting = all.filter(|record| record.state == "concluded");
        lasting
            .filter_map(|record| {
                let event = record.last("conclude")?;
                Some(Conclusion {
                    id: record.id.clone(),
                    control: record.text("control")?.to_owned(),
                    group: record.text("group").map(str::to_owned),
                    from: record.instant("from")?,
                    to: record.instant("to")?,
                    conclusion: record.text("conclusion")?.to_owned(),
                    by: event.by.clone(),
                    at: event.at,
                    comment: record.text("comment").unwrap_or_default().to_owned(),
                })
            })
            .collect()
    }

    /// Everything that is due at an instant or soon after it, the oldest first.
    #[must_use]
    pub fn due(&self, at: Timestamp) -> Vec<DueNow> {
        let all = self.records.iter();
        let known = all.filter_map(|(name, records)| Some((kind(name)?, records.values())));
        let dated = known.flat_map(|(kind, records)| {
            records.flat_map(move |record| kind.due.iter().map(move |due| (kind, record, due)))
        });
        let mut due: Vec<_> = dated
            .filter_map(|(kind, record, due)| due_now(kind, record, due, at))
            .collect();
        due.sort_by_key(|one| one.at);
        due
    }

    /// Whether this is the id of a person who may decide.
    #[must_use]
    pub fn is_active(&self, id: &str) -> bool {
        let id = id.parse::<PersonId>();
        let person = id.as_ref().ok().and_then(|id| self.person(id));
        person.is_some_and(|person| person.active)
    }
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// What is due of a record at an instant; of a document the revision that counts, whatever was
/// brought after it.
fn due_now(kind: &Kind, record: &Record, due: &Due, at: Timestamp) -> Option<DueNow> {
    let revision = (kind.name == "document").then(|| revision::counting(record));
    let (fields, state, begun) = match &revision {
        Some(counting) => {
            let counting = counting.as_ref()?;
            (&counting.fields, "approved", Some(counting.approved.at))
        }
        None => (&record.fields, record.state.as_str(), record.since(kind)),
    };
    if !due.states.contains(&state) {
        return None;
    }
    let whole = kind.field(due.field)?.kind == FieldKind::Day;
    let date = instant(fields, due.field)?.plus_ms(if whole { DAY_MS } else { 0 });
    let told = date.plus_ms(due.ahead_days.saturating_mul(DAY_MS).saturating_neg());
    let said = record.history.iter().rev();
    let mut said = said.filter(|event| event.fields.contains_key(due.field));
    let said = said.next().map(|event| event.at);
    let owner = text(fields, "owner").unwrap_or_default();
    (told <= at).then(|| DueNow {
        register: kind.name.to_owned(),
        id: record.id.clone(),
        field: due.field.to_owned(),
        at: date,
        since: said.max(begun).map_or(told, |said| told.max(said)),
        what: due.what.to_owned(),
        owner: owner.to_owned(),
    })
}

/// The groups that a host is in.
#[must_use]
pub fn groups_of<'a>(groups: &'a Groups, host: &AgentId) -> Vec<&'a str> {
    let member = |patterns: &[Pattern]| patterns.iter().any(|one| one.matches(host.as_str()));
    let all = groups.iter().filter(|(_name, patterns)| member(patterns));
    all.map(|(name, _patterns)| name.as_str()).collect()
}
