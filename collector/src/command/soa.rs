//! Commands about the file of the statement of applicability: `soa export`, `show` and `diff`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use collector::catalog::soa::{Difference, Finding, Row, Soa};
use serde::Serialize;
use shared::durable;

use super::catalogue::statement;
use super::page::Page;
use super::{Around, Format, Shown};

const HELP: &str = "\
The statement says of each of the 93 controls whether it applies, why or why not, how far it is and
who answers for it. It is a file, soa.toml, that you keep under version control:
  evident-collector soa export --out soa.toml       all 93 controls, with nothing decided
  evident-collector check-config --soa soa.toml     what is wrong with it, with line and column
  evident-collector soa show soa.toml               what it says, and what is missing
  evident-collector soa diff soa-2025.toml soa.toml
A version is named by the SHA-256 of its file (sha256sum soa.toml).";

/// The statement of applicability.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Statement {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a statement of all 93 controls to be filled in
    ///
    /// Justifications are empty: only people can give them, and a statement without them cannot be
    /// approved.
    Export {
        /// New file for it; without it standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show what a statement says, and what is missing; ends with 1 when something is
    Show {
        /// The statement
        #[arg(default_value = "soa.toml")]
        file: PathBuf,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: Form,
    },
    /// Show what differs between two versions; comments do not count
    Diff {
        /// The version before
        before: PathBuf,
        /// The version after
        after: PathBuf,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
}

/// How a statement is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

/// A statement, and what is wrong with it.
#[derive(Serialize)]
struct Whole<'a> {
    statement: &'a Soa,
    findings: Vec<Finding>,
}

impl Statement {
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        match self.command {
            Command::Export { out } => export(out),
            Command::Show { file, format } => {
                let soa = statement(&file, None)?;
                let findings = soa.inconsistencies();
                let held = findings.is_empty();
                let text = match format {
                    Form::Text => shown(Page::new(around.width), &soa, &findings),
                    Form::Csv => soa.csv(),
                    Form::Json => serde_json::to_string_pretty(&Whole {
                        statement: &soa,
                        findings,
                    })?,
                };
                Ok((text, held).into())
            }
            Command::Diff {
                before,
                after,
                format,
            } => {
                let difference = statement(&before, None)?.difference(&statement(&after, None)?);
                Ok(match format {
                    Format::Json => serde_json::to_string_pretty(&difference)?,
                    Format::Text => differs(Page::new(around.width), &difference),
                }
                .into())
            }
        }
    }
}

fn export(out: Option<PathBuf>) -> anyhow::Result<Shown> {
    let Some(out) = out else {
        return Ok(Soa::template().into());
    };
    if out.exists() {
        bail!("`{}` is there already: name a new file", out.display());
    }
    durable::write(&out, Soa::template().as_bytes(), 0o644)
        .with_context(|| format!("cannot write `{}`", out.display()))?;
    Ok(format!(
        "`{0}` has all 93 controls, and says nothing of them yet: fill it in, then\n  \
         evident-collector check-config --soa {0}",
        out.display()
    )
    .into())
}

fn shown(mut page: Page, soa: &Soa, findings: &[Finding]) -> String {
    page.line(&format!("Statement of applicability {}", soa.digest));
    let applicable = soa.rows.iter().filter(|row| row.applicable).count();
    let excluded = soa.rows.len() - applicable;
    page.line(&format!(
        "{applicable} of {} controls apply, {excluded} do not",
        soa.rows.len()
    ));
    page.line("");
    for row in &soa.rows {
        one(&mut page, row);
    }
    page.heading(&summary(findings));
    for finding in findings {
        let blocks = if finding.what.blocks() {
            " (blocks approval)"
        } else {
            ""
        };
        let text = format!("{}{blocks}", finding.what);
        page.words(&format!("  {:<7} ", finding.control), &text);
    }
    page.text()
}

fn one(page: &mut Page, row: &Row) {
    let state = if row.applicable {
        row.state.map_or("", collector::catalog::soa::State::as_str)
    } else {
        "does not apply"
    };
    page.words(&format!("{:<7} {state:<15} ", row.id), &row.title);
    let indent = " ".repeat(24);
    if !row.justification.is_empty() {
        page.words(&indent, &row.justification);
    }
    let owner = row.owner.as_ref().map(ToString::to_string);
    for (name, words) in [
        ("owner", owner.unwrap_or_default()),
        ("risks", row.risks.join(", ")),
        ("documents", row.documents.join(", ")),
        ("checks", row.checks.join(", ")),
        ("note", row.note.clone()),
    ] {
        if !words.is_empty() {
            page.words(&format!("{indent}{name} "), &words);
        }
    }
}

/// How many findings there are, and how many of them block.
pub(crate) fn summary(findings: &[Finding]) -> String {
    let blocking = findings
        .iter()
        .filter(|finding| finding.what.blocks())
        .count();
    match findings.len() {
        0 => "Nothing is missing".to_owned(),
        all => format!("{all} findings, {blocking} of them keep it from being approved"),
    }
}

fn differs(mut page: Page, difference: &Difference) -> String {
    page.line(&format!("before {}", difference.before));
    page.line(&format!("after  {}", difference.after));
    let mut control = "";
    for change in &difference.changes {
        if change.control != control {
            control = &change.control;
            page.heading(control);
        }
        let nothing = |text: &str| if text.is_empty() { "(nothing)" } else { text }.to_owned();
        page.words(
            &format!("  {:<13} - ", change.member),
            &nothing(&change.before),
        );
        page.words(&format!("  {:<13} + ", ""), &nothing(&change.after));
    }
    if difference.changes.is_empty() {
        page.heading("They say the same.");
    }
    page.text()
}

#[cfg(test)]
mod tests;
