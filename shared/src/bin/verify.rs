//! evident-verify: checks an evidence pack offline, one verdict for each claim.
//!
//! It knows no network and no collector. Exit status: 0 every claim is shown, 1 the pack is found
//! wanting, 2 something could not be checked.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use shared::durable;
use shared::verify::{self, Report, Trust};

/// Longest file with trusted keys.
const TRUST_BYTES_MAX: u64 = 64 * 1024;

const EXAMPLES: &str = "\
Examples:
  The collector wrote trust.txt when it was set up. Get it on another way than the pack:
    evident-verify pack-2026-q1 --trust trust.txt
  The same with the two values themselves:
    evident-verify pack-2026-q1 --ledger 'c.example/evident/1+1a2b3c4d+AQ..' --decisions 9f86d0..
  For a program:
    evident-verify pack-2026-q1 --trust trust.txt --format json

Exit status:
  0  every claim is shown (a note says what a reader should know)
  1  the pack is found wanting; the file, host or entry is named
  2  something could not be checked: unreadable, or nothing to trust";

/// Checks an evidence pack offline: one verdict for each claim.
#[derive(Debug, Parser)]
#[command(name = "evident-verify", version, after_help = EXAMPLES)]
struct Arguments {
    /// Folder of the pack
    pack: PathBuf,
    /// File with the two trusted values, `ledger <key>` and `decisions <sha256>`
    #[arg(long, value_name = "FILE", required_unless_present_all = ["ledger", "decisions"])]
    trust: Option<PathBuf>,
    /// Key of the ledger, as a C2SP verifier key
    #[arg(
        long,
        value_name = "KEY",
        conflicts_with = "trust",
        requires = "decisions"
    )]
    ledger: Option<String>,
    /// SHA-256 of the key of decisions (of its SubjectPublicKeyInfo)
    #[arg(
        long,
        value_name = "SHA256",
        conflicts_with = "trust",
        requires = "ledger"
    )]
    decisions: Option<String>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One object for programs
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(report) => ExitCode::from(report.exit_status()),
        Err(error) => {
            // When not even this can be said, the exit status still says it.
            drop(writeln!(std::io::stderr(), "evident-verify: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    let trust = trust(arguments)?;
    let report = verify::verify(&arguments.pack, &trust)?;
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Text => write!(out, "{report}"),
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?),
    }
    .context("report cannot be printed")?;
    Ok(report)
}

fn trust(arguments: &Arguments) -> anyhow::Result<Trust> {
    if let (Some(ledger), Some(decisions)) = (&arguments.ledger, &arguments.decisions) {
        return Ok(Trust::new(ledger, decisions)?);
    }
    let path = arguments
        .trust
        .as_ref()
        .context("nothing to trust; hint: give --trust, or --ledger and --decisions")?;
    let text = durable::read_text(path, TRUST_BYTES_MAX);
    let text = text.with_context(|| format!("`{}` cannot be read", path.display()))?;
    let trust = text.parse();
    trust.with_context(|| format!("`{}` holds no trusted keys", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_whole() {
        Arguments::command().debug_assert();
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        assert!(parse("evident-verify pack --trust t").is_ok());
        assert!(parse("evident-verify pack --ledger k --decisions d").is_ok());
        for bad in [
            "evident-verify",
            "evident-verify pack",
            "evident-verify --trust t",
            "evident-verify pack --ledger k",
            "evident-verify pack --decisions d",
            "evident-verify pack --trust t --ledger k --decisions d",
            "evident-verify pack --trust t --format xml",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
