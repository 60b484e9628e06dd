//! HTTP to a receiver: verified, bounded, and what its answer means for the notice.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode, Url};
use shared::time::Timestamp;

use super::super::DeliveryError;
use super::{Trust, again, text};

/// Most bytes of an answer that are kept; of what is only shown, less.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most characters of an answer in an error.
const SHOWN_CHARS_MAX: usize = 200;
/// The longest wait that a receiver may ask for.
const WAIT_MAX: Duration = Duration::from_hours(1);
/// What we call ourselves.
const USER_AGENT: &str = concat!("evident-collector/", env!("CARGO_PKG_VERSION"));

/// A client for one receiver.
#[derive(Debug)]
pub(super) struct Http(reqwest::Client);

/// What a receiver answered with success.
pub(super) struct Answer(reqwest::Response);

impl Http {
    pub(super) fn new(trust: &Trust) -> Result<Self, String> {
        let mut tls = trust.tls()?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // A delivery is rare: no connection waits for the next one.
            .pool_max_idle_per_host(0)
            .user_agent(USER_AGENT)
            .build()
            .map(Self)
            .map_err(|error| format!("HTTP cannot be used: {}", chain(&error.without_url())))
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.0.get(url)
    }

    /// A request with a JSON body.
    pub(super) fn post(&self, url: Url, body: Vec<u8>) -> RequestBuilder {
        let json = "application/json";
        let request = self.0.post(url).body(body);
        request.header(reqwest::header::CONTENT_TYPE, json)
    }

    /// Sends it; only 2xx is success.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        now: Timestamp,
    ) -> Result<Answer, DeliveryError> {
        // The address may be a secret.
        let answer = request.send().await;
        let answer = answer.map_err(|error| again(chain(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Answer(answer));
        }
        let after = wait(answer.headers(), now);
        let said = Answer(answer).read(SHOWN_CHARS_MAX).await;
        let said = String::from_utf8_lossy(&said).into_owned();
        let mut why = format!("the receiver answered {}", status.as_u16());
        let said = text::line(&said, SHOWN_CHARS_MAX);
        if !said.is_empty() {
            why = format!("{why}: {said}");
        }
        let busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        if status.is_server_error() || busy.contains(&status) {
            return Err(DeliveryError::Again { why, after });
        }
        Err(DeliveryError::Refused(why))
    }
}

impl Answer {
    /// The whole body.
    pub(super) async fn body(self) -> Result<Vec<u8>, DeliveryError> {
        let body = self.read(ANSWER_BYTES_MAX.saturating_add(1)).await;
        if ANSWER_BYTES_MAX < body.len() {
            let most = ANSWER_BYTES_MAX;
            return Err(again(format!("the answer is longer than {most} bytes")));
        }
        Ok(body)
    }

    /// The first bytes of the body, up to its end or to a fault.
    async fn read(mut self, bytes_max: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < bytes_max
            && let Ok(Some(chunk)) = self.0.chunk().await
        {
            body.extend(chunk.iter().take(bytes_max.saturating_sub(body.len())));
        }
        body
    }
}

/// How long the receiver asks to wait: seconds or a date (RFC 9110, section 10.2.3).
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_date) => {
            let date = Timestamp::from_rfc2822(value).ok()?;
            Duration::from_millis(u64::try_from(date.ms_since(now)).unwrap_or_default())
        }
    };
    Some(asked.min(WAIT_MAX))
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut all = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !all.contains(&told) {
            all = format!("{all}: {told}");
        }
        cause = error.source();
    }
    text::line(&all, 2 * SHOWN_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_and_an_hour_at_most() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (value, seconds) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("86400", Some(3600)),
            ("Sun, 22 Nov 2026 12:00:30 GMT", Some(30)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", Some(0)),
            ("Mon, 23 Nov 2026 12:00:00 GMT", Some(3600)),
            ("soon", None),
            ("-1", None),
            ("99999999999999999999", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(wait(&headers, now), expected, "{value}");
        }
        assert_eq!(wait(&HeaderMap::new(), now), None);
    }
}
