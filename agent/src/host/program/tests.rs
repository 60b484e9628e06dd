//! Tests of the door for programs, with real programs: none is started that is not in the list.

use super::*;

fn task<'a>(program: Program, options: &'a [&'a str], folder: &'a Path) -> Task<'a> {
    Task {
        program,
        options,
        operands: &[],
        secret: None,
        scratch: folder,
        deadline: Duration::from_secs(20),
        output_bytes_max: 1 << 20,
    }
}

fn refused(program: Program, options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let unseen = run(&task(program, options, folder.path()), None, &mut |_| {}).unwrap_err();
    assert_eq!(unseen.status, Status::Failed);
    unseen.detail.unwrap()
}

#[test]
fn what_is_not_in_the_list_is_not_told() {
    for (program, options, wrong) in [
        (Program::Restic, &["backup", "--no-lock"][..], "`backup`"),
        (Program::Restic, &[], "``"),
        (Program::Restic, &["dump", "--no-lock"], "`--no-cache`"),
        (Program::Restic, &["dump", "--no-cache"], "`--no-lock`"),
        (
            Program::Restic,
            &["dump", "--no-lock", "--no-cache", "--password-command=x"],
            "`--password-command`",
        ),
        (Program::Borg, &["extract", "--bypass-lock"], "`--stdout`"),
        (Program::Borg, &["delete"], "`delete`"),
        (
            Program::Borg,
            &["list", "--bypass-lock", "--rsh=x"],
            "`--rsh`",
        ),
        (
            Program::Tar,
            &["--extract", "--force-local"],
            "`--to-stdout`",
        ),
        (
            Program::Tar,
            &[
                "--extract",
                "--to-stdout",
                "--force-local",
                "--to-command=x",
            ],
            "`--to-command`",
        ),
        (Program::Sleep, &["--version"], "`--version`"),
    ] {
        let why = refused(program, options);
        assert!(why.starts_with(wrong), "{why}");
    }
}

#[test]
fn a_file_comes_out_of_an_archive_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("a.tar");
    let text = vec![b'x'; 300_000];
    shared::durable::write(&folder.path().join("-rf"), &text, 0o644).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test makes an archive")]
    let archived = Command::new("/usr/bin/tar")
        .args(["-C", folder.path().to_str().unwrap(), "-cf"])
        .args([archive.to_str().unwrap(), "--", "-rf"])
        .status();
    assert!(archived.unwrap().success());
    let file = format!("--file={}", archive.display());
    let options = ["--extract", "--to-stdout", "--force-local", &file];
    let scratch = folder.path().join("deep/scratch");
    let mut task = task(Program::Tar, &options, &scratch);
    task.operands = &["-rf"];
    let mut found = Vec::new();
    let ended = run(&task, None, &mut |piece| found.extend_from_slice(piece)).unwrap();
    assert_eq!((ended.status, ended.errors.as_str()), (Some(0), ""));
    assert_eq!((ended.bytes, found == text), (300_000, true));
    task.operands = &["none"];
    let ended = run(&task, None, &mut |_| {}).unwrap();
    assert_eq!((ended.status, ended.bytes), (Some(2), 0));
    assert!(ended.errors.contains("Not found"), "{}", ended.errors);
    let mode = std::fs::metadata(&scratch).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_program_that_hangs_is_killed_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let mut task = task(Program::Sleep, &[], folder.path());
    // A length of its own, so that the process is known again.
    let length = format!("{}.25", 100_000 + std::process::id());
    let operands = [length.as_str()];
    task.operands = &operands;
    task.deadline = Duration::from_millis(300);
    let unseen = run(&task, None, &mut |_| {}).unwrap_err();
    assert_eq!(unseen.to_string(), "sleep: timed-out (killed after 0 s)");
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path().join("cmdline");
        let line = shared::durable::read(&path, 4096).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(!line.contains(&length), "{line}");
    }
}

#[test]
fn a_program_that_never_ends_to_write_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let task = task(Program::Yes, &[], folder.path());
    let mut bytes = 0;
    let unseen = run(&task, None, &mut |piece| bytes += piece.len()).unwrap_err();
    assert_eq!(unseen.status, Status::Limit);
    assert!(bytes <= 1 << 20, "{bytes}");
}

#[test]
fn what_is_not_installed_is_absent_and_names_come_from_the_list() {
    for (program, name) in [
        (Program::Borg, "borg"),
        (Program::Restic, "restic"),
        (Program::Tar, "tar"),
    ] {
        assert_eq!(program.name(), name);
        match installed(program) {
            Ok(path) => assert!(path.starts_with('/')),
            Err(unseen) => assert!(unseen.is_absent(), "{unseen}"),
        }
    }
}
