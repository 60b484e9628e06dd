//! Rules on one file: its head, its length, its names, its lines.

use std::path::Path;

use crate::lexer::{self, Line};

const LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Names that say nothing.
const EMPTY_NAMES: [&str; 14] = [
    "base",
    "common",
    "core",
    "handler",
    "handlers",
    "helper",
    "helpers",
    "manager",
    "misc",
    "processor",
    "service",
    "types",
    "util",
    "utils",
];

/// What is wrong with a source file.
pub(crate) fn source(path: &str, text: &str) -> Vec<String> {
    let lines = lexer::lines(text);
    let mut wrong = Vec::new();
    if !text.starts_with("//! ") {
        wrong.push(format!("{path}:1: begins with `//!` and what the file is"));
    }
    if text.starts_with("//! To come") {
        wrong.push(format!(
            "{path}: an empty place; it comes with its contents"
        ));
    }
    if LINES_MAX < lines.len() {
        wrong.push(format!(
            "{path}: {} lines are more than {LINES_MAX}",
            lines.len()
        ));
    }
    if path.ends_with("/mod.rs") {
        wrong.push(format!("{path}: `x.rs` beside `x/`, never `mod.rs`"));
    }
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
    if stem.is_some_and(|stem| EMPTY_NAMES.contains(&stem)) {
        wrong.push(format!("{path}: the name says nothing"));
    }
    for (at, (line, raw)) in lines.iter().zip(text.lines()).enumerate() {
        for complaint in one_line(line, raw, path.starts_with("tests/tests/")) {
            wrong.push(format!("{path}:{}: {complaint}", at + 1));
        }
    }
    for (at, name, length) in functions(&lines) {
        if FUNCTION_LINES_MAX < length {
            wrong.push(format!(
                "{path}:{at}: `{name}` has {length} lines of code, more than {FUNCTION_LINES_MAX}"
            ));
        }
    }
    wrong
}

fn one_line(line: &Line, raw: &str, in_tests: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    if !raw.is_ascii() {
        wrong.push("not ASCII".to_owned());
    }
    // What is quoted and what is an address cannot be broken.
    let words = line.comment.split_whitespace();
    let address: usize = words
        .filter(|word| word.contains("://"))
        .map(str::len)
        .sum();
    if COLUMNS_MAX < raw.chars().count().saturating_sub(line.quoted + address) {
        wrong.push(format!("longer than {COLUMNS_MAX} columns"));
    }
    let code = line.code.trim();
    for item in ["mod ", "fn ", "struct ", "enum ", "trait "] {
        let name = declared(code, item);
        if name.is_some_and(|name| EMPTY_NAMES.contains(&name.to_lowercase().as_str())) {
            wrong.push("the name says nothing".to_owned());
        }
    }
    for attribute in ["#[ignore", "#[should_panic", "#[allow("] {
        if code.starts_with(attribute) {
            wrong.push(format!("`{attribute}` is not used here"));
        }
    }
    if in_tests && code.contains("sleep(") {
        wrong.push("a test waits for what happens, it does not sleep".to_owned());
    }
    wrong
}

/// The name that a line declares, as in `pub(crate) fn name(`.
fn declared<'a>(code: &'a str, item: &str) -> Option<&'a str> {
    let at = code.find(item)?;
    let head = code.get(..at)?;
    let qualifier = |word: &str| {
        ["pub", "async", "const", "unsafe", "extern", "\"\""].contains(&word)
            || word.starts_with("pub(")
    };
    if !head.split_whitespace().all(qualifier) {
        return None;
    }
    let rest = code.get(at + item.len()..)?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    rest.get(..end.unwrap_or(rest.len()))
}

/// The functions: their first line, their name, and their lines without blank ones and comments.
fn functions(lines: &[Line]) -> Vec<(usize, &str, usize)> {
    let indent = |line: &Line| line.code.len() - line.code.trim_start().len();
    lines
        .iter()
        .enumerate()
        .filter_map(|(at, line)| {
            let name = declared(line.code.trim(), "fn ")?;
            let body = lines.get(at..)?;
            let end = body.iter().position(|end| {
                let code = end.code.trim();
                indent(end) == indent(line) && (code.starts_with('}') || code.ends_with('}'))
                    || code.ends_with(';') && indent(end) == indent(line)
            });
            let head = body.iter().position(|head| head.code.ends_with('{'));
            let body = body.get(head.unwrap_or(0)..end?).unwrap_or_default();
            let code = |line: &&Line| !line.code.trim().is_empty() || 0 < line.quoted;
            // Neither the head nor the closing brace is counted.
            Some((
                at + 1,
                name,
                body.iter().filter(code).count().saturating_sub(1),
            ))
        })
        .collect()
}

/// What is wrong with any text file.
pub(crate) fn any(path: &str, text: &str) -> Vec<String> {
    // The words are put together here, so that this file holds none of them.
    let markers = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("X", "XX"),
        ("HA", "CK"),
        ("W", "IP"),
    ]
    .map(|(a, b)| format!("{a}{b}"));
    let places = [
        ("/wo", "rk/"),
        ("/ho", "me/"),
        ("/Us", "ers/"),
        ("/root/.ca", "rgo/"),
    ]
    .map(|(a, b)| format!("{a}{b}"));
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        if words.any(|word| markers.iter().any(|marker| marker == word)) {
            wrong.push(format!("{path}:{}: leftover marker", at + 1));
        }
        // A program may look below such a folder; a name in it is that of one machine.
        let named = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric());
        let here = |place: &String| line.split(place.as_str()).skip(1).any(named);
        if places.iter().any(here) {
            wrong.push(format!("{path}:{}: path of one machine", at + 1));
        }
        if line.ends_with([' ', '\t', '\r']) {
            wrong.push(format!("{path}:{}: white space at the end", at + 1));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        wrong.push(format!("{path}: no line end at the end"));
    }
    wrong
}

#[test]
fn planted_violations_in_sources_are_found() {
    let found = |text: &str| source("agent/src/x.rs", text);
    let one = |body: &str| {
        let wrong = found(&format!("//! x\n{body}\n"));
        assert_eq!(wrong.len(), 1, "{body}: {wrong:?}");
    };
    one("// \u{e4}");
    one(&format!("// {}", "a ".repeat(60)));
    one(&format!(
        "let {} = \"{}\";",
        "x".repeat(100),
        "y".repeat(100)
    ));
    one("pub(crate) fn helper() {}");
    one("mod util {}");
    one("pub struct Manager;");
    one("    #[ignore]");
    one("#[should_panic(expected = \"x\")]");
    one(&format!("fn f() {{\n{}}}", "    g();\n".repeat(71)));
    one(&format!(
        "    async fn f() {{\n{}    }}",
        "        g();\n".repeat(71)
    ));
    one(&"\n".repeat(500));
    assert_eq!(found("fn f() {}\n").len(), 1, "no head");
    assert_eq!(source("agent/src/a/mod.rs", "//! x\n").len(), 1);
    assert_eq!(source("agent/src/common.rs", "//! x\n").len(), 1);
    assert_eq!(found("//! To come.\n").len(), 1);
    let sleeps = "//! x\nfn f() { thread::sleep(x); }\n";
    assert_eq!(source("tests/tests/x.rs", sleeps).len(), 1);
    let good = [
        "const A: &str = r#\"{LONG}\"#;".replace("LONG", &"x ".repeat(100)),
        format!("// see https://example.org/{}", "x".repeat(100)),
        "fn helps() { core::mem::drop(x) }".to_owned(),
        format!("fn f() {{\n{}}}", "    g();\n".repeat(70)),
        format!("fn f() {{\n{}}}", "    // g\n\n".repeat(80)),
        format!("fn f() {{\n{}}}\nfn g() {{\n{0}}}", "    g();\n".repeat(60)),
    ];
    for good in good {
        assert_eq!(found(&format!("//! x\n{good}\n")), [""; 0]);
    }
}

#[test]
fn planted_leftovers_are_found() {
    let one = |text: &str| assert_eq!(any("x", text).len(), 1, "{text}");
    one(&format!("a {}{}: b\n", "TO", "DO"));
    one(&format!("{}{}\n", "FIX", "ME"));
    one(&format!("see {}{}x\n", "/wo", "rk/"));
    one("a \n");
    one("a");
    assert!(any("x", "what to do\nHACKED\n").is_empty());
}
