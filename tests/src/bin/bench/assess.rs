//! Assessment: all 93 controls over 10,000 hosts with 100 checks each, after a batch came in.
//!
//! The clock of the first figure runs from the moment at which the batch is durable in the ledger
//! until the state of all controls is there, with the words for the hosts that decide. Then the
//! same fleet is asked what `assess` answers, now and for an instant of the day before, and what
//! the alerts look at: what is wrong, and who is missing.
//!
//! The baseline counts as many cells of one byte by their value, in one thread.

use std::sync::Arc;

use collector::assess::{Asked, Desk, Sla};
use collector::drift;
use collector::follow;
use collector::ledger::Ledger;
use collector::population::{self, Memory};
use collector::register::Register;
use collector::status::Status;
use shared::time::Timestamp;

use crate::Measured;
use crate::fleet::Fleet;
use crate::process::{now, own_memory_mib, say};

const HOSTS: usize = 10_000;
const CHECKS: usize = 100;
/// Hosts whose records come in together.
const BATCH: usize = 256;
/// The run of all hosts on the second day: then much is right that was wrong, and the other way.
const SECOND: u64 = 100;
const ROUNDS: u64 = 9;
/// How often what takes long is asked.
const TIMES: usize = 3;

pub(crate) fn measure() -> anyhow::Result<Vec<Measured>> {
    // Not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let mut fleet = Fleet::new(HOSTS, CHECKS)?;
    let ledger = fleet.ledger(&folder.path().join("ledger"))?;
    fleet.enter(&ledger, 0..HOSTS, 0, true)?;
    fleet.enter(&ledger, 0..HOSTS, SECOND, true)?;
    let before = own_memory_mib("VmRSS")?;
    let catalog = Arc::clone(&fleet.catalog);
    let (status, _none) = Status::open(&folder.path().join("status"), catalog)?;
    let decisions = fleet.key().public();
    let _size = follow::catch_up(&ledger, &status, &decisions)?;
    let resident = own_memory_mib("VmRSS")? - before;
    say(&format!(
        "assess: {HOSTS} hosts with {CHECKS} checks; {BATCH} records come in together; the derived \
         state takes {resident:.0} MiB of memory"
    ))?;
    let (mut all, mut alone, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let cells: Vec<u8> = (0..HOSTS * CHECKS)
        .map(|cell| u8::from(cell % 8 == 0))
        .collect();
    for round in SECOND + 1..=SECOND + ROUNDS {
        fleet.enter(&ledger, 0..BATCH, round, true)?;
        let begun = now();
        let _size = follow::catch_up(&ledger, &status, &decisions)?;
        let half = now();
        let controls = status.controls(fleet.time(0, round), |_host| true)?;
        alone.push(half.elapsed().as_secs_f64() * 1e3);
        all.push(begun.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(controls.len() == 93, "{} controls", controls.len());
        let checks = controls.iter().flat_map(|control| &control.checks);
        let mut checks = checks.filter(|check| check.covered == HOSTS);
        anyhow::ensure!(checks.next().is_some(), "no check covers every host");
        let begun = now();
        let cells = std::hint::black_box(&cells);
        std::hint::black_box(cells.iter().map(|cell| usize::from(*cell)).sum::<usize>());
        bare.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let then = fleet.time(0, SECOND / 2);
    let asked = asked(&ledger, &status, (then, fleet.time(0, SECOND + ROUNDS)))?;
    status.close()?;
    let baseline = ("as many bytes counted, one thread", median(bare));
    let own = [
        ("batch_to_controls_milliseconds", median(all)),
        ("controls_alone_milliseconds", median(alone)),
    ];
    let figures = own.into_iter().chain(asked);
    Ok(figures
        .map(|(name, ms)| Measured::new("assess", (name, "ms"), ms, baseline))
        .collect())
}

/// What the commands and the alerts ask of the whole fleet, in milliseconds.
fn asked(
    ledger: &Ledger,
    status: &Status,
    (then, at): (Timestamp, Timestamp),
) -> anyhow::Result<[(&'static str, f64); 5]> {
    let register = Register::default();
    let desk = Desk {
        status,
        register: &register,
        ledger,
        sla: Sla::default(),
    };
    let all = Asked::default();
    let mut memory = Memory::default();
    let mut wrong = 0;
    let first = timed(1, || {
        Ok(population::look(
            &mut memory,
            (ledger, status, &register),
            at,
        )?)
    })?;
    let figures = [
        (
            "assess_now_milliseconds",
            timed(TIMES, || Ok(desk.now(&all, at)?))?,
        ),
        (
            "assess_then_milliseconds",
            timed(TIMES, || Ok(desk.at(&all, then)?))?,
        ),
        (
            "conditions_milliseconds",
            timed(TIMES, || {
                wrong = drift::conditions(&desk, then, at)?.0.len();
                Ok(())
            })?,
        ),
        ("population_first_milliseconds", first),
        (
            "population_again_milliseconds",
            timed(TIMES, || {
                Ok(population::look(
                    &mut memory,
                    (ledger, status, &register),
                    at,
                )?)
            })?,
        ),
    ];
    say(&format!("assess: {wrong} conditions"))?;
    Ok(figures)
}

/// The median of so many times, in milliseconds.
fn timed<T>(times: usize, mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let mut all = Vec::new();
    for _time in 0..times {
        let begun = now();
        std::hint::black_box(work()?);
        all.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(all))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
