//! PagerDuty: events that trigger, acknowledge and resolve an incident.
//!
//! The incident is the `dedup_key`, so a notice that comes twice changes nothing, and the end of
//! the conditions resolves what they triggered.
//!
//! Source: developer.pagerduty.com, "Events API v2": `summary` at most 1024 characters, `dedup_key`
//! at most 255, an event at most 512 KiB; 202 when it is taken.

use reqwest::Url;
use serde_json::{Value, json};
use shared::id::Digest;
use shared::time::Timestamp;

use super::super::{DeliveryError, Notice, Occasion};
use super::secret::Secret;
use super::{Http, SecretFile, again, text, webhook};
use crate::catalog::Severity;

/// Characters of an integration key.
const KEY_CHARS: usize = 32;
/// Most characters of a `dedup_key`.
const DEDUP_CHARS_MAX: usize = 255;
/// Most conditions in the details.
const CONDITIONS_MAX: usize = 20;
/// Most hosts and controls in a row.
const ROW_MAX: usize = 20;

/// A service of PagerDuty.
#[derive(Debug)]
pub(super) struct PagerDuty {
    http: Http,
    url: Url,
    secret: SecretFile,
}

impl PagerDuty {
    pub(super) fn open(http: Http, url: Url, secret: SecretFile) -> Result<Self, String> {
        let _usable = key(&secret.read()?)?;
        Ok(Self { http, url, secret })
    }

    pub(super) fn whom(&self) -> String {
        webhook::bare(&self.url)
    }

    pub(super) async fn deliver(
        &self,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let key = key(&self.secret.now()?).map_err(again)?;
        let body = event(notice, &key).to_string().into_bytes();
        let request = self.http.post(self.url.clone(), body);
        self.http.send(request, now).await.map(drop)
    }
}

fn key(secret: &Secret) -> Result<String, String> {
    let key = secret.expose();
    if key.len() == KEY_CHARS && key.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(key.to_owned());
    }
    Err(format!(
        "the secret is no integration key of {KEY_CHARS} letters and digits"
    ))
}

fn event(notice: &Notice, key: &str) -> Value {
    let action = match notice.occasion {
        Occasion::Raised | Occasion::Reminder | Occasion::Escalated | Occasion::Test => "trigger",
        Occasion::Acknowledged => "acknowledge",
        Occasion::Resolved => "resolve",
    };
    let mut event = json!({
        "routing_key": key,
        "event_action": action,
        "dedup_key": dedup_key(&notice.incident),
    });
    if action == "trigger"
        && let Some(fields) = event.as_object_mut()
    {
        fields.insert("client".to_owned(), "Evident".into());
        fields.insert("payload".to_owned(), payload(notice));
    }
    event
}

fn payload(notice: &Notice) -> Value {
    let severity = match notice.severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "info",
    };
    let conditions = notice.conditions.iter().take(CONDITIONS_MAX);
    let conditions: Vec<_> = conditions.map(text::condition).collect();
    let hosts = names(notice.conditions.iter().filter_map(|one| {
        let host = one.host.as_ref()?;
        Some(host.as_str())
    }));
    let controls = names(
        notice
            .conditions
            .iter()
            .flat_map(|one| one.controls.iter().map(String::as_str)),
    );
    let source = match (hosts.first(), hosts.len()) {
        (Some(host), 1) => host.clone(),
        (_, _) => text::line(&notice.collector, text::TITLE_CHARS_MAX),
    };
    json!({
        "summary": text::headline(notice),
        "source": source,
        "severity": severity,
        "timestamp": notice.since,
        "component": "evident-collector",
        "custom_details": {
            "origin": text::origin(notice),
            "hosts": text::some(hosts.into_iter(), ROW_MAX, ", "),
            "controls": text::some(controls.into_iter(), ROW_MAX, ", "),
            "rest": text::rest(notice, conditions.len()),
            "conditions": conditions,
        },
    })
}

/// Each name once, in the order of the conditions.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in all {
        let name = text::line(name, text::TITLE_CHARS_MAX);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The incident, or its digest when it is too long.
fn dedup_key(incident: &str) -> String {
    if incident.len() <= DEDUP_CHARS_MAX {
        incident.to_owned()
    } else {
        Digest::of(incident.as_bytes()).to_string()
    }
}
