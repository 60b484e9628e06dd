//! The order of Debian package versions: epoch, upstream version, revision.
//!
//! Digit runs compare as numbers of any length; between them `~` sorts before the end of the
//! text, the end before letters, letters before everything else. Any bytes have a place in the
//! order, so that a malformed version stops nobody.
//!
//! Source: deb-version(7).

use std::cmp::Ordering;

/// Compares two versions.
#[must_use]
pub fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (Parts::of(left), Parts::of(right));
    run(left.epoch, right.epoch)
        .then_with(|| run(left.upstream, right.upstream))
        .then_with(|| run(left.revision, right.revision))
}

struct Parts<'a> {
    epoch: &'a str,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        // No revision is equal to revision 0, because the empty run counts as zero.
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self {
            epoch,
            upstream,
            revision,
        }
    }
}

/// Compares texts part by part: first a run without digits, then a number, and so on.
fn run(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let words = word(&mut left, &mut right);
        if words != Ordering::Equal {
            return words;
        }
        let numbers = number(&mut left).cmp(&number(&mut right));
        if numbers != Ordering::Equal {
            return numbers;
        }
    }
    Ordering::Equal
}

/// Compares up to the next digit of both, and steps over what was compared.
fn word(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let digit = |text: &[u8]| text.first().is_none_or(u8::is_ascii_digit);
    while !digit(left) || !digit(right) {
        let order = weight(left.first()).cmp(&weight(right.first()));
        if order != Ordering::Equal {
            return order;
        }
        *left = left.get(1..).unwrap_or_default();
        *right = right.get(1..).unwrap_or_default();
    }
    Ordering::Equal
}

fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Steps over a number, and gives its length without leading zeros and its digits: these compare as
/// numbers of any length do.
pub fn number<'a>(text: &mut &'a [u8]) -> (usize, &'a [u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let digits = digits.get(zeros..).unwrap_or_default();
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What dpkg 1.21.22 said of real and made versions: `left order right`.
    const TABLE: &str = include_str!("../../tests/hosts/updates/versions.txt");

    #[test]
    fn agrees_with_dpkg() {
        let mut lines = 0;
        for line in TABLE.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [left, order, right] = words[..] else {
                panic!("{line}")
            };
            let want = match order {
                "<" => Ordering::Less,
                "=" => Ordering::Equal,
                _ => Ordering::Greater,
            };
            assert_eq!(compare(left, right), want, "{line}");
            assert_eq!(compare(right, left), want.reverse(), "{line}");
            lines += 1;
        }
        assert!(lines > 300, "{lines}");
    }

    proptest! {
        #[test]
        fn any_text_has_one_place(
            a in "[0a~+.:-]{0,8}|\\PC*",
            b in "[0a~+.:-]{0,8}",
            c in "[0a~+.:-]{0,8}",
        ) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
