//! Alertmanager of Prometheus: an alert for each incident.
//!
//! What an alert is called are its labels: incident, collector and severity, besides `alertname`.
//! When the severity changes it is another alert, so the one before must end. Which that is, the
//! Alertmanager itself is asked, so that nothing need be remembered here.
//!
//! An alert without an end is over there when it is not repeated within minutes. So each has an
//! end, `lasts_hours` from now, and is sent again before.
//!
//! Source: Alertmanager API v2, `api/v2/openapi.yaml` of github.com/prometheus/alertmanager.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use super::super::{DeliveryError, Notice, Occasion};
use super::{Http, SecretFile, again, text, webhook};

/// The name of all our alerts.
const NAME: &str = "Evident";
/// Most conditions in the description.
const CONDITIONS_MAX: usize = 20;

/// An Alertmanager.
#[derive(Debug)]
pub(super) struct Alertmanager {
    http: Http,
    alerts: Url,
    login: Option<(Option<String>, SecretFile)>,
    lasts: Duration,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
}

/// What it tells of an alert that it has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    labels: BTreeMap<String, String>,
    starts_at: Timestamp,
}

impl Alertmanager {
    pub(super) fn open(
        http: Http,
        url: &Url,
        login: Option<(Option<String>, SecretFile)>,
        lasts: Duration,
    ) -> Result<Self, String> {
        if let Some((_user, secret)) = &login {
            let _readable = secret.read()?;
        }
        // The path of the address may be a prefix, with or without a slash at its end.
        let base = webhook::bare(url);
        let alerts = format!("{}/api/v2/alerts", base.trim_end_matches('/'));
        let alerts = Url::parse(&alerts).map_err(|error| error.to_string())?;
        Ok(Self {
            http,
            alerts,
            login,
            lasts,
        })
    }

    pub(super) fn whom(&self) -> String {
        self.alerts.to_string()
    }

    pub(super) fn resend(&self) -> Duration {
        self.lasts / 2
    }

    pub(super) async fn deliver(
        &self,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let labels = labels(notice);
        let mut alerts = Vec::new();
        if notice.number != 1 {
            let known = self.known(notice, now).await?;
            let others = known.into_iter().filter(|one| one.labels != labels);
            alerts.extend(others.map(|one| Alert {
                labels: one.labels,
                annotations: BTreeMap::new(),
                starts_at: one.starts_at,
                ends_at: now,
            }));
        }
        let lasts = i64::try_from(self.lasts.as_millis()).unwrap_or(i64::MAX);
        let ends_at = match notice.occasion {
            Occasion::Resolved => now,
            Occasion::Raised
            | Occasion::Reminder
            | Occasion::Escalated
            | Occasion::Acknowledged
            | Occasion::Test => now.plus_ms(lasts),
        };
        alerts.push(Alert {
            labels,
            annotations: annotations(notice),
            // What begins after it ends is refused; two clocks may have told the times.
            starts_at: notice.since.min(now),
            ends_at,
        });
        let body = serde_json::to_vec(&alerts).map_err(|error| again(error.to_string()))?;
        let request = self.login(self.http.post(self.alerts.clone(), body))?;
        self.http.send(request, now).await.map(drop)
    }

    /// The alerts of this incident that it has.
    async fn known(&self, notice: &Notice, now: Timestamp) -> Result<Vec<Known>, DeliveryError> {
        let mut url = self.alerts.clone();
        for (name, value) in [
            ("alertname", NAME),
            ("incident", &label(&notice.incident)),
            ("collector", &label(&notice.collector)),
        ] {
            // A quoted matcher: `"` and `\` are escaped as in Go.
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let filter = format!("{name}=\"{quoted}\"");
            url.query_pairs_mut().append_pair("filter", &filter);
        }
        let request = self.login(self.http.get(url))?;
        let answer = self.http.send(request, now).await?.body().await?;
        serde_json::from_slice(&answer)
            .map_err(|error| again(format!("the list of alerts cannot be read: {error}")))
    }

    fn login(&self, request: RequestBuilder) -> Result<RequestBuilder, DeliveryError> {
        let Some((user, secret)) = &self.login else {
            return Ok(request);
        };
        let secret = secret.now()?;
        Ok(match user {
            Some(user) => request.basic_auth(user, Some(secret.expose())),
            None => request.bearer_auth(secret.expose()),
        })
    }
}

fn label(value: &str) -> String {
    text::line(value, 4 * text::TITLE_CHARS_MAX)
}

fn labels(notice: &Notice) -> BTreeMap<String, String> {
    let labels = [
        ("alertname", NAME.to_owned()),
        ("collector", label(&notice.collector)),
        ("incident", label(&notice.incident)),
        ("severity", notice.severity.as_str().to_owned()),
    ];
    labels.map(|(name, value)| (name.to_owned(), value)).into()
}

fn annotations(notice: &Notice) -> BTreeMap<&'static str, String> {
    [
        ("summary", text::headline(notice)),
        ("description", text::whole(notice, CONDITIONS_MAX)),
        ("conditions", notice.count.to_string()),
        ("occasion", text::occasion(notice.occasion).to_owned()),
    ]
    .into()
}
