//! Lines of crontabs, and scripts that cron runs each hour, day, week and month.
//!
//! Source: crontab(5), cron(8), run-parts(8).

use std::rc::Rc;

use shared::observation::{Means, Status};

use super::words::Secrets;
use crate::host::{Host, Unseen};
use crate::probe::Seen;

const SYSTEM: &str = "/etc/crontab";
/// Folder of crontabs with a user in each line.
const PARTS: &str = "/etc/cron.d";
/// Folders of users' crontabs: Debian, then RHEL and SUSE.
const SPOOLS: [&str; 2] = ["/var/spool/cron/crontabs", "/var/spool/cron"];
/// Folders of scripts.
const SCRIPTS: [(&str, &str); 4] = [
    ("/etc/cron.daily", "daily"),
    ("/etc/cron.hourly", "hourly"),
    ("/etc/cron.monthly", "monthly"),
    ("/etc/cron.weekly", "weekly"),
];
const CRONTAB_BYTES_MAX: u64 = 256 * 1024;
/// Most commands of one crontab.
const ENTRIES_MAX: usize = 128;
/// Most crontabs and scripts of one folder.
const FILES_MAX: usize = 1024;

/// Something that cron runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// File and line, or the script.
    pub(super) name: String,
    /// The file.
    pub(super) file: String,
    /// When.
    pub(super) schedule: String,
    /// The command; of a script its path.
    pub(super) command: String,
    /// The secrets in the lines of the crontab that set variables, for all of its commands.
    pub(super) variables: Rc<Secrets>,
}

/// What cron runs, and whether that is all: every crontab could be seen.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> (Vec<Entry>, bool) {
    let mut entries = Vec::new();
    let mut whole = true;
    let mut files = vec![(SYSTEM.to_owned(), true)];
    let folders = [PARTS].into_iter().chain(SPOOLS);
    for folder in folders {
        let names = listed(host, folder);
        whole &= names.as_ref().err().is_none_or(Unseen::is_absent);
        let names = seen.note(Means::File, folder, names).unwrap_or_default();
        let with_user = folder == PARTS;
        // cron and run-parts pass over names with a dot, as package managers leave behind.
        let taken = names.iter().filter(|name| !with_user || is_taken(name));
        files.extend(taken.map(|name| (format!("{folder}/{name}"), with_user)));
    }
    for (file, with_user) in files {
        match host.read(&file, CRONTAB_BYTES_MAX) {
            Ok(bytes) => {
                let mut found = read(&file, with_user, &String::from_utf8_lossy(&bytes));
                if ENTRIES_MAX < found.len() {
                    let why = format!("{} commands", found.len());
                    seen.unseen(Means::File, Unseen::new(&file, Status::Limit, Some(&why)));
                    found.truncate(ENTRIES_MAX);
                    whole = false;
                }
                entries.append(&mut found);
            }
            Err(unseen) if unseen.is_absent() || unseen.status == Status::Malformed => {}
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                whole = false;
            }
        }
    }
    for (folder, schedule) in SCRIPTS {
        let names = listed(host, folder);
        whole &= names.as_ref().err().is_none_or(Unseen::is_absent);
        for name in seen.note(Means::File, folder, names).unwrap_or_default() {
            if is_taken(&name) {
                let path = format!("{folder}/{name}");
                entries.push(Entry {
                    name: path.clone(),
                    file: path.clone(),
                    schedule: schedule.to_owned(),
                    command: path,
                    variables: Rc::default(),
                });
            }
        }
    }
    (entries, whole)
}

fn listed(host: &dyn Host, folder: &str) -> Result<Vec<String>, Unseen> {
    let names = host.list(folder)?;
    if FILES_MAX < names.len() {
        let why = format!("{} files", names.len());
        return Err(Unseen::new(folder, Status::Limit, Some(&why)));
    }
    Ok(names)
}

fn is_taken(name: &str) -> bool {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    name.bytes().all(taken)
}

/// The commands of a crontab.
fn read(file: &str, with_user: bool, text: &str) -> Vec<Entry> {
    let variables = text.lines().filter(|line| sets_variable(line.trim()));
    let variables = Rc::new(Secrets::of(&variables.collect::<Vec<_>>().join("\n")));
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || sets_variable(line) {
            continue;
        }
        let times = if line.starts_with('@') { 1 } else { 5 };
        let Some((schedule, rest)) = split_words(line, times) else {
            continue;
        };
        let command = if with_user {
            split_words(rest, 1).map_or("", |(_user, command)| command)
        } else {
            rest
        };
        if command.is_empty() {
            continue;
        }
        entries.push(Entry {
            name: format!("{file}:{}", at.saturating_add(1)),
            file: file.to_owned(),
            schedule,
            command: command.to_owned(),
            variables: Rc::clone(&variables),
        });
    }
    entries
}

/// Whether a line that is no comment is no command either.
fn sets_variable(line: &str) -> bool {
    !line.starts_with(|c: char| c.is_ascii_digit() || c == '*' || c == '@')
}

/// The first words of a line, joined by blanks, and what follows them.
fn split_words(line: &str, count: usize) -> Option<(String, &str)> {
    let mut rest = line;
    let mut words = Vec::with_capacity(count);
    for _word in 0..count {
        let (word, tail) = rest.trim_start().split_once([' ', '\t'])?;
        words.push(word);
        rest = tail;
    }
    Some((words.join(" "), rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = "SHELL=/bin/sh\n# no\n17 3 * * *\troot  restic backup /\n@daily me borg create\n\
                    */5 * * * * root\n\nMAILTO=me\n0 1 * * 1-5 root a b\n";
        let entries = read("/etc/cron.d/x", true, text);
        let found: Vec<_> = entries
            .iter()
            .map(|e| (e.name.as_str(), e.schedule.as_str(), e.command.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("/etc/cron.d/x:3", "17 3 * * *", "restic backup /"),
                ("/etc/cron.d/x:4", "@daily", "borg create"),
                ("/etc/cron.d/x:8", "0 1 * * 1-5", "a b"),
            ]
        );
        let text = "@daily borg create ::x /\nBORG_PASSPHRASE=a\nPGPASSFILE=/x\n@daily b\n";
        let entries = read("/var/spool/cron/crontabs/root", false, text);
        assert_eq!(entries[0].command, "borg create ::x /");
        assert!(entries[0].variables.inside);
        assert_eq!(entries[1].variables.named, ["/x"]);
        // However many commands there are, the variables are kept and gone through once.
        assert!(Rc::ptr_eq(&entries[0].variables, &entries[1].variables));
    }
}
