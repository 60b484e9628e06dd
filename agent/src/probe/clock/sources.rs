//! The time sources that the settings of the time daemons name.

use std::collections::{BTreeMap, VecDeque};

use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::{self, Assignment};

/// A time source in the settings of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configured {
    /// Daemon whose settings name it.
    pub(super) daemon: &'static str,
    /// Host name or address, as written; for a reference clock its driver.
    pub(super) address: String,
    /// server, pool, peer or refclock.
    pub(super) kind: &'static str,
    /// Network Time Security is asked for.
    pub(super) nts: bool,
}

/// Longest name of a host, or path of a device.
const ADDRESS_BYTES_MAX: usize = 255;

/// What one line of a settings file means.
enum Line {
    Nothing,
    Source(Configured),
    /// Files by a pattern.
    Include(String),
    /// Folders, and the ending of the names that count in them.
    Folders(Vec<String>, &'static str),
    /// A directive without its operand: the daemon does not start with it.
    Bad,
}

/// Reads a line of the settings of a daemon.
type ReadLine = fn(&str) -> Line;
const READ_CHRONY: ReadLine = chrony;

/// The sources that settings name, in the order of the settings; `None` when a file could not be
/// read or understood.
pub(super) fn configured(host: &dyn Host, seen: &mut Seen) -> Option<Vec<Configured>> {
    let mut sources = Vec::new();
    let mut whole = true;
    for (path, read) in [
        ("/etc/chrony/chrony.conf", READ_CHRONY),
        ("/etc/chrony.conf", READ_CHRONY),
        ("/etc/ntp.conf", ntp),
        ("/etc/ntpsec/ntp.conf", ntp),
        ("/etc/openntpd/ntpd.conf", openntpd),
    ] {
        whole &= follow(host, seen, path, read, &mut sources);
    }
    match settings::systemd(host, seen, "timesyncd.conf") {
        Some(assignments) => sources.extend(timesyncd(&assignments)),
        None => whole = false,
    }
    whole.then_some(sources)
}

/// Reads a file and what it includes. Whether everything could be read.
fn follow(
    host: &dyn Host,
    seen: &mut Seen,
    path: &str,
    read: ReadLine,
    sources: &mut Vec<Configured>,
) -> bool {
    let mut whole = true;
    let mut files = VecDeque::from([path.to_owned()]);
    let mut count = 0;
    while let Some(file) = files.pop_front() {
        count += 1;
        if settings::FILES_MAX < count {
            let limit = Unseen::new(path, Status::Limit, Some("too many included files"));
            seen.unseen(Means::File, limit);
            return false;
        }
        let text = settings::text(host, &file);
        let absent = text.as_ref().is_err_and(Unseen::is_absent);
        let text = text.and_then(|text| check(&file, text, read));
        let Some(text) = seen.note(Means::File, &file, text) else {
            whole &= absent;
            continue;
        };
        // A file of sources names nothing but sources, so each line has the same meaning there.
        for line in text.lines() {
            match read(line) {
                Line::Nothing | Line::Bad => {}
                Line::Source(source) => sources.push(source),
                Line::Include(pattern) => match settings::expand(host, &pattern) {
                    Ok(paths) => files.extend(paths),
                    Err(unseen) => {
                        seen.unseen(Means::File, unseen);
                        whole = false;
                    }
                },
                Line::Folders(folders, ending) => match in_folders(host, &folders, ending) {
                    Ok(paths) => files.extend(paths),
                    Err(unseen) => {
                        seen.unseen(Means::File, unseen);
                        whole = false;
                    }
                },
            }
        }
    }
    whole
}

/// Refuses a file with a line that its daemon refuses.
fn check(path: &str, text: String, read: ReadLine) -> Result<String, Unseen> {
    let bad = text
        .lines()
        .position(|line| matches!(read(line), Line::Bad));
    match bad {
        None => Ok(text),
        Some(index) => {
            let why = format!("line {} names no source", index + 1);
            Err(Unseen::new(path, Status::Malformed, Some(&why)))
        }
    }
}

/// The files of folders; of two with the same name that in the folder named first.
fn in_folders(host: &dyn Host, folders: &[String], ending: &str) -> Result<Vec<String>, Unseen> {
    let mut files = BTreeMap::new();
    for folder in folders {
        for path in settings::expand(host, &format!("{folder}/*{ending}"))? {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            let _first: &mut String = files.entry(name).or_insert(path);
        }
    }
    Ok(files.into_values().collect())
}

/// A line of chrony.conf(5).
fn chrony(line: &str) -> Line {
    let line = line.trim();
    if line.starts_with(['!', ';', '#', '%']) {
        return Line::Nothing;
    }
    let mut words = line.split_whitespace();
    let directive = words.next().unwrap_or_default().to_ascii_lowercase();
    let kind = match directive.as_str() {
        "server" => "server",
        "pool" => "pool",
        "peer" => "peer",
        "refclock" => "refclock",
        "include" => {
            return words
                .next()
                .map_or(Line::Bad, |path| Line::Include(path.to_owned()));
        }
        "confdir" => return Line::Folders(words.map(str::to_owned).collect(), ".conf"),
        "sourcedir" => return Line::Folders(words.map(str::to_owned).collect(), ".sources"),
        _ => return Line::Nothing,
    };
    source("chronyd", kind, words)
}

fn source<'a>(
    daemon: &'static str,
    kind: &'static str,
    mut words: impl Iterator<Item = &'a str>,
) -> Line {
    // Options of the network layer may stand before the address in ntp.conf(5).
    let Some(address) = words.find(|word| !matches!(*word, "-4" | "-6")) else {
        return Line::Bad;
    };
    if ADDRESS_BYTES_MAX < address.len() {
        return Line::Bad;
    }
    let nts = words.any(|word| word.eq_ignore_ascii_case("nts"));
    Line::Source(Configured {
        daemon,
        address: address.to_owned(),
        kind,
        nts,
    })
}

/// A line of ntp.conf(5), of the reference implementation and of `NTPsec`.
fn ntp(line: &str) -> Line {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace().peekable();
    let directive = words.next().unwrap_or_default();
    // The clock of the host itself, which says nothing about the time.
    let own = |word: &&str| word.starts_with("127.127.1.") || *word == "local";
    let kind = match directive {
        "server" | "refclock" if words.peek().is_some_and(own) => return Line::Nothing,
        "server"
            if words
                .peek()
                .is_some_and(|word| word.starts_with("127.127.")) =>
        {
            "refclock"
        }
        "server" => "server",
        "pool" => "pool",
        "peer" => "peer",
        "refclock" => "refclock",
        "includefile" => {
            return words
                .next()
                .map_or(Line::Bad, |path| Line::Include(path.to_owned()));
        }
        _ => return Line::Nothing,
    };
    source("ntpd", kind, words)
}

/// A line of ntpd.conf(5) of `OpenNTPD`, whose process is named ntpd too.
fn openntpd(line: &str) -> Line {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let kind = match words.next() {
        Some("server") => "server",
        Some("servers") => "pool",
        Some("sensor") => "refclock",
        _ => return Line::Nothing,
    };
    source("openntpd", kind, words)
}

/// The servers of timesyncd.conf(5); those of `FallbackNTP=` count when no other is named.
fn timesyncd(assignments: &[Assignment]) -> Vec<Configured> {
    // Lists add up, and an empty value takes back what came before.
    let listed = |key: &str| {
        let of_key = |one: &&Assignment| one.section == "Time" && one.key == key;
        let values = assignments.iter().filter(of_key).map(|one| &one.value);
        values.fold(Vec::new(), |mut servers, value| {
            if value.is_empty() {
                servers.clear();
            }
            servers.extend(value.split_whitespace());
            servers
        })
    };
    let mut servers = listed("NTP");
    if servers.is_empty() {
        servers = listed("FallbackNTP");
    }
    // A longer one is no name of a host, and systemd-timesyncd cannot resolve it.
    servers.retain(|server| server.len() <= ADDRESS_BYTES_MAX);
    let configured = servers.into_iter().map(|server| Configured {
        daemon: super::timesyncd::TIMESYNCD,
        address: server.to_owned(),
        kind: "server",
        nts: false,
    });
    configured.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line means, in short: kind, address and `nts`, or what else it is.
    #[track_caller]
    fn means(line: Line, expected: &str) {
        let found = match line {
            Line::Nothing => "nothing".to_owned(),
            Line::Bad => "bad".to_owned(),
            Line::Include(pattern) => format!("include {pattern}"),
            Line::Folders(folders, ending) => format!("{ending} in {}", folders.join(", ")),
            Line::Source(source) => {
                let nts = if source.nts { " nts" } else { "" };
                format!("{} {}{nts}", source.kind, source.address)
            }
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_of_chrony() {
        means(
            chrony("server ntp.example.org iburst nts"),
            "server ntp.example.org nts",
        );
        means(
            chrony("  POOL 2.debian.pool.ntp.org iburst"),
            "pool 2.debian.pool.ntp.org",
        );
        means(
            chrony("peer 192.0.2.1 # not a comment: nts"),
            "peer 192.0.2.1 nts",
        );
        means(chrony("refclock PHC /dev/ptp0"), "refclock PHC");
        means(chrony("confdir /a /b"), ".conf in /a, /b");
        means(
            chrony("sourcedir /run/chrony-dhcp"),
            ".sources in /run/chrony-dhcp",
        );
        means(
            chrony("include /etc/chrony/*.extra"),
            "include /etc/chrony/*.extra",
        );
        for nothing in [
            "",
            "#server a",
            "! server a",
            "% pool a",
            "; peer a",
            "servers a",
            "\t",
        ] {
            means(chrony(nothing), "nothing");
        }
        for bad in ["server", "pool  ", "include"] {
            means(chrony(bad), "bad");
        }
        means(chrony(&format!("server {}", "a".repeat(256))), "bad");
    }

    #[test]
    fn lines_of_the_other_daemons() {
        means(
            ntp("server -4 ntp.example.org iburst"),
            "server ntp.example.org",
        );
        means(
            ntp("server time.example.org nts # x"),
            "server time.example.org nts",
        );
        means(ntp("server 127.127.28.0"), "refclock 127.127.28.0");
        means(ntp("server 127.127.1.0"), "nothing");
        means(ntp("refclock local"), "nothing");
        means(
            ntp("pool 0.debian.pool.ntp.org"),
            "pool 0.debian.pool.ntp.org",
        );
        means(ntp("#pool 0.debian.pool.ntp.org"), "nothing");
        means(ntp("server # a"), "bad");
        means(openntpd("servers pool.ntp.org"), "pool pool.ntp.org");
        means(openntpd("sensor *"), "refclock *");
        means(openntpd("listen on *"), "nothing");
    }

    #[test]
    fn lists_of_timesyncd_add_up() {
        let assignment = |key: &str, value: &str| Assignment {
            section: "Time".to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
            file: "/etc/systemd/timesyncd.conf".to_owned(),
        };
        let names = |assignments: &[Assignment]| {
            let found = timesyncd(assignments).into_iter();
            found
                .map(|source| source.address)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let back = assignment("FallbackNTP", "z");
        assert_eq!(
            names(&[
                assignment("NTP", "a b"),
                assignment("NTP", "c"),
                back.clone()
            ]),
            "a b c"
        );
        assert_eq!(
            names(&[assignment("NTP", "a"), assignment("NTP", ""), back]),
            "z"
        );
        assert_eq!(names(&[]), "");
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line in "\\PC*", rest in "[ #a-z0-9.-]*") {
            for directive in ["", "server", "refclock", "confdir", "include"] {
                let line = format!("{directive} {rest}{line}");
                let _lines = (chrony(&line), ntp(&line), openntpd(&line));
            }
        }
    }
}
