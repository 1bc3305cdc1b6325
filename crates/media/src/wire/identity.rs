//! What the outlet proves to be: its certificate and key. They may be exchanged while connections stand.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A chain longer than this is none.
const CHAIN_MAX: usize = 16;
/// All that is spoken inside. A peer that offers other protocols only is refused, so that nobody can lead a browser's
/// request of another protocol here (RFC 7301 3.2).
const SPOKEN: &[u8] = b"http/1.1";

/// The certificate and key that new connections are shown.
#[derive(Clone)]
pub struct Identity(Arc<Mutex<Arc<ServerConfig>>>);

/// Why a certificate cannot be used; says what is wrong with it, and nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// Not a PEM text with certificates.
    Certificate,
    /// Not a PEM text with a private key that can sign.
    Key,
    /// The key of another certificate.
    Mismatch,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            IdentityError::Certificate => "the TLS certificate is no chain of certificates in PEM",
            IdentityError::Key => "the TLS key is no private key in PEM (RSA, ECDSA or Ed25519)",
            IdentityError::Mismatch => "the TLS key does not belong to the first certificate",
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Identity")
    }
}

impl Identity {
    /// Read a chain of certificates, our own first, and its private key.
    pub fn read(certificate: &str, key: &str) -> Result<Identity, IdentityError> {
        let config = configure(certificate, key)?;
        Ok(Identity(Arc::new(Mutex::new(config))))
    }

    /// Show another certificate from now on. The former one stays if this one cannot be used.
    pub fn exchange(&self, certificate: &str, key: &str) -> Result<(), IdentityError> {
        let config = configure(certificate, key)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What a connection is made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn configure(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, IdentityError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .take(CHAIN_MAX + 1)
        .collect::<Result<_, _>>()
        .map_err(|_| IdentityError::Certificate)?;
    if !(1..=CHAIN_MAX).contains(&chain.len()) {
        return Err(IdentityError::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| IdentityError::Key)?;
    let provider = Arc::new(ring::default_provider());
    let signing = provider.key_provider.load_private_key(key);
    let certified = CertifiedKey::new(chain, signing.map_err(|_| IdentityError::Key)?);
    match certified.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(_)) => return Err(IdentityError::Mismatch),
        Err(_) => return Err(IdentityError::Certificate),
    }
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| IdentityError::Key)?;
    let resolver = rustls::sign::SingleCertAndKey::from(certified);
    let mut config = builder
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![SPOKEN.to_vec()];
    // A wall opens dozens of connections at once: all but the first are resumed, which saves their signatures.
    config.ticketer = ring::Ticketer::new().map_err(|_| IdentityError::Key)?;
    Ok(Arc::new(config))
}
