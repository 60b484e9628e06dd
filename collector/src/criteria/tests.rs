//! Tests of the catalogue in force.

use shared::checkpoint::Signer;

use super::*;

fn instant(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_767_355_200_000 + ms).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32]).unwrap()
}

fn ledger(dir: &std::path::Path) -> Ledger {
    Ledger::open(dir, Signer::new("c.example/evident/1", &[9; 32]).unwrap()).unwrap()
}

/// The catalogue inside, with one file changed.
fn other(name: &str, change: impl Fn(&str) -> String) -> Files {
    let files = Files::embedded();
    let files = files.iter().map(|(file, text)| {
        let text = if file == name {
            change(text)
        } else {
            text.to_owned()
        };
        (file.to_owned(), text.into_bytes())
    });
    Files::named(files.collect()).unwrap()
}

fn deciding(files: &Files, dropped: &[&str]) -> InForce {
    InForce {
        catalogue: Catalog::of(files).map_or(Digest::of(b""), |catalog| catalog.digest()),
        files: files.digests(),
        dropped: dropped.iter().map(|id| (*id).to_owned()).collect(),
        reason: "tried".to_owned(),
    }
}

#[test]
fn a_ledger_begins_with_the_catalogue_inside_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let decisions = key().public();
    let open = ledger(dir.path());
    assert!(in_force(&open, &decisions).unwrap().is_none());
    assert!(!is_inside_new(&open, &decisions).unwrap());
    let by = || "collector c.example".to_owned();
    assert!(begin(&open, &key(), by(), instant(0)).unwrap());
    assert!(!begin(&open, &key(), by(), instant(1)).unwrap());
    let check = |ledger: &Ledger| {
        assert_eq!(ledger.catalogues(), [0]);
        let known = in_force(ledger, &decisions).unwrap().unwrap();
        assert_eq!((known.index, known.since), (0, instant(0)));
        assert_eq!(known.files, Files::embedded());
        let inside = Catalog::embedded().unwrap().digest();
        assert_eq!(known.catalog.digest(), inside);
        assert_eq!(at_first(ledger, &decisions).unwrap().digest(), inside);
        assert!(!is_inside_new(ledger, &decisions).unwrap());
    };
    check(&open);
    drop(open);
    check(&ledger(dir.path()));
    let other = SigningKey::from_seed([8; 32]).unwrap().public();
    let refused = in_force(&ledger(dir.path()), &other);
    assert!(matches!(
        refused,
        Err(CriteriaError::Decision { index: 0, .. })
    ));
}

#[test]
fn what_changes_nothing_or_drops_in_silence_is_refused() {
    let now = Catalog::embedded().unwrap();
    let refused = |decided: &InForce, files: &Files| check(decided, files, &now).unwrap_err();

    let same = Files::embedded();
    let refusal = refused(&deciding(&same, &[]), &same);
    assert!(matches!(refusal, Refusal::Same), "{refusal}");
    assert_eq!(refusal.operand(), "catalogue");

    let fewer = other("checks/canary.toml", |_text| "check = []\n".to_owned());
    let refusal = refused(&deciding(&fewer, &["canary.local"]), &fewer);
    assert_eq!(
        refusal.to_string(),
        "it drops a check that is in force and must be named: canary.watched"
    );
    assert_eq!(refusal.hint(), "if that is wanted: --drop canary.watched");
    let all = deciding(&fewer, &["canary.local", "canary.watched"]);
    assert!(check(&all, &fewer, &now).is_ok());
    for reason in ["", " \n", "a\u{1b}[2Jb"] {
        let mut silent = all.clone();
        reason.clone_into(&mut silent.reason);
        assert!(matches!(refused(&silent, &fewer), Refusal::NoReason(_)));
    }
    let more = deciding(&fewer, &["canary.local", "canary.watched", "clock.zone"]);
    let refusal = refused(&more, &fewer);
    assert_eq!(
        refusal.to_string(),
        "`clock.zone` is said to be dropped, and it is not"
    );

    let said = deciding(&same, &["canary.local", "canary.watched"]);
    assert!(matches!(refused(&said, &fewer), Refusal::Other { .. }));
}

#[test]
fn a_control_on_which_a_check_bears_no_more_must_be_named() {
    let lighter = other("checks/clock.toml", |text| {
        let head = "[[check.control]]\ncontrol = \"A.5.28\"";
        let (before, rest) = text.split_once(head).unwrap();
        let next = rest.find("\n[[").unwrap();
        format!("{before}{}", &rest[next..])
    });
    let now = Catalog::embedded().unwrap();
    let refusal = check(&deciding(&lighter, &[]), &lighter, &now).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "it drops a mapping that is in force and must be named: clock.synchronised:A.5.28"
    );
    let lost = "clock.synchronised:A.5.28";
    assert_eq!(refusal.hint(), format!("if that is wanted: --drop {lost}"));
    assert!(check(&deciding(&lighter, &[lost]), &lighter, &now).is_ok());
}

#[test]
fn a_decision_about_a_catalogue_that_cannot_be_read_puts_none_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let open = ledger(dir.path());
    let by = "collector c.example".to_owned();
    assert!(begin(&open, &key(), by.clone(), instant(0)).unwrap());
    let decision = Decision {
        at: instant(1),
        by,
        statement: None,
        decides: Decided::Catalogue(deciding(&Files::embedded(), &[])),
    };
    let subject = vec![Subject::new("document", Digest::of(b"a")); 257];
    let statement = Statement::new(DECISION_TYPE, subject, decision);
    let body = serde_json::to_vec(&statement).unwrap();
    let entry = NewEntry {
        kind: LeafKind::Catalogue,
        stream: None,
        envelope: shared::dsse::seal(&key(), &body),
        received: instant(1),
    };
    let _appended = open
        .append_blocking(Submission {
            entries: vec![entry],
            blobs: Vec::new(),
        })
        .unwrap();
    let decisions = key().public();
    assert_eq!(open.catalogues(), [0, 1]);
    assert_eq!(entries(&open, &decisions).unwrap(), [0]);
    let known = in_force(&open, &decisions).unwrap().unwrap();
    assert_eq!(known.index, 0);
}

#[test]
fn a_wrong_file_is_shown_with_its_place() {
    let wrong = other("checks/clock.toml", |text| {
        text.replacen("fact.kernel_synchronised", "fact.kernel_synchronized", 1)
    });
    let now = Catalog::embedded().unwrap();
    let shown = check(&deciding(&wrong, &[]), &wrong, &now).unwrap_err();
    let text = shown.to_string();
    for part in [
        "--> checks/clock.toml:",
        "^",
        "did you mean `kernel_synchronised`?",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(shown.operand(), "files");
}

#[test]
fn a_catalogue_has_its_files_alone() {
    for name in [
        "",
        "controls.csv",
        "checks/.toml",
        "checks/../x.toml",
        "checks/a/b.toml",
        "/checks/a.toml",
        "checks/a.toml ",
    ] {
        let files = BTreeMap::from([(name.to_owned(), b"check = []".to_vec())]);
        assert!(
            matches!(Files::named(files), Err(CatalogError::Name(_))),
            "{name}"
        );
    }
    let bytes = BTreeMap::from([("checks/a.toml".to_owned(), vec![0xff])]);
    assert!(matches!(Files::named(bytes), Err(CatalogError::Text(_))));
    assert!(matches!(
        Catalog::of(&Files::default()),
        Err(CatalogError::Faults(_))
    ));
}
