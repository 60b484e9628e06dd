//! The outputs of rsyslog: legacy lines, objects, rulesets, and what only looks like one.

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
    let action = |more: &str| format!("action(type=\"omfwd\" target=\"a\" protocol=\"tcp\"{more})");
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
fn the_other_end_and_the_queue() {
    let found = |text: &str| {
        let (targets, _) = targets(&vec![("f".to_owned(), text.to_owned())]);
        let target = targets.into_iter().next().unwrap();
        (target.authentication, target.queue, target.retries)
    };
    let action = |more: &str| {
        found(&format!(
            "action(type=\"omfwd\" target=\"a\" protocol=\"tcp\" StreamDriver=\"gtls\" \
             StreamDriverMode=\"1\" {more})"
        ))
    };
    assert_eq!(action(""), (None, Some("direct"), None));
    assert_eq!(action("StreamDriverAuthMode=\"anon\"").0, Some("none"));
    assert_eq!(
        action("StreamDriverAuthMode=\"x509/certvalid\"").0,
        Some("chain")
    );
    assert_eq!(action("StreamDriverAuthMode=\"x509/name\"").0, Some("name"));
    assert_eq!(action("queue.type=\"LinkedList\"").1, Some("memory"));
    let disk = "queue.type=\"LinkedList\" queue.filename=\"q\" action.resumeRetryCount=\"-1\"";
    assert_eq!(action(disk), (None, Some("disk"), Some(-1)));
    let lines = "$DefaultNetstreamDriver gtls\n$ActionSendStreamDriverMode 1\n\
                 $ActionSendStreamDriverAuthMode x509/fingerprint\n$ActionQueueType LinkedList\n\
                 $ActionQueueFileName q\n$ActionResumeRetryCount 5\n*.* @@a\n";
    assert_eq!(found(lines), (Some("fingerprint"), Some("disk"), Some(5)));
    let relp = "action(type=\"omrelp\" target=\"a\" tls=\"on\" tls.authmode=\"name\")";
    assert_eq!(found(relp).0, Some("name"));
}

#[test]
fn folders_of_queues() {
    let folder = |text: &str| work_folder(&vec![("f".to_owned(), text.to_owned())]);
    assert_eq!(
        folder("$WorkDirectory /var/spool/rsyslog").unwrap(),
        "/var/spool/rsyslog"
    );
    assert_eq!(folder("global(workDirectory=\"/q\")").unwrap(), "/q");
    assert_eq!(folder("*.* @a"), None);
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
