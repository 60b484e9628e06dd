//! Names of hosts, or several of them with `*`.

use std::fmt;

/// Longest pattern in bytes.
const BYTES_MAX: usize = 128;

/// A name of a host, or a text in which each `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern; `None` when no host can be called so.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'*')
        };
        let good = !text.is_empty() && text.len() <= BYTES_MAX && text.bytes().all(plain);
        good.then(|| Self(text.to_owned()))
    }

    /// Whether it is a name and not several.
    #[must_use]
    pub fn is_name(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether the name of a host is one of those that it stands for.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(rest) = parts.next().and_then(|first| host.strip_prefix(first)) else {
            return false;
        };
        let mut parts: Vec<_> = parts.collect();
        let Some(last) = parts.pop() else {
            return rest.is_empty();
        };
        // The earliest place of each part leaves the most to those behind it.
        let behind = parts.iter().try_fold(rest, |rest, part| {
            rest.split_once(part).map(|(_passed, behind)| behind)
        });
        behind.is_some_and(|rest| rest.ends_with(last))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, host, wanted) in [
            ("web-1", "web-1", true),
            ("web-1", "web-10", false),
            ("web-1", "a-web-1", false),
            ("web-*", "web-", true),
            ("web-*", "web-1.example", true),
            ("*", "x", true),
            ("*-db", "eu-db", true),
            ("*-db", "eu-db-2", false),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("ab*ba", "aba", false),
            ("*x*x*", "x", false),
            ("*x*x*", "axbxc", true),
            ("**", "y", true),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert_eq!(pattern.matches(host), wanted, "{pattern} {host}");
        }
        for bad in ["", "Web", "a b", "a/b", "a?", &"a".repeat(129)] {
            assert_eq!(Pattern::new(bad), None, "{bad}");
        }
    }
}
