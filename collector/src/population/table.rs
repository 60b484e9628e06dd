//! The population as people and spreadsheets read it.

use std::fmt::Write as _;

use super::{Population, Row, State};

impl State {
    /// The word for people and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Silent => "silent",
            Self::Expected => "expected",
            Self::Seen => "seen",
            Self::OutOfScope => "out-of-scope",
            Self::Retired => "retired",
        }
    }
}

/// One line for each machine, with a heading: RFC 4180.
#[must_use]
pub fn csv(population: &Population) -> String {
    let mut text = String::from(
        "name,state,called,listed_in,seen_by,seen_count,enrolled,retired,silent,groups,rule,reason\r\n",
    );
    for row in &population.machines {
        let time =
            |at: Option<shared::time::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let rule = row.rule.as_ref();
        let fields = [
            row.name.clone(),
            row.state.as_str().to_owned(),
            row.called.join(" "),
            listed(row),
            seen_by(row),
            row.seen_count.to_string(),
            time(row.enrolled),
            time(row.retired),
            time(row.silent),
            row.groups.join(" "),
            rule.map(|rule| rule.id.clone()).unwrap_or_default(),
            rule.map(|rule| rule.reason.clone()).unwrap_or_default(),
        ];
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

fn listed(row: &Row) -> String {
    let lists: Vec<&str> = row.listed.iter().map(|place| place.list.as_str()).collect();
    lists.join(" ")
}

fn seen_by(row: &Row) -> String {
    let mut hosts: Vec<&str> = row.seen.iter().map(|seen| seen.by.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts.join(" ")
}

/// A field as RFC 4180 wants it. What a spreadsheet would take for a formula gets a mark in front,
/// because names in it come from outside.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

impl Population {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> String {
        // Texts, numbers and lists of them: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it was held against two sources, and nobody is missing, unknown or silent.
    #[must_use]
    pub const fn holds(&self) -> bool {
        let counts = &self.counts;
        self.reconciled && counts.silent == 0 && counts.expected == 0 && counts.seen == 0
    }

    /// For people: what is wrong first, then the counts of all, each of N.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let counts = self.counts;
        let heard = counts.enrolled;
        let line = format!(
            "{heard} of {} machines in the scope are enrolled and heard; {} silent, {} expected and \
             not enrolled, {} seen and on no list",
            counts.in_scope, counts.silent, counts.expected, counts.seen
        );
        let more = format!(
            "{} out of the scope, {} retired; {} hosts tell of others",
            counts.out_of_scope, counts.retired, counts.telling
        );
        let word = if self.reconciled {
            "Reconciled"
        } else {
            "NOT RECONCILED"
        };
        let sources = &self.sources;
        let _written = write!(
            text,
            "Population at {}\n{word}: {sources}\n{line}\n{more}\n",
            self.at
        );
        for list in &self.lists {
            let _written = writeln!(
                text,
                "list {}: {} of {} in the scope are enrolled; {} lines, dated {}",
                list.name, list.enrolled, list.in_scope, list.hosts, list.dated
            );
        }
        for state in [
            State::Silent,
            State::Expected,
            State::Seen,
            State::OutOfScope,
            State::Retired,
            State::Enrolled,
        ] {
            let mut rows = self
                .machines
                .iter()
                .filter(|row| row.state == state)
                .peekable();
            if rows.peek().is_some() {
                let _written = writeln!(text, "\n{}", heading(state));
            }
            for row in rows {
                let _written = writeln!(text, "  {}", row.text());
            }
        }
        if !self.ambiguous.is_empty() {
            text.push_str("\nCould be several machines, so nothing was matched by it\n");
        }
        for one in &self.ambiguous {
            let _written = writeln!(text, "  {}: {}", one.name, one.could_be.join(", "));
        }
        text
    }
}

const fn heading(state: State) -> &'static str {
    match state {
        State::Enrolled => "Enrolled and heard",
        State::Silent => "Enrolled and silent",
        State::Expected => "Expected, and not enrolled: enrol them, or correct the list",
        State::Seen => "Seen, on no list and not enrolled: what are they?",
        State::OutOfScope => "Out of the scope",
        State::Retired => "Retired",
    }
}

impl Row {
    /// The machine in one line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        let others: Vec<&str> = self.called.iter().map(String::as_str).collect();
        let others: Vec<&str> = others
            .into_iter()
            .filter(|name| *name != self.name)
            .collect();
        if !others.is_empty() {
            parts.push(format!("also {}", others.join(", ")));
        }
        if let Some(at) = self.silent.filter(|_| self.state == State::Silent) {
            parts.push(format!("silent since {at}"));
        }
        match (self.retired, self.state) {
            (Some(at), State::Retired) => parts.push(format!("since {at}")),
            (Some(at), State::Expected) => parts.push(format!("revoked {at}")),
            _ => {}
        }
        if !self.listed.is_empty() {
            parts.push(format!("in {}", listed(self)));
        }
        if let Some(seen) = self.seen.first() {
            let more = match self.seen_count {
                1 => String::new(),
                count => format!(", {} more", count - 1),
            };
            let (by, way) = (&seen.by, seen.way.as_str());
            parts.push(format!("seen by {by} ({way}, {}{more})", seen.at));
        }
        if let Some(rule) = self
            .rule
            .as_ref()
            .filter(|_| self.state == State::OutOfScope)
        {
            parts.push(format!("{}: {}", rule.id, rule.reason));
        }
        if parts.is_empty() {
            self.name.clone()
        } else {
            format!("{}: {}", self.name, parts.join("; "))
        }
    }
}
