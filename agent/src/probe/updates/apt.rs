//! apt's settings: `apt.conf` files merged in apt's order.
//!
//! A name has one value, and a list of others: `Name:: "value"`, and bare values in its braces.
//! Names are compared without regard to case, as apt does.
//!
//! Source: apt.conf(5).

use std::collections::BTreeMap;

/// Deepest nesting of braces.
const DEPTH_MAX: usize = 64;

/// Values by their full name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    single: BTreeMap<String, String>,
    lists: BTreeMap<String, Vec<String>>,
}

/// A settings file cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingsError {
    /// Braces, quotes or statements do not end.
    #[error("not the form of apt.conf(5)")]
    Form,
    /// It takes in another file, which is not followed.
    #[error("`#include` is not followed")]
    Include,
}

/// Whether a value means yes, as apt has it.
///
/// Source: `StringToBool` of apt 2.6.
pub(super) fn is_yes(value: &str) -> bool {
    let words = ["yes", "true", "with", "on", "enable"];
    let known = words.iter().any(|word| value.eq_ignore_ascii_case(word));
    known || value.parse::<i64>().is_ok_and(|number| number != 0)
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

impl Settings {
    /// The value of a name that is written in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.single.get(name).map(String::as_str)
    }

    /// The list of a name that is written in lower case, in its order.
    pub(super) fn list(&self, name: &str) -> &[String] {
        self.lists.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether the value of a name means yes.
    pub(super) fn is_yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_yes)
    }

    /// Takes in one more file; its values replace earlier ones.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]: apt itself refuses to run, or the file uses what is not read here.
    pub(super) fn merge(&mut self, text: &str) -> Result<(), SettingsError> {
        let mut names: Vec<String> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(text)? {
            match token {
                Token::Word(word) => {
                    words.push(word);
                    continue;
                }
                Token::Open if names.len() < DEPTH_MAX => {
                    names.push(words.first().cloned().ok_or(SettingsError::Form)?);
                }
                Token::Open => return Err(SettingsError::Form),
                Token::End => self.statement(&names, &words),
                Token::Close => {
                    self.statement(&names, &words);
                    drop(names.pop().ok_or(SettingsError::Form)?);
                }
            }
            words.clear();
        }
        if names.is_empty() && words.is_empty() {
            Ok(())
        } else {
            Err(SettingsError::Form)
        }
    }

    fn statement(&mut self, names: &[String], words: &[String]) {
        match words {
            [clear, name] if clear == "#clear" => self.clear(&full(names, name)),
            [name, value] if !name.ends_with("::") => {
                drop(self.single.insert(full(names, name), value.clone()));
            }
            [name, value] => {
                let name = full(names, name.trim_end_matches(':'));
                self.lists.entry(name).or_default().push(value.clone());
            }
            [value] => {
                let list = names.join("::").to_ascii_lowercase();
                self.lists.entry(list).or_default().push(value.clone());
            }
            _ => {}
        }
    }

    fn clear(&mut self, name: &str) {
        let below = format!("{name}::");
        let other = |known: &String| known != name && !known.starts_with(&below);
        self.single.retain(|known, _| other(known));
        self.lists.retain(|known, _| other(known));
    }
}

fn full(names: &[String], name: &str) -> String {
    let parts = names.iter().map(String::as_str).chain([name]);
    parts.collect::<Vec<_>>().join("::").to_ascii_lowercase()
}

fn tokens(text: &str) -> Result<Vec<Token>, SettingsError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("#include") {
            return Err(SettingsError::Include);
        }
        let (token, length) = match first {
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (None, rest.find("*/").ok_or(SettingsError::Form)? + 2)
            }
            '#' if !rest.starts_with("#clear") => (None, rest.find('\n').unwrap_or(rest.len())),
            '"' => {
                let inside = rest.get(1..).unwrap_or_default();
                let (word, _) = inside.split_once('"').ok_or(SettingsError::Form)?;
                (Some(Token::Word(word.to_owned())), word.len() + 2)
            }
            '{' => (Some(Token::Open), 1),
            '}' => (Some(Token::Close), 1),
            ';' => (Some(Token::End), 1),
            white if white.is_whitespace() => (None, white.len_utf8()),
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '{' | '}' | ';');
                let length = rest.find(ends).unwrap_or(rest.len());
                let word = rest.get(..length).unwrap_or_default();
                (Some(Token::Word(word.to_owned())), length)
            }
        };
        tokens.extend(token);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(tokens)
}

/// Whether apt reads a file of this name in a folder of parts: letters, digits, `-`, `_`, `.`,
/// without an ending or with `ending`.
pub(super) fn is_part(name: &str, ending: &str) -> bool {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let ends = match name.rsplit_once('.') {
        Some((stem, end)) => end == ending && !stem.is_empty(),
        None => !name.is_empty(),
    };
    plain && ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(texts: &[&str]) -> Result<Vec<String>, SettingsError> {
        let mut settings = Settings::default();
        for text in texts {
            settings.merge(text)?;
        }
        let single = settings.single.iter();
        let single = single.map(|(name, value)| format!("{name}={value}"));
        let lists = settings.lists.iter();
        let lists = lists.map(|(name, values)| format!("{name}=[{}]", values.join(",")));
        Ok(single.chain(lists).collect())
    }

    #[track_caller]
    fn check(texts: &[&str], expected: &[&str]) {
        assert_eq!(merged(texts).unwrap(), expected, "{texts:?}");
    }

    #[test]
    fn forms_that_apt_reads() {
        check(
            &["APT::Periodic::Enable \"1\";"],
            &["apt::periodic::enable=1"],
        );
        check(
            &["APT { Periodic { Enable 0; Update-Package-Lists \"1\" } };"],
            &[
                "apt::periodic::enable=0",
                "apt::periodic::update-package-lists=1",
            ],
        );
        check(
            &["a \"x // y; # {\"; // b \"1\";\nc 2; # d 3;"],
            &["a=x // y; # {", "c=2"],
        );
        check(&["/* a 1; */ b 2;"], &["b=2"]);
        check(&["a { \"x\"; \"y\"; };", "A:: \"z\";"], &["a=[x,y,z]"]);
        check(&["b { a { x }; };", "b::a:: y;"], &["b::a=[x,y]"]);
        check(&["a { x; y; };", "#clear A;", "a:: z;"], &["a=[z]"]);
        check(&["a 1;", "A 2;"], &["a=2"]);
        check(&["a::b 1; a::c 2; ab 3;", "#clear a;"], &["ab=3"]);
        check(&["a { b 1; }", "#clear a::b;"], &[]);
        check(&["", "\n\n# only words\n"], &[]);
    }

    #[test]
    fn what_apt_refuses_is_refused() {
        for bad in ["a \"x;", "a {", "}", "{ a 1; }", "a 1", "/* a 1;"] {
            assert_eq!(merged(&[bad]), Err(SettingsError::Form), "{bad}");
        }
        let deep = "a {".repeat(65);
        assert_eq!(merged(&[&deep]), Err(SettingsError::Form));
        let include = merged(&["#include \"/etc/x\";"]);
        assert_eq!(include, Err(SettingsError::Include));
    }

    #[test]
    fn which_files_are_parts() {
        for good in ["50unattended-upgrades", "x.conf", "a_b-c.conf"] {
            assert!(is_part(good, "conf"), "{good}");
        }
        for bad in [
            "x.bak",
            "x.dpkg-old",
            "x~",
            "",
            ".conf",
            "x.conf.save",
            "a b",
        ] {
            assert!(!is_part(bad, "conf"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|([a#/*\"{};: \n]|clear|//){0,40}") {
            drop(merged(&[&text]));
        }
    }
}
