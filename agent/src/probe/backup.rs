//! To come.

use shared::fact::Subject;

use super::{Probe, Seen};
use crate::config::ProbeSettings;
use crate::host::Host;

/// The probe of this file.
#[derive(Debug)]
pub struct Backup;

impl Probe for Backup {
    fn subject(&self) -> &'static Subject {
        &shared::fact::backup::SUBJECT
    }

    fn observe(&self, _host: &dyn Host, _settings: &ProbeSettings) -> Seen {
        Seen::default().unknown("to come")
    }
}
