//! The destinations in the settings of syslog-ng that a log path leads to: syslog-ng.conf(5).

use std::collections::BTreeSet;

use shared::observation::Status;

use super::{Files, Target, is_host, url_target};
use crate::host::Unseen;

/// Folder that names without a leading slash lie in.
const FOLDER: &str = "/etc/syslog-ng";
/// The library of definitions that comes with syslog-ng: it defines, and sends nothing itself.
const LIBRARY: &str = "scl.conf";

/// Drivers that keep entries on this host. A program may send them anywhere.
const LOCAL: [&str; 6] = [
    "file",
    "pipe",
    "pseudofile",
    "unix-dgram",
    "unix-stream",
    "usertty",
];

/// A piece of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A word, or the inside of a quoted text.
    Word(String),
    /// One of `(){};`.
    Mark(char),
}

/// The patterns of the files that a file includes.
pub(super) fn includes(text: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    for line in text.lines() {
        let Some(rest) = line.trim().strip_prefix("@include") else {
            continue;
        };
        let name = rest.trim().trim_matches(['"', '\'']);
        if name.starts_with('/') {
            patterns.push(name.to_owned());
        } else if name != LIBRARY {
            patterns.push(format!("{FOLDER}/{name}"));
        }
    }
    patterns
}

/// The targets, and the drivers that are not understood.
pub(super) fn targets(files: &Files) -> (Vec<Target>, Vec<Unseen>) {
    let parsed: Vec<_> = files
        .iter()
        .map(|(path, text)| (path, tokens(text)))
        .collect();
    let used: BTreeSet<&str> = parsed.iter().flat_map(|(_, tokens)| used(tokens)).collect();
    let (mut targets, mut unknown) = (Vec::new(), Vec::new());
    for (path, tokens) in &parsed {
        for block in destinations(tokens, &used) {
            for (driver, options) in drivers(block) {
                match target(driver, options, path) {
                    Ok(target) => targets.extend(target),
                    Err(unseen) => unknown.push(unseen),
                }
            }
        }
    }
    (targets, unknown)
}

/// Names that log paths lead to: `destination(NAME)`.
fn used(tokens: &[Token]) -> Vec<&str> {
    let names = tokens.windows(4).filter_map(|window| match window {
        [
            Token::Word(word),
            Token::Mark('('),
            Token::Word(name),
            Token::Mark(')'),
        ] if word == "destination" => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

/// The insides of the blocks `destination NAME { .. }` that are used, and of those without a name,
/// which stand in a log path themselves.
fn destinations<'a>(tokens: &'a [Token], names: &BTreeSet<&str>) -> Vec<&'a [Token]> {
    let mut blocks = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if !matches!(first, Token::Word(word) if word == "destination") {
            continue;
        }
        match after {
            [Token::Mark('{'), ..] => blocks.push(inside(after)),
            [Token::Word(name), block @ ..]
                if block.first() == Some(&Token::Mark('{')) && names.contains(name.as_str()) =>
            {
                blocks.push(inside(block));
            }
            _ => {}
        }
    }
    blocks
}

/// The tokens between the mark that begins `tokens` and the one that ends it.
fn inside(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    let end = tokens.iter().position(|token| {
        match token {
            Token::Mark('(' | '{') => depth += 1,
            Token::Mark(')' | '}') => depth = depth.saturating_sub(1),
            Token::Mark(_) | Token::Word(_) => {}
        }
        depth == 0
    });
    let end = end.unwrap_or(tokens.len());
    tokens.get(1..end).unwrap_or_default()
}

/// Names with what stands in their parentheses, at the outer level of a block.
fn drivers(block: &[Token]) -> Vec<(&str, &[Token])> {
    let mut drivers = Vec::new();
    let mut rest = block;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let (Token::Word(name), Some(Token::Mark('('))) = (first, after.first()) else {
            continue;
        };
        let options = inside(after);
        drivers.push((name.as_str(), options));
        rest = after.get(options.len() + 1..).unwrap_or_default();
    }
    drivers
}

/// The first word of an option, e.g. of `port(514)`.
fn option<'a>(options: &'a [Token], name: &str) -> Option<&'a str> {
    let options = drivers(options);
    let (_, inside) = options.into_iter().find(|(found, _)| *found == name)?;
    match inside.first()? {
        Token::Word(word) => Some(word),
        Token::Mark(_) => None,
    }
}

fn target(driver: &str, options: &[Token], path: &str) -> Result<Option<Target>, Unseen> {
    let unseen = |status, why: &str| {
        let why = format!("destination `{driver}`{why}");
        Err(Unseen::new(path, status, Some(&why)))
    };
    let transport = match driver {
        local if LOCAL.contains(&local) => return Ok(None),
        "network" | "syslog" => option(options, "transport").unwrap_or("tcp"),
        "udp" | "udp6" => "udp",
        "tcp" | "tcp6" if option(options, "tls").is_some() => "tls",
        "tcp" | "tcp6" => "tcp",
        "http" => {
            let url = option(options, "url").unwrap_or_default();
            return match url_target("syslog-ng", url, path) {
                Some(target) => Ok(Some(target)),
                None => unseen(Status::Malformed, " without a url"),
            };
        }
        _ => return unseen(Status::Unsupported, ""),
    };
    let protocol = match transport {
        "tls" | "proxied-tls" | "proxied-tls-passthrough" => "tls",
        "tcp" | "proxied-tcp" | "text-with-nuls" => "tcp",
        "udp" => "udp",
        _ => return unseen(Status::Unsupported, " with another transport"),
    };
    let blocks = drivers(options);
    let block = |name: &str| {
        let mut found = blocks.iter().filter(|(known, _)| *known == name);
        found.next().map(|(_, inside)| *inside)
    };
    let (tls, queue) = (block("tls").unwrap_or_default(), block("disk-buffer"));
    match options.first() {
        Some(Token::Word(host)) if is_host(host) && options.get(1) != Some(&Token::Mark('(')) => {
            Ok(Some(Target {
                daemon: "syslog-ng",
                host: host.clone(),
                port: option(options, "port").and_then(|port| port.parse().ok()),
                protocol,
                file: path.to_owned(),
                authentication: (protocol == "tls").then(|| authentication(tls)),
                authority: option(tls, "ca-file")
                    .or_else(|| option(tls, "ca-dir"))
                    .map(str::to_owned),
                queue: Some(if queue.is_some() { "disk" } else { "memory" }),
                retries: None,
            }))
        }
        _ => unseen(Status::Malformed, " without a host"),
    }
}

/// How the other end proves who it is: syslog-ng asks for a certificate of an authority that is
/// trusted unless `peer-verify()` says otherwise, and for no name.
fn authentication(tls: &[Token]) -> &'static str {
    match option(tls, "peer-verify") {
        Some("optional-untrusted" | "optional-trusted" | "required-untrusted" | "no") => "none",
        Some(_) | None if option(tls, "trusted-keys").is_some() => "fingerprint",
        Some(_) | None => "chain",
    }
}

/// The pieces of a file, without comments.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let ends = character.is_whitespace() || "(){};,\"'#".contains(character);
        if !ends {
            word.push(character);
            continue;
        }
        if !word.is_empty() {
            tokens.push(Token::Word(std::mem::take(&mut word)));
        }
        match character {
            '#' => {
                rest.find(|character| *character == '\n');
            }
            '"' | '\'' => tokens.push(Token::Word(quoted(&mut rest, character))),
            '(' | ')' | '{' | '}' | ';' => tokens.push(Token::Mark(character)),
            _ => {}
        }
    }
    if !word.is_empty() {
        tokens.push(Token::Word(word));
    }
    tokens
}

fn quoted(rest: &mut std::str::Chars<'_>, quote: char) -> String {
    let mut inside = String::new();
    while let Some(character) = rest.next() {
        if character == quote {
            break;
        }
        if character == '\\' && quote == '"' {
            inside.extend(rest.next());
        } else {
            inside.push(character);
        }
    }
    inside
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

    /// A destination that a log path leads to.
    fn used(driver: &str) -> String {
        format!("destination d {{ {driver}; }}; log {{ source(s); destination(d); }};")
    }

    #[test]
    fn drivers_and_transports() {
        check(&used("network(\"a\" port(514))"), &["tcp a 514"]);
        check(
            &used("network('a' transport(\"tls\") port(6514) tls(ca-dir(\"/c\")))"),
            &["tls a 6514"],
        );
        check(&used("syslog(a transport(udp))"), &["udp a"]);
        check(&used("udp(\"2001:db8::1\")"), &["udp 2001:db8::1"]);
        check(
            &used("tcp(\"a\" port(514)); tcp6(\"b\" tls(ca-dir(\"/c\")))"),
            &["tcp a 514", "tls b"],
        );
        check(&used("http(url(\"https://a:9200/x\"))"), &["https a 9200"]);
        check(&used("file(\"/var/log/x\")"), &[]);
        check(
            &used("kafka(topic(\"x\"))"),
            &["f: unsupported (destination `kafka`)"],
        );
        check(
            &used("program(\"/usr/bin/send\")"),
            &["f: unsupported (destination `program`)"],
        );
        check(
            &used("network(port(514))"),
            &["f: malformed (destination `network` without a host)"],
        );
        check(
            &used("network()"),
            &["f: malformed (destination `network` without a host)"],
        );
    }

    #[test]
    fn the_other_end_and_the_queue() {
        let found = |driver: &str| {
            let (targets, _) = targets(&vec![("f".to_owned(), used(driver))]);
            let target = targets.into_iter().next().unwrap();
            (target.authentication, target.authority, target.queue)
        };
        let tls = |inside: &str| format!("network(\"a\" transport(\"tls\") tls({inside}))");
        let authority = Some("/c".to_owned());
        assert_eq!(found("udp(\"a\")"), (None, None, Some("memory")));
        assert_eq!(found(&tls("ca-dir(\"/c\")")).0, Some("chain"));
        assert_eq!(found(&tls("ca-file(\"/c\")")).1, authority);
        assert_eq!(
            found(&tls("peer-verify(optional-untrusted)")).0,
            Some("none")
        );
        let keys = "trusted-keys(\"SHA1:00\")";
        assert_eq!(found(&tls(keys)).0, Some("fingerprint"));
        let queue = "tcp(\"a\" disk-buffer(disk-buf-size(1000000) reliable(yes)))";
        assert_eq!(found(queue), (None, None, Some("disk")));
    }

    #[test]
    fn only_what_a_log_path_leads_to() {
        check("destination d { udp(\"a\"); };", &[]);
        check(
            "destination d { udp(\"a\"); }; # log { destination(d); };",
            &[],
        );
        check(
            "log { source(s); destination { udp(\"a\"); }; };",
            &["udp a"],
        );
        check(
            "destination d { file(\"/x # udp(a)\"); }; log { destination(d); };",
            &[],
        );
        check("destination d { udp(\"a\"", &[]);
    }

    #[test]
    fn included_files() {
        let text = "@version: 3.38\n@include \"scl.conf\"\n\
                    @include \"/etc/syslog-ng/conf.d/*.conf\"\n\
                    @include 'local.conf'\n#@include \"no\"\n";
        let expected = ["/etc/syslog-ng/conf.d/*.conf", "/etc/syslog-ng/local.conf"];
        assert_eq!(includes(text), expected);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "([\\PC\n]|destination|log|network|[\"'#(){};])*") {
            let _targets = targets(&vec![("f".to_owned(), text.clone())]);
            let _includes = includes(&text);
        }
    }
}
