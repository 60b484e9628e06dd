//! Controls over a period: how long they held, how long not, how fast that was seen and mended.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::asked::Asked;
use super::given::{Applicability, Brought, Given, Open, Sla, Window};
use super::line::{self, Deviation, Ending, Known, Shares};
use crate::catalog::{Catalog, Check, Severity, Strength, Verdict};
use crate::register::views::Conclusion;
use crate::status::Span;

/// What a period is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The catalogue in force at the end of the period: it says which checks bear on a control.
    pub catalog: &'a Catalog,
    /// What people laid down.
    pub given: &'a Given,
    /// The period; it ends not later than now.
    pub window: Window,
    /// The hosts, and when each was enrolled: in order, without overlap.
    pub hosts: &'a [(AgentId, Vec<Window>)],
    /// When each check bore on each control; one that is not here always did.
    pub in_force: &'a BTreeMap<(String, String), Vec<Window>>,
    /// The catalogues that were in force before in the period, the latest first: checks that are
    /// no more stand in them.
    pub earlier: &'a [Arc<Catalog>],
    /// Which part is wanted.
    pub asked: &'a Asked,
}

/// The spans of a host and a check, or why they cannot be read.
pub type Spans<'a, E> = dyn Fn(&AgentId, &str) -> Result<Vec<Span>, E> + 'a;

/// Where what checks said is read.
pub struct Source<'a, E> {
    /// The spans of a host and a check, from the first to the end of the period.
    pub spans: &'a Spans<'a, E>,
    /// When the last evidence of a span was collected.
    pub last_collected: &'a dyn Fn(&AgentId, &str, &Span) -> Option<Timestamp>,
    /// When a record was received.
    pub received: &'a dyn Fn(&Digest) -> Option<Timestamp>,
}

impl<E> std::fmt::Debug for Source<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// All controls that were asked for, over a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// The period.
    #[serde(flatten)]
    pub window: Window,
    /// Hosts that were expected at some time in it.
    pub hosts: usize,
    /// Hosts that were left out because they were out of scope all the time.
    pub out_of_scope: usize,
    /// Hosts that were out of scope for a part: they count for the rest.
    pub partly_out_of_scope: usize,
    /// The times that are left out, at most as many as hosts were asked for.
    pub left_out: Vec<LeftOut>,
    /// How long a deviation may last.
    pub sla: Sla,
    /// The controls, in the order of Annex A.
    pub controls: Vec<ControlPeriod>,
}

impl Period {
    /// Whether nothing in scope failed, excepted or not, and nothing was unknown at any time.
    #[must_use]
    pub fn holds(&self) -> bool {
        let mut shares = self.controls.iter().map(|one| one.shares);
        shares.all(|one| one.failing_ms == 0 && one.unknown_ms == 0)
    }
}

/// One control over a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlPeriod {
    /// Id.
    pub control: String,
    /// Short title.
    pub title: String,
    /// Its row in the statement of applicability in force at the end.
    pub applicability: Option<Applicability>,
    /// The latest conclusion of a person before the end.
    pub conclusion: Option<Conclusion>,
    /// The documents that count for it at the end.
    pub documents: Vec<Brought>,
    /// Nonconformities and risks that name it and are not closed at the end.
    pub open: Vec<Open>,
    /// Time of hosts: at each moment a host counts by the worst of the checks on this control.
    pub shares: Shares,
    /// How long at least one host failed, excepted or not.
    pub any_failing_ms: i64,
    /// The longest time without evidence that counts, of any check on any host.
    pub longest_gap: Option<Gap>,
    /// The deviations of all checks together.
    pub deviations: Spent,
    /// The checks that bear on it.
    pub checks: Vec<CheckPeriod>,
}

/// A time in which a host was out of scope, and does not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The host.
    pub host: AgentId,
    /// When, as far as it lies in the period.
    #[serde(flatten)]
    pub window: Window,
    /// The rule of the scope and its reason.
    pub why: String,
}

/// A stretch without evidence that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The host.
    pub host: AgentId,
    /// The check.
    pub check: String,
    /// When.
    #[serde(flatten)]
    pub window: Window,
    /// How long.
    pub length_ms: i64,
}

/// Deviations, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// How many touch the period.
    pub count: usize,
    /// Of them: not over at its end.
    pub open: usize,
    /// Of them: evidence showed that they were over.
    pub fixed: usize,
    /// Of them: lasted longer than their severity allows.
    pub late: usize,
    /// The longest one.
    pub longest_ms: i64,
    /// All together.
    pub total_ms: i64,
    /// The longest time to a repair that evidence showed.
    pub longest_fix_ms: Option<i64>,
    /// The longest time that detection took at most.
    pub longest_detection_ms: Option<i64>,
}

/// One check over a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckPeriod {
    /// Id.
    pub check: String,
    /// What is expected.
    pub title: String,
    /// How much a failure matters.
    pub severity: Severity,
    /// How far a pass carries towards the control.
    pub strength: Strength,
    /// When a catalogue took it off this control; `None` while it bears on it.
    pub dropped: Option<Timestamp>,
    /// How long a deviation may last.
    pub sla_ms: i64,
    /// Time of all hosts.
    pub shares: Shares,
    /// The longest time without evidence that counts.
    pub longest_gap: Option<Gap>,
    /// Its deviations.
    pub deviations: Spent,
    /// The hosts, those that failed longest first, at most as many as were asked for.
    pub hosts: Vec<HostPeriod>,
}

/// One check on one host over a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostPeriod {
    /// The host.
    pub host: AgentId,
    /// How long it said what.
    pub shares: Shares,
    /// The longest time without evidence that counts.
    pub longest_gap: Option<Window>,
    /// The deviations, in order.
    pub deviations: Vec<Deviation>,
}

impl Spent {
    fn add(&mut self, one: &Deviation) {
        self.count += 1;
        self.open += usize::from(one.ending == Ending::Open);
        self.fixed += usize::from(one.ending == Ending::Fixed);
        self.late += usize::from(one.late);
        self.longest_ms = self.longest_ms.max(one.length_ms);
        self.total_ms = self.total_ms.saturating_add(one.length_ms);
        if one.ending == Ending::Fixed {
            self.longest_fix_ms = self.longest_fix_ms.max(Some(one.length_ms));
        }
        self.longest_detection_ms = self.longest_detection_ms.max(one.detected_within_ms);
    }

    fn add_all(&mut self, other: &Self) {
        self.count += other.count;
        self.open += other.open;
        self.fixed += other.fixed;
        self.late += other.late;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.total_ms = self.total_ms.saturating_add(other.total_ms);
        self.longest_fix_ms = self.longest_fix_ms.max(other.longest_fix_ms);
        self.longest_detection_ms = self.longest_detection_ms.max(other.longest_detection_ms);
    }
}

/// The controls that were asked for, over a period.
///
/// # Errors
///
/// That of the source, when it cannot be read.
pub fn period<E>(input: &Input<'_>, source: &Source<'_, E>) -> Result<Period, E> {
    let wanted = input.catalog.controls().iter();
    let wanted = wanted.filter(|control| input.asked.wants(&control.id));
    let mut controls: Vec<_> = wanted
        .map(|control| {
            let (id, title) = (control.id.clone(), control.title.clone());
            begun(input, id, title)
        })
        .collect();
    let mut failing = vec![Vec::new(); controls.len()];
    let (mut hosts, mut out_of_scope, mut partly_out_of_scope) = (0, 0, 0);
    let mut all_left_out = Vec::new();
    for (host, enrolled) in input.hosts {
        let cut = enrolled.iter().filter_map(|one| one.cut(input.window));
        let (there, left_out) = in_scope(input, host, cut);
        let some_out = !left_out.is_empty();
        let room = input.asked.names.saturating_sub(all_left_out.len());
        all_left_out.extend(left_out.into_iter().take(room));
        if there.is_empty() {
            out_of_scope += usize::from(some_out);
            continue;
        }
        partly_out_of_scope += usize::from(some_out);
        hosts += 1;
        let mut spans = BTreeMap::new();
        for (control, failing) in controls.iter_mut().zip(&mut failing) {
            for check in &control.checks {
                if !spans.contains_key(&check.check) {
                    let read = (source.spans)(host, &check.check)?;
                    let _new = spans.insert(check.check.clone(), read);
                }
            }
            one_host(input, source, (host, &there, &spans), (control, failing));
        }
    }
    for (control, failing) in controls.iter_mut().zip(failing) {
        control.any_failing_ms = united_ms(failing);
        for check in &mut control.checks {
            let worst = |one: &HostPeriod| (one.shares.failing_ms, one.shares.unknown_ms);
            check.hosts.sort_by_key(|one| std::cmp::Reverse(worst(one)));
            check.hosts.truncate(input.asked.names);
        }
    }
    Ok(Period {
        window: input.window,
        hosts,
        out_of_scope,
        partly_out_of_scope,
        left_out: all_left_out,
        sla: input.given.sla,
        controls,
    })
}

/// The times in which a host is wanted and was in scope, and those in which it was out.
fn in_scope(
    input: &Input<'_>,
    host: &AgentId,
    there: impl Iterator<Item = Window>,
) -> (Vec<Window>, Vec<LeftOut>) {
    let (mut inside, mut left_out): (Vec<Window>, Vec<LeftOut>) = (Vec::new(), Vec::new());
    for (window, place) in there.flat_map(|one| input.given.stretches(host, one)) {
        let groups = place.map_or(&[][..], |place| place.groups.as_slice());
        if !input.asked.wants_in(host, groups) {
            continue;
        }
        let Some(why) = place.and_then(|place| place.out.as_ref()) else {
            inside.push(window);
            continue;
        };
        match left_out.last_mut() {
            Some(last) if last.window.to == window.from && last.why == *why => {
                last.window.to = window.to;
            }
            _ => left_out.push(LeftOut {
                host: host.clone(),
                window,
                why: why.clone(),
            }),
        }
    }
    (inside, left_out)
}

/// A control before any host was looked at, with the checks that bore on it at any time of the
/// period.
fn begun(input: &Input<'_>, control: String, title: String) -> ControlPeriod {
    let mut bearing: Vec<(&Check, Strength)> = Vec::new();
    for catalog in std::iter::once(input.catalog).chain(input.earlier.iter().map(Arc::as_ref)) {
        for (check, mapping) in catalog.bearing_on(&control) {
            if !bearing.iter().any(|(known, _)| known.id == check.id) {
                bearing.push((check, mapping.strength));
            }
        }
    }
    bearing.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
    let dropped = |check: &Check| {
        let key = (control.clone(), check.id.clone());
        let last = input.in_force.get(&key)?.last()?;
        (last.to < input.window.to).then_some(last.to)
    };
    let bearing = bearing.into_iter();
    let checks = bearing.map(|(check, strength)| CheckPeriod {
        check: check.id.clone(),
        title: check.title.clone(),
        severity: check.severity,
        strength,
        dropped: dropped(check),
        sla_ms: input.given.sla.of(check.severity),
        shares: Shares::default(),
        longest_gap: None,
        deviations: Spent::default(),
        hosts: Vec::new(),
    });
    ControlPeriod {
        checks: checks.collect(),
        applicability: input.given.applicability.get(&control).cloned(),
        conclusion: input
            .given
            .conclusion(&control, &input.asked.groups)
            .cloned(),
        documents: input.given.documents(&control),
        open: input.given.open(&control),
        title,
        shares: Shares::default(),
        any_failing_ms: 0,
        longest_gap: None,
        deviations: Spent::default(),
        control,
    }
}

/// Adds what the checks on one control said of one host.
fn one_host<E>(
    input: &Input<'_>,
    source: &Source<'_, E>,
    (host, there, spans): (&AgentId, &[Window], &BTreeMap<String, Vec<Span>>),
    (control, failing): (&mut ControlPeriod, &mut Vec<Window>),
) {
    let mut lines = Vec::new();
    for check in &mut control.checks {
        let id = &check.check;
        let spans = spans.get(id).map_or(&[][..], Vec::as_slice);
        let excepted = input.given.excepted_windows(&control.control, id, host);
        let key = (control.control.clone(), id.clone());
        let expected = both(there, input.in_force.get(&key));
        let line = line::line(spans, &expected, &excepted);
        let last = |span: &Span| (source.last_collected)(host, id, span);
        let known = Known {
            last_collected: &last,
            received: source.received,
        };
        let mut deviations =
            line::deviations(spans, input.window, (&excepted, check.sla_ms), &known);
        // One that lies in a time that does not count is none; of others the whole length counts.
        deviations.retain(|one| {
            let (from, to) = (one.from, one.to);
            let mut counting = expected.iter();
            counting.any(|part| part.cut(Window { from, to }).is_some())
        });
        let shares = line.shares();
        check.shares.add_all(&shares);
        let mut spent = Spent::default();
        for one in &deviations {
            spent.add(one);
        }
        check.deviations.add_all(&spent);
        control.deviations.add_all(&spent);
        let longest_gap = line::longest_gap(&line);
        if let Some(window) = longest_gap {
            let length_ms = window.ms();
            for longest in [&mut check.longest_gap, &mut control.longest_gap] {
                if longest.as_ref().is_none_or(|gap| gap.length_ms < length_ms) {
                    *longest = Some(Gap {
                        host: host.clone(),
                        check: id.clone(),
                        window,
                        length_ms,
                    });
                }
            }
        }
        check.hosts.push(HostPeriod {
            host: host.clone(),
            shares,
            longest_gap,
            deviations,
        });
        lines.push(line);
    }
    let worst = line::worst(&lines);
    control.shares.add_all(&worst.shares());
    let fails = worst
        .0
        .iter()
        .filter(|piece| piece.verdict == Verdict::Fail);
    failing.extend(fails.map(|piece| piece.window));
}

/// The parts that lie in one of each.
fn both(there: &[Window], in_force: Option<&Vec<Window>>) -> Vec<Window> {
    let Some(in_force) = in_force else {
        return there.to_vec();
    };
    let cut = |one: &Window| -> Vec<Window> {
        in_force
            .iter()
            .filter_map(|force| one.cut(*force))
            .collect()
    };
    there.iter().flat_map(cut).collect()
}

/// How long at least one of the windows lasts.
fn united_ms(mut windows: Vec<Window>) -> i64 {
    windows.sort();
    let mut sum = 0_i64;
    let mut end: Option<Timestamp> = None;
    for one in windows {
        let from = end.map_or(one.from, |end| end.max(one.from));
        let rest = Window { from, to: one.to };
        sum = sum.saturating_add(rest.ms());
        end = Some(end.map_or(one.to, |end| end.max(one.to)));
    }
    sum
}
