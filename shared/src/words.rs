//! Words that people write into the ledger: printable, read in their order, bounded.

/// A text cannot stand in the ledger as the words of a person. The writer must correct it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// It has neither a letter nor a digit.
    #[error("it has no letter and no digit")]
    Nothing,
    /// It is longer than may be.
    #[error("it has {bytes} bytes, and {most} are taken at most")]
    Long {
        /// Its length.
        bytes: usize,
        /// The longest that is taken.
        most: usize,
    },
    /// It has a sign that does not print, or that hides or moves others.
    #[error("it has the sign U+{0:04X}, which does not print")]
    Hidden(u32),
}

/// Holds a text of one line to the rules.
///
/// # Errors
///
/// [`WordsError`].
pub fn line(text: &str, bytes_max: usize) -> Result<(), WordsError> {
    held(text, bytes_max, |_| false)
}

/// Holds a text to the rules that may have several lines, and tabs.
///
/// # Errors
///
/// [`WordsError`].
pub fn lines(text: &str, bytes_max: usize) -> Result<(), WordsError> {
    held(text, bytes_max, |sign| matches!(sign, '\n' | '\t'))
}

fn held(text: &str, most: usize, parts: impl Fn(char) -> bool) -> Result<(), WordsError> {
    let bytes = text.len();
    if most < bytes {
        return Err(WordsError::Long { bytes, most });
    }
    let mut before = None;
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        let inside = |near: Option<char>| {
            near.is_some_and(|near| !near.is_whitespace() && !is_joiner(near) && !is_hidden(near))
        };
        // Words of some scripts need a joiner between two of their signs; nothing else does.
        let joins = is_joiner(sign) && inside(before) && inside(signs.peek().copied());
        if !joins && !parts(sign) && (is_joiner(sign) || is_hidden(sign)) {
            return Err(WordsError::Hidden(u32::from(sign)));
        }
        before = Some(sign);
    }
    if text.chars().any(char::is_alphanumeric) {
        Ok(())
    } else {
        Err(WordsError::Nothing)
    }
}

/// The zero width joiner and its opposite.
const fn is_joiner(sign: char) -> bool {
    matches!(sign, '\u{200c}' | '\u{200d}')
}

/// Controls, signs that order or hide others, separators of lines, and letters without a shape.
///
/// Source: Unicode 15.1, the general categories Cc, Cf, Zl and Zp, and the letters among
/// `Default_Ignorable_Code_Point`.
fn is_hidden(sign: char) -> bool {
    sign.is_control()
        || matches!(sign,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_people_are_taken() {
        for good in [
            "Ada Lovelace",
            "3",
            "J\u{f6}rg M\u{fc}ller, 2nd line (nights)",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{915}\u{94d}\u{200d}\u{937}",
        ] {
            assert_eq!(line(good, 200), Ok(()), "{good}");
        }
        assert_eq!(lines("a\n\tb", 4), Ok(()));
    }

    #[test]
    fn what_does_not_print_or_says_nothing_is_refused() {
        let hidden = |text: &str, sign| {
            assert_eq!(line(text, 200), Err(WordsError::Hidden(sign)), "{text:?}");
        };
        hidden("a\u{1b}[2Jb", 0x1b);
        hidden("a\nb", 0x0a);
        hidden("bob\u{202e}ada", 0x202e);
        hidden("ad\u{200b}a", 0x200b);
        hidden("ada\u{200d}", 0x200d);
        hidden("a\u{200d} b", 0x200d);
        hidden("\u{3164}", 0x3164);
        hidden("a\u{2028}b", 0x2028);
        assert_eq!(lines("a\rb", 200), Err(WordsError::Hidden(0x0d)));
        for nothing in ["", "  ", "...", "\u{a0}"] {
            assert_eq!(line(nothing, 200), Err(WordsError::Nothing));
        }
        let long = WordsError::Long { bytes: 3, most: 2 };
        assert_eq!(line("abc", 2), Err(long));
    }
}
