//! All hosts in memory, and how they take changes: each host on its own, all at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::id::AgentId;
use shared::time::Timestamp;

use super::change::Change;
use super::plan::{Bench, Load, Plan};
use super::record::{META, Meta, ROWS, RowRecord};
use super::row::Row;
use super::spread::spread;
use super::store::{StatusError, Store, Writes};
use crate::catalog::Catalog;

/// How many rows are written together.
const ROWS_TOGETHER: usize = 256;

/// All hosts that were ever enrolled, and the catalogue that judges them.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: BTreeMap<AgentId, Row>,
    pub(super) plan: Plan,
    /// Number of the next change.
    pub(super) position: u64,
    /// Number of the change that put the catalogue in force.
    entered: Option<u64>,
    /// A change stopped in the middle.
    broken: bool,
}

/// What one host is to take.
struct Job<'a> {
    name: &'a AgentId,
    row: Option<Row>,
    changes: Vec<(u64, &'a Change)>,
}

/// A host that has taken it, and what is to be written.
type Done = (Option<Row>, Writes);

impl Table {
    /// No host, judged by `catalog`.
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            rows: BTreeMap::new(),
            plan: Plan::new(catalog, long_ago()),
            position: 0,
            entered: None,
            broken: false,
        }
    }

    /// What was written when the state was closed; or why it cannot be taken up.
    pub(super) fn read(
        store: &Store,
        base: &Arc<Catalog>,
        entered: impl FnOnce(u64) -> Option<Arc<Catalog>>,
    ) -> Result<Self, String> {
        let unread = |error: StatusError| format!("it could not be read: {error}");
        let mut table = Self::new(Arc::clone(base));
        let Some(meta) = store.get::<Meta>(META).map_err(unread)? else {
            return Ok(table);
        };
        table.position = meta.position;
        table.entered = meta.entered;
        if let Some(position) = meta.entered {
            let catalog = entered(position);
            let catalog = catalog.filter(|one| one.digest().to_string() == meta.catalogue);
            let catalog = catalog.ok_or("the catalogue in force is not at hand")?;
            let since = Timestamp::from_unix_ms(meta.since_ms).unwrap_or_else(|_| long_ago());
            table.plan = Plan::new(catalog, since);
        }
        let (from, to) = (ROWS.as_bytes(), ROWS.replace('/', "0"));
        for pair in store.range::<RowRecord>(from, to.as_bytes()) {
            let (key, record) = pair.map_err(unread)?;
            let name = std::str::from_utf8(&key).ok();
            let name = name.and_then(|key| key.strip_prefix(ROWS)?.parse::<AgentId>().ok());
            let name = name.ok_or("a host has no name")?;
            let _none = table.rows.insert(name.clone(), Row::of(name, record));
        }
        Ok(table)
    }

    /// Refuses when a change stopped in the middle.
    pub(super) fn whole(&self) -> Result<(), StatusError> {
        if self.broken {
            Err(StatusError::Broken)
        } else {
            Ok(())
        }
    }

    /// Writes what is kept in memory only.
    pub(super) fn write(&self, store: &Store) -> Result<(), StatusError> {
        self.whole()?;
        let mut rows = self.rows.values();
        loop {
            let mut writes = Writes::default();
            let mut many = 0_usize;
            for row in rows.by_ref().take(ROWS_TOGETHER) {
                row.write(&mut writes);
                many = many.saturating_add(1);
            }
            if many == 0 {
                break;
            }
            store.apply(writes)?;
        }
        let mut writes = Writes::default();
        let meta = Meta {
            position: self.position,
            catalogue: self.plan.catalog.digest().to_string(),
            entered: self.entered,
            since_ms: self.plan.since.unix_ms(),
        };
        writes.put(META.to_vec(), &meta);
        store.apply(writes)
    }

    /// Applies changes from number `first` on.
    pub(super) fn apply<E: From<StatusError> + Send>(
        &mut self,
        store: &Store,
        first: u64,
        changes: &[Change],
        load: Load<'_, E>,
    ) -> Result<(), E> {
        self.whole()?;
        if first != self.position {
            let (due, came) = (self.position, first);
            return Err(StatusError::Position { due, came }.into());
        }
        self.broken = true;
        let is_catalogue = |change: &Change| matches!(change, Change::Catalogue { .. });
        let mut rest = changes;
        while !rest.is_empty() {
            let next = rest.iter().position(is_catalogue).unwrap_or(rest.len());
            let (part, behind) = rest.split_at(next);
            self.take(store, part, load)?;
            rest = match behind.split_first() {
                Some((Change::Catalogue { catalog, at }, rest)) => {
                    self.change_catalogue(store, (catalog, *at))?;
                    rest
                }
                Some(_) | None => behind,
            };
        }
        self.broken = false;
        Ok(())
    }

    /// Gives each host its changes.
    fn take<E: From<StatusError> + Send>(
        &mut self,
        store: &Store,
        changes: &[Change],
        load: Load<'_, E>,
    ) -> Result<(), E> {
        let mut jobs: BTreeMap<&AgentId, Job<'_>> = BTreeMap::new();
        for (index, change) in (self.position..).zip(changes) {
            if let Some(name) = change.host() {
                let job = jobs.entry(name).or_insert_with(|| Job {
                    name,
                    row: self.rows.remove(name),
                    changes: Vec::new(),
                });
                job.changes.push((index, change));
            }
        }
        let jobs = jobs.into_values().collect();
        let plan = &self.plan;
        let all_done = spread(jobs, |job: Job<'_>| {
            job.done(&Bench::new(plan, load), store)
        });
        let mut writes = Writes::default();
        for done in all_done {
            let (row, own): Done = done?;
            writes.join(own);
            if let Some(row) = row {
                let _gone = self.rows.insert(row.name.clone(), row);
            }
        }
        store.apply(writes)?;
        let many = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        self.position = self.position.saturating_add(many);
        Ok(())
    }

    fn change_catalogue(
        &mut self,
        store: &Store,
        (catalog, at): (&Arc<Catalog>, Timestamp),
    ) -> Result<(), StatusError> {
        let index = self.position;
        let plan = Plan::new(Arc::clone(catalog), at);
        let mut writes = Writes::default();
        for row in self.rows.values_mut() {
            row.change_catalogue((index, at), (&self.plan, &plan), &mut writes);
        }
        store.apply(writes)?;
        self.plan = plan;
        self.entered = Some(index);
        self.position = index.saturating_add(1);
        Ok(())
    }
}

impl Job<'_> {
    fn done<E: From<StatusError>>(self, bench: &Bench<'_, E>, store: &Store) -> Result<Done, E> {
        let (mut row, mut writes) = (self.row, Writes::default());
        for (index, change) in self.changes {
            match (&mut row, change) {
                (Some(row), change) => row.take(index, change, (bench, store, &mut writes))?,
                (
                    None,
                    Change::Enrolled {
                        generation,
                        at,
                        heartbeat_s,
                        ..
                    },
                ) => {
                    let begun = (*generation, *at, *heartbeat_s);
                    let checks = bench.plan.checks.len();
                    row = Some(Row::new(self.name.clone(), begun, checks));
                }
                // Of a host that was never enrolled nothing counts.
                (None, _) => {}
            }
        }
        Ok((row, writes))
    }
}

/// Before all evidence.
fn long_ago() -> Timestamp {
    Timestamp::default().plus_ms(i64::MIN)
}
