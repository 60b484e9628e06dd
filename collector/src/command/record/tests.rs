//! Tests of the commands of the registers.

use super::*;

/// The words of an example, as a shell takes them apart.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in text.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(std::mem::take(&mut word)),
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_register_has_a_command_and_its_example_is_one() {
    for kind in KINDS {
        command(kind).debug_assert();
        let words = words(kind.example);
        if words.first().map(String::as_str) != Some(kind.name) {
            continue;
        }
        let given = command(kind)
            .try_get_matches_from(&words)
            .unwrap_or_else(|error| panic!("{}: {error}", kind.example));
        let (step, _given) = given.subcommand().unwrap();
        assert!(kind.step(step).is_some(), "{}", kind.example);
    }
}

#[test]
fn what_is_said_becomes_fields() {
    let kind = register::kind("exception").unwrap();
    let given = command(kind)
        .try_get_matches_from([
            "exception",
            "propose",
            "--control",
            "A.8.13",
            "--control",
            "A.8.15",
            "--host",
            "db-1",
            "--reason",
            "new storage",
            "--owner",
            "ada",
            "--until",
            "2027-03-31T00:00:00Z",
        ])
        .unwrap();
    let (step, given) = given.subcommand().unwrap();
    let (fields, documents) = said(kind, kind.step(step).unwrap(), given).unwrap();
    assert!(documents.is_empty());
    assert_eq!(
        fields["control"],
        Value::List(vec!["A.8.13".to_owned(), "A.8.15".to_owned()])
    );
    assert_eq!(fields["owner"], Value::Text("ada".to_owned()));
    assert_eq!(fields.len(), 5);
}
