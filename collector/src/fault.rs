//! What is wrong in a file that a person wrote, settings or catalogue, shown where it stands.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One fault: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the file; of the catalogue, inside its folder.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What the author can do; may be empty.
    pub hint: String,
    /// All of it with the line and a caret.
    pub shown: String,
}

/// What is wrong at a place, before the file is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Bytes of the text that are wrong.
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Complaint {
    pub(crate) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        let message = message.into();
        let hint = String::new();
        Self { at, message, hint }
    }

    /// The complaint of the TOML reader. Our own checks append `\nhint: ..` to their message; for a
    /// name that is not known the nearest known ones are the hint.
    pub(crate) fn of_toml(error: &toml::de::Error, text: &str) -> Self {
        let message = error.message();
        let (what, hint) = if let Some((what, hint)) = message.split_once("\nhint: ") {
            (what, hint.to_owned())
        } else {
            let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
            let mut words = message.split('`').skip(1).step_by(2);
            let hint = match (words.next(), expected) {
                (Some(wrong), _) if message.starts_with("unknown") => nearest(wrong, words),
                (_, "") => String::new(),
                (_, "i64") => "expected a whole number".to_owned(),
                (_, expected) => format!("expected {expected}"),
            };
            (what, hint)
        };
        Self::new(error.span().unwrap_or(0..text.len()), what).hint(hint)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The fault in the file of this name and text.
    pub(crate) fn in_file(self, file: &str, text: &str) -> Fault {
        // The renderer panics inside a character.
        let end = text.ceil_char_boundary(self.at.end);
        let start = text.floor_char_boundary(self.at.start.min(end));
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let snippet = Snippet::source(text)
            .path(file)
            .annotation(AnnotationKind::Primary.span(start..end));
        let mut group = Level::ERROR.primary_title(&self.message).element(snippet);
        if !self.hint.is_empty() {
            group = group.element(Level::HELP.message(&self.hint));
        }
        let report: &[Group<'_>] = &[group];
        let shown = Renderer::plain().render(report);
        Fault {
            file: file.to_owned(),
            line,
            column,
            message: self.message,
            hint: self.hint,
            shown,
        }
    }
}

/// All faults, one after the other.
pub(crate) fn joined(faults: &[Fault]) -> String {
    let shown: Vec<_> = faults.iter().map(|fault| fault.shown.as_str()).collect();
    shown.join("\n\n")
}

/// Most words that a hint lists.
const HINT_WORDS_MAX: usize = 20;

/// A hint that names the known word nearest to a wrong one: one that begins with it, or one that is
/// a few letters away. When none is near it lists the known words, or says how many there are.
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let begun = |word: &&&str| 3 <= wrong.len() && word.starts_with(wrong);
    let begins = known.iter().filter(begun).min_by_key(|word| word.len());
    let near = known
        .iter()
        .map(|word| (distance(wrong, word), *word))
        .min()
        .filter(|(edits, word)| *edits * 3 <= word.len().max(3));
    match begins.map(|word| (0, *word)).or(near) {
        Some((_, word)) => format!("did you mean `{word}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None if known.len() <= HINT_WORDS_MAX => format!("known are: {}", known.join(", ")),
        None => {
            let first: Vec<_> = known.iter().take(HINT_WORDS_MAX / 2).copied().collect();
            let (more, first) = (known.len() - first.len(), first.join(", "));
            format!("known are: {first} and {more} more")
        }
    }
}

/// Edits from one word to the other: insert, delete or replace a byte.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for ((b, above), diagonal) in to.bytes().zip(row.iter().skip(1)).zip(&row) {
            left = (left + 1)
                .min(above + 1)
                .min(diagonal + usize::from(a != b));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits() {
        for (from, to, edits) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }
}
