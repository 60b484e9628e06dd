//! What a host tells of itself and of other machines: observations of the probe `neighbours`.

use std::net::IpAddr;

use serde::Serialize;
use shared::fact::{Facts, Record, Value};
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::Told;
use crate::inventory::Machine;

/// How a machine is known to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It answered on the same network.
    Network,
    /// A log of its own is kept.
    LogSender,
    /// It may replicate a database.
    Replication,
    /// A backup tool has it in its settings.
    Backup,
    /// Its SSH host key is known.
    Ssh,
    /// It stands in `/etc/hosts`.
    HostsFile,
}

impl Way {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::LogSender => "log sender",
            Self::Replication => "replication",
            Self::Backup => "backup",
            Self::Ssh => "SSH host key",
            Self::HostsFile => "/etc/hosts",
        }
    }

    /// Whether the machine itself did something, and not only somebody who wrote settings.
    #[must_use]
    pub const fn is_sign_of_life(self) -> bool {
        match self {
            Self::Network | Self::LogSender => true,
            Self::Replication | Self::Backup | Self::Ssh | Self::HostsFile => false,
        }
    }

    /// All ways, by the fact that tells of them.
    const FACTS: [(&str, Self); 6] = [
        ("links", Self::Network),
        ("senders", Self::LogSender),
        ("peers", Self::Replication),
        ("clients", Self::Backup),
        ("known", Self::Ssh),
        ("hosts", Self::HostsFile),
    ];
}

/// What a host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Its name.
    pub name: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a host says of itself.
#[must_use]
pub fn own(facts: &Facts) -> Own {
    let name = match facts.get("name") {
        Some(Value::Text(name)) => Some(name.clone()),
        _ => None,
    };
    let addresses = list(facts, "addresses").iter().filter_map(address);
    let addresses = addresses.collect();
    Own { name, addresses }
}

/// What a host tells of other machines: who it is, when it was collected, and the record.
#[must_use]
pub fn told(facts: &Facts, about: (&AgentId, Timestamp, Digest)) -> Vec<Told> {
    let (by, at, record) = about;
    let mut all = Vec::new();
    for (fact, way) in Way::FACTS {
        for one in list(facts, fact) {
            let name = text(one, "name").and_then(Machine::read);
            let address = address(one);
            let Some(machine) = name.or(address.map(Machine::Address)) else {
                continue;
            };
            all.push(Told {
                address: address.filter(|_| matches!(machine, Machine::Name(_))),
                machine,
                mac: text(one, "mac").unwrap_or_default().to_owned(),
                way,
                by: by.clone(),
                at,
                record,
            });
        }
    }
    all
}

fn list<'a>(facts: &'a Facts, name: &str) -> &'a [Record] {
    match facts.get(name) {
        Some(Value::List(records)) => records,
        _ => &[],
    }
}

fn text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    match record.get(name) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    text(record, "address")?.parse().ok()
}
