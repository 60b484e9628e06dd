//! Tables of reference data: cells parted by tabs, each with its place in the file.
//!
//! The first line names the columns; a cell holds a text, or a list parted by `;`, or `-` for
//! nothing. There is no quoting.

use std::ops::Range;

use crate::fault::{Complaint, Fault};

/// One file, and what is wrong in it.
#[derive(Debug)]
pub(super) struct Table<'a> {
    file: &'a str,
    text: &'a str,
    faults: Vec<Fault>,
}

/// A part of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    /// What stands there.
    pub(super) text: &'a str,
    start: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let faults = Vec::new();
        Self { file, text, faults }
    }

    /// Notes that something is wrong.
    pub(super) fn refuse(&mut self, complaint: Complaint) {
        self.faults.push(complaint.in_file(self.file, self.text));
    }

    /// The value, or nothing where it was refused.
    pub(super) fn take<T>(&mut self, found: Result<T, Complaint>) -> Option<T> {
        found.map_err(|complaint| self.refuse(complaint)).ok()
    }

    /// What was wrong.
    pub(super) fn faults(self) -> Vec<Fault> {
        self.faults
    }

    /// The lines of the file, without their ends; of an empty line nothing is shown.
    fn lines(&self) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let mut start = 0;
        let lines = self.text.split_inclusive('\n').map(move |line| {
            let cell = Cell {
                text: line.trim_end_matches(['\n', '\r']),
                start,
            };
            start += line.len();
            cell
        });
        lines.filter(|line| !line.text.is_empty())
    }

    /// The lines before that of the columns: a name and its value.
    pub(super) fn head<const N: usize>(&mut self, names: [&str; N]) -> Option<[Cell<'a>; N]> {
        let mut found = Vec::new();
        for (name, line) in names.iter().zip(self.lines()) {
            match line.split('\t').collect::<Vec<_>>().as_slice() {
                [key, value] if key.text == *name && !value.is_none() => found.push(*value),
                _ => {
                    let message = format!("a line with `{name}` is due here");
                    let hint = format!("write `{name}`, a tab and its value");
                    self.refuse(line.wrong(message).hint(hint));
                    return None;
                }
            }
        }
        let complete = <[Cell<'a>; N]>::try_from(found).ok();
        if complete.is_none() {
            let end = self.text.len();
            let hint = format!("it begins with lines of {}", names.join(", "));
            self.refuse(Complaint::new(end..end, "the file ends too early").hint(hint));
        }
        complete
    }

    /// The rows below the line that names these columns, which stands after `before` lines.
    pub(super) fn rows<const N: usize>(
        &mut self,
        before: usize,
        columns: [&str; N],
    ) -> Vec<[Cell<'a>; N]> {
        let mut lines = self.lines().skip(before);
        let first = lines.next();
        if first.is_none_or(|line| line.text != columns.join("\t")) {
            let at = first.map_or(self.text.len()..self.text.len(), Cell::at);
            let hint = format!("they are, parted by tabs: {}", columns.join(" "));
            self.refuse(Complaint::new(at, "the columns are not the known ones").hint(hint));
            return Vec::new();
        }
        let mut rows = Vec::new();
        for line in lines {
            match <[Cell<'a>; N]>::try_from(line.split('\t').collect::<Vec<_>>()) {
                Ok(row) => rows.push(row),
                Err(cells) => {
                    let message = format!("{N} columns are wanted, and {} are here", cells.len());
                    self.refuse(line.wrong(message).hint("write `-` for nothing"));
                }
            }
        }
        rows
    }
}

impl<'a> Cell<'a> {
    fn at(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// A complaint about this cell.
    pub(super) fn wrong(self, message: impl Into<String>) -> Complaint {
        Complaint::new(self.at(), message)
    }

    /// Nothing stands there.
    pub(super) fn is_none(self) -> bool {
        matches!(self.text, "" | "-")
    }

    fn split(self, by: char) -> impl Iterator<Item = Self> + use<'a> {
        let mut start = self.start;
        self.text.split(by).map(move |text| {
            let cell = Self { text, start };
            start += text.len() + by.len_utf8();
            cell
        })
    }

    /// The text, empty for nothing.
    pub(super) fn words(self) -> String {
        if self.is_none() {
            String::new()
        } else {
            self.text.to_owned()
        }
    }

    /// The text, which must be there.
    pub(super) fn some(self) -> Result<String, Complaint> {
        if self.is_none() {
            Err(self.wrong("a text is due here"))
        } else {
            Ok(self.text.to_owned())
        }
    }

    /// The parts of a list.
    pub(super) fn items(self) -> impl Iterator<Item = Self> + use<'a> {
        let nothing = self.is_none();
        self.split(';').filter(move |_item| !nothing)
    }

    /// One of some words.
    pub(super) fn one_of<T: Copy>(self, words: &[(&str, T)]) -> Result<T, Complaint> {
        let found = words.iter().find(|(word, _)| *word == self.text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known = words.iter().map(|(word, _)| *word);
            self.wrong(format!("`{}` has no meaning here", self.text))
                .hint(crate::fault::nearest(self.text, known))
        })
    }

    /// A whole number that is not negative.
    pub(super) fn number(self) -> Result<u32, Complaint> {
        let digits = self.text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| self.text.parse().ok()).flatten();
        number.ok_or_else(|| self.wrong(format!("`{}` is no whole number", self.text)))
    }
}
