//! The files of the project, and where they lie.

use std::path::{Path, PathBuf};

/// A text file of the project.
pub(crate) struct File {
    /// Path from the top, with `/`.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

impl File {
    /// Whether the name ends in `.extension`.
    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|is| is == extension)
    }
}

/// The top of the project.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_owned()
}

/// Reads a text file that must be there.
pub(crate) fn read(path: &Path) -> String {
    shared::durable::read_text(path, 4 << 20)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All text files of the project in the order of their paths.
pub(crate) fn files() -> Vec<File> {
    let mut files = Vec::new();
    walk(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if [".git", "target"].contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file() {
            // What is not UTF-8 is recorded data.
            if let Ok(text) = shared::durable::read_text(&entry.path(), 4 << 20) {
                files.push(File { path, text });
            }
        }
    }
}

/// Names at the top level that should not be there.
pub(crate) fn top_level(names: &[String]) -> Vec<String> {
    const VISIBLE: [&str; 9] = [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "agent",
        "collector",
        "config",
        "deploy",
        "shared",
        "tests",
    ];
    let hidden = |name: &str| name.starts_with('.') || name == "target";
    names
        .iter()
        .filter(|name| !hidden(name) && !VISIBLE.contains(&name.as_str()))
        .map(|name| format!("{name}: does not belong at the top level"))
        .collect()
}

/// Whether a file was recorded elsewhere: it stays as it was found.
pub(crate) fn recorded(path: &str) -> bool {
    path.starts_with("tests/vectors/") || path.starts_with("tests/hosts/")
}

/// A file of checks is named after the probe whose facts it judges, and names no other.
pub(crate) fn check_file(path: &str, text: &str) -> Option<String> {
    let stem = Path::new(path).file_stem()?.to_str()?;
    let own = format!("probe = \"{stem}\"");
    let other = text
        .lines()
        .find(|line| line.starts_with("probe = ") && *line != own);
    if let Some(other) = other {
        return Some(format!("{path}: `{other}` belongs to another file"));
    }
    shared::fact::subject(stem)
        .is_none()
        .then(|| format!("{path}: no probe is named `{stem}`"))
}

#[test]
fn planted_names_are_found() {
    let names = ["agent", ".ci", "target", "notes.txt", "docs"].map(str::to_owned);
    assert_eq!(top_level(&names).len(), 2);
    assert!(check_file("checks/clock.toml", "probe = \"clock\"\n").is_none());
    assert!(check_file("checks/clock.toml", "probe = \"backup\"\n").is_some());
    assert!(check_file("checks/weather.toml", "").is_some());
}
