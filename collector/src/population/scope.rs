//! Which groups a machine is in, and whether it is in the scope, and why.

use super::Rule;
use crate::register::views::{Groups, ScopeRule};

/// The groups that a machine is in which goes by any of these names.
#[must_use]
pub fn groups<'a>(all: &'a Groups, called: &[String]) -> Vec<&'a str> {
    let member = |(_name, patterns): &(&String, &Vec<_>)| {
        let one =
            |pattern: &crate::register::Pattern| called.iter().any(|name| pattern.matches(name));
        patterns.iter().any(one)
    };
    all.iter()
        .filter(member)
        .map(|(name, _patterns)| name.as_str())
        .collect()
}

/// The rule that decides about a machine which goes by any of these names: the first of `rules`,
/// which are the latest first. Without one it is in the scope.
#[must_use]
pub fn rule(rules: &[ScopeRule], called: &[String], groups: &[&str]) -> Option<Rule> {
    let names = |rule: &&ScopeRule| called.iter().any(|name| rule.reach.names(name, groups));
    rules.iter().find(names).map(|rule| Rule {
        id: rule.id.clone(),
        included: rule.included,
        reason: rule.reason.clone(),
    })
}
