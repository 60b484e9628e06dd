//! Assessment: all 93 controls over 10,000 hosts with 100 checks each, after a batch came in.
//!
//! The clock runs from the moment at which the batch is durable in the ledger until the state of
//! all controls is there, with the words for the hosts that decide.
//!
//! The baseline counts as many cells of one byte by their value, in one thread.

use std::sync::Arc;

use collector::follow;
use collector::status::Status;

use crate::Measured;
use crate::fleet::Fleet;
use crate::process::{now, say};

const HOSTS: usize = 10_000;
const CHECKS: usize = 100;
/// Hosts whose records come in together.
const BATCH: usize = 256;
const ROUNDS: u64 = 9;

pub(crate) fn measure() -> anyhow::Result<Vec<Measured>> {
    // Not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let mut fleet = Fleet::new(HOSTS, CHECKS)?;
    let ledger = fleet.ledger(&folder.path().join("ledger"))?;
    fleet.enter(&ledger, 0..HOSTS, 0, true)?;
    let catalog = Arc::clone(&fleet.catalog);
    let (status, _none) = Status::open(&folder.path().join("status"), catalog)?;
    let decisions = fleet.key().public();
    let _size = follow::catch_up(&ledger, &status, &decisions)?;
    say(&format!(
        "assess: {HOSTS} hosts with {CHECKS} checks; {BATCH} records come in together"
    ))?;
    let (mut all, mut alone, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let cells: Vec<u8> = (0..HOSTS * CHECKS)
        .map(|cell| u8::from(cell % 8 == 0))
        .collect();
    for round in 1..=ROUNDS {
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
    status.close()?;
    let against = "as many bytes counted, one thread";
    let bare = median(bare);
    Ok(vec![
        Measured::new(
            "assess",
            ("batch_to_controls_milliseconds", "ms"),
            median(all),
            (against, bare),
        ),
        Measured::new(
            "assess",
            ("controls_alone_milliseconds", "ms"),
            median(alone),
            (against, bare),
        ),
    ])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
