//! The listener for log daemons: syslog over TLS, of which it keeps nothing but canaries.
//!
//! Each line is searched for a signed line of an enrolled host, and then dropped: this is no log
//! server. It is one more target of the daemons that forward logs, and what arrives here shows that
//! they do. A client needs no certificate: a line proves itself, whoever brings it. There is no
//! listener without TLS, so that what arrives here has come over an encrypted way, and so that
//! nobody sends logs in the clear because of it.
//!
//! Source: RFC 5425; both framings of RFC 6587.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use shared::canary::Canary;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::framing::Lines;
use super::{Certificate, HANDSHAKE, Intake, RENEWAL, ServeError};
use crate::config::{Config, Logs};
use crate::observer::Event;

/// Most bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that one connection may send in a second; a faster one is read more slowly.
const BYTES_PER_SECOND: u64 = 1024 * 1024;
/// What a canary counts for: 64 in a second, as each costs a signature to verify.
const CANARY_COST: u64 = 16 * 1024;
/// What passed-over bytes count for: they are told of 16 times in a second at most.
const HIDDEN_COST: u64 = 64 * 1024;
/// How long a connection may be open without a whole line: a place costs whoever takes it that.
const FIRST_LINE: Duration = Duration::from_mins(1);
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
    let places = Places::new(&intake.config.logs);
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
        match accepted.map(|(socket, from)| (socket, places.take(from.ip()))) {
            Ok((socket, Some(place))) => {
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
            Ok((_refused, None)) => {
                intake.counters.count("log-connection-refused");
                // Whatever it would have brought: no line counts as lost because of this.
                missed(&intake);
            }
            Err(error) => {
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

/// How many connections there may be, of all and of one address.
#[derive(Clone, Debug)]
struct Places {
    all: Arc<Semaphore>,
    per_address: usize,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
struct Place {
    _one: OwnedSemaphorePermit,
    address: IpAddr,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Places {
    fn new(logs: &Logs) -> Self {
        Self {
            all: Arc::new(Semaphore::new(logs.connections_max)),
            per_address: logs.connections_per_address_max,
            taken: Arc::default(),
        }
    }

    /// A place for a connection from there; `None` when there is none.
    fn take(&self, from: IpAddr) -> Option<Place> {
        let address = subscriber(from);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(&address).copied().unwrap_or(0);
        if self.per_address <= count {
            return None;
        }
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let _before = taken.insert(address, count.saturating_add(1));
        drop(taken);
        Some(Place {
            _one: one,
            address,
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.address).copied().unwrap_or(0);
        if left <= 1 {
            let _last = taken.remove(&self.address);
        } else {
            let _before = taken.insert(self.address, left.saturating_sub(1));
        }
    }
}

/// What counts as one address: of IPv6 the first 64 bits, as every subnet has that many (RFC 4291,
/// section 2.5.4), and whoever is in it can take any of them.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// How long a connection may be silent.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Until its first whole line.
    first: Duration,
    /// Afterwards.
    idle: Duration,
}

/// Why a connection is read no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The daemon, or this collector, ends.
    Gone,
    Idle,
    NoLine,
    /// Its messages cannot be told apart.
    Broken,
}

/// Reads lines until the connection ends. `line` takes each and gives how many canaries it had;
/// `hidden` is called when there was something that nobody looked at.
async fn read(
    mut stream: impl AsyncRead + Unpin,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
    mut line: impl FnMut(&[u8], bool) -> u64,
    hidden: impl Fn(),
) -> End {
    let first = Instant::now().checked_add(patience.first);
    let mut begun = false;
    let mut lines = Lines::default();
    let mut bytes = vec![0; READ_BYTES];
    let mut debt = 0_u64;
    let end = loop {
        let idle = Instant::now().checked_add(patience.idle);
        let until = if begun { idle } else { idle.min(first) };
        let until = until.unwrap_or_else(Instant::now);
        let came = tokio::select! {
            came = tokio::time::timeout_at(until, stream.read(&mut bytes)) => came,
            _ = stop.changed() => return End::Gone,
        };
        let count = match came {
            Ok(Ok(0)) => break End::Gone,
            Ok(Ok(count)) => count,
            Ok(Err(error)) => {
                // Many daemons end without the end of TLS.
                tracing::debug!(%error, "log daemon went away");
                break End::Gone;
            }
            Err(_elapsed) if begun => break End::Idle,
            Err(_elapsed) => break End::NoLine,
        };
        let mut canaries = 0_u64;
        lines.take(bytes.get(..count).unwrap_or_default(), |one, cut| {
            begun = true;
            canaries = canaries.saturating_add(line(one, cut));
        });
        if lines.hidden() {
            hidden();
            debt = debt.saturating_add(HIDDEN_COST);
        }
        if lines.broken() {
            return End::Broken;
        }
        debt = debt
            .saturating_add(canaries.saturating_mul(CANARY_COST))
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if DEBT < debt {
            let ms = debt.saturating_mul(1000) / BYTES_PER_SECOND;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            debt = 0;
        }
    };
    lines.finish(&mut |one: &[u8], cut| {
        let _last = line(one, cut);
    });
    end
}

/// Everything one connection needs.
struct Connection {
    acceptor: TlsAcceptor,
    intake: Arc<Intake>,
}

impl Connection {
    async fn run(self, socket: TcpStream, stop: watch::Receiver<bool>) {
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
        let idle = Duration::from_secs(self.intake.config.logs.idle_seconds);
        let patience = Patience {
            first: FIRST_LINE,
            idle,
        };
        let line = |line: &[u8], cut| self.line(line, cut);
        match read(&mut tls, patience, stop, line, || missed(&self.intake)).await {
            End::Gone => {}
            End::Idle => counters.count("log-connection-idle"),
            End::NoLine => counters.count("log-connection-no-line"),
            End::Broken => counters.count("log-connection-broken"),
        }
    }

    /// Looks at one line, and drops it; how many canaries stood in it.
    fn line(&self, line: &[u8], cut: bool) -> u64 {
        let counters = &self.intake.counters;
        counters.count("log-line");
        if cut {
            counters.count("log-line-cut");
        }
        let text = String::from_utf8_lossy(line);
        let mut canaries = 0_u64;
        for canary in Canary::all(&text) {
            self.canary(canary);
            canaries = canaries.saturating_add(1);
        }
        canaries
    }

    fn canary(&self, canary: Canary) {
        let counters = &self.intake.counters;
        if !self.enrolled(&canary) {
            counters.count("log-canary-false");
            tracing::debug!(agent = %canary.agent, "a log line bears no key that is enrolled");
            return;
        }
        counters.count("log-canary");
        let at = self.intake.now();
        if !self.intake.observer.tell(Event::Arrived { canary, at }) {
            counters.count("event-dropped");
        }
    }

    /// Whether the line was made with the key that its host has now.
    fn enrolled(&self, canary: &Canary) -> bool {
        let stream = self.intake.enrolled(&canary.agent, canary.generation);
        stream.is_ok_and(|stream| canary.verify(&stream.key).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const LONG: Duration = Duration::from_mins(10);
    const SHORT: Duration = Duration::from_millis(50);

    /// What is read of this, on a connection that stays open or ends: how it ended, which lines
    /// there were, and how often something was hidden.
    fn read_of(sent: &[u8], patience: (Duration, Duration), open: bool) -> (End, Vec<String>, u32) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut daemon, listener) = tokio::io::duplex(1024 * 1024);
            daemon.write_all(sent).await.unwrap();
            let daemon = open.then_some(daemon);
            let (_stop, stopped) = watch::channel(false);
            let (first, idle) = patience;
            let (lines, hidden) = (RefCell::default(), Cell::new(0));
            let line = |line: &[u8], _cut| {
                let text = String::from_utf8_lossy(line).into_owned();
                let mut lines: std::cell::RefMut<'_, Vec<String>> = lines.borrow_mut();
                lines.push(text);
                0
            };
            let count = || hidden.set(hidden.get() + 1);
            let end = read(listener, Patience { first, idle }, stopped, line, count).await;
            drop(daemon);
            (end, lines.into_inner(), hidden.get())
        })
    }

    #[test]
    fn a_connection_without_a_whole_line_ends_soon() {
        for sent in ["", "<1>begun", "9 <1>", "\n\n\n"] {
            let (end, _lines, hidden) = read_of(sent.as_bytes(), (SHORT, LONG), true);
            assert_eq!((end, hidden), (End::NoLine, 0), "{sent:?}");
        }
        let (end, lines, _hidden) = read_of(b"<1>a\n", (LONG, SHORT), true);
        assert_eq!((end, lines), (End::Idle, vec!["<1>a".to_owned()]));
        // The time for the first line is no limit of those after it.
        let (end, _lines, _hidden) = read_of(b"<1>a\n", (SHORT, SHORT * 2), true);
        assert_eq!(end, End::Idle);
        let (end, lines, _hidden) = read_of(b"<1>end", (LONG, LONG), false);
        assert_eq!((end, lines), (End::Gone, vec!["<1>end".to_owned()]));
    }

    #[test]
    fn what_nobody_looked_at_is_told() {
        let long = format!("<1>{}\n<1>b\n", "x".repeat(20_000));
        let (end, lines, hidden) = read_of(long.as_bytes(), (LONG, LONG), false);
        assert_eq!((end, lines.len()), (End::Gone, 2));
        assert!(0 < hidden);
        let (end, lines, hidden) = read_of(b"4 <1>a<1>b\n4 <1>c", (LONG, LONG), true);
        assert_eq!((end, lines), (End::Broken, vec!["<1>a".to_owned()]));
        assert_eq!(hidden, 1);
        let (_end, _lines, hidden) = read_of(b"<1>a\n<1>b\n", (LONG, LONG), false);
        assert_eq!(hidden, 0);
    }

    #[test]
    fn nobody_takes_all_places() {
        let places = Places::new(&Logs {
            connections_max: 3,
            connections_per_address_max: 2,
            ..Logs::default()
        });
        let take = |from: &str| places.take(from.parse().unwrap());
        let one = take("192.0.2.1").unwrap();
        let two = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        let other = take("2001:db8::1").unwrap();
        assert!(take("192.0.2.3").is_none(), "all are taken");
        drop(one);
        let again = take("2001:db8::2:3:4:5").unwrap();
        assert!(take("192.0.2.1").is_none(), "all are taken again");
        drop(two);
        assert!(take("2001:db8::6").is_none(), "one subnet");
        assert!(take("2001:db8:0:1::1").is_some());
        drop((other, again));
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
