//! Settings files as daemons read them: text with a limit, includes by pattern, systemd drop-ins.

use std::collections::BTreeMap;

use shared::observation::{Means, Status};

use super::Seen;
use crate::host::{Host, Unseen};

/// Longest settings file.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most files that one daemon's settings may include; daemons stop at about ten levels.
pub const FILES_MAX: usize = 256;

/// Folders with the settings of systemd, the strongest first: systemd.unit(5), journald.conf(5).
const SYSTEMD_FOLDERS: [&str; 4] = [
    "/etc/systemd",
    "/run/systemd",
    "/usr/local/lib/systemd",
    "/usr/lib/systemd",
];

/// The text of a settings file; what is no UTF-8 in it is replaced, because it stands in comments.
///
/// # Errors
///
/// [`Unseen`]; a file with a zero byte is [`Status::Malformed`].
pub fn text(host: &dyn Host, path: &str) -> Result<String, Unseen> {
    let bytes = host.read(path, FILE_BYTES_MAX)?;
    if bytes.contains(&0) {
        return Err(Unseen::new(path, Status::Malformed, Some("a zero byte")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The paths that a pattern means, sorted: `*` and `?` may stand in its last part only.
///
/// # Errors
///
/// [`Unseen`] of the folder, unless it is absent; a pattern of another form is
/// [`Status::Unsupported`].
pub fn expand(host: &dyn Host, pattern: &str) -> Result<Vec<String>, Unseen> {
    let wild = |text: &str| text.contains(['*', '?', '[', '{']);
    if !wild(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if wild(folder) || name.contains(['[', '{']) {
        return Err(Unseen::new(pattern, Status::Unsupported, Some("pattern")));
    }
    let names = match host.list(folder) {
        Err(unseen) if unseen.is_absent() => Vec::new(),
        names => names?,
    };
    // A shell pattern that begins with `*` does not mean hidden files: glob(7).
    let meant =
        |found: &String| found.starts_with('.') == name.starts_with('.') && glob(name, found);
    let paths = names.iter().filter(|found| meant(found));
    Ok(paths.map(|found| format!("{folder}/{found}")).collect())
}

/// Whether a pattern with `*` and `?` matches a whole text, in time proportional to both lengths
/// multiplied.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on when the last `*` has to take one character more.
    let mut again = None;
    loop {
        match (pattern.next(), text.clone().next()) {
            (Some('*'), _) => again = Some((pattern.clone(), text.clone())),
            (Some('?'), Some(_)) => drop(text.next()),
            (Some(wanted), Some(found)) if wanted == found => drop(text.next()),
            (None, None) => return true,
            (Some(_) | None, _) => {
                let Some((from, mut later)) = again.take() else {
                    return false;
                };
                if later.next().is_none() {
                    return false;
                }
                (pattern, text) = (from.clone(), later.clone());
                again = Some((from, later));
            }
        }
    }
}

/// The assignments in the settings of a part of systemd, e.g. `journald.conf`: the main file, then
/// the drop-ins by their names, so that the last of a key is in force. `None` when a file could
/// not be read; each file that was looked at becomes a source.
///
/// Source: journald.conf(5), "Configuration directories and precedence".
pub fn systemd(host: &dyn Host, seen: &mut Seen, name: &str) -> Option<Vec<Assignment>> {
    let mut assignments = Vec::new();
    let mut whole = true;
    for folder in SYSTEMD_FOLDERS {
        let path = format!("{folder}/{name}");
        let text = match text(host, &path) {
            // Only the first folder is worth naming when there is none.
            Err(unseen) if unseen.is_absent() && folder != "/etc/systemd" => continue,
            text => text,
        };
        let absent = text.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, &path, text) {
            Some(text) => assignments.extend(assigned(&text, &path)),
            None if absent => continue,
            None => whole = false,
        }
        break;
    }
    let mut drop_ins = BTreeMap::new();
    for folder in SYSTEMD_FOLDERS {
        let folder = format!("{folder}/{name}.d");
        match expand(host, &format!("{folder}/*.conf")) {
            Ok(paths) => {
                for path in paths {
                    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                    let _stronger: &mut String = drop_ins.entry(name).or_insert(path);
                }
            }
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                whole = false;
            }
        }
    }
    for path in drop_ins.values() {
        match text(host, path) {
            Err(_not_read) if masked(host, path) => {}
            text => match seen.note(Means::File, path, text) {
                Some(text) => assignments.extend(assigned(&text, path)),
                None => whole = false,
            },
        }
    }
    whole.then_some(assignments)
}

/// A listed name that leads to `/dev/null` hides the weaker files of that name. In another root
/// folder the device is not there, and the link leads nowhere.
fn masked(host: &dyn Host, path: &str) -> bool {
    match host.stat(path) {
        Ok(stat) => !stat.folder && stat.bytes == 0,
        Err(unseen) => unseen.is_absent(),
    }
}

/// One assignment of a settings file of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Name of the section, without brackets.
    pub section: String,
    /// Name before the `=`.
    pub key: String,
    /// What stands behind it; empty text takes earlier values back.
    pub value: String,
    /// The file that says so.
    pub file: String,
}

/// The assignments in one file: systemd.syntax(7).
fn assigned(text: &str, file: &str) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    let mut section = String::new();
    let mut joined = String::new();
    for line in text.lines() {
        let line = line.trim();
        // Comments inside a continued line are left out of it, and do not end it.
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(part) = line.strip_suffix('\\') {
            joined.push_str(part);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        let whole = std::mem::take(&mut joined);
        if let Some(name) = whole.strip_prefix('[') {
            name.strip_suffix(']')
                .unwrap_or(name)
                .clone_into(&mut section);
        } else if let Some((key, value)) = whole.split_once('=') {
            assignments.push(Assignment {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                file: file.to_owned(),
            });
        }
    }
    assignments
}

/// The assignment of a key that is in force; `None` when it is nowhere written or taken back.
#[must_use]
pub fn assignment<'a>(
    assignments: &'a [Assignment],
    section: &str,
    key: &str,
) -> Option<&'a Assignment> {
    assignments
        .iter()
        .rfind(|one| one.section == section && one.key == key)
        .filter(|one| !one.value.is_empty())
}

/// The value of a key that is in force; `None` when it is nowhere written or taken back.
#[must_use]
pub fn in_force<'a>(assignments: &'a [Assignment], section: &str, key: &str) -> Option<&'a str> {
    assignment(assignments, section, key).map(|one| one.value.as_str())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::machine::Machine;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.old", false),
            ("*.conf", "conf", false),
            ("*", "", true),
            ("a?c*", "abcd", true),
            ("a?c", "ac", false),
            ("", "a", false),
            ("**a*", "bab", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*a*b*", "xaxxb", true),
            ("?", "", false),
            ("?", "\u{e4}", true),
            ("a", "ab", false),
            ("ab", "a", false),
        ] {
            let found = glob(pattern, name);
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        shared::durable::write(&path, text.as_bytes(), 0o644).unwrap();
    }

    #[test]
    fn drop_ins_win_by_name_and_hide_by_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(
            root,
            "/etc/systemd/journald.conf",
            "[Journal]\nStorage=none\nSeal=no\n",
        );
        write(
            root,
            "/usr/lib/systemd/journald.conf",
            "[Journal]\nSeal=never\n",
        );
        let late = "/usr/lib/systemd/journald.conf.d/90-late.conf";
        write(root, late, "[Journal]\nStorage=persistent\n");
        let hidden = "/usr/lib/systemd/journald.conf.d/10-a.conf";
        write(root, hidden, "[Journal]\nSeal=hidden\n");
        let early = "/etc/systemd/journald.conf.d/10-a.conf";
        write(
            root,
            early,
            "[Other]\nSeal=x\n[Journal]\nStorage=\\\n# between\n volatile\n",
        );
        let null = "/usr/lib/systemd/journald.conf.d/99-null.conf";
        write(root, null, "[Journal]\nStorage=none\n");
        let mask = root.join("etc/systemd/journald.conf.d/99-null.conf");
        std::os::unix::fs::symlink("/dev/null", mask).unwrap();
        write(
            root,
            "/etc/systemd/journald.conf.d/no-settings",
            "[Journal]\nStorage=x\n",
        );
        let host = Machine::open(root).unwrap();
        let mut seen = Seen::default();
        let found = systemd(&host, &mut seen, "journald.conf").unwrap();
        assert_eq!(in_force(&found, "Journal", "Storage"), Some("persistent"));
        assert_eq!(in_force(&found, "Journal", "Seal"), Some("no"));
        assert_eq!(in_force(&found, "Journal", "Compress"), None);
        write(root, late, "[Journal]\nStorage=\n");
        let found = systemd(&host, &mut seen, "journald.conf").unwrap();
        assert_eq!(in_force(&found, "Journal", "Storage"), None);
        write(root, late, "\0");
        assert_eq!(systemd(&host, &mut seen, "journald.conf"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC*", pattern in "[*?a-c]*", name in "[a-c]*") {
            let _assigned = assigned(&text, "f");
            let _fits = glob(&pattern, &name);
        }
    }
}
