//! `serve`: takes evidence in, judges it and answers operators until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use collector::catalog::Catalog;
use collector::config::{Config, Format};
use collector::follow;
use collector::ledger::Ledger;
use collector::serve::{self, Clock, Intake};
use collector::status::Status;
use shared::durable;
use shared::key::PublicKey;
use tokio::sync::watch;

/// Serves until SIGTERM or SIGINT.
pub(crate) fn serve(
    dir: &Path,
    listen: Option<SocketAddr>,
    ready_file: Option<&Path>,
    clock: &Clock,
) -> anyhow::Result<bool> {
    let (mut config, authority) = super::load(dir)?;
    log(&config);
    if let Some(listen) = listen {
        config.intake.listen = listen;
    }
    let signer = super::signer(&config, &authority)?;
    let ledger_key = signer.verifier_key().clone();
    let ledger = Ledger::open(&super::ledger_dir(dir), signer)?;
    let fleet = super::fleet(&ledger, &authority)?;
    let status = Arc::new(open_status(dir)?);
    let decisions = authority.decisions.public();
    tracing::info!(entries = ledger.published().size, "ledger is open");
    let parts = (ledger.clone(), fleet, Arc::clone(&status));
    let identity = (config, authority, ledger_key);
    let intake = Arc::new(Intake::new(
        dir.to_owned(),
        identity,
        parts,
        Arc::clone(clock),
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let follower = runtime.spawn(follow(
        ledger,
        Arc::clone(&status),
        decisions,
        stopped.clone(),
    ));
    let served = runtime.block_on(listen_and_serve(&intake, ready_file, &stop, stopped));
    // However it ended: everybody who waits for the end is told.
    stop.send_replace(true);
    runtime.block_on(follower)?;
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    served?;
    drop(intake);
    if let Some(status) = Arc::into_inner(status) {
        status.close()?;
    } else {
        tracing::warn!("derived state is still in use; it will be made again at start");
    }
    tracing::info!("stopped");
    Ok(true)
}

/// Opens both listeners, and serves until told to stop.
async fn listen_and_serve(
    intake: &Arc<Intake>,
    ready_file: Option<&Path>,
    stop: &Arc<watch::Sender<bool>>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listener = serve::listen(&intake.config).await?;
    let operator = serve::operator::listen(&intake.dir)?;
    let address = listener.local_addr()?;
    tokio::spawn(signals(Arc::clone(stop))?);
    let operators = serve::operator::serve(Arc::clone(intake), operator, stopped.clone());
    let operators = tokio::spawn(operators);
    if let Some(file) = ready_file {
        durable::write(file, address.to_string().as_bytes(), 0o644)
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    tracing::info!(%address, "agents can connect");
    serve::serve(Arc::clone(intake), listener, stopped).await?;
    operators.await?;
    Ok(())
}

/// Opens the derived state; what cannot be trusted is made again by following from the beginning.
pub(super) fn open_status(dir: &Path) -> anyhow::Result<Status> {
    let catalog = Arc::new(Catalog::embedded()?);
    let (status, rebuild) = Status::open(&dir.join("status"), catalog)?;
    if let Some(rebuild) = rebuild {
        tracing::warn!(reason = rebuild.reason, old = %rebuild.moved_to.display(),
            "derived state is made again from the ledger");
    }
    Ok(status)
}

/// Follows the ledger until `stop` changes; a ledger that cannot be followed is said and retried.
async fn follow(
    ledger: Ledger,
    status: Arc<Status>,
    decisions: PublicKey,
    mut stop: watch::Receiver<bool>,
) {
    let Some(mut grown) = ledger.grown() else {
        return;
    };
    loop {
        let (ledger, status) = (ledger.clone(), Arc::clone(&status));
        let followed =
            tokio::task::spawn_blocking(move || follow::catch_up(&ledger, &status, &decisions));
        match followed.await {
            Ok(Ok(_position)) => {}
            Ok(Err(error)) => {
                let error = anyhow::Error::from(error);
                tracing::error!(
                    error = format!("{error:#}"),
                    "the ledger cannot be followed"
                );
            }
            Err(error) => tracing::error!(%error, "the follower failed"),
        }
        tokio::select! {
            changed = grown.changed() => if changed.is_err() { return },
            _ = stop.changed() => return,
        }
    }
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
