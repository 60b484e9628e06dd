//! Machines that are missing or unknown, as people are told of them.

use std::collections::BTreeMap;

use super::{Condition, ConditionKind};
use crate::catalog::Severity;
use crate::population::{Population, Row, State};

/// The control that an inventory is about.
const CONTROL: &str = "A.5.9";

/// What is wrong with the population, in the order of the keys.
///
/// Without a list nothing says who should be there, so a machine that is only seen is then no
/// news. Silence of a host is told as such, and not here.
#[must_use]
pub fn of_population(population: &Population) -> Vec<Condition> {
    let listed = !population.lists.is_empty();
    let rows = population.machines.iter();
    let mut found: Vec<_> = rows
        .filter_map(|row| of_row(population, row, listed))
        .collect();
    found.sort_by(|one, other| one.key.cmp(&other.key));
    found
}

fn of_row(population: &Population, row: &Row, listed: bool) -> Option<Condition> {
    let name = &row.name;
    let lists: Vec<&str> = row.listed.iter().map(|place| place.list.as_str()).collect();
    let lists = lists.join(", ");
    let alive = row.seen.iter().find(|seen| seen.way.is_sign_of_life());
    let (word, severity, text) = match row.state {
        State::Expected => {
            let gone = row.retired.map(|at| format!(" (revoked {at})"));
            let gone = gone.unwrap_or_default();
            let text = format!(
                "`{name}` is in {lists} and not enrolled{gone}. Do: enrol it, or correct the list, or leave \
                 it out of the scope with a reason"
            );
            ("expected", Severity::High, text)
        }
        State::Seen if listed => {
            let text = format!(
                "`{name}` was seen and is on no list. Do: find out what it is, then list and enrol \
                 it, or leave it out of the scope with a reason"
            );
            ("seen", Severity::Medium, text)
        }
        State::Retired => {
            let seen = alive.filter(|seen| row.retired.is_some_and(|at| at < seen.at))?;
            let text = format!(
                "`{name}` was retired, and {} still sees it ({}). Do: find out whether it runs",
                seen.by,
                seen.way.as_str()
            );
            ("retired", Severity::Medium, text)
        }
        State::Seen | State::Enrolled | State::Silent | State::OutOfScope => return None,
    };
    let brought = population.lists.iter().filter(|list| {
        let mut places = row.listed.iter();
        places.any(|place| place.list == list.name)
    });
    let first = row.seen.iter().map(|seen| seen.at);
    let since = brought.clone().map(|list| list.dated).chain(first).min();
    let mut evidence: Vec<_> = brought.map(|list| list.record).collect();
    evidence.extend(row.seen.iter().map(|seen| seen.record));
    evidence.sort_unstable();
    evidence.dedup();
    let mut facts = BTreeMap::from([("called".to_owned(), row.called.join(", "))]);
    if let Some(seen) = row.seen.first() {
        let by = format!("{} ({})", seen.by, seen.way.as_str());
        drop(facts.insert("seen by".to_owned(), by));
    }
    if !lists.is_empty() {
        drop(facts.insert("listed in".to_owned(), lists));
    }
    Some(Condition {
        key: format!("population/{word}/{name}"),
        kind: ConditionKind::Population,
        severity,
        host: row.host.clone(),
        groups: row.groups.clone(),
        check: None,
        controls: vec![CONTROL.to_owned()],
        owners: Vec::new(),
        since: since.unwrap_or(population.at),
        text,
        facts,
        evidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory;
    use crate::population::{Enrolled, Given, List, Told, Way, reconcile};
    use shared::id::Digest;
    use shared::time::Timestamp;

    fn told(by: &str, machine: &str, way: Way) -> Told {
        Told {
            machine: inventory::Machine::read(machine).unwrap(),
            address: None,
            mac: String::new(),
            way,
            by: by.parse().unwrap(),
            at: Timestamp::default().plus_ms(2000),
            record: Digest::of(by.as_bytes()),
        }
    }

    #[test]
    fn who_is_missing_unknown_or_back_is_told() {
        let enrolled = |host: &str, retired: Option<i64>| Enrolled {
            host: host.parse().unwrap(),
            since: Timestamp::default(),
            retired: retired.map(|ms| Timestamp::default().plus_ms(ms)),
            silent: None,
            own: None,
        };
        let mut given = Given {
            at: Timestamp::default().plus_ms(3000),
            enrolled: vec![
                enrolled("web-1", None),
                enrolled("old-1", Some(1000)),
                enrolled("old-2", Some(1000)),
            ],
            lists: Vec::new(),
            told: vec![
                told("web-1", "printer-3", Way::Ssh),
                told("web-1", "old-1", Way::LogSender),
                // A key that is still known is no sign of life.
                told("web-1", "old-2", Way::Ssh),
            ],
            groups: &BTreeMap::new(),
            scope: &[],
        };
        let keys = |given: &Given<'_>| -> Vec<String> {
            let found = of_population(&reconcile(given));
            found.into_iter().map(|one| one.key).collect()
        };
        assert_eq!(keys(&given), ["population/retired/old-1"]);
        given.lists.push(List {
            name: "cmdb".to_owned(),
            document: Digest::of(b"list"),
            dated: Timestamp::default().plus_ms(500),
            record: Digest::of(b"decision"),
            hosts: inventory::read("cmdb", b"host\nweb-1\ndb-1\n").unwrap(),
        });
        let expected = [
            "population/expected/db-1",
            "population/retired/old-1",
            "population/seen/printer-3",
        ];
        assert_eq!(keys(&given), expected);
        let missing = of_population(&reconcile(&given)).swap_remove(0);
        assert_eq!(missing.since, Timestamp::default().plus_ms(500));
        assert_eq!(missing.evidence, [Digest::of(b"decision")]);
    }
}
