//! Syslog: one message with structured data, over TLS, TCP or UDP.
//!
//! Syslog has no answer. Over TLS and TCP the delivery counts when the daemon has closed the
//! connection in order after we did, which it does when it has read everything; a daemon that just
//! leaves its side open is believed after a while. Over UDP nobody learns of a loss.
//!
//! Structured data: `[evident@32473 incident=".." number=".." ..]`, where host, check, control and
//! evidence may stand more than once. 32473 is the number that RFC 5612 sets aside for names of
//! nobody: we have no number of our own.
//!
//! Sources: RFC 5424 (message), RFC 5425 (TLS), RFC 6587 3.4.1 (counted octets over TCP), RFC 5426
//! (UDP).

use std::fmt::Write as _;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use super::super::{DeliveryError, Notice, Occasion};
use super::{Trust, again, text, wire};
use crate::catalog::Severity;
use crate::config::{Server, Transport};
use crate::drift::Condition;

/// Facility `local0`, as a part of the priority.
const FACILITY: u8 = 16 * 8;
/// Longest message: what a receiver should take over TLS, and what over UDP.
const STREAM_BYTES_MAX: usize = 8192;
const DATAGRAM_BYTES_MAX: usize = 2048;
/// Most conditions whose names stand in the structured data, over TLS and over UDP.
const STREAM_CONDITIONS_MAX: usize = 10;
const DATAGRAM_CONDITIONS_MAX: usize = 2;
/// Most controls and evidence ids for a condition.
const NAMES_MAX: usize = 3;
/// Longest value in the structured data.
const VALUE_CHARS_MAX: usize = 120;
/// How long a daemon may leave its side open.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);

/// A log daemon.
#[derive(Debug)]
pub(super) struct Syslog {
    server: Server,
    way: Way,
    close: Duration,
}

#[derive(Debug)]
enum Way {
    Tls(Box<ClientConfig>),
    Tcp,
    Udp,
}

impl Syslog {
    pub(super) fn open(
        server: Server,
        transport: Transport,
        trust: impl FnOnce() -> Result<Trust, String>,
        limit: Duration,
    ) -> Result<Self, String> {
        let way = match transport {
            Transport::Tls => Way::Tls(Box::new(trust()?.tls()?)),
            Transport::Tcp => Way::Tcp,
            Transport::Udp => Way::Udp,
        };
        let close = CLOSE_TIME_MAX.min(limit / 2);
        Ok(Self { server, way, close })
    }

    pub(super) fn whom(&self) -> String {
        let way = match self.way {
            Way::Tls(_) => "TLS",
            Way::Tcp => "TCP",
            Way::Udp => "UDP",
        };
        format!("{} over {way}", self.server)
    }

    pub(super) async fn deliver(&self, notice: &Notice) -> Result<(), DeliveryError> {
        let message = message(notice, STREAM_CONDITIONS_MAX, STREAM_BYTES_MAX);
        match &self.way {
            Way::Tls(tls) => {
                let wire = wire::connect(&self.server).await?;
                let stream = wire.encrypt(&self.server, *tls.clone()).await?;
                self.send(stream, &message).await
            }
            Way::Tcp => {
                self.send(wire::connect(&self.server).await?, &message)
                    .await
            }
            Way::Udp => {
                let message = self::message(notice, DATAGRAM_CONDITIONS_MAX, DATAGRAM_BYTES_MAX);
                self.throw(&message).await
            }
        }
    }

    /// Sends one message with its length before it, and waits until the daemon has closed too.
    async fn send<S>(&self, mut stream: S, message: &str) -> Result<(), DeliveryError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let failed = |error| again(format!("the connection to {} broke: {error}", self.server));
        let framed = format!("{} {message}", message.len());
        stream.write_all(framed.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        stream.shutdown().await.map_err(failed)?;
        let closed = async {
            let mut said = [0; 512];
            loop {
                match stream.read(&mut said).await {
                    Ok(0) => return Ok(()),
                    Ok(_said) => {}
                    // Closed, only without the last word of TLS.
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        return Ok(());
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        match tokio::time::timeout(self.close, closed).await {
            Ok(closed) => closed,
            Err(_left_open) => Ok(()),
        }
    }

    async fn throw(&self, message: &str) -> Result<(), DeliveryError> {
        let failed = |error| again(format!("cannot send to {}: {error}", self.server));
        let target = (self.server.host.as_str(), self.server.port);
        let mut all = tokio::net::lookup_host(target).await.map_err(failed)?;
        let Some(target) = all.next() else {
            return Err(again(format!("{} has no address", self.server)));
        };
        let any = if target.is_ipv6() {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        };
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        let sent = socket.send_to(message.as_bytes(), target).await;
        sent.map(drop).map_err(failed)
    }
}

/// The message of RFC 5424, section 6.
fn message(notice: &Notice, conditions_max: usize, bytes_max: usize) -> String {
    let severity = match (notice.occasion, notice.severity) {
        (Occasion::Resolved | Occasion::Acknowledged | Occasion::Test, _) => 6,
        (_, Severity::Critical) => 2,
        (_, Severity::High) => 3,
        (_, Severity::Medium) => 4,
        (_, Severity::Low) => 5,
    };
    let priority = FACILITY | severity;
    let (at, occasion) = (notice.at, text::occasion(notice.occasion));
    let host = if notice.collector.is_empty() {
        "-"
    } else {
        &notice.collector
    };
    let data = data(notice, conditions_max);
    let head = format!("<{priority}>1 {at} {host} evident-collector - {occasion} {data} ");
    let mut words = text::headline(notice);
    if let Some(first) = notice.conditions.first() {
        let first = text::condition(first);
        let first = first.lines().next().unwrap_or_default();
        words = format!("{words} - {first}");
        if let Some(rest) = text::rest(notice, 1) {
            words = format!("{words} ({rest})");
        }
    }
    // Words in UTF-8 begin with a mark (section 6.4); those in ASCII need none.
    let mark = if words.is_ascii() { "" } else { "\u{feff}" };
    let mut message = format!("{head}{mark}{words}");
    message.truncate(message.floor_char_boundary(bytes_max));
    message
}

/// The structured data.
fn data(notice: &Notice, conditions_max: usize) -> String {
    let mut data = "[evident@32473".to_owned();
    let mut put = |name: &str, value: &str| {
        let value = text::line(value, VALUE_CHARS_MAX);
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let value = value.replace(']', "\\]");
        let _always = write!(data, " {name}=\"{value}\"");
    };
    put("incident", &notice.incident);
    put("number", &notice.number.to_string());
    put("occasion", text::occasion(notice.occasion));
    put("severity", notice.severity.as_str());
    put("since", &notice.since.to_string());
    put("conditions", &notice.count.to_string());
    let shown = || notice.conditions.iter().take(conditions_max);
    for (name, values) in [
        (
            "host",
            once(shown(), |one| {
                one.host.iter().map(ToString::to_string).collect()
            }),
        ),
        (
            "check",
            once(shown(), |one| one.check.iter().cloned().collect()),
        ),
        ("control", once(shown(), |one| one.controls.clone())),
        (
            "evidence",
            once(shown(), |one| {
                one.evidence.iter().map(ToString::to_string).collect()
            }),
        ),
    ] {
        for value in values {
            put(name, &value);
        }
    }
    data.push(']');
    data
}

/// The names of the conditions, each once.
fn once<'a>(
    conditions: impl Iterator<Item = &'a Condition>,
    names: impl Fn(&Condition) -> Vec<String>,
) -> Vec<String> {
    let mut all = Vec::new();
    for condition in conditions {
        for name in names(condition).into_iter().take(NAMES_MAX) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
    }
    all
}
