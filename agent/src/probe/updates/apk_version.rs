//! The order of apk versions: `DIGITS{.DIGITS}..{LETTER}{_SUFFIX{DIGITS}}..{-rDIGITS}`.
//!
//! A version that goes on where another one ends is the newer one, unless it goes on with a suffix
//! of something that is not finished: alpha, beta, pre, rc. Parts of which one begins with a zero
//! sort as texts. What has another form still has a place in the order.
//!
//! apk 2 has two oddities with parts that are zero, which apk 3 no longer has; here is apk 3.
//!
//! Source: apk-package(5) "pkgver"; Gentoo's Package Manager Specification, section 3.3.

use std::cmp::Ordering;

/// Compares two versions.
#[must_use]
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (Parts::of(left), Parts::of(right));
    loop {
        let ((kind, value, text), (other_kind, other_value, other_text)) =
            (left.take(), right.take());
        if kind != other_kind {
            return match (kind, other_kind) {
                (Kind::Suffix, _) if value < 0 => Ordering::Less,
                (_, Kind::Suffix) if other_value < 0 => Ordering::Greater,
                _ => other_kind.cmp(&kind),
            };
        }
        let zeros = [text, other_text].iter().any(|text| text.starts_with('0'));
        let order = if kind == Kind::Fraction && zeros {
            text.cmp(other_text)
        } else {
            value.cmp(&other_value)
        };
        if order != Ordering::Equal || matches!(kind, Kind::End | Kind::Odd) {
            return order;
        }
    }
}

/// What a part is. Of two versions that are the same up to here, the one that goes on with the
/// kind that stands first is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Of no form that is known; nothing is read behind it.
    Odd,
    /// Digits behind a dot.
    Fraction,
    Digits,
    Letter,
    /// Its place among the suffixes, below 0 for what is not finished.
    Suffix,
    SuffixDigits,
    Revision,
    End,
}

/// The suffixes in their order, and how many of them are of what is not finished.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
const UNFINISHED: i64 = 4;

/// What is left of a version, and what comes next in it.
struct Parts<'a> {
    rest: &'a str,
    next: Kind,
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        Self {
            rest: version,
            next: Kind::Digits,
        }
    }

    /// Steps over the next part, and gives its kind, value and text.
    fn take(&mut self) -> (Kind, i64, &'a str) {
        let kind = if self.rest.is_empty() {
            Kind::End
        } else {
            self.next
        };
        let length = |rest: &str| {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            end.unwrap_or(rest.len())
        };
        let (length, value) = match kind {
            Kind::Fraction | Kind::Digits | Kind::SuffixDigits | Kind::Revision => {
                (length(self.rest), None)
            }
            Kind::Letter => {
                let letter = self.rest.bytes().next();
                (1, letter.map(i64::from))
            }
            Kind::Suffix => {
                let known = SUFFIXES.iter().zip(-UNFINISHED..);
                let mut known = known.filter(|(suffix, _)| self.rest.starts_with(**suffix));
                let Some((suffix, place)) = known.next() else {
                    self.next = Kind::Odd;
                    return (Kind::Odd, 0, "");
                };
                (suffix.len(), Some(place))
            }
            Kind::End | Kind::Odd => return (kind, 0, ""),
        };
        let (text, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        self.rest = rest;
        self.next = self.follows(kind);
        (kind, value.unwrap_or_else(|| number(text)), text)
    }

    /// What follows a part, and steps over the sign that says so.
    fn follows(&mut self, kind: Kind) -> Kind {
        let mut signs = self.rest.chars();
        let number = matches!(kind, Kind::Fraction | Kind::Digits);
        let (next, length) = match (signs.next(), signs.next()) {
            (None, _) => (Kind::End, 0),
            (Some('a'..='z'), _) if number => (Kind::Letter, 0),
            (Some('0'..='9'), _) if kind == Kind::Letter => (Kind::Digits, 0),
            (Some('0'..='9'), _) if kind == Kind::Suffix => (Kind::SuffixDigits, 0),
            (Some('.'), _) if number => (Kind::Fraction, 1),
            (Some('_'), _) if kind <= Kind::SuffixDigits => (Kind::Suffix, 1),
            (Some('-'), Some('r')) if kind < Kind::Revision => (Kind::Revision, 2),
            _ => (Kind::Odd, 0),
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
        next
    }
}

fn number(digits: &str) -> i64 {
    let add = |sum: i64, digit: u8| {
        let digit = i64::from(digit.saturating_sub(b'0'));
        sum.saturating_mul(10).saturating_add(digit)
    };
    digits.bytes().fold(0, add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_of_versions() {
        for chain in [
            // Each is older than the next one.
            &[
                "1.3_alpha",
                "1.3_alpha2",
                "1.3_alpha3",
                "1.3_beta",
                "1.3_pre1",
                "1.3_rc8",
            ][..],
            &[
                "0.13_rc1",
                "0.13",
                "0.13-r1",
                "0.13-r10",
                "0.13_p1",
                "0.13_p2-r1",
                "0.13.1",
            ],
            &[
                "1.0.0_pre20191002222144-r0",
                "1.0.0_pre20210530193627-r0",
                "1.0.0",
            ],
            &[
                "0.1.0_alpha_pre2",
                "0.1.0_alpha",
                "0.1.0",
                "0.1.0_git20200101",
            ],
            &["1.0", "1.00", "1.02", "1.06-r6", "1.1", "1.10", "006", "10"],
            &["2.3.0", "2.3.0b-r1", "2.3.0b-r2", "2.3.1"],
            &["1.1a", "1.3a", "5b-r9", "6b-r7"],
            &["7.0.17", "7.0.174", "20030719"],
            &["1.2.4-r0", "1.2.4-r1", "1.2.5-r0"],
            &["3.1.4-r0", "3.1.4-r5", "3.1.4-r6", "3.3.0-r0"],
        ] {
            for (index, older) in chain.iter().enumerate() {
                assert_eq!(compare(older, older), Ordering::Equal, "{older}");
                for newer in chain.iter().skip(index + 1) {
                    assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
                    assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_place(
            a in "[0-2a._-]{0,8}|1(.0?[0-9]){0,2}[ab]?(_(rc|p|alpha)[0-9]?){0,2}(-r[0-9])?|\\PC*",
            b in "1(.0?[0-9]){0,2}[ab]?(_(rc|p|alpha)[0-9]?){0,2}(-r[0-9])?",
        ) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        }
    }
}
