//! Exceptions that ended while what they covered still fails.

use std::collections::BTreeSet;

use shared::id::AgentId;

use super::entry::{Entry, What};
use crate::assess::{Asked, Exception, Given, Window};
use crate::catalog::{Catalog, Check};

/// Most hosts that one entry names.
const HOSTS_MAX: usize = 20;

/// The exceptions that ended in a period and left findings that fail at its end, of these hosts.
/// `fails` says whether a check fails on a host then. What another exception covers is left out.
///
/// # Errors
///
/// Those of `fails`, when the derived state cannot be read.
pub fn ended<'a, E>(
    (catalog, given, asked): (&Catalog, &Given, &Asked),
    window: Window,
    hosts: &(impl Iterator<Item = &'a AgentId> + Clone),
    fails: &mut dyn FnMut(&AgentId, &str) -> Result<bool, E>,
) -> Result<Vec<Entry>, E> {
    let wanted = |host: &&AgentId, at| {
        asked.wants_host_at(host, given, at) && given.out_at(host, at).is_none()
    };
    let mut entries = Vec::new();
    let over = given.exceptions.iter();
    for exception in over.filter(|one| window.holds(one.window.to)) {
        let (mut checks, mut controls) = (BTreeSet::new(), BTreeSet::new());
        let (mut findings, mut named) = (0, BTreeSet::new());
        for host in hosts
            .clone()
            .filter(|host| wanted(host, exception.window.to))
        {
            for check in catalog.checks() {
                let uncovered = uncovered((given, asked, window), exception, check, host);
                if uncovered.is_empty() || !fails(host, &check.id)? {
                    continue;
                }
                findings += 1;
                controls.extend(uncovered);
                let _new = checks.insert(check.id.clone());
                let _new = named.insert(host.clone());
            }
        }
        if findings == 0 {
            continue;
        }
        entries.push(Entry {
            at: exception.window.to,
            host: named.first().filter(|_| named.len() == 1).cloned(),
            what: What::ExceptionEnded {
                exception: exception.id.clone(),
                owner: exception.owner.clone(),
                findings,
                checks: checks.into_iter().collect(),
                controls: controls.into_iter().collect(),
                hosts: named.into_iter().take(HOSTS_MAX).collect(),
            },
            explained: None,
        });
    }
    Ok(entries)
}

/// The controls on which the exception covered a finding, and no other one does at the end.
fn uncovered(
    (given, asked, window): (&Given, &Asked, Window),
    exception: &Exception,
    check: &Check,
    host: &AgentId,
) -> Vec<String> {
    let open = |control: &str| {
        asked.wants(control)
            && given.covers(&exception.reach, &[control], &check.id, host)
            && given
                .excepted((control, &check.id, host), window.to)
                .is_none()
    };
    let controls = check.mappings.iter().map(|to| to.control.as_str());
    let open = controls.filter(|control| open(control));
    open.map(str::to_owned).collect()
}
