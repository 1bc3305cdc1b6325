//! Whom an `rtsps://` server must prove to be. There is no third way: one that proves nothing is not asked.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore};
use rustls::{ConfigBuilder, SignatureScheme, WantsVerifier};
use sha2::{Digest, Sha256};

/// Most authorities that are taken.
const MAX_AUTHORITIES: usize = 512;

/// What makes a server the one that is meant.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

/// Why a trust cannot be used; says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// Not a PEM text with certificates.
    Authorities,
    /// Not the 64 hexadecimal digits of a SHA-256.
    Fingerprint,
}

impl fmt::Display for TrustError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            TrustError::Authorities => "the authorities are not certificates in PEM",
            TrustError::Fingerprint => "a certificate is named by the 64 digits of its SHA-256",
        })
    }
}

impl Trust {
    /// One of these authorities vouches for the server, by the name or address it is asked at, and today.
    pub fn authorities(pem: &str) -> Result<Trust, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| TrustError::Authorities)?;
            roots
                .add(certificate)
                .map_err(|_| TrustError::Authorities)?;
            if roots.len() > MAX_AUTHORITIES {
                return Err(TrustError::Authorities);
            }
        }
        if roots.is_empty() {
            return Err(TrustError::Authorities);
        }
        let provider = Arc::new(ring::default_provider());
        let builder = begin(&provider).ok_or(TrustError::Authorities)?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Trust(Arc::new(config)))
    }

    /// The server holds the key of the one certificate with this SHA-256, whatever that certificate says of itself.
    pub fn certificate(fingerprint: &str) -> Result<Trust, TrustError> {
        let sha256 = read_fingerprint(fingerprint).ok_or(TrustError::Fingerprint)?;
        let provider = Arc::new(ring::default_provider());
        let builder = begin(&provider).ok_or(TrustError::Fingerprint)?;
        let known = KnownCertificate { sha256, provider };
        let config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(known))
            .with_no_client_auth();
        Ok(Trust(Arc::new(config)))
    }

    /// What a connection is made with.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

fn begin(provider: &Arc<CryptoProvider>) -> Option<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider));
    builder.with_safe_default_protocol_versions().ok()
}

/// 32 octets as hexadecimal digits, with or without colons between.
fn read_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|&byte| byte != b':')
        .map(|byte| (byte as char).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let octets: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    (digits.len() == 64).then(|| octets.try_into().ok())?
}

/// Takes one certificate and no other. The handshake proves as ever that the server holds its key.
#[derive(Debug)]
struct KnownCertificate {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for KnownCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Sha256::digest(end_entity.as_ref())[..] == self.sha256[..] {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_digits_with_or_without_colons() {
        let plain = "0A".repeat(32);
        let colons = vec!["0a"; 32].join(":");
        assert_eq!(read_fingerprint(&plain), Some([10; 32]));
        assert_eq!(read_fingerprint(&colons), Some([10; 32]));
        for wrong in [
            "",
            "0a",
            &plain[1..],
            &format!("{plain}0"),
            &"0g".repeat(32),
        ] {
            assert_eq!(
                Trust::certificate(wrong).err(),
                Some(TrustError::Fingerprint)
            );
        }
    }

    #[test]
    fn authorities_are_certificates_or_nothing_is_trusted() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no certificate", broken] {
            assert_eq!(Trust::authorities(pem).err(), Some(TrustError::Authorities));
        }
    }
}
