//! The rules of kernel auditing that are written on disk: auditctl(8), augenrules(8).

use super::rule::{self, Machine, Parts, Rule};

/// What stands in rule files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// The rules.
    pub(super) rules: Vec<Rule>,
    /// Lines that are not understood.
    pub(super) unknown: Vec<String>,
    /// The last `-e`: 2 locks the rules until restart.
    pub(super) enabled: Option<u32>,
}

/// Options that set something else than a rule, and whether a value follows.
const SETTINGS: [(&str, bool); 14] = [
    ("-b", true),
    ("--backlog_wait_time", true),
    ("-c", false),
    ("-e", true),
    ("-f", true),
    ("-h", false),
    ("-i", false),
    ("-l", false),
    ("--loginuid-immutable", false),
    ("-q", true),
    ("-r", true),
    ("--reset-lost", false),
    ("-s", false),
    ("-t", false),
];

/// Names of errors that rules watch for: errno(3).
const ERRORS: [(&str, i32); 10] = [
    ("EACCES", 13),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("EINVAL", 22),
    ("ENODATA", 61),
    ("ENOENT", 2),
    ("ENOSPC", 28),
    ("EPERM", 1),
    ("EROFS", 30),
    ("ETXTBSY", 26),
];
/// Types of records that rules leave out: linux/audit.h.
const RECORDS: [(&str, u32); 15] = [
    ("AVC", 1400),
    ("BPF", 1334),
    ("CRYPTO_KEY_USER", 2404),
    ("CWD", 1307),
    ("EOE", 1320),
    ("EXECVE", 1309),
    ("NETFILTER_CFG", 1325),
    ("PATH", 1302),
    ("PROCTITLE", 1327),
    ("SERVICE_START", 1130),
    ("SERVICE_STOP", 1131),
    ("SOCKADDR", 1306),
    ("SYSCALL", 1300),
    ("USER_AVC", 1107),
    ("USER_CMD", 1123),
];
/// Types of files: inode(7), in octal as in `S_IFMT`.
const FILE_TYPES: [(&str, u32); 7] = [
    ("block", 0o060_000),
    ("character", 0o020_000),
    ("dir", 0o040_000),
    ("fifo", 0o010_000),
    ("file", 0o100_000),
    ("link", 0o120_000),
    ("socket", 0o140_000),
];
/// Types of file systems that rules name: statfs(2).
const FILE_SYSTEMS: [(&str, u32); 2] = [("debugfs", 0x6462_6720), ("tracefs", 0x7472_6163)];
/// Numbers of the comparisons of two fields: `AUDIT_COMPARE_*` in linux/audit.h.
const COMPARISONS: [(&str, &str, u32); 25] = [
    ("uid", "obj_uid", 1),
    ("gid", "obj_gid", 2),
    ("euid", "obj_uid", 3),
    ("egid", "obj_gid", 4),
    ("auid", "obj_uid", 5),
    ("suid", "obj_uid", 6),
    ("sgid", "obj_gid", 7),
    ("fsuid", "obj_uid", 8),
    ("fsgid", "obj_gid", 9),
    ("uid", "auid", 10),
    ("uid", "euid", 11),
    ("uid", "fsuid", 12),
    ("uid", "suid", 13),
    ("auid", "fsuid", 14),
    ("auid", "suid", 15),
    ("auid", "euid", 16),
    ("euid", "suid", 17),
    ("euid", "fsuid", 18),
    ("suid", "fsuid", 19),
    ("gid", "egid", 20),
    ("gid", "fsgid", 21),
    ("gid", "sgid", 22),
    ("egid", "fsgid", 23),
    ("egid", "sgid", 24),
    ("sgid", "fsgid", 25),
];
/// Code of the comparison of two fields.
const COMPARE: u32 = 111;
/// Code of a watch on a path.
const WATCH: u32 = 105;
/// Code of permissions.
const PERM: u32 = 106;

/// Reads one rule file.
pub(super) fn read(text: &str, machine: Machine) -> Written {
    lines(text.lines(), machine)
}

/// Reads the files that are made into one: augenrules(8) puts what deletes rules before them all.
pub(super) fn merged(texts: &[String], machine: Machine) -> Written {
    let all = texts.iter().flat_map(|text| text.lines());
    lines(all.filter(|line| line.trim() != "-D"), machine)
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>, machine: Machine) -> Written {
    let mut written = Written::default();
    for line in lines {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            // What was loaded before is deleted.
            ["-D"] => written.rules.clear(),
            ["-e", state] => written.enabled = state.parse().ok(),
            words if is_setting(words) => {}
            words => match rule(words, machine) {
                Some(rule) => written.rules.push(rule),
                None => written.unknown.push(line.to_owned()),
            },
        }
    }
    written
}

fn is_setting(words: &[&str]) -> bool {
    let Some((option, rest)) = words.split_first() else {
        return false;
    };
    let known = SETTINGS.iter().find(|(name, _)| name == option);
    known.is_some_and(|(_, value)| rest.len() == usize::from(*value))
}

fn rule(words: &[&str], machine: Machine) -> Option<Rule> {
    let mut parts = Parts::default();
    let mut calls = Vec::new();
    let mut watched = false;
    let mut permission = None;
    let mut words = words.iter();
    while let Some(option) = words.next() {
        let value = *words.next()?;
        match *option {
            "-a" | "-A" => (parts.action, parts.list) = list_and_action(value)?,
            "-w" => {
                watched = true;
                (parts.action, parts.list) = ("always", "exit");
                let _new = parts.fields.insert(rule::textual(WATCH, "=", value));
            }
            "-p" => permission = Some(rule::permissions(value)?),
            "-S" => calls.extend(value.split(',')),
            "-F" => field(&mut parts, value)?,
            "-C" => {
                let _new = parts.fields.insert(comparison(value)?);
            }
            "-k" => {
                let _new = parts.keys.insert(value.to_owned());
            }
            _ => return None,
        }
    }
    if parts.action.is_empty() {
        return None;
    }
    if watched || permission.is_some() {
        // Without `-p` a watch means all of them.
        let bits = permission.or_else(|| rule::permissions("rwxa"))?;
        let _new = parts.fields.insert(rule::numeric(PERM, "=", bits));
    }
    if !calls.is_empty() && calls != ["all"] {
        let column = machine.column(parts.arch);
        let number = |name: &&str| match name.parse() {
            Ok(number) => Some(number),
            Err(_name) => rule::number_of(name, column),
        };
        parts.calls = Some(calls.iter().map(number).collect::<Option<_>>()?);
    }
    Some(parts.rule(machine))
}

/// The two words of `-a`, which may stand in either order.
fn list_and_action(value: &str) -> Option<(&'static str, &'static str)> {
    const ACTIONS: [&str; 2] = ["always", "never"];
    const LISTS: [&str; 6] = ["exclude", "exit", "filesystem", "io_uring", "task", "user"];
    let (one, other) = value.split_once(',')?;
    let known = |words: &'static [&'static str]| {
        let mut words = words.iter();
        words.find(|word| **word == one || **word == other).copied()
    };
    Some((known(&ACTIONS)?, known(&LISTS)?))
}

/// Splits at the first operator.
fn operator(text: &str) -> Option<(&str, &'static str, &str)> {
    let at = text.find(['!', '<', '>', '&', '='])?;
    let (name, rest) = text.split_at_checked(at)?;
    let (_, operator) = rule::OPERATORS
        .iter()
        .find(|(_, sign)| rest.starts_with(sign))?;
    Some((name, operator, rest.strip_prefix(operator)?))
}

fn field(parts: &mut Parts, text: &str) -> Option<()> {
    let (name, operator, value) = operator(text)?;
    let code = rule::code_of(name)?;
    if name == "key" {
        let _new = parts.keys.insert(value.to_owned());
        return Some(());
    }
    if rule::is_text(code) {
        let _new = parts.fields.insert(rule::textual(code, operator, value));
        return Some(());
    }
    let value = number(name, value)?;
    if name == "arch" {
        parts.arch = Some(if value & 0x8000_0000 == 0 {
            "b32"
        } else {
            "b64"
        });
    }
    let _new = parts.fields.insert(rule::numeric(code, operator, value));
    Some(())
}

fn comparison(text: &str) -> Option<String> {
    let (one, operator, other) = operator(text)?;
    let found = COMPARISONS.iter().find(|(first, second, _)| {
        (*first == one && *second == other) || (*first == other && *second == one)
    });
    found.map(|(_, _, number)| rule::numeric(COMPARE, operator, *number))
}

/// The number that a value stands for; `None` where it is not known.
fn number(field: &str, value: &str) -> Option<u32> {
    let named = |names: &[(&str, u32)]| {
        let found = names.iter().find(|(name, _)| *name == value);
        found.map(|(_, number)| *number)
    };
    let name = match field {
        "arch" => named(&[("b64", 0x8000_0000), ("b32", 0), ("x86_64", 0x8000_0000)])
            .or_else(|| named(&[("aarch64", 0x8000_0000), ("i386", 0), ("i686", 0)])),
        "perm" => rule::permissions(value),
        "exit" => error(value),
        "msgtype" => named(&RECORDS),
        "filetype" => named(&FILE_TYPES),
        "fstype" => named(&FILE_SYSTEMS),
        "success" => named(&[("yes", 1), ("no", 0)]),
        "auid" | "loginuid" if value == "unset" => Some(u32::MAX),
        // The only name that means the same on every host.
        "auid" | "loginuid" | "uid" | "euid" | "suid" | "fsuid" | "gid" | "egid" | "sgid"
        | "fsgid" | "obj_uid" | "obj_gid"
            if value == "root" =>
        {
            Some(0)
        }
        _ => None,
    };
    name.or_else(|| match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if value.starts_with('-') => value.parse::<i32>().ok().map(i32::cast_unsigned),
        None => value.parse().ok(),
    })
}

/// An error by its name, with or without a sign.
fn error(value: &str) -> Option<u32> {
    let (sign, name) = match value.strip_prefix('-') {
        Some(name) => (-1, name),
        None => (1, value),
    };
    let found = ERRORS.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| (sign * number).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text and the key of one line; the line itself when it is not understood.
    #[track_caller]
    fn check(line: &str, expected: &str) {
        let written = read(line, Machine::X86);
        let rules = written
            .rules
            .iter()
            .map(|rule| format!("{} [{}]", rule.text, rule.key));
        let found: Vec<_> = rules.chain(written.unknown.clone()).collect();
        assert_eq!(found.join("\n"), expected, "{line}");
    }

    #[test]
    fn one_meaning_has_one_text() {
        let watch = "always,exit path=/etc/passwd perm=wa syscall=all [identity]";
        for line in [
            "-w /etc/passwd -p wa -k identity",
            "-w /etc/passwd/ -p aw -k identity",
            "-a always,exit -F path=/etc/passwd -F perm=wa -F key=identity",
            "-a exit,always -F perm=aw -F path=/etc/passwd -k identity",
            "-a always,exit -S all -F path=/etc/passwd -F perm=wa -k identity",
        ] {
            check(line, watch);
        }
        let calls = "always,exit arch=b64 auid!=unset auid>=1000 exit=-13 syscall=open,openat [a]";
        for line in [
            "-a always,exit -F arch=b64 -S open,openat -F exit=-EACCES \
             -F auid>=1000 -F auid!=unset -k a",
            "-a always,exit -F arch=x86_64 -S openat -S open \
             -F auid!=-1 -F auid>=1000 -F exit=-13 -k a",
            "-A always,exit -F arch=b64 -S 257 -S 2 \
             -F auid!=4294967295 -F auid>=1000 -F exit=-EACCES -k a",
        ] {
            check(line, calls);
        }
    }

    #[test]
    fn fields_of_all_kinds() {
        for (line, expected) in [
            (
                "-w /etc/sudoers.d/",
                "always,exit path=/etc/sudoers.d perm=rwxa syscall=all []",
            ),
            (
                "-a always,exit -F arch=b32 -S stime -F key=time-change",
                "always,exit arch=b32 syscall=stime [time-change]",
            ),
            (
                "-a always,exit -F arch=b64 -C euid!=uid -F auid!=unset \
                 -S execve -k user_emulation",
                "always,exit arch=b64 auid!=unset compare!=11 syscall=execve [user_emulation]",
            ),
            (
                "-a always,exit -F arch=b64 -S clock_settime -F a0=0x0 -k t",
                "always,exit a0=0 arch=b64 syscall=clock_settime [t]",
            ),
            (
                "-a never,exclude -F msgtype=CWD",
                "never,exclude msgtype=1307 []",
            ),
            (
                "-a always,exclude -F msgtype=1327",
                "always,exclude msgtype=1327 []",
            ),
            ("-a task,never", "never,task syscall=all []"),
            (
                "-a never,filesystem -F fstype=tracefs",
                "never,filesystem fstype=1953653091 []",
            ),
            (
                "-a always,exit -F path=/usr/bin/sudo -F perm=x -F auid>=1000 -F auid!=unset -k x",
                "always,exit auid!=unset auid>=1000 path=/usr/bin/sudo perm=x syscall=all [x]",
            ),
            (
                "-a always,exit -F exe=/usr/bin/x -F filetype=file -F uid=root \
                 -F success=no -k b -k a",
                "always,exit exe=/usr/bin/x filetype=32768 success=0 uid=0 syscall=all [a,b]",
            ),
        ] {
            check(line, expected);
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for line in [
            "-a always,exit -F arch=b64 -S no_such_call -k x",
            "-a always,exit -F arch=b64 -S stime -k x",
            "-a always,exit -F uid=someone",
            "-a always,exit -F colour=red",
            "-a sometimes,exit",
            "-w /etc/passwd -p wz",
            "-w /etc/passwd -k",
            "-W /etc/passwd",
            "-S open",
            "-b",
            "nothing",
        ] {
            check(line, line);
        }
    }

    #[test]
    fn settings_and_deletion() {
        let text = "# comment\n-w /etc/a\n-D\n-b 8192\n--backlog_wait_time 60000\n-f 1\n-c\n\n\
                    -w /etc/b -p w\n-e 2\n";
        let written = read(text, Machine::X86);
        assert_eq!(written.rules.len(), 1);
        assert_eq!(written.enabled, Some(2));
        assert!(written.unknown.is_empty(), "{written:?}");
        assert_eq!(merged(&[text.to_owned()], Machine::X86).rules.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "([\\PC\n]|-a |-w |-F |-S |arch=b64|always,exit|[!<>&=, ])*") {
            let _written = read(&text, Machine::X86);
        }
    }
}
