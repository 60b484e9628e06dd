//! Slack: one message by an incoming webhook, in blocks.
//!
//! All words are `plain_text`, which knows neither mentions nor formatting, and `&`, `<` and `>`
//! are escaped besides. So `<!channel>` in the name of a file calls nobody.
//!
//! Sources: docs.slack.dev: "Sending messages using incoming webhooks", "Formatting message text"
//! (escaping), "Reference: blocks" (at most 50; header 150 characters, section 3000).

use reqwest::Url;
use serde_json::{Value, json};
use shared::time::Timestamp;

use super::super::{DeliveryError, Notice};
use super::secret::Secret;
use super::{Http, SecretFile, again, text};
use crate::config;

/// Most characters of a header, and of the text of a section.
const HEADER_CHARS_MAX: usize = 150;
const SECTION_CHARS_MAX: usize = 3000;
/// Most conditions in one message.
const CONDITIONS_MAX: usize = 10;

/// A channel of Slack.
#[derive(Debug)]
pub(super) struct Slack {
    http: Http,
    secret: SecretFile,
    host: String,
}

impl Slack {
    pub(super) fn open(http: Http, secret: SecretFile) -> Result<Self, String> {
        let url = address(&secret.read()?)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        Ok(Self { http, secret, host })
    }

    pub(super) fn whom(&self) -> String {
        self.host.clone()
    }

    pub(super) async fn deliver(
        &self,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let url = address(&self.secret.now()?).map_err(again)?;
        let body = message(notice).to_string().into_bytes();
        let request = self.http.post(url, body);
        self.http.send(request, now).await.map(drop)
    }
}

/// The address is the secret: it does not stand in the error.
fn address(secret: &Secret) -> Result<Url, String> {
    config::reach(secret.expose())
        .map_err(|hint| format!("the secret is no address of an incoming webhook: {hint}"))
}

/// The message. `text` is what a notification shows.
fn message(notice: &Notice) -> Value {
    let headline = text::headline(notice);
    let mut blocks = vec![
        json!({"type": "header", "text": plain(&headline, HEADER_CHARS_MAX)}),
        section(&text::origin(notice)),
    ];
    for condition in notice.conditions.iter().take(CONDITIONS_MAX) {
        blocks.push(json!({"type": "divider"}));
        blocks.push(section(&text::condition(condition)));
    }
    if let Some(rest) = text::rest(notice, notice.conditions.len().min(CONDITIONS_MAX)) {
        blocks.push(json!({"type": "divider"}));
        blocks.push(section(&rest));
    }
    json!({
        "text": escaped(&headline, SECTION_CHARS_MAX),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": plain(text, SECTION_CHARS_MAX)})
}

fn plain(text: &str, chars_max: usize) -> Value {
    let text = escaped(text, chars_max);
    json!({"type": "plain_text", "text": text, "emoji": false})
}

/// Escapes the three characters that Slack reads, and cuts between characters, never inside one
/// that is escaped.
fn escaped(text: &str, chars_max: usize) -> String {
    let mut escaped = String::new();
    let mut left = chars_max;
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            _ => c.to_string(),
        };
        let Some(rest) = left.checked_sub(piece.chars().count()) else {
            break;
        };
        left = rest;
        escaped.push_str(&piece);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_slack_reads_is_escaped_and_never_cut() {
        for (text, max, expected) in [
            (
                "<!channel> & <@U1>",
                99,
                "&lt;!channel&gt; &amp; &lt;@U1&gt;",
            ),
            ("a<b", 4, "a"),
            ("a<b", 5, "a&lt;"),
            ("\u{e4}\u{e4}\u{e4}", 2, "\u{e4}\u{e4}"),
        ] {
            assert_eq!(escaped(text, max), expected);
        }
    }
}
