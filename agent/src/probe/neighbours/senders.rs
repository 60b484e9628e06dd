//! Machines for which a log host keeps a log of their own: the names in the folders that rsyslog,
//! syslog-ng and systemd-journal-remote are told to make for each of them.
//!
//! rsyslog: the property replacer of rsyslog.conf(5); syslog-ng: macros of its file destination;
//! systemd-journal-remote(8): `remote-NAME.journal`. What a sender calls itself is its own claim.

use std::collections::BTreeSet;

use super::Machines;
use crate::host::Host;
use crate::probe::{Seen, settings};

/// Where systemd-journal-remote writes.
const JOURNALS: &str = "/var/log/journal/remote";
/// Settings in which a path with the name of the sender may stand.
const SETTINGS: [&str; 4] = [
    "/etc/rsyslog.conf",
    "/etc/rsyslog.d/*.conf",
    "/etc/syslog-ng/syslog-ng.conf",
    "/etc/syslog-ng/conf.d/*.conf",
];
/// Properties of rsyslog and macros of syslog-ng that stand for the sender, in lower case.
const SENDERS: [&str; 9] = [
    "hostname",
    "fromhost",
    "fromhost-ip",
    "source",
    "host",
    "host_from",
    "fullhost",
    "fullhost_from",
    "sourceip",
];
/// Folders in which other things than senders lie.
const SHARED: [&str; 3] = ["/var/log", "/var", ""];

/// Where names of senders stand: the folder, and what stands around each name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) folder: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// Looks into all these folders. `watches` are the files of others that the settings of the agent
/// name.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, watches: &[String]) -> Machines {
    let mut machines = Machines::new();
    let mut places = BTreeSet::new();
    for pattern in SETTINGS {
        let paths = match settings::expand(host, pattern) {
            Ok(paths) => paths,
            Err(unseen) => machines
                .seen(seen, pattern, Err(unseen))
                .unwrap_or_default(),
        };
        for path in paths.into_iter().take(settings::FILES_MAX) {
            let text = machines.text(host, seen, &path).unwrap_or_default();
            for word in paths_in(&text) {
                match place(word) {
                    Some(Ok(place)) => drop(places.insert(place)),
                    Some(Err(why)) => machines.not_understood(seen, word, why),
                    None => {}
                }
            }
        }
    }
    for watch in watches {
        if let Some(place) = watched(watch) {
            let _new = places.insert(place);
        }
    }
    for place in places {
        for name in machines.list(host, seen, &place.folder) {
            let inner = name.strip_prefix(&place.before);
            let inner = inner.and_then(|rest| rest.strip_suffix(&place.after));
            if let Some(inner) = inner {
                machines.add(inner, &place.folder);
            }
        }
    }
    for name in machines.list(host, seen, JOURNALS) {
        let inner = name.strip_prefix("remote-");
        if let Some(inner) = inner.and_then(|rest| rest.strip_suffix(".journal")) {
            // A file that is full has numbers behind its name.
            let inner = inner.split('@').next().unwrap_or(inner);
            machines.add(inner, JOURNALS);
        }
    }
    machines
}

/// The words of settings that begin like a path, comments left out.
fn paths_in(text: &str) -> impl Iterator<Item = &str> {
    let begins = |line: &&str| !line.trim_start().starts_with('#');
    let parted = |line| {
        str::split(line, |sign: char| {
            sign.is_whitespace() || "\"'?;,".contains(sign)
        })
    };
    let paths = text.lines().filter(begins).flat_map(parted);
    paths.filter_map(|word| word.get(word.find('/')?..))
}

/// Where the names of senders stand in a path with macros. `None` when there is no such macro.
pub(super) fn place(path: &str) -> Option<Result<Place, &'static str>> {
    let path = path.trim_end_matches(')');
    let (start, end, sender) = macro_in(path)?;
    if !sender {
        let rest = path.get(end..)?;
        let later = macros(rest).any(|(_, _, sender)| sender);
        return later.then_some(Err(
            "the name of the sender is not the first part that varies",
        ));
    }
    let (folder, before) = path.get(..start)?.rsplit_once('/')?;
    let rest = path.get(end..)?;
    let after = rest.split('/').next().unwrap_or_default();
    if macro_in(after).is_some() {
        return Some(Err(
            "something else that varies stands beside the name of the sender",
        ));
    }
    if SHARED.contains(&folder) && before.is_empty() && after.is_empty() {
        return Some(Err("other logs lie beside those of the senders"));
    }
    Some(Ok(Place {
        folder: folder.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    }))
}

/// All macros of a text, each with where it stands and whether it means the sender.
fn macros(text: &str) -> impl Iterator<Item = (usize, usize, bool)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let (start, end, sender) = macro_in(text.get(from..)?)?;
        let found = (from + start, from + end, sender);
        from = found.1;
        Some(found)
    })
}

/// The first macro of a text: `%HOSTNAME%` with options behind a colon, `$HOST` or `${HOST}`.
fn macro_in(text: &str) -> Option<(usize, usize, bool)> {
    let start = text.find(['%', '$'])?;
    let rest = text.get(start + 1..)?;
    let (name, length) = if text.get(start..)?.starts_with('%') {
        let end = rest.find('%')?;
        (rest.get(..end)?, end + 2)
    } else if let Some(inner) = rest.strip_prefix('{') {
        let end = inner.find('}')?;
        (inner.get(..end)?, end + 3)
    } else {
        let word = |sign: char| !sign.is_ascii_alphanumeric() && sign != '_';
        let end = rest.find(word).unwrap_or(rest.len());
        (rest.get(..end)?, end + 1)
    };
    let name = name.split(':').next().unwrap_or(name).to_ascii_lowercase();
    Some((start, start + length, SENDERS.contains(&name.as_str())))
}

/// Where the names of senders stand in a pattern of files: a part that is `*`, or the first part
/// with one.
fn watched(pattern: &str) -> Option<Place> {
    let (head, rest) = pattern.split_once('*')?;
    let (folder, before) = head.rsplit_once('/')?;
    let after = rest.split('/').next().unwrap_or_default();
    let one = !after.contains(['*', '?']) && !head.contains('?');
    let shared = SHARED.contains(&folder) && before.is_empty();
    (one && !shared).then(|| Place {
        folder: folder.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    })
}
