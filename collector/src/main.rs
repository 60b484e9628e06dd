//! evident-collector: admits evidence, keeps it in a tamper-evident ledger and judges it.
//!
//! Only this program reads the clock, prints and exits. It ends with 0 when all is done, with 1
//! when something was checked and found wanting, and with 2 when it could not be done.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use collector::register;
use collector::serve::Clock;
use command::{
    Around, Shown, adopt, alert, assess, catalogue, check, hosts, init, ledger, lists, look,
    person, population, record, reevaluate, serve, soa,
};
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

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the keys, the authority, the ledger and the settings of a new collector
    Init(init::Init),
    /// Take in evidence, judge it, answer operators
    Serve(serve::Serve),
    /// Make a one-time token with which a host can be enrolled
    EnrolToken(hosts::EnrolToken),
    /// End the enrolment of a host; it is out at once
    Revoke(hosts::Revoke),
    /// Keep the people who decide: their keys, who may, who may no more
    Person(person::People),
    /// Teach the registers of the management system: each is a command of its own
    Register(record::Registers),
    /// Show who should be there: enrolled, expected, seen, silent; and bring lists of hosts
    Population(population::Population),
    /// Put a list of vulnerabilities in force; hosts are joined with it from then on
    ///
    /// Nothing is fetched: bring the file. Its digest stands in the ledger.
    Import(lists::Import),
    /// Show which controls hold, on which hosts, and why not
    Status(look::Status),
    /// Assess controls: who is covered, what fails, what was concluded; at any instant or over time
    Assess(assess::Assess),
    /// Show what changed in a period, and which decision explains it
    Drift(assess::Drift),
    /// Show what people are told, try a channel, see which route takes what
    Alert(alert::Alert),
    /// Judge observations of `evident-agent once --format json` without a collector
    Judge(look::Judge),
    /// Throw the derived state away and make it again from the ledger
    Replay(ledger::Replay),
    /// Recompute the whole ledger from its bytes and name what is damaged
    Fsck(ledger::Fsck),
    /// Cut an evidence pack that `evident-verify` checks without this collector
    Pack(ledger::Pack),
    /// Show, compare and change the catalogue that is in force
    ///
    /// The catalogue in force is an entry of the ledger, so a newer program does not change how
    /// hosts are judged: it says that it brings another one, and you adopt it. To change a
    /// parameter, export the catalogue, edit it, look at the difference, and adopt the folder.
    #[command(subcommand)]
    Catalogue(adopt::Catalogue),
    /// Say what another catalogue would have said of the same evidence
    ///
    /// From the ledger alone, and nothing is changed, also while the collector runs. For each check
    /// and host: the share of time by verdict, as it was and as it would have been, and each
    /// stretch that differs. Ends with 1 when anything does.
    Reevaluate(reevaluate::Reevaluate),
    /// Show the checks of a catalogue, and run the examples inside them
    #[command(subcommand)]
    Check(check::Check),
    /// Write the catalogue inside as files, to change parameters of checks or to add some
    ExportCatalog(init::ExportCatalog),
    /// Read the settings and the catalogue, and say what is wrong with them
    CheckConfig(init::CheckConfig),
    /// Show a control: what bears on it, what it is related to, what auditors ask for
    Control(catalogue::Control),
    /// Show the clauses of the management system and what is to be documented
    Clauses(catalogue::Clauses),
    /// Show the documents and records that an audit asks for
    Documents(catalogue::Documents),
    /// Show the readiness checklist, or the score of your answers
    Readiness(catalogue::Ready),
    /// Write, show and compare statements of applicability
    Soa(soa::Statement),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, of the whole or of a command
    Man {
        /// The command, e.g. `exception propose`
        command: Vec<String>,
    },
}

/// All commands: those above, and one for each register.
fn whole() -> clap::Command {
    Arguments::command().subcommands(record::commands())
}

fn main() -> ExitCode {
    let given = whole().get_matches();
    match run(&given).and_then(show) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            drop(writeln!(std::io::stderr(), "evident-collector: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(given: &ArgMatches) -> anyhow::Result<Shown> {
    let around = around();
    if let Some((name, given)) = given.subcommand()
        && let Some(kind) = register::kind(name)
    {
        return record::run(kind, given, &around);
    }
    match Arguments::from_arg_matches(given)?.command {
        Command::Init(init) => init.run(&around),
        Command::Serve(serve) => serve.run(&around),
        Command::EnrolToken(token) => token.run(&around),
        Command::Revoke(revoke) => revoke.run(&around),
        Command::Person(people) => people.run(&around),
        Command::Register(registers) => registers.run(),
        Command::Population(population) => population.run(&around),
        Command::Import(import) => import.run(&around),
        Command::Status(status) => status.run(&around),
        Command::Assess(assess) => assess.run(&around),
        Command::Drift(drift) => drift.run(&around),
        Command::Alert(alert) => alert.run(&around),
        Command::Judge(judge) => judge.run(&around),
        Command::Replay(replay) => replay.run(),
        Command::Fsck(fsck) => fsck.run(),
        Command::Pack(pack) => pack.run(&around),
        Command::Catalogue(catalogue) => catalogue.run(&around),
        Command::Reevaluate(reevaluate) => reevaluate.run(),
        Command::Check(check) => check.run(),
        Command::ExportCatalog(export) => export.run(),
        Command::CheckConfig(check) => check.run(),
        Command::Control(control) => control.run(&around),
        Command::Clauses(clauses) => clauses.run(&around),
        Command::Documents(documents) => documents.run(&around),
        Command::Readiness(ready) => ready.run(&around),
        Command::Soa(soa) => soa.run(&around),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            let mut whole = whole();
            clap_complete::generate(shell, &mut whole, "evident-collector", &mut text);
            Ok(String::from_utf8_lossy(&text).into_owned().into())
        }
        Command::Man { command } => manual(&command),
    }
}

/// The manual page of a command; without one, of the whole.
fn manual(names: &[String]) -> anyhow::Result<Shown> {
    let mut page = whole();
    page.build();
    for name in names {
        let command = page.find_subcommand(name);
        let command = command.with_context(|| format!("there is no command `{name}`"))?;
        page = command.clone();
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned().into())
}

/// The clock of the machine.
fn clock() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    Arc::new(|| Timestamp::from_system(std::time::SystemTime::now()))
}

/// The clock, how wide the terminal is, and whether it takes colours.
fn around() -> Around {
    use std::io::IsTerminal as _;

    let out = std::io::stdout();
    let terminal = out.is_terminal();
    let width = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
    #[expect(
        clippy::disallowed_methods,
        reason = "no-color.org: a wish of the terminal's user"
    )]
    let colour = terminal && std::env::var("NO_COLOR").is_err();
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    Around {
        clock: clock(),
        colour,
        width: if terminal && 40 <= width { width } else { 100 },
        home,
    }
}

/// Prints what a command says, and hands on whether all held. A reader that has gone away is no
/// error; a text that is lost in another way is one.
fn show(shown: Shown) -> anyhow::Result<bool> {
    let Shown {
        mut text,
        advice,
        held,
    } = shown;
    if let Some(advice) = advice {
        drop(writeln!(std::io::stderr(), "{advice}"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
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

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn every_command_is_well_formed_and_teaches() {
        whole().debug_assert();
        let mut commands = vec![whole()];
        while let Some(command) = commands.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let below = command.get_subcommands();
            let said: Vec<_> = below.filter_map(|one| one.get_about()).collect();
            let mut different: Vec<_> = said.iter().map(ToString::to_string).collect();
            different.sort();
            different.dedup();
            let name = command.get_name();
            assert_eq!(
                different.len(),
                said.len(),
                "two below `{name}` say the same"
            );
            for argument in command.get_arguments() {
                let (name, id) = (command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{id} of {name}");
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
