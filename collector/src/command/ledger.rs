//! Commands about the ledger as a whole: `replay`, `fsck`, `pack`.

use std::path::PathBuf;

use anyhow::Context as _;
use collector::follow;
use collector::ledger;
use collector::ledger::Ledger;
use collector::pack::{self, Scope, Summary};
use shared::time::Timestamp;

use super::{Around, Folder, Format, Shown};

/// The derived state made anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    folder: Folder,
}

impl Replay {
    /// Throws the derived state away, makes it again, and says whether it came out the same.
    pub(crate) fn run(self) -> anyhow::Result<Shown> {
        let dir = self.folder.dir.as_path();
        let (config, authority) = super::load(dir)?;
        // Only one process can have the ledger open for writing, so no collector runs meanwhile.
        let ledger = Ledger::open(&super::ledger_dir(dir), super::signer(&config, &authority)?)?;
        let decisions = authority.decisions.public();
        let folder = dir.join("status");
        let (before, rebuilt) = follow::open(&folder, &ledger, &decisions)?;
        let before = if rebuilt.is_none() {
            let _position = follow::catch_up(&ledger, &before, &decisions)?;
            let digest = before.digest()?;
            before.close()?;
            Some(digest)
        } else {
            drop(before);
            None
        };
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove `{}`", folder.display()))?;
        let (after, _new) = follow::open(&folder, &ledger, &decisions)?;
        let entries = follow::catch_up(&ledger, &after, &decisions)?;
        let digest = after.digest()?;
        after.close()?;
        let text = match before {
            None => "the state before could not be trusted and was not compared",
            Some(before) if before == digest => "identical to the state before",
            Some(_) => "DIFFERENT from the state before: it had been changed by something else",
        };
        let held = before.is_none_or(|before| before == digest);
        let text = format!("{entries} entries replayed; derived state {digest}\n{text}");
        Ok((text, held).into())
    }
}

/// The ledger examined.
#[derive(Debug, clap::Args)]
pub(crate) struct Fsck {
    #[command(flatten)]
    folder: Folder,
    /// Write damaged tiles again from the entries
    #[arg(long)]
    repair: bool,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Fsck {
    /// Recomputes the ledger from its bytes.
    pub(crate) fn run(self) -> anyhow::Result<Shown> {
        let dir = self.folder.dir.as_path();
        let (config, authority) = super::load(dir)?;
        let signer = super::signer(&config, &authority)?;
        let folder = super::ledger_dir(dir);
        let report = if self.repair {
            ledger::fsck::repair(&folder, signer.verifier_key())?
        } else {
            ledger::fsck::check(&folder, signer.verifier_key())?
        };
        let held = report.findings_count == 0;
        let text = if self.format == Format::Json {
            serde_json::to_string_pretty(&report)?
        } else {
            examined(&report)
        };
        Ok((text, held).into())
    }
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

/// An evidence pack.
#[derive(Debug, clap::Args)]
pub(crate) struct Pack {
    #[command(flatten)]
    folder: Folder,
    /// From when: 2026-01-31 or 2026-01-31T12:00:00Z; without it from the beginning
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, a day included; without it until now
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// New folder for the pack
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Pack {
    /// Cuts an evidence pack.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let (dir, out) = (self.folder.dir.as_path(), self.out.as_path());
        let (config, authority) = super::load(dir)?;
        let signer = super::signer(&config, &authority)?;
        let ledger = Ledger::read_only(&super::ledger_dir(dir), &signer)?;
        let (begin, now) = (Timestamp::default().to_string(), around.now().to_string());
        let period = pack::period(
            self.from.as_deref().unwrap_or(&begin),
            self.to.as_deref().unwrap_or(&now),
        )?;
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
        )
        .into())
    }
}
