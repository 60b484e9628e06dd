//! evident-collector: admits evidence, keeps it in a tamper-evident ledger and judges it.
//!
//! Only this program reads the clock, prints and exits. It ends with 0 when all is done, with 1
//! when something was checked and found wanting, and with 2 when it could not be done.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use collector::serve::Clock;
use shared::id::AgentId;
use shared::time::Timestamp;

mod command;

/// Admits evidence of hosts, keeps it in a tamper-evident ledger and judges it.
#[derive(Debug, Parser)]
#[command(name = "evident-collector", version, after_help = AFTER, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
A first collector in four lines:
  evident-collector init --name collector.example.org
  evident-collector serve &
  evident-collector enrol-token --host web-1     (gives a token for `evident-agent enrol`)
  evident-collector status

Ends with 0 when done, 1 when something was found wanting, 2 when it could not look.";

/// Where the collector keeps everything.
#[derive(Clone, Debug, clap::Args)]
struct Folder {
    /// Folder of the collector: settings, keys, ledger, derived state
    #[arg(long, value_name = "DIR", default_value = "/var/lib/evident-collector")]
    dir: PathBuf,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Who published a list of vulnerabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Publisher {
    /// Known exploited vulnerabilities of CISA: `known_exploited_vulnerabilities.json`
    Kev,
    /// Open Source Vulnerabilities: records of a distribution, as an array or one a line
    Osv,
    /// Debian's security tracker: <https://security-tracker.debian.org/tracker/data/json>
    DebianTracker,
}

impl From<Publisher> for collector::feed::Publisher {
    fn from(publisher: Publisher) -> Self {
        match publisher {
            Publisher::Kev => Self::Kev,
            Publisher::Osv => Self::Osv,
            Publisher::DebianTracker => Self::DebianTracker,
        }
    }
}

/// A list of vulnerabilities that is brought.
#[derive(Debug, clap::Args)]
struct List {
    /// Who published the list
    #[arg(long, value_enum)]
    publisher: Publisher,
    /// Declare that a list of `osv` has all known vulnerabilities of each ecosystem in it
    ///
    /// It stands in the ledger. Without it the list finds vulnerabilities and never says that
    /// there are no others.
    #[arg(long)]
    complete: bool,
    /// The file: JSON as it was published
    file: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the keys, the authority, the ledger and the settings of a new collector
    Init {
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
        listen: Option<std::net::SocketAddr>,
    },
    /// Take in evidence, judge it, answer `status`
    Serve {
        #[command(flatten)]
        folder: Folder,
        /// Listen here instead of where the settings say; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<std::net::SocketAddr>,
        /// Write the address to this file when agents can connect
        #[arg(long, value_name = "FILE")]
        ready_file: Option<PathBuf>,
    },
    /// Make a one-time token with which a host can be enrolled
    EnrolToken {
        #[command(flatten)]
        folder: Folder,
        /// Name of the host; without it the host that comes first may use the token
        #[arg(long, value_name = "NAME")]
        host: Option<AgentId>,
    },
    /// End the enrolment of a host; it is out at once
    Revoke {
        #[command(flatten)]
        folder: Folder,
        /// Name of the host
        #[arg(long, value_name = "NAME")]
        host: AgentId,
        /// Why; it stands in the ledger
        #[arg(long)]
        reason: String,
    },
    /// Put a list of vulnerabilities in force; hosts are joined with it from then on
    ///
    /// Nothing is fetched: bring the file. Its digest stands in the ledger.
    Import {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        list: List,
    },
    /// Show which controls hold, on which hosts, and why not
    Status {
        #[command(flatten)]
        folder: Folder,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Judge observations of `evident-agent once --format json` without a collector
    Judge {
        /// File with the observations; `-` reads standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Folder with a catalogue of your own instead of the one inside
        #[arg(long, value_name = "DIR")]
        catalog: Option<PathBuf>,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Throw the derived state away and make it again from the ledger
    Replay {
        #[command(flatten)]
        folder: Folder,
    },
    /// Recompute the whole ledger from its bytes and name what is damaged
    Fsck {
        #[command(flatten)]
        folder: Folder,
        /// Write damaged tiles again from the entries
        #[arg(long)]
        repair: bool,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Cut an evidence pack that `evident-verify` checks without this collector
    Pack {
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
    },
    /// Write the catalogue inside as files, to change parameters of checks or to add some
    ExportCatalog {
        /// New folder for it
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Read the settings and the catalogue, and say what is wrong with them
    CheckConfig {
        #[command(flatten)]
        folder: Folder,
        /// Folder with a catalogue of your own to be checked too
        #[arg(long, value_name = "DIR")]
        catalog: Option<PathBuf>,
    },
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say_error(&error);
            ExitCode::from(2)
        }
    }
}

/// Returns whether everything that was checked held.
fn run(command: Command) -> anyhow::Result<bool> {
    let now = clock()();
    match command {
        Command::Init {
            folder,
            name,
            also,
            listen,
        } => command::init::init(&folder.dir, &name, &also, listen, now).and_then(print),
        Command::Serve {
            folder,
            listen,
            ready_file,
        } => command::serve::serve(&folder.dir, listen, ready_file.as_deref(), &clock()),
        Command::EnrolToken { folder, host } => {
            let made = command::init::enrol_token(&folder.dir, host, now)?;
            // The token alone goes to standard output, so that a script can take it.
            drop(writeln!(std::io::stderr(), "{}", made.advice));
            print(made.token)
        }
        Command::Revoke {
            folder,
            host,
            reason,
        } => command::look::revoke(&folder.dir, host, reason).and_then(print),
        Command::Import { folder, list } => {
            let declared = (list.publisher.into(), list.complete);
            command::look::import(&folder.dir, &list.file, declared, now).and_then(print)
        }
        Command::Status { folder, format } => {
            command::look::status(&folder.dir, screen(format), now).and_then(show)
        }
        Command::Judge {
            file,
            catalog,
            format,
        } => command::look::judge(&file, catalog.as_deref(), screen(format)).and_then(show),
        Command::Replay { folder } => command::look::replay(&folder.dir).and_then(show),
        Command::Fsck {
            folder,
            repair,
            format,
        } => command::look::fsck(&folder.dir, repair, format == Format::Json).and_then(show),
        Command::Pack {
            folder,
            from,
            to,
            out,
        } => {
            let period = (from.as_deref(), to.as_deref());
            command::look::pack(&folder.dir, period, &out, now).and_then(print)
        }
        Command::ExportCatalog { out } => command::init::export_catalog(&out).and_then(print),
        Command::CheckConfig { folder, catalog } => {
            command::init::check_config(&folder.dir, catalog.as_deref()).and_then(print)
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                "evident-collector",
                &mut text,
            );
            print(String::from_utf8_lossy(&text).into_owned())
        }
        Command::Man => manual(),
    }
}

/// Prints the manual page.
fn manual() -> anyhow::Result<bool> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut text)?;
    print(String::from_utf8_lossy(&text).into_owned())
}

/// The clock of the machine.
fn clock() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    Arc::new(|| Timestamp::from_system(std::time::SystemTime::now()))
}

/// How wide the terminal is, and whether it takes colours.
fn screen(format: Format) -> collector::serve::operator::Screen {
    use std::io::IsTerminal as _;

    let out = std::io::stdout();
    let terminal = out.is_terminal();
    let width = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
    #[expect(
        clippy::disallowed_methods,
        reason = "no-color.org: a wish of the terminal's user"
    )]
    let colour = terminal && std::env::var("NO_COLOR").is_err();
    collector::serve::operator::Screen {
        json: format == Format::Json,
        colour,
        width: if terminal && 40 <= width { width } else { 100 },
    }
}

/// Prints a text, and hands on whether all held. A reader that has gone away is no error; a text
/// that is lost in another way is one.
fn show((mut text, held): (String, bool)) -> anyhow::Result<bool> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the result")
        }
        _ => Ok(held),
    }
}

/// Prints a text of something that is done.
fn print(text: String) -> anyhow::Result<bool> {
    show((text, true))
}

fn say_error(error: &anyhow::Error) {
    drop(writeln!(std::io::stderr(), "evident-collector: {error:#}"));
}
