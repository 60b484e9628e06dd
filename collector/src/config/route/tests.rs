//! Routes as they are written: what is understood, and what is refused with its place.

use std::path::Path;

use super::*;
use crate::config::{Config, ConfigError};

/// Two channels, so that routes can name them.
const CHANNELS: &str = "[[alert.channel]]\nname = \"mail\"\nkind = \"webhook\"\n\
                        url = \"https://a.example/\"\nsecret_file = \"a\"\n\
                        [[alert.channel]]\nname = \"phone\"\nkind = \"webhook\"\n\
                        url = \"https://b.example/\"\nsecret_file = \"b\"\n";
/// Lines of it.
const LINES: usize = 10;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(&format!("{CHANNELS}{text}"), Path::new("collector.toml"))
}

/// What is wrong, where after the channels, and what to do.
#[track_caller]
fn wrong(text: &str, (line, column): (usize, usize), message: &str, hint: &str) {
    let error = parse(text).unwrap_err();
    let ConfigError::Setting(fault) = &error else {
        panic!("{error}");
    };
    let found = (fault.line, fault.column, &*fault.message, &*fault.hint);
    assert_eq!(found, (LINES + line, column, message, hint), "{text}");
    let arrow = format!("--> collector.toml:{}:{column}", LINES + line);
    assert!(
        fault.shown.contains(&arrow) && fault.shown.contains('^'),
        "{}",
        fault.shown
    );
}

/// A route with further lines.
fn route(name: &str, more: &str) -> String {
    format!("[[alert.route]]\nname = \"{name}\"\nchannels = [\"mail\"]\n{more}\n")
}

#[test]
fn a_route_has_defaults_and_takes_what_it_says() {
    let config = parse(&route("all", "match = {}")).unwrap();
    let all = &config.alert.route[0];
    let mut default = Route::otherwise(all.channels.clone());
    default.name = all.name.clone();
    default.matching = Some(Matching::default());
    assert_eq!(*all, default);
    let text = "match = { control = [\"A.8.*\"], severity = \"high\", kind = [\"silent-host\"], \
                host = [\"web-*\"] }\ncontinue = true\ngroup_by = []\nfor_seconds = 60";
    let config = parse(&route("web", text)).unwrap();
    let web = &config.alert.route[0];
    assert_eq!(
        (web.further, web.for_seconds, web.group_by.len()),
        (true, 60, 0)
    );
    let matching = web.matching.as_ref().unwrap();
    assert_eq!(matching.severity.as_deref(), Some("high"));
    assert_eq!(matching.kind, ["silent-host"]);
    assert_eq!(matching.control, [Pattern("A.8.*".to_owned())]);
}

#[test]
fn patterns_take_whole_texts() {
    for (pattern, text, takes) in [
        ("web-1", "web-1", true),
        ("web-1", "web-10", false),
        ("web-*", "web-", true),
        ("*", "", true),
        ("A.8.*", "A.8.17", true),
        ("A.8.*", "A.5.8.1", false),
        ("*.synchronised", "clock.synchronised", true),
        ("a*a", "a", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
    ] {
        assert_eq!(
            Pattern(pattern.to_owned()).takes(text),
            takes,
            "{pattern} {text}"
        );
    }
}

#[test]
fn escalation_must_end() {
    let up = |to: &str| format!("match = {{}}\nescalate_after_seconds = 1\nescalate_to = \"{to}\"");
    let two = format!("{}{}", route("a", &up("b")), route("b", &up("a")));
    let hint = "let the last route escalate to nobody";
    wrong(&two, (12, 15), "cyclic routes: a -> b -> a", hint);
    wrong(
        &route("a", &up("a")),
        (6, 15),
        "cyclic routes: a -> a",
        hint,
    );
    // From outside into a cycle.
    let three = format!("{}{two}", route("c", &up("a")));
    wrong(&three, (18, 15), "cyclic routes: c -> a -> b -> a", hint);
    let ends = format!("{}{}", route("a", &up("b")), route("b", ""));
    assert!(parse(&ends).is_ok());
}

#[test]
fn what_is_named_must_be_there() {
    let text = "[[alert.route]]\nname = \"a\"\nmatch = {}\nchannels = [\"mail\", \"phon\"]";
    wrong(
        text,
        (4, 21),
        "there is no channel `phon`",
        "did you mean `phone`?",
    );
    let text = "[[alert.route]]\nname = \"a\"\nmatch = {}\nchannels = []";
    let hint = "name at least one channel in `channels`";
    wrong(text, (2, 8), "the route `a` tells nobody", hint);
    let more = "match = {}\nescalate_after_seconds = 1\nescalate_to = \"al\"";
    wrong(
        &route("all", more),
        (6, 15),
        "there is no route `al`",
        "did you mean `all`?",
    );
    let hint = "write `escalate_after_seconds`";
    let more = "match = {}\nescalate_to = \"all\"";
    wrong(
        &route("all", more),
        (5, 15),
        "it is not said when to escalate",
        hint,
    );
    let more = "match = {}\nescalate_after_seconds = 60";
    let hint = "name a route in `escalate_to`";
    wrong(
        &route("all", more),
        (2, 8),
        "the route `all` escalates to nobody",
        hint,
    );
    let hint = "write `match = {}` to take everything, or escalate to it";
    wrong(
        &route("all", ""),
        (2, 8),
        "nothing comes to the route `all`",
        hint,
    );
    assert!(parse(&route("default", "")).is_ok());
    let two = format!("{}{}", route("a", "match = {}"), route("a", "match = {}"));
    wrong(
        &two,
        (6, 8),
        "there are two routes `a`",
        "give each route a name of its own",
    );
}

#[test]
fn wrong_words_and_numbers_are_shown_with_their_place() {
    let severity = route("a", "match = { severity = \"hig\" }");
    wrong(
        &severity,
        (4, 22),
        "there is no severity `hig`",
        "did you mean `high`?",
    );
    let kind = route("a", "match = { kind = [\"failing\", \"silent\"] }");
    wrong(
        &kind,
        (4, 30),
        "there is no kind of condition `silent`",
        "did you mean `silent-host`?",
    );
    let hint = "write a name, in which `*` may stand for any part, e.g. \"A.8.*\"";
    let host = route("a", "match = { host = [\"web 1\"] }");
    wrong(&host, (4, 18), "\"web 1\" matches nothing", hint);
    let hint = "write seconds, from 0 to 2592000";
    for number in ["-1", "2592001"] {
        let message = format!("{number} is out of range");
        let text = route("a", &format!("match = {{}}\nrepeat_seconds = {number}"));
        wrong(&text, (5, 18), &message, hint);
    }
    let text = "[alert.dead_man]\nurl = \"http://watch.example/\"";
    let hint = "write https://; http:// only reaches this machine itself";
    wrong(text, (2, 7), "this address cannot be used", hint);
    assert_eq!(
        parse("[alert.dead_man]\nurl = \"\"")
            .unwrap()
            .alert
            .dead_man
            .url,
        None
    );
}
