//! HTTPS to the collector: one trusted authority, bounded answers, problems as errors.
//!
//! A connection is made when something is to be said and dropped afterwards, so an idle agent
//! holds no TLS state. TLS 1.3 only, no resumption, no proxy, no redirect. There is no switch that
//! turns verification off.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::id::Digest;
use shared::limits;
use shared::wire::Problem;

mod pinned;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest time for one request and its answer.
const REQUEST_TIME_MAX: Duration = Duration::from_mins(1);
/// Most characters of a text from elsewhere that are kept or shown.
const TEXT_CHARS_MAX: usize = 1024;

/// A way to one collector.
#[derive(Debug)]
pub struct Connection {
    client: reqwest::Client,
    base: String,
}

/// The certificate, its key and the authority, all in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Certificate of the agent.
    pub certificate_pem: &'a str,
    /// Private key of that certificate.
    pub key_pem: &'a str,
    /// Certificate of the one authority that may vouch for the collector.
    pub authority_pem: &'a str,
}

/// The collector was not reached, did not understand, or refused.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// A key or a certificate on this host cannot be used. Enrolling again makes new ones.
    #[error("{what} cannot be used for TLS")]
    Credentials {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody answered, or not as whom the authority vouches for. It is tried again later.
    #[error("cannot reach the collector at {url}")]
    Unreachable {
        /// Address.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The collector refused and says why.
    #[error("the collector refused: {}", said(.problem))]
    Refused {
        /// What it says.
        problem: Box<Problem>,
        /// When to try again, in milliseconds from now, if it said so.
        retry_after_ms: Option<i64>,
    },
    /// The answer is not what was asked for: something else listens there, or a newer collector.
    #[error("the answer to {path} cannot be understood: {what}")]
    Answer {
        /// Path of the request.
        path: String,
        /// What is wrong with the answer.
        what: String,
        /// When to try again, in milliseconds from now, if it said so: something before the
        /// collector may.
        retry_after_ms: Option<i64>,
    },
}

impl ConnectionError {
    /// What the reader can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Credentials { .. } => Some("enrol again: evident-agent enrol --again".to_owned()),
            Self::Unreachable { .. } => Some(
                "look at address, firewall and clock; the fingerprint in the token or the \
                 authority of the enrolment must be the collector's"
                    .to_owned(),
            ),
            Self::Refused { problem, .. } => hinted(problem),
            Self::Answer { .. } => Some("is this the intake of the collector?".to_owned()),
        }
    }

    /// The soonest time to try again that the collector named, in milliseconds from now.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<i64> {
        match self {
            Self::Refused { retry_after_ms, .. } | Self::Answer { retry_after_ms, .. } => {
                *retry_after_ms
            }
            Self::Credentials { .. } | Self::Unreachable { .. } => None,
        }
    }
}

/// What a problem says, in one line.
pub(crate) fn said(problem: &Problem) -> String {
    match &problem.detail {
        Some(detail) => plain(&format!("{} ({detail})", problem.title)),
        None => plain(&problem.title),
    }
}

/// What a problem says can be done.
pub(crate) fn hinted(problem: &Problem) -> Option<String> {
    problem.hint.as_deref().map(plain)
}

/// The beginning of a text from elsewhere in one line, without what could steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    let shown = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    text.chars().take(TEXT_CHARS_MAX).map(shown).collect()
}

fn credentials<E: std::error::Error + Send + Sync + 'static>(
    what: &'static str,
) -> impl FnOnce(E) -> ConnectionError {
    move |source| ConnectionError::Credentials {
        what,
        source: Box::new(source),
    }
}

impl Connection {
    /// A way to a collector that is known by nothing but the SHA-256 of its authority's
    /// certificate; without a certificate of our own.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Credentials`].
    pub fn pinned(url: &str, authority: Digest) -> Result<Self, ConnectionError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> =
            Arc::new(pinned::Pinned::new(authority, Arc::clone(&provider)));
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(credentials("TLS 1.3"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Self::new(url, config)
    }

    /// A way to the collector of an enrolment, with our certificate.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Credentials`].
    pub fn mutual(url: &str, with: Credentials<'_>) -> Result<Self, ConnectionError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(with.authority_pem.as_bytes())
            .map_err(credentials("the authority's certificate"))?;
        roots
            .add(authority)
            .map_err(credentials("the authority's certificate"))?;
        let certificate = CertificateDer::from_pem_slice(with.certificate_pem.as_bytes())
            .map_err(credentials("the agent's certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(with.key_pem.as_bytes())
            .map_err(credentials("the agent's TLS key"))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(credentials("TLS 1.3"))?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .map_err(credentials("the agent's certificate with its key"))?;
        Self::new(url, config)
    }

    fn new(url: &str, mut config: ClientConfig) -> Result<Self, ConnectionError> {
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .http1_only()
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(REQUEST_TIME_MAX)
            .build()
            .map_err(credentials("this set of keys and certificates"))?;
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { client, base })
    }

    /// Sends a JSON body and reads a JSON answer.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        question: &Q,
    ) -> Result<A, ConnectionError> {
        let body = serde_json::to_vec(question).map_err(|error| ConnectionError::Answer {
            path: path.to_owned(),
            what: error.to_string(),
            retry_after_ms: None,
        })?;
        self.send(path, "application/json", body).await
    }

    /// Sends a body and reads a JSON answer of at most [`limits::ANSWER_BYTES_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`].
    pub async fn send<A: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Result<A, ConnectionError> {
        let unreachable = |source| ConnectionError::Unreachable {
            url: self.base.clone(),
            source,
        };
        let request = self.client.post(format!("{}{path}", self.base));
        let request = request.header(CONTENT_TYPE, media_type).body(body);
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER);
        let retry_after_ms = retry_after
            .and_then(|value| value.to_str().ok())
            .and_then(retry_after_ms);
        let not_understood = |what: String| ConnectionError::Answer {
            path: path.to_owned(),
            what: plain(&what),
            retry_after_ms: None,
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if limits::ANSWER_BYTES_MAX < bytes.len().saturating_add(chunk.len()) {
                let what = format!("longer than {} bytes", limits::ANSWER_BYTES_MAX);
                return Err(not_understood(what));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| not_understood(error.to_string()));
        }
        Err(refusal(path, &bytes, &status.to_string(), retry_after_ms))
    }
}

/// What an answer says that is no success.
fn refusal(path: &str, body: &[u8], status: &str, retry_after_ms: Option<i64>) -> ConnectionError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ConnectionError::Refused {
            problem: Box::new(problem),
            retry_after_ms,
        },
        // It may come from something that stands before the collector.
        Err(_no_problem) => ConnectionError::Answer {
            path: path.to_owned(),
            what: format!("status {status}"),
            retry_after_ms,
        },
    }
}

/// The number of seconds in a `Retry-After`, as milliseconds; an hour at most. The form with a
/// date is not used between agent and collector.
///
/// Source: RFC 9110 section 10.2.3.
fn retry_after_ms(value: &str) -> Option<i64> {
    let seconds: u32 = value.trim().parse().ok()?;
    Some(i64::from(seconds.min(3600)).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after() {
        for (value, expected) in [
            ("5", Some(5000)),
            (" 0 ", Some(0)),
            ("4000000000", Some(3_600_000)),
            ("-1", None),
            ("", None),
            ("Fri, 02 Jan 2026 00:00:00 GMT", None),
        ] {
            assert_eq!(retry_after_ms(value), expected, "{value}");
        }
    }

    #[test]
    fn a_refusal_of_any_form_keeps_its_retry_after() {
        let problem = Problem {
            code: shared::wire::Code::Chain,
            status: 503,
            title: "later".to_owned(),
            detail: None,
            hint: None,
            missing: Vec::new(),
        };
        let problem = serde_json::to_vec(&problem).unwrap();
        for (body, said) in [
            (&problem[..], "the collector refused: later"),
            (b"<html>", "status 503"),
            (b"", "status 503"),
        ] {
            for after in [None, Some(7000)] {
                let error = refusal("/v1/hello", body, "503 Busy", after);
                assert!(error.to_string().contains(said), "{error}");
                assert_eq!(error.retry_after_ms(), after);
            }
        }
    }

    #[test]
    fn what_a_collector_says_is_bounded_and_steers_no_terminal() {
        let long = format!("\u{1b}[2J\r\n\u{9b}{}", "\u{e4}".repeat(1 << 20));
        let problem = Problem {
            code: shared::wire::Code::Chain,
            status: 422,
            title: long.clone(),
            detail: Some(long.clone()),
            hint: Some(long),
            missing: Vec::new(),
        };
        let hint = hinted(&problem).unwrap();
        for text in [said(&problem), hint] {
            assert_eq!(text.chars().count(), TEXT_CHARS_MAX);
            assert!(text.starts_with(" [2J   \u{e4}"));
        }
    }

    #[test]
    fn broken_credentials_are_named() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .pem();
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let key = key.serialize_pem();
        let good = Credentials {
            certificate_pem: &certificate,
            key_pem: &key,
            authority_pem: &certificate,
        };
        let open = |with| Connection::mutual("https://c.example", with);
        assert!(open(good).is_ok());
        for (bad, expected) in [
            (
                Credentials {
                    authority_pem: "",
                    ..good
                },
                "the authority's certificate",
            ),
            (
                Credentials {
                    certificate_pem: "x",
                    ..good
                },
                "the agent's certificate",
            ),
            (
                Credentials {
                    key_pem: &certificate,
                    ..good
                },
                "the agent's TLS key",
            ),
            (
                Credentials {
                    key_pem: &other,
                    ..good
                },
                "the agent's certificate with its key",
            ),
        ] {
            match open(bad) {
                Err(ConnectionError::Credentials { what, .. }) => assert_eq!(what, expected),
                result => panic!("{expected}: {result:?}"),
            }
        }
    }
}
