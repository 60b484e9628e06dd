//! The outputs in the settings of rsyslog: rsyslog.conf(5), legacy lines and objects.

use std::collections::BTreeSet;

use shared::observation::Status;

use super::{Files, Target, host_port, is_host};
use crate::host::Unseen;

mod syntax;

use syntax::{Object, Parsed, parse};

/// Outputs that keep entries on this host. The others are `omfwd`, `omrelp` and what is not known:
/// a program (`omprog`) may send them anywhere.
const LOCAL: [&str; 7] = [
    "omdiscard",
    "omfile",
    "omjournal",
    "ompipe",
    "omstdout",
    "omusrmsg",
    "omuxsock",
];

/// The queue of an action for which none is written: rsyslog.conf(5), `queue.type`.
const UNWRITTEN: &str = "direct";

/// The ruleset that all entries go to unless told otherwise.
const DEFAULT_RULESET: &str = "rsyslog_defaultruleset";

/// The patterns of the files that a file includes.
pub(super) fn includes(text: &str) -> Vec<String> {
    let parsed = parse(text);
    let by_object = parsed
        .objects
        .iter()
        .filter(|object| object.name == "include")
        .filter_map(|object| object.parameters.get("file").cloned());
    let by_line = parsed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let directive = words.next()?.to_ascii_lowercase();
        (directive == "$includeconfig").then(|| words.next().map(str::to_owned))?
    });
    by_object.chain(by_line).collect()
}

/// The targets, and the outputs that are not understood.
pub(super) fn targets(files: &Files) -> (Vec<Target>, Vec<Unseen>) {
    let parsed: Vec<_> = files
        .iter()
        .map(|(path, text)| (path, parse(text)))
        .collect();
    let global = |name: &str| {
        let mut all = parsed.iter().rev();
        all.find_map(|(_, parsed)| global(parsed, name))
    };
    let defaults = Defaults {
        driver: global("defaultnetstreamdriver").unwrap_or_default(),
        authority: global("defaultnetstreamdrivercafile"),
    };
    let called: BTreeSet<String> = parsed.iter().flat_map(|(_, one)| called(one)).collect();
    // A ruleset that nothing leads to gets no entries. Of an indirect call the name is not known.
    let runs = |ruleset: &Option<String>| {
        ruleset.as_deref().is_none_or(|name| {
            name == DEFAULT_RULESET || called.contains(name) || called.contains("call_indirect")
        })
    };
    let (mut targets, mut unknown) = (Vec::new(), Vec::new());
    for (path, parsed) in &parsed {
        // Which settings of another file come before a line is not certain.
        let mut legacy = Legacy::default();
        let actions = parsed.objects.iter();
        for object in actions.filter(|object| object.name == "action" && runs(&object.ruleset)) {
            match action(object, &defaults, path) {
                Ok(target) => targets.extend(target),
                Err(unseen) => unknown.push(unseen),
            }
        }
        let texts = parsed.legacy.iter().filter(|(ruleset, _)| runs(ruleset));
        for line in texts.flat_map(|(_, text)| text.lines()) {
            legacy.set(line, &defaults);
            match legacy_action(line, legacy.tls, path) {
                Ok(target) => targets.extend(target.map(|target| legacy.take(target, &defaults))),
                Err(unseen) => unknown.push(unseen),
            }
        }
    }
    (targets, unknown)
}

fn setting(line: &str) -> (String, &str) {
    let mut words = line.split_whitespace();
    let directive = words.next().unwrap_or_default().to_ascii_lowercase();
    (directive, words.next().unwrap_or_default())
}

/// The names of rulesets that something leads to, among all other words of the legacy lines.
fn called(parsed: &Parsed) -> impl Iterator<Item = String> {
    let bound = parsed
        .objects
        .iter()
        .filter_map(|object| object.parameters.get("ruleset"));
    let mark = |character: char| character.is_whitespace() || ";{}".contains(character);
    let words = parsed.lines().flat_map(move |line| line.split(mark));
    bound
        .map(String::as_str)
        .chain(words)
        .map(str::to_ascii_lowercase)
}

/// A global setting, by its name in lower case.
fn global(parsed: &Parsed, name: &str) -> Option<String> {
    let by_object = parsed
        .objects
        .iter()
        .filter(|object| object.name == "global")
        .find_map(|object| object.parameters.get(name).cloned());
    let by_line = || {
        let mut settings = parsed.lines().map(setting);
        let found =
            settings.rfind(|(directive, _)| directive.strip_prefix('$').is_some_and(|d| d == name));
        found.map(|(_, value)| value.to_owned())
    };
    by_object.or_else(by_line)
}

/// The folder in which queues are kept on disk; `None` when none is written.
pub(in super::super) fn work_folder(files: &Files) -> Option<String> {
    let mut all = files.iter().rev();
    all.find_map(|(_, text)| global(&parse(text), "workdirectory"))
}

/// Global settings that actions take over.
struct Defaults {
    driver: String,
    authority: Option<String>,
}

/// Settings by lines, which count for the actions that follow; those of the queue for one.
#[derive(Default)]
struct Legacy {
    tls: bool,
    authentication: Option<&'static str>,
    queue: Option<String>,
    queue_file: bool,
    retries: Option<i64>,
}

impl Legacy {
    fn set(&mut self, line: &str, defaults: &Defaults) {
        let (directive, value) = setting(line);
        match directive.as_str() {
            "$actionsendstreamdrivermode" => self.tls = value == "1" && is_tls(&defaults.driver),
            "$actionsendstreamdriverauthmode" => self.authentication = authentication(value),
            "$actionqueuetype" => self.queue = Some(value.to_owned()),
            "$actionqueuefilename" => self.queue_file = true,
            "$actionresumeretrycount" => self.retries = value.parse().ok(),
            _ => {}
        }
    }

    /// A target with what was set for it.
    fn take(&mut self, target: Target, defaults: &Defaults) -> Target {
        let (kind, file) = (self.queue.take(), std::mem::take(&mut self.queue_file));
        let encrypted = target.encrypted();
        Target {
            authentication: self.authentication.filter(|_| encrypted),
            authority: defaults.authority.clone().filter(|_| encrypted),
            queue: queue(kind.as_deref().unwrap_or(UNWRITTEN), file),
            retries: self.retries.take(),
            ..target
        }
    }
}

/// How the other end proves who it is; `None` for a word that is not known.
fn authentication(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "anon" => Some("none"),
        "x509/certvalid" | "certvalid" => Some("chain"),
        "x509/fingerprint" | "fingerprint" => Some("fingerprint"),
        "x509/name" | "name" => Some("name"),
        _ => None,
    }
}

/// Where entries wait. A queue in memory that has a file goes on in it when it is full.
fn queue(kind: &str, file: bool) -> Option<&'static str> {
    match kind.to_ascii_lowercase().as_str() {
        "direct" => Some("direct"),
        "disk" => Some("disk"),
        "linkedlist" | "fixedarray" if file => Some("disk"),
        "linkedlist" | "fixedarray" => Some("memory"),
        _ => None,
    }
}

/// The drivers that encrypt; without one of them the mode means nothing.
fn is_tls(driver: &str) -> bool {
    matches!(
        driver.to_ascii_lowercase().as_str(),
        "gtls" | "ossl" | "mbedtls"
    )
}

fn action(object: &Object, defaults: &Defaults, path: &str) -> Result<Option<Target>, Unseen> {
    let parameter = |name: &str| object.parameters.get(name).map(String::as_str);
    let kind = parameter("type").unwrap_or_default().to_ascii_lowercase();
    let protocol = match kind.as_str() {
        "omfwd" => {
            let tcp = parameter("protocol").is_some_and(|way| way.eq_ignore_ascii_case("tcp"));
            let mode = parameter("streamdrivermode") == Some("1");
            match (
                tcp,
                mode && is_tls(parameter("streamdriver").unwrap_or(&defaults.driver)),
            ) {
                (false, _) => "udp",
                (true, false) => "tcp",
                (true, true) => "tls",
            }
        }
        "omrelp" if parameter("tls").is_some_and(|tls| tls.eq_ignore_ascii_case("on")) => {
            "relp-tls"
        }
        "omrelp" => "relp",
        local if LOCAL.contains(&local) => return Ok(None),
        other => {
            let why = format!("output `{other}`");
            return Err(Unseen::new(path, Status::Unsupported, Some(&why)));
        }
    };
    let target = parameter("target").filter(|host| is_host(host));
    let malformed = || Unseen::new(path, Status::Malformed, Some("an action without a target"));
    let (way, authority) = match protocol {
        "tls" => (
            parameter("streamdriverauthmode"),
            parameter("streamdriver.cafile").or(defaults.authority.as_deref()),
        ),
        "relp-tls" => (parameter("tls.authmode"), parameter("tls.cacert")),
        _ => (None, None),
    };
    let file = parameter("queue.filename").is_some();
    Ok(Some(Target {
        daemon: "rsyslogd",
        host: target.map(str::to_owned).ok_or_else(malformed)?,
        port: parameter("port").and_then(|port| port.parse().ok()),
        protocol,
        file: path.to_owned(),
        authentication: way.and_then(authentication),
        authority: authority.map(str::to_owned),
        queue: queue(parameter("queue.type").unwrap_or(UNWRITTEN), file),
        retries: parameter("action.resumeretrycount").and_then(|count| count.parse().ok()),
    }))
}

/// The name of the output that a word of a legacy line stands for; `None` for one that keeps
/// entries on this host, and for any other word.
fn legacy_output(word: &str) -> Option<&str> {
    if let Some((name, _)) = word
        .strip_prefix(":om")
        .and_then(|rest| rest.split_once(':'))
    {
        let name = word.get(1..name.len() + 3)?;
        return (!LOCAL.contains(&name)).then_some(name);
    }
    match word.split_at_checked(1)? {
        ("@", _) => Some("omfwd"),
        // A program, and a database with its password.
        ("^", program) if !program.is_empty() => Some("^"),
        (">", database) if database.contains(',') => Some(">"),
        _ => None,
    }
}

/// The target of a line such as `*.* @@(o)host:port;template` or `*.* :omrelp:host:port`.
fn legacy_action(line: &str, tls: bool, path: &str) -> Result<Option<Target>, Unseen> {
    let mut words = line.split_whitespace();
    if line.trim_start().starts_with('$') {
        return Ok(None);
    }
    let Some((word, output)) = words.find_map(|word| Some((word, legacy_output(word)?))) else {
        return Ok(None);
    };
    if !matches!(output, "omfwd" | "omrelp") {
        let why = format!("output `{output}`");
        return Err(Unseen::new(path, Status::Unsupported, Some(&why)));
    }
    let (protocol, place) = if let Some(place) = word.strip_prefix("@@") {
        (if tls { "tls" } else { "tcp" }, place)
    } else if let Some(place) = word.strip_prefix('@') {
        ("udp", place)
    } else {
        ("relp", word.strip_prefix(":omrelp:").unwrap_or_default())
    };
    let place = place.split([';', '}']).next().unwrap_or_default();
    let place = match place.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or("", |(_options, place)| place),
        None => place,
    };
    let Some((host, port)) = host_port(place) else {
        let why = format!("output `{word}`");
        return Err(Unseen::new(path, Status::Malformed, Some(&why)));
    };
    Ok(Some(Target {
        daemon: "rsyslogd",
        host,
        port,
        protocol,
        file: path.to_owned(),
        ..Target::default()
    }))
}

#[cfg(test)]
mod tests;
