//! `serve`: takes evidence in, judges it and answers operators until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use collector::alert::engine::Engine;
use collector::authority::Authority;
use collector::config::{Config, Format};
use collector::criteria;
use collector::follow;
use collector::ledger::Ledger;
use collector::observer::{Observer, Terms};
use collector::serve::{self, Derived, Intake, ServeError};
use collector::status::Status;
use shared::durable;
use shared::key::{PublicKey, SigningKey};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Around, Folder, Shown};

/// How long to wait before the ledger is followed again after an error.
const AGAIN: Duration = Duration::from_secs(5);

/// The collector at work.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    folder: Folder,
    /// Listen here instead of where the settings say; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Write the address to this file when agents can connect
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Serve {
    /// Serves until SIGTERM or SIGINT.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let Self {
            folder,
            listen,
            ready_file,
        } = self;
        let (dir, clock) = (folder.dir.as_path(), &around.clock);
        let (mut config, authority) = super::load(dir)?;
        log(&config);
        if let Some(listen) = listen {
            config.intake.listen = listen;
        }
        let signer = super::signer(&config, &authority)?;
        let ledger_key = signer.verifier_key().clone();
        let ledger = Ledger::open(&super::ledger_dir(dir), signer)?;
        judge_by(&ledger, &config, &authority, around)?;
        let (fleet, register) = super::known(&ledger, &authority)?;
        let decisions = authority.decisions.public();
        let status = Arc::new(RwLock::new(Some(open_status(dir, &ledger, &decisions)?)));
        tracing::info!(entries = ledger.published().size, "ledger is open");
        let key = SigningKey::from_seed(*authority.decisions.seed())?;
        let (observer, door) = Observer::new(ledger.clone(), key, Arc::clone(clock));
        let terms = Terms {
            due_ms: i64::from(config.logs.due_seconds).saturating_mul(1000),
            listener: config.logs.listen.is_some(),
            watchers: config.logs.watchers.iter().cloned().collect(),
        };
        let observer = observer.of(terms, &fleet).with_feeds(super::feeds_dir(dir));
        let engine = Arc::new(serve::alerts::open(dir, &config, clock)?);
        let parts = (ledger.clone(), (fleet, register), Arc::clone(&status));
        let identity = (config, authority, ledger_key);
        let intake = Intake::new(dir.to_owned(), identity, parts, Arc::clone(clock));
        let intake = Arc::new(intake.observed(door));
        let observer = std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || observer.run())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let stop = Arc::new(stop);
        let follower = runtime.spawn(follow(
            dir.to_owned(),
            ledger,
            Arc::clone(&status),
            decisions,
            stopped.clone(),
        ));
        let served = runtime.block_on(listen_and_serve(
            (&intake, engine),
            ready_file.as_deref(),
            &stop,
            stopped,
        ));
        // However it ended: everybody who waits for the end is told.
        stop.send_replace(true);
        runtime.block_on(follower)?;
        runtime.shutdown_timeout(Duration::from_secs(10));
        served?;
        // The observer ends when nobody is left to tell it anything.
        if Arc::into_inner(intake).is_some() && observer.join().is_err() {
            tracing::error!("the observer broke off");
        }
        let last = status
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(status) = last {
            status.close()?;
        }
        tracing::info!("stopped");
        Ok(String::new().into())
    }
}

/// Opens all listeners, and serves until told to stop.
async fn listen_and_serve(
    (intake, engine): (&Arc<Intake>, Arc<Engine>),
    ready_file: Option<&Path>,
    stop: &Arc<watch::Sender<bool>>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listener = serve::listen(&intake.config).await?;
    let logs = serve::syslog::listen(&intake.config).await?;
    let operator = serve::operator::listen(&intake.dir)?;
    let address = listener.local_addr()?;
    tokio::spawn(signals(Arc::clone(stop))?);
    let operators = serve::operator::serve(Arc::clone(intake), operator, stopped.clone());
    let operators = tokio::spawn(operators);
    let alerts = serve::alerts::serve(Arc::clone(intake), engine, address, stopped.clone());
    let alerts = tokio::spawn(alerts);
    let logs = logs.map(|logs| read_logs(Arc::clone(intake), logs, stopped.clone()));
    let logs = logs.transpose()?;
    if let Some(file) = ready_file {
        durable::write(file, address.to_string().as_bytes(), 0o644)
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    tracing::info!(%address, "agents can connect");
    serve::serve(Arc::clone(intake), listener, stopped).await?;
    operators.await?;
    alerts.await?;
    if let Some(logs) = logs {
        logs.await??;
    }
    Ok(())
}

/// Lets log daemons connect.
fn read_logs(
    intake: Arc<Intake>,
    listener: TcpListener,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<JoinHandle<Result<(), ServeError>>> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "log daemons can connect");
    Ok(tokio::spawn(serve::syslog::serve(
        intake, listener, stopped,
    )))
}

/// Enters the first catalogue of a ledger that has none; says when this program brings another one
/// than those that the ledger knows.
fn judge_by(
    ledger: &Ledger,
    config: &Config,
    authority: &Authority,
    around: &Around,
) -> anyhow::Result<()> {
    let by = format!("collector {}", config.name);
    if criteria::begin(ledger, &authority.decisions, by, around.now())? {
        tracing::info!("the catalogue inside this program is in force");
    }
    if criteria::is_inside_new(ledger, &authority.decisions.public())? {
        tracing::warn!("{}", criteria::INSIDE_IS_NEW);
    }
    Ok(())
}

/// Opens the derived state; what cannot be trusted is made again by following from the beginning.
pub(super) fn open_status(
    dir: &Path,
    ledger: &Ledger,
    decisions: &PublicKey,
) -> anyhow::Result<Status> {
    let (status, rebuild) = follow::open(&dir.join("status"), ledger, decisions)?;
    if let Some(rebuild) = rebuild {
        tracing::warn!(reason = rebuild.reason, old = %rebuild.moved_to.display(),
            "derived state is made again from the ledger");
    }
    Ok(status)
}

/// Follows the ledger until `stop` changes. When the derived state cannot be kept (a full disk, for
/// one), it is opened again and followed from where it stands, until that works.
async fn follow(
    dir: PathBuf,
    ledger: Ledger,
    status: Derived,
    decisions: PublicKey,
    mut stop: watch::Receiver<bool>,
) {
    let Some(mut grown) = ledger.grown() else {
        return;
    };
    loop {
        let (dir, ledger, status) = (dir.clone(), ledger.clone(), Arc::clone(&status));
        let followed =
            tokio::task::spawn_blocking(move || step(&dir, &ledger, &status, &decisions));
        let failed = match followed.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(error) => Some(error.into()),
        };
        if let Some(error) = &failed {
            let error = format!("{error:#}");
            tracing::error!(error, "the ledger cannot be followed; it is tried again");
        }
        tokio::select! {
            changed = grown.changed(), if failed.is_none() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if failed.is_some() => {}
            _ = stop.changed() => return,
        }
    }
}

/// Follows to the end of the ledger; an error leaves no derived state open.
fn step(
    dir: &Path,
    ledger: &Ledger,
    derived: &Derived,
    decisions: &PublicKey,
) -> anyhow::Result<()> {
    let open = derived
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some();
    if !open {
        let opened = open_status(dir, ledger, decisions)?;
        *derived.write().unwrap_or_else(PoisonError::into_inner) = Some(opened);
    }
    let followed = {
        let status = derived.read().unwrap_or_else(PoisonError::into_inner);
        status
            .as_ref()
            .map(|status| follow::catch_up(ledger, status, decisions))
    };
    if let Some(Err(error)) = followed {
        drop(
            derived
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        return Err(error.into());
    }
    Ok(())
}

/// Ends when the process is told to stop.
fn signals(stop: Arc<watch::Sender<bool>>) -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        stop.send_replace(true);
    })
}

/// Sends diagnostics to standard error.
fn log(config: &Config) {
    use std::io::IsTerminal as _;

    let filter = tracing_subscriber::EnvFilter::new(config.log.level.as_str());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log.format {
        Format::Text => builder.init(),
        Format::Json => builder.json().init(),
    }
}
