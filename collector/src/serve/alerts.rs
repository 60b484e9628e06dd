//! Alerts of the collector at work: it looks at what is wrong, tells the engine, and says outside
//! that it is alive.
//!
//! A look is taken when the ledger has grown and every few seconds, and never so often that looks
//! take more than a twentieth of the time. While the derived state is made again nothing is looked
//! at: what is not known yet would count as over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use shared::cause::chain;
use shared::id::AgentId;
use shared::time::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{Clock, Intake};
use crate::alert::due::due;
use crate::alert::engine::{Deliver, Engine};
use crate::alert::outbox::OutboxError;
use crate::alert::quiet::Quiet;
use crate::alert::route::Routes;
use crate::alert::{Channel, DeliveryError, Ping};
use crate::assess::{AnswerError, Desk};
use crate::config::{self, Config};
use crate::drift::{self, Condition};
use crate::population::{self, PopulationError};
use crate::status::Status;

/// Folder of the outbox in the collector's folder.
pub const FOLDER: &str = "alerts";
/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// The shortest.
const BREATH: Duration = Duration::from_secs(1);
/// How often it is looked at who is missing or unknown, in milliseconds.
const CENSUS_MS: i64 = 10 * 60 * 1000;
/// How long the own listener may take to answer.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long deliveries may go on when the collector is told to stop.
const LAST_WORD: Duration = Duration::from_secs(6);
/// The longest rest after a look.
const REST_MAX: Duration = Duration::from_mins(1);
/// How long the first look may take before its absence is told.
const FIRST_LOOK: Duration = Duration::from_mins(5);
/// How often it is looked whether the first look was taken.
const POLL: Duration = Duration::from_millis(200);
/// Longer ago the last look must not be, in milliseconds, for the collector to be alive.
const LOOKED_MS: i64 = 5 * 60 * 1000;

/// A look did not come to its end.
#[derive(Debug, thiserror::Error)]
enum LookError {
    /// What is wrong cannot be told from the derived state.
    #[error("what is wrong is not known")]
    Answer(#[from] AnswerError),
    /// Who is missing cannot be told.
    #[error("the population is not known")]
    Population(#[from] PopulationError),
    /// The outbox cannot be kept.
    #[error("nobody can be told")]
    Outbox(#[from] OutboxError),
}

/// Who is missing or unknown, as it was looked at last.
#[derive(Debug, Default)]
struct Census {
    memory: population::Memory,
    at: Option<Timestamp>,
    found: Vec<Condition>,
}

/// All that is wrong, and the hosts that had no time yet to be heard.
type Found = (Vec<Condition>, BTreeSet<AgentId>);
/// When the engine was told last what is wrong.
type Looked = Arc<Mutex<Option<Timestamp>>>;

/// The engine of these settings, with its outbox in the collector's folder.
///
/// # Errors
///
/// [`OutboxError`]: the operator must look at the folder.
pub fn open(dir: &Path, config: &Config, clock: &Clock) -> Result<Engine, OutboxError> {
    let settings = &config.alert;
    let mut channels = BTreeMap::new();
    let mut known = Vec::new();
    for channel in &settings.channel {
        let opened = OnceLock::new();
        let mut forgets = None;
        match Channel::open(channel, dir) {
            Ok(open) => {
                forgets = open.resend();
                drop(opened.set(open));
            }
            // Evidence is taken in all the same, and the others are told.
            Err(error) => tracing::error!(error = chain(&error), "a channel cannot work"),
        }
        known.push((channel.name.as_str(), forgets));
        let way = (channel.clone(), dir.to_owned(), Arc::new(opened));
        let _new = channels.insert(channel.name.clone(), deliver(way, Arc::clone(clock)));
    }
    let routes = Routes::of(&settings.route, &known);
    let place = (config.name.clone(), dir.join(FOLDER));
    Engine::open(place, routes, channels, Arc::clone(clock))
}

/// Delivers by a channel; one that could not be opened is tried again each time.
fn deliver(
    way: (config::Channel, std::path::PathBuf, Arc<OnceLock<Channel>>),
    clock: Clock,
) -> Deliver {
    Arc::new(move |notice| {
        let ((settings, dir, opened), clock) = (way.clone(), Arc::clone(&clock));
        Box::pin(async move {
            if opened.get().is_none() {
                match Channel::open(&settings, &dir) {
                    Ok(open) => drop(opened.set(open)),
                    Err(error) => {
                        let (why, after) = (error.what, None);
                        return Err(DeliveryError::Again { why, after });
                    }
                }
            }
            match opened.get() {
                Some(channel) => channel.deliver(&notice, clock()).await,
                None => Ok(()),
            }
        })
    })
}

/// Tells people what is wrong until `stop` changes. `address` is that of the own listener.
pub async fn serve(
    intake: Arc<Intake>,
    engine: Arc<Engine>,
    address: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let looked = Looked::default();
    let mut tasks = JoinSet::new();
    let channels: Vec<String> = engine.channels().map(str::to_owned).collect();
    for channel in channels {
        let _task = tasks.spawn(Arc::clone(&engine).serve(channel, stop.clone()));
    }
    let begun = intake.now();
    let signal = signal(
        (Arc::clone(&intake), Arc::clone(&engine)),
        address,
        Arc::clone(&looked),
        stop.clone(),
    );
    let _task = tasks.spawn(signal);
    let Some(mut grown) = intake.ledger.grown() else {
        return;
    };
    let census = Arc::new(Mutex::new(Census::default()));
    let mut due = intake.ledger.published().size;
    while !*stop.borrow() {
        let taken = tokio::time::Instant::now();
        let (at, before) = (Arc::clone(&intake), due);
        due = intake.ledger.published().size;
        let (told, counted) = (Arc::clone(&engine), Arc::clone(&census));
        let look = tokio::task::spawn_blocking(move || look(&at, &told, &counted, (before, begun)));
        let look = look.await;
        match look {
            Ok(Ok(true)) => {
                *looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(intake.now());
            }
            Ok(Ok(false)) => tracing::debug!("the derived state is made again"),
            Ok(Err(error)) => {
                tracing::error!(error = chain(&error), "alerts are not looked at");
            }
            Err(error) => tracing::error!(%error, "a look at what is wrong broke off"),
        }
        let breath = taken.elapsed().saturating_mul(20);
        let breath = breath.clamp(BREATH, REST_MAX);
        tokio::select! {
            () = tokio::time::sleep(breath) => {}
            _ = stop.changed() => break,
        }
        tokio::select! {
            _ = grown.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.changed() => break,
        }
    }
    // What is left then is broken off, and told at the next start.
    let last = async { while tasks.join_next().await.is_some() {} };
    drop(tokio::time::timeout(LAST_WORD, last).await);
}

/// Whether the engine was told what is wrong: only when the derived state knows all entries that
/// there were at the look before.
fn look(
    intake: &Intake,
    engine: &Engine,
    census: &Mutex<Census>,
    (size, begun): (u64, Timestamp),
) -> Result<bool, LookError> {
    let now = intake.now();
    let mut census = census.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((conditions, unheard)) = conditions(intake, &mut census, (size, begun, now))? else {
        return Ok(false);
    };
    let mut quiet = Quiet::at(&intake.register(), now);
    quiet.unheard = unheard;
    engine.look(&conditions, &quiet)?;
    Ok(true)
}

/// Says outside, as long as all works, that it does.
async fn signal(
    (intake, engine): (Arc<Intake>, Arc<Engine>),
    address: SocketAddr,
    looked: Looked,
    mut stop: watch::Receiver<bool>,
) {
    let settings = &intake.config.alert.dead_man;
    let Some(url) = &settings.url else { return };
    let every = Duration::from_secs(settings.every_seconds.into());
    let authorities = settings.ca_file.as_ref().map(|file| intake.dir.join(file));
    let mut due = 0;
    let mut silent = false;
    // What was not looked at yet is no fault.
    let begun = tokio::time::Instant::now();
    let waits = || {
        looked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    };
    while waits() && begun.elapsed() < FIRST_LOOK {
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = stop.changed() => return,
        }
    }
    while !*stop.borrow() {
        let well = alive((&intake, &engine), address, &looked, due).await;
        due = intake.ledger.published().size;
        let sent = match well {
            Ok(()) => match Ping::open(url, authorities.as_deref()) {
                Ok(ping) => ping
                    .send(intake.now())
                    .await
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error),
            },
            Err(ill) => Err(ill),
        };
        match sent {
            Ok(()) => {
                if silent {
                    tracing::info!("the dead-man signal is sent again");
                }
                silent = false;
            }
            Err(reason) => {
                tracing::error!(reason, "the dead-man signal is not sent");
                silent = true;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Why the collector does not work, if it does not: ledger, follower, alerts, channels,
/// listener.
async fn alive(
    (intake, engine): (&Arc<Intake>, &Arc<Engine>),
    address: SocketAddr,
    looked: &Looked,
    due: u64,
) -> Result<(), String> {
    if !intake.ledger.is_running() {
        return Err("the ledger has stopped".to_owned());
    }
    let at = Arc::clone(intake);
    let position = tokio::task::spawn_blocking(move || {
        let status = at.status.read().unwrap_or_else(PoisonError::into_inner);
        status.as_ref().map(Status::position)
    });
    match position.await {
        Ok(Some(Ok(position))) if due <= position => {}
        _ => return Err("the derived state is behind the ledger".to_owned()),
    }
    let last = *looked.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| LOOKED_MS < intake.now().ms_since(last)) {
        return Err("nobody looks at what is wrong".to_owned());
    }
    if Arc::clone(engine).is_dumb().await {
        return Err("no alert channel takes anything".to_owned());
    }
    match tokio::time::timeout(HANDSHAKE, greet(intake, address)).await {
        Ok(greeted) => greeted,
        Err(_elapsed) => Err("the listener for agents does not answer".to_owned()),
    }
}

/// Shakes hands with the own listener, as an agent does.
async fn greet(intake: &Intake, mut address: SocketAddr) -> Result<(), String> {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    let wrong = |error: &dyn std::error::Error| format!("the listener for agents: {error}");
    let mut roots = RootCertStore::empty();
    let own = intake.authority.certificate().clone();
    roots.add(own).map_err(|error| wrong(&error))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = intake
        .config
        .intake
        .names
        .first()
        .cloned()
        .unwrap_or_default();
    let name = ServerName::try_from(name).map_err(|error| wrong(&error))?;
    let socket = TcpStream::connect(address).await;
    let socket = socket.map_err(|error| wrong(&error))?;
    let connector = TlsConnector::from(Arc::new(client));
    let greeted = connector.connect(name, socket).await;
    greeted.map(drop).map_err(|error| wrong(&error))
}

/// All that is wrong; `None` while the derived state does not know the first `size` entries.
fn conditions(
    intake: &Intake,
    census: &mut Census,
    (size, begun, now): (u64, Timestamp, Timestamp),
) -> Result<Option<Found>, LookError> {
    // A copy, so that nobody who decides waits for the look.
    let register = intake.register().clone();
    let derived = intake.status.read().unwrap_or_else(PoisonError::into_inner);
    let Some(status) = derived.as_ref() else {
        return Ok(None);
    };
    if status.position().map_err(AnswerError::from)? < size {
        return Ok(None);
    }
    let desk = Desk {
        status,
        register: &register,
        ledger: &intake.ledger,
        sla: intake.config.assess.sla_days.into(),
    };
    let (mut found, unheard) = drift::conditions(&desk, begun, now)?;
    found.extend(due(&register, now));
    let apart = census.at.map(|at| now.ms_since(at));
    if !apart.is_some_and(|ms| (0..CENSUS_MS).contains(&ms)) {
        let parts = (&intake.ledger, status, &register);
        let population = population::look(&mut census.memory, parts, now)?;
        census.found = drift::of_population(&population);
        census.at = Some(now);
    }
    found.extend(census.found.iter().cloned());
    Ok(Some((found, unheard)))
}
