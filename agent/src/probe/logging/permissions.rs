//! Who may read and write the log files: modes and owners below `/var/log`.
//!
//! Nobody but their writers may change logs, and what stands in them is not for everybody. A few
//! files are for everybody by design: those of who logged in when, and those of the package manager
//! and the installer, which name no person. Source: CIS Debian Linux 12 Benchmark 6.1.4.1.

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};

use crate::host::{Host, Stat, Unseen};
use crate::probe::Seen;

/// Where logs are.
const ROOT: &str = "/var/log";
/// Most files and folders that are looked at.
const ENTRIES_MAX: usize = 8192;
/// Deepest folder.
const DEPTH_MAX: usize = 6;
/// Beginnings of names below the root that everybody may read.
const PUBLIC: [&str; 14] = [
    "README",
    "alternatives.log",
    "apt/",
    "bootstrap.log",
    "btmp",
    "dnf",
    "dpkg.log",
    "faillog",
    "fontconfig.log",
    "hawkey.log",
    "installer/",
    "lastlog",
    "wtmp",
    "yum.log",
];
/// First user who is a person: login.defs(5), `UID_MIN`.
const PERSON: u32 = 1000;

/// What was found.
#[derive(Default)]
struct Walk {
    checked: usize,
    problems: Vec<Record>,
    whole: bool,
}

/// States the files that are open to more than they should be.
pub(super) fn state(host: &dyn Host, seen: &mut Seen) {
    let mut walk = Walk {
        whole: true,
        ..Walk::default()
    };
    folder(host, seen, &mut walk, ROOT, 0);
    if walk.checked == 0 {
        return;
    }
    seen.state_count("permission_checked_count", walk.checked);
    // None is said only when everything was seen.
    if walk.whole || !walk.problems.is_empty() {
        seen.state_list("permission_problems", walk.problems);
    }
}

fn folder(host: &dyn Host, seen: &mut Seen, walk: &mut Walk, path: &str, depth: usize) {
    let names = match host.list(path) {
        Err(unseen) if unseen.is_absent() => return,
        names => seen.note(Means::File, path, names),
    };
    let Some(names) = names else {
        walk.whole = false;
        return;
    };
    for name in names {
        if walk.checked == ENTRIES_MAX || depth == DEPTH_MAX {
            if walk.whole {
                let why = format!("more than {ENTRIES_MAX} files, or folders too deep");
                seen.unseen(Means::File, Unseen::new(ROOT, Status::Limit, Some(&why)));
            }
            walk.whole = false;
            return;
        }
        let path = format!("{path}/{name}");
        // Where a link leads is judged where it leads.
        if host.link(&path).is_ok() {
            continue;
        }
        let stat = match host.stat(&path) {
            Ok(stat) => stat,
            Err(unseen) if unseen.is_absent() => continue,
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                walk.whole = false;
                continue;
            }
        };
        walk.checked += 1;
        if let Some(problem) = problem(&path, &stat) {
            walk.problems.push(record(&path, &stat, problem));
        }
        if stat.folder {
            folder(host, seen, walk, &path, depth + 1);
        }
    }
}

/// What is wrong with the mode or the owner.
fn problem(path: &str, stat: &Stat) -> Option<&'static str> {
    let below = path
        .strip_prefix(ROOT)
        .unwrap_or(path)
        .trim_start_matches('/');
    let public = PUBLIC.iter().any(|name| below.starts_with(name));
    // In a folder with this bit only the owner of a file removes it.
    let sticky = stat.folder && stat.mode & 0o1000 != 0;
    if stat.mode & 0o002 != 0 && !sticky {
        Some("everybody may write")
    } else if stat.folder {
        None
    } else if PERSON <= stat.user && stat.user < 60_000 {
        Some("a person owns it")
    } else if stat.mode & 0o004 != 0 && !public {
        Some("everybody may read")
    } else {
        None
    }
}

fn record(path: &str, stat: &Stat, problem: &str) -> Record {
    let text = |text: &str| Value::Text(text.to_owned());
    Record::from([
        ("group".to_owned(), Value::Number(stat.group.into())),
        ("mode".to_owned(), Value::Number(stat.mode.into())),
        ("path".to_owned(), text(path)),
        ("problem".to_owned(), text(problem)),
        ("user".to_owned(), Value::Number(stat.user.into())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_owners() {
        let stat = |folder, mode, user| Stat {
            folder,
            bytes: 1,
            mode,
            user,
            group: 4,
            modified: shared::time::Timestamp::default(),
            changed: shared::time::Timestamp::default(),
            device_inode: (1, 1),
        };
        let (read, write) = (Some("everybody may read"), Some("everybody may write"));
        for (path, folder, mode, user, expected) in [
            ("/var/log/syslog", false, 0o640, 0, None),
            ("/var/log/syslog", false, 0o640, 104, None),
            ("/var/log/syslog", false, 0o644, 0, read),
            ("/var/log/syslog", false, 0o646, 0, write),
            (
                "/var/log/syslog",
                false,
                0o640,
                1000,
                Some("a person owns it"),
            ),
            ("/var/log/syslog", false, 0o640, 61_200, None),
            ("/var/log/wtmp", false, 0o664, 0, None),
            ("/var/log/wtmp", false, 0o666, 0, write),
            ("/var/log/apt/history.log", false, 0o644, 0, None),
            ("/var/log/app/apt/x", false, 0o644, 0, read),
            ("/var/log/app", true, 0o755, 1000, None),
            ("/var/log/app", true, 0o777, 0, write),
            ("/var/log/app", true, 0o1777, 0, None),
        ] {
            assert_eq!(
                problem(path, &stat(folder, mode, user)),
                expected,
                "{path} {mode:o}"
            );
        }
    }
}
