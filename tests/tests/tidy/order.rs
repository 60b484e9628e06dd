//! The order of `mod` lines in `lib.rs` is the only permitted direction between modules.

use crate::lexer;

/// The modules of a `lib.rs` in their order.
pub(crate) fn modules(lib: &str) -> Vec<String> {
    lexer::lines(lib)
        .iter()
        .filter_map(|line| {
            let (_visibility, name) = line.code.trim().split_once("mod ")?;
            Some(name.strip_suffix(';')?.trim().to_owned())
        })
        .collect()
}

/// Names of modules that stand below the one that names them.
///
/// `path` is that of the file below `src/`. Main files and the modules of the program are other
/// crates and name what they like. Formatted source is assumed: an inline module ends with a `}`
/// below its `mod`.
pub(crate) fn check(
    (modules, program): (&[String], &[String]),
    path: &str,
    text: &str,
) -> Vec<String> {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let Some(own) = stem.split('/').next() else {
        return Vec::new();
    };
    let of_program = program.iter().any(|module| module == own);
    if of_program || ["main", "lib", "bin", "build"].contains(&own) {
        return Vec::new();
    }
    let place = |name: &str| modules.iter().position(|module| module == name);
    let Some(own_place) = place(own) else {
        return vec![format!("{path}: `{own}` is no module of lib.rs")];
    };
    named(stem.split('/').count(), text)
        .into_iter()
        .filter(|(_line, name)| place(name).is_some_and(|named| own_place < named))
        .map(|(line, name)| format!("{path}:{line}: `{own}` names `{name}`, which stands below it"))
        .collect()
}

/// What is named right below the root of the crate, with the line, by a file so deep in it.
fn named(depth: usize, text: &str) -> Vec<(usize, String)> {
    let lines = lexer::lines(text);
    let mut named = Vec::new();
    // Indentation of the inline modules that are open.
    let mut inline: Vec<usize> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.code.trim();
        let indent = line.code.len() - line.code.trim_start().len();
        if code.starts_with('}') && inline.last() == Some(&indent) {
            inline.pop();
        }
        // A group may go on over the next lines.
        let tail = || -> String {
            let rest = lines.iter().skip(at + 1).take(40);
            rest.map(|line| line.code.trim()).collect()
        };
        for (start, _word) in code.match_indices("crate::") {
            if !in_word(code, start) {
                let after = code.get(start + "crate::".len()..).unwrap_or_default();
                names(&format!("{after}{}", tail()), at + 1, &mut named);
            }
        }
        let up = "super::".repeat(depth + inline.len());
        for (start, _word) in code.match_indices(&up) {
            let before = code.get(..start).unwrap_or_default();
            if !before.ends_with("super::") && !in_word(code, start) {
                let after = code.get(start + up.len()..).unwrap_or_default();
                names(&format!("{after}{}", tail()), at + 1, &mut named);
            }
        }
        let opens = code.ends_with('{') && (code.starts_with("mod ") || code.contains(" mod "));
        if opens {
            inline.push(indent);
        }
    }
    named
}

fn in_word(code: &str, at: usize) -> bool {
    let before = code.get(..at).unwrap_or_default().chars().next_back();
    before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

/// The first names of a path or of a group of paths.
fn names(after: &str, line: usize, named: &mut Vec<(usize, String)>) {
    let word = |text: &str| -> String {
        let word = |c: &char| c.is_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(word).collect()
    };
    let Some(group) = after.strip_prefix('{') else {
        named.push((line, word(after)));
        return;
    };
    let mut depth = 1_usize;
    let mut begins = true;
    for (at, c) in group.char_indices() {
        if begins && depth == 1 {
            named.push((line, word(group.get(at..).unwrap_or_default())));
        }
        begins = c == ',';
        depth = match c {
            '{' => depth + 1,
            '}' => depth - 1,
            _ => depth,
        };
        if depth == 0 {
            return;
        }
    }
}

#[test]
fn planted_violations_are_found() {
    let modules = modules("//! x\npub mod a;\nmod b; // c\npub(crate) mod c;\n");
    assert_eq!(modules, ["a", "b", "c"]);
    let count =
        |path: &str, text: &str| check((&modules, &["command".to_owned()]), path, text).len();
    for bad in [
        "use crate::c::X;",
        "use crate::{a, c};",
        "use crate::{\n    a::{X, Y},\n    c,\n};",
        "use super::c;",
        "fn f() { crate::c::g() }",
        "mod tests {\n    use super::super::c;\n}",
    ] {
        assert_eq!(count("b.rs", bad), 1, "{bad}");
    }
    for bad in [
        "use super::super::c;",
        "mod t {\n    use super::super::super::c;\n}",
    ] {
        assert_eq!(count("b/x.rs", bad), 1, "{bad}");
    }
    for good in [
        "use crate::{a, b::Y};",
        "use crate::{a::{c, d}};",
        "// use crate::c;",
        "f(\"crate::c\");",
        "mod tests {\n    use super::c;\n}",
        "use other_crate::c;",
    ] {
        assert_eq!(count("b.rs", good), 0, "{good}");
    }
    assert_eq!(count("b/x.rs", "use super::c;"), 0);
    assert_eq!(count("main.rs", "use crate::c;"), 0);
    assert_eq!(count("command/x.rs", "use crate::c;"), 0);
    assert_eq!(count("stray.rs", ""), 1);
}
