//! The outputs in the settings of rsyslog: rsyslog.conf(5), legacy lines and objects.

use std::collections::BTreeMap;

use shared::observation::Status;

use super::{Files, Target, host_port, is_host};
use crate::host::Unseen;

/// Outputs that keep entries on this host. The others are `omfwd`, `omrelp` and what is not known.
const LOCAL: [&str; 8] = [
    "omdiscard",
    "omfile",
    "omjournal",
    "ompipe",
    "omprog",
    "omstdout",
    "omusrmsg",
    "omuxsock",
];

/// An object such as `action(type="omfwd")`: its name and its parameters, in lower case.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    name: String,
    parameters: BTreeMap<String, String>,
}

/// The patterns of the files that a file includes.
pub(super) fn includes(text: &str) -> Vec<String> {
    let (objects, legacy) = parse(text);
    let by_object = objects
        .into_iter()
        .filter(|object| object.name == "include")
        .filter_map(|mut object| object.parameters.remove("file"));
    let by_line = legacy.lines().filter_map(|line| {
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
    let driver = parsed
        .iter()
        .rev()
        .find_map(|(_, parsed)| default_driver(parsed));
    let driver = driver.unwrap_or_default();
    let (mut targets, mut unknown) = (Vec::new(), Vec::new());
    for (path, (objects, legacy)) in &parsed {
        // Which settings of another file come before a line is not certain.
        let mut legacy_tls = false;
        for object in objects.iter().filter(|object| object.name == "action") {
            match action(object, &driver, path) {
                Ok(target) => targets.extend(target),
                Err(unseen) => unknown.push(unseen),
            }
        }
        for line in legacy.lines() {
            let (directive, value) = setting(line);
            if directive == "$actionsendstreamdrivermode" {
                legacy_tls = value == "1" && is_tls(&driver);
            }
            match legacy_action(line, legacy_tls, path) {
                Ok(target) => targets.extend(target),
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

fn default_driver((objects, legacy): &(Vec<Object>, String)) -> Option<String> {
    let by_object = objects
        .iter()
        .filter(|object| object.name == "global")
        .find_map(|object| object.parameters.get("defaultnetstreamdriver").cloned());
    let by_line = || {
        let mut settings = legacy.lines().map(setting);
        let found = settings.rfind(|(directive, _)| directive == "$defaultnetstreamdriver");
        found.map(|(_, value)| value.to_owned())
    };
    by_object.or_else(by_line)
}

/// The drivers that encrypt; without one of them the mode means nothing.
fn is_tls(driver: &str) -> bool {
    matches!(
        driver.to_ascii_lowercase().as_str(),
        "gtls" | "ossl" | "mbedtls"
    )
}

fn action(object: &Object, driver: &str, path: &str) -> Result<Option<Target>, Unseen> {
    let parameter = |name: &str| object.parameters.get(name).map(String::as_str);
    let kind = parameter("type").unwrap_or_default().to_ascii_lowercase();
    let protocol = match kind.as_str() {
        "omfwd" => {
            let tcp = parameter("protocol").is_some_and(|way| way.eq_ignore_ascii_case("tcp"));
            let mode = parameter("streamdrivermode") == Some("1");
            match (
                tcp,
                mode && is_tls(parameter("streamdriver").unwrap_or(driver)),
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
    Ok(Some(Target {
        daemon: "rsyslogd",
        host: target.map(str::to_owned).ok_or_else(malformed)?,
        port: parameter("port").and_then(|port| port.parse().ok()),
        protocol,
        file: path.to_owned(),
    }))
}

/// The target of a line such as `*.* @@(o)host:port;template` or `*.* :omrelp:host:port`.
fn legacy_action(line: &str, tls: bool, path: &str) -> Result<Option<Target>, Unseen> {
    let mut words = line.split_whitespace();
    let output = |word: &&str| word.starts_with('@') || word.starts_with(":omrelp:");
    let Some(word) = words.find(output) else {
        return Ok(None);
    };
    if line.trim_start().starts_with('$') {
        return Ok(None);
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
    }))
}

/// The objects of a file, and what is left of it, with comments and quoted text taken out.
fn parse(text: &str) -> (Vec<Object>, String) {
    let mut objects = Vec::new();
    let mut legacy = String::new();
    let mut word = String::new();
    // White space has ended the word, but may also stand before its parenthesis.
    let mut ended = false;
    let mut rest = Text::new(text);
    while let Some(sign) = rest.next() {
        let Sign::Plain(character) = sign else {
            legacy.push(' ');
            word.clear();
            continue;
        };
        if character == '(' && matches!(word.as_str(), "action" | "include" | "global") {
            let name = std::mem::take(&mut word);
            let parameters = parameters(&mut rest);
            objects.push(Object { name, parameters });
            continue;
        }
        legacy.push(character);
        if character.is_whitespace() {
            ended = true;
            continue;
        }
        if ended || !is_word(character) {
            word.clear();
        }
        ended = false;
        if is_word(character) {
            word.push(character.to_ascii_lowercase());
        }
    }
    (objects, legacy)
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '$')
}

/// Reads parameters up to the closing parenthesis.
fn parameters(rest: &mut Text<'_>) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let mut name = String::new();
    let mut bare = None::<String>;
    while let Some(sign) = rest.next() {
        match (sign, &mut bare) {
            (Sign::Quoted(value), _) => {
                let _twice = parameters.insert(std::mem::take(&mut name), value);
                bare = None;
            }
            (Sign::Plain('='), None) => bare = Some(String::new()),
            (Sign::Plain(end), _) if end == ')' || end.is_whitespace() => {
                // White space may stand around the equals sign.
                if let Some(value) = bare.take_if(|value| !value.is_empty()) {
                    let _twice = parameters.insert(std::mem::take(&mut name), value);
                }
                if end == ')' {
                    break;
                }
            }
            (Sign::Plain(character), Some(value)) => value.push(character),
            (Sign::Plain(character), None) => name.push(character.to_ascii_lowercase()),
        }
    }
    parameters
}

/// What comes next in a file.
enum Sign {
    Plain(char),
    /// The inside of a quoted text.
    Quoted(String),
}

/// A file without its comments.
struct Text<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    /// A `#` begins a comment here: at the beginning of a word.
    word_begins: bool,
}

impl<'a> Text<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
            word_begins: true,
        }
    }

    fn next(&mut self) -> Option<Sign> {
        let character = self.rest.next()?;
        let begins = std::mem::replace(&mut self.word_begins, character.is_whitespace());
        match character {
            '#' if begins => {
                self.rest.by_ref().find(|character| *character == '\n');
                self.word_begins = true;
                Some(Sign::Plain('\n'))
            }
            '/' if begins && self.rest.peek() == Some(&'*') => {
                let mut before = ' ';
                self.rest.by_ref().skip(1).find(|character| {
                    let end = before == '*' && *character == '/';
                    before = *character;
                    end
                });
                self.word_begins = true;
                Some(Sign::Plain(' '))
            }
            '"' | '\'' => Some(self.quoted(character)),
            plain => Some(Sign::Plain(plain)),
        }
    }

    fn quoted(&mut self, quote: char) -> Sign {
        let mut inside = String::new();
        while let Some(character) = self.rest.next() {
            if character == quote {
                break;
            }
            // A backslash takes the meaning of the next sign away.
            if character == '\\' {
                inside.extend(self.rest.next());
            } else {
                inside.push(character);
            }
        }
        Sign::Quoted(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The targets in short, one a line, and what was not understood.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let (targets, unknown) = targets(&vec![("f".to_owned(), text.to_owned())]);
        let targets = targets.iter().map(|target| {
            let port = target
                .port
                .map(|port| format!(" {port}"))
                .unwrap_or_default();
            format!("{} {}{port}", target.protocol, target.host)
        });
        let unknown = unknown.iter().map(ToString::to_string);
        assert_eq!(
            targets.chain(unknown).collect::<Vec<_>>(),
            expected,
            "{text}"
        );
    }

    #[test]
    fn legacy_lines() {
        check("*.* @log.example.org", &["udp log.example.org"]);
        check(
            "*.* @@log.example.org:10514;RSYSLOG_ForwardFormat",
            &["tcp log.example.org 10514"],
        );
        check("*.* @@(o,z9)[2001:db8::1]:514", &["tcp 2001:db8::1 514"]);
        check(
            "if $x == 'a' then @192.0.2.1\n& @@192.0.2.2",
            &["udp 192.0.2.1", "tcp 192.0.2.2"],
        );
        check(
            "*.* :omrelp:log.example.org:2514",
            &["relp log.example.org 2514"],
        );
        check("*.* @", &["f: malformed (output `@`)"]);
        check("*.* @a:x", &["f: malformed (output `@a:x`)"]);
        check("mail.* -/var/log/mail.log\n*.emerg :omusrmsg:*", &[]);
    }

    #[test]
    fn what_only_looks_like_a_target() {
        for text in [
            "# *.* @log.example.org",
            "*.info /var/log/x # @log.example.org",
            "/* *.* @log.example.org\n*.* @b */",
            ":msg, contains, \"mail to root @log.example.org\" /var/log/x",
            "$template Line,\"@host %msg%\"",
            "template(name=\"t\" type=\"string\" string=\"@host\")",
            "$ActionQueueFileName @name",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn tls_needs_mode_and_driver() {
        let driver = "$DefaultNetstreamDriver gtls\n";
        let mode = "$ActionSendStreamDriverMode 1\n";
        let line = "*.* @@a:6514\n";
        check(&format!("{driver}{mode}{line}"), &["tls a 6514"]);
        check(&format!("{driver}{line}"), &["tcp a 6514"]);
        check(&format!("{mode}{line}"), &["tcp a 6514"]);
        check(&format!("{driver}{mode}*.* @a"), &["udp a"]);
        let action =
            |more: &str| format!("action(type=\"omfwd\" target=\"a\" protocol=\"tcp\"{more})");
        check(&action(""), &["tcp a"]);
        check(&action(" StreamDriverMode=\"1\""), &["tcp a"]);
        check(
            &action(" StreamDriver=\"ossl\" StreamDriverMode=\"1\""),
            &["tls a"],
        );
        check(
            &action(" StreamDriver=\"gtls\" StreamDriverMode=\"0\""),
            &["tcp a"],
        );
        let global = "global(DefaultNetstreamDriver=\"gtls\")\n";
        check(
            &(global.to_owned() + &action(" streamdrivermode=1")),
            &["tls a"],
        );
    }

    #[test]
    fn objects() {
        check(
            "Action ( Type = \"omfwd\"\n  Target=\"a\" # x\n  Port=\"514\" )",
            &["udp a 514"],
        );
        check(
            "if ($a == \"b\") then { action(type=\"omfwd\" target=\"a\") }",
            &["udp a"],
        );
        check(
            "action(type=\"omrelp\" target=\"a\" port=\"20514\")",
            &["relp a 20514"],
        );
        check(
            "action(type=\"omrelp\" target=\"a\" tls=\"on\")",
            &["relp-tls a"],
        );
        check("action(type=\"omfile\" file=\"/var/log/x\")", &[]);
        check(
            "action(type=\"omkafka\" topic=\"x\")",
            &["f: unsupported (output `omkafka`)"],
        );
        check(
            "action(type=\"omfwd\")",
            &["f: malformed (an action without a target)"],
        );
        check("mail.info action(type=\"omfwd\" target=\"a\")", &["udp a"]);
        check("if 1 then action(type=\"omfwd\" target=\"a\")", &["udp a"]);
        check("myaction(type=\"omfwd\" target=\"a\")", &[]);
    }

    #[test]
    fn included_files() {
        let text = "$IncludeConfig /etc/rsyslog.d/*.conf\n#$IncludeConfig /no\n\
                    include(file=\"/etc/more.conf\" mode=\"optional\")\n";
        assert_eq!(includes(text), ["/etc/more.conf", "/etc/rsyslog.d/*.conf"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "([\\PC\n]|action\\(|type=|omfwd|[\"'#@()=*/ ])*") {
            let _targets = targets(&vec![("f".to_owned(), text.clone())]);
            let _includes = includes(&text);
        }
    }
}
