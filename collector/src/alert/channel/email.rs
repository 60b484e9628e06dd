//! E-mail: one message to all receivers, over SMTP with TLS.
//!
//! The messages of an incident stand in one thread, and name themselves as made by a machine
//! (RFC 3834), so that no absence note answers. A receiver whom the server refuses for good does
//! not keep it from the others; one whom it refuses for now does, for then nobody has it yet and
//! all get it at the next attempt.
//!
//! Sources: RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 8314 (implicit TLS), RFC 5322 (message).

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use shared::time::Timestamp;

use super::super::{DeliveryError, Notice};
use super::wire::{self, Stream};
use super::{SecretFile, Trust, again, http, id, text};
use crate::config::{MailTls, Server};

/// Most conditions in a message.
const CONDITIONS_MAX: usize = 50;
/// How long a server that has the message may take to say good-bye.
const QUIT_TIME_MAX: Duration = Duration::from_secs(5);

/// People with a mailbox.
#[derive(Debug)]
pub(super) struct Email {
    server: Server,
    tls: MailTls,
    trust: Trust,
    login: Option<(String, SecretFile)>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Email {
    pub(super) fn open(
        (server, tls): (Server, MailTls),
        trust: Trust,
        login: Option<(String, SecretFile)>,
        (from, to): (Mailbox, Vec<Mailbox>),
    ) -> Result<Self, String> {
        if let Some((_user, secret)) = &login {
            let _readable = secret.read()?;
        }
        Ok(Self {
            server,
            tls,
            trust,
            login,
            from,
            to,
        })
    }

    pub(super) fn whom(&self) -> String {
        let to = self.to.iter().map(|one| one.email.to_string());
        format!("{} via {}", to.collect::<Vec<_>>().join(", "), self.server)
    }

    pub(super) async fn deliver(
        &self,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let message = self.message(notice, now)?.formatted();
        let mut server = self.connect(&notice.collector).await?;
        if let Some((user, secret)) = &self.login {
            let password = secret.now()?.expose().to_owned();
            let credentials = Credentials::new(user.clone(), password);
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let known = server.auth(&mechanisms, &credentials).await;
            let _known = known.map_err(|error| failed("the login", &error))?;
        }
        let from = Mail::new(Some(self.from.email.clone()), Vec::new());
        let begun = server.command(from).await;
        let _begun = begun.map_err(|error| failed("the sender", &error))?;
        let mut refused = Vec::new();
        for to in &self.to {
            let receiver = Rcpt::new(to.email.clone(), Vec::new());
            match server.command(receiver).await {
                Ok(_taken) => {}
                Err(error) if error.is_permanent() => {
                    refused.push(failed(to.email.as_ref(), &error));
                }
                Err(error) => return Err(failed(to.email.as_ref(), &error)),
            }
        }
        if let Some(first) = refused.first()
            && refused.len() == self.to.len()
        {
            return Err(first.clone());
        }
        let ready = server.command(Data).await;
        let _ready = ready.map_err(|error| failed("the message", &error))?;
        let taken = server.message(&message).await;
        let _taken = taken.map_err(|error| failed("the message", &error))?;
        // The server has it: how it says good-bye, or whether, changes nothing.
        let bye = async move { tokio::time::timeout(QUIT_TIME_MAX, server.quit()).await };
        drop(tokio::spawn(bye));
        for error in refused {
            tracing::warn!(server = %self.server, %error, "a receiver of alerts gets no mail");
        }
        Ok(())
    }

    /// A session in which everything that follows is closed to others.
    async fn connect(&self, collector: &str) -> Result<AsyncSmtpConnection, DeliveryError> {
        let hello = match collector.parse() {
            Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
            Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
            Err(_name) => ClientId::Domain(collector.to_owned()),
        };
        let wire = wire::connect(&self.server).await?;
        let stream = match self.tls {
            MailTls::Implicit => {
                let tls = self.trust.tls().map_err(again)?;
                Stream::Tls(Box::new(wire.encrypt(&self.server, tls).await?))
            }
            MailTls::StartTls | MailTls::None => Stream::Plain(wire),
        };
        let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
        let mut server = connected
            .await
            .map_err(|error| failed("the greeting", &error))?;
        if self.tls == MailTls::StartTls {
            let tls = self.start_tls().map_err(|error| failed("TLS", &error))?;
            let encrypted = server.starttls(tls, &hello).await;
            encrypted.map_err(|error| failed("STARTTLS", &error))?;
        }
        Ok(server)
    }

    /// The same trust, as the mail library takes it.
    fn start_tls(&self) -> Result<TlsParameters, SmtpError> {
        let mut tls = TlsParameters::builder(self.server.host.clone())
            .certificate_store(CertificateStore::None);
        for one in self.trust.certificates() {
            tls = tls.add_root_certificate(Certificate::from_der(one.to_vec())?);
        }
        tls.build_rustls()
    }

    fn message(&self, notice: &Notice, now: Timestamp) -> Result<Message, DeliveryError> {
        // A name may be an address with colons, which no message id has.
        let collector = notice.collector.replace(':', "-");
        let id = |number| format!("<{}@{collector}>", id(&notice.incident, number));
        let since = Duration::from_millis(u64::try_from(now.unix_ms()).unwrap_or_default());
        let date = SystemTime::UNIX_EPOCH.checked_add(since);
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut message = Message::builder()
            .from(self.from.clone())
            .date(date.unwrap_or(SystemTime::UNIX_EPOCH))
            .message_id(Some(id(notice.number)))
            .subject(text::headline(notice))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            message = message.to(to.clone());
        }
        if notice.number != 1 {
            message = message.in_reply_to(id(1)).references(id(1));
        }
        message
            .body(text::whole(notice, CONDITIONS_MAX))
            .map_err(|error| again(format!("no message can be made: {error}")))
    }
}

/// What the server did not take, and whether it may take it later.
fn failed(what: &str, error: &SmtpError) -> DeliveryError {
    let why = format!("{what}: {}", http::chain(error));
    if error.is_permanent() {
        DeliveryError::Refused(why)
    } else {
        again(why)
    }
}
