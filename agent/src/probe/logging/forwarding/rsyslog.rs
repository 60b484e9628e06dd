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
    let driver = parsed
        .iter()
        .rev()
        .find_map(|(_, parsed)| default_driver(parsed));
    let driver = driver.unwrap_or_default();
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
        let mut legacy_tls = false;
        let actions = parsed.objects.iter();
        for object in actions.filter(|object| object.name == "action" && runs(&object.ruleset)) {
            match action(object, &driver, path) {
                Ok(target) => targets.extend(target),
                Err(unseen) => unknown.push(unseen),
            }
        }
        let texts = parsed.legacy.iter().filter(|(ruleset, _)| runs(ruleset));
        for line in texts.flat_map(|(_, text)| text.lines()) {
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

fn default_driver(parsed: &Parsed) -> Option<String> {
    let by_object = parsed
        .objects
        .iter()
        .filter(|object| object.name == "global")
        .find_map(|object| object.parameters.get("defaultnetstreamdriver").cloned());
    let by_line = || {
        let mut settings = parsed.lines().map(setting);
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
    }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::short;
    use super::*;

    /// Compares the targets of one file, in short.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = targets(&vec![("f".to_owned(), text.to_owned())]);
        assert_eq!(short(&found), expected, "{text}");
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
    fn outputs_that_are_not_understood() {
        for (line, output) in [
            ("*.* :ommysql:db.example.org,Syslog,user,word", "ommysql"),
            ("*.* :omkafka:", "omkafka"),
            ("& :omhttp:x", "omhttp"),
            ("*.* >db.example.org,Syslog,user,word;Line", ">"),
            ("*.* ^/usr/bin/send;Line", "^"),
            ("action(type=\"omprog\" binary=\"/usr/bin/send\")", "omprog"),
        ] {
            check(line, &[&format!("f: unsupported (output `{output}`)")]);
        }
        for line in [
            "if $syslogseverity > 5 then /var/log/x",
            "if $syslogseverity >= 5 then /var/log/x",
            ":omit, contains, \"x\" /var/log/x",
            "*.* :omfile:/var/log/x",
            "*.* ^",
        ] {
            check(line, &[]);
        }
    }

    #[test]
    fn an_apostrophe_in_a_path_quotes_nothing() {
        check("*.* /srv/o'brien.log\n*.* @a", &["udp a"]);
        check(
            "*.* /srv/o'brien.log\n*.* @a\n*.* /srv/o'neill.log",
            &["udp a"],
        );
        check("if $x == 'it\\'s @no' then @a", &["udp a"]);
        let long = format!("if $x == '{}' then @a", "x".repeat(5000));
        check(&long, &["udp a"]);
    }

    #[test]
    fn rulesets_that_nothing_leads_to() {
        let ruleset = "ruleset(name=\"Away\") {\n if 1 then { stop }\n\
                       action(type=\"omfwd\" target=\"a\")\n*.* @@b\n}\n";
        check(ruleset, &[]);
        check(&format!("{ruleset}*.* @c"), &["udp c"]);
        for way in [
            "call Away",
            "if $x == 'y' then { call away }",
            "input(type=\"imtcp\" port=\"514\" ruleset=\"Away\")",
            "module(load=\"imudp\")\ninput(type=\"imudp\" port=\"514\" Ruleset=\"away\")",
            "$InputTCPServerBindRuleset Away",
            "$DefaultRuleset Away",
            "call_indirect $.name;",
        ] {
            check(&format!("{way}\n{ruleset}"), &["udp a", "tcp b"]);
            check(&format!("{ruleset}{way}\n"), &["udp a", "tcp b"]);
        }
        let default = ruleset.replace("Away", "RSYSLOG_DefaultRuleset");
        check(&default, &["udp a", "tcp b"]);
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
