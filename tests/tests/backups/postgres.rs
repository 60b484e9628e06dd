//! A real server of PostgreSQL that archives with pgBackRest, on a socket in a folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::{Lab, damage, files_with, run, set};

/// How long the archiver may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server, which is stopped when it goes away.
struct Server<'a> {
    lab: &'a Lab,
    programs: PathBuf,
}

impl<'a> Server<'a> {
    fn start(lab: &'a Lab) -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
        let mut versions: Vec<_> = versions.map(|entry| entry.unwrap().path()).collect();
        versions.sort();
        let programs = versions.pop().unwrap().join("bin");
        let server = Self { lab, programs };
        let folder = lab.path("pg");
        std::fs::create_dir(&folder).unwrap();
        drop(run(Command::new("chown").arg("postgres:").arg(&folder)));
        let at = folder.display();
        let settings = format!(
            "[global]\nrepo1-path={at}/repo\nrepo2-path={at}/repo2\n\
             repo2-cipher-type=aes-256-cbc\nrepo2-cipher-pass=word\nlock-path={at}/lock\n\
             spool-path={at}/spool\nlog-level-file=off\nlog-level-console=error\nstart-fast=y\n\
             archive-timeout=30\nrepo1-retention-full=9\nrepo2-retention-full=9\n\
             [main]\npg1-path={at}/data\npg1-socket-path={at}\n"
        );
        std::fs::write(folder.join("pgbackrest.conf"), settings).unwrap();
        drop(run(server
            .program("initdb")
            .args(["-A", "trust", "-N", "-D"])
            .arg(lab.path("pg/data"))));
        let conf = lab.path("pg/data/postgresql.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        let own = format!(
            "listen_addresses = ''\nunix_socket_directories = '{at}'\nfsync = off\n\
             archive_mode = on\narchive_command = 'pgbackrest --config={at}/pgbackrest.conf \
             --stanza=main archive-push %p'\n"
        );
        std::fs::write(&conf, text + &own).unwrap();
        let mut start = server.program("pg_ctl");
        let start = start.args(["-w", "-D"]).arg(lab.path("pg/data")).arg("-l");
        drop(run(start.arg(lab.path("pg/log")).arg("start")));
        server
    }

    /// A program of the server, as its user.
    fn program(&self, name: &str) -> Command {
        self.as_postgres(&self.programs.join(name))
    }

    fn as_postgres(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid",
                "postgres",
                "--regid",
                "postgres",
                "--clear-groups",
            ])
            .arg(program)
            .current_dir(self.lab.path("pg"));
        command
    }

    fn pgbackrest(&self, arguments: &[&str]) {
        let mut command = self.as_postgres(Path::new("pgbackrest"));
        let config = format!("--config={}", self.lab.text("pg/pgbackrest.conf"));
        drop(run(command
            .args([&config, "--stanza=main"])
            .args(arguments)));
    }

    fn sql(&self, text: &str) {
        let mut psql = self.program("psql");
        drop(run(psql
            .args(["-X", "-q", "-h"])
            .arg(self.lab.path("pg"))
            .args(["-c", text])));
    }

    /// What the agent says of the cluster, once it is as wanted.
    fn cluster(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let settings = format!(
            "[probe.backup]\npostgres = [\"{}\"]\n",
            self.lab.text("pg/data")
        );
        let path = self.lab.text("pg/data");
        let end = Instant::now() + PATIENCE;
        loop {
            let facts = self.lab.facts(&settings);
            let clusters = facts["postgres"].as_array().unwrap();
            let own = clusters
                .iter()
                .find(|c| c["path"] == path.as_str())
                .unwrap();
            if wanted(own) {
                return own.clone();
            }
            assert!(Instant::now() < end, "{own}");
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        drop(
            stop.args(["-m", "immediate", "-D"])
                .arg(self.lab.path("pg/data"))
                .arg("stop")
                .output(),
        );
    }
}

#[test]
fn backups_and_the_archive_of_postgresql() {
    let lab = Lab::new();
    let server = Server::start(&lab);
    server.pgbackrest(&["stanza-create"]);
    server.pgbackrest(&["backup", "--type=full", "--repo=1"]);
    server.pgbackrest(&["backup", "--type=incr", "--repo=1"]);
    server.pgbackrest(&["backup", "--type=full", "--repo=2"]);
    archiving(&server);
    base_backups(&server);
    drop(server);
    repository(&lab);
    encrypted_repository(&lab);
}

fn archiving(server: &Server<'_>) {
    let good = server.cluster(|cluster| cluster["ready_count"] == 0);
    assert_eq!(
        (&good["archives"], &good["archive_mode"]),
        (&true.into(), &"on".into())
    );
    assert!(good["last_archived"].as_i64().unwrap() > 0);
    // The command fails: segments wait. It is mended: they leave.
    server.sql("ALTER SYSTEM SET archive_command = '/bin/false'");
    server.sql("SELECT pg_reload_conf()");
    server.sql("CREATE TABLE t AS SELECT 1");
    server.sql("SELECT pg_switch_wal()");
    let waits = server.cluster(|cluster| cluster["ready_count"] != 0);
    assert!(waits["oldest_ready"].as_i64().unwrap() > 0);
    server.sql("ALTER SYSTEM SET archive_command = '/bin/true'");
    server.sql("SELECT pg_reload_conf()");
    let thrown = server.cluster(|cluster| cluster["ready_count"] == 0);
    assert_eq!(
        thrown["archives"], false,
        "what is thrown away counts as archived"
    );
}

fn base_backups(server: &Server<'_>) {
    let lab = server.lab;
    for (name, sums) in [("one", "CRC32C"), ("two", "SHA256")] {
        let mut backup = server.program("pg_basebackup");
        let backup = backup
            .arg("-h")
            .arg(lab.path("pg"))
            .args(["-c", "fast", "-D"]);
        let sums = format!("--manifest-checksums={sums}");
        drop(run(backup
            .arg(lab.path(&format!("pg/base/{name}")))
            .arg(sums)));
        let one = set("db", "basebackup", &lab.text(&format!("pg/base/{name}")));
        let whole = lab.set(&one);
        assert_eq!(
            (&whole["damaged_files"], &whole["grade"]),
            (&0.into(), &"proof".into())
        );
        assert!(whole["hashed_files"].as_u64().unwrap() > 100, "{whole}");
    }
    let settings = set("db", "basebackup", &lab.text("pg/base"));
    assert_eq!(lab.set(&settings)["snapshots"], 2);
    let two = lab.path("pg/base/two");
    // All files are in the manifest; a sample of them is compared at each look.
    for file in files_with(&two, "base/") {
        std::fs::write(&file, b"x").unwrap();
    }
    let damaged = lab.set(&settings);
    assert!(damaged["damaged_files"].as_u64().unwrap() > 10, "{damaged}");
    let manifest = two.join("backup_manifest");
    let good = damage(&manifest);
    let reason = lab.set(&settings)["reason"].clone();
    assert!(
        reason
            .as_str()
            .unwrap()
            .starts_with("malformed: the manifest is not"),
        "{reason}"
    );
    std::fs::write(&manifest, &good[..good.len() / 2]).unwrap();
    let reason = lab.set(&settings)["reason"].clone();
    assert_eq!(reason, "malformed: the manifest was cut off");
}

fn repository(lab: &Lab) {
    let settings = set("db", "pgbackrest", &lab.text("pg/repo"));
    let found = lab.set(&settings);
    assert_eq!(
        (&found["snapshots"], &found["encrypted"]),
        (&2.into(), &false.into())
    );
    assert_eq!(
        (&found["wal_complete"], &found["damaged_files"]),
        (&true.into(), &0.into())
    );
    assert!(found["files"].as_u64().unwrap() > 500, "{found}");

    let repo = lab.path("pg/repo");
    let file = files_with(&repo, "F/pg_data/global/pg_control").remove(0);
    let stored: Vec<_> = files_with(&repo, "F/pg_data/");
    for file in &stored {
        std::fs::write(file, b"").unwrap();
    }
    let cut = lab.set(&settings);
    assert!(
        cut["damaged_files"].as_u64().unwrap() > 100,
        "{} {cut}",
        file.display()
    );

    for segment in files_with(&repo, "archive/main/15-1/0000000100000000/") {
        std::fs::remove_file(segment).unwrap();
    }
    assert_eq!(lab.set(&settings)["wal_complete"], false);

    let info = repo.join("backup/main/backup.info");
    let good = std::fs::read_to_string(&info).unwrap();
    let half = good.get(..good.len() / 2).unwrap();
    std::fs::write(&info, half).unwrap();
    let copy = lab.set(&settings);
    assert_eq!(copy["reason"], "backup.info is damaged; its copy was read");
    assert_eq!(copy["snapshots"], 2);
    std::fs::write(repo.join("backup/main/backup.info.copy"), half).unwrap();
    let reason = lab.set(&settings)["reason"].clone();
    assert!(
        reason.as_str().unwrap().starts_with("malformed"),
        "{reason}"
    );
    std::fs::write(
        &info,
        good.replace("backrest-format=5", "backrest-format=6"),
    )
    .unwrap();
    let reason = lab.set(&settings)["reason"].clone();
    assert!(
        reason.as_str().unwrap().starts_with("unsupported: form 6"),
        "{reason}"
    );
    let stanza = settings + "stanza = \"other\"\n";
    assert_eq!(lab.set(&stanza)["reason"], "absent");
}

fn encrypted_repository(lab: &Lab) {
    let found = lab.set(&set("db", "pgbackrest", &lab.text("pg/repo2")));
    assert_eq!(
        (&found["encrypted"], &found["snapshots"]),
        (&true.into(), &1.into())
    );
    assert_eq!(found["cipher"], "AES-256-CBC");
    assert!(found["last_success"].as_i64().unwrap() > 0);
    assert!(
        found["not_shown"].as_str().unwrap().contains("sizes"),
        "{found}"
    );
}
