//! Who may vouch for a receiver: the authorities of this machine, or those of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use shared::durable;

/// Longest file of authorities.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Authorities.
#[derive(Debug)]
pub(super) struct Trust(Vec<CertificateDer<'static>>);

impl Trust {
    /// None: with it TLS reaches nobody.
    pub(super) const fn nobody() -> Self {
        Self(Vec::new())
    }

    /// The authorities in a file, or those of this machine; at least one.
    pub(super) fn new(file: Option<&Path>) -> Result<Self, String> {
        let (found, whence) = match file {
            None => {
                let whence = "on this machine; install ca-certificates, or set `ca_file`";
                (rustls_native_certs::load_native_certs().certs, whence)
            }
            Some(path) => {
                let shown = path.display();
                let pem = durable::read(path, FILE_BYTES_MAX)
                    .map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
                let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
                let all = all.map_err(|error| format!("`{shown}` is no PEM: {error}"))?;
                (all, "in `ca_file`")
            }
        };
        // A store of a machine may hold old certificates that cannot be used; a file may not.
        let usable = |one: &CertificateDer<'_>| RootCertStore::empty().add(one.clone()).is_ok();
        let (good, bad): (Vec<_>, Vec<_>) = found
            .into_iter()
            .map(CertificateDer::into_owned)
            .partition(usable);
        if good.is_empty() || (file.is_some() && !bad.is_empty()) {
            return Err(format!("there is no usable authority {whence}"));
        }
        Ok(Self(good))
    }

    /// The certificates themselves.
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// TLS 1.2 or 1.3 with a receiver that one of them vouches for.
    pub(super) fn tls(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        let _counts = roots.add_parsable_certificates(self.0.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be used: {error}"))?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}
