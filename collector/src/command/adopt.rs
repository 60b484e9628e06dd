//! Commands about the catalogue in force: `catalogue show`, `diff` and `adopt`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use collector::catalog::diff::{Difference, Part, difference};
use collector::catalog::{Catalog, Files};
use collector::criteria;
use collector::ledger::Ledger;
use collector::serve::api::catalogue::Known;
use serde::Serialize;
use shared::decision::{Decided, InForce};

use super::client::Client;
use super::person::Signer;
use super::{Around, Folder, Format, Shown};

/// Longest part of a check that is shown on a line, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// The catalogue that is in force.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Catalogue {
    /// Say which catalogue is in force, since when, by whom and why; or write its files
    Show {
        #[command(flatten)]
        folder: Folder,
        /// Write its files to this new folder
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Say what another catalogue would change: checks, parameters, severities, mappings
    ///
    /// Ends with 1 when it differs from the one in force.
    Diff {
        #[command(flatten)]
        folder: Folder,
        /// Folder of the other catalogue; without it the one inside this program
        #[arg(long, value_name = "DIR")]
        catalog: Option<PathBuf>,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Put another catalogue in force, from this moment on
    ///
    /// What was judged before keeps its verdicts; `reevaluate` shows what the other would have
    /// said. A catalogue is refused when a file of it is wrong, when an example of a check gives
    /// another verdict, when it is in force already, and when it drops a check, or a control on
    /// which a check bears, that is not named with --drop.
    Adopt {
        #[command(flatten)]
        folder: Folder,
        /// Folder of the catalogue; without it the one inside this program
        #[arg(long, value_name = "DIR")]
        catalog: Option<PathBuf>,
        /// A check in force that is no longer there, e.g. `clock.zone`, or a control on which a
        /// check bears no more, e.g. `clock.zone:A.8.17`; once for each
        #[arg(long, value_name = "CHECK[:CONTROL]")]
        drop: Vec<String>,
        /// Why; it stands in the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        signer: Signer,
    },
}

impl Catalogue {
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        match self {
            Self::Show {
                folder,
                out,
                format,
            } => show(&folder.dir, out.as_deref(), format),
            Self::Diff {
                folder,
                catalog,
                format,
            } => diff(&folder.dir, catalog.as_deref(), format),
            Self::Adopt {
                folder,
                catalog,
                drop,
                reason,
                signer,
            } => {
                let client = Client::new(&folder.dir);
                let files = files(catalog.as_deref())?;
                let changes = otherwise(&folder.dir, &files)?;
                let decided = InForce {
                    catalogue: Catalog::of(&files)?.digest(),
                    files: files.digests(),
                    dropped: drop,
                    reason,
                };
                let documents: BTreeMap<_, _> = files
                    .iter()
                    .map(|(name, text)| (text, (name.to_owned(), text.as_bytes().to_vec())))
                    .collect();
                let documents: Vec<_> = documents.into_values().collect();
                let pen = signer.pen_at_hand(around, &client)?;
                let digest = decided.catalogue;
                let decided = Decided::Catalogue(decided);
                let done = client.decide(pen.as_ref(), decided, &documents)?;
                let entry = done.entry;
                Ok(format!("catalogue {digest} is in force; entry {entry}{changes}").into())
            }
        }
    }
}

/// The files of a folder; without it those inside this program.
pub(crate) fn files(folder: Option<&Path>) -> anyhow::Result<Files> {
    match folder {
        Some(folder) => Ok(Files::read(folder)?),
        None => Ok(Files::embedded()),
    }
}

/// The catalogue in force in a collector's folder: asked of the collector that runs, or read from
/// the ledger when none does; `None` before the first `serve`.
pub(crate) fn in_force(dir: &Path) -> anyhow::Result<Option<Known>> {
    let (config, authority) = super::load(dir)?;
    let client = Client::new(dir);
    if client.is_there() {
        return client.get("/v1/catalogue").map(Some);
    }
    let signer = super::signer(&config, &authority)?;
    let ledger = Ledger::read_only(&super::ledger_dir(dir), &signer)?;
    let decisions = authority.decisions.public();
    let new = criteria::is_inside_new(&ledger, &decisions)?;
    let known = criteria::in_force(&ledger, &decisions)?;
    Ok(known.map(|known| Known::of(known, new)))
}

/// The same where there must be one.
fn some_in_force(dir: &Path) -> anyhow::Result<Known> {
    in_force(dir)?.context("no catalogue is in force yet: the first `serve` enters one")
}

/// The files of what is known of a catalogue.
pub(crate) fn files_of(known: &Known) -> anyhow::Result<Files> {
    let files = known.files.iter();
    let files = files.map(|(name, text)| (name.clone(), text.clone().into_bytes()));
    Ok(Files::named(files.collect())?)
}

#[derive(Serialize)]
struct ShownCatalogue<'a> {
    #[serde(flatten)]
    known: &'a Known,
    checks: Vec<String>,
}

fn show(dir: &Path, out: Option<&Path>, format: Format) -> anyhow::Result<Shown> {
    let known = some_in_force(dir)?;
    let files = files_of(&known)?;
    if let Some(out) = out {
        super::init::write_files(out, &files)?;
    }
    let catalog = Catalog::of(&files)?;
    let checks: Vec<_> = catalog.checks().map(|check| check.id.clone()).collect();
    if format == Format::Json {
        let known = &known;
        return Ok(serde_json::to_string_pretty(&ShownCatalogue { known, checks })?.into());
    }
    let Known {
        catalogue,
        entry,
        since,
        by,
        reason,
        ..
    } = &known;
    let mut text = format!(
        "catalogue  {catalogue}\n\
         in force   since {since}, entry {entry}\n\
         by         {by}\n\
         because    {reason}\n\
         checks     {}\n",
        checks.len()
    );
    if !known.dropped.is_empty() {
        writeln!(text, "dropped    {}", known.dropped.join(", "))?;
    }
    if let Some(out) = out {
        writeln!(text, "files      in `{}`", out.display())?;
    }
    let mut shown = Shown::from(text);
    if known.inside_is_new {
        shown.advice = Some(criteria::INSIDE_IS_NEW.to_owned());
    }
    Ok(shown)
}

fn diff(dir: &Path, folder: Option<&Path>, format: Format) -> anyhow::Result<Shown> {
    let (before, after) = (files_of(&some_in_force(dir)?)?, files(folder)?);
    let (old, new) = (Catalog::of(&before)?, Catalog::of(&after)?);
    let found = difference((&old, &before), (&new, &after));
    let same = found == Difference::default();
    let text = if format == Format::Json {
        serde_json::to_string_pretty(&found)?
    } else if same {
        "the same as the catalogue in force".to_owned()
    } else {
        lines(&found, &new)?
    };
    Ok((text, same).into())
}

/// What judges otherwise under these files than under the catalogue in force: checks that go and
/// come, and of the others each part that bears on a verdict or on what it is worth.
fn otherwise(dir: &Path, files: &Files) -> anyhow::Result<String> {
    let before = files_of(&some_in_force(dir)?)?;
    let (old, new) = (Catalog::of(&before)?, Catalog::of(files)?);
    let found = difference((&old, &before), (&new, files));
    let words = ["title", "fail", "remediation", "criterion", "when_reason"];
    let mut text = String::new();
    for id in &found.dropped {
        write!(text, "\n- {id}")?;
    }
    for id in &found.added {
        write!(text, "\n+ {id}")?;
    }
    for (id, parts) in &found.changed {
        for part in parts
            .iter()
            .filter(|part| !words.contains(&part.part.as_str()))
        {
            write!(text, "\n~ {id}  {}", line(part))?;
        }
    }
    Ok(text)
}

fn lines(found: &Difference, new: &Catalog) -> anyhow::Result<String> {
    let Difference {
        added,
        dropped,
        changed,
        files,
    } = found;
    let mut text = String::new();
    for id in dropped {
        writeln!(text, "- {id}\n    it must be named: --drop {id}")?;
    }
    for id in added {
        let title = new.check(id).map_or("", |check| check.title.as_str());
        writeln!(text, "+ {id}  {title}")?;
    }
    for (id, parts) in changed {
        writeln!(text, "~ {id}")?;
        for part in parts {
            writeln!(text, "    {}", line(part))?;
            if let (Some(control), None) = (part.part.strip_prefix("control "), &part.after) {
                writeln!(text, "    it must be named: --drop {id}:{control}")?;
            }
        }
    }
    let (added, dropped, changed) = (added.len(), dropped.len(), changed.len());
    write!(
        text,
        "{added} checks come, {dropped} go, {changed} change; files that differ: {}",
        files.join(", ")
    )?;
    Ok(text)
}

/// A part of a check on one line.
fn line(part: &Part) -> String {
    let Part {
        part,
        before,
        after,
    } = part;
    let short = |text: &str| {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.chars().count() <= SHOWN_CHARS_MAX {
            return words;
        }
        let cut: String = words.chars().take(SHOWN_CHARS_MAX).collect();
        format!("{cut}..")
    };
    match (before, after) {
        (Some(before), Some(after)) => {
            let (old, new) = (short(before), short(after));
            if old == new {
                return format!("{part}: another text");
            }
            format!("{part}: {old} -> {new}")
        }
        (Some(before), None) => format!("{part}: {} -> none", short(before)),
        (None, Some(after)) => format!("{part}: none -> {}", short(after)),
        (None, None) => part.clone(),
    }
}

/// The catalogue of a folder; without it the one in force in the collector's folder, and where
/// there is no collector the one inside this program. Says which one it is.
pub(crate) fn catalog(dir: &Path, folder: Option<&Path>) -> anyhow::Result<(Catalog, String)> {
    if let Some(folder) = folder {
        let catalog = Catalog::load(folder)?;
        return Ok((catalog, format!("the catalogue in `{}`", folder.display())));
    }
    if !dir.join(collector::config::FILE).exists() {
        if dir.exists() && dir != Path::new(super::DEFAULT_DIR) {
            bail!("no collector in `{}`", dir.display());
        }
        let which = "the catalogue inside this program".to_owned();
        return Ok((Catalog::embedded()?, which));
    }
    let Some(known) = in_force(dir)? else {
        let which = "the catalogue inside this program, which the first `serve` enters".to_owned();
        return Ok((Catalog::embedded()?, which));
    };
    let catalog = Catalog::of(&files_of(&known)?)?;
    let since = known.since;
    Ok((catalog, format!("the catalogue in force since {since}")))
}
