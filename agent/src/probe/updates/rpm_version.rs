//! The order of RPM versions: epoch, version, release.
//!
//! Runs of digits and runs of letters compare one by one, and what stands between them only parts
//! them; a number is newer than letters. `~` sorts before the end of the text, `^` after it and
//! before everything else. Any text has a place in the order.
//!
//! Source: rpm-version(7), `rpmvercmp` of librpm.

use std::cmp::Ordering;

use shared::version::number;

/// Epoch, version and release of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "these are the names that rpm has for them"
)]
pub(super) struct Version {
    /// Epoch; 0 where none is named.
    pub(super) epoch: u64,
    /// Version of the program.
    pub(super) version: String,
    /// Release of the package.
    pub(super) release: String,
}

impl Version {
    /// Compares as rpm does; texts that differ may be equal, such as `1.0` and `1_0`.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let epochs = self.epoch.cmp(&other.epoch);
        epochs
            .then_with(|| run(&self.version, &other.version))
            .then_with(|| run(&self.release, &other.release))
    }

    /// `VERSION-RELEASE`, and `EPOCH:` before it unless that is 0.
    pub(super) fn text(&self) -> String {
        let Self {
            epoch,
            version,
            release,
        } = self;
        match epoch {
            0 => format!("{version}-{release}"),
            _ => format!("{epoch}:{version}-{release}"),
        }
    }
}

/// A version of a package, as patterns see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    /// Name.
    pub(super) name: &'a str,
    /// Architecture.
    pub(super) architecture: &'a str,
    /// Epoch, version, release.
    pub(super) version: &'a Version,
}

impl Named<'_> {
    /// The texts that a pattern may match: dnf(8) "Specifying packages".
    pub(super) fn forms(&self) -> Vec<String> {
        let Self {
            name,
            architecture,
            version,
        } = self;
        let (epoch, release) = (version.epoch, &version.release);
        let version = &version.version;
        vec![
            (*name).to_owned(),
            format!("{name}.{architecture}"),
            format!("{name}-{version}"),
            format!("{name}-{version}-{release}"),
            format!("{name}-{version}-{release}.{architecture}"),
            format!("{name}-{epoch}:{version}-{release}"),
            format!("{name}-{epoch}:{version}-{release}.{architecture}"),
        ]
    }
}

/// Compares two versions, or two releases.
fn run(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        (left, right) = (meaning(left), meaning(right));
        let order = match (left.first(), right.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (left, right) = (rest(left), rest(right));
                continue;
            }
            (one, other) if rank(one) != rank(other) => return rank(one).cmp(&rank(other)),
            (None, _) | (_, None) => return Ordering::Equal,
            (Some(one), Some(other)) if one.is_ascii_digit() && other.is_ascii_digit() => {
                number(&mut left).cmp(&number(&mut right))
            }
            (Some(one), Some(other)) if one.is_ascii_digit() || other.is_ascii_digit() => {
                return one.is_ascii_digit().cmp(&other.is_ascii_digit());
            }
            _ => {
                let letter = u8::is_ascii_alphabetic;
                taken(&mut left, letter).cmp(taken(&mut right, letter))
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// What sorts before what, whatever follows.
fn rank(next: Option<&u8>) -> usize {
    match next {
        Some(b'~') => 0,
        None => 1,
        Some(b'^') => 2,
        Some(_) => 3,
    }
}

fn rest(text: &[u8]) -> &[u8] {
    text.get(1..).unwrap_or_default()
}

/// Steps over what only parts.
fn meaning(mut text: &[u8]) -> &[u8] {
    let parts = |byte: &u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'~' | b'^');
    let _parting = taken(&mut text, parts);
    text
}

fn taken<'a>(text: &mut &'a [u8], wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = text.iter().position(|byte| !wanted(byte));
    let (taken, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What librpm 4.18.0 said of real and made versions: `left order right`.
    const TABLE: &str = include_str!("../../../../tests/hosts/updates/rpm-versions.txt");

    #[test]
    fn agrees_with_rpm() {
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
            assert_eq!(run(left, right), want, "{line}");
            assert_eq!(run(right, left), want.reverse(), "{line}");
            lines += 1;
        }
        assert!(lines > 300, "{lines}");
    }

    #[test]
    fn epochs_and_releases_count() {
        let version = |epoch, version: &str, release: &str| Version {
            epoch,
            version: version.to_owned(),
            release: release.to_owned(),
        };
        let (old, new) = (version(0, "9", "9"), version(1, "1", "1"));
        assert!(old.compare(&new).is_lt());
        assert!(new.compare(&version(1, "1", "1.el9")).is_lt());
        assert!(new.compare(&version(1, "1", "01")).is_eq());
        assert_eq!((old.text(), new.text()), ("9-9".into(), "1:1-1".into()));
    }

    proptest! {
        #[test]
        fn any_text_has_one_place(
            a in "[0a~^+.Z-]{0,8}|\\PC*",
            b in "[0a~^+.Z-]{0,8}",
            c in "[0a~^+.Z-]{0,8}",
        ) {
            prop_assert_eq!(run(&a, &a), Ordering::Equal);
            prop_assert_eq!(run(&a, &b), run(&b, &a).reverse());
            if run(&a, &b).is_le() && run(&b, &c).is_le() {
                prop_assert!(run(&a, &c).is_le());
            }
        }
    }
}
