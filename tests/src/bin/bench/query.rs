//! Queries about the past: the state of a control on a host at an instant, with its evidence.
//!
//! Three years of a fleet are applied as the follower applies them, and the state is closed and
//! opened again, so that the answers come from disk. Each question takes every check that bears on
//! a control at random, on a host at random, at an instant at random.
//!
//! The baseline reads as many blocks of 4 KiB at random places of the files of the state.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use collector::status::{Change, Place, ProbeOutcome, Status, StatusError};
use shared::id::Digest;
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

use crate::Measured;
use crate::fleet::{Fleet, RUN_MS};
use crate::process::{now, say};

const HOSTS: usize = 100;
const CHECKS: usize = 100;
const DAYS: u64 = 3 * 365;
/// One quarter of an hour in so many.
const EVERY: u64 = 6;
const RUNS_A_DAY: u64 = 96 / EVERY;
const QUESTIONS: u64 = 4000;
const BLOCK_BYTES: usize = 4096;

pub(crate) fn measure() -> anyhow::Result<Vec<Measured>> {
    // Not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let fleet = Fleet::new(HOSTS, CHECKS)?;
    let place = folder.path().join("status");
    let (status, _none) = Status::open(&place, Arc::clone(&fleet.catalog))?;
    let begun = now();
    let observations = fill(&fleet, &status)?;
    let filled = begun.elapsed().as_secs_f64();
    let begun = now();
    status.close()?;
    let closed = begun.elapsed().as_secs_f64();
    let begun = now();
    let (status, rebuild) = Status::open(&place, Arc::clone(&fleet.catalog))?;
    let opened = begun.elapsed().as_secs_f64();
    anyhow::ensure!(rebuild.is_none(), "the state was not taken up again");
    let bytes = size_of(&place.join("sled"))?;
    say(&format!(
        "query: {observations} observations of {HOSTS} hosts in {DAYS} days, {} MiB on disk; \
         filled in {filled:.0} s, closed in {closed:.1} s, opened in {opened:.1} s",
        bytes >> 20
    ))?;
    let (answers, bare) = ask(&fleet, &status, &place.join("sled/db"))?;
    status.close()?;
    let against = "as many blocks of 4 KiB read at random";
    let figure = |name, part: f64| {
        let (value, baseline) = (share(&answers, part), share(&bare, part));
        Measured::new("query", (name, "ms"), value, (against, baseline))
    };
    Ok(vec![
        figure("control_at_instant_p50_milliseconds", 0.5),
        figure("control_at_instant_p95_milliseconds", 0.95),
        figure("control_at_instant_max_milliseconds", 1.0),
    ])
}

/// Applies the runs of three years, and says how many observations they had.
fn fill(fleet: &Fleet, status: &Status) -> anyhow::Result<u64> {
    let start = fleet.time(0, 0);
    let enrolled: Vec<_> = fleet
        .hosts
        .iter()
        .map(|host| Change::Enrolled {
            host: host.clone(),
            generation: 1,
            at: start,
            heartbeat_s: 24 * 3600,
        })
        .collect();
    let none = |_id: &Digest| Ok::<_, StatusError>(None);
    status.apply_all(0, &enrolled, none)?;
    let mut position = u64::try_from(enrolled.len())?;
    let mut observations = 0;
    let mut known = Known::default();
    for day in 0..DAYS {
        if day.is_multiple_of(100) {
            say(&format!("query: day {day} of {DAYS}"))?;
        }
        let mut changes = Vec::new();
        for number in 0..RUNS_A_DAY {
            for host in 0..HOSTS {
                let change = run(fleet, &mut known, (host, day, number))?;
                changes.push(change);
            }
        }
        observations += u64::try_from(changes.len() * fleet.probes().count())?;
        let kept = Mutex::new(&known.here);
        status.apply_all(position, &changes, |id| {
            let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            Ok::<_, StatusError>(kept.get(id).cloned())
        })?;
        position += u64::try_from(changes.len())?;
        known.forget();
    }
    Ok(observations)
}

/// The observations that changes name.
#[derive(Default)]
struct Known {
    here: BTreeMap<Digest, Observation>,
    /// The digest of what a probe showed of a host last.
    last: BTreeMap<(usize, usize), (usize, Digest, Observation)>,
}

impl Known {
    /// What a probe shows: it stays the same until what is right or wrong changes.
    fn observe(
        &mut self,
        fleet: &Fleet,
        place: (usize, usize),
        run: u64,
    ) -> anyhow::Result<Digest> {
        let state = fleet.state(place.0, place.1, run);
        let same = self.last.get(&place).filter(|(last, ..)| *last == state);
        let (id, seen) = if let Some((_, id, seen)) = same {
            (*id, seen.clone())
        } else {
            let seen = fleet
                .observation(place.0, place.1, run)
                .context("no state")?;
            let id = Digest::of(&seen.to_bytes());
            let _old = self.last.insert(place, (state, id, seen.clone()));
            (id, seen)
        };
        let _same = self.here.insert(id, seen);
        Ok(id)
    }

    fn forget(&mut self) {
        self.here.clear();
    }
}

fn run(
    fleet: &Fleet,
    known: &mut Known,
    (host, day, number): (usize, u64, u64),
) -> anyhow::Result<Change> {
    let seq = day * RUNS_A_DAY + number;
    let at = fleet.time(host, seq * EVERY);
    let probes: Vec<_> = fleet.probes().enumerate().collect();
    let outcomes = probes.into_iter().map(|(probe, name)| {
        Ok(ProbeOutcome {
            probe: name.to_owned(),
            outcome: Outcome::Facts,
            observation_id: Some(known.observe(fleet, (probe, host), seq * EVERY)?),
            observation: None,
        })
    });
    Ok(Change::Run {
        place: Place {
            host: fleet.hosts.get(host).context("no host")?.clone(),
            generation: 1,
            seq,
            received: at.plus_ms(2000),
        },
        attestation: Digest::of(format!("{host} {seq}").as_bytes()),
        collected: at,
        outcomes: outcomes.collect::<anyhow::Result<_>>()?,
    })
}

/// Milliseconds of each answer, and of as many reads.
fn ask(fleet: &Fleet, status: &Status, file: &Path) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let controls: Vec<Vec<&str>> = fleet
        .catalog
        .controls()
        .iter()
        .map(|control| {
            let bearing = fleet.catalog.bearing_on(&control.id);
            bearing.map(|(check, _)| check.id.as_str()).collect()
        })
        .filter(|checks: &Vec<&str>| !checks.is_empty())
        .collect();
    let file = File::open(file)?;
    let blocks = file.metadata()?.len() / u64::try_from(BLOCK_BYTES)?;
    let (mut answers, mut bare) = (Vec::new(), Vec::new());
    let mut random = Random(1);
    for _question in 0..QUESTIONS {
        let checks = controls
            .get(random.below(controls.len())?)
            .context("no control")?;
        let host = fleet.hosts.get(random.below(HOSTS)?).context("no host")?;
        let run = u64::try_from(random.below(usize::try_from(DAYS * 96)?)?)?;
        let instant = fleet.time(HOSTS, run);
        let begun = now();
        for check in checks {
            let at = status.at(host, check, instant)?;
            if fleet.time(0, EVERY) < instant {
                right(at.context("no answer")?, instant)?;
            }
        }
        answers.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = now();
        for _check in checks {
            let block = u64::try_from(random.below(usize::try_from(blocks)?)?)?;
            let mut bytes = vec![0; BLOCK_BYTES];
            file.read_exact_at(&mut bytes, block * u64::try_from(BLOCK_BYTES)?)?;
            std::hint::black_box(bytes);
        }
        bare.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    answers.sort_by(f64::total_cmp);
    bare.sort_by(f64::total_cmp);
    Ok((answers, bare))
}

/// The evidence of an answer is the last before the instant.
fn right(at: collector::status::At, instant: Timestamp) -> anyhow::Result<()> {
    let evidence = at.evidence.context("no evidence")?;
    let age = instant.ms_since(evidence.collected);
    let every = RUN_MS * i64::try_from(EVERY)?;
    anyhow::ensure!((0..every + RUN_MS).contains(&age), "evidence {age} ms old");
    let inside = at.span.from <= instant && at.span.to.is_none_or(|end| instant < end);
    anyhow::ensure!(inside, "another span");
    Ok(())
}

/// Numbers that are spread well enough: xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> anyhow::Result<usize> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Ok(usize::try_from(self.0 >> 16)? % end)
    }
}

/// The value that so large a share of them does not exceed.
fn share(sorted: &[f64], part: f64) -> f64 {
    let many = f64::from(u32::try_from(sorted.len()).unwrap_or(u32::MAX));
    let below = sorted.iter().enumerate().find(|(place, _)| {
        let place = f64::from(u32::try_from(*place).unwrap_or(u32::MAX));
        part * many <= place + 1.0
    });
    below.map_or(0.0, |(_, value)| *value)
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            size_of(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
