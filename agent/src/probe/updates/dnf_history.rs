//! What dnf did: its history, a SQLite database.
//!
//! The history of dnf 4 and that of dnf 5 have the same table of transactions. What was installed
//! by rpm alone is in neither, so the times in rpm's own database count too; of what was removed
//! by rpm alone nothing is left.
//!
//! Source: libdnf 0.69 `transaction/swdb.cpp`.

use shared::fact::Value;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::rpmdb::Package;
use super::sqlite;
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// The histories of dnf 5 and dnf 4.
const HISTORIES: [&str; 2] = [
    "/usr/lib/sysimage/libdnf5/transaction_history.sqlite",
    "/var/lib/dnf/history.sqlite",
];

/// States when a package was last installed, upgraded or removed; nothing when a history is there
/// that was not read.
pub(super) fn state_last_change(host: &dyn Host, seen: &mut Seen, packages: &[Package]) {
    let mut last = packages
        .iter()
        .filter_map(|package| package.installed)
        .max();
    for path in HISTORIES {
        let transactions = transactions(host, path);
        let absent = transactions.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, path, transactions) {
            Some(at) => last = last.max(at),
            None if absent => {}
            None => return,
        }
    }
    if let Some(last) = last {
        seen.state("last_change", Value::Instant(last));
    }
}

/// When the last transaction ended.
fn transactions(host: &dyn Host, path: &str) -> Result<Option<Timestamp>, Unseen> {
    sqlite::read(host, path, |database| {
        let table = database.table("trans")?;
        let end = table
            .column("dt_end")
            .ok_or_else(|| Unseen::new(path, Status::Unsupported, Some("no column `dt_end`")))?;
        let mut last = None;
        database.rows(&table, |row| {
            let seconds = row.integer(end);
            let at = seconds.and_then(|seconds| seconds.checked_mul(1000));
            last = last.max(at.and_then(|ms| Timestamp::from_unix_ms(ms).ok()));
            Ok(())
        })?;
        Ok(last)
    })
}
