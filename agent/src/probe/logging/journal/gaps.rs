//! Missing numbers between journal files, and files that are damaged.
//!
//! journald numbers entries one after the other, in all files that it writes together. Old files
//! are removed from the old end, so a number that is missing between two files that are there is a
//! gap: a file was removed or replaced from outside, or its end was lost. Inside a file numbers may
//! be left out, because the entries of users go to files of their own; so the files of one place
//! are looked at together.

use std::collections::BTreeMap;

use super::File;

/// Numbers that no file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Gap {
    /// The file before it.
    pub(in super::super) after: String,
    /// The file after it.
    pub(in super::super) before: String,
    /// How many numbers are missing.
    pub(in super::super) missing: u64,
}

/// The gaps between the files of one place, each of which has its header.
pub(super) fn gaps(files: &[File]) -> Vec<Gap> {
    let mut numberings = BTreeMap::<[u8; 16], Vec<&File>>::new();
    for file in files {
        numberings
            .entry(file.header.numbering)
            .or_default()
            .push(file);
    }
    let mut gaps = Vec::new();
    for (numbering, mut files_of_it) in numberings {
        files_of_it.retain(|file| file.header.numbers.0 != 0);
        files_of_it.sort_by_key(|file| file.header.numbers);
        let mut reached: Option<&File> = None;
        for file in files_of_it {
            let (head, tail) = file.header.numbers;
            if let Some(earlier) = reached
                && earlier.header.numbers.1.saturating_add(1) < head
                && !explained(files, numbering, earlier, file)
            {
                gaps.push(Gap {
                    after: earlier.path.clone(),
                    before: file.path.clone(),
                    missing: head - earlier.header.numbers.1 - 1,
                });
            }
            if reached.is_none_or(|earlier| earlier.header.numbers.1 < tail) {
                reached = Some(file);
            }
        }
    }
    gaps
}

/// Whether a file of another numbering may hold what is missing: up to systemd 253 the entries of
/// users are numbered along with the others, but their files have a numbering of their own.
fn explained(files: &[File], numbering: [u8; 16], earlier: &File, later: &File) -> bool {
    let missing = (earlier.header.numbers.1, later.header.numbers.0);
    files.iter().any(|file| {
        let (head, tail) = file.header.numbers;
        file.header.numbering != numbering
            && head < missing.1
            && missing.0 < tail
            && file.header.head <= later.header.head
            && earlier.header.tail <= file.header.tail
    })
}

/// What is wrong with a file whose header could be read, in words.
pub(super) fn damage(path: &str, bytes: u64, state: u8, end: u64) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.ends_with('~') {
        Some("journald found it damaged, and put it aside")
    } else if bytes < end {
        Some("its end is missing")
    } else if name.contains('@') && state == 1 {
        Some("it was archived and never closed")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::super::tests::made;
    use super::*;

    /// A file with a numbering, its first and last number, and the times of those.
    fn file(name: &str, numbering: u64, numbers: (u64, u64), seconds: (u64, u64)) -> File {
        let bytes = made(&[
            (72, numbering),
            (168, numbers.0),
            (160, numbers.1),
            (184, seconds.0 * 1_000_000),
            (192, seconds.1 * 1_000_000),
        ]);
        File {
            path: name.to_owned(),
            header: header::read(&bytes).unwrap(),
        }
    }

    #[track_caller]
    fn check(files: &[File], expected: &[(&str, &str, u64)]) {
        let found = gaps(files);
        let short: Vec<_> = found
            .iter()
            .map(|gap| (gap.after.as_str(), gap.before.as_str(), gap.missing))
            .collect();
        assert_eq!(short, expected);
    }

    #[test]
    fn numbers_that_are_missing() {
        let one = file("one", 1, (500, 900), (10, 20));
        let two = file("two", 1, (901, 1000), (20, 30));
        let three = file("three", 1, (1051, 2000), (40, 50));
        // What was removed at the old end leaves no gap.
        check(&[one.clone(), two.clone()], &[]);
        check(
            &[two.clone(), one.clone(), three.clone()],
            &[("two", "three", 50)],
        );
        check(&[one.clone(), three.clone()], &[("one", "three", 150)]);
        // A file of users with the same numbering holds some of them.
        let user = file("user", 1, (950, 1050), (25, 39));
        check(&[one.clone(), two.clone(), user, three.clone()], &[]);
        // One with a numbering of its own may hold them, when its time fits.
        let user = file("user", 2, (1001, 1050), (31, 39));
        check(&[one.clone(), two.clone(), user, three.clone()], &[]);
        let older = file("older", 2, (1001, 1050), (1, 2));
        check(&[one, two, older, three], &[("two", "three", 50)]);
    }

    #[test]
    fn empty_files_and_other_numberings_are_no_gap() {
        let empty = file("empty", 1, (0, 0), (0, 0));
        let one = file("one", 1, (500, 900), (10, 20));
        let other = file("other", 2, (5000, 9000), (30, 40));
        check(&[empty, one, other], &[]);
        check(&[], &[]);
    }

    #[test]
    fn damaged_files() {
        for (path, bytes, state, expected) in [
            ("/j/system.journal", 100, 1, false),
            ("/j/system.journal", 99, 1, true),
            ("/j/system@a-b-c.journal", 100, 2, false),
            ("/j/system@a-b-c.journal", 100, 1, true),
            ("/j/system@a-b.journal~", 100, 0, true),
        ] {
            let found = damage(path, bytes, state, 100).is_some();
            assert_eq!(found, expected, "{path} {bytes} {state}");
        }
    }
}
