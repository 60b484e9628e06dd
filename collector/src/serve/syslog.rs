//! The listener for log daemons: syslog over TLS, of which it keeps nothing but canaries.
//!
//! Each line is searched for a signed line of an enrolled host, and then dropped: this is no log
//! server. It is one more target of the daemons that forward logs, and what arrives here shows that
//! they do. A client needs no certificate: a line proves itself, whoever brings it. There is no
//! listener without TLS, so that what arrives here has come over an encrypted way, and so that
//! nobody sends logs in the clear because of it.
//!
//! Source: RFC 5425; both framings of RFC 6587.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use shared::canary::Canary;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::framing::Lines;
use super::{Certificate, HANDSHAKE, Intake, RENEWAL, ServeError};
use crate::config::Config;
use crate::observer::Event;

/// Most bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that one connection may send in a second; a faster one is read more slowly.
const BYTES_PER_SECOND: u64 = 1024 * 1024;
/// What a canary counts for: 64 in a second, as each costs a signature to verify.
const CANARY_COST: u64 = 16 * 1024;
/// Bytes for which it is not worth to sleep: 50 ms.
const DEBT: u64 = BYTES_PER_SECOND / 20;

/// Opens the listener of the settings; `None` when they want none.
///
/// # Errors
///
/// [`ServeError::Listen`].
pub async fn listen(config: &Config) -> Result<Option<TcpListener>, ServeError> {
    let Some(address) = config.logs.listen else {
        return Ok(None);
    };
    let failed = |source| ServeError::Listen {
        address: address.to_string(),
        source,
    };
    TcpListener::bind(address).await.map(Some).map_err(failed)
}

/// Reads from log daemons until `stop` changes.
///
/// # Errors
///
/// [`ServeError`] before the first connection; afterwards nothing ends it but `stop`.
pub async fn serve(
    intake: Arc<Intake>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let certificate = Arc::new(Certificate::new(&intake)?);
    let acceptor = TlsAcceptor::from(Arc::new(tls(Arc::clone(&certificate))?));
    let places = Arc::new(Semaphore::new(intake.config.logs.connections_max));
    let mut renewal = tokio::time::interval(RENEWAL);
    let _first_tick = renewal.tick().await;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = renewal.tick() => {
                if let Err(error) = certificate.renew(&intake) {
                    tracing::error!(%error, "certificate of the log listener was not renewed");
                }
                continue;
            }
            _ = stop.changed() => return Ok(()),
        };
        let place = Arc::clone(&places).try_acquire_owned();
        match (accepted, place) {
            (Ok((socket, _address)), Ok(place)) => {
                let connection = Connection {
                    acceptor: acceptor.clone(),
                    intake: Arc::clone(&intake),
                };
                let stop = stop.clone();
                drop(tokio::spawn(async move {
                    connection.run(socket, stop).await;
                    drop(place);
                }));
            }
            (Ok(_refused), Err(_full)) => {
                intake.counters.count("log-connection-refused");
                // Whatever it would have brought: no line counts as lost because of this.
                missed(&intake);
            }
            (Err(error), _) => {
                tracing::warn!(%error, "log daemon was not accepted");
                missed(&intake);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn missed(intake: &Intake) {
    if !intake.observer.tell(Event::Missed) {
        intake.counters.count("event-dropped");
    }
}

/// TLS 1.2 too, which RFC 5425 names and older log daemons speak; no client is asked for a
/// certificate, as a daemon may have one of another authority.
fn tls(certificate: Arc<Certificate>) -> Result<rustls::ServerConfig, ServeError> {
    let resolver: Arc<dyn ResolvesServerCert> = certificate;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Everything one connection needs.
struct Connection {
    acceptor: TlsAcceptor,
    intake: Arc<Intake>,
}

impl Connection {
    async fn run(self, socket: TcpStream, mut stop: watch::Receiver<bool>) {
        let counters = &self.intake.counters;
        let mut tls = match tokio::time::timeout(HANDSHAKE, self.acceptor.accept(socket)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                counters.count("log-handshake");
                tracing::debug!(%error, "handshake of a log daemon failed");
                return;
            }
            Err(_elapsed) => return counters.count("log-handshake-timeout"),
        };
        let silence = Duration::from_secs(self.intake.config.logs.idle_seconds);
        let mut lines = Lines::default();
        let mut bytes = vec![0; READ_BYTES];
        let mut debt = 0_u64;
        loop {
            let read = tokio::select! {
                read = tokio::time::timeout(silence, tls.read(&mut bytes)) => read,
                _ = stop.changed() => return,
            };
            let count = match read {
                Ok(Ok(0)) => break,
                Ok(Ok(count)) => count,
                Ok(Err(error)) => {
                    // Many daemons end without the end of TLS.
                    tracing::debug!(%error, "log daemon went away");
                    break;
                }
                Err(_elapsed) => {
                    counters.count("log-connection-idle");
                    break;
                }
            };
            let mut canaries = 0;
            lines.take(bytes.get(..count).unwrap_or_default(), |line, cut| {
                canaries += self.line(line, cut);
            });
            let read = u64::try_from(count).unwrap_or(u64::MAX);
            debt = debt
                .saturating_add(canaries * CANARY_COST)
                .saturating_add(read);
            if DEBT < debt {
                let ms = debt.saturating_mul(1000) / BYTES_PER_SECOND;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                debt = 0;
            }
        }
        lines.finish(&mut |line: &[u8], cut| {
            let _last = self.line(line, cut);
        });
    }

    /// Looks at one line, and drops it; how many canaries stood in it.
    fn line(&self, line: &[u8], cut: bool) -> u64 {
        let counters = &self.intake.counters;
        counters.count("log-line");
        if cut {
            counters.count("log-line-cut");
        }
        let Some(canary) = Canary::find(&String::from_utf8_lossy(line)) else {
            return 0;
        };
        if self.enrolled(&canary) {
            counters.count("log-canary");
            let arrived = Event::Arrived {
                canary,
                at: self.intake.now(),
            };
            if !self.intake.observer.tell(arrived) {
                counters.count("event-dropped");
            }
        } else {
            counters.count("log-canary-false");
            tracing::debug!(agent = %canary.agent, "a log line bears no key that is enrolled");
        }
        1
    }

    /// Whether the line was made with the key that its host has now.
    fn enrolled(&self, canary: &Canary) -> bool {
        let stream = self.intake.enrolled(&canary.agent, canary.generation);
        stream.is_ok_and(|stream| canary.verify(&stream.key).is_ok())
    }
}
