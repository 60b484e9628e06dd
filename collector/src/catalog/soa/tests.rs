//! Tests of the statement of applicability.

use super::*;
use crate::catalog::{Catalog, CatalogError};

/// A statement that has all that people must say.
fn whole() -> String {
    Soa::template()
        .replace("justification = \"\"", "justification = \"Risk R-1\"")
        .replace("owner = \"\"", "owner = \"ada\"")
}

fn read(text: &str) -> Soa {
    let catalog = Catalog::embedded().unwrap();
    Soa::read("soa.toml", text, Some(&catalog)).unwrap_or_else(|error| panic!("{error}"))
}

/// The row of a control in the text of a statement, and the text with another in its place.
fn with(text: &str, id: &str, from: &str, to: &str) -> String {
    let (before, after) = text.split_once(&format!("id = \"{id}\"")).unwrap();
    assert!(after.contains(from), "{id} {from}");
    format!("{before}id = \"{id}\"{}", after.replacen(from, to, 1))
}

fn said(findings: &[Finding]) -> Vec<String> {
    let findings = findings.iter();
    findings
        .map(|f| format!("{} {}", f.control, f.what))
        .collect()
}

#[test]
fn a_template_says_nothing_and_is_no_statement_to_approve() {
    let soa = read(&Soa::template());
    assert_eq!(soa.rows.len(), 93);
    assert_eq!(soa.digest, Digest::of(Soa::template().as_bytes()));
    let gaps = soa.gaps();
    assert_eq!(gaps.len(), 93);
    assert!(gaps.iter().all(|gap| gap.what.blocks()));
    // No word of it was said by anybody.
    let silent = |row: &Row| row.justification.is_empty() && row.owner.is_none();
    assert!(soa.rows.iter().all(silent));
    assert_eq!(soa.inconsistencies().len(), 2 * 93);
    assert_eq!(read(&whole()).inconsistencies(), []);
}

#[test]
fn what_does_not_hang_together_is_found() {
    let mut text = whole();
    for (id, from, to) in [
        ("A.5.1", "\"Risk R-1\"", "\" \\n \""),
        ("A.5.2", "owner = \"ada\"\n", ""),
        ("A.5.3", "applicable = true", "applicable = false"),
        ("A.5.3", "\"Risk R-1\"", "\"\""),
        ("A.5.4", "applicable = true", "applicable = false"),
        ("A.5.4", "not implemented", "partly"),
        ("A.8.13", "applicable = true", "applicable = false"),
        ("A.8.13", "state = \"not implemented\"\n", ""),
        ("A.8.14", "owner = \"ada\"", "owner = \"bob\""),
        ("A.8.17", "not implemented", "implemented"),
    ] {
        text = with(&text, id, from, to);
    }
    let soa = read(&text);
    assert_eq!(
        said(&soa.gaps()),
        [
            "A.5.1 applicable, and nobody has said why",
            "A.5.3 excluded without a reason"
        ]
    );
    let inside = [
        "A.5.1 applicable, and nobody has said why",
        "A.5.2 applicable, and nobody answers for it",
        "A.5.3 excluded without a reason",
        "A.5.4 excluded, and its state is `partly`",
    ];
    assert_eq!(said(&soa.inconsistencies()), inside);
    let people = BTreeSet::from(["ada".parse().unwrap()]);
    let mut live: BTreeMap<_, _> = soa.rows.iter().map(|row| (row.id.clone(), 3)).collect();
    let _gone = live.remove("A.8.17");
    live.insert("A.8.15".to_owned(), 0);
    live.insert("A.8.13".to_owned(), 1);
    let held = [
        "A.5.1 applicable, and nobody has said why",
        "A.5.2 applicable, and nobody answers for it",
        "A.5.3 excluded without a reason",
        "A.5.3 excluded, and 3 pieces of evidence count for it",
        "A.5.4 excluded, and 3 pieces of evidence count for it",
        "A.5.4 excluded, and its state is `partly`",
        "A.8.13 excluded, and 1 piece of evidence counts for it",
        "A.8.14 its owner `bob` is no person who is known",
        "A.8.15 applicable without evidence (not implemented)",
        "A.8.17 applicable without evidence (implemented)",
    ];
    assert_eq!(said(&soa.held_against(&people, &live)), held);
}

/// What is wrong, the control, what is taken from its row, and what stands there instead.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("an unknown control", "A.8.13", "A.8.13", "A.8.133"),
    ("a control of 2013", "A.8.13", "A.8.13", "A.12.3.1"),
    ("a control twice", "A.8.13", "A.8.13", "A.8.12"),
    ("no flag", "A.8.13", "true", "\"yes\""),
    ("a number for a text", "A.8.13", "\"Risk R-1\"", "1"),
    (
        "no justification at all",
        "A.8.13",
        "justification = \"Risk R-1\"\n",
        "",
    ),
    ("an unknown state", "A.8.13", "not implemented", "partial"),
    ("no state", "A.8.13", "state = \"not implemented\"\n", ""),
    (
        "no name of a person",
        "A.8.13",
        "\"ada\"",
        "\"Ada Lovelace\"",
    ),
    (
        "no id of a risk",
        "A.8.13",
        "risks = []",
        "risks = [\"R-1\", \"all of them\"]",
    ),
    (
        "a risk twice",
        "A.8.13",
        "risks = []",
        "risks = [\"R-1\", \"R-1\"]",
    ),
    (
        "no id of a document",
        "A.8.13",
        "documents = []",
        "documents = [\"\"]",
    ),
    (
        "an unknown check",
        "A.8.13",
        "checks = []",
        "checks = [\"backup.recently\"]",
    ),
    (
        "a check of another control",
        "A.8.13",
        "checks = []",
        "checks = [\"clock.synchronised\"]",
    ),
    (
        "a check of a control without",
        "A.7.1",
        "checks = []",
        "checks = [\"clock.synchronised\"]",
    ),
    (
        "a justification that nobody sees",
        "A.8.13",
        "\"Risk R-1\"",
        "\"\\u200b\"",
    ),
    ("an unknown member", "A.8.13", "owner =", "owners ="),
    ("no TOML", "A.8.13", "owner =", "owner"),
];

/// The errors are part of the product: each is kept word for word in `wrong.txt`.
#[test]
fn wrong_statements_are_refused_with_their_place() {
    let catalog = Catalog::embedded().unwrap();
    let clock = catalog.checks_of("clock").count();
    assert!(0 < clock, "the examples need a check that is elsewhere");
    let whole = whole();
    let mut wrong: Vec<(&str, String)> = Vec::new();
    for (title, id, from, to) in WRONG {
        let (before, after) = whole.split_once(&format!("id = \"{id}\"")).unwrap();
        let row = format!("id = \"{id}\"{after}");
        let other = row.replacen(from, to, 1);
        assert_ne!(row, other, "{title}");
        wrong.push((title, format!("{before}{other}")));
    }
    let cut = |from: &str| whole.split_once(from).unwrap().0.to_owned();
    wrong.extend([
        (
            "the last control missing",
            cut("\n# Protection of information systems"),
        ),
        ("two controls missing", cut("\n# Test information\n")),
        (
            "another edition",
            whole.replace("edition = 2022", "edition = 2013"),
        ),
        ("no edition", whole.replace("edition = 2022", "")),
        ("nothing", String::new()),
    ]);
    let mut shown = String::new();
    for (title, text) in wrong {
        let refused = Soa::read("soa.toml", &text, Some(&catalog));
        let Err(CatalogError::Faults(faults)) = refused else {
            panic!("{title} is not refused");
        };
        assert_eq!(faults.len(), 1, "{title}: {faults:?}");
        let fault = faults.first().unwrap();
        // The hint may list every check of the catalogue, which grows.
        let near = "checks that bear on it are: ";
        let cut = fault.shown.split_once(near);
        let known = cut.map_or(fault.shown.clone(), |(text, _)| format!("{text}{near}.."));
        for part in ["=== ", title, "\n", &known, "\n\n"] {
            shown.push_str(part);
        }
    }
    assert!(
        shown == include_str!("wrong.txt"),
        "wrong.txt should be:\n{shown}"
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = with(&whole(), "A.5.1", "owner = \"ada\"", "owner = \"Ada\"");
    let text = with(&text, "A.5.2", "risks = []", "risks = [\"?\"]");
    let Err(CatalogError::Faults(faults)) = Soa::read("soa.toml", &text, None) else {
        panic!("not refused");
    };
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn a_version_of_the_past_may_name_checks_of_its_time() {
    let text = with(
        &whole(),
        "A.8.13",
        "checks = []",
        "checks = [\"gone.check\"]",
    );
    let past = Soa::read("soa.toml", &text, None).unwrap();
    let row = past.rows.iter().find(|row| row.id == "A.8.13").unwrap();
    assert_eq!(row.checks, ["gone.check"]);
}

#[test]
fn versions_are_compared_by_what_they_say() {
    let before = read(&whole());
    let same = read(&whole().replace("# Statement", "# Our statement"));
    assert_ne!(before.digest, same.digest);
    assert_eq!(before.difference(&same).changes, []);
    let text = with(&whole(), "A.8.13", "\"Risk R-1\"", "\"Contract C-2\"");
    let text = with(&text, "A.5.1", "not implemented", "implemented");
    let text = with(&text, "A.5.1", "checks = []", "note = \"seen\"");
    let changes = before.difference(&read(&text)).changes;
    let changes = changes.iter().map(|change| {
        let Change {
            control,
            member,
            before,
            after,
        } = change;
        format!("{control} {member}: {before} -> {after}")
    });
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [
            "A.5.1 state: not implemented -> implemented",
            "A.5.1 note:  -> seen",
            "A.8.13 justification: Risk R-1 -> Contract C-2",
        ]
    );
}

#[test]
fn a_spreadsheet_gets_each_cell_as_it_is_and_runs_none() {
    let text = with(
        &whole(),
        "A.5.1",
        "\"Risk R-1\"",
        "\"law, \\\"and\\\"\\nrisk\"",
    );
    let text = with(&text, "A.5.2", "\"Risk R-1\"", "\"=1+1\"");
    let text = with(&text, "A.5.2", "risks = []", "risks = [\"R-1\", \"R-2\"]");
    let csv = read(&text).csv();
    assert!(csv.starts_with(
        "id,title,applicable,justification,state,owner,risks,documents,checks,note\r\n\
         A.5.1,Policies for information security,yes,\"law, \"\"and\"\"\nrisk\",not implemented,\
         ada,,,,\r\n\
         A.5.2,Information security roles and responsibilities,yes,'=1+1,not implemented,ada,\
         R-1 R-2,,,\r\n"
    ));
    assert_eq!(csv.matches("\r\n").count(), 94);
}
