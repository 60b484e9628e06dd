//! The repositories that dnf is told to use, and whether it demands signatures.
//!
//! A repository counts as verified when its packages must be signed (`gpgcheck`) or its index must
//! be (`repo_gpgcheck`). The key files that it names are looked for; keys that rpm already has in
//! its database are not.
//!
//! Source: dnf.conf(5), dnf5.conf(5).

use shared::fact::{Record, Value};

use super::dnf_config::{Config, Repository, flag};
use super::sources::without_user;
use crate::host::Host;
use crate::probe::Seen;

/// States the enabled repositories.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, config: &Config) {
    let main = |name: &str| config.main(name).and_then(flag);
    // Off for all repositories that do not say otherwise.
    let off = ["gpgcheck", "pkg_gpgcheck", "sslverify"];
    let off = off.into_iter().filter(|name| main(name) == Some(false));
    let record = |name: &str| Record::from([("name".to_owned(), Value::Text(name.to_owned()))]);
    seen.state_list("insecure_settings", off.map(record).collect());

    let (mut records, mut unverified) = (Vec::new(), 0_usize);
    for repository in config.repositories.iter().filter(|one| one.enabled()) {
        let set = |name: &str| repository.flag(name).or_else(|| main(name));
        let packages = set("gpgcheck").or_else(|| set("pkg_gpgcheck"));
        let verified = [packages, set("repo_gpgcheck")].contains(&Some(true));
        unverified += usize::from(!verified);
        records.push(of(
            host,
            repository,
            verified,
            set("sslverify") != Some(false),
        ));
    }
    seen.state_count("repositories_unverified_count", unverified);
    seen.state_list("repositories", records);
}

fn of(host: &dyn Host, repository: &Repository, verified: bool, tls: bool) -> Record {
    let address = ["metalink", "mirrorlist", "baseurl"];
    let address = address.iter().find_map(|name| repository.value(name));
    let first = |text: &str| {
        text.split([',', ' ', '\n'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let address = address.map(first).unwrap_or_default();
    let scheme = address.split(':').next().unwrap_or_default().to_owned();
    let keys = repository.value("gpgkey");
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let fields = [
        ("file", text(&repository.file)),
        ("suite", text(&repository.id)),
        ("uri", text(&without_user(&address))),
        (
            "signed_by",
            keys.and_then(|keys| text(&words(keys).join(", "))),
        ),
        (
            "keys_present",
            keys.and_then(|keys| present(host, keys)).map(Value::Flag),
        ),
        ("verified", Some(Value::Flag(verified))),
        ("encrypted", Some(Value::Flag(scheme == "https" && tls))),
        (
            "local",
            Some(Value::Flag(scheme == "file" || address.starts_with('/'))),
        ),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn words(text: &str) -> Vec<String> {
    let words = text.split([',', ' ', '\n', '\t']);
    let words = words.filter(|word| !word.is_empty());
    words.map(without_user).collect()
}

/// Whether all key files are there; `None` when one is elsewhere, or its name has a part that dnf
/// replaces.
fn present(host: &dyn Host, keys: &str) -> Option<bool> {
    let mut all = true;
    for key in words(keys) {
        let path = key
            .strip_prefix("file://")
            .filter(|path| !path.contains('$'))?;
        match host.stat(path) {
            Ok(_) => {}
            Err(unseen) if unseen.is_absent() => all = false,
            Err(_) => return None,
        }
    }
    Some(all)
}
