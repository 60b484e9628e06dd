//! Certificates and signing requests of the TLS key.

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    begin: Timestamp,
    pub(super) end: Timestamp,
}

impl Life {
    pub(super) const fn renewal_due(&self, now: Timestamp) -> bool {
        let left = self.end.ms_since(now);
        left.saturating_mul(3) <= self.end.ms_since(self.begin)
    }
}

/// Makes a TLS key: ECDSA on P-256, which every TLS stack knows. Returns it as PKCS#8 in PEM.
pub(super) fn make_key() -> Result<String, String> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
    Ok(key.map_err(|error| error.to_string())?.serialize_pem())
}

/// A signing request: PKCS#10 in PEM.
pub(super) fn request(key_pem: &str, agent: &AgentId) -> Result<String, String> {
    let key = KeyPair::from_pem(key_pem).map_err(|error| error.to_string())?;
    let params = CertificateParams::new(vec![agent.to_string()]);
    params
        .and_then(|params| params.serialize_request(&key))
        .and_then(|request| request.pem())
        .map_err(|error| error.to_string())
}

/// SHA-256 of the SubjectPublicKeyInfo of a key.
pub(super) fn key_digest(key_pem: &str) -> Result<Digest, String> {
    let key = KeyPair::from_pem(key_pem).map_err(|error| error.to_string())?;
    Ok(Digest::of(&key.subject_public_key_info()))
}

/// SHA-256 of a certificate.
pub(super) fn digest(pem: &str) -> Result<Digest, String> {
    Ok(Digest::of(&der(pem)?))
}

/// Checks that a certificate is for our key, our name and our generation, and for nothing else.
pub(super) fn check(
    pem: &str,
    key_pem: &str,
    agent: &AgentId,
    generation: u64,
) -> Result<Life, String> {
    let der = der(pem)?;
    let certificate = parsed(&der)?;
    if Digest::of(certificate.public_key().raw) != key_digest(key_pem)? {
        return Err("for another key than ours".to_owned());
    }
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|error| error.to_string())?;
    let names = names.map(|names| names.value.general_names.as_slice());
    let wanted = format!("/agent/{agent}/g{generation}");
    match names {
        Some([GeneralName::URI(name)]) => {
            let domain = name.strip_prefix("spiffe://");
            let domain = domain.and_then(|rest| rest.strip_suffix(wanted.as_str()));
            if domain.is_none_or(|domain| domain.is_empty() || domain.contains('/')) {
                return Err(format!("for `{name}`, not for `spiffe://..{wanted}`"));
            }
        }
        Some(_) | None => return Err("not for exactly one SPIFFE id".to_owned()),
    }
    life_of(&certificate)
}

/// From when to when a certificate is valid.
pub(super) fn life(pem: &str) -> Result<Life, String> {
    life_of(&parsed(&der(pem)?)?)
}

fn der(pem: &str) -> Result<CertificateDer<'static>, String> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| format!("not a certificate in PEM: {error}"))
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    let (_rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
    Ok(certificate)
}

fn life_of(certificate: &X509Certificate<'_>) -> Result<Life, String> {
    let at = |seconds: i64| {
        Timestamp::from_unix_ms(seconds.saturating_mul(1000)).map_err(|error| error.to_string())
    };
    let validity = certificate.validity();
    Ok(Life {
        begin: at(validity.not_before.timestamp())?,
        end: at(validity.not_after.timestamp())?,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::SanType;

    use super::*;

    fn certificate(key_pem: &str, names: &[&str]) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let uri = |name: &&str| SanType::URI((*name).try_into().unwrap());
        params.subject_alt_names = names.iter().map(uri).collect();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 8);
        let key = KeyPair::from_pem(key_pem).unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn only_a_certificate_for_us() {
        let (key, other) = (make_key().unwrap(), make_key().unwrap());
        let agent = "web-1".parse().unwrap();
        let good = "spiffe://evident.example/agent/web-1/g2";
        let check = |pem: &str| check(pem, &key, &agent, 2);
        let life = check(&certificate(&key, &[good])).unwrap();
        assert_eq!(life.end.to_string(), "2026-01-08T00:00:00.000Z");
        assert!(check(&certificate(&other, &[good])).is_err());
        for bad in [
            &[][..],
            &[good, good],
            &["spiffe://evident.example/agent/web-1/g1"],
            &["spiffe://evident.example/agent/web-2/g2"],
            &["spiffe:///agent/web-1/g2"],
            &["spiffe://evident.example/agent/web-2/agent/web-1/g2"],
            &["https://evident.example/agent/web-1/g2"],
        ] {
            assert!(check(&certificate(&key, bad)).is_err(), "{bad:?}");
        }
        assert!(check("").is_err());
        assert!(check(&key).is_err());
    }

    #[test]
    fn renewal_is_due_at_two_thirds() {
        let key = make_key().unwrap();
        let life = life(&certificate(&key, &["spiffe://d/agent/a/g1"])).unwrap();
        for (now, due) in [
            ("2026-01-05T15:59:59Z", false),
            ("2026-01-05T16:00:00Z", true),
            ("2026-01-09T00:00:00Z", true),
            ("2025-01-01T00:00:00Z", false),
        ] {
            assert_eq!(life.renewal_due(now.parse().unwrap()), due, "{now}");
        }
    }

    #[test]
    fn requests_carry_the_key() {
        let key = make_key().unwrap();
        let pem = request(&key, &"web-1".parse().unwrap()).unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_pem(&pem).unwrap();
        let carried = Digest::of(&request.public_key.subject_public_key_info());
        assert_eq!(carried, key_digest(&key).unwrap());
    }
}
