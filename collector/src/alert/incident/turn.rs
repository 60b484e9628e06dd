//! One incident at one moment: what is new in it, what is over, and who is told.

use std::collections::BTreeSet;

use shared::id::Digest;

use super::super::quiet::Hush;
use super::super::route::Route;
use super::super::{CONDITIONS_MAX, Notice, Occasion, undelivered_key};
use super::{Clock, Head, Incident, Member, Moment, Now, Order, Seen};
use crate::catalog::Severity;
use crate::drift::Condition;

/// Digits of the name of an incident: no two of a collector are alike.
const ID_DIGITS: usize = 20;

/// What one incident needs to go on.
pub(super) struct Turn<'a> {
    pub(super) given: &'a Moment<'a>,
    /// The route of the incident, unless the settings have it no more.
    pub(super) route: Option<&'a Route>,
    pub(super) age: i64,
    /// Conditions that changed so that it must be written down.
    pub(super) changed: BTreeSet<String>,
    pub(super) orders: &'a mut Vec<Order>,
}

impl Turn<'_> {
    /// Takes what is there now, and returns what was told and is over.
    pub(super) fn see(&mut self, incident: &mut Incident, seen: &Seen<'_>) -> Vec<Condition> {
        for (key, (condition, hush)) in seen {
            let age = self.age;
            let fresh = Member {
                condition: (*condition).clone(),
                first: age,
                gone: None,
                told: false,
                worse: false,
                hush: hush.clone(),
            };
            let Some(member) = incident.members.get_mut(*key) else {
                let _new = incident.members.insert((*key).to_owned(), fresh);
                let _new = self.changed.insert((*key).to_owned());
                continue;
            };
            // That it got worse is worth to be told; its facts change all the time.
            let worse = member.worse || member.condition.severity < condition.severity;
            let same = worse == member.worse && *hush == member.hush && member.gone.is_none();
            let (first, told) = (member.first, member.told);
            *member = Member {
                first,
                told,
                worse,
                ..fresh
            };
            if !same {
                let _new = self.changed.insert((*key).to_owned());
            }
        }
        let (age, given, changed) = (self.age, self.given, &mut self.changed);
        let resolve = self.route.map_or(0, |route| route.resolve_ms);
        // Nothing of it is where it was or went elsewhere: it was told there already.
        let told =
            |(key, member): (&String, &Member)| member.told && seen.contains_key(key.as_str());
        let parked = !incident.members.iter().any(told);
        let elsewhere = |(key, member): (&String, &Member)| {
            member.told && self.given.there.contains(key.as_str())
        };
        if seen.is_empty() && incident.members.iter().any(elsewhere) {
            self.route = None;
        }
        let mut over = Vec::new();
        incident.members.retain(|key, member| {
            if seen.contains_key(key.as_str()) || given.silent.hides(&member.condition) {
                return true;
            }
            // It is there, and another route takes it.
            if given.there.contains(key.as_str()) {
                if parked && member.told {
                    return true;
                }
                let _new = changed.insert(key.clone());
                return false;
            }
            let since = *member.gone.get_or_insert_with(|| {
                let _new = changed.insert(key.clone());
                age
            });
            let keep = age.saturating_sub(since) < resolve;
            if !keep {
                let _new = changed.insert(key.clone());
                if member.told {
                    over.push(member.condition.clone());
                }
            }
            keep
        });
        over
    }

    /// Decides who is told.
    pub(super) fn tell(&mut self, clock: &mut Clock, incident: &mut Incident, over: &[Condition]) {
        let told = incident.members.values().any(|member| member.told);
        if incident.head.raised.is_some() && !told {
            let channels = incident.head.channels.clone();
            self.notice(incident, Occasion::Resolved, over, &channels);
            let group = std::mem::take(&mut incident.head.group);
            incident.head = Head::new(&incident.head.route, group);
        }
        let Some(route) = self.route else { return };
        if self.raise(route, clock, incident) {
            return;
        }
        if incident.head.raised.is_some() {
            self.chase(route, incident);
        }
    }

    /// Tells what nobody was told of yet, when it has lasted and waited long enough.
    fn raise(&mut self, route: &Route, clock: &mut Clock, incident: &mut Incident) -> bool {
        let waits = |member: &&Member| {
            let known = self.age.saturating_sub(member.first);
            let lasted = known.max(self.given.now.at.ms_since(member.condition.since));
            (!member.told || member.worse) && member.hush.is_none() && route.hold_ms <= lasted
        };
        if !incident.members.values().any(|member| waits(&member)) {
            incident.head.ripe = None;
            return false;
        }
        // What flaps goes on waiting while it is gone, and is told when it is there.
        let members = incident.members.iter();
        let ripe: Vec<String> = members
            .filter(|(_key, member)| member.gone.is_none() && waits(member))
            .map(|(key, _member)| key.clone())
            .collect();
        if ripe.is_empty() {
            return false;
        }
        // Without a channel nobody would be told.
        let channels = self.channels(route, incident.head.rung);
        if channels.is_empty() {
            return false;
        }
        let since = *incident.head.ripe.get_or_insert(self.age);
        if self.age.saturating_sub(since) < route.wait_ms {
            return false;
        }
        for key in ripe {
            if let Some(member) = incident.members.get_mut(&key) {
                (member.told, member.worse) = (true, false);
            }
            let _new = self.changed.insert(key);
        }
        let head = &mut incident.head;
        head.ripe = None;
        if head.raised.is_none() {
            clock.raised = clock.raised.saturating_add(1);
            head.id = name(self.given.now, head, clock.raised);
            head.raised = Some(self.given.now.at);
            head.rung_since = self.age;
        } else if head.hushed {
            head.rung_since = self.age;
        }
        head.hushed = false;
        let shown = shown(incident);
        self.notice(incident, Occasion::Raised, &shown, &channels);
        true
    }

    /// Reminds or escalates while nobody has acknowledged.
    fn chase(&mut self, route: &Route, incident: &mut Incident) {
        let there = |member: &&Member| member.told && member.gone.is_none();
        let mut there = incident.members.values().filter(there).peekable();
        if there.peek().is_none() {
            return;
        }
        let (mut hushed, mut known) = (true, true);
        for member in there {
            hushed &= member.hush.is_some();
            known &= matches!(member.hush, Some(Hush::Acknowledged(_)));
        }
        let head = &mut incident.head;
        let before = std::mem::replace(&mut head.hushed, hushed);
        if hushed {
            if known && !before {
                let channels = head.channels.clone();
                let shown = shown(incident);
                self.notice(incident, Occasion::Acknowledged, &shown, &channels);
            } else if known {
                self.refresh(incident);
            }
            return;
        }
        if before {
            head.rung_since = self.age;
        }
        // Whom the settings name since then has heard nothing of it.
        let channels = self.channels(route, head.rung);
        let late: BTreeSet<String> = channels.difference(&head.channels).cloned().collect();
        if !late.is_empty() {
            let told = head.told;
            let shown = shown(incident);
            self.notice(incident, Occasion::Raised, &shown, &late);
            incident.head.told = told;
            return;
        }
        let ladder = self.given.routes.ladder(route);
        let here = ladder
            .get(head.rung)
            .and_then(|route| route.escalate.as_ref());
        let next = ladder.get(head.rung.saturating_add(1));
        let due =
            here.is_some_and(|(after, _to)| *after <= self.age.saturating_sub(head.rung_since));
        if due && let Some(next) = next {
            head.rung = head.rung.saturating_add(1);
            head.rung_since = self.age;
            let channels = next.channels.iter().cloned().collect();
            let shown = shown(incident);
            return self.notice(incident, Occasion::Escalated, &shown, &channels);
        }
        let passed = self.age.saturating_sub(head.told);
        if route.repeat_ms.is_some_and(|repeat| repeat <= passed) {
            let channels = self.channels(route, head.rung);
            let shown = shown(incident);
            return self.notice(incident, Occasion::Reminder, &shown, &channels);
        }
        self.refresh(incident);
    }

    /// Tells receivers once more that would else take the silence for the end.
    fn refresh(&mut self, incident: &mut Incident) {
        let told = incident.head.told;
        let passed = self.age.saturating_sub(told.max(incident.head.refreshed));
        let forgets = |channel: &&String| {
            let after = self.given.routes.forgets(channel);
            after.is_some_and(|after| after <= passed)
        };
        let channels: BTreeSet<String> = incident
            .head
            .channels
            .iter()
            .filter(forgets)
            .cloned()
            .collect();
        if !channels.is_empty() {
            let shown = shown(incident);
            self.notice(incident, Occasion::Reminder, &shown, &channels);
            (incident.head.told, incident.head.refreshed) = (told, self.age);
        }
    }

    /// The channels of a route and of those to which it was escalated.
    fn channels(&self, route: &Route, rung: usize) -> BTreeSet<String> {
        let ladder = self.given.routes.ladder(route).into_iter();
        let reached = ladder.take(rung.saturating_add(1));
        let channels = reached.flat_map(|route| route.channels.clone());
        let there = channels.filter(|channel| self.given.routes.has_channel(channel));
        there.collect()
    }

    /// Makes a notice for these channels.
    fn notice(
        &mut self,
        incident: &mut Incident,
        occasion: Occasion,
        about: &[Condition],
        channels: &BTreeSet<String>,
    ) {
        let head = &mut incident.head;
        head.number = head.number.saturating_add(1);
        head.told = self.age;
        head.channels.extend(channels.iter().cloned());
        let mut about: Vec<&Condition> = about.iter().collect();
        about.sort_by_key(|one| (std::cmp::Reverse(one.severity), one.since, &one.key));
        let (Some(worst), count) = (about.first(), about.len()) else {
            return;
        };
        let title = match count {
            1 => worst.text.clone(),
            _ => format!("{count} conditions, the worst: {}", worst.text),
        };
        let since = about.iter().map(|condition| condition.since).min();
        let shown = about.iter().take(CONDITIONS_MAX);
        let notice = Notice {
            incident: head.id.clone(),
            number: head.number,
            occasion,
            at: self.given.now.at,
            since: since.unwrap_or(self.given.now.at),
            severity: worst.severity,
            title,
            collector: self.given.now.collector.to_owned(),
            conditions: shown.map(|condition| (*condition).clone()).collect(),
            count: u64::try_from(count).unwrap_or(u64::MAX),
        };
        for channel in channels {
            // That a channel does not work is told to the others.
            let own = undelivered_key(channel);
            let own = about.iter().all(|condition| condition.key == own);
            if own || !self.given.routes.has_channel(channel) {
                continue;
            }
            self.orders.push(Order {
                channel: channel.clone(),
                notice: notice.clone(),
            });
        }
    }
}

/// What a notice shows: all that was told and is there, but for what is silenced.
fn shown(incident: &Incident) -> Vec<Condition> {
    let members = incident.members.values().filter(|member| {
        let silenced = matches!(member.hush, Some(Hush::Silenced(_)));
        member.told && member.gone.is_none() && !silenced
    });
    members.map(|member| member.condition.clone()).collect()
}

/// The name of an incident: the same on any machine, and of no other.
fn name(now: &Now<'_>, head: &Head, number: u64) -> String {
    let route = &head.route;
    let text = format!(
        "{}\n{route}\n{:?}\n{number}\n{}",
        now.collector, head.group, now.at
    );
    let digits = Digest::of(text.as_bytes()).to_string();
    digits.chars().take(ID_DIGITS).collect()
}

impl Incident {
    /// The highest severity of what is there.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        let there = self.members.values().filter(|member| member.gone.is_none());
        there.map(|member| member.condition.severity).max()
    }
}
