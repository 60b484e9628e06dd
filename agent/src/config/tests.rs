//! Tests of the settings: every default is shown, every error points at its place.

use super::*;

const SHIPPED: &str = include_str!("../../../config/agent.toml");

#[test]
fn the_shipped_file_shows_every_default() {
    assert_eq!(
        Config::from_text(SHIPPED).unwrap().settings,
        Settings::default()
    );
    // A setting stands behind `# ` at the beginning of the line, an example behind `## `.
    let uncommented: String = SHIPPED
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => format!("{setting}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    assert_eq!(
        Config::from_text(&uncommented).unwrap().settings,
        Settings::default()
    );
    for name in Schedules::default().0.keys() {
        assert!(SHIPPED.contains(&format!("\n# {name} = ")), "{name}");
    }
}

#[test]
fn examples_in_the_shipped_file_are_read() {
    let lines = SHIPPED.lines();
    let lines = lines.map(|line| line.strip_prefix("## ").unwrap_or(line));
    let examples = lines.collect::<Vec<_>>().join("\n");
    let settings = Config::from_text(&examples).unwrap().settings;
    assert_eq!(settings.probe.backup.sets.len(), 3);
    assert_eq!(settings.probe.backup.data.len(), 1);
    assert_eq!(settings.probe.canary.watches.len(), 1);
    assert_eq!(settings.probe.restore.sets.len(), 2);
    assert!(settings.collector.url.is_some());
}

#[test]
fn what_is_set_replaces_the_default_and_nothing_else() {
    let config = Config::from_text("schedule.clock = \"5 * * * *\"\n").unwrap();
    let mut expected = Settings::default();
    let cron = "5 * * * *".parse().unwrap();
    assert!(
        expected
            .schedule
            .0
            .insert("clock".to_owned(), cron)
            .is_some()
    );
    assert_eq!(config.settings, expected);
    assert_ne!(config.digest, Config::from_text("").unwrap().digest);
}

#[test]
fn only_the_default_place_may_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.toml");
    assert!(matches!(
        Config::load(Some(&path)),
        Err(ConfigError::Read { .. })
    ));
    durable::write(&path, b"[log]\nlevel = \"loud\"\n", 0o600).unwrap();
    let error = Config::load(Some(&path)).unwrap_err().to_string();
    assert!(
        error.contains("agent.toml:2:9: unknown variant `loud`"),
        "{error}"
    );
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let complaint = Config::from_text(text).unwrap_err();
    assert_eq!(complaint.to_string(), expected);
}

#[test]
fn errors_point_at_the_place() {
    refused(
        "[schedule]\nclok = \"* * * * *\"\n",
        "2:1: unknown probe `clok`, expected one of `audit`, `backup`, `canary`, `clock`, \
         `logging`, `neighbours`, `restore`, `updates`, `heartbeat`\n  |\n2 | clok = \"* * * * *\"\n  | ^^^^\nhint: did you mean `clock`?",
    );
    refused(
        "[schedule]\nclock = \"0 0 * * 1-5\"\n",
        "2:9: `1-5` gives days of the week as numbers\n  |\n2 | clock = \"0 0 * * 1-5\"\n  |         \
         ^^^^^^^^^^^^^\nhint: write names: `MON-FRI`, `SAT,SUN`",
    );
    refused(
        "# \u{e4}\n[colector]\n",
        "2:2: unknown field `colector`, expected one of `collector`, `state`, `host`, \
         `spool`, `log`, `schedule`, `probe`\n  |\n2 | [colector]\n  |  ^^^^^^^^\nhint: did \
         you mean `collector`?",
    );
    refused(
        "collector.url = \"http://c.example\"\n",
        "1:17: `http://c.example` is not an address of HTTPS\n  |\n1 | collector.url = \
         \"http://c.example\"\n  |                 ^^^^^^^^^^^^^^^^^^\nhint: write it as \
         `https://collector.example.org:8443`",
    );
    refused(
        "spool.bytes_max = 1024\n",
        "1:19: 1024 bytes are too few\n  |\n1 | spool.bytes_max = 1024\n  |                   \
         ^^^^\nhint: give the spool at least 8388608 bytes (8 MiB)",
    );
    refused(
        "state.dir = \"lib\"",
        "1:13: `lib` is no absolute path\n  |\n1 | state.dir = \"lib\"\n  |             ^^^^^\n\
         hint: write the whole path, beginning with `/`",
    );
}

#[test]
fn borg_repositories_elsewhere() {
    for path in [
        "/b",
        "ssh://me@vault.example.org:22/./b",
        "me@vault:b",
        "vault:/b",
    ] {
        let text =
            format!("[[probe.backup.set]]\nname = \"a\"\ntool = \"borg\"\npath = \"{path}\"\n");
        let settings = Config::from_text(&text).unwrap().settings;
        assert_eq!(settings.probe.backup.sets[0].path, path);
    }
    let text =
        "[[probe.backup.set]]\nname = \"a\"\ntool = \"restic\"\npath = \"sftp:me:word@h:/b\"\n";
    let complaint = Config::from_text(text).unwrap_err().to_string();
    assert!(complaint.contains("`a` is no absolute path"), "{complaint}");
}

#[test]
fn other_wrong_files() {
    let set = "[[probe.backup.set]]\nname = \"a\"\ntool = \"borg\"\npath = \"/b\"\n";
    for (bad, place) in [
        ("log.level = 1", "1:13: "),
        ("log.level", "1:10: "),
        ("[log]\nlevel = \"info\"\nlevel = \"info\"", "3:1: "),
        ("spool.bytes_max = -1", "1:19: "),
        ("schedule.clock = \"0 0 31 2 *\"", "1:18: "),
        ("schedule.clock = 5", "1:18: "),
        ("collector.url = \"https://c.example/x\"", "1:17: "),
        (&set.replace("borg", "bork"), "3:8: "),
        (&set.replace("/b", "b"), "1:"),
        (&set.replace("/b", "ssh:///b"), "1:"),
        (&set.replace("/b", "https://h/b"), "1:"),
        (&set.replace("/b", ":b"), "1:"),
        (&set.replace("/b", "host:"), "1:"),
        (&set.replace("/b", "a/b:c"), "1:"),
        (
            &set.replace("/b", "host:/b").replace("borg", "restic"),
            "1:",
        ),
        (
            &set.replace("/b", "ssh://h/b").replace("borg", "manifest"),
            "1:",
        ),
        (&format!("{set}stanza = \"../x\""), "1:"),
        (&format!("{set}check = \"x\""), "1:"),
        (&format!("{set}password_file = \"x\""), "1:"),
        (&format!("{set}home = \"x\""), "1:"),
        (&format!("{set}unit = \"a.timer\""), "1:"),
        (&format!("{set}copy_of = \"a\""), "1:"),
        (&format!("{set}copy_of = \"b\""), "1:"),
        (
            &format!(
                "{set}copy_of = \"b\"\n{}copy_of = \"a\"",
                set.replace("\"a\"", "\"b\"")
            ),
            "1:",
        ),
        (
            &format!("{set}[[probe.backup.data]]\npath = \"/etc\"\nsets = [\"b\"]"),
            "1:",
        ),
        (
            &format!("{set}[[probe.backup.data]]\npath = \"etc\"\nsets = [\"a\"]"),
            "5:",
        ),
        ("probe.backup.postgres = [\"data\"]", "1:"),
        (&set.replace("name = \"a\"\n", ""), "1:1: "),
        (&format!("{set}{set}"), "1:"),
    ] {
        let complaint = Config::from_text(bad).unwrap_err().to_string();
        assert!(complaint.starts_with(place), "{bad}\n{complaint}");
    }
}

#[test]
fn wrong_restore_tests() {
    let set = "[[probe.backup.set]]\nname = \"a\"\ntool = \"borg\"\npath = \"/b\"\n";
    let test = "[[probe.restore.set]]\nname = \"a\"\ncanary = \"/d/.evident-canary\"\n";
    assert!(Config::from_text(&format!("{set}{test}")).is_ok());
    for (bad, what) in [
        (test.to_owned(), "which is no backup"),
        (
            format!("{}{test}", set.replace("borg", "pgbackrest")),
            "comes back whole",
        ),
        (
            format!("{}{test}", set.replace("borg", "manifest")),
            "say with `archive`",
        ),
        (
            format!(
                "{}{test}archive = \"x*\"\n",
                set.replace("borg", "manifest")
            ),
            "the whole path",
        ),
        (format!("{set}{test}{test}"), "two restore tests"),
        (
            format!("{set}{}", test.replace(".evident-canary", "notes")),
            "no canary file",
        ),
        (
            format!("{set}{}", test.replace("\"/d/", "\"d/")),
            "no absolute",
        ),
        (
            "[[probe.canary.watch]]\npath = \"*.log\"\n".to_owned(),
            "no absolute",
        ),
        (
            "[probe.canary]\nsend = 1\n".to_owned(),
            "expected a boolean",
        ),
    ] {
        let complaint = Config::from_text(&bad).unwrap_err().to_string();
        assert!(complaint.contains(what), "{bad}\n{complaint}");
    }
}
