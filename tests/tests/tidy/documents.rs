//! Rules on documents: what they list is complete, and what they name exists.

use shared::id::Digest;

use crate::tree::File;

const MAP: (&str, &str) = ("<!-- map -->\n```text\n", "```\n<!-- end of map -->\n");

/// The files of `shared/src` whose formats `shared/FORMAT.md` describes.
pub(crate) const FORMATS: [&str; 15] = [
    "attestation.rs",
    "canary.rs",
    "checkpoint.rs",
    "checkpoint/note.rs",
    "checkpoint/proof.rs",
    "decision.rs",
    "dsse.rs",
    "exchange.rs",
    "leaf.rs",
    "observation.rs",
    "observed.rs",
    "pack.rs",
    "receipt.rs",
    "tile.rs",
    "wire.rs",
];

/// The document with a map that has one line for each source file: its path and its first sentence.
pub(crate) fn with_map(readme: &str, sources: &[File]) -> Option<String> {
    let (before, rest) = readme.split_once(MAP.0)?;
    let (_old, after) = rest.split_once(MAP.1)?;
    let width = sources.iter().map(|file| file.path.len()).max()?;
    let lines: Vec<String> = sources
        .iter()
        .map(|file| format!("{:width$}  {}\n", file.path, first_sentence(&file.text)))
        .collect();
    Some(format!(
        "{before}{}{}{}{after}",
        MAP.0,
        lines.concat(),
        MAP.1
    ))
}

/// The first sentence of the head of a source file, without its full stop.
fn first_sentence(text: &str) -> String {
    let head: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//! "))
        .collect();
    let head = head.join(" ");
    let end = head.find(". ").unwrap_or(head.len());
    head.get(..end)
        .unwrap_or(&head)
        .trim_end_matches('.')
        .to_owned()
}

/// The document with the present hashes of the files that it describes.
pub(crate) fn with_hashes(format: &str, read: impl Fn(&str) -> String) -> String {
    format
        .split_inclusive('\n')
        .map(|line| match describes(line.trim_end()) {
            Some(name) => {
                let hash = Digest::of(read(name).as_bytes());
                format!("Describes: {name} {hash}\n")
            }
            None => line.to_owned(),
        })
        .collect()
}

/// The files that the document says it describes.
pub(crate) fn described(format: &str) -> impl Iterator<Item = &str> {
    format.lines().filter_map(describes)
}

fn describes(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("Describes: ")?;
    let name = rest.split(' ').next()?;
    FORMATS.contains(&name).then_some(name)
}

/// What a document names in backquotes or as a link, and does not exist: a file as
/// `folder/name.ext`, a test as `folder/name.rs::function`.
pub(crate) fn names(path: &str, text: &str, all: &[File]) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _name)| folder);
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        let links = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for name in quoted.chain(links) {
            if !exists(name, folder, all) {
                wrong.push(format!("{path}:{}: `{name}` does not exist", at + 1));
            }
        }
    }
    wrong
}

fn exists(name: &str, folder: &str, all: &[File]) -> bool {
    let (file, function) = name.split_once("::").unwrap_or((name, ""));
    let ours = [
        "agent/",
        "collector/",
        "config/",
        "deploy/",
        "shared/",
        "tests/",
    ];
    let source = [".rs", ".md", ".toml", ".sh", ".tsv"];
    let names_source = source.iter().any(|end| file.ends_with(end));
    if !names_source || !ours.iter().any(|top| file.starts_with(top)) {
        return true;
    }
    let here = |candidate: &&File| {
        candidate.path == file || candidate.path.strip_prefix(folder) == Some(file)
    };
    all.iter()
        .find(here)
        .is_some_and(|found| function.is_empty() || found.text.contains(&format!("fn {function}(")))
}

#[cfg(test)]
fn planted(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn a_map_without_a_file_is_found() {
    let sources = [
        planted(
            "agent/src/a.rs",
            "//! Does this and\n//! that. And more.\n\nfn f() {}\n",
        ),
        planted("b.rs", "//! Other.\n"),
    ];
    let head = "x\n<!-- map -->\n```text\n";
    let tail = "```\n<!-- end of map -->\ny\n";
    let good = format!("{head}agent/src/a.rs  Does this and that\nb.rs            Other\n{tail}");
    assert_eq!(with_map(&good, &sources).unwrap(), good);
    let bad = format!("{head}b.rs            Other\n{tail}");
    assert_eq!(with_map(&bad, &sources).unwrap(), good);
    assert_eq!(with_map("no map", &sources), None);
}

#[test]
fn a_changed_format_is_found() {
    let good = with_hashes("x\nDescribes: dsse.rs 0\n", |_name| "1".to_owned());
    assert_eq!(with_hashes(&good, |_name| "1".to_owned()), good);
    assert_ne!(with_hashes(&good, |_name| "2".to_owned()), good);
    assert_eq!(described(&good).collect::<Vec<_>>(), ["dsse.rs"]);
}

#[test]
fn names_of_what_does_not_exist_are_found() {
    let all = [planted("agent/src/a.rs", "fn f() {}")];
    let count = |text: &str| names("README.md", text, &all).len();
    assert_eq!(
        count("`agent/src/a.rs` `agent/src/a.rs::f` `a::b` [x](https://a.b)"),
        0
    );
    assert_eq!(count("`agent/src/b.rs`"), 1);
    assert_eq!(count("`agent/src/a.rs::g`"), 1);
    assert_eq!(count("[x](config/y.md)"), 1);
}
