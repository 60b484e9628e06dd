//! Webhooks: the notice as JSON, signed as Standard Webhooks say.
//!
//! ```text
//! POST <url>
//! webhook-id: <the same for each attempt of the same notice>
//! webhook-timestamp: <seconds since 1970, of this attempt>
//! webhook-signature: v1,<base64 of HMAC-SHA-256(key, id.timestamp.body)> [v1,<another key> ..]
//!
//! {"type": "evident.notice.raised", "timestamp": "..", "data": {the notice}, "text": ".."}
//! ```
//!
//! The receiver computes the signature over the bytes it got, compares in constant time, refuses a
//! timestamp more than five minutes from its own clock, and passes over an id that it had within
//! that time: so nobody can send an old message again.
//!
//! The secret file has one key a line, the newest first: `whsec_` and base64, or any other text,
//! whose bytes are the key then. With two lines both sign, so that a key can be exchanged.
//!
//! Source: Standard Webhooks 1.0.0, <https://github.com/standard-webhooks/standard-webhooks>.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::Serialize;
use shared::time::Timestamp;

use super::super::{DeliveryError, Notice};
use super::secret::Secret;
use super::{Http, SecretFile, again, id, text};

/// Most keys that sign at once.
const KEYS_MAX: usize = 4;
/// Shortest key, in bytes.
const KEY_BYTES_MIN: usize = 24;
/// Most conditions in the text beside the data.
const CONDITIONS_MAX: usize = 10;

/// A program that takes signed JSON.
#[derive(Debug)]
pub(super) struct Webhook {
    http: Http,
    url: Url,
    secret: SecretFile,
}

/// The body.
#[derive(Serialize)]
struct Event<'a> {
    r#type: String,
    timestamp: Timestamp,
    data: &'a Notice,
    text: String,
}

impl Webhook {
    pub(super) fn open(http: Http, url: Url, secret: SecretFile) -> Result<Self, String> {
        let _usable = keys(&secret.read()?)?;
        Ok(Self { http, url, secret })
    }

    pub(super) fn whom(&self) -> String {
        bare(&self.url)
    }

    pub(super) async fn deliver(
        &self,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let keys = keys(&self.secret.now()?).map_err(again)?;
        let event = Event {
            r#type: format!("evident.notice.{}", text::occasion(notice.occasion)),
            timestamp: notice.at,
            data: notice,
            text: text::whole(notice, CONDITIONS_MAX),
        };
        let body = serde_json::to_vec(&event).map_err(|error| again(error.to_string()))?;
        let id = id(&notice.incident, notice.number);
        let seconds = now.unix_ms().div_euclid(1000);
        let signature = sign(&keys, &id, seconds, &body);
        let request = self
            .http
            .post(self.url.clone(), body)
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature);
        self.http.send(request, now).await.map(drop)
    }
}

/// An address without what may be a secret in it: its query.
pub(super) fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn sign(keys: &[hmac::Key], id: &str, seconds: i64, body: &[u8]) -> String {
    let one = |key| {
        let mut signed = hmac::Context::with_key(key);
        signed.update(format!("{id}.{seconds}.").as_bytes());
        signed.update(body);
        format!("v1,{}", STANDARD.encode(signed.sign()))
    };
    keys.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn keys(secret: &Secret) -> Result<Vec<hmac::Key>, String> {
    let lines = secret.expose().lines().map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    if !(1..=KEYS_MAX).contains(&lines.len()) {
        return Err(format!("the secret of a webhook has 1 to {KEYS_MAX} lines"));
    }
    lines.into_iter().map(key).collect()
}

fn key(line: &str) -> Result<hmac::Key, String> {
    let bytes = match line.strip_prefix("whsec_") {
        None => line.as_bytes().to_vec(),
        Some(coded) => STANDARD
            .decode(coded)
            .map_err(|_form| "what follows `whsec_` in a secret is no base64".to_owned())?,
    };
    if bytes.len() < KEY_BYTES_MIN {
        return Err(format!(
            "a key of a webhook has {KEY_BYTES_MIN} bytes at least: \
             echo whsec_$(openssl rand -base64 32)"
        ));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that the libraries of Standard Webhooks are tested with.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn short_keys_are_none() {
        for bad in ["short", "whsec_c2hvcnQ=", "whsec_!"] {
            assert!(key(bad).is_err(), "{bad}");
        }
        assert!(key("twenty-four bytes or more").is_ok());
    }
}
