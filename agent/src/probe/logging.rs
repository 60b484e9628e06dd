//! To come.

use shared::fact::Subject;

use super::{Probe, Seen};
use crate::config::ProbeSettings;
use crate::host::Host;

/// The probe of this file.
#[derive(Debug)]
pub struct Logging;

impl Probe for Logging {
    fn subject(&self) -> &'static Subject {
        &shared::fact::logging::SUBJECT
    }

    fn observe(&self, _host: &dyn Host, _settings: &ProbeSettings) -> Seen {
        Seen::default().unknown("to come")
    }
}
