//! An error and its causes in one line, as logs, answers and verdicts show them.

use std::error::Error;

/// The error, then each cause behind it, joined by colons. A cause that the text before already
/// ends with is not said twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Self>>);

    fn check(said: &[&'static str], want: &str) {
        let nothing: Option<Box<Said>> = None;
        let error = said
            .iter()
            .rev()
            .fold(nothing, |cause, said| Some(Box::new(Said(said, cause))));
        assert_eq!(chain(error.unwrap().as_ref()), want);
    }

    #[test]
    fn each_cause_is_said_once() {
        check(&["cannot read"], "cannot read");
        check(
            &["cannot read", "disk on fire"],
            "cannot read: disk on fire",
        );
        check(
            &["cannot read: disk on fire", "disk on fire"],
            "cannot read: disk on fire",
        );
    }
}
