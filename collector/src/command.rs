//! What each command of `evident-collector` does; each returns a text and never prints.

use std::path::Path;

use anyhow::Context as _;
use collector::authority::Authority;
use collector::config::Config;
use collector::fleet::Fleet;
use collector::ledger::Ledger;
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
    let authority = Authority::load(dir, &config)?;
    Ok((config, authority))
}

/// Name of the ledger: the first of this collector.
pub(crate) fn origin(config: &Config) -> String {
    format!("{}/evident/1", config.name)
}

/// Folder of the ledger.
pub(crate) fn ledger_dir(dir: &Path) -> std::path::PathBuf {
    dir.join("ledger")
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
    Ok(fleet)
}
