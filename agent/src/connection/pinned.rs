//! First contact: a collector that is known by the SHA-256 of its authority's certificate.
//!
//! The collector shows that certificate in its chain. It is taken as the only root, and the rest
//! is the ordinary check: chain, name, dates, signature of the handshake. So first contact needs
//! no trust on first use.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use shared::id::Digest;

/// Accepts what the authority of this digest vouches for, and nothing else.
#[derive(Debug)]
pub(super) struct Pinned {
    authority: Digest,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) const fn new(authority: Digest, provider: Arc<CryptoProvider>) -> Self {
        Self {
            authority,
            provider,
        }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates
            .iter()
            .find(|shown| Digest::of(shown) == self.authority)
            .ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_no_root| CertificateError::UnknownIssuer)?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn leaf(by: &CertifiedIssuer<'static, KeyPair>, name: &str) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, by).unwrap().der().clone()
    }

    #[test]
    fn only_what_the_pinned_authority_vouches_for() {
        let (ours, theirs) = (authority(), authority());
        let good = leaf(&ours, "collector.example");
        let foreign = leaf(&theirs, "collector.example");
        let pin = Digest::of(ours.der());
        let now = UnixTime::since_unix_epoch(Duration::from_hours(500_000));
        let accepts = |pin, leaf: &CertificateDer<'static>, chain: &[&CertificateDer<'static>]| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let chain: Vec<_> = chain.iter().map(|der| (*der).clone()).collect();
            let name = ServerName::try_from("collector.example").unwrap();
            Pinned::new(pin, provider)
                .verify_server_cert(leaf, &chain, &name, &[], now)
                .is_ok()
        };
        assert!(accepts(pin, &good, &[ours.der()]));
        assert!(accepts(pin, &good, &[theirs.der(), ours.der()]));
        // Not shown, another pin, or another signer behind a chain that shows ours.
        assert!(!accepts(pin, &good, &[]));
        assert!(!accepts(pin, &good, &[theirs.der()]));
        assert!(!accepts(Digest::of(theirs.der()), &good, &[ours.der()]));
        assert!(!accepts(pin, &foreign, &[ours.der()]));
        assert!(!accepts(pin, &foreign, &[theirs.der(), ours.der()]));
        assert!(!accepts(pin, &leaf(&ours, "other.example"), &[ours.der()]));
        // The authority itself is no collector.
        assert!(!accepts(pin, ours.der(), &[ours.der()]));
    }
}
