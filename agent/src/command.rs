//! The command line of `evident-agent`: commands, options, and what `--help` says of them.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Gathers facts about technological controls on this host, signs them, and brings them to a
/// collector.
///
/// What it looks at it does not change. It gives the log daemons a short signed line at each look
/// of the probe `canary`; where the settings want a restore tested, it writes a small file into the
/// declared folder. Everything else that it writes lies in its state folder.
#[derive(Debug, Parser)]
#[command(name = "evident-agent", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Settings; without it /etc/evident/agent.toml, and defaults when that is not there
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  evident-agent once                         look now and print what is seen; no collector needed
  evident-agent once --format json           the same for `evident-collector judge`
  evident-agent enrol --collector https://c.example:8443 --token evd1_..
  evident-agent run                          look when it is due, and bring it to the collector

Exit status: 0 done, 1 checked and found wanting, 2 could not do it.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enrol this host: make its keys and have the collector vouch for them
    #[command(
        after_help = "The token comes from `evident-collector enrol-token`. It is good \
        once, and holds the fingerprint by which the collector is known.\n\nExample:\n  \
        evident-agent enrol --collector https://c.example:8443 --token evd1_.. --name web-1"
    )]
    Enrol {
        /// Address of the collector's intake; without it the one in the settings
        #[arg(long, value_name = "URL")]
        collector: Option<String>,
        /// One-time token: evd1_..; `-` reads it from standard input, where no other user sees it
        #[arg(long, value_name = "TOKEN")]
        token: String,
        /// Name of this host; without it the host name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Begin a new generation although this host is enrolled
        #[arg(long)]
        again: bool,
    },
    /// Work until told to stop: look when it is due, sign, keep, bring
    Run,
    /// Look once and print what is seen; sign and bring it when this host is enrolled
    #[command(
        after_help = "JSON: {\"host\":\"..\",\"observations\":[{\"collected\":\"..\",\
        \"observation\":{..},\"took_ms\":3}]}; each observation is byte by byte what is signed.\n\n\
        Examples:\n  evident-agent once --probe clock --probe updates\n  \
        evident-agent once --root /mnt/image --format json | evident-collector judge -"
    )]
    Once {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Look below another folder (a mounted image, a chroot); nothing is signed then
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Only this probe; may be given several times
        #[arg(long, value_name = "NAME")]
        probe: Vec<String>,
    },
    /// Show what each probe reads, which rights it needs, and which facts it states
    Probes {
        /// How to print; json is the schema of the facts
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show identity, certificate, spool, receipts and the last error; exit 1 if anything is wrong
    Status {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Check the settings and say where they are wrong
    CheckConfig,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn command_lines() {
        let parses = |line: &str| {
            let words = format!("evident-agent {line}");
            Cli::try_parse_from(words.split(' ')).is_ok()
        };
        for good in [
            "run",
            "run --config /x",
            "--config /x once --probe clock --probe updates --root /y --format json",
            "enrol --token t",
            "enrol --token -",
            "completions bash",
            "man",
        ] {
            assert!(parses(good), "{good}");
        }
        for bad in [
            "",
            "start",
            "enrol",
            "once --format xml",
            "run now",
            "completions",
        ] {
            assert!(!parses(bad), "{bad}");
        }
    }
}
