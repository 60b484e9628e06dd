//! Machines that may replicate a database of this host: `pg_hba.conf` of PostgreSQL.
//!
//! Only single machines are told: which machine of a permitted network comes is not written there.

use super::{Machines, lines};
use crate::host::Host;
use crate::probe::Seen;

/// Data folders as RHEL lays them out; Debian keeps the settings apart, by version and cluster.
const REDHAT: &str = "/var/lib/pgsql";
const DEBIAN: &str = "/etc/postgresql";
/// Most folders that are listed on the way.
const FOLDERS_MAX: usize = 64;

/// Looks into the settings of all clusters that packages made.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> Machines {
    let mut machines = Machines::new();
    let mut paths = vec![format!("{REDHAT}/data/pg_hba.conf")];
    let below = |folder: &str, names: Vec<String>| -> Vec<String> {
        let digit = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
        let versions = names.into_iter().filter(digit).take(FOLDERS_MAX);
        versions.map(|name| format!("{folder}/{name}")).collect()
    };
    let versions = machines.list(host, seen, REDHAT);
    let folders = below(REDHAT, versions);
    paths.extend(
        folders
            .iter()
            .map(|folder| format!("{folder}/data/pg_hba.conf")),
    );
    let versions = machines.list(host, seen, DEBIAN);
    for version in below(DEBIAN, versions) {
        let clusters = machines.list(host, seen, &version);
        let clusters = clusters.iter().take(FOLDERS_MAX);
        paths.extend(clusters.map(|cluster| format!("{version}/{cluster}/pg_hba.conf")));
    }
    for path in paths {
        if let Some(text) = machines.text(host, seen, &path) {
            for line in lines(&text) {
                if let Some(peer) = peer(line) {
                    machines.add(peer, &path);
                }
            }
        }
    }
    machines
}

/// The single machine of a line such as `hostssl replication repl 192.0.2.9/32 scram-sha-256`.
fn peer(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    let (kind, databases, _users, address) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let way = words.next()?;
    if !kind.starts_with("host") || way == "reject" {
        return None;
    }
    // As a word without quotes it means replication, and `all` does not include it.
    if !databases.split(',').any(|name| name == "replication") {
        return None;
    }
    match address.split_once('/') {
        Some((address, "32")) if address.contains('.') => Some(address),
        Some((address, "128")) => Some(address),
        Some(_network) => None,
        None if matches!(address, "all" | "samehost" | "samenet") => None,
        // A name that begins with a dot means all below it.
        None if address.starts_with('.') => None,
        // An address has a mask behind it; a name has not.
        None if address.parse::<std::net::IpAddr>().is_ok() => matches!(
            way,
            "255.255.255.255" | "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        )
        .then_some(address),
        None => Some(address),
    }
}
