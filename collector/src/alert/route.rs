//! Routes in use: which take a condition, what it has in common with others, who is told next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;
use shared::id::AgentId;

use crate::catalog::Severity;
use crate::config::route::{DEFAULT_ROUTE, GroupBy, Matching, Pattern, Route as Settings};
use crate::drift::{Condition, ConditionKind};

/// What a route or a silence takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    control: Vec<Pattern>,
    severity: Option<Severity>,
    group: Vec<Pattern>,
    owner: Vec<Pattern>,
    kind: Vec<ConditionKind>,
    check: Vec<Pattern>,
    host: Vec<Pattern>,
}

impl Matcher {
    /// The matcher of these settings.
    #[must_use]
    pub fn of(matching: &Matching) -> Self {
        Self {
            control: matching.control.clone(),
            severity: matching.severity.as_deref().and_then(severity),
            group: matching.group.clone(),
            owner: matching.owner.clone(),
            kind: matching.kind.iter().filter_map(|word| kind(word)).collect(),
            check: matching.check.clone(),
            host: matching.host.clone(),
        }
    }

    /// Whether it takes this condition.
    #[must_use]
    pub fn takes(&self, condition: &Condition) -> bool {
        let host = condition.host.as_ref().map(AgentId::as_str);
        self.severity
            .is_none_or(|least| least <= condition.severity)
            && (self.kind.is_empty() || self.kind.contains(&condition.kind))
            && any(&self.control, condition.controls.iter().map(String::as_str))
            && any(&self.group, condition.groups.iter().map(String::as_str))
            && any(&self.owner, condition.owners.iter().map(String::as_str))
            && any(&self.check, condition.check.as_deref().into_iter())
            && any(&self.host, host.into_iter())
    }
}

/// Whether one of the patterns takes one of the texts; none of them takes everything.
fn any<'a>(patterns: &[Pattern], mut texts: impl Iterator<Item = &'a str>) -> bool {
    patterns.is_empty() || texts.any(|text| patterns.iter().any(|pattern| pattern.takes(text)))
}

/// The severity of this word.
pub(super) fn severity(word: &str) -> Option<Severity> {
    let word: StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
    Severity::deserialize(word).ok()
}

/// The kind of this word.
fn kind(word: &str) -> Option<ConditionKind> {
    let word: StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
    ConditionKind::deserialize(word).ok()
}

/// The word of a kind, as settings write it.
#[must_use]
pub const fn word(kind: ConditionKind) -> &'static str {
    match kind {
        ConditionKind::Failing => "failing",
        ConditionKind::Unknown => "unknown",
        ConditionKind::SilentHost => "silent-host",
        ConditionKind::SilentProbe => "silent-probe",
        ConditionKind::SilentFleet => "silent-fleet",
        ConditionKind::ForkedHost => "forked-host",
        ConditionKind::Population => "population",
        ConditionKind::Due => "due",
        ConditionKind::Undelivered => "undelivered",
    }
}

/// A route in use. All times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    matcher: Option<Matcher>,
    further: bool,
    /// Names of the channels.
    pub channels: Vec<String>,
    group_by: Vec<GroupBy>,
    /// How long a condition must last before it is told.
    pub hold_ms: i64,
    /// How long it must be gone before it is over.
    pub resolve_ms: i64,
    /// How long the first of an incident waits for others.
    pub wait_ms: i64,
    /// Time between reminders.
    pub repeat_ms: Option<i64>,
    /// How long nobody may acknowledge it, and the route that is told then.
    pub escalate: Option<(i64, String)>,
}

impl Route {
    fn of(settings: &Settings) -> Self {
        let ms = |seconds: u32| i64::from(seconds).saturating_mul(1000);
        let after = ms(settings.escalate_after_seconds);
        let to = settings.escalate_to.as_ref();
        Self {
            name: settings.name.get_ref().clone(),
            matcher: settings.matching.as_ref().map(Matcher::of),
            further: settings.further,
            channels: settings
                .channels
                .iter()
                .map(|channel| channel.get_ref().clone())
                .collect(),
            group_by: settings.group_by.clone(),
            hold_ms: ms(settings.for_seconds),
            resolve_ms: ms(settings.resolve_after_seconds),
            wait_ms: ms(settings.group_wait_seconds),
            repeat_ms: Some(ms(settings.repeat_seconds)).filter(|ms| 0 < *ms),
            escalate: to
                .filter(|_route| 0 < after)
                .map(|to| (after, to.get_ref().clone())),
        }
    }

    /// What conditions of the same incident have in common with this one, e.g. `host=web-1`.
    #[must_use]
    pub fn group(&self, condition: &Condition) -> Vec<String> {
        let by = self.group_by.iter().collect::<BTreeSet<_>>();
        let value = |by: &GroupBy| match by {
            GroupBy::Host => {
                let host = condition.host.as_ref().map(AgentId::as_str);
                format!("host={}", host.unwrap_or_default())
            }
            // The first one: a condition that bears on three controls is told once.
            GroupBy::Control => {
                let control = condition.controls.first().map(String::as_str);
                format!("control={}", control.unwrap_or_default())
            }
            GroupBy::Check => {
                format!("check={}", condition.check.as_deref().unwrap_or_default())
            }
            GroupBy::Owner => format!("owner={}", condition.owners.join(",")),
            GroupBy::Kind => format!("kind={}", word(condition.kind)),
        };
        by.into_iter().map(value).collect()
    }
}

/// All routes, in the order of the settings; there is always one named `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    routes: Vec<Route>,
    /// The channels, and after how long a receiver forgets what it is not told again.
    channels: BTreeMap<String, Option<i64>>,
}

impl Routes {
    /// The routes of the settings, which were checked when they were read, and these channels for
    /// what no route takes.
    #[must_use]
    pub fn of(settings: &[Settings], channels: &[(&str, Option<Duration>)]) -> Self {
        let mut routes: Vec<Route> = settings.iter().map(Route::of).collect();
        if !routes.iter().any(|route| route.name == DEFAULT_ROUTE) {
            let all = channels.iter();
            let all = all.map(|(name, _forgets)| toml::Spanned::new(0..0, (*name).to_owned()));
            routes.push(Route::of(&Settings::otherwise(all.collect())));
        }
        let ms = |after: Duration| i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let channels = channels
            .iter()
            .map(|(name, forgets)| ((*name).to_owned(), forgets.map(ms)))
            .collect();
        Self { routes, channels }
    }

    /// Whether the settings have this channel.
    #[must_use]
    pub fn has_channel(&self, name: &str) -> bool {
        self.channels.contains_key(name)
    }

    /// After how long a receiver forgets what it is not told again, in milliseconds.
    #[must_use]
    pub fn forgets(&self, channel: &str) -> Option<i64> {
        self.channels.get(channel).copied().flatten()
    }

    /// The route of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name)
    }

    /// The routes that take a condition: the first that matches, those after it as long as each
    /// says `continue`, and else `default`.
    #[must_use]
    pub fn take(&self, condition: &Condition) -> Vec<&Route> {
        let mut taken = Vec::new();
        for route in &self.routes {
            let matcher = route.matcher.as_ref();
            if matcher.is_some_and(|matcher| matcher.takes(condition)) {
                taken.push(route);
                if !route.further {
                    break;
                }
            }
        }
        if taken.is_empty() {
            taken.extend(self.named(DEFAULT_ROUTE));
        }
        taken
    }

    /// The routes that are told one after the other when nobody acknowledges, this one first.
    #[must_use]
    pub fn ladder<'a>(&'a self, route: &'a Route) -> Vec<&'a Route> {
        let mut ladder = vec![route];
        let mut here = route;
        while let Some((_after, to)) = &here.escalate {
            let Some(next) = self.named(to) else { break };
            // The settings were checked for this; a loop must be impossible all the same.
            if ladder.iter().any(|passed| passed.name == next.name) {
                break;
            }
            ladder.push(next);
            here = next;
        }
        ladder
    }
}

#[cfg(test)]
mod tests {
    use super::super::{condition, settings};
    use super::*;
    use crate::config::route::{KINDS, SEVERITIES};

    #[test]
    fn every_word_of_the_settings_is_known_here() {
        for name in KINDS {
            assert_eq!(kind(name).map(word), Some(name));
        }
        let severities = SEVERITIES.map(|name| severity(name).unwrap());
        assert!(severities.is_sorted());
    }

    const ROUTES: &str = r#"
        [[route]]
        name = "log"
        match = {}
        continue = true
        channels = ["syslog"]

        [[route]]
        name = "web"
        match = { host = ["web-*"], check = ["clock.*", "backup.*"], severity = "medium" }
        channels = ["mail"]

        [[route]]
        name = "ada"
        match = { owner = ["ada"], control = ["A.8.17"] }
        channels = ["mail"]
        group_by = ["host", "control", "owner"]
    "#;

    #[test]
    fn the_first_route_takes_it_and_others_when_it_continues() {
        let routes = settings(ROUTES, &["syslog", "mail"]);
        let check = |condition: &Condition, names: &[&str]| {
            let taken = routes.take(condition);
            let taken: Vec<_> = taken.iter().map(|route| route.name.as_str()).collect();
            assert_eq!(taken, names);
        };
        let mut one = condition(
            "web-1 clock.synchronised",
            "2026-03-01T00:00:00Z".parse().unwrap(),
        );
        check(&one, &["log", "web"]);
        one.severity = Severity::Low;
        check(&one, &["log"]);
        one.owners = vec!["bob".to_owned(), "ada".to_owned()];
        check(&one, &["log", "ada"]);
        let group = routes.named("ada").unwrap().group(&one);
        assert_eq!(group, ["host=web-1", "control=A.8.17", "owner=bob,ada"]);
        one.controls.clear();
        check(&one, &["log"]);
        // Without any route, all channels are told.
        let routes = settings("route = []", &["syslog", "mail"]);
        let taken = routes.take(&one);
        assert_eq!((taken[0].name.as_str(), taken.len()), ("default", 1));
        assert_eq!(taken[0].channels, ["syslog", "mail"]);
        let group = taken[0].group(&one);
        assert_eq!(group, ["check=clock.synchronised", "kind=failing"]);
    }
}
