//! Status as a screen for the terminal and as JSON.
//!
//! Collected, finding and conclusion never share a column: when evidence was taken, what a check
//! says of it, and what a person decides (which is not here). Counts are `n of N`, never a
//! percentage alone, and controls that nothing is known of are counted and said.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::repeat;

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::observation::Observation;
use shared::time::Timestamp;

use crate::alert::engine::{Listed, Listing, Pace};
use crate::assess::{Asked, Excused, Given, Tally};
use crate::catalog::{Catalog, Verdict};
use crate::evaluate::ago;
use crate::status::{
    self, CheckStatus, ControlState, ControlStatus, HostFinding, HostStatus, Status, StatusError,
};

mod fold;
pub mod assessment;
pub mod drift;
pub mod period;
mod share;
mod summary;

pub use fold::folded;

/// Narrowest screen that is written for.
const WIDTH_MIN: usize = 60;
/// Most hosts shown for one check on the screen; JSON holds more.
const HOSTS_SHOWN: usize = 3;
/// Where the text under a row begins.
const INDENT: usize = 18;
/// Where the id of a check begins in its row.
const WHAT: usize = 44;
/// The themes in the order of Annex A.
const THEMES: [&str; 4] = ["Organizational", "People", "Physical", "Technological"];

/// Where the findings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From entries of the ledger.
    Ledger,
    /// From observations that nobody signed or kept.
    Unsigned,
}

/// The state of controls and hosts as of a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The moment.
    pub as_of: Timestamp,
    /// Where the findings come from.
    pub origin: Origin,
    /// Hosts that were ever enrolled; empty when the observations are unsigned.
    pub hosts: Vec<HostStatus>,
    /// All controls of Annex A.
    pub controls: Vec<ControlStatus>,
    /// Hosts that do not count because they are out of scope.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub out_of_scope: Vec<AgentId>,
    /// The exceptions in force that cover failures of each control.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub excepted: BTreeMap<String, Vec<Excused>>,
    /// What the collector refused or noticed since it started, by kind; empty when it does not run.
    pub counters: BTreeMap<String, u64>,
    /// Entries of the ledger that are not in this report yet.
    pub behind: u64,
    /// Incidents that people were told of and that last.
    pub incidents: usize,
    /// The channels by which people are told that fail, or have something to tell yet.
    pub channels: BTreeMap<String, Pace>,
    /// Only what does not hold is listed; all is counted.
    #[serde(skip)]
    failing: bool,
}

impl Report {
    /// The report of what the collector knows of the controls and hosts that are asked for.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: the derived state must be opened again.
    pub fn of(status: &Status, asked: &Asked, now: Timestamp) -> Result<Self, StatusError> {
        Self::within(status, asked, &Given::default(), now)
    }

    /// The same by what people laid down: hosts out of scope do not count, and exceptions in force
    /// stand beside what they cover, which fails all the same.
    ///
    /// # Errors
    ///
    /// As [`Report::of`].
    pub fn within(
        status: &Status,
        asked: &Asked,
        given: &Given,
        now: Timestamp,
    ) -> Result<Self, StatusError> {
        let out = |host: &AgentId| given.out(host).is_some();
        let mut hosts = status.hosts(now)?;
        hosts.retain(|one| asked.wants_host(&one.host, given));
        let out_of_scope = hosts
            .iter()
            .filter(|one| one.enrolment.revoked.is_none() && out(&one.host))
            .map(|one| one.host.clone())
            .collect();
        hosts.retain(|one| !out(&one.host));
        let counts = |host: &AgentId| asked.wants_host(host, given) && !out(host);
        let mut controls = status.controls(now, counts)?;
        controls.retain(|one| asked.wants(&one.control));
        Ok(Self {
            as_of: now,
            origin: Origin::Ledger,
            hosts,
            controls,
            out_of_scope,
            excepted: excused(status, asked, given, now)?,
            counters: BTreeMap::new(),
            behind: 0,
            incidents: 0,
            channels: BTreeMap::new(),
            failing: false,
        })
    }

    /// The report of observations of one host that no collector received.
    ///
    /// Each comes with the digest of its bytes. A probe that sent none is unknown.
    #[must_use]
    pub fn judged(
        catalog: &Catalog,
        host: AgentId,
        observations: &[(Digest, Observation)],
        collected: Timestamp,
    ) -> Self {
        let findings = status::judge(catalog, observations, collected);
        let expected = [(host, findings)].into();
        Self {
            as_of: collected,
            origin: Origin::Unsigned,
            hosts: Vec::new(),
            controls: status::controls(catalog, &expected, collected),
            out_of_scope: Vec::new(),
            excepted: BTreeMap::new(),
            counters: BTreeMap::new(),
            behind: 0,
            incidents: 0,
            channels: BTreeMap::new(),
            failing: false,
        }
    }

    /// The report with what the collector counted since it started, e.g. refusals by their codes.
    #[must_use]
    pub fn with_counters<'a>(mut self, counted: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let counted = counted.into_iter();
        self.counters = counted.map(|(kind, n)| (kind.to_owned(), n)).collect();
        self
    }

    /// The report of a state that lacks the last `behind` entries of the ledger.
    #[must_use]
    pub fn behind(mut self, behind: u64) -> Self {
        self.behind = behind;
        self
    }

    /// The report with what people were told, and with the channels that could not tell them.
    #[must_use]
    pub fn with_alerts(mut self, listing: Listing) -> Self {
        let told = |one: &&Listed| one.raised.is_some();
        self.incidents = listing.incidents.iter().filter(told).count();
        let ill = |pace: &Pace| 0 < pace.waiting || pace.tally.failing.is_some();
        self.channels = listing.channels;
        self.channels.retain(|_name, pace| ill(pace));
        self
    }

    /// The report that lists only what does not hold, and counts all.
    #[must_use]
    pub fn failing(mut self) -> Self {
        self.failing = true;
        self
    }

    /// The controls that are listed.
    fn listed(&self) -> impl Iterator<Item = &ControlStatus> {
        let bad = [ControlState::Failing, ControlState::Unknown];
        let of = self.controls.iter();
        of.filter(move |one| !self.failing || bad.contains(&one.state))
    }

    /// The hosts that are listed.
    fn listed_hosts(&self) -> impl Iterator<Item = &HostStatus> {
        let bad = |host: &HostStatus| host.warning.is_some() || 0 < host.failing + host.unknown;
        let of = self.hosts.iter();
        of.filter(move |one| !self.failing || bad(one))
    }

    /// Whether every control with checks is passing or not applicable, evidence of at least one
    /// host says so, no host and no channel needs a person, and nothing of the ledger is missing
    /// here. Nothing known is not good.
    #[must_use]
    pub fn holds(&self) -> bool {
        let mut with_checks = self
            .controls
            .iter()
            .filter(|control| control.state != ControlState::NoCheck);
        let mut checks = self.controls.iter().flat_map(|control| &control.checks);
        let calm = self.hosts.iter().all(|host| host.warning.is_none());
        let mut channels = self.channels.values();
        let told = channels.all(|pace| pace.tally.failing.is_none());
        calm && told
            && self.behind == 0
            && checks.any(|check| 0 < check.covered)
            && with_checks.all(|control| {
                matches!(
                    control.state,
                    ControlState::Passing | ControlState::NotApplicable
                )
            })
    }

    /// The report as JSON, with a line end.
    #[must_use]
    pub fn json(&self) -> String {
        let listed = Self {
            controls: self.listed().cloned().collect(),
            hosts: self.listed_hosts().cloned().collect(),
            ..self.clone()
        };
        // Texts, numbers, flags and lists: it cannot fail.
        let mut text = serde_json::to_string_pretty(&listed).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The report as a screen of `width` columns; colours only when `colour` says so.
    #[must_use]
    pub fn screen(&self, width: usize, colour: bool) -> String {
        let mut screen = Screen::new(width, colour, self.as_of);
        summary::head(&mut screen, self);
        summary::needs(&mut screen, self);
        for control in self.listed() {
            if control.state != ControlState::NoCheck {
                screen.control(control);
                screen.excepted(self.excepted.get(&control.control));
            }
        }
        summary::unchecked(&mut screen, self);
        summary::hosts(&mut screen, self);
        screen.counters(&self.counters);
        screen.text
    }
}

struct Screen {
    text: String,
    width: usize,
    colour: bool,
    now: Timestamp,
    /// Checks that were shown whole, and under which control.
    shown: BTreeMap<String, String>,
}

impl Screen {
    fn new(width: usize, colour: bool, now: Timestamp) -> Self {
        Self {
            text: String::new(),
            width: width.max(WIDTH_MIN),
            colour,
            now,
            shown: BTreeMap::new(),
        }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// Text in words, each line begun by `indent` spaces.
    fn wrapped(&mut self, indent: usize, text: &str) {
        self.hanging(indent, "", text);
    }

    /// Text in words beside a mark that stands before its first line only.
    fn hanging(&mut self, indent: usize, mark: &str, text: &str) {
        for line in folded(&format!("{:indent$}{mark}", ""), text, self.width) {
            self.line(&line);
        }
    }

    /// A word in its colour, filled up to `columns`.
    fn painted(&self, word: &str, colour: &str, columns: usize) -> String {
        if self.colour {
            format!("\x1b[{colour}m{word:<columns$}\x1b[0m")
        } else {
            format!("{word:<columns$}")
        }
    }

    /// What a person accepted for a time; it fails all the same.
    fn excepted(&mut self, exceptions: Option<&Vec<Excused>>) {
        for one in exceptions.into_iter().flatten() {
            let Excused {
                id,
                until,
                approver,
                findings,
                ..
            } = one;
            let said = format!(
                "{findings} failing findings are excepted until {until} by {id}, approved by \
                 {approver}"
            );
            self.wrapped(2, &said);
        }
    }

    fn control(&mut self, control: &ControlStatus) {
        let state = control.state.as_str();
        let name = format!("{:<7} {}", control.control, control.title);
        let room = self.width.saturating_sub(state.len() + 1);
        let name = cut(&name, room);
        let state = self.painted(state, state_colour(control.state), 0);
        let title = format!("\n{name:<room$} {state}");
        self.line(&title);
        let sum =
            |count: fn(&CheckStatus) -> usize| control.checks.iter().map(count).sum::<usize>();
        self.line(&format!(
            "  {} of {} findings pass, {} fail, {} unknown ({} stale), {} not applicable",
            sum(|check| check.passing),
            sum(|check| check.expected),
            sum(|check| check.failing),
            sum(|check| check.unknown),
            sum(|check| check.stale),
            sum(|check| check.not_applicable),
        ));
        if sum(|check| check.expected) == 0 {
            return;
        }
        self.line("  finding         collected   evidence      check, and what a pass is worth");
        let mut checks: Vec<_> = control.checks.iter().collect();
        checks.sort_by_key(|check| check.deciding.first().map(|one| one.verdict.rank()));
        for check in checks {
            self.check(check, &control.control);
        }
    }

    /// One check: a row for the host that decides, then others with the same verdict.
    fn check(&mut self, check: &CheckStatus, control: &str) {
        let Some((worst, others)) = check.deciding.split_first() else {
            return;
        };
        let finding = worst.verdict.as_str();
        let finding = self.painted(finding, verdict_colour(worst.verdict), 15);
        let collected = self.collected(worst);
        let evidence = worst.attestation.or(worst.observation);
        let evidence = evidence.map_or_else(|| "none".to_owned(), |id| id.short());
        let worth = check.strength.as_str();
        let id = &check.check;
        let head = format!("  {finding} {collected:<11} {evidence:<13}");
        let what = format!("{id} ({worth})");
        if self.width < WHAT + what.len() {
            self.line(&head);
            self.wrapped(INDENT, &what);
        } else {
            self.line(&format!("{head} {what}"));
        }
        if let Some(before) = self.shown.get(id) {
            let text = format!("see {before} above");
            return self.wrapped(INDENT, &text);
        }
        let _first = self.shown.insert(id.clone(), control.to_owned());
        if check.expected == 1 {
            self.wrapped(INDENT, &worst.reason);
        } else {
            let counts = format!("{} of {} hosts pass", check.passing, check.expected);
            self.wrapped(
                INDENT,
                &format!("{counts}; {}: {}", worst.host, worst.reason),
            );
            let same = others.iter().filter(|one| one.verdict == worst.verdict);
            for one in same.take(HOSTS_SHOWN - 1) {
                let collected = self.collected(one);
                self.wrapped(
                    INDENT,
                    &format!("{}, {collected}: {}", one.host, one.reason),
                );
            }
        }
        if worst.verdict == Verdict::Fail {
            let lines = check
                .remediation
                .lines()
                .zip(["do: "].into_iter().chain(repeat("    ")));
            for (line, mark) in lines {
                self.hanging(INDENT, mark, line);
            }
        }
    }

    fn collected(&self, finding: &HostFinding) -> String {
        let at = finding.collected;
        at.map_or_else(|| "never".to_owned(), |at| ago(self.now.ms_since(at)))
    }

    /// What was counted since the collector started, the most frequent first.
    fn counters(&mut self, counters: &BTreeMap<String, u64>) {
        let mut counted: Vec<_> = counters.iter().filter(|(_, n)| 0 < **n).collect();
        counted.sort_by_key(|(_, n)| Reverse(**n));
        let counted: Vec<_> = counted
            .iter()
            .map(|(kind, n)| format!("{kind} {n}"))
            .collect();
        if !counted.is_empty() {
            self.line("");
            let text = format!("Counted since the start: {}.", counted.join(", "));
            self.wrapped(0, &text);
        }
    }
}

/// The exceptions in force that cover failures, by control.
fn excused(
    status: &Status,
    asked: &Asked,
    given: &Given,
    now: Timestamp,
) -> Result<BTreeMap<String, Vec<Excused>>, StatusError> {
    let mut exceptions = given.exceptions.iter();
    if !exceptions.any(|one| one.window.holds(now)) {
        return Ok(BTreeMap::new());
    }
    let catalog = status.catalog();
    let mut tally = Tally::new(&catalog, given, asked, now);
    status.cells(now, |name, host, cells| {
        if host.revoked.is_none() && tally.takes(name) {
            tally.host(name, cells);
        }
    })?;
    let controls = tally.finish().controls.into_iter();
    let covered = controls.filter(|one| !one.exceptions.is_empty());
    Ok(covered.map(|one| (one.control, one.exceptions)).collect())
}

/// A title as far as there is room for it.
fn cut(title: &str, columns: usize) -> String {
    if title.chars().count() <= columns {
        return title.to_owned();
    }
    let kept: String = title.chars().take(columns.saturating_sub(2)).collect();
    format!("{}..", kept.trim_end())
}

const fn verdict_colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "32",
        Verdict::Fail => "31",
        Verdict::Unknown => "33",
        Verdict::NotApplicable => "2",
    }
}

const fn state_colour(state: ControlState) -> &'static str {
    match state {
        ControlState::Passing => "1;32",
        ControlState::Failing => "1;31",
        ControlState::Unknown => "1;33",
        ControlState::NotApplicable | ControlState::NoHost | ControlState::NoCheck => "2",
    }
}

#[cfg(test)]
mod tests;
