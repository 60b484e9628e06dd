//! The words of a command line or a script that tell a backup, and those that tell a secret.

/// Programs that make backups, sorted.
const PROGRAMS: [&str; 26] = [
    "amdump",
    "autorestic",
    "backupninja",
    "bacula-fd",
    "bareos-fd",
    "barman",
    "borg",
    "borgmatic",
    "btrbk",
    "burp",
    "duplicity",
    "duply",
    "kopia",
    "pgbackrest",
    "proxmox-backup-client",
    "rdiff-backup",
    "restic",
    "rsnapshot",
    "rustic",
    "sanoid",
    "snapper",
    "syncoid",
    "tarsnap",
    "timeshift",
    "wal-g",
    "zrepl",
];

/// Programs that copy, and are found where no backup is meant too, sorted.
const COPIERS: [&str; 13] = [
    "mariabackup",
    "mariadb-dump",
    "mongodump",
    "mydumper",
    "mysqldump",
    "pg_basebackup",
    "pg_dump",
    "pg_dumpall",
    "rclone",
    "rsync",
    "tar",
    "xtrabackup",
    "zfs-auto-snapshot",
];
/// What ends a word in which a secret may stand.
const SIGNS: [char; 5] = [' ', '\t', ';', '"', '\''];
/// How the name of a variable ends whose value is a secret.
const SECRETS: [&str; 9] = [
    "ACCOUNT_KEY",
    "APPLICATION_KEY",
    "CIPHER_PASS",
    "PASSPHRASE",
    "PASSWORD",
    "PGPASS",
    "SECRET",
    "SECRET_ACCESS_KEY",
    "SECRET_KEY",
];

/// Variables that name a file with a secret.
const VARIABLES: [&str; 4] = [
    "AWS_SHARED_CREDENTIALS_FILE",
    "BORG_KEY_FILE",
    "PGPASSFILE",
    "RESTIC_PASSWORD_FILE",
];
/// Variables with a command that shows a secret; `cat FILE` names the file.
const COMMANDS: [&str; 2] = ["BORG_PASSCOMMAND", "RESTIC_PASSWORD_COMMAND"];
/// Most files that are taken from one text.
const NAMED_MAX: usize = 64;
/// Options that are followed by a file with a secret.
const OPTIONS: [&str; 2] = ["--password-file", "--encrypt-secret-keyring"];
/// What a text of commands and variables tells of secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets {
    /// Whether one stands in it.
    pub(super) inside: bool,
    /// Files that it names as holding one.
    pub(super) named: Vec<String>,
}

impl Secrets {
    pub(super) fn of(text: &str) -> Self {
        Self {
            inside: has_secret(text),
            named: named(text),
        }
    }
}

/// Whether a program of this name makes backups.
pub(super) fn is_program(name: &str) -> bool {
    PROGRAMS.contains(&name)
}

/// The first program in a command line or a script that makes a backup.
pub(super) fn program(text: &str) -> Option<&'static str> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.into_iter().find_map(program_of_line)
}

fn program_of_line(line: &str) -> Option<&'static str> {
    let daemon = line.contains("--daemon");
    let mut words = words(line).peekable();
    while let Some(word) = words.next() {
        let name = word.rsplit('/').next().unwrap_or_default();
        let next = words.peek().copied().unwrap_or_default();
        let known = PROGRAMS
            .iter()
            .chain(&COPIERS)
            .find(|known| **known == name);
        let backup = match name {
            "rsync" => !daemon,
            "tar" => creates(next),
            _ => true,
        };
        if let (true, Some(known)) = (backup, known) {
            return Some(known);
        }
    }
    None
}

/// Whether the first argument of tar makes an archive.
fn creates(argument: &str) -> bool {
    let letters = argument.trim_start_matches('-');
    argument == "--create"
        || !argument.starts_with("--") && letters.contains('c') && !letters.contains(['x', 't'])
}

/// The words of a shell's line, without quotes and signs.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "._-/+:@=%~".contains(c);
    line.split(move |c| !inside(c))
        .filter(|word| !word.is_empty())
}

/// Whether a variable of this name holds a secret itself, and not where it is.
fn is_secret(name: &str) -> bool {
    let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    name.bytes().all(upper) && SECRETS.iter().any(|secret| name.ends_with(secret))
}

/// Whether a text holds a secret: a variable with a value, or an address with a password.
fn has_secret(text: &str) -> bool {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.into_iter().any(|line| {
        // Each word with the sign that ends it.
        let words = line.split_inclusive(SIGNS).map(|piece| {
            let word = piece.strip_suffix(SIGNS).unwrap_or(piece);
            (word, piece.ends_with(['"', '\'']))
        });
        let mut words = words.filter(|(word, _)| !word.is_empty()).peekable();
        while let Some((word, quoted)) = words.next() {
            let address = word.split_once("://").and_then(|(_, rest)| {
                let place = rest.split('/').next().unwrap_or_default();
                let (user, _host) = place.rsplit_once('@')?;
                user.split_once(':')
            });
            if address.is_some_and(|(_, password)| plain(password)) {
                return true;
            }
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            // In `NAME="value"` the quote has parted them.
            let value = if value.is_empty() && quoted {
                words.peek().map_or("", |(next, _)| next)
            } else {
                value
            };
            if is_secret(name) && plain(value) {
                return true;
            }
        }
        false
    })
}

/// Whether a value stands there itself, and is not taken from elsewhere.
fn plain(value: &str) -> bool {
    !value.is_empty() && !value.starts_with(['$', '`', '%'])
}

/// The files that a text of commands and variables names as holding a secret.
fn named(text: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let mut words = words(line).peekable();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if COMMANDS.contains(&name) {
                let _cat = words.next_if(|word| *word == "cat" || *word == "/bin/cat");
            }
            let wanted = VARIABLES.contains(&name) || COMMANDS.contains(&name);
            if wanted || OPTIONS.contains(&name) {
                let file = if value.starts_with('/') {
                    Some(value)
                } else {
                    words.peek().copied()
                };
                let path = file.filter(|file| file.starts_with('/'));
                files.extend(path.map(str::to_owned));
                if NAMED_MAX <= files.len() {
                    return files;
                }
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn programs() {
        for (text, expected) in [
            ("/usr/bin/restic backup /etc", Some("restic")),
            ("-/usr/bin/borgmatic --verbosity -1", Some("borgmatic")),
            ("/bin/sh -c 'set -e; borg create ::x /home'", Some("borg")),
            ("nice rsync -a /srv/ /mnt/restic", Some("rsync")),
            ("/usr/bin/rsync --daemon --no-detach", None),
            ("tar -czf /mnt/a.tgz /etc", Some("tar")),
            ("tar cf - /etc", Some("tar")),
            ("tar --create -f /x /etc", Some("tar")),
            ("tar -xzf /mnt/a.tgz", None),
            ("tar tf /mnt/a.tgz", None),
            ("# restic backup\necho no", None),
            (
                "# daily\n\n  pgbackrest --stanza=main backup",
                Some("pgbackrest"),
            ),
            ("/usr/sbin/logrotate /etc/logrotate.conf", None),
            ("restic-prune-helper", None),
            ("", None),
        ] {
            assert_eq!(program(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets() {
        for text in [
            "RESTIC_PASSWORD=word",
            "\"RESTIC_PASSWORD=word\" HOME=/root",
            "export BORG_PASSPHRASE=\"word and word\"",
            "AWS_SECRET_ACCESS_KEY='abc' restic backup /",
            "RESTIC_REPOSITORY=rest:https://me:word@vault/r",
            "restic -r rest:https://me:word@vault/r backup /",
        ] {
            assert!(has_secret(text), "{text}");
        }
        for text in [
            "RESTIC_PASSWORD_FILE=/root/pw",
            "BORG_PASSCOMMAND=cat /root/pw",
            "# RESTIC_PASSWORD=word",
            "RESTIC_PASSWORD=",
            "export RESTIC_PASSWORD=\"$(cat /root/pw)\"",
            "RESTIC_PASSWORD=$word",
            "RESTIC_REPOSITORY=rest:https://vault/r",
            "borg create ssh://me@vault:22/./r::x /",
            "",
        ] {
            assert!(!has_secret(text), "{text}");
        }
    }

    #[test]
    fn named_files() {
        for (text, expected) in [
            ("RESTIC_PASSWORD_FILE=/root/a", &["/root/a"][..]),
            ("export RESTIC_PASSWORD_FILE=\"/root/a\"", &["/root/a"]),
            ("restic --password-file /root/a backup /", &["/root/a"]),
            ("restic --password-file=/root/a backup /", &["/root/a"]),
            ("\"BORG_PASSCOMMAND=cat /root/b\"", &["/root/b"]),
            ("BORG_PASSCOMMAND=\"pass show x\"", &[]),
            ("# RESTIC_PASSWORD_FILE=/root/a", &[]),
            ("RESTIC_PASSWORD=secret /root/a", &[]),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|[A-Z_=:/@$\" ]{0,40}") {
            let _program: Option<&str> = program(&text);
            let _secret: bool = has_secret(&text);
        }
    }
}
