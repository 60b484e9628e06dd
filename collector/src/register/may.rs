//! Who may take a step: two people see more than one.

use super::{Event, Proposal, Refusal, Who, list};

impl Proposal<'_> {
    /// Holds the person to all that the step says of who may take it.
    pub(super) fn who_may(&self) -> Result<(), Refusal> {
        let (by, step) = (self.by, self.step.name);
        for who in self.step.who {
            let (wrong, why) = match who {
                Who::Is(field) => (
                    !self.list(field).contains(&by.as_str()),
                    format!("only the {field} may {step} it, and that is not `{by}`"),
                ),
                Who::IsNot(field) => (
                    self.list(field).contains(&by.as_str()),
                    format!("`{by}` is the {field}, and somebody else has to {step} it"),
                ),
                Who::DidNot(other) => (
                    self.since_last().any(|event| self.took(event, other)),
                    format!("`{by}` took the step `{other}`: somebody else has to {step} it"),
                ),
                Who::NeverWas(field) => {
                    let now = self.list(field).contains(&by.as_str());
                    let named = |event: &Event| list(&event.fields, field).contains(&by.as_str());
                    let word = if now { "is" } else { "was" };
                    (
                        now || self.events().iter().any(named),
                        format!("`{by}` {word} the {field}, and somebody else has to {step} it"),
                    )
                }
                Who::Never(other) => (
                    self.events().iter().any(|event| self.took(event, other)),
                    format!("`{by}` once took the step `{other}`: somebody else has to {step} it"),
                ),
            };
            if wrong {
                return Err(Refusal::new("by", why).hint("two people see more than one"));
            }
        }
        Ok(())
    }

    /// Every step that was taken with the record.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.before.map_or(&[], |record| &record.history)
    }

    /// The steps since the one in question was last taken, the latest first.
    fn since_last(&self) -> impl Iterator<Item = &Event> {
        let events = self.events().iter().rev();
        events.take_while(|event| event.step != self.step.name)
    }

    fn took(&self, event: &Event, step: &str) -> bool {
        event.step == step && event.by == self.by.as_str()
    }
}
