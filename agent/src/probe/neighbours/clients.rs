//! Machines that the settings of backup tools name: those that are backed up from here, and those
//! that keep the backups of this host.
//!
//! rsnapshot(1), `BackupPC`, burp(8), `pgBackRest`, Bareos and Bacula. Others hide the names of
//! their hosts in the repository, or name none.

use super::{Machines, lines};
use crate::host::Host;
use crate::probe::{Seen, settings};

/// Files with one machine a line, as its first word, and a heading that begins with `host`.
const LISTS: [&str; 2] = ["/etc/backuppc/hosts", "/etc/BackupPC/hosts"];
/// A file for each client, with its name.
const BURP: &str = "/etc/burp/clientconfdir";
/// rsnapshot(1).
const RSNAPSHOT: &str = "/etc/rsnapshot.conf";
/// Settings with lines such as `pg1-host=db-1`.
const PGBACKREST: [&str; 3] = [
    "/etc/pgbackrest.conf",
    "/etc/pgbackrest/pgbackrest.conf",
    "/etc/pgbackrest/conf.d/*.conf",
];
/// Settings with blocks `Client { .. Address = db-1 .. }`.
const CLIENTS: [&str; 3] = [
    "/etc/bareos/bareos-dir.d/client/*.conf",
    "/etc/bareos/bareos-dir.conf",
    "/etc/bacula/bacula-dir.conf",
];

/// Looks into the settings of all of them.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> Machines {
    let mut machines = Machines::new();
    for path in LISTS {
        each_line(host, seen, &mut machines, path, |line| {
            let word = line.split_ascii_whitespace().next()?;
            (word != "host").then_some(word)
        });
    }
    each_line(host, seen, &mut machines, RSNAPSHOT, of_rsnapshot);
    for pattern in PGBACKREST {
        for path in meant(host, seen, &mut machines, pattern) {
            each_line(host, seen, &mut machines, &path, of_pgbackrest);
        }
    }
    for pattern in CLIENTS {
        for path in meant(host, seen, &mut machines, pattern) {
            let mut inside = false;
            each_line(host, seen, &mut machines, &path, |line| {
                of_client(line, &mut inside)
            });
        }
    }
    for name in machines.list(host, seen, BURP) {
        // A folder beside the clients holds what their settings include.
        if name != "incexc" && !name.starts_with('.') && !name.ends_with('~') {
            machines.add(&name, BURP);
        }
    }
    machines
}

/// The files that a pattern means, at most [`settings::FILES_MAX`].
fn meant(host: &dyn Host, seen: &mut Seen, machines: &mut Machines, pattern: &str) -> Vec<String> {
    let mut paths = match settings::expand(host, pattern) {
        Ok(paths) => paths,
        Err(unseen) => machines
            .seen(seen, pattern, Err(unseen))
            .unwrap_or_default(),
    };
    if settings::FILES_MAX < paths.len() {
        machines.not_understood(seen, pattern, "more files than are read");
        paths.truncate(settings::FILES_MAX);
    }
    paths
}

fn each_line(
    host: &dyn Host,
    seen: &mut Seen,
    machines: &mut Machines,
    path: &str,
    mut machine: impl FnMut(&str) -> Option<&str>,
) {
    if let Some(text) = machines.text(host, seen, path) {
        for line in lines(&text) {
            if let Some(name) = machine(line) {
                machines.add(name, path);
            }
        }
    }
}

/// `backup  root@db-1.example.org:/var/  db-1/`, or `rsync://db-1/module`.
fn of_rsnapshot(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    let from = words
        .next()
        .filter(|word| *word == "backup")
        .and(words.next())?;
    if let Some(rest) = from.strip_prefix("rsync://") {
        let end = rest.find(['/', ':']).unwrap_or(rest.len());
        return rest.get(..end).map(without_user);
    }
    let (machine, _path) = from.split_once(':')?;
    (!machine.contains('/')).then(|| without_user(machine))
}

fn without_user(machine: &str) -> &str {
    machine.rsplit('@').next().unwrap_or(machine)
}

/// `pg1-host=db-1` or `repo2-host=vault`.
fn of_pgbackrest(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    let number = key.trim().strip_suffix("-host")?;
    let number = number
        .strip_prefix("pg")
        .or_else(|| number.strip_prefix("repo"))?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| value.trim())
}

/// The `Address` of a block `Client { .. }`, whose lines come one after the other.
fn of_client<'a>(line: &'a str, inside: &mut bool) -> Option<&'a str> {
    let mut rest = line;
    if let Some((before, after)) = line.split_once('{') {
        let name = before.trim();
        *inside = name.eq_ignore_ascii_case("client");
        rest = after;
    }
    let (now, ends) = match rest.split_once('}') {
        Some((before, _after)) => (before, true),
        None => (rest, false),
    };
    let mut address = None;
    if *inside {
        for setting in now.split(';') {
            let (key, value) = setting.split_once('=').unwrap_or_default();
            let found = key.trim().eq_ignore_ascii_case("address");
            address = address.or(found.then(|| value.trim().trim_matches('"')));
        }
    }
    *inside &= !ends;
    address
}
