//! The words of a notice: short, whole, and nothing in them but words.

use std::fmt::Write as _;

use super::super::{Notice, Occasion};
use crate::drift::Condition;

/// Longest title.
pub(super) const TITLE_CHARS_MAX: usize = 140;
/// Longest text of a condition.
const TEXT_CHARS_MAX: usize = 500;
/// Longest name or value of a fact, and most of them for a condition.
const FACT_CHARS_MAX: usize = 120;
const FACTS_MAX: usize = 8;
/// Most evidence ids for a condition.
const EVIDENCE_MAX: usize = 5;

/// One line of visible characters, at most `chars_max` of them.
///
/// White space becomes one space; control characters, and those that are not seen or turn the
/// direction of what follows, become U+FFFD, so that nobody can hide or break anything with them.
pub(super) fn line(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        let gap = usize::from(count != 0);
        if chars_max <= count + gap {
            return shortened(line, chars_max);
        }
        if gap == 1 {
            line.push(' ');
        }
        count += gap;
        for c in word.chars() {
            if count == chars_max {
                return shortened(line, chars_max);
            }
            line.push(if visible(c) { c } else { '\u{fffd}' });
            count += 1;
        }
    }
    line
}

/// Ends a line that goes on with `...`, inside the bound.
fn shortened(mut line: String, chars_max: usize) -> String {
    let kept = chars_max.saturating_sub(3);
    if let Some((end, _char)) = line.char_indices().nth(kept) {
        line.truncate(end);
    }
    line.push_str("...");
    line
}

/// Neither a control character nor one of Unicode's invisible ones (general category Cf).
const fn visible(c: char) -> bool {
    !matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// The word for an occasion.
pub(super) const fn occasion(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Raised => "raised",
        Occasion::Reminder => "reminder",
        Occasion::Escalated => "escalated",
        Occasion::Acknowledged => "acknowledged",
        Occasion::Resolved => "resolved",
        Occasion::Test => "test",
    }
}

/// What it is about, in one line: `[HIGH] reminder: ..`.
pub(super) fn headline(notice: &Notice) -> String {
    let severity = notice.severity.as_str().to_uppercase();
    let title = line(&notice.title, TITLE_CHARS_MAX);
    match notice.occasion {
        Occasion::Raised => format!("[{severity}] {title}"),
        Occasion::Resolved => format!("[RESOLVED] {title}"),
        Occasion::Reminder | Occasion::Escalated | Occasion::Acknowledged | Occasion::Test => {
            format!("[{severity}] {}: {title}", occasion(notice.occasion))
        }
    }
}

/// Where it comes from and since when it lasts, in one line.
pub(super) fn origin(notice: &Notice) -> String {
    let collector = line(&notice.collector, TITLE_CHARS_MAX);
    let incident = line(&notice.incident, TITLE_CHARS_MAX);
    let (since, number) = (notice.since, notice.number);
    format!("Since {since}; collector {collector}; incident {incident}, notice {number}.")
}

/// One condition, in some lines: the host and what is wrong first.
pub(super) fn condition(condition: &Condition) -> String {
    let mut text = String::new();
    if let Some(host) = &condition.host {
        text.push_str(host.as_str());
        text.push_str(": ");
    }
    text.push_str(&line(&condition.text, TEXT_CHARS_MAX));
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _always = write!(text, "\n{name}: {value}");
        }
    };
    row("Severity", condition.severity.as_str());
    row("Since", &condition.since.to_string());
    let check = condition.check.as_deref().unwrap_or_default();
    row("Check", &line(check, FACT_CHARS_MAX));
    row(
        "Controls",
        &line(&condition.controls.join(", "), TEXT_CHARS_MAX),
    );
    row(
        "Owners",
        &line(&condition.owners.join(", "), TEXT_CHARS_MAX),
    );
    let facts = condition.facts.iter().map(|(name, value)| {
        let name = line(name, FACT_CHARS_MAX);
        format!("{name} = {}", line(value, FACT_CHARS_MAX))
    });
    row("Facts", &some(facts, FACTS_MAX, "; "));
    let evidence = condition.evidence.iter().map(ToString::to_string);
    row("Evidence", &some(evidence, EVIDENCE_MAX, ", "));
    text
}

/// How many conditions are not shown; nothing when all are.
pub(super) fn rest(notice: &Notice, shown: usize) -> Option<String> {
    let shown = u64::try_from(shown).unwrap_or(u64::MAX);
    let more = notice.count.saturating_sub(shown);
    (more != 0).then(|| format!("and {more} more"))
}

/// All of it as plain text.
pub(super) fn whole(notice: &Notice, conditions_max: usize) -> String {
    let mut text = format!("{}\n{}\n", headline(notice), origin(notice));
    let shown = notice.conditions.len().min(conditions_max);
    for one in notice.conditions.iter().take(conditions_max) {
        let _always = write!(text, "\n{}\n", condition(one));
    }
    if let Some(rest) = rest(notice, shown) {
        let _always = write!(text, "\n{rest}\n");
    }
    text
}

/// The first of them, and how many more there are.
pub(super) fn some(all: impl ExactSizeIterator<Item = String>, max: usize, gap: &str) -> String {
    let more = all.len().saturating_sub(max);
    let mut some = all.take(max).collect::<Vec<_>>().join(gap);
    if more != 0 {
        let _always = write!(some, "{gap}and {more} more");
    }
    some
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_is_one_line_of_visible_characters() {
        for (text, expected) in [
            ("", ""),
            ("  a\r\n\tb  ", "a b"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("\u{1b}[31mred", "\u{fffd}[31mred"),
            ("a\u{202e}b\u{200b}c\u{0}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("1234567890", "1234567890"),
            ("12345678901", "1234567..."),
            ("1234567 901", "1234567..."),
            ("12 45 78 01", "12 45 7..."),
            (
                "\u{e4}\u{f6}\u{fc}\u{e4}\u{f6}\u{fc}\u{e4}\u{f6}\u{fc}\u{e4}",
                "\u{e4}\u{f6}\u{fc}\u{e4}\u{f6}\u{fc}\u{e4}\u{f6}\u{fc}\u{e4}",
            ),
            ("123456789 \n", "123456789"),
        ] {
            assert_eq!(line(text, 10), expected, "{text:?}");
        }
    }
}
