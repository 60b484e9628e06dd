//! Where questions are answered: the derived state, the registers and the ledger side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shared::decision::{Decided, InForce};
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::asked::{Asked, AskedError};
use super::given::{Given, Sla, Window};
use super::instant::{Assessment, Detail, Machines};
use super::period::{Input, Period, Source, period};
use super::tally::Tally;
use crate::catalog::soa::Soa;
use crate::catalog::{Catalog, CatalogError, Check};
use crate::ledger::{Ledger, LedgerError};
use crate::population::{self, Memory, PopulationError};
use crate::register::Register;
use crate::status::{Event, Happened, Span, Status, StatusError, spread};

/// Hosts that are read together.
const TOGETHER: usize = 1024;

/// A question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It names what is not there. Whoever asks must correct it.
    #[error(transparent)]
    Asked(#[from] AskedError),
    /// The derived state cannot be read: open it again.
    #[error("the derived state cannot be read")]
    Status(#[from] StatusError),
    /// The ledger cannot be read. `fsck` names what is damaged.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
    /// Who should be there cannot be told.
    #[error("who should be there cannot be told")]
    Population(#[from] PopulationError),
    /// A file that a decision names is not what the decision says. The operator must look.
    #[error("{what} `{digest}` cannot be read")]
    File {
        /// What it is.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// Why not, where it is there.
        #[source]
        source: Option<CatalogError>,
    },
}

/// The derived state, the registers and the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// What checks say.
    pub status: &'a Status,
    /// What people decided.
    pub register: &'a Register,
    /// The evidence.
    pub ledger: &'a Ledger,
    /// How long deviations may last, as the settings say.
    pub sla: Sla,
}

/// A catalogue that came into force.
#[derive(Clone, Debug)]
pub struct Edition {
    /// When.
    pub at: Timestamp,
    /// The decision.
    pub decided: InForce,
    /// The checks in it.
    pub catalog: Arc<Catalog>,
}

impl Desk<'_> {
    /// Every host that was ever enrolled, with what happened to it.
    ///
    /// # Errors
    ///
    /// [`AnswerError::Status`].
    pub fn lives(&self, now: Timestamp) -> Result<BTreeMap<AgentId, Vec<Event>>, AnswerError> {
        let mut names = Vec::new();
        self.status
            .cells(now, |name, _host, _cells| names.push(name.clone()))?;
        let mut lives = BTreeMap::new();
        for name in names {
            let life = self.status.life(&name)?;
            let _new = lives.insert(name, life);
        }
        Ok(lives)
    }

    /// What people laid down as of an instant.
    ///
    /// # Errors
    ///
    /// [`AnswerError::File`] when the statement of applicability in force cannot be read.
    pub fn given(
        &self,
        hosts: impl IntoIterator<Item = AgentId>,
        at: Timestamp,
    ) -> Result<Given, AnswerError> {
        self.given_by(&self.register.at(at), hosts, at)
    }

    /// What people laid down as of the end of a period, and where each host stood in it.
    ///
    /// # Errors
    ///
    /// As [`Desk::given`].
    pub fn given_over(
        &self,
        hosts: impl IntoIterator<Item = AgentId>,
        window: Window,
    ) -> Result<Given, AnswerError> {
        let register = self.register.at(window.to);
        let given = self.given_by(&register, hosts, window.to)?;
        Ok(given.over(&register, window))
    }

    fn given_by(
        &self,
        register: &Register,
        hosts: impl IntoIterator<Item = AgentId>,
        at: Timestamp,
    ) -> Result<Given, AnswerError> {
        let soa = match register.soa() {
            Some(version) => Some(self.soa(version.document)?),
            None => None,
        };
        let given = Given::of(register, soa, hosts, at);
        let sla = self.sla;
        Ok(Given { sla, ..given })
    }

    fn soa(&self, digest: Digest) -> Result<Soa, AnswerError> {
        let what = "the statement of applicability";
        let text = self.text(what, digest)?;
        Soa::read("soa.toml", &text, None).map_err(|source| AnswerError::File {
            what,
            digest,
            source: Some(source),
        })
    }

    fn text(&self, what: &'static str, digest: Digest) -> Result<String, AnswerError> {
        let blob = self.ledger.blob(&digest)?;
        let text = blob.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or(AnswerError::File {
            what,
            digest,
            source: None,
        })
    }

    /// The catalogues that came into force until an instant, the first one first. One that this
    /// program can no longer read is an error: nobody could say what it judged by.
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    pub fn editions(&self, until: Timestamp) -> Result<Vec<Edition>, AnswerError> {
        let in_force = self.status.catalog();
        let mut editions = Vec::new();
        for (_entry, _record, decision) in self.register.decisions() {
            let Decided::Catalogue(decided) = &decision.decides else {
                continue;
            };
            if until < decision.at {
                continue;
            }
            let catalog = if decided.catalogue == in_force.digest() {
                Arc::clone(&in_force)
            } else {
                Arc::new(self.catalog(decided)?)
            };
            editions.push(Edition {
                at: decision.at,
                decided: decided.clone(),
                catalog,
            });
        }
        Ok(editions)
    }

    fn catalog(&self, decided: &InForce) -> Result<Catalog, AnswerError> {
        let what = "a catalogue that was in force";
        let mut controls = String::new();
        let mut files = Vec::new();
        for (name, digest) in &decided.files {
            let text = self.text(what, *digest)?;
            if name == "controls.tsv" {
                controls = text;
            } else {
                files.push((name.as_str(), text));
            }
        }
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        Catalog::from_texts(&controls, &files).map_err(|source| AnswerError::File {
            what,
            digest: decided.catalogue,
            source: Some(source),
        })
    }

    /// The catalogue in force at an instant; before the first that a decision put in force, and
    /// without any, the one that judges now.
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    pub fn catalog_at(&self, at: Timestamp) -> Result<Arc<Catalog>, AnswerError> {
        let last = self.editions(at)?.pop();
        Ok(last.map_or_else(|| self.status.catalog(), |edition| edition.catalog))
    }

    /// Refuses a question that names what is not there.
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    pub fn check(&self, asked: &Asked, catalog: &Catalog) -> Result<(), AnswerError> {
        asked.check(catalog)?;
        let mut hosts = Vec::new();
        if !asked.hosts.is_empty() {
            let now = Timestamp::default();
            self.status
                .cells(now, |name, _host, _cells| hosts.push(name.clone()))?;
        }
        let groups = self.register.records("group").into_iter();
        let groups: Vec<_> = groups.map(|record| record.id.as_str()).collect();
        Ok(asked.check_names(&hosts, &groups)?)
    }

    /// Controls as they stand now.
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    pub fn now(&self, asked: &Asked, now: Timestamp) -> Result<Assessment, AnswerError> {
        let catalog = self.status.catalog();
        self.check(asked, &catalog)?;
        let given = self.given(self.status.hosts_at(now)?, now)?;
        let mut tally = Tally::new(&catalog, &given, asked, now);
        self.status.cells(now, |name, host, cells| {
            if host.revoked.is_none() && tally.takes(name) {
                tally.host(name, cells);
            }
        })?;
        let mut assessment = tally.finish();
        assessment.not_enrolled = self.not_enrolled(asked, now)?;
        assessment.detail(|host, check| self.detail(host, check, now))?;
        Ok(assessment)
    }

    /// Controls as they stood at an instant, by the catalogue, the decisions and the hosts of then.
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    pub fn at(&self, asked: &Asked, at: Timestamp) -> Result<Assessment, AnswerError> {
        let catalog = self.catalog_at(at)?;
        self.check(asked, &catalog)?;
        let hosts = self.status.hosts_at(at)?;
        let given = self.given(hosts.iter().cloned(), at)?;
        let wanted = |check: &Check| {
            let mut mappings = check.mappings.iter();
            mappings.any(|to| asked.wants(&to.control))
        };
        let checks = catalog
            .checks()
            .map(|check| Some(check).filter(|one| wanted(one)));
        let checks: Vec<Option<&Check>> = checks.collect();
        let mut tally = Tally::new(&catalog, &given, asked, at);
        let taken = hosts.into_iter().filter(|host| tally.takes(host));
        let taken: Vec<AgentId> = taken.collect();
        for hosts in taken.chunks(TOGETHER) {
            let read = |host| self.status.cells_at(host, &checks, at);
            let cells = spread(hosts.iter().collect(), read);
            for (host, cells) in hosts.iter().zip(cells) {
                tally.host(host, &cells?);
            }
        }
        let mut assessment = tally.finish();
        assessment.not_enrolled = self.not_enrolled(asked, at)?;
        assessment.detail(|host, check| self.detail(host, check, at))?;
        Ok(assessment)
    }

    /// Machines that lists name at an instant, that are in scope and not enrolled.
    fn not_enrolled(&self, asked: &Asked, at: Timestamp) -> Result<Machines, AnswerError> {
        let register = self.register.at(at);
        // Without a list nobody is expected, and nothing need be read.
        if register.records("inventory").is_empty() {
            return Ok(Machines::default());
        }
        let known = (self.ledger, self.status, &register);
        let population = population::look(&mut Memory::default(), known, at)?;
        Ok(Machines::not_enrolled(&population, asked))
    }

    fn detail(
        &self,
        host: &AgentId,
        check: &str,
        at: Timestamp,
    ) -> Result<Option<Detail>, AnswerError> {
        let then = self.status.at(host, check, at)?;
        Ok(then.map(|then| Detail {
            reason: then.span.reason,
            record: then.evidence.as_ref().map(|one| one.record),
            entry: then.evidence.as_ref().map(|one| one.index),
            observation: then.evidence.and_then(|one| one.observation),
        }))
    }

    /// When a record was received.
    pub fn received(&self, record: &Digest) -> Option<Timestamp> {
        let index = self.ledger.index_of(record)?;
        Some(self.ledger.entry(index).ok()?.leaf.received)
    }

    /// When the last evidence of a span was collected; `None` when it cannot be read.
    pub fn last_collected(&self, host: &AgentId, check: &str, span: &Span) -> Option<Timestamp> {
        let last = span.to?.plus_ms(-1);
        let then = self.status.at(host, check, last).ok()??;
        Some(then.evidence?.collected)
    }

    /// Controls over a period that ends not after `now`.
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    pub fn over(
        &self,
        asked: &Asked,
        window: Window,
        now: Timestamp,
    ) -> Result<Period, AnswerError> {
        let editions = self.editions(window.to)?;
        let catalog = self.catalog_at(window.to)?;
        self.check(asked, &catalog)?;
        let lives = self.lives(now)?;
        let given = self.given_over(lives.keys().cloned(), window)?;
        let hosts: Vec<_> = lives
            .into_iter()
            .map(|(host, life)| (host, expected(&life, window.to)))
            .collect();
        let input = Input {
            catalog: &catalog,
            given: &given,
            window,
            hosts: &hosts,
            in_force: &in_force(&editions, window.to),
            earlier: &earlier(&editions, window),
            asked,
        };
        let begin = Timestamp::default();
        period(
            &input,
            &Source {
                spans: &|host, check| Ok(self.status.spans(host, check, begin, window.to)?),
                last_collected: &|host, check, span| self.last_collected(host, check, span),
                received: &|record| self.received(record),
            },
        )
    }
}

/// When a host was expected, until an instant.
#[must_use]
pub fn expected(life: &[Event], until: Timestamp) -> Vec<Window> {
    let mut windows = Vec::new();
    let mut begun: Option<Timestamp> = None;
    for event in life {
        match event.what {
            Happened::Enrolled => begun = begun.or(Some(event.at)),
            Happened::Revoked => {
                let from = begun.take();
                windows.extend(from.map(|from| Window { from, to: event.at }));
            }
            Happened::Forked(_) => {}
        }
    }
    windows.extend(begun.map(|from| Window { from, to: until }));
    windows.retain(|window| window.from < window.to);
    windows
}

/// The catalogues that were in force in a period before the one at its end, the latest first.
fn earlier(editions: &[Edition], window: Window) -> Vec<Arc<Catalog>> {
    let until = editions.iter().skip(1).map(|next| next.at);
    let ended = editions.iter().zip(until);
    let inside = ended.filter(|(_edition, until)| window.from < *until);
    let mut earlier: Vec<_> = inside
        .map(|(edition, _until)| Arc::clone(&edition.catalog))
        .collect();
    earlier.reverse();
    earlier
}

/// When each check bore on each control, until an instant: by control and check. What was judged
/// before the first catalogue that a decision put in force was judged by that one.
#[must_use]
pub fn in_force(editions: &[Edition], until: Timestamp) -> BTreeMap<(String, String), Vec<Window>> {
    let mut all: BTreeMap<(String, String), Vec<Window>> = BTreeMap::new();
    let ends = editions.iter().skip(1).map(|next| next.at).chain([until]);
    let begins = [Timestamp::default()]
        .into_iter()
        .chain(editions.iter().skip(1).map(|edition| edition.at));
    for ((edition, from), to) in editions.iter().zip(begins).zip(ends) {
        let checks = edition.catalog.checks();
        let bearing = checks.flat_map(|check| check.mappings.iter().map(move |to| (to, check)));
        for (mapping, check) in bearing {
            let key = (mapping.control.clone(), check.id.clone());
            let windows = all.entry(key).or_default();
            match windows.last_mut().filter(|last| from <= last.to) {
                Some(last) => last.to = to,
                None => windows.push(Window { from, to }),
            }
        }
    }
    all
}

/// The checks that an edition changed, added or dropped.
#[must_use]
pub fn changed_checks(before: &Edition, after: &Edition) -> BTreeSet<String> {
    let shown = |edition: &Edition| -> BTreeMap<String, String> {
        let checks = edition.catalog.checks();
        checks
            .map(|check| (check.id.clone(), format!("{check:?}")))
            .collect()
    };
    let (before, after) = (shown(before), shown(after));
    let ids = before.keys().chain(after.keys());
    let differing = ids.filter(|id| before.get(*id) != after.get(*id));
    differing.cloned().collect()
}
