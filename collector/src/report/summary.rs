//! What comes first on the screen of the status, and the hosts that come last.

use shared::id::AgentId;

use super::{ControlState, HOSTS_SHOWN, Origin, Report, Screen, THEMES, state_colour};
use crate::evaluate::ago;
use crate::status::{ControlStatus, HostStatus};

/// Most hosts on the screen; JSON holds all.
const HOSTS_MAX: usize = 40;
/// Most controls that are named as failing.
const NAMES_MAX: usize = 12;
/// States in which a control or a host can be, the worst first.
const STATES: [ControlState; 5] = [
    ControlState::Failing,
    ControlState::Unknown,
    ControlState::Passing,
    ControlState::NotApplicable,
    ControlState::NoHost,
];

/// How many controls and hosts are in which state.
pub(super) fn head(screen: &mut Screen, report: &Report) {
    let at = report.as_of;
    match report.origin {
        Origin::Ledger => screen.line(&format!("Status as of {at}")),
        Origin::Unsigned => {
            screen.line(&format!("Judged as of {at}"));
            screen.wrapped(
                0,
                "These observations are not signed and in no ledger: they are no evidence.",
            );
        }
    }
    let all = report.controls.len();
    let checked = || {
        let controls = report.controls.iter();
        controls.filter(|one| one.state != ControlState::NoCheck)
    };
    let states = counted(&checked().map(|one| one.state));
    let with = checked().count();
    let said = format!("{with} of {all} have checks here{states}.");
    screen.hanging(0, "Controls  ", &said);
    if report.origin == Origin::Unsigned {
        return;
    }
    let enrolled = || {
        let hosts = report.hosts.iter();
        hosts.filter(|host| host.enrolment.revoked.is_none())
    };
    let sent = enrolled().filter(|host| host.enrolment.last.is_some());
    let states = counted(&enrolled().map(state));
    let (sent, all) = (sent.count(), enrolled().count());
    let left = match report.hosts.len() - all {
        0 => String::new(),
        left => format!(" {left} left."),
    };
    let said = format!("{sent} of {all} enrolled have sent evidence{states}.{left}");
    screen.hanging(0, "Hosts     ", &said);
    if !report.out_of_scope.is_empty() {
        let names = report.out_of_scope.iter().take(HOSTS_SHOWN);
        let names: Vec<_> = names.map(AgentId::as_str).collect();
        let rest = match report.out_of_scope.len() - names.len() {
            0 => String::new(),
            rest => format!(" and {rest} others"),
        };
        let said = format!("out of scope, not counted: {}{rest}", names.join(", "));
        screen.hanging(0, "Scope     ", &said);
    }
    let incidents = report.incidents;
    if 0 < incidents {
        let said = format!("{incidents} incidents are open: see `evident-collector alert list`.");
        screen.hanging(0, "Alerts    ", &said);
    }
}

/// How many are in each state, the worst first.
fn counted(states: &(impl Iterator<Item = ControlState> + Clone)) -> String {
    let counts = STATES.iter().filter_map(|state| {
        let count = states.clone().filter(|one| one == state).count();
        (0 < count).then(|| format!("{count} {}", state.as_str()))
    });
    let counts: Vec<_> = counts.collect();
    if counts.is_empty() {
        return String::new();
    }
    format!(": {}", counts.join(", "))
}

/// The worst that is said of a host.
const fn state(host: &HostStatus) -> ControlState {
    if 0 < host.failing {
        ControlState::Failing
    } else if 0 < host.unknown {
        ControlState::Unknown
    } else if 0 < host.passing {
        ControlState::Passing
    } else {
        ControlState::NotApplicable
    }
}

/// What a person must see to.
pub(super) fn needs(screen: &mut Screen, report: &Report) {
    let mut all = Vec::new();
    let behind = report.behind;
    if 0 < behind {
        all.push(format!(
            "{behind} newer entries of the ledger are not here yet."
        ));
    }
    for (name, pace) in &report.channels {
        let waiting = match pace.waiting {
            1 => "1 notice waits".to_owned(),
            count => format!("{count} notices wait"),
        };
        all.push(match &pace.tally.failing {
            Some((since, said)) => format!(
                "alert channel `{name}` delivers nothing since {since}, {waiting}: {said}. Try \
                 `evident-collector alert test {name}`."
            ),
            None => format!("alert channel `{name}`: {waiting} to be delivered."),
        });
    }
    let warned = report.hosts.iter().filter_map(|host| {
        let warning = host.warning.as_ref()?;
        Some(format!("{}: {warning}", host.host))
    });
    all.extend(warned);
    let failing = report.controls.iter();
    let failing = failing.filter(|one| one.state == ControlState::Failing);
    let failing: Vec<_> = failing.map(|one| one.control.as_str()).collect();
    if !failing.is_empty() {
        let more = match failing.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named: Vec<_> = failing.iter().copied().take(NAMES_MAX).collect();
        all.push(format!("failing: {}{more}.", named.join(", ")));
    }
    if all.is_empty() {
        return;
    }
    screen.line("");
    screen.line("What needs a person:");
    for one in all {
        screen.hanging(2, "! ", &one);
    }
}

/// Controls of which nothing is known here.
pub(super) fn unchecked(screen: &mut Screen, report: &Report) {
    let of = |theme: &str, wanted: fn(&ControlStatus) -> bool| {
        let controls = report.controls.iter();
        let controls = controls.filter(|one| one.theme == theme && wanted(one));
        controls.count()
    };
    let without = |one: &ControlStatus| one.state == ControlState::NoCheck;
    let themes = THEMES.iter().filter_map(|theme| {
        let (count, all) = (of(theme, without), of(theme, |_one| true));
        (0 < count).then(|| format!("{theme} {count} of {all}"))
    });
    let themes: Vec<_> = themes.collect();
    screen.line("");
    if !themes.is_empty() && !report.failing {
        let said = format!(
            "No check bears on {}: nothing here speaks for or against these controls.",
            themes.join(", ")
        );
        screen.wrapped(0, &said);
    }
    screen.wrapped(
        0,
        "A pass proves (the operation was seen), supports (a necessary part is there) or \
         indicates (a sign of it). It is a finding; whether a control is fulfilled is for a \
         person to conclude.",
    );
}

/// The hosts, those that need a person first.
pub(super) fn hosts(screen: &mut Screen, report: &Report) {
    let mut hosts: Vec<_> = report
        .listed_hosts()
        .filter(|host| host.enrolment.revoked.is_none())
        .collect();
    if hosts.is_empty() {
        return;
    }
    hosts.sort_by_key(|host| {
        let calm = host.warning.is_none();
        (calm, std::cmp::Reverse((host.failing, host.unknown)))
    });
    let shown = hosts.iter().take(HOSTS_MAX);
    let widest = shown.clone().map(|host| host.host.as_str().len()).max();
    let name = widest.unwrap_or_default().clamp(4, 30);
    screen.line("");
    screen.line(&format!(
        "{:<name$}  {:<14}  {:>4}  {:>4}  {:>7}  {:>5}  {:>4}  last seen",
        "host", "state", "fail", "pass", "unknown", "stale", "n/a"
    ));
    for host in shown {
        let state = state(host);
        let word = screen.painted(state.as_str(), state_colour(state), 14);
        let seen = match host.enrolment.last {
            Some(_) => ago(screen.now.ms_since(host.enrolment.heard)),
            None => "never".to_owned(),
        };
        let mark = if host.warning.is_some() { " !" } else { "" };
        screen.line(&format!(
            "{:<name$}  {word}  {:>4}  {:>4}  {:>7}  {:>5}  {:>4}  {seen}{mark}",
            host.host.as_str(),
            host.failing,
            host.passing,
            host.unknown,
            host.stale,
            host.not_applicable
        ));
    }
    let more = hosts.len().saturating_sub(HOSTS_MAX);
    if 0 < more {
        screen.wrapped(
            0,
            &format!("and {more} more; --host NAME shows one, JSON all"),
        );
    }
}
