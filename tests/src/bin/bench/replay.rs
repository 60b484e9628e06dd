//! Replay: the derived state made anew from the entries of a ledger, on all processors.
//!
//! The entries were signed as agents sign them, and the ledger is a real one. It is replayed twice,
//! and both states must be the same byte for byte.
//!
//! Then the ledger is opened again, and hosts and registers are known again from its entries: all
//! that a collector does before agents can connect, but for taking up the derived state.
//!
//! The baseline does with the same entries what no replay can leave out, in one thread: the entry
//! is read, its name computed and its form examined. Half of it is measured before and half after.

use std::path::Path;
use std::sync::Arc;

use collector::follow;
use collector::ledger::Ledger;
use collector::register::Register;
use collector::status::Status;
use shared::attestation::Attestation;
use shared::id::Digest;
use shared::leaf::LeafKind;

use crate::Measured;
use crate::fleet::Fleet;
use crate::process::{now, own_cpu_seconds, say};

const HOSTS: usize = 500;
const RUNS: u64 = 200;
const CHECKS: usize = 100;

pub(crate) fn measure() -> anyhow::Result<Vec<Measured>> {
    // Not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let mut fleet = Fleet::new(HOSTS, CHECKS)?;
    let ledger = fleet.ledger(&folder.path().join("ledger"))?;
    for run in 0..RUNS {
        fleet.enter(&ledger, 0..HOSTS, run, run == 0)?;
    }
    let size = ledger.published().size;
    let records = f64::from(u32::try_from(HOSTS)?) * f64::from(u32::try_from(RUNS)?);
    say(&format!(
        "replay: {records} attestations of {HOSTS} hosts with {CHECKS} checks"
    ))?;
    let before = bare(&ledger, 0..size / 2)?;
    let first = replayed(&fleet, &ledger, &folder.path().join("once"))?;
    let second = replayed(&fleet, &ledger, &folder.path().join("again"))?;
    anyhow::ensure!(first.digest == second.digest, "two replays differ");
    let after = bare(&ledger, size / 2..size)?;
    drop(ledger);
    let start = started(&fleet, &folder.path().join("ledger"))?;
    let against = "entries read, named and examined, one thread";
    let entries = f64::from(u32::try_from(size)?);
    let (bare_seconds, bare_cpu) = (before.0 + after.0, before.1 + after.1);
    let seconds = f64::midpoint(first.seconds, second.seconds);
    let cpu = f64::midpoint(first.cpu, second.cpu);
    Ok(vec![
        Measured::new(
            "replay",
            ("attestations_per_second", "1/s"),
            records / seconds,
            (against, entries / bare_seconds),
        ),
        Measured::new(
            "replay",
            ("cpu_microseconds_per_attestation", "us"),
            cpu * 1e6 / records,
            (against, bare_cpu * 1e6 / entries),
        ),
        Measured::new(
            "replay",
            ("close_and_open_seconds", "s"),
            f64::midpoint(first.reopen_seconds, second.reopen_seconds),
            ("the replay itself", seconds),
        ),
        Measured::new(
            "replay",
            ("start_entries_per_second", "1/s"),
            entries / start,
            (against, entries / bare_seconds),
        ),
    ])
}

/// Seconds until the ledger is open, and hosts and registers are known.
fn started(fleet: &Fleet, folder: &Path) -> anyhow::Result<f64> {
    let begun = now();
    let ledger = Fleet::open(folder)?;
    let decisions = fleet.key().public();
    let (mut hosts, mut register) = (collector::fleet::Fleet::default(), Register::default());
    for entry in ledger.entries_from(0) {
        let entry = entry?;
        hosts.take(entry.index, &entry.leaf, &entry.envelope, &decisions)?;
        register.take_entry(entry.index, &entry.leaf, &entry.envelope, &decisions)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(hosts.streams().count() == HOSTS, "not every host is known");
    Ok(seconds)
}

struct Replayed {
    digest: Digest,
    seconds: f64,
    cpu: f64,
    reopen_seconds: f64,
}

fn replayed(fleet: &Fleet, ledger: &Ledger, folder: &Path) -> anyhow::Result<Replayed> {
    let open = || Status::open(folder, Arc::clone(&fleet.catalog));
    let (status, _none) = open()?;
    let (begun, cpu) = (now(), own_cpu_seconds()?);
    let _size = follow::catch_up(ledger, &status, &fleet.key().public())?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), own_cpu_seconds()? - cpu);
    let digest = status.digest()?;
    let begun = now();
    status.close()?;
    let (status, rebuild) = open()?;
    let reopen_seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(rebuild.is_none(), "the state was not taken up again");
    anyhow::ensure!(status.digest()? == digest, "the state came back another");
    status.close()?;
    Ok(Replayed {
        digest,
        seconds,
        cpu,
        reopen_seconds,
    })
}

/// Seconds by the wall and of the processor for what cannot be left out.
fn bare(ledger: &Ledger, entries: std::ops::Range<u64>) -> anyhow::Result<(f64, f64)> {
    let (begun, cpu) = (now(), own_cpu_seconds()?);
    for index in entries {
        let entry = ledger.entry(index)?;
        if entry.leaf.kind == LeafKind::Evidence {
            std::hint::black_box(Attestation::from_file(entry.envelope)?.id());
        }
    }
    Ok((begun.elapsed().as_secs_f64(), own_cpu_seconds()? - cpu))
}
