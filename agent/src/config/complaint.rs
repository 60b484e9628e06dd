//! What is wrong with a file of settings: the place, the line with a caret under it, and a hint.

use std::fmt;

/// Something wrong at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters of the line are wrong, at least 1.
    pub width: usize,
    /// The line itself.
    pub text: String,
    /// What is wrong.
    pub what: String,
    /// What the writer can do; may be empty.
    pub hint: String,
}

impl Complaint {
    /// A complaint from an error of the reader of TOML. Our own checks append `\nhint: ..` to
    /// their message; for a name that is not known the nearest known one is the hint.
    pub(super) fn new(file: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let before = file.get(..span.start).unwrap_or(file);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = file.get(line_start..).unwrap_or_default();
        let text = rest.lines().next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let marked = file.get(span).unwrap_or_default();
        let marked = marked.lines().next().unwrap_or_default().chars().count();
        let (what, hint) = if let Some((what, hint)) = error.message().split_once("\nhint: ") {
            (what.to_owned(), hint.to_owned())
        } else {
            let what = error.message().replace('\n', ", ");
            let hint = did_you_mean(&what).unwrap_or_default();
            (what, hint)
        };
        Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            width: marked.max(1),
            text: text.to_owned(),
            what,
            hint,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column, margin) = (self.line, self.column, self.line.to_string().len());
        let (indent, carets) = (" ".repeat(column - 1), "^".repeat(self.width));
        writeln!(f, "{line}:{column}: {}", self.what)?;
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{line} | {}", self.text)?;
        write!(f, "{:margin$} | {indent}{carets}", "")?;
        if self.hint.is_empty() {
            Ok(())
        } else {
            write!(f, "\nhint: {}", self.hint)
        }
    }
}

/// The known name nearest to the unknown one, from a message that quotes first the one and then
/// the others.
fn did_you_mean(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = message.starts_with("unknown").then(|| quoted.next())??;
    let nearest = quoted.min_by_key(|known| distance(wrong, known))?;
    let near = distance(wrong, nearest) <= 1 + wrong.len() / 4;
    near.then(|| format!("did you mean `{nearest}`?"))
}

/// How many characters must be put in, taken out or replaced to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, from) in one.chars().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, to) in cells.zip(other.chars()) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("clok", "clock", 1),
            ("colector", "collector", 1),
            ("kitten", "sitting", 3),
            ("abc", "", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn far_names_give_no_hint() {
        let message = |wrong| format!("unknown field `{wrong}`, expected `level` or `format`");
        let hint = Some("did you mean `level`?".to_owned());
        assert_eq!(did_you_mean(&message("levle")), hint);
        assert_eq!(did_you_mean(&message("colour")), None);
        assert_eq!(did_you_mean("invalid type: `levle`, `level`"), None);
    }
}
