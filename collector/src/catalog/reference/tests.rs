//! Tests of the reference data.

use std::collections::BTreeMap;

use super::*;
use crate::catalog::{Catalog, Strength};

fn reference() -> Reference {
    Reference::embedded().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_tables_are_whole() {
    let all = reference();
    let theme = |name| all.controls.iter().filter(|c| c.theme == name).count();
    let themes = ["Organizational", "People", "Physical", "Technological"].map(theme);
    assert_eq!((all.controls.len(), themes), (93, [37, 8, 14, 34]));
    let auditable = all.clauses.iter().filter(|clause| clause.auditable);
    assert_eq!((all.clauses.len(), auditable.count()), (41, 30));
    let duty = |duty| all.clauses.iter().filter(|c| c.documented == duty).count();
    assert_eq!([Duty::Yes, Duty::Partly].map(duty), [14, 1]);
    let kind = |kind| all.documents.iter().filter(|d| d.kind == kind).count();
    assert_eq!([Kind::Document, Kind::Record].map(kind), [22, 14]);
    assert_eq!(all.readiness.items.len(), 27);
    let bands = all.readiness.bands.iter().map(|band| (band.from, band.to));
    assert_eq!(
        bands.collect::<Vec<_>>(),
        [(0, 14), (15, 21), (22, 25), (26, 28)]
    );
    assert_eq!(all.requests.len(), 34);
    let years = |wanted: &[u8]| {
        all.surveillance
            .iter()
            .filter(|p| p.years == wanted)
            .count()
    };
    assert_eq!([years(&[1]), years(&[2]), years(&[1, 2])], [37, 34, 22]);
}

#[test]
fn every_control_of_2013_has_gone_somewhere() {
    let all = reference();
    let pairs: usize = all.old.iter().map(|old| old.now.len()).sum();
    assert_eq!((all.old.len(), pairs), (114, 115));
    // New, carried and merged: as many controls of 2013 as a control of 2022 carries.
    let mut carried = BTreeMap::new();
    for control in &all.controls {
        let before = all.before(&control.id).count();
        assert_eq!(before == 0, control.is_new_2022, "{}", control.id);
        *carried.entry(before.min(2)).or_insert(0) += 1;
    }
    assert_eq!(carried, BTreeMap::from([(0, 11), (1, 58), (2, 24)]));
    let parts = all.old.iter().filter(|old| 1 < old.now.len());
    let parts: Vec<_> = parts
        .map(|old| (old.id.as_str(), old.now.join(" ")))
        .collect();
    assert_eq!(parts, [("A.18.2.3", "A.5.36 A.8.8".to_owned())]);
}

#[test]
fn crosswalks_hold_the_pairs_of_their_sources() {
    let all = reference();
    let counts = all.crosswalks.iter().map(|crosswalk| {
        let controls = crosswalk.related.keys().filter(|id| id.starts_with("A."));
        let pairs: usize = crosswalk.related.values().map(Vec::len).sum();
        assert!(!crosswalk.supplied && !crosswalk.source.is_empty());
        let grade = crosswalk.grade.as_str();
        (crosswalk.name.as_str(), grade, controls.count(), pairs)
    });
    let wanted = [
        ("gdpr", "B", 22, 24),
        ("hipaa", "B+/B", 51, 86),
        ("ma-201-cmr-17", "B", 22, 30),
        ("nist-800-53r5", "A", 91, 642),
        ("nist-csf-2.0", "A", 67, 341),
        ("pci-dss-4.0", "B+/B", 75, 157),
        ("soc2", "B+/B", 78, 182),
    ];
    assert_eq!(counts.collect::<Vec<_>>(), wanted);
}

/// What is wrong, in which file, what is taken from it, and what stands there instead.
const WRONG: &[(&str, &str, &str, &str)] = &[
    (
        "no columns",
        "clauses.tsv",
        "id\ttitle\tauditable",
        "id\tname\tauditable",
    ),
    ("a column too few", "clauses.tsv", "4.1\tUnder", "4.1 Under"),
    ("a clause twice", "clauses.tsv", "4.2\t", "4.1\t"),
    (
        "a clause without the one above",
        "clauses.tsv",
        "6.1.1\t",
        "6.4.1\t",
    ),
    (
        "an unknown word",
        "clauses.tsv",
        "organization and its context\tyes",
        "organization and its context\tja",
    ),
    (
        "an unknown document",
        "clauses.tsv",
        "ISMS\tD01",
        "ISMS\tD99",
    ),
    (
        "a duty without a document",
        "clauses.tsv",
        "ISMS\tD01",
        "ISMS\t-",
    ),
    (
        "an unknown control of 2022",
        "controls_2013.tsv",
        "\tA.5.2\n",
        "\tA.5.72\n",
    ),
    (
        "editions mixed up",
        "controls_2013.tsv",
        "\tA.5.2\n",
        "\tA.6.1.1\n",
    ),
    (
        "a control of 2013 that is gone",
        "controls_2013.tsv",
        "\tA.5.2\n",
        "\t-\n",
    ),
    (
        "an unknown clause",
        "documents.tsv",
        "clause\t4.3",
        "clause\t4.9",
    ),
    ("a document twice", "documents.tsv", "\nD02", "\nD01"),
    (
        "an unknown control",
        "readiness.tsv",
        "A.5.24;A.5.25",
        "A.5.24;A.5.94",
    ),
    (
        "no question",
        "readiness.tsv",
        "Incident response plan in place.",
        "-",
    ),
    ("a band too late", "readiness_bands.tsv", "15\t21", "16\t21"),
    (
        "a band of words",
        "readiness_bands.tsv",
        "15\t21",
        "15\tmany",
    ),
    (
        "too few bands",
        "readiness_bands.tsv",
        "26\t28\tWell Prepared\tReady for audit\n",
        "",
    ),
    (
        "no population",
        "requests.tsv",
        "all endpoints in the asset inventory",
        "-\tall endpoints",
    ),
    (
        "a third surveillance",
        "surveillance_example.tsv",
        "\t1;2\t",
        "\t1;3\t",
    ),
    (
        "no framework",
        "crosswalk/soc2.tsv",
        "framework\t",
        "name\t",
    ),
    ("an unknown grade", "crosswalk/soc2.tsv", "B+/B", "A+"),
    (
        "no source",
        "crosswalk/soc2.tsv",
        "source\tderived",
        "derived",
    ),
    (
        "an unknown control in a crosswalk",
        "crosswalk/soc2.tsv",
        "\nA.5.2\t",
        "\nA.5.222\t",
    ),
    (
        "a control of 2013 in a crosswalk",
        "crosswalk/soc2.tsv",
        "\nA.5.2\t",
        "\nA.12.3.1\t",
    ),
    (
        "an unknown clause in a crosswalk",
        "crosswalk/nist-csf-2.0.tsv",
        "\n4.1\t",
        "\n4.9\t",
    ),
    (
        "a control twice in a crosswalk",
        "crosswalk/soc2.tsv",
        "\nA.5.2\t",
        "\nA.5.1\t",
    ),
    (
        "a pair twice",
        "crosswalk/soc2.tsv",
        "CC1.1;CC1.2",
        "CC1.1;CC1.1",
    ),
    (
        "a space",
        "crosswalk/soc2.tsv",
        "CC1.1;CC1.2",
        "CC1.1; CC1.2",
    ),
];

/// The errors are part of the product: each is kept word for word in `wrong.txt`.
#[test]
fn wrong_tables_are_refused_with_their_place() {
    let mut shown = String::new();
    for (title, file, from, to) in WRONG {
        let replaced = |all: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
            let text = |name: &str, text: &str| {
                if name == *file {
                    let other = text.replacen(from, to, 1);
                    assert_ne!(other, text, "{title}");
                    return other;
                }
                text.to_owned()
            };
            let texts = all.iter();
            texts.map(|(name, old)| (*name, text(name, old))).collect()
        };
        let (tables, crosswalks) = (replaced(TABLES), replaced(CROSSWALKS));
        let tables: Vec<_> = tables.iter().map(|(n, t)| (*n, t.as_str())).collect();
        let crosswalks: Vec<_> = crosswalks.iter().map(|(n, t)| (*n, t.as_str())).collect();
        let Err(CatalogError::Faults(faults)) = Reference::from_texts(&tables, &crosswalks) else {
            panic!("{title} is not refused");
        };
        let fault = faults.iter().find(|fault| fault.file == *file);
        let fault = fault.unwrap_or_else(|| panic!("{title}: {faults:?}"));
        for part in ["=== ", title, "\n", &fault.shown, "\n\n"] {
            shown.push_str(part);
        }
    }
    assert!(
        shown == include_str!("wrong.txt"),
        "wrong.txt should be:\n{shown}"
    );
}

const OWN: &str = "framework\tCIS Controls v8\r\ngrade\tC\r\nsource\ta table of our own, 2026\r\n\
                   id\trelated\r\nA.8.13\t11.1;11.2\r\n";

#[test]
fn crosswalks_of_the_user_stand_beside_those_inside() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cis.tsv");
    write(&file, OWN);
    let mut all = reference();
    all.add_crosswalks(folder.path()).unwrap();
    let found: Vec<_> = all.related_to("A.8.13").filter(|r| r.supplied).collect();
    let [own] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((own.crosswalk, own.framework), ("cis", "CIS Controls v8"));
    assert_eq!(own.source, "a table of our own, 2026");
    assert_eq!(own.ids, ["11.1", "11.2"]);
    // The same name twice, also that of one inside, would hide one of them.
    let before = all.clone();
    let twice = all.add_crosswalks(&file).unwrap_err().to_string();
    assert!(
        twice.contains("there is another crosswalk `cis`"),
        "{twice}"
    );
    write(&folder.path().join("soc2.tsv"), OWN);
    let inside = reference().add_crosswalks(folder.path()).unwrap_err();
    assert!(
        inside.to_string().contains("another crosswalk `soc2`"),
        "{inside}"
    );
    // What is wrong changes nothing.
    write(&file, &OWN.replace("A.8.13", "A.8.31x"));
    let wrong = all.add_crosswalks(&file).unwrap_err().to_string();
    assert!(wrong.contains("cis.tsv:5:1"), "{wrong}");
    assert_eq!(all, before);
    let gone = all
        .add_crosswalks(&folder.path().join("none.tsv"))
        .unwrap_err();
    assert!(matches!(gone, CatalogError::Read { .. }), "{gone}");
}

#[test]
fn editions_are_not_mixed_up() {
    let all = reference();
    let catalog = Catalog::embedded().unwrap();
    let wrong = |id| all.about(&catalog, id).unwrap_err().to_string();
    assert_eq!(
        wrong("A.18.2.3"),
        "`A.18.2.3` is a control of the 2013 edition; since 2022 its subject is in `A.5.36` and \
         `A.8.8`; ask for it with `--edition 2013`"
    );
    assert_eq!(
        wrong("A.8.131"),
        "there is no control `A.8.131` in Annex A; did you mean `A.8.11`?"
    );
    let wrong = |id| all.moved(id).unwrap_err().to_string();
    assert_eq!(
        wrong("A.8.13"),
        "`A.8.13` is a control of the 2022 edition; ask for it without `--edition 2013`"
    );
    assert_eq!(
        wrong("A.12.3.2"),
        "there is no control `A.12.3.2` in Annex A of 2013; did you mean `A.12.1.2`?"
    );
    let now = all.moved("A.12.3.1").unwrap().now;
    assert_eq!(
        now.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(),
        ["A.8.13"]
    );
    let about = all.about(&catalog, "A.8.13").unwrap();
    assert!(
        about
            .checks
            .is_sorted_by_key(|b| std::cmp::Reverse(b.strength))
    );
    assert_eq!(about.checks.first().unwrap().strength, Strength::Proves);
}

#[test]
fn answers_are_counted_and_never_given() {
    let readiness = reference().readiness;
    let none = readiness.score("r.toml", "").unwrap();
    assert_eq!((none.yes, none.of, none.unanswered.len()), (0, 27, 27));
    assert_eq!(none.band.unwrap().rating, "High Risk");
    let answers = |count: usize| {
        let lines = (1..=count).map(|n| format!("Q{n:02} = true"));
        lines.collect::<Vec<_>>().join("\n")
    };
    for (count, rating) in [
        (14, "High Risk"),
        (15, "Moderate Risk"),
        (21, "Moderate Risk"),
        (22, "Low Risk"),
        (25, "Low Risk"),
        (26, "Well Prepared"),
        (27, "Well Prepared"),
    ] {
        let score = readiness.score("r.toml", &answers(count)).unwrap();
        assert_eq!(
            (score.yes, score.band.unwrap().rating.as_str()),
            (count, rating)
        );
        assert_eq!(score.unanswered.len(), 27 - count);
    }
    let no = readiness
        .score("r.toml", "Q02 = false\nQ01 = true\n")
        .unwrap();
    assert_eq!((no.yes, no.no.len(), no.unanswered.len()), (1, 1, 25));
    for (text, place, message, hint) in [
        (
            "Q01 = true\nQ28 = true",
            (2, 1),
            "there is no question `Q28`",
            "did you mean `Q08`?",
        ),
        (
            "Q01 = \"yes\"",
            (1, 7),
            "this is no answer",
            "write `true` for yes and `false` for no",
        ),
        ("Q01 = true\nQ01 = true", (2, 1), "duplicate key", ""),
        ("Q01 true", (1, 5), "key with no value", "expected `=`"),
    ] {
        let Err(CatalogError::Faults(faults)) = readiness.score("r.toml", text) else {
            panic!("{text}");
        };
        let fault = faults.first().unwrap();
        let found = (
            (fault.line, fault.column),
            fault.message.as_str(),
            fault.hint.as_str(),
        );
        assert_eq!(found, (place, message, hint), "{text}");
    }
}

fn write(path: &Path, text: &str) {
    durable::write(path, text.as_bytes(), 0o600).unwrap();
}
