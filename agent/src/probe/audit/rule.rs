//! One rule of kernel auditing in a form that does not depend on how it was written.
//!
//! The kernel hands out numbers, people write names: both are brought to the same text, with the
//! fields sorted, so that what is loaded and what is written can be compared. A watch (`-w`) is the
//! rule that auditctl(8) makes of it; whether its path was a file or a folder is left out.

use std::collections::BTreeSet;

/// Codes of fields in linux/audit.h, and their names in auditctl(8).
const FIELDS: [(u32, &str); 45] = [
    (0, "pid"),
    (1, "uid"),
    (2, "euid"),
    (3, "suid"),
    (4, "fsuid"),
    (5, "gid"),
    (6, "egid"),
    (7, "sgid"),
    (8, "fsgid"),
    (9, "auid"),
    (10, "pers"),
    (11, "arch"),
    (12, "msgtype"),
    (13, "subj_user"),
    (14, "subj_role"),
    (15, "subj_type"),
    (16, "subj_sen"),
    (17, "subj_clr"),
    (18, "ppid"),
    (19, "obj_user"),
    (20, "obj_role"),
    (21, "obj_type"),
    (22, "obj_lev_low"),
    (23, "obj_lev_high"),
    (24, "loginuid_set"),
    (25, "sessionid"),
    (26, "fstype"),
    (100, "devmajor"),
    (101, "devminor"),
    (102, "inode"),
    (103, "exit"),
    (104, "success"),
    (105, "path"),
    (106, "perm"),
    // What a watch on a folder becomes.
    (107, "path"),
    (108, "filetype"),
    (109, "obj_uid"),
    (110, "obj_gid"),
    (111, "compare"),
    (112, "exe"),
    (113, "saddr_fam"),
    (200, "a0"),
    (201, "a1"),
    (202, "a2"),
    (203, "a3"),
];
/// Code of the architecture.
const ARCH: u32 = 11;
/// Code of the field that carries the keys.
const KEY: u32 = 210;
/// Codes of fields whose value is text.
const TEXTS: [u32; 14] = [13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 105, 107, 112, KEY];
/// Bits of the operators, and how they are written; the longer ones first.
pub(super) const OPERATORS: [(u32, &str); 8] = [
    (0x3000_0000, "!="),
    (0x5000_0000, "<="),
    (0x6000_0000, ">="),
    (0x4800_0000, "&="),
    (0x4000_0000, "="),
    (0x1000_0000, "<"),
    (0x2000_0000, ">"),
    (0x0800_0000, "&"),
];
/// Letters of permissions and their bits, in the order in which they are written here.
const PERMISSIONS: [(char, u32); 4] = [('r', 4), ('w', 2), ('x', 1), ('a', 8)];
/// A login that was never set.
const UNSET: u32 = u32::MAX;
/// Words of the set of system calls.
const MASK_WORDS: usize = 64;
/// As many system calls as a set can hold: then it means all of them.
const CALLS_MAX: usize = (MASK_WORDS - 1) * 32;
/// `__AUDIT_ARCH_64BIT` in linux/audit.h.
const ARCH_64_BIT: u32 = 0x8000_0000;

/// The table of system calls.
static CALLS: &str = include_str!("syscalls.txt");

/// The kinds of machine for which system calls have names here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// `x86_64`, which runs i386 too.
    X86,
    /// aarch64.
    Arm,
    /// Another one.
    Unnamed,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    /// Everything but the keys, e.g. `always,exit arch=b64 auid>=1000 syscall=unlink,unlinkat`.
    pub(super) text: String,
    /// The keys, sorted and joined by commas.
    pub(super) key: String,
}

/// The parts of a rule, while it is read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The action.
    pub(super) action: &'static str,
    /// The list.
    pub(super) list: &'static str,
    /// Fields as `name`, operator and value.
    pub(super) fields: BTreeSet<String>,
    /// The keys.
    pub(super) keys: BTreeSet<String>,
    /// Numbers of system calls; `None` stands for all.
    pub(super) calls: Option<BTreeSet<u32>>,
    /// `b64` or `b32` where the rule says so.
    pub(super) arch: Option<&'static str>,
}

impl Parts {
    /// The rule that they make.
    pub(super) fn rule(self, machine: Machine) -> Rule {
        let mut text = format!("{},{}", self.action, self.list);
        for field in &self.fields {
            text.push(' ');
            text.push_str(field);
        }
        if matches!(self.list, "exit" | "task") {
            let column = machine.column(self.arch);
            let calls = self.calls.map_or_else(
                || "all".to_owned(),
                |calls| {
                    let names = calls.into_iter().map(|call| name_of(call, column));
                    names
                        .collect::<BTreeSet<_>>()
                        .into_iter()
                        .collect::<Vec<_>>()
                        .join(",")
                },
            );
            text.push_str(" syscall=");
            text.push_str(&calls);
        }
        let key = self.keys.into_iter().collect::<Vec<_>>().join(",");
        Rule { text, key }
    }
}

impl Machine {
    /// The machine that this program runs on.
    pub(super) fn here() -> Self {
        match std::env::consts::ARCH {
            "x86_64" => Self::X86,
            "aarch64" => Self::Arm,
            _ => Self::Unnamed,
        }
    }

    /// The column of the table; `None` when there is none.
    pub(super) fn column(self, arch: Option<&str>) -> Option<usize> {
        match (self, arch) {
            (Self::X86, None | Some("b64")) => Some(1),
            (Self::X86, Some("b32")) => Some(2),
            (Self::Arm, None | Some("b64")) => Some(3),
            (Self::X86 | Self::Arm | Self::Unnamed, _) => None,
        }
    }
}

/// The number of a system call in a column of the table.
pub(super) fn number_of(name: &str, column: Option<usize>) -> Option<u32> {
    let row = |line: &&str| line.split(' ').next() == Some(name);
    let line = CALLS.lines().find(row)?;
    line.split(' ').nth(column?)?.parse().ok()
}

/// The name of a system call, or its number where it has no name here.
fn name_of(number: u32, column: Option<usize>) -> String {
    let text = number.to_string();
    let found = column.and_then(|column| {
        let row = |line: &&str| line.split(' ').nth(column) == Some(text.as_str());
        let mut lines = CALLS.lines().filter(|line| !line.starts_with('#'));
        lines.find(row)?.split(' ').next().map(str::to_owned)
    });
    found.unwrap_or(text)
}

/// The code of a field by its name.
pub(super) fn code_of(name: &str) -> Option<u32> {
    match name {
        "loginuid" => Some(9),
        "dir" => Some(107),
        "key" => Some(KEY),
        _ => FIELDS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(code, _)| *code),
    }
}

/// Whether the value of a field is text.
pub(super) fn is_text(code: u32) -> bool {
    TEXTS.contains(&code)
}

/// A field with a number, as it is written here.
pub(super) fn numeric(code: u32, operator: &str, value: u32) -> String {
    let name = FIELDS.iter().find(|(known, _)| *known == code);
    let name = name.map_or_else(|| format!("field-{code}"), |(_, name)| (*name).to_owned());
    let value = match code {
        9 | 1..=4 if value == UNSET => "unset".to_owned(),
        ARCH => bits_of(value).to_owned(),
        103 => value.cast_signed().to_string(),
        106 => {
            let letters = PERMISSIONS.iter().filter(|(_, bit)| value & bit != 0);
            letters.map(|(letter, _)| *letter).collect()
        }
        _ => value.to_string(),
    };
    format!("{name}{operator}{value}")
}

/// A field with a text, as it is written here.
pub(super) fn textual(code: u32, operator: &str, value: &str) -> String {
    let name = FIELDS.iter().find(|(known, _)| *known == code);
    let name = name.map_or("", |(_, name)| name);
    let value = match value.strip_suffix('/') {
        Some(folder) if matches!(code, 105 | 107) && !folder.is_empty() => folder,
        Some(_) | None => value,
    };
    format!("{name}{operator}{value}")
}

/// The bits of permissions by their letters; `None` for another letter.
pub(super) fn permissions(letters: &str) -> Option<u32> {
    let bit = |letter| PERMISSIONS.iter().find(|(known, _)| *known == letter);
    letters
        .chars()
        .try_fold(0, |bits, letter| Some(bits | bit(letter)?.1))
}

/// Whether an architecture has 64 or 32 bits.
fn bits_of(arch: u32) -> &'static str {
    if arch & ARCH_64_BIT == 0 {
        "b32"
    } else {
        "b64"
    }
}

/// Reads the rules that the kernel lists: whole netlink messages with `struct audit_rule_data`.
/// The machine is the one that their architectures belong to; else that of this program.
pub(super) fn loaded(list: &[u8]) -> Option<(Machine, Vec<Rule>)> {
    let mut all = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let length = usize::try_from(word(rest, 0)?).ok()?;
        let message = rest.get(..length)?;
        all.push(message.get(16..)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let machine = all.iter().find_map(|data| machine_of(data));
    let machine = machine.unwrap_or_else(Machine::here);
    let rules = all.into_iter().map(|data| one_loaded(data, machine));
    Some((machine, rules.collect::<Option<_>>()?))
}

/// The machine of the first architecture that a rule names: `AUDIT_ARCH_*` in linux/audit.h have
/// the numbers of linux/elf-em.h in their lower half.
fn machine_of(data: &[u8]) -> Option<Machine> {
    let at = (0..MASK_WORDS).find(|at| word(data, 3 + MASK_WORDS + at) == Some(ARCH))?;
    match word(data, 3 + 2 * MASK_WORDS + at)? & 0xffff {
        3 | 62 => Some(Machine::X86),
        40 | 183 => Some(Machine::Arm),
        _ => Some(Machine::Unnamed),
    }
}

fn one_loaded(data: &[u8], machine: Machine) -> Option<Rule> {
    let mut parts = Parts {
        list: match word(data, 0)? & 0xf {
            0 => "user",
            1 => "task",
            4 => "exit",
            5 => "exclude",
            6 => "filesystem",
            7 => "io_uring",
            _ => return None,
        },
        action: match word(data, 1)? {
            0 => "never",
            1 => "possible",
            2 => "always",
            _ => return None,
        },
        ..Parts::default()
    };
    parts.calls = Some(calls(data)?).filter(|calls| calls.len() != CALLS_MAX);
    let count = usize::try_from(word(data, 2)?)
        .ok()
        .filter(|count| *count <= MASK_WORDS)?;
    let mut texts = data.get((4 + 4 * MASK_WORDS) * 4..)?;
    for at in 0..count {
        let code = word(data, 3 + MASK_WORDS + at)?;
        let value = word(data, 3 + 2 * MASK_WORDS + at)?;
        let bits = word(data, 3 + 3 * MASK_WORDS + at)?;
        let (_, operator) = OPERATORS.iter().find(|(known, _)| *known == bits)?;
        if !is_text(code) {
            if code == ARCH {
                parts.arch = Some(bits_of(value));
            }
            let _new = parts.fields.insert(numeric(code, operator, value));
            continue;
        }
        let (text, after) = texts.split_at_checked(usize::try_from(value).ok()?)?;
        texts = after;
        let text = String::from_utf8_lossy(text);
        if code == KEY {
            // Several keys are one text with this sign between them.
            parts.keys.extend(text.split('\u{1}').map(str::to_owned));
        } else {
            let _new = parts.fields.insert(textual(code, operator, &text));
        }
    }
    Some(parts.rule(machine))
}

/// The system calls of a rule. The last word names classes, which the kernel has resolved.
fn calls(data: &[u8]) -> Option<BTreeSet<u32>> {
    let mut calls = BTreeSet::new();
    for at in 0..MASK_WORDS - 1 {
        let bits = word(data, 3 + at)?;
        let first = u32::try_from(at).ok()? * 32;
        let set = (0..32).filter(|bit| bits & 1 << bit != 0);
        calls.extend(set.map(|bit| first + bit));
    }
    Some(calls)
}

#[expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the order of the host"
)]
fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at * 4..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_calls_have_numbers_and_names() {
        let x86 = |arch| Machine::X86.column(arch);
        assert_eq!(number_of("unlinkat", x86(Some("b64"))), Some(263));
        assert_eq!(number_of("unlinkat", x86(None)), Some(263));
        assert_eq!(number_of("unlinkat", x86(Some("b32"))), Some(301));
        assert_eq!(
            number_of("unlinkat", Machine::Arm.column(Some("b64"))),
            Some(35)
        );
        assert_eq!(
            number_of("unlinkat", Machine::Arm.column(Some("b32"))),
            None
        );
        assert_eq!(number_of("stime", x86(Some("b64"))), None);
        assert_eq!(number_of("#", x86(None)), None);
        assert_eq!(name_of(263, x86(None)), "unlinkat");
        assert_eq!(name_of(99_999, x86(None)), "99999");
        assert_eq!(name_of(263, None), "263");
    }

    #[test]
    fn lists_that_are_cut_are_refused() {
        assert_eq!(loaded(&[]), Some((Machine::here(), Vec::new())));
        assert_eq!(loaded(&[16, 0, 0, 0]), None);
        let mut message = vec![0; 16];
        message[0] = 16;
        assert_eq!(loaded(&message), None);
        assert_eq!(loaded(&[0; 64]), None);
    }

    proptest::proptest! {
        #[test]
        fn any_list_is_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
            let mut list = 2000_u32.to_be_bytes().to_vec();
            list.reverse();
            list.extend(&bytes);
            let _rules = (loaded(&bytes), loaded(&list));
        }
    }
}
