//! The updates probe.

mod preference;
mod release;
mod settings;
mod stanza;
mod version;

use shared::fact::Subject;

use super::{Probe, Seen};
use crate::config::ProbeSettings;
use crate::host::Host;

/// The probe of this file.
#[derive(Debug)]
pub struct Updates;

impl Probe for Updates {
    fn subject(&self) -> &'static Subject {
        &shared::fact::updates::SUBJECT
    }

    fn observe(&self, _host: &dyn Host, _settings: &ProbeSettings) -> Seen {
        Seen::default().unknown("to come")
    }
}
