//! Settings: what is read, and how what is wrong is shown.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("collector.toml"))
}

#[test]
fn the_file_that_init_writes_holds_the_defaults() {
    assert_eq!(parse(DEFAULT).unwrap(), Config::default());
    assert_eq!(parse("").unwrap(), Config::default());
}

/// Which catalogue is in force stands in the ledger; what `init` wrote once may stay.
#[test]
fn a_folder_of_a_catalogue_is_refused_with_the_way_that_there_is() {
    assert_eq!(
        parse("[catalogue]\nfolder = \"\"").unwrap(),
        Config::default()
    );
    let text = "[catalogue]\nfolder = \"/etc/evident/checks\"";
    let message = "which catalogue is in force is decided in the ledger, not here";
    let hint = "take the line away, and put it in force: `evident-collector catalogue adopt \
        --catalog /etc/evident/checks --reason TEXT`";
    wrong(text, (2, 10), message, hint);
}

/// The errors are part of the product: place, message and hint of each.
#[track_caller]
fn wrong(text: &str, (line, column): (usize, usize), message: &str, hint: &str) {
    let error = parse(text).unwrap_err();
    let ConfigError::Setting(fault) = &error else {
        panic!("{error}");
    };
    let found = (fault.line, fault.column, &*fault.message, &*fault.hint);
    assert_eq!(found, (line, column, message, hint), "{text}");
    let shown = error.to_string();
    let arrow = format!("--> collector.toml:{line}:{column}");
    assert!(shown.contains(&arrow) && shown.contains('^'), "{shown}");
}

#[test]
fn unknown_settings_are_named_with_their_place() {
    let unknown = "unknown field `lisen`";
    wrong(
        "[intake]\nlisen = 1",
        (2, 1),
        unknown,
        "did you mean `listen`?",
    );
    let known = "known are: name, intake, logs, fleet, catalogue, assess, alert, log";
    wrong("title = 1", (1, 1), "unknown field `title`", known);
    let hint = "did you mean `debug`?";
    wrong(
        "[log]\nlevel = \"debg\"",
        (2, 9),
        "unknown variant `debg`",
        hint,
    );
}

#[test]
fn wrong_names_are_shown_with_their_place() {
    let hint = "write letters, digits, `.` and `-`, and `:` in addresses, 253 at most";
    let long = "a".repeat(254);
    for name in ["a b", "", "a/b", "\u{e4}", &long] {
        let message = format!("{name:?} is no host name and no address");
        wrong(&format!("name = \"{name}\""), (1, 8), &message, hint);
        let text = format!("[intake]\nnames = [\n  \"a\",\n  \"{name}\",\n]");
        wrong(&text, (4, 3), &message, hint);
    }
    let hint = "name at least one, as agents write it in their settings";
    wrong(
        "[intake]\nnames = []",
        (2, 9),
        "there is no name in the list",
        hint,
    );
}

#[test]
fn the_log_listener_is_off_until_it_has_an_address() {
    let address = parse("[logs]\nlisten = \"[::1]:6514\"")
        .unwrap()
        .logs
        .listen;
    assert_eq!(address, Some("[::1]:6514".parse().unwrap()));
    assert_eq!(parse("[logs]\nlisten = \"\"").unwrap().logs.listen, None);
    let hint = "write e.g. \"0.0.0.0:6514\", or \"\" for no listener";
    for listen in ["localhost:6514", "6514", "0.0.0.0", " "] {
        let message = format!("{listen:?} is no address with a port");
        let text = format!("[logs]\nlisten = {listen:?}");
        wrong(&text, (2, 10), &message, hint);
    }
}

#[test]
fn log_hosts_are_named_as_they_were_enrolled() {
    let logs = parse("[logs]\nwatchers = [\"log-1\", \"log-2\"]")
        .unwrap()
        .logs;
    let names: Vec<&str> = logs.watchers.iter().map(AgentId::as_str).collect();
    assert_eq!(names, ["log-1", "log-2"]);
    let hint = "write it as the log host was enrolled, e.g. \"log-1\"";
    let message = "\"Log 1\" is no name of an agent";
    wrong(
        "[logs]\nwatchers = [\n  \"Log 1\",\n]",
        (3, 3),
        message,
        hint,
    );
}

#[test]
fn wrong_numbers_are_shown_with_their_place() {
    for (table, name, most) in [
        ("intake", "connections_max", 65_536),
        ("intake", "submissions_max", 65_536),
        ("intake", "connection_seconds", 86_400),
        ("intake", "request_seconds", 3_600),
        ("logs", "connections_max", 65_536),
        ("logs", "connections_per_address_max", 65_536),
        ("logs", "idle_seconds", 604_800),
        ("logs", "due_seconds", 86_400),
        ("fleet", "certificate_days", 90),
        ("fleet", "token_hours", 720),
        ("fleet", "heartbeat_seconds", 86_400),
    ] {
        let hint = format!("write a whole number from 1 to {most}");
        for number in [0, -1, most + 1, i64::MAX, i64::MIN] {
            let text = format!("[{table}]\n{name} = {number} # too much");
            let message = format!("{number} is out of range");
            wrong(&text, (2, name.len() + 4), &message, &hint);
        }
        for number in [1, most] {
            let text = format!("[{table}]\n{name} = {number}");
            assert!(parse(&text).is_ok(), "{text}");
        }
        let text = format!("[{table}]\n{name} = \"1h\"");
        let message = "invalid type: string \"1h\"";
        wrong(
            &text,
            (2, name.len() + 4),
            message,
            "expected a whole number",
        );
    }
}

#[test]
fn what_is_no_toml_is_shown_too() {
    for text in [
        "[intake",
        "name = ",
        "name == \"a\"",
        "[log]\nlevel = \"\u{e4}",
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains("--> collector.toml:"), "{error}");
    }
}

/// A channel with its settings, from the third line on.
fn channel(settings: &str) -> String {
    format!("[[alert.channel]]\nname = \"one\"\n{settings}")
}

#[test]
fn a_channel_has_what_its_kind_needs_and_nothing_else() {
    let email = "kind = \"email\"\nserver = \"mail.example:587\"\nfrom = \"a@b.example\"\n\
                 to = [\"Ops <ops@b.example>\"]";
    let read = parse(&channel(email)).unwrap().alert.channel;
    let Receiver::Email {
        server, tls, to, ..
    } = &read[0].to
    else {
        panic!("{read:?}");
    };
    assert_eq!((&*server.host, server.port), ("mail.example", 587));
    assert_eq!(*tls, MailTls::StartTls);
    assert_eq!(to[0].to_string(), "Ops <ops@b.example>");
    assert_eq!(read[0].timeout_seconds, 30);

    let readme = "README.md has an example of each";
    let paired = "write both `user` and `secret_file`, or neither";
    let clear = "write tls = \"starttls\" or \"implicit\"; only a server on this machine may do \
                 without";
    let syslog = "write transport = \"tls\", or in_the_clear = true if that is accepted";
    for (settings, message, hint) in [
        (
            "kind = \"slack\"",
            "a channel of kind slack needs `secret_file`",
            readme,
        ),
        (
            "kind = \"webhook\"\nsecret_file = \"a\"",
            "a channel of kind webhook needs `url`",
            readme,
        ),
        (
            "kind = \"slack\"\nsecret_file = \"a\"\nto = [\"a@b.example\"]",
            "a channel of kind slack has no `to`",
            "remove it, or change `kind`",
        ),
        (
            &format!("{email}\nuser = \"a\""),
            "a user and a secret belong together",
            paired,
        ),
        (
            &format!("{email}\ntls = \"none\""),
            "mail to mail.example:587 would go in the clear",
            clear,
        ),
        (
            "kind = \"syslog\"\nserver = \"[2001:db8::1]:514\"\ntransport = \"udp\"",
            "whoever is between could read and change what goes to [2001:db8::1]:514",
            syslog,
        ),
    ] {
        wrong(&channel(settings), (2, 8), message, hint);
    }
    let two = format!("{}\n{}", channel(email), channel(email));
    let hint = "give each a name of its own";
    wrong(&two, (8, 8), "two channels are named \"one\"", hint);
}

#[test]
fn what_is_wrong_in_a_channel_is_shown_with_its_place() {
    let mail = "write e.g. \"ops@example.org\" or \"Operations <ops@example.org>\"";
    let address = "this address cannot be used";
    for (settings, column, message, hint) in [
        (
            "kind = \"slak\"",
            8,
            "unknown variant `slak`",
            "did you mean `slack`?",
        ),
        (
            "url = \"http://alerts.example\"",
            7,
            address,
            "write https://; http:// only reaches this machine itself",
        ),
        (
            "url = \"https://a:b@alerts.example\"",
            7,
            address,
            "settings are no place for a password; write `secret_file`",
        ),
        (
            "url = \"alerts\"",
            7,
            address,
            "write e.g. \"https://alerts.example/hook\"",
        ),
        ("from = \"ops\"", 8, "\"ops\" is no mail address", mail),
        (
            "to = [\"a@b.example\", \"a@b\\r\\nBcc: c\"]",
            22,
            "\"a@b\\r\\nBcc: c\" is no mail address",
            mail,
        ),
        (
            "to = []",
            6,
            "0 mail addresses are given",
            "write 1 to 50 addresses, or that of a list",
        ),
        (
            "timeout_seconds = 301",
            19,
            "301 is out of range",
            "write a whole number from 1 to 300",
        ),
        (
            "secret_file = \"\"",
            15,
            "there is no name of a file",
            "write its path",
        ),
    ] {
        wrong(&channel(settings), (3, column), message, hint);
    }
    let hint = "write letters, digits, `.`, `_` and `-`, 64 at most";
    let text = "[[alert.channel]]\nname = \"on call\"";
    wrong(text, (2, 8), "\"on call\" is no name of a channel", hint);
}

#[test]
fn a_server_has_a_port() {
    let hint = "write e.g. \"mail.example:587\" or \"[::1]:6514\"";
    for server in [
        "mail.example",
        "::1:25",
        "a b:25",
        "a:0",
        "a:65536",
        ":25",
        "",
    ] {
        let text = channel(&format!("server = {server:?}"));
        let message = format!("{server:?} is no server with a port");
        wrong(&text, (3, 10), &message, hint);
    }
}
