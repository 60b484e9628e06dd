//! Receivers on the web, held to what each publishes about its messages.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use collector::alert::{Channel, DeliveryError, Occasion};
use serde_json::Value;

use super::receiver::{Mode, Receiver, Request};
use super::site::{HARM, Site, notice};

/// 32 bytes, as text, base64 and digits.
const KEY: &str = "0123456789abcdef0123456789abcdef";
const KEY_HEX: &str = "3031323334353637383961626364656630313233343536373839616263646566";

/// What holds for every receiver on the web, good or bad.
#[track_caller]
fn holds_its_ground(site: &Site, receiver: &Receiver, open: impl Fn(&str) -> Channel) {
    let notice = notice(1, Occasion::Raised);
    let channel = open("ca.pem");
    assert_eq!(site.deliver(&channel, &notice), Ok(()));

    // Busy, then not.
    receiver.behave(Mode::Answer(429, "7"));
    let busy = site.deliver(&channel, &notice);
    let after = Some(Duration::from_secs(7));
    let why = "the receiver answered 429: not now".to_owned();
    assert_eq!(busy, Err(DeliveryError::Again { why, after }));
    receiver.behave(Mode::Judge);
    assert_eq!(site.deliver(&channel, &notice), Ok(()));
    for status in [408, 500, 503] {
        receiver.behave(Mode::Answer(status, "soon"));
        let _why = site.again(&channel, &notice);
    }

    // A refusal, or an address elsewhere, is final; nobody follows it.
    let _seen = receiver.seen();
    for (status, about) in [(400, ""), (410, ""), (302, "https://localhost:1/")] {
        receiver.behave(Mode::Answer(status, about));
        let why = site.refused(&channel, &notice);
        assert!(why.contains(&status.to_string()), "{why}");
        let _request = receiver.one();
    }

    // No answer, and one without an end.
    receiver.behave(Mode::Silent);
    let begun = Instant::now();
    assert_eq!(site.again(&channel, &notice), "there was no answer in 2 s");
    assert!(begun.elapsed() < Duration::from_secs(20));
    receiver.behave(Mode::Endless(200));
    assert_eq!(site.deliver(&channel, &notice), Ok(()));
    receiver.behave(Mode::Endless(400));
    assert!(site.refused(&channel, &notice).len() < 300);
    receiver.behave(Mode::Judge);

    // Somebody for whom nobody vouches gets nothing.
    let _seen = receiver.seen();
    let why = site.again(&open("other.pem"), &notice);
    assert!(why.contains("UnknownIssuer"), "{why}");
    assert_eq!(receiver.seen().len(), 0);
}

fn signature(id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-binary", "-mac", "HMAC", "-macopt"])
        .arg(format!("hexkey:{KEY_HEX}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = openssl.stdin.take().unwrap();
    stdin
        .write_all(format!("{id}.{timestamp}.").as_bytes())
        .unwrap();
    stdin.write_all(body).unwrap();
    drop(stdin);
    let mac = openssl.wait_with_output().unwrap().stdout;
    format!("v1,{}", STANDARD.encode(mac))
}

/// A receiver of Standard Webhooks: signature, window of five minutes, and the members of the body.
fn webhook(request: &Request) -> (u16, String) {
    let (id, timestamp) = (
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
    );
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let sent = Duration::from_secs(timestamp.parse().unwrap());
    let good = signature(id, timestamp, &request.body);
    if !request
        .header("webhook-signature")
        .split(' ')
        .any(|one| one == good)
    {
        return (401, "wrong signature".to_owned());
    }
    if id.is_empty() || id.contains('.') || 300 < now.abs_diff(sent).as_secs() {
        return (401, "too old".to_owned());
    }
    let event = request.json();
    let good = event["type"]
        .as_str()
        .is_some_and(|it| it.starts_with("evident.notice."))
        && event["timestamp"]
            .as_str()
            .is_some_and(|it| it.ends_with('Z'))
        && event["data"]["conditions"].is_array()
        && request.header("content-type") == "application/json";
    (if good { 204 } else { 400 }, String::new())
}

#[test]
fn a_webhook_gets_signed_json_and_can_tell_the_same_notice() {
    let site = Site::new();
    let receiver = Receiver::start(&site, webhook);
    let coded = format!("whsec_{}\n", STANDARD.encode(KEY));
    site.write("secret", &coded, 0o600);
    let port = receiver.port;
    let open = |ca: &str| {
        site.open(&format!(
            "kind = \"webhook\"\nurl = \"https://localhost:{port}/hook?token=t0ken\"
             secret_file = \"secret\"\nca_file = \"{ca}\""
        ))
    };
    holds_its_ground(&site, &receiver, open);

    let channel = open("ca.pem");
    let shown = channel.describe();
    assert_eq!(shown, format!("webhook to https://localhost:{port}/hook"));
    let mut ids = Vec::new();
    for number in [1, 1, 2] {
        let notice = notice(number, Occasion::Reminder);
        assert_eq!(site.deliver(&channel, &notice), Ok(()));
        let request = receiver.one();
        ids.push(request.header("webhook-id").to_owned());
        let event = request.json();
        assert_eq!(event["type"], "evident.notice.reminder");
        assert_eq!(event["data"], serde_json::to_value(&notice).unwrap());
        let text = event["text"].as_str().unwrap();
        assert!(
            text.starts_with("[HIGH] reminder: clocks are off x Bcc: "),
            "{text}"
        );
        assert!(text.ends_with("\nand 50 more\n"), "{text}");
        let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(hidden), "{text:?}");
        assert!(text.contains("\nControls: A.8.17\n"), "{text}");
    }
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");

    // A new key counts at once, also beside the old one; a wrong one is refused.
    site.write("secret", "some other key, long enough\n", 0o600);
    let notice = notice(1, Occasion::Raised);
    assert!(site.refused(&channel, &notice).contains("wrong signature"));
    site.write(
        "secret",
        &format!("some other key, long enough\n{coded}"),
        0o600,
    );
    assert_eq!(site.deliver(&channel, &notice), Ok(()));
    assert_eq!(
        site.deliver(&channel, &super::site::notice(2, Occasion::Test)),
        Ok(())
    );
}

#[test]
fn a_secret_is_for_its_owner_alone() {
    let site = Site::new();
    let settings = "kind = \"webhook\"\nurl = \"https://localhost:1/\"\nsecret_file = \"secret\"
                    ca_file = \"ca.pem\"";
    let why = || site.try_open(settings).unwrap_err();
    assert!(why().contains("cannot be read"), "{}", why());
    site.write("secret", KEY, 0o640);
    assert!(why().contains("has mode 0640"), "{}", why());
    site.write("secret", "", 0o600);
    assert!(why().contains("must have 1 to 4096 bytes"), "{}", why());
    site.write("secret", &"x".repeat(4097), 0o600);
    assert!(why().contains("must have 1 to 4096 bytes"), "{}", why());
    site.write("secret", KEY, 0o600);
    let channel = site.try_open(settings).unwrap();
    assert!(!format!("{channel:?}").contains(KEY));
    // What others may read by now is not used.
    site.write("secret", KEY, 0o644);
    let why = site.again(&channel, &notice(1, Occasion::Raised));
    assert!(why.contains("has mode 0644"), "{why}");
}

/// Slack's rules for blocks, and its secret path.
fn slack(request: &Request) -> (u16, String) {
    if request.path != "/services/T0/B0/s3cret" {
        return (403, "invalid_token".to_owned());
    }
    let message = request.json();
    let words = |text: &Value, most: usize| {
        let string = text["text"].as_str().unwrap_or_default();
        let known = ["type", "text", "emoji"];
        let known = text
            .as_object()
            .unwrap()
            .keys()
            .all(|key| known.contains(&&**key));
        let plain = text["type"] == "plain_text" && !string.contains(['<', '>']);
        known && plain && (1..=most).contains(&string.chars().count())
    };
    let block = |block: &Value| match block["type"].as_str() {
        Some("header") => words(&block["text"], 150),
        Some("section") => words(&block["text"], 3000),
        Some("divider") => block.as_object().unwrap().len() == 1,
        _ => false,
    };
    let blocks = message["blocks"].as_array().unwrap();
    let text = message["text"].as_str().unwrap_or_default();
    let known = ["text", "mrkdwn", "unfurl_links", "unfurl_media", "blocks"];
    let good = message
        .as_object()
        .unwrap()
        .keys()
        .all(|key| known.contains(&&**key))
        && (1..=50).contains(&blocks.len())
        && blocks.iter().all(block)
        && !text.is_empty()
        && !text.contains(['<', '>']);
    if good {
        (200, "ok".to_owned())
    } else {
        (400, "invalid_blocks".to_owned())
    }
}

#[test]
fn slack_gets_blocks_and_mentions_nobody() {
    let site = Site::new();
    let receiver = Receiver::start(&site, slack);
    let url = format!("https://localhost:{}/services/T0/B0", receiver.port);
    site.write("secret", &format!("{url}/s3cret\n"), 0o600);
    let settings = "kind = \"slack\"\nsecret_file = \"secret\"\nca_file";
    let open = |ca: &str| site.open(&format!("{settings} = \"{ca}\""));
    holds_its_ground(&site, &receiver, open);

    let channel = open("ca.pem");
    assert_eq!(channel.describe(), "slack via localhost");
    assert!(!format!("{channel:?}").contains("s3cret"));
    assert_eq!(
        site.deliver(&channel, &notice(3, Occasion::Resolved)),
        Ok(())
    );
    let message = receiver.one().json();
    let header = message["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(
        header.starts_with("[RESOLVED] clocks are off x Bcc: eve@"),
        "{header}"
    );
    assert!(header.contains("&lt;!channel&gt; &amp;amp;"), "{header}");
    let last = message["blocks"].as_array().unwrap().last().unwrap();
    assert_eq!(last["text"]["text"], "and 50 more");

    // The address is a secret: no error shows it.
    site.write("secret", &format!("{url}/0ther\n"), 0o600);
    let why = site.refused(&channel, &notice(1, Occasion::Raised));
    assert_eq!(why, "the receiver answered 403: invalid_token");
    site.write(
        "secret",
        "https://localhost:1/services/T0/B0/s3cret\n",
        0o600,
    );
    let why = site.again(&channel, &notice(1, Occasion::Raised));
    assert!(!why.contains("s3cret"), "{why}");
    site.write("secret", "http://hooks.example/s3cret\n", 0o600);
    let why = site.again(&channel, &notice(1, Occasion::Raised));
    assert!(
        why.contains("write https://") && !why.contains("s3cret"),
        "{why}"
    );
}

/// The rules of Events API v2.
fn pagerduty(request: &Request) -> (u16, String) {
    let event = request.json();
    let text = |value: &Value, most: usize| {
        value
            .as_str()
            .is_some_and(|it| (1..=most).contains(&it.chars().count()))
    };
    let payload = &event["payload"];
    let good = match event["event_action"].as_str() {
        Some("trigger") => {
            let severities = ["critical", "error", "warning", "info"];
            text(&payload["summary"], 1024)
                && text(&payload["source"], 1024)
                && severities.contains(&payload["severity"].as_str().unwrap_or_default())
                && payload["timestamp"]
                    .as_str()
                    .is_some_and(|it| it.ends_with('Z'))
        }
        Some("acknowledge" | "resolve") => payload.is_null(),
        _ => false,
    };
    let routed = event["routing_key"] == KEY;
    let fits = text(&event["dedup_key"], 255) && request.body.len() <= 512 * 1024;
    if good && routed && fits && request.path == "/v2/enqueue" {
        let key = &event["dedup_key"];
        let answer = serde_json::json!({"status": "success", "dedup_key": key});
        (202, answer.to_string())
    } else {
        let answer = "{\"status\":\"invalid event\",\"message\":\"Event object is invalid\"}";
        (400, answer.to_owned())
    }
}

#[test]
fn pagerduty_gets_one_incident_from_its_begin_to_its_end() {
    let site = Site::new();
    let receiver = Receiver::start(&site, pagerduty);
    site.write("secret", &format!("{KEY}\n"), 0o600);
    let port = receiver.port;
    let open = |ca: &str| {
        site.open(&format!(
            "kind = \"pagerduty\"\nurl = \"https://localhost:{port}/v2/enqueue\"
             secret_file = \"secret\"\nca_file = \"{ca}\""
        ))
    };
    holds_its_ground(&site, &receiver, open);

    let channel = open("ca.pem");
    let mut keys = Vec::new();
    for (number, occasion, action) in [
        (1, Occasion::Raised, "trigger"),
        (2, Occasion::Escalated, "trigger"),
        (3, Occasion::Acknowledged, "acknowledge"),
        (4, Occasion::Resolved, "resolve"),
    ] {
        assert_eq!(site.deliver(&channel, &notice(number, occasion)), Ok(()));
        let event = receiver.one().json();
        assert_eq!(event["event_action"], action);
        keys.push(event["dedup_key"].clone());
    }
    keys.dedup();
    assert_eq!(keys, [format!("clock/{HARM}")]);
    let mut long = notice(1, Occasion::Test);
    long.incident = "i".repeat(256);
    assert_eq!(site.deliver(&channel, &long), Ok(()));

    site.write("secret", &KEY.replace('0', "9"), 0o600);
    let why = site.refused(&channel, &notice(1, Occasion::Raised));
    assert!(why.contains("Event object is invalid"), "{why}");
    site.write("secret", "short", 0o600);
    let why = site.again(&channel, &notice(1, Occasion::Raised));
    assert!(
        why.contains("no integration key") && !why.contains("short"),
        "{why}"
    );
}

/// Takes what any Alertmanager takes; the real one is asked in a test of its own.
fn alertmanager(request: &Request) -> (u16, String) {
    let good = request.header("authorization") == "Bearer t0ken";
    if good {
        (200, "[]".to_owned())
    } else {
        (401, "Unauthorized".to_owned())
    }
}

#[test]
fn an_alertmanager_that_misbehaves_is_borne() {
    let site = Site::new();
    let receiver = Receiver::start(&site, alertmanager);
    site.write("secret", "t0ken\n", 0o600);
    let port = receiver.port;
    let open = |ca: &str| {
        site.open(&format!(
            "kind = \"alertmanager\"\nurl = \"https://localhost:{port}/am/\"
             secret_file = \"secret\"\nca_file = \"{ca}\""
        ))
    };
    holds_its_ground(&site, &receiver, open);
    let channel = open("ca.pem");
    let shown = channel.describe();
    let expected = format!("alertmanager at https://localhost:{port}/am/api/v2/alerts");
    assert_eq!(shown, expected);
    // The list that it is asked for has an end, or is not read.
    receiver.behave(Mode::Endless(200));
    let why = site.again(&channel, &notice(2, Occasion::Raised));
    assert_eq!(why, "the answer is longer than 1048576 bytes");
    receiver.behave(Mode::Judge);
    site.write("secret", "0ther\n", 0o600);
    let why = site.refused(&channel, &notice(1, Occasion::Raised));
    assert_eq!(why, "the receiver answered 401: Unauthorized");
}
