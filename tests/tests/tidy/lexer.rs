//! Rust source split into code, comments and strings, line by line.

/// One line of source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The code, without comments and without what stands inside string literals.
    pub(crate) code: String,
    /// What stands in comments, with their slashes.
    pub(crate) comment: String,
    /// How many characters stand inside string literals.
    pub(crate) quoted: usize,
}

#[derive(Clone, Copy)]
enum State {
    Code,
    /// To the end of the line.
    LineComment,
    /// So many `/*` are open.
    BlockComment(usize),
    /// A literal with escapes that ends with this quote.
    Escaped,
    /// A raw string that ends with a quote and so many `#`.
    Raw(usize),
}

/// Splits source into lines.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let mut state = State::Code;
    text.lines()
        .map(|raw| {
            let (line, after) = split(raw, state);
            state = after;
            line
        })
        .collect()
}

fn split(raw: &str, mut state: State) -> (Line, State) {
    let mut line = Line::default();
    let mut rest = raw;
    while let Some(next) = rest.chars().next() {
        let step = match state {
            State::Code => code(rest, &mut line, &mut state),
            State::LineComment => {
                line.comment.push_str(rest);
                rest.len()
            }
            State::BlockComment(open) => block(rest, open, &mut line, &mut state),
            State::Escaped => {
                line.quoted += 1;
                if next == '"' {
                    line.quoted -= 1;
                    line.code.push('"');
                    state = State::Code;
                    1
                } else if next == '\\' {
                    rest.chars().take(2).map(char::len_utf8).sum()
                } else {
                    next.len_utf8()
                }
            }
            State::Raw(hashes) => {
                let end = format!("\"{}", "#".repeat(hashes));
                if rest.starts_with(&end) {
                    line.code.push('"');
                    state = State::Code;
                    end.len()
                } else {
                    line.quoted += 1;
                    next.len_utf8()
                }
            }
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    if matches!(state, State::LineComment) {
        state = State::Code;
    }
    (line, state)
}

fn code(rest: &str, line: &mut Line, state: &mut State) -> usize {
    let next = rest.chars().next().unwrap_or_default();
    if rest.starts_with("//") {
        *state = State::LineComment;
        return 0;
    }
    if rest.starts_with("/*") {
        *state = State::BlockComment(0);
        return 0;
    }
    if let Some(length) = character(rest) {
        line.code.push_str("' '");
        return length;
    }
    let ident = |c: char| c.is_alphanumeric() || c == '_';
    let in_word = line.code.chars().next_back().is_some_and(ident);
    let after_r = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'));
    if let Some(after) = after_r.filter(|_word| !in_word) {
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after.trim_start_matches('#').starts_with('"') {
            *state = State::Raw(hashes);
            line.code.push('"');
            return rest.len() - after.len() + hashes + 1;
        }
    }
    if next == '"' {
        *state = State::Escaped;
    }
    line.code.push(next);
    next.len_utf8()
}

/// The length of a character literal at the start; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    let end = if inner.starts_with('\\') {
        2 + inner.get(2..)?.find('\'')?
    } else {
        inner.chars().next()?.len_utf8()
    };
    inner.get(end..)?.starts_with('\'').then_some(end + 2)
}

fn block(rest: &str, open: usize, line: &mut Line, state: &mut State) -> usize {
    let (step, open) = if rest.starts_with("/*") {
        (2, open + 1)
    } else if rest.starts_with("*/") {
        (2, open - 1)
    } else {
        (rest.chars().next().map_or(1, char::len_utf8), open)
    };
    line.comment.push_str(rest.get(..step).unwrap_or_default());
    *state = if open == 0 {
        State::Code
    } else {
        State::BlockComment(open)
    };
    step
}

#[test]
fn code_comments_and_strings_are_told_apart() {
    let check = |text: &str, code: &str, comment: &str| {
        let line = lines(text).pop().unwrap();
        assert_eq!((line.code.as_str(), line.comment.as_str()), (code, comment));
    };
    check("a // b", "a ", "// b");
    check(r#"f("a // b") // c"#, "f(\"\") ", "// c");
    check(r#"f("a\"// b")"#, "f(\"\")", "");
    check(r##"f(r#"a" // b"#, 'c')"##, "f(\"\", ' ')", "");
    check(
        r"fn f<'a>(x: &'a str, y: char) { y == '\'' }",
        "fn f<'a>(x: &'a str, y: char) { y == ' ' }",
        "",
    );
    check(r#"y == '"' // c"#, "y == ' ' ", "// c");
    check("/* a /* b */ c */ d", " d", "/* a /* b */ c */");
    check("let x = \"a\nb\"; y", "\"; y", "");
    check("let x = r\"a\n// b\"; y", "\"; y", "");
}
