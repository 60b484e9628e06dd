//! Settings of alerts: the channels that carry them to people.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use lettre::message::Mailbox;
use reqwest::Url;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::route::{self, DeadMan, Route};
use super::value::{refused, upto};
use crate::fault::Complaint;

/// Longest name of a channel.
const NAME_BYTES_MAX: usize = 64;
/// Most receivers of one mail.
const RECEIVERS_MAX: usize = 50;
/// Where events for PagerDuty go, unless the account is one of another region.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// How long an alert stands in Alertmanager when nothing more is heard of it.
const LASTS_HOURS: u64 = 168;
/// How long one delivery may take.
const TIMEOUT_SECONDS: u64 = 30;

/// Who is told, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alert {
    /// The channels; their names differ.
    #[serde(skip)]
    pub channel: Vec<Channel>,
    /// The same as they are written, until they are checked.
    #[serde(rename = "channel")]
    written: Vec<Written>,
    /// Which channel is told of what, in this order.
    pub route: Vec<Route>,
    /// The signal outward that the collector works.
    pub dead_man: DeadMan,
}

impl Alert {
    /// Names of the channels.
    #[must_use]
    pub fn channels(&self) -> Vec<&str> {
        let channels = self.channel.iter();
        channels.map(|channel| channel.name.as_str()).collect()
    }

    /// Checks what the parts say of each other.
    pub(super) fn check(&mut self) -> Result<(), Complaint> {
        let mut names = BTreeSet::new();
        for written in std::mem::take(&mut self.written) {
            let name = written.name.clone();
            let complain = |(what, hint)| Complaint::new(name.span(), what).hint(hint);
            if !names.insert(name.get_ref().0.clone()) {
                let what = format!("two channels are named {:?}", name.get_ref().0);
                return Err(complain((what, "give each a name of its own".to_owned())));
            }
            self.channel.push(written.channel().map_err(complain)?);
        }
        route::check(&self.route, &self.channels())
    }
}

/// A way to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// What routes call it: at most 64 of letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Whom it reaches.
    pub to: Receiver,
    /// File with the authorities that may vouch for the receiver, in PEM, from the collector's
    /// folder; `None` for those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// How long one delivery may take, in seconds.
    pub timeout_seconds: u64,
}

/// Whom a channel reaches. Files are looked for from the collector's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A program that takes signed JSON.
    Webhook {
        /// Its address.
        url: Url,
        /// File with the keys of the signature.
        secret_file: PathBuf,
    },
    /// A channel of Slack; its address is a secret.
    Slack {
        /// File with the address of the incoming webhook.
        secret_file: PathBuf,
    },
    /// People with a mailbox.
    Email {
        /// The mail server.
        server: Server,
        /// How the way to it is closed to others.
        tls: MailTls,
        /// Who sends, to the server, and the file with the password; `None` for nobody.
        login: Option<(String, PathBuf)>,
        /// Who sends, to the receivers.
        from: Mailbox,
        /// Who receives; at least one.
        to: Vec<Mailbox>,
    },
    /// A service of PagerDuty.
    PagerDuty {
        /// Where it takes events.
        url: Url,
        /// File with the integration key.
        secret_file: PathBuf,
    },
    /// An Alertmanager of Prometheus.
    Alertmanager {
        /// Its address, without `/api/v2`.
        url: Url,
        /// User for basic authentication; without one the secret is a bearer token.
        user: Option<String>,
        /// File with the password or the token; `None` when it asks for none.
        secret_file: Option<PathBuf>,
        /// How long an alert stands when nothing more is heard of it, in hours.
        lasts_hours: u64,
    },
    /// A log daemon.
    Syslog {
        /// Its address.
        server: Server,
        /// The way to it.
        transport: Transport,
    },
}

/// How the way to a mail server is closed to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// TLS after a first word in the clear; without TLS nothing is sent (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// None; only to this machine itself.
    None,
}

/// The way to a log daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 5425.
    Tls,
    /// RFC 6587, counted octets: in the clear.
    Tcp,
    /// RFC 5426: in the clear, and nobody learns of a loss.
    Udp,
}

/// A host or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address, without brackets.
    pub host: String,
    /// Port, from 1.
    pub port: u16,
}

impl Server {
    /// Whether it is this machine itself.
    #[must_use]
    pub fn is_local(&self) -> bool {
        local(&self.host)
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A host that is this machine itself: what is sent to it crosses no wire (RFC 6761, 6.3).
fn local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    loopback || host.eq_ignore_ascii_case("localhost")
}

/// The kinds, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Webhook,
    Slack,
    Email,
    PagerDuty,
    Alertmanager,
    Syslog,
}

/// A channel as it is written: the settings of all kinds, each read where it stands, so that what
/// is wrong is marked alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Spanned<Name>,
    kind: Kind,
    #[serde(default, deserialize_with = "url")]
    url: Option<Url>,
    #[serde(default, deserialize_with = "server")]
    server: Option<Server>,
    #[serde(default, deserialize_with = "file")]
    secret_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "file")]
    ca_file: Option<PathBuf>,
    user: Option<String>,
    tls: Option<MailTls>,
    #[serde(default, deserialize_with = "mailbox")]
    from: Option<Mailbox>,
    #[serde(default, deserialize_with = "mailboxes")]
    to: Option<Vec<Mailbox>>,
    transport: Option<Transport>,
    in_the_clear: Option<bool>,
    #[serde(default, deserialize_with = "hours")]
    lasts_hours: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    timeout_seconds: Option<u64>,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Email => "email",
            Self::PagerDuty => "pagerduty",
            Self::Alertmanager => "alertmanager",
            Self::Syslog => "syslog",
        }
    }
}

/// What is wrong with a channel as a whole, and what to do.
type Wrong = (String, String);

impl Written {
    /// The channel, when it has what its kind needs and nothing else.
    fn channel(mut self) -> Result<Channel, Wrong> {
        let to = self.receiver()?;
        if let Some(left) = self.left() {
            let what = format!("a channel of kind {} has no `{left}`", self.kind.as_str());
            return Err((what, "remove it, or change `kind`".to_owned()));
        }
        Ok(Channel {
            name: self.name.into_inner().0,
            to,
            ca_file: self.ca_file,
            timeout_seconds: self.timeout_seconds.unwrap_or(TIMEOUT_SECONDS),
        })
    }

    /// Takes what the kind needs.
    fn receiver(&mut self) -> Result<Receiver, Wrong> {
        let kind = self.kind;
        Ok(match kind {
            Kind::Webhook => Receiver::Webhook {
                url: needed(kind, "url", self.url.take())?,
                secret_file: needed(kind, "secret_file", self.secret_file.take())?,
            },
            Kind::Slack => Receiver::Slack {
                secret_file: needed(kind, "secret_file", self.secret_file.take())?,
            },
            Kind::Email => self.email()?,
            Kind::PagerDuty => Receiver::PagerDuty {
                url: match self.url.take() {
                    Some(url) => url,
                    None => {
                        Url::parse(PAGERDUTY).map_err(|error| (error.to_string(), String::new()))?
                    }
                },
                secret_file: needed(kind, "secret_file", self.secret_file.take())?,
            },
            Kind::Alertmanager => {
                let (user, secret_file) = (self.user.take(), self.secret_file.take());
                if user.is_some() && secret_file.is_none() {
                    return Err(unpaired());
                }
                Receiver::Alertmanager {
                    url: needed(kind, "url", self.url.take())?,
                    user,
                    secret_file,
                    lasts_hours: self.lasts_hours.take().unwrap_or(LASTS_HOURS),
                }
            }
            Kind::Syslog => {
                let server = needed(kind, "server", self.server.take())?;
                let transport = self.transport.take().unwrap_or(Transport::Tls);
                let clear = self.in_the_clear.take().unwrap_or_default();
                if transport != Transport::Tls && !clear && !server.is_local() {
                    let hint =
                        "write transport = \"tls\", or in_the_clear = true if that is accepted";
                    return Err((
                        format!("whoever is between could read and change what goes to {server}"),
                        hint.to_owned(),
                    ));
                }
                Receiver::Syslog { server, transport }
            }
        })
    }

    fn email(&mut self) -> Result<Receiver, Wrong> {
        let kind = self.kind;
        let login = match (self.user.take(), self.secret_file.take()) {
            (Some(user), Some(file)) => Some((user, file)),
            (None, None) => None,
            (_, _) => return Err(unpaired()),
        };
        let server = needed(kind, "server", self.server.take())?;
        let tls = self.tls.take().unwrap_or(MailTls::StartTls);
        if tls == MailTls::None && !server.is_local() {
            let hint = "write tls = \"starttls\" or \"implicit\"; only a server on this machine \
                        may do without";
            let what = format!("mail to {server} would go in the clear");
            return Err((what, hint.to_owned()));
        }
        Ok(Receiver::Email {
            server,
            tls,
            login,
            from: needed(kind, "from", self.from.take())?,
            to: needed(kind, "to", self.to.take())?,
        })
    }

    /// A setting that the kind did not take.
    fn left(&self) -> Option<&'static str> {
        [
            (self.url.is_some(), "url"),
            (self.server.is_some(), "server"),
            (self.secret_file.is_some(), "secret_file"),
            (self.user.is_some(), "user"),
            (self.tls.is_some(), "tls"),
            (self.from.is_some(), "from"),
            (self.to.is_some(), "to"),
            (self.transport.is_some(), "transport"),
            (self.in_the_clear.is_some(), "in_the_clear"),
            (self.lasts_hours.is_some(), "lasts_hours"),
        ]
        .into_iter()
        .find_map(|(there, name)| there.then_some(name))
    }
}

fn needed<T>(kind: Kind, name: &str, given: Option<T>) -> Result<T, Wrong> {
    given.ok_or_else(|| {
        let what = format!("a channel of kind {} needs `{name}`", kind.as_str());
        (what, "README.md has an example of each".to_owned())
    })
}

fn unpaired() -> Wrong {
    let hint = "write both `user` and `secret_file`, or neither";
    let what = "a user and a secret belong together";
    (what.to_owned(), hint.to_owned())
}

/// The name of a channel, so that a wrong one is marked alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Name(#[serde(deserialize_with = "name")] String);

fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain) {
        return Ok(name);
    }
    let what = format!("{name:?} is no name of a channel");
    let hint = "write letters, digits, `.`, `_` and `-`, 64 at most";
    Err(refused(&what, hint))
}

/// An address that only the receiver can read, or that does not leave this machine.
fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let given = String::deserialize(from)?;
    reach(&given)
        .map(Some)
        .map_err(|hint| refused("this address cannot be used", hint))
}

/// Reads the address of a receiver; the error says what to write.
pub(crate) fn reach(given: &str) -> Result<Url, &'static str> {
    let url = Url::parse(given).map_err(|_form| "write e.g. \"https://alerts.example/hook\"")?;
    let host = url.host_str().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() {
        return Err("settings are no place for a password; write `secret_file`");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if local(host) => Ok(url),
        _ => Err("write https://; http:// only reaches this machine itself"),
    }
}

fn server<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Server>, D::Error> {
    let given = String::deserialize(from)?;
    given.parse().map(Some).map_err(|()| {
        let what = format!("{given:?} is no server with a port");
        refused(&what, "write e.g. \"mail.example:587\" or \"[::1]:6514\"")
    })
}

impl FromStr for Server {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (host, port) = text.rsplit_once(':').ok_or(())?;
        let port = port.parse().map_err(|_form| ())?;
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let known = rustls::pki_types::ServerName::try_from(bare.unwrap_or(host)).is_ok();
        if port == 0 || !known || (bare.is_none() && host.contains(':')) {
            return Err(());
        }
        let host = bare.unwrap_or(host).to_owned();
        Ok(Self { host, port })
    }
}

fn file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.as_os_str().is_empty() {
        return Err(refused("there is no name of a file", "write its path"));
    }
    Ok(Some(path))
}

fn mailbox<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Mailbox>, D::Error> {
    let given = String::deserialize(from)?;
    // A domain with other letters has an ASCII form (RFC 5891), which every server takes.
    match given.parse::<Mailbox>() {
        Ok(mailbox) if AsRef::<str>::as_ref(&mailbox.email).is_ascii() => Ok(Some(mailbox)),
        _ => {
            let what = format!("{given:?} is no mail address");
            let hint = "write e.g. \"ops@example.org\" or \"Operations <ops@example.org>\"";
            Err(refused(&what, hint))
        }
    }
}

fn mailboxes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Mailbox>>, D::Error> {
    /// One address, so that what is wrong is marked alone.
    #[derive(Deserialize)]
    struct One(#[serde(deserialize_with = "mailbox")] Option<Mailbox>);

    let all = Vec::<One>::deserialize(from)?;
    if !(1..=RECEIVERS_MAX).contains(&all.len()) {
        let hint = format!("write 1 to {RECEIVERS_MAX} addresses, or that of a list");
        let what = format!("{} mail addresses are given", all.len());
        return Err(refused(&what, &hint));
    }
    Ok(Some(all.into_iter().filter_map(|one| one.0).collect()))
}

fn hours<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    upto::<8_760, _, _>(from).map(Some)
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    upto::<300, _, _>(from).map(Some)
}
