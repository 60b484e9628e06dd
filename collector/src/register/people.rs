//! Who may decide: what may be said of a person, by whom, and what was said when.

use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};
use shared::decision::{Decided, Person};
use shared::id::PersonId;
use shared::key::PublicKey;
use shared::time::Timestamp;
use shared::words;

use super::{Refusal, Register};

/// Longest name and longest address in bytes.
const NAME_BYTES_MAX: usize = 200;

/// Something that was said of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// When.
    pub at: Timestamp,
    /// By whom: the person, or an account of the machine.
    pub by: String,
    /// Place of the decision in the ledger.
    pub entry: u64,
    /// What: `known`, `key`, `address`, `left`, `back`.
    pub what: Vec<String>,
}

impl Register {
    /// Takes what an entry says of a person.
    pub(super) fn person_is(&mut self, person: &Person) {
        if let Ok(key) = PublicKey::from_pem(&person.key)
            && let Entry::Vacant(nobodys) = self.held.entry(key)
        {
            let _whose = nobodys.insert(person.id.clone());
        }
        drop(self.people.insert(person.id.clone(), person.clone()));
    }

    /// Holds what is said of a person to the rules: a name, an address in one line, a good key that
    /// nobody else has or had. Under a known short name stays who is known by it; what somebody
    /// signed may change their own key and address and let them leave, and nobody else. All other
    /// changes are orders of the account that runs the collector: then `by` is `None`.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: whoever says it must correct it.
    pub fn check_person(&self, person: &Person, by: Option<&PersonId>) -> Result<(), Refusal> {
        let id = &person.id;
        if let Some(by) = by.filter(|by| *by != id) {
            let problem = format!("`{by}` may sign for their own key and address, not for `{id}`");
            let hint = "the account that runs the collector orders it: leave out --as";
            return Err(Refusal::new("by", problem).hint(hint));
        }
        if let Some(known) = self
            .people
            .get(id)
            .filter(|known| known.name != person.name)
        {
            let problem = format!("`{id}` is for ever {}", known.name);
            return Err(Refusal::new("name", problem).hint("take another short name"));
        }
        words::line(&person.name, NAME_BYTES_MAX).map_err(|error| {
            Refusal::new(
                "name",
                format!("the whole name in one line is wanted: {error}"),
            )
            .hint("auditors look for a person, not for the title of a role")
        })?;
        let mail = &person.email;
        let plain = words::line(mail, NAME_BYTES_MAX).is_ok() && mail.contains('@');
        if !mail.is_empty() && !plain {
            return Err(Refusal::new("email", "this is no address for mail"));
        }
        let strong = |key: PublicKey| key.check_strength().map(|()| key);
        let key = PublicKey::from_pem(&person.key).and_then(strong);
        let make = "`evident-collector person key` makes a good one";
        let key = key.map_err(|error| Refusal::new("key", error.to_string()).hint(make))?;
        if key.to_pem() != person.key {
            let problem = "the key is not in its one written form";
            return Err(Refusal::new("key", problem).hint("`openssl pkey -pubin` writes it"));
        }
        if let Some(other) = self.held.get(&key).filter(|other| *other != id) {
            let problem = format!("`{other}` has or had this key");
            return Err(Refusal::new("key", problem).hint("each person has a key of their own"));
        }
        Ok(())
    }

    /// Everything that was said of a person, the first thing first.
    #[must_use]
    pub fn said_of(&self, id: &PersonId) -> Vec<Changed> {
        let mut before: Option<&Person> = None;
        let mut all = Vec::new();
        for (entry, _record, decision) in self.decisions() {
            let Decided::Person(person) = &decision.decides else {
                continue;
            };
            if person.id != *id {
                continue;
            }
            let what: Vec<&str> = before.map_or_else(
                || vec!["known"],
                |before| {
                    let changes = [
                        (before.key != person.key, "key"),
                        (before.email != person.email, "address"),
                        (before.name != person.name, "name"),
                        (before.active && !person.active, "left"),
                        (!before.active && person.active, "back"),
                    ];
                    let changes = changes.into_iter().filter(|(changed, _what)| *changed);
                    changes.map(|(_changed, what)| what).collect()
                },
            );
            all.push(Changed {
                at: decision.at,
                by: decision.by.clone(),
                entry,
                what: what.into_iter().map(str::to_owned).collect(),
            });
            before = Some(person);
        }
        all
    }
}
