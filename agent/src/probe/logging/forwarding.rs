//! Where log entries are sent, as the settings of the daemons say.
//!
//! What a daemon that is not known here does with entries, or an output that is not understood,
//! makes the whole answer unknown: a list with a gap would prove too little or too much.

use std::collections::VecDeque;
use std::net::IpAddr;

use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::processes::Processes;
use crate::probe::settings::{self, Assignment};

mod rsyslog;
mod syslog_ng;
mod yaml;
mod tree;

pub(super) use rsyslog::work_folder as rsyslog_work_folder;

/// Daemons that send entries away and whose settings are not read.
const UNREAD: [&str; 4] = ["filebeat", "fluentd", "nxlog", "promtail"];

/// Longest name of a host: RFC 1035 section 2.3.4.
const HOST_BYTES_MAX: usize = 255;

/// Another host that entries are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Daemon that sends.
    pub(super) daemon: &'static str,
    /// Host name or address, as written.
    pub(super) host: String,
    /// Port, when written.
    pub(super) port: Option<i64>,
    /// udp, tcp, tls, relp, relp-tls, http or https.
    pub(super) protocol: &'static str,
    /// File that says so.
    pub(super) file: String,
    /// How the other end proves who it is, where it is written: none, chain (its certificate is of
    /// an authority that is trusted), fingerprint or name.
    pub(super) authentication: Option<&'static str>,
    /// File with the authorities that are trusted.
    pub(super) authority: Option<String>,
    /// Where entries wait, where it is written: direct (nowhere), memory or disk.
    pub(super) queue: Option<&'static str>,
    /// How often is tried again; -1 without end.
    pub(super) retries: Option<i64>,
}

/// What the settings of all daemons say.
#[derive(Debug)]
pub(super) struct Forwarding {
    /// The targets.
    pub(super) targets: Vec<Target>,
    /// The settings of rsyslog, for what else stands in them.
    pub(super) rsyslog: Files,
}

/// Settings files with their paths, in the order in which they are read.
pub(super) type Files = Vec<(String, String)>;

impl Target {
    /// The way is encrypted.
    pub(super) fn encrypted(&self) -> bool {
        matches!(self.protocol, "tls" | "relp-tls" | "https")
    }

    /// The target is this host itself.
    pub(super) fn here(&self) -> bool {
        let host = self.host.as_str();
        host == "localhost" || host.starts_with("127.") || host == "::1"
    }

    /// The other end is asked who it is; `None` where that is not written.
    pub(super) fn authenticated(&self) -> Option<bool> {
        self.authentication.map(|way| way != "none")
    }

    /// The daemon keeps a connection to it. Over UDP there is none, and over HTTP only as long as a
    /// request takes, but for systemd-journal-upload, whose request does not end.
    pub(super) fn lasts(&self) -> bool {
        match self.protocol {
            "udp" => false,
            "http" | "https" => self.daemon == "systemd-journal-upload",
            _ => true,
        }
    }

    /// The address, where no name is written.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The port that is written or, where it is certain, the one that is built in.
    pub(super) fn effective_port(&self) -> Option<u16> {
        let built_in = match (self.daemon, self.protocol) {
            ("systemd-journal-upload", _) => Some(19_532),
            (_, "http") => Some(80),
            (_, "https") => Some(443),
            ("rsyslogd", _) => Some(514),
            _ => None,
        };
        match self.port {
            Some(port) => u16::try_from(port).ok(),
            None => built_in,
        }
    }
}

/// The targets in the settings of all daemons; `None`, and sources that say why, when something
/// could not be read or understood.
pub(super) fn look(
    host: &dyn Host,
    seen: &mut Seen,
    processes: Option<&Processes>,
) -> Option<Forwarding> {
    let mut whole = true;
    for daemon in UNREAD {
        if processes.is_some_and(|processes| processes.has(daemon)) {
            let what = format!("settings of {daemon}");
            seen.unseen(Means::File, Unseen::new(&what, Status::Unsupported, None));
            whole = false;
        }
    }
    let mut targets = Vec::new();
    let rsyslog = "/etc/rsyslog.conf";
    let rsyslog = files(host, seen, rsyslog, rsyslog::includes);
    match &rsyslog {
        Some(files) => whole &= keep(seen, &mut targets, rsyslog::targets(files)),
        None => whole = false,
    }
    let syslog_ng = "/etc/syslog-ng/syslog-ng.conf";
    match files(host, seen, syslog_ng, syslog_ng::includes) {
        Some(files) => whole &= keep(seen, &mut targets, syslog_ng::targets(&files)),
        None => whole = false,
    }
    match settings::systemd(host, seen, "journal-upload.conf") {
        Some(assignments) => whole &= keep(seen, &mut targets, upload(&assignments)),
        None => whole = false,
    }
    for (daemon, paths) in tree::PATHS {
        whole &= tree_targets(host, seen, &mut targets, (daemon, paths), processes);
    }
    let rsyslog = rsyslog.unwrap_or_default();
    whole.then_some(Forwarding { targets, rsyslog })
}

/// Takes over the targets of a daemon whose settings are a tree, from the first of the files that
/// is there. Whether everything was understood.
fn tree_targets(
    host: &dyn Host,
    seen: &mut Seen,
    targets: &mut Vec<Target>,
    (daemon, paths): (&'static str, &[&str]),
    processes: Option<&Processes>,
) -> bool {
    let texts = paths.iter().map(|path| (*path, settings::text(host, path)));
    let there =
        |(_, text): &(&str, Result<String, Unseen>)| !text.as_ref().is_err_and(Unseen::is_absent);
    let Some((path, text)) = texts.into_iter().find(there) else {
        // Only of one that runs is it worth saying, and then it has settings elsewhere.
        let runs = processes.is_some_and(|processes| processes.has(daemon));
        if runs {
            let what = format!("settings of {daemon}");
            seen.unseen(Means::File, Unseen::new(&what, Status::Absent, None));
        }
        return !runs;
    };
    let Some(text) = seen.note(Means::File, path, text) else {
        return false;
    };
    keep(seen, targets, tree::targets(daemon, path, &text))
}

/// Takes over what was found. Whether everything was understood.
fn keep(
    seen: &mut Seen,
    targets: &mut Vec<Target>,
    (found, unknown): (Vec<Target>, Vec<Unseen>),
) -> bool {
    let understood = unknown.is_empty();
    targets.extend(found);
    for unseen in unknown {
        seen.unseen(Means::File, unseen);
    }
    understood
}

/// A file and all files that it includes; `None` when one could not be read.
fn files(
    host: &dyn Host,
    seen: &mut Seen,
    path: &str,
    includes: fn(&str) -> Vec<String>,
) -> Option<Files> {
    let mut files = Files::new();
    let mut whole = true;
    let mut paths = VecDeque::from([path.to_owned()]);
    while let Some(path) = paths.pop_front() {
        if files.len() == settings::FILES_MAX {
            let why = "too many included files";
            seen.unseen(Means::File, Unseen::new(&path, Status::Limit, Some(why)));
            return None;
        }
        // An included folder means its files.
        if host.stat(&path).is_ok_and(|stat| stat.folder) {
            match settings::expand(host, &format!("{path}/*")) {
                Ok(found) => paths.extend(found),
                Err(unseen) => {
                    seen.unseen(Means::File, unseen);
                    whole = false;
                }
            }
            continue;
        }
        let text = settings::text(host, &path);
        let absent = text.as_ref().is_err_and(Unseen::is_absent);
        let Some(text) = seen.note(Means::File, &path, text) else {
            whole &= absent;
            continue;
        };
        for pattern in includes(&text) {
            match settings::expand(host, &pattern) {
                Ok(found) => paths.extend(found),
                Err(unseen) => {
                    seen.unseen(Means::File, unseen);
                    whole = false;
                }
            }
        }
        files.push((path, text));
    }
    whole.then_some(files)
}

/// The target of systemd-journal-upload: journal-upload.conf(5).
fn upload(assignments: &[Assignment]) -> (Vec<Target>, Vec<Unseen>) {
    let file = "/etc/systemd/journal-upload.conf";
    let Some(url) = settings::in_force(assignments, "Upload", "URL") else {
        return (Vec::new(), Vec::new());
    };
    if let Some(mut target) = url_target("systemd-journal-upload", url, file) {
        let key = "TrustedCertificateFile";
        let authority = settings::in_force(assignments, "Upload", key);
        // Whatever is written but `-` lets it ask for the name in the certificate.
        if target.encrypted() {
            target.authentication = Some(if authority == Some("-") {
                "none"
            } else {
                "name"
            });
            target.authority = authority.filter(|path| *path != "-").map(str::to_owned);
        }
        return (vec![target], Vec::new());
    }
    let unseen = Unseen::new(file, Status::Malformed, Some("URL="));
    (Vec::new(), vec![unseen])
}

/// The target of a URL; without a scheme it means https. Whatever stands before an `@` is secret.
fn url_target(daemon: &'static str, url: &str, file: &str) -> Option<Target> {
    let (protocol, rest) = match url.split_once("://") {
        None => ("https", url),
        Some(("https", rest)) => ("https", rest),
        Some(("http", rest)) => ("http", rest),
        Some(_other) => return None,
    };
    let place = rest.split(['/', '?']).next()?;
    let place = place.rsplit('@').next()?;
    let (host, port) = host_port(place)?;
    Some(Target {
        daemon,
        host,
        port,
        protocol,
        file: file.to_owned(),
        ..Target::default()
    })
}

/// Host and port of `host`, `host:port` or `[address]:port`.
fn host_port(text: &str) -> Option<(String, Option<i64>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => None,
        Some(port) => Some(i64::from(port.parse::<u16>().ok()?)),
    };
    is_host(host).then(|| (host.to_owned(), port))
}

/// Whether a text is short enough for the name of a host, and not empty.
fn is_host(text: &str) -> bool {
    (1..=HOST_BYTES_MAX).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets in short, one a line, and what was not understood.
    pub(super) fn short((targets, unknown): &(Vec<Target>, Vec<Unseen>)) -> Vec<String> {
        let targets = targets.iter().map(|target| {
            let port = target
                .port
                .map(|port| format!(" {port}"))
                .unwrap_or_default();
            format!("{} {}{port}", target.protocol, target.host)
        });
        targets
            .chain(unknown.iter().map(ToString::to_string))
            .collect()
    }

    #[test]
    fn hosts_and_ports() {
        let host = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(host_port("log.example.org"), host("log.example.org", None));
        assert_eq!(host_port("192.0.2.1:514"), host("192.0.2.1", Some(514)));
        assert_eq!(
            host_port("[2001:db8::1]:514"),
            host("2001:db8::1", Some(514))
        );
        assert_eq!(host_port("[2001:db8::1]"), host("2001:db8::1", None));
        for bad in [
            "",
            ":514",
            "host:",
            "host:syslog",
            "[::1",
            "host:70000",
            "[]",
        ] {
            assert_eq!(host_port(bad), None, "{bad}");
        }
        assert_eq!(host_port(&"a".repeat(256)), None);
    }

    #[test]
    fn urls() {
        let target = |url: &str| {
            let target = url_target("systemd-journal-upload", url, "f")?;
            Some(format!(
                "{} {} {:?}",
                target.protocol, target.host, target.port
            ))
        };
        let found = target("https://log.example.org:19532/upload").unwrap();
        assert_eq!(found, "https log.example.org Some(19532)");
        assert_eq!(
            target("log.example.org").unwrap(),
            "https log.example.org None"
        );
        assert_eq!(target("http://user:word@a").unwrap(), "http a None");
        for bad in ["ftp://a", "https://", "https:///x"] {
            assert_eq!(target(bad), None, "{bad}");
        }
    }
}
