//! Canary lines of other hosts, kept within bounds that nobody who may log to this host can break.
//!
//! Any name can be invented, and this host does not know which hosts are real. So that inventions
//! push out as little as possible:
//!
//! - In one agent's name the last lines are kept, [`OF_ONE_AGENT_MAX`] at most, and fewer when many
//!   agents have many.
//! - An agent that was told of at the look before comes before all others.
//! - Of the others each file has as many as any other: most log hosts have a file for each sender.
//! - When not all lines fit, every agent has its newest one before another has its second.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::canary::{Canary, HEAD};
use shared::fact::{Record, Value};
use shared::limits::LIST_RECORDS_MAX;
use shared::time::Timestamp;

use super::pieces;

/// Most lines that are kept in the name of one agent.
const OF_ONE_AGENT_MAX: usize = 32;
/// Most agents in whose name a line is kept.
const AGENTS_MAX: usize = LIST_RECORDS_MAX;
/// Most lines that are kept, so that each agent may have four.
const KEPT_MAX: usize = 4 * AGENTS_MAX;
/// Most lines that are told which are no canaries.
const MALFORMED_MAX: usize = 8;
/// Most bytes that are told of such a line.
const MALFORMED_BYTES_MAX: usize = 256;

/// A line that was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Received {
    pub(super) line: String,
    pub(super) file: String,
    pub(super) seen: Timestamp,
    pub(super) written: Option<Timestamp>,
}

impl Received {
    pub(super) fn record(&self) -> Record {
        let fields = [
            ("line", Some(Value::Text(self.line.clone()))),
            ("file", Some(Value::Text(self.file.clone()))),
            ("seen", Some(Value::Instant(self.seen))),
            ("written", self.written.map(Value::Instant)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// What was found, in the name of each agent.
pub(super) struct Found {
    own: String,
    /// Agents that were told of at the look before.
    familiar: BTreeSet<String>,
    of: BTreeMap<String, Lines>,
    /// How many lines there are in `of`.
    kept: usize,
    /// How many lines one agent may have now.
    each_max: usize,
    /// How many agents that are not familiar each file has brought.
    strangers: BTreeMap<String, usize>,
    /// The file that has as many strangers as it may.
    full: Option<String>,
    malformed: Vec<Received>,
    malformed_count: usize,
    dropped: usize,
}

/// What is kept in the name of one agent.
struct Lines {
    /// The file that brought the first one.
    file: String,
    /// Oldest first.
    lines: Vec<Received>,
}

impl Found {
    /// Nothing yet; `own` is the name of this agent, `before` what was told at the look before.
    pub(super) fn new(own: &str, before: &[Received]) -> Self {
        let before = before.iter().filter_map(|one| Canary::find(&one.line));
        Self {
            own: own.to_owned(),
            familiar: before.map(|canary| canary.agent.to_string()).collect(),
            of: BTreeMap::new(),
            kept: 0,
            each_max: OF_ONE_AGENT_MAX,
            strangers: BTreeMap::new(),
            full: None,
            malformed: Vec::new(),
            malformed_count: 0,
            dropped: 0,
        }
    }

    /// Takes a line of a file, if it is one.
    pub(super) fn line(&mut self, line: &[u8], file: &str) {
        let Some(at) = pieces::place(line, HEAD.as_bytes()) else {
            return;
        };
        let line = String::from_utf8_lossy(line);
        let received = |line: String, written| Received {
            line,
            file: file.to_owned(),
            seen: Timestamp::default(),
            written,
        };
        let Some(canary) = Canary::find(&line) else {
            self.malformed_count = self.malformed_count.saturating_add(1);
            if self.malformed.len() < MALFORMED_MAX {
                let at = line.ceil_char_boundary(at);
                let mut text: String = line.get(at..).unwrap_or_default().trim_end().to_owned();
                text.truncate(text.floor_char_boundary(MALFORMED_BYTES_MAX));
                self.malformed.push(received(text, None));
            }
            return;
        };
        let (agent, text) = (canary.agent.as_str(), canary.to_string());
        if agent == self.own {
            return;
        }
        if !self.of.contains_key(agent) && !self.admit(agent, file) {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let of = self.of.entry(agent.to_owned()).or_insert_with(|| Lines {
            file: file.to_owned(),
            lines: Vec::new(),
        });
        // One that was dropped meanwhile may come again from another file.
        if of.lines.iter().any(|one| one.line == text) {
            return;
        }
        of.lines.push(received(text, head_time(&line)));
        self.kept = self.kept.saturating_add(1);
        if self.each_max < of.lines.len() {
            drop(of.lines.remove(0));
            self.kept = self.kept.saturating_sub(1);
            self.dropped = self.dropped.saturating_add(1);
        }
        while KEPT_MAX < self.kept {
            self.shorten();
        }
    }

    /// Whether there is room for a new agent; another one may have to go for it.
    fn admit(&mut self, agent: &str, file: &str) -> bool {
        let familiar = self.familiar.contains(agent);
        if AGENTS_MAX <= self.of.len() {
            if !familiar && self.full.as_deref() == Some(file) {
                return false;
            }
            let own = self.strangers.get(file).copied().unwrap_or(0);
            let most = self.strangers.iter().max_by_key(|(_, count)| **count);
            let Some((crowded, _)) = most.filter(|(_, count)| familiar || own + 1 < **count) else {
                // The others have no more than before until a line of theirs comes.
                self.full = Some(file.to_owned());
                return false;
            };
            let crowded = crowded.clone();
            self.evict(&crowded);
        }
        if !familiar {
            let count = self.strangers.entry(file.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
        true
    }

    /// Drops one agent that is not familiar and came from `file`.
    fn evict(&mut self, file: &str) {
        let stranger =
            |(name, of): &(&String, &Lines)| of.file == file && !self.familiar.contains(*name);
        let name = self.of.iter().rfind(stranger).map(|(name, _)| name.clone());
        let lines = name.and_then(|name| self.of.remove(&name));
        let lines = lines.map_or(0, |of| of.lines.len());
        self.kept = self.kept.saturating_sub(lines);
        self.dropped = self.dropped.saturating_add(lines);
        if let Some(count) = self.strangers.get_mut(file) {
            *count = count.saturating_sub(1);
        }
        self.strangers.retain(|_, count| *count != 0);
    }

    /// Leaves each agent half of what it may have, its newest lines.
    fn shorten(&mut self) {
        self.each_max = (self.each_max / 2).max(1);
        for of in self.of.values_mut() {
            let over = of.lines.len().saturating_sub(self.each_max);
            drop(of.lines.drain(..over));
            self.kept = self.kept.saturating_sub(over);
            self.dropped = self.dropped.saturating_add(over);
        }
    }

    /// Lines that begin like a canary and are none.
    pub(super) fn malformed(&self) -> usize {
        self.malformed_count
    }

    /// Lines that were found and are not kept.
    pub(super) fn dropped(&self) -> usize {
        self.dropped
    }

    /// The lines that are told, those of one agent together, oldest first; and how many more were
    /// kept than may be told.
    pub(super) fn into_lines(self) -> (Vec<Received>, usize) {
        let mut told = self.malformed;
        let mut room = LIST_RECORDS_MAX.saturating_sub(told.len());
        let mut shares: BTreeMap<&String, usize> = BTreeMap::new();
        for round in 0..self.each_max {
            for first in [true, false] {
                let turn = self.of.iter().filter(|(name, of)| {
                    round < of.lines.len() && self.familiar.contains(*name) == first
                });
                for (name, _) in turn.take(room) {
                    *shares.entry(name).or_default() += 1;
                }
                room = LIST_RECORDS_MAX
                    .saturating_sub(told.len())
                    .saturating_sub(shares.values().sum());
            }
        }
        let mut over = 0_usize;
        for (name, of) in &self.of {
            let share = shares.get(name).copied().unwrap_or(0);
            let left = of.lines.len().saturating_sub(share);
            over = over.saturating_add(left);
            told.extend(of.lines.iter().skip(left).cloned());
        }
        (told, over)
    }
}

/// The time at the head of a log line: RFC 3339, behind the head of RFC 5424 where that is kept.
fn head_time(line: &str) -> Option<Timestamp> {
    let mut words = line.split(' ');
    let first = words.next()?;
    let word = if first.starts_with('<') {
        words.next()?
    } else {
        first
    };
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line in the name of an agent; nobody verifies it here.
    fn line(agent: &str, at: usize) -> String {
        format!(
            "{HEAD} {agent} 1 {} {}",
            1_800_000_000_000 + at,
            "A".repeat(86)
        )
    }

    fn names(found: Found) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for one in found.into_lines().0 {
            let name = one.line.split(' ').nth(1).unwrap().to_owned();
            *names.entry(name).or_default() += 1;
        }
        names
    }

    #[test]
    fn invented_names_take_no_more_room_than_there_is() {
        let mut found = Found::new("own", &[]);
        for at in 0..20_000 {
            found.line(line(&format!("n-{at}"), at).as_bytes(), "/a");
            found.line(line(&format!("m-{}", at % 500), at).as_bytes(), "/b");
            assert!(found.of.len() <= AGENTS_MAX && found.kept <= KEPT_MAX);
        }
        let kept: usize = found.of.values().map(|of| of.lines.len()).sum();
        assert_eq!(found.kept, kept);
        let strangers: usize = found.strangers.values().sum();
        assert_eq!(strangers, found.of.len());
        let all = found.dropped() + kept;
        assert_eq!(all, 40_000);
        let (told, over) = found.into_lines();
        assert_eq!((told.len(), told.len() + over), (LIST_RECORDS_MAX, kept));
    }

    #[test]
    fn a_file_of_inventions_leaves_the_other_files_their_share() {
        for [first, second] in [["/a", "/b"], ["/b", "/a"]] {
            let mut found = Found::new("own", &[]);
            for file in [first, second] {
                let (letter, count) = if file == "/a" {
                    ('a', 2000)
                } else {
                    ('z', 100)
                };
                for at in 0..count {
                    found.line(line(&format!("{letter}-{at}"), at).as_bytes(), file);
                }
            }
            let names = names(found);
            let real = names.keys().filter(|name| name.starts_with("z-")).count();
            assert_eq!((real, names.len()), (100, 512), "{first}");
        }
    }

    #[test]
    fn agents_of_the_look_before_come_first() {
        let mut before = Found::new("own", &[]);
        before.line(line("zz", 1).as_bytes(), "/a");
        let before = before.into_lines().0;
        let mut found = Found::new("own", &before);
        for at in 0..1000 {
            found.line(line(&format!("n-{at}"), at).as_bytes(), "/a");
        }
        for at in 0..3 {
            found.line(line("zz", at).as_bytes(), "/a");
        }
        let names = names(found);
        assert_eq!(names.values().sum::<usize>(), 512);
        assert_eq!(names.get("zz"), Some(&1));
    }

    #[test]
    fn one_with_many_lines_leaves_the_others_theirs() {
        let mut found = Found::new("own", &[]);
        for at in 0..32 {
            for agent in 0..100 {
                found.line(line(&format!("n-{agent}"), at).as_bytes(), "/a");
            }
        }
        found.line(line("zz", 1).as_bytes(), "/a");
        found.line(line("zz", 1).as_bytes(), "/b");
        let names = names(found);
        assert_eq!(names.get("zz"), Some(&1));
        assert!(names.values().all(|count| *count <= 6) && names.len() == 101);
    }
}
