//! What the probe of updates sees on hosts that rpm and dnf made, next to what dnf says itself.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod lab;

use shared::durable;
use shared::observation::Outcome;

use lab::{
    DATABASE, Host, Lab, advisory, count, fact, field, now, pending, records, said, text, write,
};

const OLD: [(&str, &str); 6] = [
    ("alpha 0 1.0 1.el9", ""),
    ("beta 1 2.0~rc1 1.el9", ""),
    ("delta 0 10 1.el9", ""),
    ("gamma 0 3.9 1.el9", ""),
    ("kappa 0 1.0^git1 1.el9", ""),
    ("omega 2 1 1.el9", ""),
];
const NEW: [(&str, &str); 7] = [
    ("alpha 0 1.0 1.el9_1", ""),
    ("alpha 0 1.0 2.el9", ""),
    ("beta 1 2.0 1.el9", ""),
    ("delta 0 9 1.el9", ""),
    ("gamma 0 3.10 1.el9", ""),
    ("kappa 0 1.0^git2 1.el9", ""),
    ("omega 0 9 1.el9", ""),
];
const ALL: [&str; 6] = ["alpha", "beta", "delta", "gamma", "kappa", "omega"];

fn advisories() -> String {
    [
        advisory(
            "security",
            "2026-1",
            "Moderate",
            "2026-10-01 12:00:00",
            &["alpha 0 1.0 1.el9_1"],
        ),
        advisory(
            "security",
            "2026-2",
            "Critical",
            "2026-10-09",
            &["alpha 0 1.0 2.el9"],
        ),
        advisory(
            "bugfix",
            "2026-3",
            "None",
            "2026-10-10 00:00:00",
            &["beta 1 2.0 1.el9"],
        ),
        advisory(
            "security",
            "2026-4",
            "Low",
            "1791374400",
            &["gamma 0 3.10 1.el9", "x 0 1 1"],
        ),
        advisory(
            "security",
            "2026-5",
            "Important",
            "2026-09-01",
            &["omega 0 9 1.el9"],
        ),
    ]
    .concat()
}

/// A host with the old packages and a repository of all; the lab must live as long.
fn outdated(lab: &Lab, packing: &str) {
    lab.build(&OLD);
    lab.build(&NEW);
    lab.repository("repo", &ALL, Some(&advisories()), packing);
    let host = lab.host("repo");
    let old = OLD.map(|(package, _)| {
        let [name, epoch, version, release] =
            package.split(' ').collect::<Vec<_>>().try_into().unwrap();
        format!("{name}-{epoch}:{version}-{release}")
    });
    let names: Vec<&str> = old.iter().map(String::as_str).collect();
    let _installed = text(&host.dnf(&[&["install"], &names[..]].concat()));
}

#[test]
fn pending_updates_are_those_of_dnf_and_close_when_they_are_applied() {
    let lab = Lab::new();
    outdated(&lab, "gz");
    let host = lab.host("repo");
    let seen = host.look();
    assert_eq!(seen.outcome, Outcome::Facts, "{}", seen.reason);
    assert_eq!(count(&seen, "installed_count"), 6);
    let expected = [
        "alpha.noarch 1.0-2.el9",
        "beta.noarch 1:2.0-1.el9",
        "gamma.noarch 3.10-1.el9",
        "kappa.noarch 1.0^git2-1.el9",
    ];
    assert_eq!(pending(&seen, false), expected);
    assert_eq!(pending(&seen, false), said(&host, &[]));
    assert_eq!(pending(&seen, true), [expected[0], expected[2]]);
    assert_eq!(pending(&seen, true), said(&host, &["--security"]));
    assert_eq!(fact(&seen, "security_source"), "true");
    let list = &records(&seen, "metadata")[0];
    assert_eq!(
        (field(list, "name"), field(list, "label")),
        ("toys".into(), "Toys 9".into())
    );
    let updates = records(&seen, "pending");
    let told = |name: &str, fields: [&str; 5]| {
        let one = updates
            .iter()
            .find(|one| field(one, "package") == name)
            .unwrap();
        fields.map(|name| field(one, name))
    };
    let fields = [
        "severity",
        "advisory",
        "cves",
        "available_since",
        "source_version",
    ];
    assert_eq!(
        told("alpha", fields),
        [
            "Critical",
            "2026-2",
            "CVE-2026-1 CVE-2026-2",
            "2026-10-01T12:00:00.000Z",
            "1.0-2.el9"
        ]
    );
    let gamma = [
        "Low",
        "2026-4",
        "CVE-2026-4",
        "2026-10-07T12:00:00.000Z",
        "3.10-1.el9",
    ];
    assert_eq!(told("gamma", fields), gamma);
    assert_eq!(
        told("kappa", fields),
        ["-", "-", "-", "-", "1.0^git2-1.el9"]
    );
    let since = seen.facts["pending_security_since"].clone();
    assert_eq!(serde_json::to_string(&since).unwrap(), "1790856000000");

    applied_updates_close_what_was_pending(&host);
}

fn applied_updates_close_what_was_pending(host: &Host<'_>) {
    let _upgraded = text(&host.dnf(&["upgrade", "--security"]));
    let seen = host.look();
    assert_eq!(count(&seen, "pending_security_count"), 0);
    assert_eq!(pending(&seen, false), said(host, &[]));
    let applied = records(&seen, "applied");
    let names: Vec<String> = applied.iter().map(|one| field(one, "package")).collect();
    assert_eq!(names, ["alpha", "gamma"]);
    let first = applied.first().unwrap();
    assert_eq!(field(first, "from"), "1.0-1.el9");
    assert_eq!(field(first, "available_since"), "2026-10-09T00:00:00.000Z");
    assert_eq!(count(&seen, "applied_security_count"), 2);
    let waited = now().ms_since("2026-10-07T12:00:00Z".parse().unwrap()) / 1000;
    let p95 = count(&seen, "security_wait_p95_s");
    assert!((waited - 600..=waited).contains(&p95), "{p95} {waited}");
    let last: i64 = fact(&seen, "last_change").parse().unwrap();
    assert!((0..600_000).contains(&(now().unix_ms() - last)));
}

/// Copies rpm's database in the middle of the transaction that installs it.
const SNAPSHOT: &str = r#"
%posttrans -p <lua>
for _, name in ipairs({"rpmdb.sqlite", "rpmdb.sqlite-wal"}) do
  local from = io.open("/usr/lib/sysimage/rpm/" .. name, "rb")
  local to = io.open("/copy/usr/lib/sysimage/rpm/" .. name, "wb")
  to:write(from:read("*a"))
  to:close()
end
"#;

#[test]
fn what_stands_only_in_the_write_ahead_log_is_read() {
    let lab = Lab::new();
    lab.build(&OLD);
    lab.build(&[("snapshot 0 1 1", SNAPSHOT)]);
    lab.repository("repo", &["alpha", "beta", "snapshot"], None, "gz");
    let host = lab.host("repo");
    let _installed = text(&host.dnf(&["install", "alpha"]));
    std::fs::create_dir_all(host.root.join("copy/usr/lib/sysimage/rpm")).unwrap();
    let _installed = text(&host.dnf(&["install", "beta", "snapshot"]));
    let copy = Host {
        lab: &lab,
        root: host.root.join("copy"),
    };
    let database = copy.root.join(DATABASE);
    let log = database.with_file_name("rpmdb.sqlite-wal");
    assert_ne!(log.metadata().unwrap().len(), 0);
    let files = || {
        std::fs::read_dir(database.parent().unwrap())
            .unwrap()
            .count()
    };
    assert_eq!(count(&copy.look(), "installed_count"), 3);
    assert_eq!(files(), 2, "nothing is written beside it");
    // A log that was cut in the middle of a transaction counts up to the one before.
    let whole = durable::read(&log, 1 << 26).unwrap();
    let mut counts = Vec::new();
    for part in (0..whole.len())
        .step_by(whole.len() / 40)
        .chain([whole.len()])
    {
        durable::write(&log, &whole[..part], 0o644).unwrap();
        let seen = copy.look();
        counts.push(count(&seen, "installed_count"));
        assert_eq!(seen.outcome, Outcome::Facts, "{part}: {}", seen.reason);
    }
    assert!(counts.is_sorted(), "{counts:?}");
    assert_eq!((counts[0], counts.last()), (1, Some(&3)));
    // A frame whose checksum is wrong ends the log.
    let mut wrong = whole;
    wrong[32 + 24 + 100] ^= 1;
    durable::write(&log, &wrong, 0o644).unwrap();
    assert_eq!(count(&copy.look(), "installed_count"), 1);
    // Without its log the database is that of the transaction before.
    std::fs::remove_file(&log).unwrap();
    let first = copy.look();
    assert_eq!(count(&first, "installed_count"), 1);
}

/// Nothing may be told, and the reason names what was wrong.
#[track_caller]
fn unknown(host: &Host<'_>, reason: &str) {
    let seen = host.look();
    assert_eq!(seen.outcome, Outcome::Unknown, "{:?}", seen.facts);
    assert!(seen.reason.contains(reason), "{}", seen.reason);
}

#[test]
fn a_database_that_is_not_whole_is_never_half_read() {
    let lab = Lab::new();
    lab.build(&OLD);
    lab.repository("repo", &ALL, None, "gz");
    let host = lab.host("repo");
    let _installed = text(&host.dnf(&[&["install"], &ALL[..]].concat()));
    let path = host.root.join(DATABASE);
    let whole = durable::read(&path, 1 << 26).unwrap();
    let put = |bytes: &[u8]| durable::write(&path, bytes, 0o644).unwrap();
    for part in (0..whole.len()).step_by(4096 + 1024) {
        put(&whole[..part]);
        let seen = host.look();
        // What is cut off behind the last page of the table is not missed.
        if seen.outcome == Outcome::Facts {
            assert_eq!(count(&seen, "installed_count"), 6, "{part}");
        } else {
            assert!(seen.reason.contains("malformed"), "{part}: {}", seen.reason);
        }
    }
    put(&whole[..whole.len() / 2]);
    unknown(&host, "malformed");
    put(b"");
    unknown(&host, "shorter than a page");
    put(&vec![b'x'; 8192]);
    unknown(&host, "no SQLite database");
    let edited = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        put(&bytes);
    };
    edited(19, 3);
    unknown(&host, "a form of SQLite that this agent does not read");
    edited(16, 3);
    unknown(&host, "page size");
    // Whatever byte is damaged, the probe comes to an end.
    for at in (0..whole.len()).step_by(whole.len() / 150 + 1) {
        edited(at, whole[at] ^ 0x55);
        drop(host.look());
    }
    put(&whole);
    let journal = path.with_file_name("rpmdb.sqlite-journal");
    durable::write(
        &journal,
        b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7\0\0\0\x01",
        0o644,
    )
    .unwrap();
    unknown(&host, "a transaction is under way, or was cut off");
    durable::write(&journal, &[0; 12], 0o644).unwrap();
    assert_eq!(
        count(&host.look(), "installed_count"),
        6,
        "a journal that is finished"
    );
    std::fs::remove_file(&path).unwrap();
    unknown(&host, "no package database");
    std::fs::create_dir(&path).unwrap();
    unknown(&host, "no regular file");
    std::fs::remove_dir(&path).unwrap();
    write(&path.with_file_name("Packages.db"), "RpmP");
    unknown(&host, "rpm's database in the form of ndb is not read");
    std::fs::remove_file(path.with_file_name("Packages.db")).unwrap();
    write(&host.root.join("var/lib/rpm/Packages"), "x");
    unknown(
        &host,
        "rpm's database in the form of Berkeley DB is not read",
    );
}

/// Nothing is told about pending updates, and the reason says why.
#[track_caller]
fn not_told(host: &Host<'_>, reason: &str) {
    let seen = host.look();
    assert_eq!(seen.outcome, Outcome::Facts, "{}", seen.reason);
    for name in [
        "pending",
        "pending_count",
        "pending_security_count",
        "applied",
    ] {
        assert_eq!(fact(&seen, name), "-", "{name}");
    }
    assert!(seen.reason.contains(reason), "{}", seen.reason);
}

#[test]
fn lists_that_are_not_whole_say_nothing_about_updates() {
    let lab = Lab::new();
    outdated(&lab, "xz");
    let host = lab.host("repo");
    let good = pending(&host.look(), true);
    assert_eq!(good.len(), 2, "advisories packed as xz");
    let cache = host.root.join("var/cache/dnf");
    let files = evident_tests::files(&cache);
    let find = |part: &str| {
        let mut found = files
            .iter()
            .filter(|path| path.to_string_lossy().contains(part));
        cache.join(found.next().unwrap())
    };
    for (part, cut) in [
        ("primary.xml.gz", "primary.xml.gz: malformed"),
        ("updateinfo.xml.xz", "updateinfo.xml.xz: malformed"),
        ("repomd.xml", "repomd.xml: malformed"),
    ] {
        let path = find(part);
        let whole = durable::read(&path, 1 << 20).unwrap();
        durable::write(&path, &whole[..whole.len() * 2 / 3], 0o644).unwrap();
        not_told(&host, cut);
        durable::write(&path, b"<html>log in first</html>", 0o644).unwrap();
        not_told(&host, cut);
        durable::write(&path, &whole, 0o644).unwrap();
        assert_eq!(pending(&host.look(), true), good);
    }
    let path = find("updateinfo.xml.xz");
    let whole = durable::read(&path, 1 << 20).unwrap();
    std::fs::remove_file(&path).unwrap();
    not_told(&host, "the repository has it, and dnf did not fetch it");
    durable::write(&path, &whole, 0o644).unwrap();
    let file = "etc/yum.repos.d/toys.repo";
    let toys = durable::read_text(&host.root.join(file), 4096).unwrap();
    let other = "[other]\nbaseurl=https://u:secret@toys.example/9\ngpgcheck=1\n";
    host.write("etc/yum.repos.d/other.repo", other);
    not_told(&host, "it is enabled, and dnf has fetched nothing from it");
    let seen = host.look();
    let other = &records(&seen, "repositories")[0];
    assert_eq!(field(other, "uri"), "https://toys.example/9");
    assert_eq!(
        [field(other, "verified"), field(other, "encrypted")],
        ["true", "true"]
    );
    assert_eq!(count(&seen, "repositories_unverified_count"), 1);
    host.write("etc/yum.repos.d/other.repo", "[other]\nenabled=0\n");
    assert_eq!(pending(&host.look(), true), good);
    host.write(file, "no section");
    not_told(&host, "toys.repo: unsupported");
    host.write(file, &toys);
    host.write("etc/dnf/dnf.conf", "[main]\nexclude=[a-c]*\n");
    not_told(&host, "the pattern `[a-c]*`");
}

#[test]
fn locks_and_exclusions_keep_out_but_not_fixes() {
    let lab = Lab::new();
    outdated(&lab, "gz");
    let host = lab.host("repo");
    host.write(
        "etc/dnf/dnf.conf",
        "[main]\nexcludepkgs=kap*,\n  beta-2.0-1*\n",
    );
    let seen = host.look();
    assert_eq!(pending(&seen, false), said(&host, &[]));
    assert_eq!(
        [count(&seen, "pinned_count"), count(&seen, "held_count")],
        [2, 1]
    );
    host.write("etc/dnf/dnf.conf", "[main]\nexcludepkgs=alpha\n");
    let seen = host.look();
    assert!(!said(&host, &[]).contains(&"alpha.noarch 1.0-2.el9".to_owned()));
    assert_eq!(count(&seen, "pending_security_held_count"), 1);
    assert!(pending(&seen, true).contains(&"alpha.noarch 1.0-2.el9".to_owned()));
    host.write("etc/dnf/dnf.conf", "[main]\n");
    host.write(
        "etc/dnf/plugins/versionlock.list",
        "# kept\nkappa-0:1.0^git1-1.el9.*\n",
    );
    let seen = host.look();
    assert_eq!(
        [count(&seen, "pinned_count"), count(&seen, "held_count")],
        [1, 1]
    );
    assert_eq!(pending(&seen, false).len(), 3);
    host.write(
        "etc/dnf/plugins/versionlock.list",
        "kappa-0:1.0^git2-1.el9.*\n",
    );
    assert_eq!(count(&host.look(), "pinned_count"), 0);
    host.write("etc/dnf/plugins/versionlock.list", "");
    let lock = "version = \"1.0\"\n[[packages]]\nname = \"kappa\"\n";
    host.write("etc/dnf/versionlock.toml", lock);
    assert_eq!(count(&host.look(), "pinned_count"), 1);
}

#[test]
fn a_module_is_updated_within_its_stream() {
    let lab = Lab::new();
    let versions = ["1.0", "1.1", "2.0"];
    let packages = versions.map(|version| format!("streamed 0 {version} 1.module_el9"));
    lab.build(&packages.each_ref().map(|package| (package.as_str(), "")));
    lab.build(&[("plain 0 1 1", ""), ("plain 0 2 1", "")]);
    lab.repository("repo", &["streamed", "plain"], Some(""), "gz");
    let document = |stream: &str, versions: &[&str]| {
        let package = |version: &&str| format!("    - streamed-0:{version}-1.module_el9.noarch\n");
        let packages: String = versions.iter().map(package).collect();
        [
            "---\ndocument: modulemd\nversion: 2\ndata:\n  name: streamed\n",
            &format!("  stream: \"{stream}\"\n  version: 1\n  context: c0ffee\n  arch: noarch\n"),
            "  summary: toy\n  description: toy\n  license:\n    module:\n    - MIT\n",
            &format!("  artifacts:\n    rpms:\n{packages}...\n"),
        ]
        .concat()
    };
    let file = lab.path("modules.yaml");
    write(
        &file,
        &(document("1", &["1.0", "1.1"]) + &document("2", &["2.0"])),
    );
    let added = lab
        .command("modifyrepo_c")
        .arg("--mdtype=modules")
        .arg(&file)
        .arg(lab.path("repo/repodata"))
        .output()
        .unwrap();
    let _added = text(&added);
    let host = lab.host("repo");
    let _enabled = text(&host.dnf(&["module", "enable", "streamed:1"]));
    let _installed = text(&host.dnf(&["install", "streamed-1.0", "plain-1"]));
    let seen = host.look();
    let expected = ["plain.noarch 2-1", "streamed.noarch 1.1-1.module_el9"];
    assert_eq!(said(&host, &[]), expected);
    assert_eq!(pending(&seen, false), expected, "{}", seen.reason);
    let _upgraded = text(&host.dnf(&["upgrade"]));
    assert_eq!(count(&host.look(), "pending_count"), 0);
}

#[test]
fn versions_sort_as_rpm_sorts_them() {
    let lab = Lab::new();
    // Of each two, what the program itself says, and what is pending on a host with the first one.
    let versions = [
        "1.0", "1.0~rc1", "1.0^1", "1.0.1", "1.0a", "10", "9", "1_1", "1.0~~",
    ];
    let packages = versions.map(|version| format!("alpha 0 {version} 1"));
    lab.build(&packages.each_ref().map(|package| (package.as_str(), "")));
    lab.repository("repo", &["alpha"], None, "gz");
    let host = lab.host("repo");
    for version in versions {
        let _installed = text(&host.dnf(&["install", &format!("alpha-{version}-1")]));
        assert_eq!(pending(&host.look(), false), said(&host, &[]), "{version}");
        std::fs::remove_dir_all(host.root.join("usr/lib/sysimage/rpm")).unwrap();
    }
}
