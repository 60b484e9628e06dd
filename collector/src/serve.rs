//! The listener for agents: mutual TLS, HTTP/1.1 only, everything bounded in size and time.
//!
//! A connection without a certificate reaches enrolment and nothing else. There are no tickets and
//! no session storage, so a revoked agent cannot resume; connections end after a set time.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use shared::checkpoint::VerifierKey;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;
use shared::wire::Code;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::admit::Shape;
use crate::authority::{self, Authority, AuthorityError};
use crate::config::Config;
use crate::fleet::{Fleet, Stream};
use crate::ledger::Ledger;
use crate::observer::Door;
use crate::register::Register;
use crate::status::Status;

mod adopt;
mod answer;
mod decide;
mod enrol;
mod framing;
mod said;
pub mod alerts;
pub mod api;
pub mod operator;
mod submit;
pub mod syslog;

use answer::Wrong;
pub use said::FEEDS;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);
/// Most connections without a certificate at once, and how long each may stay: they can ask for
/// an enrolment and nothing else.
const STRANGERS_MAX: usize = 64;
const STRANGER_LIFE: Duration = Duration::from_secs(30);
/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The server certificate is made anew this often, long before it ends.
const RENEWAL: Duration = Duration::from_hours(24);

/// Reads the clock. Only `main` has the real one.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The derived state, shared by the follower that writes it and those who show it.
pub type Derived = Arc<RwLock<Option<Status>>>;

/// What the listener works with.
pub struct Intake {
    /// Folder of the collector: the tokens lie there.
    pub dir: PathBuf,
    /// The settings.
    pub config: Config,
    /// Keys and certificates.
    pub authority: Authority,
    /// The key of the ledger, as agents and auditors know it.
    pub ledger_key: VerifierKey,
    /// Where everything admitted goes.
    pub ledger: Ledger,
    /// Who may submit.
    pub fleet: RwLock<Fleet>,
    /// Who may decide, and what was decided.
    pub register: RwLock<Register>,
    /// What the ledger says of the controls; `None` while it is opened again.
    pub status: Derived,
    /// The clock.
    pub clock: Clock,
    /// What was refused and noticed, by code.
    pub counters: Counters,
    /// Who is told what only the collector can see.
    pub observer: Door,
    numbers: enrol::Numbers,
    /// Held by whoever decides, so that what was checked holds when it is entered.
    deciding: tokio::sync::Mutex<()>,
    submissions: Arc<Semaphore>,
    shapes: Mutex<BTreeMap<Digest, Shape>>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Intake({})", self.config.name)
    }
}

/// Counts by word; each refusal and each notice has its own.
#[derive(Debug, Default)]
pub struct Counters(Mutex<BTreeMap<&'static str, u64>>);

impl Counters {
    /// Adds one.
    pub fn count(&self, what: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(what).or_default();
        *count = count.saturating_add(1);
    }

    /// All counts.
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The count of one kind of refusal.
    pub fn of(&self, code: Code) -> u64 {
        self.all().get(code.as_str()).copied().unwrap_or_default()
    }
}

/// The agent at the other end of a connection, as its certificate says; `None` without one.
#[derive(Clone, Debug)]
struct Peer(Option<(AgentId, u64)>);

/// The listener cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The server certificate cannot be made. The operator must correct the names in the settings.
    #[error("server certificate cannot be made")]
    Certificate(#[from] AuthorityError),
    /// TLS refuses the certificate or the authority.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Intake {
    /// Puts the parts together; nothing is opened yet.
    #[must_use]
    pub fn new(
        dir: PathBuf,
        (config, authority, ledger_key): (Config, Authority, VerifierKey),
        (ledger, (fleet, register), status): (Ledger, (Fleet, Register), Derived),
        clock: Clock,
    ) -> Self {
        let submissions = Arc::new(Semaphore::new(config.intake.submissions_max));
        let counters = Counters::default();
        for _entry in register.unreadable() {
            counters.count("decision-unreadable");
        }
        Self {
            dir,
            config,
            authority,
            ledger_key,
            ledger,
            fleet: RwLock::new(fleet),
            register: RwLock::new(register),
            status,
            clock,
            counters,
            observer: Door::default(),
            numbers: enrol::Numbers::default(),
            deciding: tokio::sync::Mutex::default(),
            submissions,
            shapes: Mutex::default(),
        }
    }

    /// The same, telling what only the collector can see at this door.
    #[must_use]
    pub fn observed(mut self, door: Door) -> Self {
        self.observer = door;
        self
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Who may decide, and what was decided.
    fn register(&self) -> RwLockReadGuard<'_, Register> {
        self.register.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of an agent that may submit.
    fn enrolled(&self, agent: &AgentId, generation: u64) -> Result<Arc<Stream>, Wrong> {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        let who = format!("{agent} generation {generation}");
        match fleet.stream(agent, generation) {
            Some(stream) if !stream.ended => Ok(stream),
            Some(_ended) => {
                let hint = "ask the operator for a new enrolment token";
                let title = "the enrolment of this host was ended";
                Err(Wrong::new(Code::Revoked, title, hint).with(who))
            }
            None => {
                let title = "the host is not enrolled here";
                Err(Wrong::new(Code::UnknownHost, title, "enrol this host").with(who))
            }
        }
    }
}

/// Opens the listener of the settings.
///
/// # Errors
///
/// [`ServeError::Listen`].
pub async fn listen(config: &Config) -> Result<TcpListener, ServeError> {
    let address = config.intake.listen;
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen {
            address: address.to_string(),
            source,
        })
}

/// Serves agents until `stop` changes; then no new connection is taken and open ones end.
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
    let acceptor = TlsAcceptor::from(Arc::new(tls(&intake, Arc::clone(&certificate))?));
    let router = router(&intake);
    let connections = Arc::new(Semaphore::new(intake.config.intake.connections_max));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    let mut renewal = tokio::time::interval(RENEWAL);
    let _first_tick = renewal.tick().await;
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            _ = stop.changed() => return Ok(()),
        };
        let socket = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = renewal.tick() => {
                if let Err(error) = certificate.renew(&intake) {
                    tracing::error!(%error, "server certificate was not renewed");
                }
                continue;
            }
            _ = stop.changed() => return Ok(()),
        };
        match socket {
            Ok((socket, _address)) => {
                let connection = Connection {
                    acceptor: acceptor.clone(),
                    router: router.clone(),
                    intake: Arc::clone(&intake),
                    strangers: Arc::clone(&strangers),
                };
                let stop = stop.clone();
                drop(tokio::spawn(async move {
                    connection.run(socket, stop).await;
                    drop(permit);
                }));
            }
            // Out of file descriptors, or the peer is gone already: others must not suffer.
            Err(error) => {
                tracing::warn!(%error, "connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Everything one connection needs.
struct Connection {
    acceptor: TlsAcceptor,
    router: Router,
    intake: Arc<Intake>,
    strangers: Arc<Semaphore>,
}

impl Connection {
    async fn run(self, socket: TcpStream, mut stop: watch::Receiver<bool>) {
        let counters = &self.intake.counters;
        // A receipt is longer than one segment: its end must not wait for an acknowledgement.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "answers may be delayed");
        }
        let tls = match tokio::time::timeout(HANDSHAKE, self.acceptor.accept(socket)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                counters.count("handshake");
                tracing::debug!(%error, "handshake failed");
                return;
            }
            Err(_elapsed) => return counters.count("handshake-timeout"),
        };
        let peer = match tls.get_ref().1.peer_certificates() {
            Some([certificate, ..]) => {
                Peer(authority::agent_of(certificate, &self.intake.config.name))
            }
            _ => Peer(None),
        };
        let mut life = Duration::from_secs(self.intake.config.intake.connection_seconds);
        let mut place = None;
        if peer.0.is_none() {
            let Ok(permit) = self.strangers.try_acquire_owned() else {
                return counters.count("too-many-strangers");
            };
            place = Some(permit);
            life = STRANGER_LIFE;
        }
        let service = TowerToHyperService::new(self.router.layer(Extension(peer)));
        let mut connection = std::pin::pin!(
            hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(tls), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = tokio::time::sleep(life) => None,
            _ = stop.changed() => None,
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            let rest = Duration::from_secs(self.intake.config.intake.request_seconds);
            match tokio::time::timeout(rest, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => return counters.count("connection-cut"),
            }
        };
        if let Err(error) = ended {
            counters.count("connection-broken");
            tracing::debug!(%error, "connection ended early");
        }
        drop(place);
    }
}

fn router(intake: &Arc<Intake>) -> Router {
    use axum::routing::post;
    use shared::wire::{ENROL, ENROL_NONCE, HELLO, RENEW, SUBMIT, TIME};

    Router::new()
        .route(ENROL_NONCE, post(enrol::nonce))
        .route(ENROL, post(enrol::enrol))
        .route(RENEW, post(enrol::renew))
        .route(HELLO, post(submit::hello))
        .route(TIME, post(submit::time))
        .route(SUBMIT, post(submit::submit))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::not_found)
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(intake),
            answer::in_time,
        ))
        .with_state(Arc::clone(intake))
}

fn tls(intake: &Intake, certificate: Arc<Certificate>) -> Result<rustls::ServerConfig, ServeError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(intake.authority.certificate().clone())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
    let resolver: Arc<dyn ResolvesServerCert> = certificate;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The server certificate in use; it is replaced while connections go on.
#[derive(Debug)]
struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    fn new(intake: &Intake) -> Result<Self, ServeError> {
        Ok(Self(RwLock::new(Self::make(intake)?)))
    }

    fn make(intake: &Intake) -> Result<Arc<CertifiedKey>, ServeError> {
        let identity = intake
            .authority
            .issue_server(&intake.config.intake.names, intake.now())?;
        let provider = aws_lc_rs::default_provider();
        Ok(Arc::new(CertifiedKey::from_der(
            identity.chain,
            identity.key,
            &provider,
        )?))
    }

    fn renew(&self, intake: &Intake) -> Result<(), ServeError> {
        let made = Self::make(intake)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.0.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}
