//! Channels: the ways by which a notice reaches people, each in the language of its receiver.
//!
//! Rules that hold for all of them:
//!
//! - TLS is verified always, against the authorities of this machine or those in `ca_file`. No
//!   proxy, no redirect. In the clear only as far as the settings permit.
//! - One delivery ends in `timeout_seconds`, and an answer is read up to a bound: no receiver can
//!   hold a delivery or fill the memory.
//! - Secrets lie in files that only their owner may read. They are read at each delivery, so a new
//!   one counts at once, and they stand in no log line and in no error.
//! - A host may say what it likes: in a notice its words are one line of visible characters,
//!   shortened, and escaped as the receiver requires ([`text`]).
//! - A notice may arrive twice, when an answer got lost. Each channel sends what tells a receiver
//!   that it is the same one: a key of the incident, or an id of the message.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use shared::id::Digest;
use shared::time::Timestamp;

use super::{DeliveryError, Notice};
use crate::config::{self, MailTls, Receiver};

mod secret;
mod text;
mod trust;
mod http;
mod webhook;
mod ping;
mod slack;
mod pagerduty;
mod alertmanager;
mod wire;
mod email;
mod syslog;

use alertmanager::Alertmanager;
use email::Email;
use http::Http;
use pagerduty::PagerDuty;
pub use ping::Ping;
use secret::SecretFile;
use slack::Slack;
use syslog::Syslog;
use trust::Trust;
use webhook::Webhook;

/// A way to tell people.
#[derive(Debug)]
pub struct Channel {
    name: String,
    limit: Duration,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Webhook(Webhook),
    Slack(Slack),
    Email(Box<Email>),
    PagerDuty(PagerDuty),
    Alertmanager(Alertmanager),
    Syslog(Syslog),
}

/// A channel cannot work as it is set. The operator must correct its settings or files.
#[derive(Debug, thiserror::Error)]
#[error("channel `{channel}`: {what}")]
pub struct ChannelError {
    /// Its name.
    pub channel: String,
    /// What is wrong, without any secret.
    pub what: String,
}

impl Channel {
    /// Makes a channel; files are looked for from `folder`, and looked at once.
    ///
    /// # Errors
    ///
    /// [`ChannelError`] when a file cannot be read, others may read a secret, or what is in it
    /// cannot be used.
    pub fn open(settings: &config::Channel, folder: &Path) -> Result<Self, ChannelError> {
        let way = Way::open(settings, folder).map_err(|what| ChannelError {
            channel: settings.name.clone(),
            what,
        })?;
        Ok(Self {
            name: settings.name.clone(),
            limit: Duration::from_secs(settings.timeout_seconds),
            way,
        })
    }

    /// What routes call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kind and whom it reaches, without secrets, for lists.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.way {
            Way::Webhook(way) => format!("webhook to {}", way.whom()),
            Way::Slack(way) => format!("slack via {}", way.whom()),
            Way::Email(way) => format!("email to {}", way.whom()),
            Way::PagerDuty(way) => format!("pagerduty via {}", way.whom()),
            Way::Alertmanager(way) => format!("alertmanager at {}", way.whom()),
            Way::Syslog(way) => format!("syslog to {}", way.whom()),
        }
    }

    /// After how long a notice that still holds must be sent again, so that the receiver does not
    /// take the silence for the end; `None` where it waits for the end.
    #[must_use]
    pub fn resend(&self) -> Option<Duration> {
        match &self.way {
            Way::Alertmanager(way) => Some(way.resend()),
            Way::Webhook(_)
            | Way::Slack(_)
            | Way::Email(_)
            | Way::PagerDuty(_)
            | Way::Syslog(_) => None,
        }
    }

    /// Delivers a notice; `now` is the time of this attempt.
    ///
    /// # Errors
    ///
    /// [`DeliveryError::Again`] when nobody answered in time, nobody who can prove who he is, or
    /// not now; also when a secret cannot be read here: nobody has refused the notice yet.
    /// [`DeliveryError::Refused`] when the receiver does not take it as it is.
    pub async fn deliver(&self, notice: &Notice, now: Timestamp) -> Result<(), DeliveryError> {
        let delivered = async {
            match &self.way {
                Way::Webhook(way) => way.deliver(notice, now).await,
                Way::Slack(way) => way.deliver(notice, now).await,
                Way::Email(way) => way.deliver(notice, now).await,
                Way::PagerDuty(way) => way.deliver(notice, now).await,
                Way::Alertmanager(way) => way.deliver(notice, now).await,
                Way::Syslog(way) => way.deliver(notice).await,
            }
        };
        match tokio::time::timeout(self.limit, delivered).await {
            Ok(delivered) => delivered,
            Err(_elapsed) => {
                let seconds = self.limit.as_secs();
                Err(again(format!("there was no answer in {seconds} s")))
            }
        }
    }
}

impl Way {
    fn open(settings: &config::Channel, folder: &Path) -> Result<Self, String> {
        let file = |path: &Path| SecretFile::new(folder.join(path));
        let authorities = settings.ca_file.as_ref().map(|path| folder.join(path));
        let limit = Duration::from_secs(settings.timeout_seconds);
        let trust = || Trust::new(authorities.as_deref());
        // Who is asked in the clear, on this machine itself, needs nobody to vouch for him.
        let trust_if = |needed| {
            if needed { trust() } else { Ok(Trust::nobody()) }
        };
        let http = |url: &Url| Http::new(&trust_if(url.scheme() != "http")?);
        Ok(match &settings.to {
            Receiver::Webhook { url, secret_file } => {
                Self::Webhook(Webhook::open(http(url)?, url.clone(), file(secret_file))?)
            }
            Receiver::Slack { secret_file } => {
                Self::Slack(Slack::open(Http::new(&trust()?)?, file(secret_file))?)
            }
            Receiver::Email {
                server,
                tls,
                login,
                from,
                to,
            } => {
                let login = login
                    .as_ref()
                    .map(|(user, path)| (user.clone(), file(path)));
                let envelope = (from.clone(), to.clone());
                let trust = trust_if(*tls != MailTls::None)?;
                let server = server.clone();
                Self::Email(Box::new(Email::open(
                    (server, *tls),
                    trust,
                    login,
                    envelope,
                )?))
            }
            Receiver::PagerDuty { url, secret_file } => {
                Self::PagerDuty(PagerDuty::open(http(url)?, url.clone(), file(secret_file))?)
            }
            Receiver::Alertmanager {
                url,
                user,
                secret_file,
                lasts_hours,
            } => {
                let secret = secret_file.as_ref().map(|path| file(path));
                let login = secret.map(|secret| (user.clone(), secret));
                let lasts = Duration::from_hours(*lasts_hours);
                Self::Alertmanager(Alertmanager::open(http(url)?, url, login, lasts)?)
            }
            Receiver::Syslog { server, transport } => {
                Self::Syslog(Syslog::open(server.clone(), *transport, trust, limit)?)
            }
        })
    }
}

/// The same for each attempt of the same notice, and for no other one.
fn id(incident: &str, number: u64) -> String {
    let digest = Digest::of(format!("{incident} {number}").as_bytes()).to_string();
    let hex = digest.chars().filter(char::is_ascii_hexdigit);
    format!("msg_{}", hex.take(32).collect::<String>())
}

/// It is tried again, as soon as the sender likes.
fn again(why: impl Into<String>) -> DeliveryError {
    let why = why.into();
    DeliveryError::Again { why, after: None }
}
