//! The house rules, as tests: a rule that is not tested is a wish.
//!
//! Each rule is a function on the path and the text of one file, or on the names of all files,
//! that returns what is wrong; beside it stands a test that plants a violation and sees it found.
//! `EVIDENT_REFRESH=1 cargo test -p evident-tests --test tidy` writes the map of `README.md` and
//! the hashes of `shared/FORMAT.md` anew; read the difference before you commit it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod lexer;
mod tree;
mod order;
mod text;
mod documents;

use std::collections::BTreeSet;

use tree::{File, files, root};

/// Fails with all that is wrong, one complaint a line.
#[track_caller]
fn hold(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn sources() -> impl Iterator<Item = File> {
    files().into_iter().filter(|file| file.is("rs"))
}

fn refresh() -> bool {
    #[expect(clippy::disallowed_methods, reason = "the one switch of this test")]
    std::env::var("EVIDENT_REFRESH").is_ok_and(|value| value == "1")
}

/// Replaces a document when asked to, and says whether it was as it should be.
fn document(path: &str, wanted: impl FnOnce(&str) -> String) -> Vec<String> {
    let at = root().join(path);
    let text = tree::read(&at);
    let wanted = wanted(&text);
    if wanted == text {
        return Vec::new();
    }
    if refresh() {
        shared::durable::write(&at, wanted.as_bytes(), 0o644).unwrap();
        return Vec::new();
    }
    let line = text
        .lines()
        .zip(wanted.lines())
        .position(|(is, wanted)| is != wanted);
    vec![format!(
        "{path}: out of date from line {}; \
         EVIDENT_REFRESH=1 cargo test -p evident-tests --test tidy writes it anew",
        line.unwrap_or(0) + 1
    )]
}

#[test]
fn a_module_names_only_modules_above_it() {
    for member in ["shared", "agent", "collector"] {
        let lib = tree::read(&root().join(member).join("src/lib.rs"));
        let modules = order::modules(&lib);
        assert!(!modules.is_empty(), "{member} has no modules");
        // A program may have modules of its own, which stand above nothing.
        let program = root().join(member).join("src/main.rs");
        let program = if program.exists() {
            order::modules(&tree::read(&program))
        } else {
            Vec::new()
        };
        let prefix = format!("{member}/src/");
        for file in sources().filter(|file| file.path.starts_with(&prefix)) {
            let inner = file.path.strip_prefix(&prefix).unwrap();
            hold(&order::check((&modules, &program), inner, &file.text));
        }
    }
}

#[test]
fn sources_are_plain_short_and_say_what_they_are() {
    let complaints: Vec<String> = sources()
        .flat_map(|file| text::source(&file.path, &file.text))
        .collect();
    hold(&complaints);
}

#[test]
fn texts_hold_no_leftovers() {
    let complaints: Vec<String> = files()
        .iter()
        .filter(|file| !tree::recorded(&file.path))
        .flat_map(|file| text::any(&file.path, &file.text))
        .collect();
    hold(&complaints);
}

#[test]
fn the_top_level_holds_what_it_should() {
    let names: Vec<String> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    hold(&tree::top_level(&names));
}

#[test]
fn the_map_names_every_source() {
    let sources: Vec<File> = sources().collect();
    hold(&document("README.md", |readme| {
        documents::with_map(readme, &sources).expect("README.md has a map")
    }));
}

#[test]
fn documents_name_what_exists() {
    let all = files();
    let complaints: Vec<String> = all
        .iter()
        .filter(|file| file.is("md"))
        .flat_map(|file| documents::names(&file.path, &file.text, &all))
        .collect();
    hold(&complaints);
}

#[test]
fn the_formats_are_those_that_the_document_describes() {
    hold(&document("shared/FORMAT.md", |format| {
        documents::with_hashes(format, |name| {
            tree::read(&root().join("shared/src").join(name))
        })
    }));
    let format = tree::read(&root().join("shared/FORMAT.md"));
    let described: BTreeSet<&str> = documents::described(&format).collect();
    let wanted = BTreeSet::from(documents::FORMATS);
    assert_eq!(described, wanted, "shared/FORMAT.md ends in these lines");
}

#[test]
fn every_check_names_a_known_probe() {
    let complaints: Vec<String> = files()
        .iter()
        .filter(|file| file.path.starts_with("config/catalog/checks/"))
        .filter_map(|file| tree::check_file(&file.path, &file.text))
        .collect();
    hold(&complaints);
}
