//! The operator's socket: a Unix socket in the collector's folder, so whoever can open the folder
//! can ask the running collector. One line of JSON in, one line out, then it closes.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::cause::chain;
use shared::decision::{Decided, Imported, Revoked};
use shared::id::AgentId;
use shared::leaf::LeafKind;
use shared::time::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::{Intake, ServeError, enrol};
use crate::ledger::Ledger;
use crate::report::Report;
use crate::status::{Status, StatusError};

/// Name of the socket in the collector's folder.
pub const SOCKET: &str = "operator.sock";
/// Longest question.
const ASK_BYTES_MAX: u64 = 64 * 1024;
/// Longest answer that is read.
const TOLD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long one question may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A question or an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// Which controls hold.
    Status {
        /// Where the answer will be shown.
        screen: Screen,
    },
    /// End the enrolment of a host.
    Revoke {
        /// Name of the host.
        host: AgentId,
        /// Why.
        reason: String,
    },
    /// Put a list of vulnerabilities in force, which lies in the collector's folder.
    Import {
        /// What it is.
        list: Imported,
    },
}

/// Where a text will be shown.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screen {
    /// JSON is wanted.
    pub json: bool,
    /// Colours are wanted.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// What there is to say.
    pub text: String,
    /// Whether all that was checked held.
    pub held: bool,
    /// The order was not carried out; the text says why.
    pub refused: bool,
}

/// Asks the collector that runs in `dir`; `None` when none does.
///
/// # Errors
///
/// The error of the machine, or [`io::ErrorKind::InvalidData`] when the answer is none.
pub async fn ask(dir: &Path, ask: &Ask) -> io::Result<Option<Told>> {
    let mut socket = match UnixStream::connect(dir.join(SOCKET)).await {
        Ok(socket) => socket,
        // The socket of a collector that was killed is still there, and nobody answers.
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    socket.write_all(&line).await?;
    let mut answer = Vec::new();
    let mut socket = socket.take(TOLD_BYTES_MAX);
    let _length = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await??;
    Ok(Some(serde_json::from_slice(&answer)?))
}

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
    UnixListener::bind(&path).map_err(failed)
}

/// Answers operators until `stop` changes, and takes the socket away.
pub async fn serve(intake: Arc<Intake>, listener: UnixListener, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((socket, _address)) => {
                let intake = Arc::clone(&intake);
                drop(tokio::spawn(async move {
                    match tokio::time::timeout(PATIENCE, answer(&intake, socket)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(%error, "operator went away"),
                        Err(_elapsed) => tracing::warn!("operator's question took too long"),
                    }
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

async fn answer(intake: &Arc<Intake>, socket: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = socket.into_split();
    let mut line = String::new();
    let _length = BufReader::new(reading.take(ASK_BYTES_MAX))
        .read_line(&mut line)
        .await?;
    let told = match serde_json::from_str(&line) {
        Ok(ask) => carry_out(intake, ask).await,
        Err(error) => refused(format!("the question is not understood: {error}")),
    };
    writing.write_all(&serde_json::to_vec(&told)?).await
}

async fn carry_out(intake: &Arc<Intake>, ask: Ask) -> Told {
    match ask {
        Ask::Status { screen } => {
            let status = intake.status.read().unwrap_or_else(PoisonError::into_inner);
            let Some(status) = status.as_ref() else {
                return refused("the derived state is made again; ask again soon".to_owned());
            };
            match show(status, &intake.ledger, intake.now()) {
                Ok(report) => {
                    let (text, held) = render(&report.with_counters(intake.counters.all()), screen);
                    Told {
                        text,
                        held,
                        refused: false,
                    }
                }
                Err(error) => refused(chain(&error)),
            }
        }
        Ask::Import { list } => {
            let intake = Arc::clone(intake);
            tokio::spawn(async move { import(&intake, list).await })
                .await
                .unwrap_or_else(|_panicked| refused("the collector failed".to_owned()))
        }
        Ask::Revoke { host, reason } => {
            // To the end even when the operator hangs up: what the ledger says takes effect.
            let intake = Arc::clone(intake);
            tokio::spawn(async move { revoke(&intake, host, reason).await })
                .await
                .unwrap_or_else(|_panicked| refused("the collector failed".to_owned()))
        }
    }
}

/// The report of what the derived state knows of the ledger.
///
/// # Errors
///
/// [`StatusError`] when the derived state cannot be read.
pub fn show(status: &Status, ledger: &Ledger, now: Timestamp) -> Result<Report, StatusError> {
    let behind = ledger.published().size.saturating_sub(status.position()?);
    Ok(Report::of(status, now)?.behind(behind))
}

/// A report as a text, and whether all that it shows holds.
#[must_use]
pub fn render(report: &Report, screen: Screen) -> (String, bool) {
    let text = if screen.json {
        report.json()
    } else {
        report.screen(screen.width, screen.colour)
    };
    (text, report.holds())
}

async fn import(intake: &Intake, list: Imported) -> Told {
    let (publisher, records) = (list.publisher.clone(), list.records);
    let decided = Decided::Import(list);
    match enrol::decide(intake, LeafKind::Decision, decided, Vec::new()).await {
        Ok((_record, index)) => {
            tracing::info!(
                publisher,
                records,
                index,
                "list of vulnerabilities in force"
            );
            Told {
                text: format!("{records} vulnerabilities of {publisher} in force; entry {index}"),
                held: true,
                refused: false,
            }
        }
        Err(wrong) => refused(wrong.0.title),
    }
}

async fn revoke(intake: &Intake, agent: AgentId, reason: String) -> Told {
    let _one_at_a_time = intake.enrolling.lock().await;
    let newest = {
        let fleet = intake.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.newest(&agent)
    };
    let Some(stream) = newest.filter(|stream| !stream.ended) else {
        return refused(format!("`{agent}` is not enrolled"));
    };
    let generation = stream.generation;
    let decided = Decided::Revoke(Revoked {
        agent: agent.clone(),
        generation,
        reason,
    });
    match enrol::decide(intake, LeafKind::Revoke, decided, Vec::new()).await {
        Ok((_record, index)) => {
            tracing::info!(%agent, generation, index, "enrolment ended");
            let text = format!("enrolment {generation} of `{agent}` ended; entry {index}");
            Told {
                text,
                held: true,
                refused: false,
            }
        }
        Err(wrong) => refused(wrong.0.title),
    }
}

const fn refused(text: String) -> Told {
    Told {
        text,
        held: false,
        refused: true,
    }
}
