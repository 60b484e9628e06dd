//! The repositories that apt is told to use, and whether it demands their signatures.
//!
//! apt refuses a repository whose signature does not hold, unless it is told to trust it anyway: by
//! an option of the repository, or by a setting for all of them. The key file of a repository is
//! looked for; the agent verifies no signature itself.
//!
//! Source: sources.list(5), apt-secure(8), apt.conf(5).

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};

use super::apt::{self, Settings};
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::text;

const MAIN: &str = "/etc/apt/sources.list";
const PARTS: &str = "/etc/apt/sources.list.d";
/// Keys that count for every repository which names none.
const KEYS: &str = "/etc/apt/trusted.gpg.d";
/// The same as one file.
const KEY_FILE: &str = "/etc/apt/trusted.gpg";
/// Most files with repositories.
const FILES_MAX: usize = 256;
/// Settings that let apt do without signatures, or with lists that nobody vouches for any more.
const INSECURE: [&str; 5] = [
    "acquire::allowdowngradetoinsecurerepositories",
    "acquire::allowinsecurerepositories",
    "acquire::allowweakrepositories",
    "apt::get::allowunauthenticated",
    "apt::get::force-yes",
];

/// A repository: one address and one suite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Repository {
    uri: String,
    suite: String,
    options: Options,
}

/// What is said of a repository besides its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    signed_by: Option<String>,
    trusted: bool,
    allow_insecure: bool,
}

/// A file is not of the form that apt reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NotRead;

/// States the repositories; nothing when one of their files was not read.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, settings: Option<&Settings>) {
    if let Some(settings) = settings {
        let set = INSECURE.into_iter().filter(|name| settings.is_yes(name));
        let set: Vec<&str> = set
            .chain(
                settings
                    .get("acquire::check-valid-until")
                    .filter(|_| !settings.is_yes("acquire::check-valid-until"))
                    .map(|_| "acquire::check-valid-until"),
            )
            .collect();
        let record = |name| Record::from([("name".to_owned(), Value::Text(name))]);
        let records = set.into_iter().map(str::to_owned).map(record);
        seen.state_list("insecure_settings", records.collect());
    }
    let Some(files) = files(host, seen) else {
        return;
    };
    let (mut records, mut unverified) = (Vec::new(), 0_usize);
    for path in files {
        let read = text(host, &path).and_then(|text| {
            let found = if path.strip_suffix(".sources").is_some() {
                deb822(&text)
            } else {
                lines(&text)
            };
            let why = "no form of sources.list(5)";
            found.map_err(|NotRead| Unseen::new(&path, Status::Malformed, Some(why)))
        });
        let absent = read.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, &path, read) {
            Some(found) => {
                for repository in found {
                    let options = &repository.options;
                    unverified += usize::from(options.trusted || options.allow_insecure);
                    let keys = keys_present(host, options.signed_by.as_deref());
                    records.push(record(&path, repository, keys));
                }
            }
            None if absent => {}
            None => return,
        }
    }
    seen.state_count("repositories_unverified_count", unverified);
    seen.state_list("repositories", records);
}

fn files(host: &dyn Host, seen: &mut Seen) -> Option<Vec<String>> {
    let names = match host.list(PARTS) {
        Err(unseen) if unseen.is_absent() => Ok(Vec::new()),
        names => names,
    };
    let mut names = seen.note(Means::File, PARTS, names)?;
    names.retain(|name| {
        let mut endings = ["list", "sources"].into_iter();
        name.contains('.') && endings.any(|ending| apt::is_part(name, ending))
    });
    if FILES_MAX < names.len() {
        let why = format!("more than {FILES_MAX} files");
        seen.unseen(Means::File, Unseen::new(PARTS, Status::Limit, Some(&why)));
        return None;
    }
    let parts = names.iter().map(|name| format!("{PARTS}/{name}"));
    Some([MAIN.to_owned()].into_iter().chain(parts).collect())
}

/// Whether the keys are there that a repository is verified with; `None` when it cannot be told.
fn keys_present(host: &dyn Host, signed_by: Option<&str>) -> Option<bool> {
    let there = |path: &str| match host.stat(path) {
        Ok(_) => Some(true),
        Err(unseen) => unseen.is_absent().then_some(false),
    };
    match signed_by {
        Some("embedded") => Some(true),
        Some(paths) => {
            let paths = paths.split(',').map(str::trim);
            // What is no path is the fingerprint of a key that may be in any file.
            let all: Option<Vec<bool>> = paths
                .map(|path| path.starts_with('/').then(|| there(path)).flatten())
                .collect();
            all.map(|all| all.into_iter().all(|there| there))
        }
        None => {
            let names = match host.list(KEYS) {
                Err(unseen) if unseen.is_absent() => Ok(Vec::new()),
                names => names,
            };
            let names = names.ok()?;
            let key = |name: &String| [".gpg", ".asc"].iter().any(|ending| name.ends_with(ending));
            Some(names.iter().any(key) || there(KEY_FILE)?)
        }
    }
}

fn record(path: &str, repository: Repository, keys: Option<bool>) -> Record {
    let Repository {
        uri,
        suite,
        options,
    } = repository;
    let scheme = uri.split(':').next().unwrap_or_default().to_owned();
    let fields = [
        ("file", Some(Value::Text(path.to_owned()))),
        ("encrypted", Some(Value::Flag(scheme.contains("https")))),
        (
            "local",
            Some(Value::Flag(["file", "copy", "cdrom"].contains(&&*scheme))),
        ),
        ("uri", Some(Value::Text(without_user(&uri)))),
        ("suite", Some(Value::Text(suite))),
        ("signed_by", options.signed_by.map(Value::Text)),
        ("keys_present", keys.map(Value::Flag)),
        (
            "verified",
            Some(Value::Flag(!options.trusted && !options.allow_insecure)),
        ),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// The address without the name and the password that may stand in it.
pub(super) fn without_user(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let (site, path) = rest.split_once('/').unwrap_or((rest, ""));
    let site = site.rsplit_once('@').map_or(site, |(_, site)| site);
    let slash = if rest.contains('/') { "/" } else { "" };
    format!("{scheme}://{site}{slash}{path}")
}

impl Options {
    fn set(&mut self, name: &str, value: &str) {
        match name.to_ascii_lowercase().as_str() {
            "signed-by" => self.signed_by = Some(value.to_owned()),
            "trusted" => self.trusted = apt::is_yes(value),
            "allow-insecure" => self.allow_insecure = apt::is_yes(value),
            _ => {}
        }
    }
}

/// One line a repository: `deb [signed-by=/key] https://archive/ suite component`.
fn lines(text: &str) -> Result<Vec<Repository>, NotRead> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((kind, rest)) = line.split_once(char::is_whitespace) else {
            if line.is_empty() {
                continue;
            }
            return Err(NotRead);
        };
        let mut options = Options::default();
        let mut rest = rest.trim();
        if let Some(inside) = rest.strip_prefix('[') {
            let (inside, after) = inside.split_once(']').ok_or(NotRead)?;
            for option in inside.split_whitespace() {
                let (name, value) = option.split_once('=').ok_or(NotRead)?;
                options.set(name, value);
            }
            rest = after.trim();
        }
        let mut words = rest.split_whitespace();
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
            return Err(NotRead);
        };
        match kind {
            "deb" => found.push(Repository {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                options,
            }),
            "deb-src" => {}
            _ => return Err(NotRead),
        }
    }
    Ok(found)
}

/// Stanzas of fields; a key may stand in the stanza itself.
fn deb822(text: &str) -> Result<Vec<Repository>, NotRead> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in lines.split(|line| line.trim().is_empty()) {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza {
            if line.starts_with([' ', '\t']) {
                let (_, value) = fields.last_mut().ok_or(NotRead)?;
                value.push(' ');
                value.push_str(line.trim());
            } else {
                let (name, value) = line.split_once(':').ok_or(NotRead)?;
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        if fields.is_empty() {
            continue;
        }
        let field = |name: &str| {
            let mut all = fields.iter().filter(|(known, _)| known == name);
            all.next().map(|(_, value)| value.as_str())
        };
        let words = |name: &str| field(name).map(str::split_whitespace).ok_or(NotRead);
        let off = field("enabled").is_some_and(|value| value == "no" || value == "false");
        if off || !words("types")?.any(|word| word == "deb") {
            continue;
        }
        let mut options = Options::default();
        for name in ["trusted", "allow-insecure"] {
            options.set(name, field(name).unwrap_or_default());
        }
        options.signed_by = field("signed-by").map(|value| {
            let embedded = value.contains("-----BEGIN");
            let paths = value.split_whitespace().collect::<Vec<_>>().join(",");
            if embedded {
                "embedded".to_owned()
            } else {
                paths
            }
        });
        for uri in words("uris")? {
            for suite in words("suites")? {
                found.push(Repository {
                    uri: uri.to_owned(),
                    suite: suite.to_owned(),
                    options: options.clone(),
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(found: Result<Vec<Repository>, NotRead>) -> Vec<String> {
        let found = found.unwrap().into_iter();
        found
            .map(
                |Repository {
                     uri,
                     suite,
                     options,
                 }| {
                    let key = options.signed_by.unwrap_or_default();
                    let flags = [options.trusted, options.allow_insecure].map(u8::from);
                    format!("{uri} {suite} {key} {flags:?}")
                },
            )
            .collect()
    }

    #[test]
    fn both_forms() {
        let text = "# deb http://x y z\n\ndeb http://d/ bookworm main # why\n\
                    deb [ signed-by=/k.gpg trusted=yes ] https://u:p@e/p s main\n\
                    deb-src http://d/ bookworm main\n";
        let expected = [
            "http://d/ bookworm  [0, 0]",
            "https://u:p@e/p s /k.gpg [1, 0]",
        ];
        assert_eq!(shown(lines(text)), expected);
        let text = "Types: deb deb-src\nURIs: http://a http://b\nSuites: x x-security\n\
                    Components: main\nSigned-By: /k.gpg\nAllow-Insecure: yes\n\n\
                    Types: deb\nEnabled: no\nURIs: http://c\nSuites: x\n\n\
                    # words\nTypes: deb\nURIs: http://e\nSuites: ./\nSigned-By:\n \
                    -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n x\n";
        let expected = [
            "http://a x /k.gpg [0, 1]",
            "http://a x-security /k.gpg [0, 1]",
            "http://b x /k.gpg [0, 1]",
            "http://b x-security /k.gpg [0, 1]",
            "http://e ./ embedded [0, 0]",
        ];
        assert_eq!(shown(deb822(text)), expected);
    }

    #[test]
    fn what_apt_does_not_read_is_not_read() {
        for bad in [
            "deb",
            "deb http://x",
            "deb [a http://x y",
            "deb [a] u s",
            "rpm u s",
        ] {
            assert_eq!(lines(bad), Err(NotRead), "{bad}");
        }
        for bad in ["Types", " x: y", "URIs: http://x", "Types: deb\nURIs: u"] {
            assert_eq!(deb822(bad), Err(NotRead), "{bad}");
        }
    }

    #[test]
    fn no_password_is_stated() {
        for (uri, expected) in [
            ("https://u:p@e/p", "https://e/p"),
            ("https://u:p@e", "https://e"),
            ("http://e/a@b", "http://e/a@b"),
            ("cdrom:[x]", "cdrom:[x]"),
        ] {
            assert_eq!(without_user(uri), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|((deb|Types: deb|URIs: u|Suites: s| |\\[|\\]|=|\n){0,20})") {
            drop(lines(&text));
            drop(deb822(&text));
        }
    }
}
