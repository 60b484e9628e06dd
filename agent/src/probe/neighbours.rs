//! The neighbours probe: which other machines this host knows of, by its network, files and work.
//!
//! Sources: `/proc/net/arp` and rtnetlink; `/etc/hosts`; the host keys that SSH knows; folders and
//! journals that a log host keeps for each sender; settings of backup tools; `pg_hba.conf`. Rights:
//! root for root's own files and for those of daemons. `Absent` is never said: a host that knows
//! nobody says so with counts of zero.
//!
//! Told are names and addresses, never users or keys. A name that is hashed is counted.
//! Repositories of restic and borg encrypt the names of their hosts and are left alone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use shared::fact::{Record, Subject, Value};
use shared::observation::{Means, Status};

use super::{Probe, Scene, Seen, settings};
use crate::host::{Host, Unseen};

mod links;
mod names;
mod senders;
mod clients;
mod peers;

/// Longest name of a machine: RFC 1035 section 2.3.4.
const NAME_BYTES_MAX: usize = 253;
/// Most machines that are remembered of one kind of source; a longer list is cut in the end.
const MACHINES_MAX: usize = 16 * 1024;

/// Looks at what this host knows of others.
#[derive(Debug)]
pub struct Neighbours;

impl Probe for Neighbours {
    fn subject(&self) -> &'static Subject {
        &shared::fact::neighbours::SUBJECT
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        names::own(host, &mut seen);
        links::own(host, &mut seen);
        links::look(host, &mut seen);
        names::hosts(host, &mut seen);
        names::known(host, &mut seen);
        let watches = &scene.settings.canary.watches;
        senders::look(host, &mut seen, watches).state(&mut seen, "senders", "sender_count");
        clients::look(host, &mut seen).state(&mut seen, "clients", "client_count");
        peers::look(host, &mut seen).state(&mut seen, "peers", "peer_count");
        if seen.is_empty() {
            return seen.unknown("nothing that tells of other machines could be read");
        }
        seen.facts()
    }
}

/// Machines that some sources tell of, each once for each source.
struct Machines {
    /// Name or address, whichever it is, and the source.
    all: BTreeSet<(Machine, String)>,
    /// A source was read.
    some: bool,
    /// No source was left unread.
    whole: bool,
}

/// A machine as a source tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Machine {
    Address(IpAddr),
    Name(String),
}

impl Machine {
    /// A machine by its address or its name; `None` for what is neither, and for this machine
    /// itself.
    fn read(word: &str) -> Option<Self> {
        let plain = word
            .split_once('%')
            .map_or(word, |(address, _zone)| address);
        if let Ok(address) = plain.parse::<IpAddr>() {
            return is_other(address).then_some(Self::Address(address));
        }
        let name = word.trim_end_matches('.').to_ascii_lowercase();
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let shaped = !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.bytes().all(sign)
            && name.split('.').all(|label| !label.is_empty())
            && name.bytes().any(|byte| byte.is_ascii_alphabetic());
        let own = name == "localhost" || name.starts_with("localhost.") || name.starts_with("ip6-");
        (shaped && !own).then_some(Self::Name(name))
    }

    fn field(&self) -> (&'static str, String) {
        match self {
            Self::Address(address) => ("address", address.to_string()),
            Self::Name(name) => ("name", name.clone()),
        }
    }
}

/// Whether an address can be that of another machine.
fn is_other(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_loopback() && !address.is_unspecified() && !address.is_multicast() && !broadcast
}

impl Machines {
    const fn new() -> Self {
        Self {
            all: BTreeSet::new(),
            some: false,
            whole: true,
        }
    }

    /// Adds a machine; of too many the first ones are kept.
    fn add(&mut self, word: &str, source: &str) {
        if self.all.len() < MACHINES_MAX
            && let Some(machine) = Machine::read(word)
        {
            let _new = self.all.insert((machine, source.to_owned()));
        }
    }

    /// The text of a settings file; what is not there is no gap.
    fn text(&mut self, host: &dyn Host, seen: &mut Seen, path: &str) -> Option<String> {
        let text = settings::text(host, path);
        self.seen(seen, path, text)
    }

    /// The names in a folder; what is not there is no gap.
    fn list(&mut self, host: &dyn Host, seen: &mut Seen, path: &str) -> Vec<String> {
        let names = host.list(path);
        self.seen(seen, path, names).unwrap_or_default()
    }

    /// Takes note of a look: a source that is not there was seen not to be there.
    fn seen<T>(&mut self, seen: &mut Seen, path: &str, found: Result<T, Unseen>) -> Option<T> {
        let absent = found.as_ref().is_err_and(Unseen::is_absent);
        let found = seen.note(Means::File, path, found);
        self.some |= found.is_some() || absent;
        self.whole &= found.is_some() || absent;
        found
    }

    /// Notes that a source is there and is not understood.
    fn not_understood(&mut self, seen: &mut Seen, what: &str, why: &str) {
        self.whole = false;
        seen.unseen(
            Means::File,
            Unseen::new(what, Status::Unsupported, Some(why)),
        );
    }

    /// States the list, and the count of machines if nothing was left unread.
    fn state(self, seen: &mut Seen, list: &str, count: &str) {
        if !self.some {
            return;
        }
        if self.whole {
            let machines: BTreeSet<_> = self.all.iter().map(|(machine, _source)| machine).collect();
            seen.state_count(count, machines.len());
        }
        let record = |(machine, source): &(Machine, String)| {
            let (field, value) = machine.field();
            record(&[(field, value), ("source", source.clone())])
        };
        seen.state_list(list, self.all.iter().map(record).collect());
    }
}

/// A record of texts; an empty one is left out.
fn record(fields: &[(&str, String)]) -> Record {
    let fields = fields.iter().filter(|(_, text)| !text.is_empty());
    fields
        .map(|(name, text)| ((*name).to_owned(), Value::Text(text.clone())))
        .collect()
}

/// The lines of a file without comments and space around them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let cut = |line| {
        str::split_once(line, '#')
            .map_or(line, |(before, _comment)| before)
            .trim()
    };
    text.lines().map(cut).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests;
