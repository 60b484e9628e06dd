//! What dnf did: its history, a SQLite database.
//!
//! The history of dnf 4 and that of dnf 5 have the same table of transactions; of dnf 5 no more is
//! read. What was installed by rpm alone is in neither, so the times in rpm's own database count
//! too; of what was removed by rpm alone nothing is left.
//!
//! Source: libdnf 0.69 `transaction/swdb.cpp`, `transaction/Types.hpp`.

use std::collections::BTreeMap;

use shared::fact::Value;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::history::Upgrade;
use super::rpm_version::Version;
use super::rpmdb::Package;
use super::sqlite::{self, Database, Table};
use super::sqlite_row::Row;
use crate::host::{Host, Unseen};
use crate::probe::Seen;

const DNF_4: &str = "/var/lib/dnf/history.sqlite";
const DNF_5: &str = "/usr/lib/sysimage/libdnf5/transaction_history.sqlite";
/// Most packages of the transactions of the period; a move to the next release changes 4,000.
const ITEMS_MAX: usize = 50_000;
/// Actions on a package: the new version of an upgrade, and the old one.
const UPGRADE: i64 = 6;
const UPGRADED: i64 = 7;
/// State of what was really done.
const DONE: i64 = 1;

/// States when a package was last installed, upgraded or removed, and returns the upgrades of the
/// period that begins at `begin`, oldest first; `None` when a history of it was not read.
pub(super) fn look(
    host: &dyn Host,
    seen: &mut Seen,
    packages: &[Package],
    begin: Timestamp,
) -> Option<Vec<Upgrade>> {
    let mut last = packages
        .iter()
        .filter_map(|package| package.installed)
        .max();
    let mut upgrades = None;
    for path in [DNF_4, DNF_5] {
        let read = sqlite::read(host, path, |database| {
            let history = History { path, database };
            let ends = history.ends()?;
            if path == DNF_5 {
                return Ok((ends, None));
            }
            let upgrades = history.upgrades(&ends, begin)?;
            Ok((ends, Some(upgrades)))
        });
        let absent = read.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, path, read) {
            Some((ends, found)) => {
                last = last.max(ends.values().copied().max());
                upgrades = found;
            }
            None if absent => {}
            None => return None,
        }
    }
    if let Some(last) = last {
        seen.state("last_change", Value::Instant(last));
    }
    upgrades
}

/// A history while it is read.
struct History<'a> {
    path: &'a str,
    database: &'a Database<'a>,
}

impl History<'_> {
    fn column(&self, table: &Table, name: &str) -> Result<usize, Unseen> {
        table.column(name).ok_or_else(|| {
            let why = format!("no column `{name}`");
            Unseen::new(self.path, Status::Unsupported, Some(&why))
        })
    }

    /// When the transactions ended, by their ids.
    fn ends(&self) -> Result<BTreeMap<i64, Timestamp>, Unseen> {
        let table = self.database.table("trans")?;
        let [id, end] = [self.column(&table, "id")?, self.column(&table, "dt_end")?];
        let mut ends = BTreeMap::new();
        self.database.rows(&table, |row| {
            let seconds = row.integer(end);
            let at = seconds.and_then(|seconds| seconds.checked_mul(1000));
            let at = at.and_then(|ms| Timestamp::from_unix_ms(ms).ok());
            ends.extend(row.integer(id).zip(at));
            Ok(())
        })?;
        Ok(ends)
    }

    fn upgrades(
        &self,
        ends: &BTreeMap<i64, Timestamp>,
        begin: Timestamp,
    ) -> Result<Vec<Upgrade>, Unseen> {
        // The transaction and whether it is the new version, by the id of a package.
        let mut items: Vec<(i64, i64, bool)> = Vec::new();
        let table = self.database.table("trans_item")?;
        let [transaction, item, action, state] =
            ["trans_id", "item_id", "action", "state"].map(|name| self.column(&table, name));
        let [transaction, item, action, state] = [transaction?, item?, action?, state?];
        self.database.rows(&table, |row| {
            let new = match row.integer(action) {
                Some(UPGRADE) => true,
                Some(UPGRADED) => false,
                _ => return Ok(()),
            };
            let ended = row.integer(transaction).filter(|id| {
                let end = ends.get(id);
                row.integer(state) == Some(DONE) && end.is_some_and(|end| begin <= *end)
            });
            items.extend(
                ended
                    .zip(row.integer(item))
                    .map(|(at, item)| (item, at, new)),
            );
            if ITEMS_MAX < items.len() {
                return Err(Unseen::new(self.path, Status::Limit, None));
            }
            Ok(())
        })?;
        items.sort_unstable();
        let mut changes: BTreeMap<(i64, String, String), [Option<String>; 2]> = BTreeMap::new();
        self.packages(&items, |transaction, new, (name, architecture, version)| {
            let change = changes
                .entry((transaction, name, architecture))
                .or_default();
            let [from, to] = change;
            *if new { to } else { from } = Some(version);
        })?;
        let mut upgrades = Vec::new();
        for ((transaction, package, architecture), change) in changes {
            if let ([Some(from), Some(to)], Some(at)) = (change, ends.get(&transaction)) {
                upgrades.push(Upgrade {
                    at: *at,
                    package,
                    architecture,
                    from,
                    to,
                });
            }
        }
        upgrades.sort_by_key(|upgrade| upgrade.at);
        Ok(upgrades)
    }

    /// Hands on transaction, newness, name, architecture and version of each package of `items`,
    /// which are sorted.
    fn packages(
        &self,
        items: &[(i64, i64, bool)],
        mut each: impl FnMut(i64, bool, (String, String, String)),
    ) -> Result<(), Unseen> {
        let table = self.database.table("rpm")?;
        let names = ["item_id", "name", "epoch", "version", "release", "arch"];
        let [id, name, epoch, version, release, architecture] =
            names.map(|name| self.column(&table, name));
        let (id, name, architecture) = (id?, name?, architecture?);
        let (epoch, version, release) = (epoch?, version?, release?);
        self.database.rows(&table, |row: &Row<'_>| {
            let text = |place| row.text(place).map(str::to_owned);
            let damaged = || Unseen::new(self.path, Status::Malformed, Some("a package"));
            let item = row.integer(id).ok_or_else(damaged)?;
            let from = items.partition_point(|(known, _, _)| *known < item);
            let own = items.iter().skip(from);
            for (_, transaction, new) in own.take_while(|(known, _, _)| *known == item) {
                let version = Version {
                    epoch: row.integer(epoch).ok_or_else(damaged)?.unsigned_abs(),
                    version: text(version).ok_or_else(damaged)?,
                    release: text(release).ok_or_else(damaged)?,
                };
                let name = text(name).ok_or_else(damaged)?;
                let architecture = text(architecture).ok_or_else(damaged)?;
                each(*transaction, *new, (name, architecture, version.text()));
            }
            Ok(())
        })
    }
}
