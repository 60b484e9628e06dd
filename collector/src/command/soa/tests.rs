//! Tests of what the commands about the statement of applicability print.

use super::*;

/// A statement in which all is said, with other words in two of its rows.
fn text(first: &str, second: &str) -> String {
    Soa::template()
        .replace("justification = \"\"", "justification = \"Risk R-1\"")
        .replace("owner = \"\"", "owner = \"ada\"")
        .replacen("justification = \"Risk R-1\"", first, 1)
        .replacen("owner = \"ada\"", second, 1)
}

fn soa(text: &str) -> Soa {
    Soa::read("soa.toml", text, None).unwrap()
}

#[test]
fn a_statement_is_shown_with_what_is_missing() {
    let soa = soa(&text("justification = \"\"", "note = \"since May\""));
    let findings = soa.inconsistencies();
    let text = shown(Page::new(100), &soa, &findings);
    let digest = soa.digest;
    let head = format!(
        "Statement of applicability {digest}\n\
         93 of 93 controls apply, 0 do not\n\n\
         A.5.1   not implemented Policies for information security\n                        \
         note since May\n\
         A.5.2   not implemented Information security roles and responsibilities\n                        \
         Risk R-1\n                        owner ada\n"
    );
    assert!(text.starts_with(&head), "{text}");
    let tail = "\n\n2 findings, 1 of them keep it from being approved\n  \
                A.5.1   applicable, and nobody has said why (blocks approval)\n  \
                A.5.1   applicable, and nobody answers for it\n";
    assert!(text.ends_with(tail), "{text}");
    assert_eq!(summary(&[]), "Nothing is missing");
}

#[test]
fn versions_are_shown_by_what_differs() {
    let before = soa(&text("justification = \"Risk R-1\"", "owner = \"ada\""));
    let after = soa(&text("justification = \"Contract C-2\"", "owner = \"\""));
    let text = differs(Page::new(100), &before.difference(&after));
    let wanted = format!(
        "before {}\nafter  {}\n\nA.5.1\n  \
         justification - Risk R-1\n                + Contract C-2\n  \
         owner         - ada\n                + (nothing)\n",
        before.digest, after.digest
    );
    assert_eq!(text, wanted);
    let same = differs(Page::new(100), &before.difference(&before));
    assert!(same.ends_with("\nThey say the same.\n"), "{same}");
}

#[test]
fn a_template_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("soa.toml");
    let said = export(Some(file.clone())).unwrap().text;
    assert!(said.contains("says nothing of them yet"), "{said}");
    assert_eq!(statement(&file, None).unwrap().gaps().len(), 93);
    let again = export(Some(file.clone())).unwrap_err().to_string();
    assert!(
        again.ends_with("is there already: name a new file"),
        "{again}"
    );
    write(&file, "edition = 2022\n[[control]]\nid = \"A.12.3.1\"\n");
    let wrong = statement(&file, None).unwrap_err().to_string();
    assert!(
        wrong.contains("soa.toml:2:1") && wrong.contains('^'),
        "{wrong}"
    );
}

fn write(path: &std::path::Path, text: &str) {
    durable::write(path, text.as_bytes(), 0o600).unwrap();
}
