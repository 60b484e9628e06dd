//! The intake of the collector: real mutual TLS on loopback, a durable ledger, and the client, all
//! on the same processors.
//!
//! Hosts enrol over the wire as agents do and sign their chains before the clock starts. What is
//! counted has come back with a receipt. Afterwards the ledger is opened anew from its files and
//! must hold exactly what was sent, and a sample of the receipts is opened as an agent does.
//!
//! The baseline does with the same files nothing but what no collector can leave out: SHA-256 over
//! the file and one verification of its Ed25519 signature, in one thread. Half of it is measured
//! before and half after. The rates are by the clock on the wall, so they are worth something on a
//! machine with nothing else to do; the processor time of a record, of collector and client
//! together, is worth something on any.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use collector::authority::Authority;
use collector::catalog::Catalog;
use collector::config::Config;
use collector::fleet::Fleet;
use collector::ledger::Ledger;
use collector::register::Register;
use collector::serve::{self, Intake};
use collector::status::Status;
use shared::checkpoint::Signer;
use shared::id::Digest;
use shared::time::Timestamp;
use tokio::sync::watch;

use self::hosts::Host;
use crate::Measured;
use crate::process::own_cpu_seconds;

mod client;
mod hosts;

const ORIGIN: &str = "localhost/evident/1";
/// Hosts that send their records one by one, each over a connection of its own. The collector is
/// set to work on as many at once, four times its default: fewer wait for the disk together, and
/// the figure would tell its latency.
const SINGLE: (u32, usize, usize) = (128, 192, 1);
/// Hosts that catch up, the records of each, and how many of them a request holds.
const BATCHED: (u32, usize, usize) = (8, 4096, 64);

pub(crate) fn measure() -> anyhow::Result<Vec<Measured>> {
    // Not in /tmp, which may be memory.
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let server = Server::start(folder.path())?;
    let mut figures = Vec::new();
    let names = ["attestations_per_second_4k", "cpu_microseconds_4k"];
    figures.extend(server.figures("batched", BATCHED, names)?);
    let names = [
        "attestations_per_second_4k_single",
        "cpu_microseconds_4k_single",
    ];
    figures.extend(server.figures("single", SINGLE, names)?);
    server.end()?;
    Ok(figures)
}

/// A collector that listens, in this process.
struct Server {
    folder: std::path::PathBuf,
    runtime: tokio::runtime::Runtime,
    intake: Arc<Intake>,
    url: String,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<Result<(), serve::ServeError>>,
}

impl Server {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut config = Config::parse(collector::config::DEFAULT, Path::new("collector.toml"))?;
        config.intake.listen = "127.0.0.1:0".parse()?;
        config.intake.submissions_max = usize::try_from(SINGLE.0)?;
        let authority = Authority::create(folder, &config, now())?;
        let signer = Signer::new(ORIGIN, authority.ledger.seed())?;
        let ledger_key = signer.verifier_key().clone();
        let ledger = Ledger::open(&folder.join("ledger"), signer)?;
        let catalog = Arc::new(Catalog::embedded()?);
        let (status, _rebuild) = Status::open(&folder.join("status"), catalog)?;
        let intake = Arc::new(Intake::new(
            folder.to_owned(),
            (config, authority, ledger_key),
            (
                ledger,
                (Fleet::default(), Register::default()),
                Arc::new(RwLock::new(Some(status))),
            ),
            Arc::new(now),
        ));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(serve::listen(&intake.config))?;
        let url = format!("https://{}", listener.local_addr()?);
        let (stop, stopped) = watch::channel(false);
        let served = runtime.spawn(serve::serve(Arc::clone(&intake), listener, stopped));
        Ok(Self {
            folder: folder.to_owned(),
            runtime,
            intake,
            url,
            stop,
            served,
        })
    }

    /// Sends what `many` hosts have signed, and compares with the bare loop.
    fn figures(
        &self,
        kind: &str,
        (many, records, batch): (u32, usize, usize),
        [rate, cost]: [&'static str; 2],
    ) -> anyhow::Result<[Measured; 2]> {
        let client = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut hosts = Vec::new();
        for number in 0..many {
            let name = format!("{kind}-{number}");
            let enrolled =
                client.block_on(Host::enrol(&self.intake, &self.url, &self.folder, &name));
            hosts.push(enrolled.and_then(|host| host.sign(records, batch))?);
        }
        let ready = client.block_on(client::connect_all(&self.url, &hosts))?;
        let half = records / 2;
        let mut bare = Spent::default();
        bare.add(|| verify_and_hash(&hosts, 0..half))?;
        let begun = self.intake.ledger.published().size;
        let mut real = Spent::default();
        let answers = real.add(|| client.block_on(client::send_all(ready, &hosts)))?;
        let entered = self.intake.ledger.published().size - begun;
        let sent = u64::from(many) * u64::try_from(records)?;
        anyhow::ensure!(entered == sent, "{entered} of {sent} records were entered");
        bare.add(|| verify_and_hash(&hosts, half..records))?;
        for (host, answers) in hosts.iter().zip(&answers) {
            host.check(answers, &self.intake.ledger_key)?;
        }
        let sent = f64::from(u32::try_from(sent)?);
        let against = "bare verify and hash, one thread";
        let per_second = |spent: &Spent| sent / spent.time.as_secs_f64();
        let micros = |spent: &Spent| spent.cpu_seconds * 1e6 / sent;
        Ok([
            Measured::new(
                "intake",
                (rate, "1/s"),
                per_second(&real),
                (against, per_second(&bare)),
            ),
            Measured::new(
                "intake",
                (cost, "us"),
                micros(&real),
                (against, micros(&bare)),
            ),
        ])
    }

    /// Ends it, and compares what is on disk with what was published.
    fn end(self) -> anyhow::Result<()> {
        let _before = self.stop.send_replace(true);
        self.runtime.block_on(self.served)??;
        let published = self.intake.ledger.published();
        let seed = *self.intake.authority.ledger.seed();
        self.runtime.shutdown_timeout(Duration::from_secs(10));
        drop(self.intake);
        let ledger = Ledger::read_only(&self.folder.join("ledger"), &Signer::new(ORIGIN, &seed)?)?;
        let kept = ledger.published();
        anyhow::ensure!(*kept == *published, "the ledger on disk is another one");
        Ok(())
    }
}

/// Time by the clock on the wall, and of the processors.
#[derive(Default)]
struct Spent {
    time: Duration,
    cpu_seconds: f64,
}

impl Spent {
    fn add<T>(&mut self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let (begun, cpu) = (instant(), own_cpu_seconds()?);
        let done = work()?;
        self.time += begun.elapsed();
        self.cpu_seconds += own_cpu_seconds()? - cpu;
        Ok(done)
    }
}

/// What no collector can leave out, for these records of every host.
fn verify_and_hash(hosts: &[Host], records: Range<usize>) -> anyhow::Result<()> {
    for host in hosts {
        for (file, pae, signature) in host.signed(records.clone()) {
            std::hint::black_box(Digest::of(file));
            host.key.verify(pae, signature)?;
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Timestamp {
    Timestamp::from_system(std::time::SystemTime::now())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn instant() -> Instant {
    Instant::now()
}
