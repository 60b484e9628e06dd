//! Where the agent of this host stands, told from its state folder while the agent may be running.

use std::path::Path;

use serde::Serialize;
use shared::cause;
use shared::time::Timestamp;

use super::contact::Contact;
use super::{RunError, show};
use crate::identity::Identity;
use crate::spool::Spool;

/// A renewal that fails for so long, in milliseconds, is no passing fault.
const RENEWAL_LATE_MS: i64 = 24 * 3600 * 1000;

/// Where the agent stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Name of the agent, generation, and the address of its collector.
    pub agent: String,
    /// Which enrolment it is, from 1.
    pub generation: u64,
    /// Address of the collector at enrolment.
    pub collector: String,
    /// When the certificate ends.
    pub certificate_end: Timestamp,
    /// Number of the last record.
    pub last_seq: Option<u64>,
    /// When it was made.
    pub last_record: Option<Timestamp>,
    /// How many records have no receipt.
    pub spool_records: usize,
    /// How many bytes wait, or are kept to be compared with.
    pub spool_bytes: u64,
    /// Entries of the ledger that were seen.
    pub seen: u64,
    /// Highest number of an own record that was proven to be in it.
    pub acked: Option<u64>,
    /// When a visit to the collector last went well.
    pub last_visit: Option<Timestamp>,
    /// All that is wrong.
    pub wrong: Vec<String>,
}

impl Standing {
    /// Reads it; `None` when the host is not enrolled.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    pub fn read(dir: &Path, now: Timestamp) -> Result<Option<Self>, RunError> {
        let Some(identity) = Identity::load(dir)? else {
            return Ok(None);
        };
        let glance = Spool::glance(&identity.spool_folder())?;
        let last_record = glance.last.as_ref().map(|moment| moment.wall);
        let mut wrong = Vec::new();
        let contact = Contact::load(identity.folder()).unwrap_or_else(|error| {
            wrong.push(format!(
                "how visits ended is not known: {}",
                cause::chain(&error)
            ));
            Contact::default()
        });
        if let Some(end) = contact.end {
            wrong.push(format!("nothing is sent: {}", end.what()));
        }
        if identity.certificate_end() <= now {
            wrong.push("the certificate has ended: evident-agent enrol --again".to_owned());
        }
        if identity.renewal_due(now.plus_ms(-RENEWAL_LATE_MS)) {
            wrong.push("the certificate is not renewed since a day: the log says why".to_owned());
        }
        let silent = last_record.is_none_or(|at| identity.silence_ms_max() < now.ms_since(at));
        if silent {
            wrong.push("no record for longer than the collector allows: does it run?".to_owned());
        }
        if let Some(lost) = &glance.lost {
            wrong.push(format!(
                "{} blobs were dropped: {}",
                lost.blobs, lost.reason
            ));
        }
        if let Some(error) = &contact.error {
            wrong.push(format!("last visit at {}: {}", error.at, error.what));
            wrong.extend(error.hint.as_ref().map(|hint| format!("hint: {hint}")));
        }
        Ok(Some(Self {
            agent: identity.agent().to_string(),
            generation: identity.generation(),
            collector: identity.url().to_owned(),
            certificate_end: identity.certificate_end(),
            last_seq: glance.head.map(|head| head.seq),
            last_record,
            spool_records: glance.depth,
            spool_bytes: glance.bytes,
            seen: glance.seen.size,
            acked: glance.seen.acked,
            last_visit: contact.last,
            wrong,
        }))
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let number = |number: Option<u64>| number.map_or("none".to_owned(), |n| n.to_string());
        let time = |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| at.to_string());
        let mut text = String::new();
        for (name, value) in [
            (
                "agent",
                format!("{} generation {}", self.agent, self.generation),
            ),
            ("collector", self.collector.clone()),
            ("certificate until", self.certificate_end.to_string()),
            (
                "last record",
                format!("{} at {}", number(self.last_seq), time(self.last_record)),
            ),
            (
                "in the spool",
                format!("{} records, {} bytes", self.spool_records, self.spool_bytes),
            ),
            (
                "proven",
                format!(
                    "up to record {}, in {} entries",
                    number(self.acked),
                    self.seen
                ),
            ),
            ("last good visit", time(self.last_visit)),
        ] {
            show::line(&mut text, &format!("{name:<18} {value}"));
        }
        for wrong in &self.wrong {
            show::line(&mut text, &format!("{:<18} {wrong}", "WRONG"));
        }
        text
    }
}
