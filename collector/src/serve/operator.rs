//! The operator's socket: a Unix socket in the collector's folder, so whoever can open the folder
//! can ask the running collector over HTTP/1.1, and is known by the account that the kernel names.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use shared::durable;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::api::{self, Caller};
use super::{Intake, ServeError};

/// Name of the socket in the collector's folder.
pub const SOCKET: &str = "operator.sock";
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may last.
const LIFE: Duration = Duration::from_mins(5);
/// Most connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Where the names of accounts stand: passwd(5).
const ACCOUNTS: &str = "/etc/passwd";
const ACCOUNTS_BYTES_MAX: u64 = 1024 * 1024;

/// Opens the operator's socket in the collector's folder.
///
/// The ledger's lock says that no other collector runs there, so an old socket is a dead one.
///
/// # Errors
///
/// [`ServeError::Listen`], for one when the path is longer than the 107 bytes of unix(7).
pub fn listen(dir: &Path) -> Result<UnixListener, ServeError> {
    let path = dir.join(SOCKET);
    let failed = |source| ServeError::Listen {
        address: path.display().to_string(),
        source,
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    // The folder keeps others out already; the socket does not rely on that.
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, mode).map_err(failed)?;
    Ok(listener)
}

/// Answers operators until `stop` changes, and takes the socket away.
pub async fn serve(intake: Arc<Intake>, listener: UnixListener, mut stop: watch::Receiver<bool>) {
    let router = api::router(&intake);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = stop.changed() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((socket, _address)) => {
                let (router, stop) = (router.clone(), stop.clone());
                drop(tokio::spawn(async move {
                    connection(socket, router, stop).await;
                    drop(place);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "operator was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(std::fs::remove_file(intake.dir.join(SOCKET)));
}

async fn connection(socket: UnixStream, router: axum::Router, mut stop: watch::Receiver<bool>) {
    let uid = match socket.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => {
            return tracing::warn!(%error, "the account of an operator is not known");
        }
    };
    let caller = caller(uid);
    let service = TowerToHyperService::new(router.layer(Extension(caller)));
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            // Whoever has sent a whole decision and hangs up has decided.
            .half_close(true)
            .serve_connection(TokioIo::new(socket), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = tokio::time::sleep(LIFE) => return,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "operator went away");
    }
}

/// An account of this machine by its number. Names of other sources than passwd(5) are not known.
#[must_use]
pub fn caller(uid: u32) -> Caller {
    let accounts = durable::read_text(Path::new(ACCOUNTS), ACCOUNTS_BYTES_MAX);
    let accounts = accounts.unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    Caller { uid, name }
}
