//! The collector's keys and certificates: the authority, its own server certificate, the keys that
//! sign checkpoints and decisions. They are made here and never leave.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
    SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use shared::durable;
use shared::id::{AgentId, Digest};
use shared::key::{self, KeyError, SigningKey};
use shared::time::Timestamp;

use crate::config::Config;

const AUTHORITY_KEY: &str = "authority.key.pem";
const AUTHORITY: &str = "authority.pem";
const LEDGER_KEY: &str = "ledger.key.pem";
const DECISIONS_KEY: &str = "decisions.key.pem";
/// Longest key or certificate file.
const PEM_BYTES_MAX: u64 = 16 * 1024;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// The authority outlives a certification cycle several times.
const AUTHORITY_DAYS: i64 = 20 * 365;
const SERVER_DAYS: i64 = 90;

/// Keys or certificates cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file of the folder cannot be read or written. The operator must repair the folder.
    #[error("`{path}` cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There are keys already: making new ones would orphan the ledger and every agent.
    #[error("`{0}` holds the keys of a collector already")]
    Exists(PathBuf),
    /// A file holds no usable key.
    #[error("`{path}` holds no usable key")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A certificate cannot be made or read.
    #[error("certificate cannot be made")]
    Certificate(#[source] rcgen::Error),
    /// A signing request is malformed, or not signed with its own key. The agent is wrong.
    #[error("signing request is refused")]
    Request(#[source] rcgen::Error),
    /// No random bytes.
    #[error("no key can be made")]
    Random(#[source] KeyError),
}

/// The keys and certificates of a collector.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    domain: String,
    /// Signs checkpoints.
    pub ledger: SigningKey,
    /// Signs decisions.
    pub decisions: SigningKey,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.fingerprint())
    }
}

/// A server certificate with its key, and the chain up to the authority.
#[derive(Debug)]
pub struct ServerIdentity {
    /// The certificate, then that of the authority, which agents pin at enrolment.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key; it lives in memory only.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Makes the keys and the certificate of the authority in `dir`.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Exists`] when there are keys; nothing is overwritten.
    pub fn create(dir: &Path, config: &Config, now: Timestamp) -> Result<Self, AuthorityError> {
        for name in [AUTHORITY_KEY, AUTHORITY, LEDGER_KEY, DECISIONS_KEY] {
            if dir.join(name).exists() {
                return Err(AuthorityError::Exists(dir.to_owned()));
            }
        }
        let pair = KeyPair::generate().map_err(AuthorityError::Certificate)?;
        let mut params = parameters(now, AUTHORITY_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Evident");
        params
            .distinguished_name
            .push(DnType::CommonName, format!("{} authority", config.name));
        let certificate = params
            .self_signed(&pair)
            .map_err(AuthorityError::Certificate)?;
        let ledger = SigningKey::generate().map_err(AuthorityError::Random)?;
        let decisions = SigningKey::generate().map_err(AuthorityError::Random)?;
        write(dir, LEDGER_KEY, &ledger.to_pem())?;
        write(dir, DECISIONS_KEY, &decisions.to_pem())?;
        write(dir, AUTHORITY_KEY, &pair.serialize_pem())?;
        write(dir, AUTHORITY, &certificate.pem())?;
        Self::load(dir, config)
    }

    /// Reads the keys and the certificate in `dir`.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] names the file.
    pub fn load(dir: &Path, config: &Config) -> Result<Self, AuthorityError> {
        let certificate_pem = read(dir, AUTHORITY)?;
        let pair =
            KeyPair::from_pem(&read(dir, AUTHORITY_KEY)?).map_err(AuthorityError::Certificate)?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_not_pem| {
                AuthorityError::Certificate(rcgen::Error::CouldNotParseCertificate)
            })?
            .into_owned();
        if !certifies(&certificate, &pair) {
            let (path, source) = (dir.join(AUTHORITY_KEY), KeyError::Other);
            return Err(AuthorityError::Key { path, source });
        }
        let issuer =
            Issuer::from_ca_cert_der(&certificate, pair).map_err(AuthorityError::Certificate)?;
        let signing = |name: &str| {
            SigningKey::from_pem(&read(dir, name)?).map_err(|source| AuthorityError::Key {
                path: dir.join(name),
                source,
            })
        };
        Ok(Self {
            issuer,
            certificate,
            certificate_pem,
            domain: config.name.clone(),
            ledger: signing(LEDGER_KEY)?,
            decisions: signing(DECISIONS_KEY)?,
        })
    }

    /// SHA-256 of the certificate of the authority: what agents pin at enrolment.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// The certificate of the authority in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The certificate of the authority.
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Makes a key and a server certificate for these names, for 90 days.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Certificate`] when a name is no host name and no address.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<ServerIdentity, AuthorityError> {
        let pair = KeyPair::generate().map_err(AuthorityError::Certificate)?;
        let mut params = parameters(now, SERVER_DAYS)?;
        params.subject_alt_names = CertificateParams::new(names.to_vec())
            .map_err(AuthorityError::Certificate)?
            .subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&pair, &self.issuer)
            .map_err(AuthorityError::Certificate)?;
        let key = PrivateKeyDer::try_from(pair.serialize_der()).map_err(|_not_pkcs8| {
            AuthorityError::Certificate(rcgen::Error::CouldNotParseKeyPair)
        })?;
        Ok(ServerIdentity {
            chain: vec![certificate.into(), self.certificate.clone()],
            key,
        })
    }

    /// Certifies the TLS key of an agent for `days`, under its SPIFFE id and for nothing else.
    ///
    /// Whatever names and rights the request asks for are passed over.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::Request`] when the request is not signed with its own key.
    pub fn issue_agent(
        &self,
        request_pem: &str,
        agent: &AgentId,
        generation: u64,
        (now, days): (Timestamp, i64),
    ) -> Result<(Digest, String), AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(request_pem)
            .map_err(AuthorityError::Request)?;
        let mut params = parameters(now, days)?;
        let name = spiffe_id(&self.domain, agent, generation);
        let name = name.try_into().map_err(AuthorityError::Certificate)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&request.public_key, &self.issuer)
            .map_err(AuthorityError::Certificate)?;
        let tls_key = Digest::of(&request.public_key.subject_public_key_info());
        Ok((tls_key, certificate.pem()))
    }
}

/// The name of an agent in its certificate.
#[must_use]
pub fn spiffe_id(domain: &str, agent: &AgentId, generation: u64) -> String {
    format!("spiffe://{domain}/agent/{agent}/g{generation}")
}

/// Reads the name of an agent from a certificate that TLS has verified.
///
/// `None` unless there is exactly one alternative name, a SPIFFE id of an agent of this domain.
#[must_use]
pub fn agent_of(certificate: &CertificateDer<'_>, domain: &str) -> Option<(AgentId, u64)> {
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

    let (_rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = &certificate
        .subject_alternative_name()
        .ok()??
        .value
        .general_names;
    let [GeneralName::URI(name)] = names.as_slice() else {
        return None;
    };
    let rest = name.strip_prefix("spiffe://")?.strip_prefix(domain)?;
    let (agent, generation) = rest.strip_prefix("/agent/")?.split_once("/g")?;
    let (agent, generation) = (agent.parse().ok()?, generation.parse().ok()?);
    // One written form: no leading zeros, no sign.
    (spiffe_id(domain, &agent, generation) == *name).then_some((agent, generation))
}

/// Whether a certificate is for this key.
fn certifies(certificate: &CertificateDer<'_>, pair: &KeyPair) -> bool {
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    X509Certificate::from_der(certificate)
        .is_ok_and(|(_rest, read)| read.public_key().raw == pair.subject_public_key_info())
}

/// Valid from an hour ago, so that a host whose clock is a little late can connect.
fn parameters(now: Timestamp, days: i64) -> Result<CertificateParams, AuthorityError> {
    let at = |ms: i64| {
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(ms.unsigned_abs())
    };
    let mut params = CertificateParams::default();
    params.not_before = at(now.unix_ms().saturating_sub(3_600_000).max(0)).into();
    params.not_after = at(now
        .unix_ms()
        .saturating_add(days.saturating_mul(DAY_MS))
        .max(0))
    .into();
    let serial: [u8; 16] = key::random().map_err(AuthorityError::Random)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn read(dir: &Path, name: &str) -> Result<String, AuthorityError> {
    let path = dir.join(name);
    durable::read_text(&path, PEM_BYTES_MAX).map_err(|source| AuthorityError::File { path, source })
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), AuthorityError> {
    let path = dir.join(name);
    durable::write(&path, text.as_bytes(), 0o600)
        .map_err(|source| AuthorityError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            name: "collector.example".to_owned(),
            ..Config::default()
        }
    }

    fn request() -> String {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "root");
        params.serialize_request(&pair).unwrap().pem().unwrap()
    }

    #[test]
    fn keys_are_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_unix_ms(1_767_323_045_678).unwrap();
        let made = Authority::create(dir.path(), &config(), now).unwrap();
        let read = Authority::load(dir.path(), &config()).unwrap();
        assert_eq!(made.fingerprint(), read.fingerprint());
        assert_eq!(made.ledger.public(), read.ledger.public());
        let again = Authority::create(dir.path(), &config(), now);
        assert!(matches!(again, Err(AuthorityError::Exists(_))));
        let other = tempfile::tempdir().unwrap();
        drop(Authority::create(other.path(), &config(), now).unwrap());
        let own = super::read(dir.path(), AUTHORITY_KEY).unwrap();
        std::fs::copy(
            other.path().join(AUTHORITY_KEY),
            dir.path().join(AUTHORITY_KEY),
        )
        .unwrap();
        let error = Authority::load(dir.path(), &config()).unwrap_err();
        assert!(error.to_string().contains(AUTHORITY_KEY), "{error}");
        durable::write(&dir.path().join(AUTHORITY_KEY), own.as_bytes(), 0o600).unwrap();
        std::fs::remove_file(dir.path().join(LEDGER_KEY)).unwrap();
        let error = Authority::load(dir.path(), &config()).unwrap_err();
        assert!(error.to_string().contains(LEDGER_KEY), "{error}");
    }

    #[test]
    fn a_certificate_names_the_agent_and_nothing_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_unix_ms(1_767_323_045_678).unwrap();
        let authority = Authority::create(dir.path(), &config(), now).unwrap();
        let agent: AgentId = "web-1".parse().unwrap();
        let (_key, pem) = authority
            .issue_agent(&request(), &agent, 2, (now, 7))
            .unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(agent_of(&der, "collector.example"), Some((agent, 2)));
        assert_eq!(agent_of(&der, "collector"), None);
        assert_eq!(agent_of(&der, "other.example"), None);
        assert_eq!(agent_of(authority.certificate(), "collector.example"), None);
        let server = authority
            .issue_server(&["localhost".to_owned()], now)
            .unwrap();
        assert_eq!(agent_of(&server.chain[0], "collector.example"), None);
    }

    #[test]
    fn a_request_that_is_not_signed_with_its_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_unix_ms(1_767_323_045_678).unwrap();
        let authority = Authority::create(dir.path(), &config(), now).unwrap();
        let agent: AgentId = "web-1".parse().unwrap();
        let mut der =
            rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(request().as_bytes())
                .unwrap()
                .to_vec();
        *der.last_mut().unwrap() ^= 1;
        let bad = pem(&der);
        for bad in [bad.as_str(), "", "-----BEGIN X-----"] {
            let result = authority.issue_agent(bad, &agent, 1, (now, 7));
            assert!(matches!(result, Err(AuthorityError::Request(_))), "{bad}");
        }
    }

    fn pem(der: &[u8]) -> String {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let label = "CERTIFICATE REQUEST";
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }
}
