//! Settings of alerts: which route takes a condition, whom it tells, when, and who is told next.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::value::refused;
use crate::fault::{Complaint, nearest};

#[cfg(test)]
mod tests;

/// Name of the route that takes what no other took.
pub const DEFAULT_ROUTE: &str = "default";
/// The words for kinds of conditions.
pub const KINDS: [&str; 9] = [
    "failing",
    "unknown",
    "silent-host",
    "silent-probe",
    "silent-fleet",
    "forked-host",
    "population",
    "due",
    "undelivered",
];
/// The words for severities, the least first.
pub const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];
/// Longest pattern.
const PATTERN_BYTES_MAX: usize = 253;
/// Longest time in a route: 30 days.
const SECONDS_MAX: u32 = 30 * 86_400;
/// Most routes.
const ROUTES_MAX: usize = 256;

/// What a route or a silence takes. Of each list one must match; an empty one takes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// Controls, e.g. `A.8.*`.
    pub control: Vec<Pattern>,
    /// The severity, or a higher one.
    #[serde(deserialize_with = "severity")]
    pub severity: Option<String>,
    /// Groups of the host.
    pub group: Vec<Pattern>,
    /// Owners of the controls.
    pub owner: Vec<Pattern>,
    /// What is wrong, in one of the [`KINDS`].
    #[serde(deserialize_with = "kinds")]
    pub kind: Vec<String>,
    /// Checks.
    pub check: Vec<Pattern>,
    /// Hosts.
    pub host: Vec<Pattern>,
}

/// A text in which `*` stands for any characters, or none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pattern(#[serde(deserialize_with = "pattern")] pub String);

impl Pattern {
    /// Whether the whole text has this form.
    #[must_use]
    pub fn takes(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            let Some((_passed, behind)) = rest.split_once(part) else {
                return false;
            };
            rest = behind;
        }
        rest.ends_with(last)
    }
}

/// What conditions of one incident have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// The host.
    Host,
    /// The first control that it bears on.
    Control,
    /// The check.
    Check,
    /// Who owns the controls.
    Owner,
    /// What is wrong.
    Kind,
}

/// Whom a condition is told to, and when.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name.
    pub name: Spanned<String>,
    /// What it takes; without it only what is escalated to it.
    #[serde(rename = "match", default)]
    pub matching: Option<Matching>,
    /// Routes after it may take the same condition.
    #[serde(rename = "continue", default)]
    pub further: bool,
    /// Names of the channels.
    pub channels: Vec<Spanned<String>>,
    /// Conditions that have these in common are one incident; empty: all are one.
    #[serde(default = "by_check")]
    pub group_by: Vec<GroupBy>,
    /// How long a condition must last before it is told.
    #[serde(default, deserialize_with = "seconds")]
    pub for_seconds: u32,
    /// How long it must be gone before it is over.
    #[serde(default = "five_minutes", deserialize_with = "seconds")]
    pub resolve_after_seconds: u32,
    /// How long the first of an incident waits for others.
    #[serde(default = "half_a_minute", deserialize_with = "seconds")]
    pub group_wait_seconds: u32,
    /// Time between reminders; 0 for none.
    #[serde(default = "a_day", deserialize_with = "seconds")]
    pub repeat_seconds: u32,
    /// How long it may stay without an acknowledgement; 0 for ever.
    #[serde(default, deserialize_with = "seconds")]
    pub escalate_after_seconds: u32,
    /// The route whose channels are told then.
    #[serde(default)]
    pub escalate_to: Option<Spanned<String>>,
}

/// The signal outward that the collector works.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadMan {
    /// Is fetched as long as all works; `None` for no signal.
    #[serde(deserialize_with = "url")]
    pub url: Option<Url>,
    /// File with the authorities that may vouch for it, in PEM, from the collector's folder; `None`
    /// for those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// How often.
    #[serde(deserialize_with = "super::value::upto::<86_400, _, _>")]
    pub every_seconds: u32,
}

impl Default for DeadMan {
    fn default() -> Self {
        Self {
            url: None,
            ca_file: None,
            every_seconds: 60,
        }
    }
}

impl Route {
    /// The route that takes what no other took, when the settings have none of this name.
    #[must_use]
    pub fn otherwise(channels: Vec<Spanned<String>>) -> Self {
        Self {
            name: Spanned::new(0..0, DEFAULT_ROUTE.to_owned()),
            matching: None,
            further: false,
            channels,
            group_by: by_check(),
            for_seconds: 0,
            resolve_after_seconds: five_minutes(),
            group_wait_seconds: half_a_minute(),
            repeat_seconds: a_day(),
            escalate_after_seconds: 0,
            escalate_to: None,
        }
    }
}

/// Checks that all that routes name is there, and that escalation comes to an end.
pub(super) fn check(routes: &[Route], channels: &[&str]) -> Result<(), Complaint> {
    let mut names: BTreeMap<&str, &Route> = BTreeMap::new();
    for route in routes {
        let (name, at) = (route.name.get_ref().as_str(), route.name.span());
        if ROUTES_MAX <= names.len() {
            let what = format!("there are more than {ROUTES_MAX} routes");
            return Err(Complaint::new(at, what));
        }
        if name.is_empty() || PATTERN_BYTES_MAX < name.len() || name.contains(char::is_control) {
            let complaint = Complaint::new(at, format!("{name:?} is no name of a route"));
            return Err(complaint.hint("write a short word, e.g. \"night\""));
        }
        if names.insert(name, route).is_some() {
            let complaint = Complaint::new(at, format!("there are two routes `{name}`"));
            return Err(complaint.hint("give each route a name of its own"));
        }
    }
    for route in routes {
        leads_somewhere(route, &names, channels)?;
    }
    for route in routes {
        ends(route, &names)?;
        let name = route.name.get_ref();
        let reached = routes
            .iter()
            .filter_map(|other| other.escalate_to.as_ref())
            .any(|to| to.get_ref() == name);
        if route.matching.is_none() && name != DEFAULT_ROUTE && !reached {
            let what = format!("nothing comes to the route `{name}`");
            let hint = "write `match = {}` to take everything, or escalate to it";
            return Err(Complaint::new(route.name.span(), what).hint(hint));
        }
    }
    Ok(())
}

/// Checks the names in one route.
fn leads_somewhere(
    route: &Route,
    names: &BTreeMap<&str, &Route>,
    channels: &[&str],
) -> Result<(), Complaint> {
    let name = route.name.get_ref();
    if route.channels.is_empty() {
        let complaint = Complaint::new(
            route.name.span(),
            format!("the route `{name}` tells nobody"),
        );
        return Err(complaint.hint("name at least one channel in `channels`"));
    }
    let unknown = |channel: &&Spanned<String>| !channels.contains(&channel.get_ref().as_str());
    if let Some(channel) = route.channels.iter().find(unknown) {
        let what = format!("there is no channel `{}`", channel.get_ref());
        let hint = nearest(channel.get_ref(), channels.iter().copied());
        return Err(Complaint::new(channel.span(), what).hint(hint));
    }
    match (&route.escalate_to, route.escalate_after_seconds) {
        (None, 0) => Ok(()),
        (None, _) => {
            let what = format!("the route `{name}` escalates to nobody");
            let hint = "name a route in `escalate_to`";
            Err(Complaint::new(route.name.span(), what).hint(hint))
        }
        (Some(to), 0) => {
            let complaint = Complaint::new(to.span(), "it is not said when to escalate");
            Err(complaint.hint("write `escalate_after_seconds`"))
        }
        (Some(to), _) if !names.contains_key(to.get_ref().as_str()) => {
            let what = format!("there is no route `{}`", to.get_ref());
            let hint = nearest(to.get_ref(), names.keys().copied());
            Err(Complaint::new(to.span(), what).hint(hint))
        }
        (Some(_), _) => Ok(()),
    }
}

/// Checks that escalation from this route does not come back to one that it has passed.
fn ends(route: &Route, names: &BTreeMap<&str, &Route>) -> Result<(), Complaint> {
    let mut passed = vec![route.name.get_ref().as_str()];
    let mut at: Range<usize>;
    let mut here = route;
    while let Some(to) = &here.escalate_to {
        let name = to.get_ref().as_str();
        at = to.span();
        let again = passed.contains(&name);
        passed.push(name);
        if again {
            let what = format!("cyclic routes: {}", passed.join(" -> "));
            let hint = "let the last route escalate to nobody";
            return Err(Complaint::new(at, what).hint(hint));
        }
        match names.get(name) {
            Some(next) => here = next,
            None => break,
        }
    }
    Ok(())
}

fn by_check() -> Vec<GroupBy> {
    vec![GroupBy::Kind, GroupBy::Check]
}

const fn half_a_minute() -> u32 {
    30
}

const fn five_minutes() -> u32 {
    300
}

const fn a_day() -> u32 {
    86_400
}

/// A time in whole seconds, which may be none.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let given = i64::deserialize(from)?;
    let number = u32::try_from(given).ok();
    number
        .filter(|number| *number <= SECONDS_MAX)
        .ok_or_else(|| {
            let what = format!("{given} is out of range");
            refused(&what, &format!("write seconds, from 0 to {SECONDS_MAX}"))
        })
}

fn pattern<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let plain = !text.is_empty() && !text.contains(|c: char| c.is_control() || c == ' ');
    if plain && text.len() <= PATTERN_BYTES_MAX {
        return Ok(text);
    }
    let hint = "write a name, in which `*` may stand for any part, e.g. \"A.8.*\"";
    Err(refused(&format!("{text:?} matches nothing"), hint))
}

fn severity<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    one_of(String::deserialize(from)?, "severity", &SEVERITIES).map(Some)
}

fn kinds<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    /// One word, so that what is wrong is marked alone.
    #[derive(Deserialize)]
    struct Word(#[serde(deserialize_with = "kind")] String);

    let words = Vec::<Word>::deserialize(from)?;
    Ok(words.into_iter().map(|word| word.0).collect())
}

fn kind<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    one_of(String::deserialize(from)?, "kind of condition", &KINDS)
}

fn one_of<E: serde::de::Error>(word: String, what: &str, known: &[&str]) -> Result<String, E> {
    if known.contains(&word.as_str()) {
        return Ok(word);
    }
    let hint = nearest(&word, known.iter().copied());
    Err(refused(&format!("there is no {what} `{word}`"), &hint))
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let given = String::deserialize(from)?;
    if given.is_empty() {
        return Ok(None);
    }
    let url = super::reach(&given).map(Some);
    url.map_err(|hint| refused("this address cannot be used", hint))
}
