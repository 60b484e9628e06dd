//! What each command of `evident-collector` does; each returns a text and never prints.

use std::path::Path;

use anyhow::Context as _;
use collector::authority::Authority;
use collector::catalog::Catalog;
use collector::config::Config;
use collector::fleet::Fleet;
use collector::ledger::Ledger;
use shared::attestation::Attestation;
use shared::checkpoint::Signer;

pub(crate) mod init;
pub(crate) mod look;
pub(crate) mod serve;

/// The settings and keys in a collector's folder.
pub(crate) fn load(dir: &Path) -> anyhow::Result<(Config, Authority)> {
    let hint = "make a collector with `evident-collector init`, or name its folder with --dir";
    let config = Config::load(dir).with_context(|| {
        if dir.join(collector::config::FILE).exists() {
            format!("`{}` cannot be used", dir.display())
        } else {
            format!("no collector in `{}`: {hint}", dir.display())
        }
    })?;
    only_owner(dir)?;
    let authority = Authority::load(dir, &config)?;
    Ok((config, authority))
}

/// Refuses a folder that others may enter: private keys lie in it.
pub(crate) fn only_owner(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let mode = std::fs::metadata(dir)?.mode() & 0o777;
    anyhow::ensure!(
        mode.trailing_zeros() >= 6,
        "`{0}` has mode {mode:o}, so others may enter, and keys lie in it: chmod 0700 {0}",
        dir.display()
    );
    Ok(())
}

/// Name of the ledger: the first of this collector.
pub(crate) fn origin(config: &Config) -> String {
    format!("{}/evident/1", config.name)
}

/// Folder of the ledger.
pub(crate) fn ledger_dir(dir: &Path) -> std::path::PathBuf {
    dir.join("ledger")
}

/// Folder of the imported lists of vulnerabilities, each named by its digest.
pub(crate) fn feeds_dir(dir: &Path) -> std::path::PathBuf {
    dir.join("feeds")
}

/// The catalogue that the settings put in force.
pub(crate) fn catalog(dir: &Path) -> anyhow::Result<Catalog> {
    let folder = Config::load(dir)?.catalogue.folder;
    if folder.as_os_str().is_empty() {
        return Ok(Catalog::embedded()?);
    }
    let folder = dir.join(folder);
    let hint = "`evident-collector check-config` shows where it is wrong";
    Catalog::load(&folder).with_context(|| {
        format!(
            "the catalogue `{}` cannot be used; {hint}",
            folder.display()
        )
    })
}

/// The key that signs the checkpoints of the ledger.
pub(crate) fn signer(config: &Config, authority: &Authority) -> anyhow::Result<Signer> {
    Ok(Signer::new(&origin(config), authority.ledger.seed())?)
}

/// The fleet as the ledger says.
pub(crate) fn fleet(ledger: &Ledger, authority: &Authority) -> anyhow::Result<Fleet> {
    let mut fleet = Fleet::default();
    let decisions = authority.decisions.public();
    for entry in ledger.entries_from(0) {
        let entry = entry?;
        fleet.take(entry.index, &entry.leaf, &entry.envelope, &decisions)?;
    }
    // What a stream has seen stands in its last record alone.
    for stream in fleet.streams() {
        let Ok(mut standing) = stream.standing.try_lock() else {
            continue;
        };
        let Some(index) = standing.head.and_then(|head| ledger.index_of(&head.id)) else {
            continue;
        };
        let last = Attestation::from_file(ledger.entry(index)?.envelope)?;
        standing.seen = last.evidence().seen.size;
    }
    Ok(fleet)
}
