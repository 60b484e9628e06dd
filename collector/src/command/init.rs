//! Commands that prepare: `init`, `enrol-token`, `check-config`.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use collector::authority::Authority;
use collector::catalog::{Catalog, Control};
use collector::config::{self, Config};
use collector::fleet::token;
use collector::ledger::Ledger;
use shared::durable;
use shared::id::AgentId;
use shared::time::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// Makes a collector in `dir`.
pub(crate) fn init(
    dir: &Path,
    name: &str,
    also: &[String],
    listen: Option<SocketAddr>,
    now: Timestamp,
) -> anyhow::Result<String> {
    use std::os::unix::fs::DirBuilderExt as _;

    let all = if name == "localhost" {
        [127, 0, 0, 1]
    } else {
        [0, 0, 0, 0]
    };
    let listen = listen.unwrap_or_else(|| SocketAddr::from((all, 8443)));
    let path = dir.join(config::FILE);
    if path.exists() {
        bail!(
            "`{}` holds a collector already; nothing was changed",
            dir.display()
        );
    }
    let mut names = vec![name.to_owned()];
    names.extend(also.iter().cloned());
    if listen.ip().is_loopback() {
        names.extend(["localhost".to_owned(), listen.ip().to_string()]);
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let quoted = names
        .iter()
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    let text = config::DEFAULT
        .replace("name = \"localhost\"", &format!("name = {name:?}"))
        .replace(
            "listen = \"127.0.0.1:8443\"",
            &format!("listen = \"{listen}\""),
        )
        .replace(
            "names = [\"localhost\", \"127.0.0.1\"]",
            &format!("names = [{quoted}]"),
        );
    let config = Config::parse(&text, &path)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the folder `{}`", dir.display()))?;
    super::only_owner(dir)?;
    let authority = Authority::create(dir, &config, now)?;
    let signer = super::signer(&config, &authority)?;
    let trust = format!(
        "ledger {}\ndecisions {}\n",
        signer.verifier_key(),
        authority.decisions.public().id()
    );
    drop(Ledger::open(&super::ledger_dir(dir), signer)?);
    let trust_file = dir.join("trust.txt");
    durable::write(&trust_file, trust.as_bytes(), 0o644)
        .with_context(|| format!("cannot write `{}`", trust_file.display()))?;
    // Last, so that a folder with settings is a whole collector.
    durable::write(&path, text.as_bytes(), 0o600)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(format!(
        "collector `{name}` is ready in {dir}\n\
         settings             {settings}\n\
         authority (SHA-256)  {authority}\n\
         keys to trust        {trust_file}\n\n{trust}\n\
         Give the auditor these two lines by another way than the packs: a pack is checked\n\
         against them.",
        dir = dir.display(),
        settings = path.display(),
        authority = authority.fingerprint(),
        trust_file = trust_file.display(),
    ))
}

/// A token, and what to do with it.
#[derive(Debug)]
pub(crate) struct Made {
    /// The token.
    pub(crate) token: String,
    /// What to do with it.
    pub(crate) advice: String,
}

/// Makes a one-time token.
pub(crate) fn enrol_token(
    dir: &Path,
    host: Option<AgentId>,
    now: Timestamp,
) -> anyhow::Result<Made> {
    let (config, authority) = super::load(dir)?;
    let hours = i64::from(config.fleet.token_hours);
    let until = now.plus_ms(hours.saturating_mul(HOUR_MS));
    let who = host
        .as_ref()
        .map_or_else(|| "any one host".to_owned(), |host| format!("`{host}`"));
    let secret = token::make(dir, host, now, until)?;
    let token = format!("evd1_{secret}_{}", authority.fingerprint());
    let (name, port) = (&config.name, config.intake.listen.port());
    let advice = format!(
        "token for {who}, for one use until {until}; on the host:\n  \
         evident-agent enrol --collector https://{name}:{port} --token {token}"
    );
    Ok(Made { token, advice })
}

/// Reads everything that a person can have written wrong.
pub(crate) fn check_config(dir: &Path, catalog: Option<&Path>) -> anyhow::Result<String> {
    let (config, authority) = super::load(dir)?;
    let catalog = match catalog {
        Some(folder) => Catalog::load(folder)?,
        None => super::catalog(dir)?,
    };
    let bears = |control: &&Control| 0 < catalog.bearing_on(&control.id).count();
    Ok(format!(
        "settings of `{}` are good; authority {}; {} checks on {} of {} controls",
        config.name,
        authority.fingerprint(),
        catalog.checks().count(),
        catalog.controls().iter().filter(bears).count(),
        catalog.controls().len(),
    ))
}

/// Writes the catalogue inside as files, to be changed and put in force by the settings.
pub(crate) fn export_catalog(out: &Path) -> anyhow::Result<String> {
    for (name, text) in Catalog::embedded_files() {
        let path = out.join(name);
        if path.exists() {
            bail!("`{}` is there already: name a new folder", path.display());
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        durable::write(&path, text.as_bytes(), 0o644)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(format!(
        "the catalogue is in `{0}`; put it in force with `folder = \"{0}\"` under [catalogue] of \
         collector.toml",
        out.display()
    ))
}
