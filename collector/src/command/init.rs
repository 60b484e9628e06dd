//! Commands that prepare: `init`, `check-config`, `export-catalog`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use collector::authority::Authority;
use collector::catalog::reference::Reference;
use collector::catalog::soa::Finding;
use collector::catalog::{Catalog, Control, Files};
use collector::config::{self, Config};
use collector::evaluate;
use collector::ledger::Ledger;
use shared::durable;

use super::{Around, Folder, Shown};

/// A new collector.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    #[command(flatten)]
    folder: Folder,
    /// Host name of this collector; it stands in the ledger's origin for ever
    #[arg(long, default_value = "localhost")]
    name: String,
    /// Further names or addresses that agents use for it
    #[arg(long = "also", value_name = "NAME")]
    also: Vec<String>,
    /// Where agents connect; without it port 8443 of all addresses, or of localhost alone
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl Init {
    /// Makes a collector in `dir`.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        use std::os::unix::fs::DirBuilderExt as _;

        let (dir, name) = (self.folder.dir.as_path(), &self.name);
        let path = dir.join(config::FILE);
        if path.exists() {
            bail!(
                "`{}` holds a collector already; nothing was changed",
                dir.display()
            );
        }
        let text = self.settings();
        let config = Config::parse(&text, &path)?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make the folder `{}`", dir.display()))?;
        super::only_owner(dir)?;
        let authority = Authority::create(dir, &config, around.now())?;
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
        )
        .into())
    }

    /// The text of the settings.
    fn settings(&self) -> String {
        let name = &self.name;
        let all = if name == "localhost" {
            [127, 0, 0, 1]
        } else {
            [0, 0, 0, 0]
        };
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from((all, 8443)));
        let mut names = vec![name.clone()];
        names.extend(self.also.iter().cloned());
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
        config::DEFAULT
            .replace("name = \"localhost\"", &format!("name = {name:?}"))
            .replace(
                "listen = \"127.0.0.1:8443\"",
                &format!("listen = \"{listen}\""),
            )
            .replace(
                "names = [\"localhost\", \"127.0.0.1\"]",
                &format!("names = [{quoted}]"),
            )
    }
}

/// Settings and a catalogue to be checked.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    folder: Folder,
    /// Folder with a catalogue of your own to be checked too
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// Statement of applicability to be checked too
    #[arg(long, value_name = "FILE")]
    soa: Option<PathBuf>,
}

impl CheckConfig {
    /// Reads everything that a person can have written wrong.
    pub(crate) fn run(self) -> anyhow::Result<Shown> {
        let dir = self.folder.dir.as_path();
        let (config, authority) = super::load(dir)?;
        let catalog = match &self.catalog {
            Some(folder) => Catalog::load(folder)?,
            None => Catalog::embedded()?,
        };
        let surprises = evaluate::try_cases(&catalog);
        if let Some(first) = surprises.first() {
            let all = surprises.len();
            bail!("of the examples in the catalogue {all} give another verdict, first: {first}");
        }
        let bears = |control: &&Control| 0 < catalog.bearing_on(&control.id).count();
        let settings = format!(
            "settings of `{}` are good; authority {}; {} checks on {} of {} controls",
            config.name,
            authority.fingerprint(),
            catalog.checks().count(),
            catalog.controls().iter().filter(bears).count(),
            catalog.controls().len(),
        );
        let crosswalks = &config.catalogue.crosswalks;
        if !crosswalks.as_os_str().is_empty() {
            Reference::embedded()?.add_crosswalks(&dir.join(crosswalks))?;
        }
        let Some(file) = &self.soa else {
            return Ok(settings.into());
        };
        let soa = super::soa::statement(file, Some(&catalog))?;
        let findings = soa.inconsistencies();
        let named = format!("statement of applicability {}", soa.digest);
        let mut lines = vec![settings, named];
        lines.extend(findings.iter().map(|finding| {
            let Finding { control, what } = finding;
            format!("  {control:<7} {what}")
        }));
        lines.push(super::soa::summary(&findings));
        Ok((lines.join("\n"), findings.is_empty()).into())
    }
}

/// The catalogue inside as files.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportCatalog {
    /// New folder for it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl ExportCatalog {
    /// Writes the catalogue inside as files, to be changed and put in force.
    pub(crate) fn run(self) -> anyhow::Result<Shown> {
        let out = self.out;
        write_files(&out, &Files::embedded())?;
        Ok(format!(
            "the catalogue inside this program is in `{0}`; change it there, then:\n  \
             evident-collector catalogue diff --catalog {0}\n  \
             evident-collector catalogue adopt --catalog {0} --reason TEXT",
            out.display()
        )
        .into())
    }
}

/// Writes the files of a catalogue to a new folder.
pub(crate) fn write_files(out: &Path, files: &Files) -> anyhow::Result<()> {
    for (name, text) in files.iter() {
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
    Ok(())
}
