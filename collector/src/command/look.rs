//! Commands that look or cut: `status`, `judge`, `replay`, `fsck`, `pack`; and `revoke`, which asks
//! the collector that runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use collector::catalog::Catalog;
use collector::feed::{Feed, Publisher};
use collector::follow;
use collector::ledger;
use collector::ledger::Ledger;
use collector::pack::{self, Scope, Summary};
use collector::report::Report;
use collector::serve::operator::{self, Ask, Screen, Told};
use collector::status::Status;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::decision::Imported;
use shared::durable;
use shared::id::{AgentId, Digest};
use shared::observation::Observation;
use shared::time::Timestamp;

/// Longest list of observations.
const OBSERVATIONS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which controls hold: asked of the collector that runs, or read when none does.
pub(crate) fn status(dir: &Path, screen: Screen, now: Timestamp) -> anyhow::Result<(String, bool)> {
    let (config, authority) = super::load(dir)?;
    if let Some(told) = ask(dir, &Ask::Status { screen })? {
        return if told.refused {
            bail!("{}", told.text)
        } else {
            Ok((told.text, told.held))
        };
    }
    let ledger = Ledger::open(&super::ledger_dir(dir), super::signer(&config, &authority)?)?;
    let status = super::serve::open_status(dir)?;
    let _position = follow::catch_up(&ledger, &status, &authority.decisions.public())?;
    let shown = operator::render(&operator::show(&status, &ledger, now)?, screen);
    status.close()?;
    Ok(shown)
}

/// Ends the enrolment of a host.
pub(crate) fn revoke(dir: &Path, host: AgentId, reason: String) -> anyhow::Result<String> {
    order(dir, &Ask::Revoke { host, reason })
}

/// Reads a list of vulnerabilities, keeps a copy in the collector's folder and puts it in force.
pub(crate) fn import(
    dir: &Path,
    file: &Path,
    (publisher, complete): (Publisher, bool),
    now: Timestamp,
) -> anyhow::Result<String> {
    let (_config, _authority) = super::load(dir)?;
    if complete && publisher != Publisher::Osv {
        bail!("only a list of `osv` is declared complete: that of others is known");
    }
    let name = || format!("`{}` cannot be imported", file.display());
    let feed = Feed::read(file, publisher).with_context(name)?;
    let written = std::fs::metadata(file)?.modified()?;
    let dated = feed.dated;
    let list = Imported {
        publisher: publisher.as_str().to_owned(),
        sha256: feed.sha256,
        records: feed.records,
        // A date to come would never grow old.
        dated: dated
            .unwrap_or_else(|| Timestamp::from_system(written))
            .min(now),
        complete: complete || feed.complete,
    };
    let folder = super::feeds_dir(dir);
    std::fs::create_dir_all(&folder)?;
    let copy = folder.join(feed.sha256.to_string());
    let part = folder.join(format!("{}.part", feed.sha256));
    let _bytes = std::fs::copy(file, &part).with_context(name)?;
    std::fs::rename(&part, &copy)?;
    order(dir, &Ask::Import { list })
}

/// Lets the collector that runs carry out an order, and says what came of it.
fn order(dir: &Path, order: &Ask) -> anyhow::Result<String> {
    match ask(dir, order)? {
        Some(Told {
            text,
            refused: false,
            ..
        }) => Ok(text),
        Some(told) => bail!("{}", told.text),
        None => bail!(
            "no collector runs in `{}`: start it with `serve`",
            dir.display()
        ),
    }
}

fn ask(dir: &Path, ask: &Ask) -> anyhow::Result<Option<Told>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(operator::ask(dir, ask))
        .with_context(|| format!("the collector in `{}` does not answer", dir.display()))
}

/// Throws the derived state away, makes it again, and says whether it came out the same.
pub(crate) fn replay(dir: &Path) -> anyhow::Result<(String, bool)> {
    let (config, authority) = super::load(dir)?;
    // Only one process can have the ledger open for writing, so no collector runs meanwhile.
    let ledger = Ledger::open(&super::ledger_dir(dir), super::signer(&config, &authority)?)?;
    let decisions = authority.decisions.public();
    let catalog = Arc::new(super::catalog(dir)?);
    let folder = dir.join("status");
    let (before, rebuilt) = Status::open(&folder, Arc::clone(&catalog))?;
    let before = if rebuilt.is_none() {
        let _position = follow::catch_up(&ledger, &before, &decisions)?;
        let bytes = before.export()?;
        before.close()?;
        Some(Digest::of(&bytes))
    } else {
        drop(before);
        None
    };
    std::fs::remove_dir_all(&folder)
        .with_context(|| format!("cannot remove `{}`", folder.display()))?;
    let (after, _new) = Status::open(&folder, catalog)?;
    let entries = follow::catch_up(&ledger, &after, &decisions)?;
    let digest = Digest::of(&after.export()?);
    after.close()?;
    let text = match before {
        None => "the state before could not be trusted and was not compared",
        Some(before) if before == digest => "identical to the state before",
        Some(_) => "DIFFERENT from the state before: it had been changed by something else",
    };
    let held = before.is_none_or(|before| before == digest);
    Ok((
        format!("{entries} entries replayed; derived state {digest}\n{text}"),
        held,
    ))
}

/// Recomputes the ledger from its bytes.
pub(crate) fn fsck(dir: &Path, repair: bool, json: bool) -> anyhow::Result<(String, bool)> {
    let (config, authority) = super::load(dir)?;
    let signer = super::signer(&config, &authority)?;
    let folder = super::ledger_dir(dir);
    let report = if repair {
        ledger::fsck::repair(&folder, signer.verifier_key())?
    } else {
        ledger::fsck::check(&folder, signer.verifier_key())?
    };
    let held = report.findings_count == 0;
    let text = if json {
        serde_json::to_string_pretty(&report)?
    } else {
        examined(&report)
    };
    Ok((text, held))
}

/// An examination as lines for people: what is wrong first, then what was looked at.
fn examined(report: &ledger::fsck::Report) -> String {
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| {
            let entry = finding
                .index
                .map(|index| format!(", entry {index}"))
                .unwrap_or_default();
            let place = format!("{} byte {}{entry}", finding.file.display(), finding.offset);
            format!("{place}: {}", finding.text)
        })
        .collect();
    let ledger::fsck::Report {
        entries,
        blobs,
        commits,
        tiles,
        repaired,
        ..
    } = report;
    lines.push(format!(
        "{entries} entries, {blobs} blobs, {commits} commits, {tiles} full tiles"
    ));
    if 0 < *repaired {
        lines.push(format!("{repaired} tiles written again"));
    }
    lines.push(match (report.findings_count, report.root) {
        (0, Some(root)) => format!("nothing is wrong; root {root}"),
        (0, None) => "nothing is wrong".to_owned(),
        (count, _) => format!("{count} findings"),
    });
    lines.join("\n")
}

/// Cuts an evidence pack.
pub(crate) fn pack(
    dir: &Path,
    (from, to): (Option<&str>, Option<&str>),
    out: &Path,
    now: Timestamp,
) -> anyhow::Result<String> {
    let (config, authority) = super::load(dir)?;
    let signer = super::signer(&config, &authority)?;
    let ledger = Ledger::read_only(&super::ledger_dir(dir), &signer)?;
    let (begin, now) = (Timestamp::default().to_string(), now.to_string());
    let period = pack::period(from.unwrap_or(&begin), to.unwrap_or(&now))?;
    let scope = Scope {
        collector: &config.name,
        period,
        ledger: &signer,
        decisions: &authority.decisions,
    };
    let Summary {
        start,
        end,
        older,
        files,
    } = pack::write(&ledger, &scope, out)?;
    Ok(format!(
        "evidence pack `{}`: entries {start} to {end} and {older} older records in {files} files\n\
         verify it anywhere, with the keys that you gave out of band:\n  \
         evident-verify {} --trust {}",
        out.display(),
        out.display(),
        dir.join("trust.txt").display(),
    ))
}

/// What `evident-agent once --format json` prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Once {
    host: String,
    observations: Vec<Observed>,
}

/// One observation, in the bytes that the agent would sign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Observed {
    collected: Timestamp,
    observation: Box<RawValue>,
    #[serde(rename = "took_ms")]
    _took_ms: u64,
}

/// Judges observations without a collector.
pub(crate) fn judge(
    file: &Path,
    catalog: Option<&Path>,
    screen: Screen,
) -> anyhow::Result<(String, bool)> {
    let catalog = match catalog {
        Some(folder) => Catalog::load(folder)?,
        None => Catalog::embedded()?,
    };
    let name = if file == Path::new("-") {
        Path::new("/dev/stdin")
    } else {
        file
    };
    let hint = "give it what `evident-agent once --format json` prints";
    let bytes = durable::read(name, OBSERVATIONS_BYTES_MAX)
        .with_context(|| format!("cannot read `{}`", file.display()))?;
    let once: Once = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{}` holds no observations: {hint}", file.display()))?;
    let mut observations = Vec::new();
    for observed in &once.observations {
        let bytes = observed.observation.get().as_bytes();
        let observation = Observation::from_bytes(bytes)
            .with_context(|| format!("`{}` holds a wrong observation", file.display()))?;
        observations.push((Digest::of(bytes), observation));
    }
    let host: AgentId = once.host.parse()?;
    // The time of collection is an input: the same file gives the same verdicts for ever.
    let newest = once
        .observations
        .iter()
        .map(|observed| observed.collected)
        .max();
    let collected = newest.with_context(|| format!("`{}` is empty: {hint}", file.display()))?;
    // What only a collector can observe is in no file of a host.
    let catalog = catalog.of_hosts();
    let report = Report::judged(&catalog, host, &observations, collected);
    Ok(operator::render(&report, screen))
}
