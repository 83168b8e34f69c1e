//! TLS to Redis: by the system's certificates or an authority of one's own, with a certificate of
//! ours where it asks for one.

use std::fs;
use std::sync::Arc;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// How TLS is spoken; read once, at the start.
#[derive(Clone)]
pub struct Tls {
    /// For connections of our own making.
    pub config: Arc<ClientConfig>,
    /// The same for those of the library's.
    pub certificates: TlsCertificates,
}

/// The files that a URL names.
#[derive(Debug, Default)]
pub struct Files {
    /// Certificates of the authorities to trust, instead of the system's.
    pub authority: Option<String>,
    /// Our certificate.
    pub certificate: Option<String>,
    /// Its key.
    pub key: Option<String>,
}

impl Tls {
    /// Reads the files.
    pub fn read(files: &Files) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let root_cert = files.authority.as_deref().map(|path| read("tls_ca", path)).transpose()?;
        match (&root_cert, &files.authority) {
            (Some(pem), Some(path)) => {
                for certificate in certificates("tls_ca", path, pem)? {
                    roots.add(certificate).map_err(|error| format!("tls_ca: {path}: {error}"))?;
                }
            }
            // Without any roots, the first connection fails.
            _ => drop(
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
            ),
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let (config, client_tls) = match (&files.certificate, &files.key) {
            (None, None) => (builder.with_no_client_auth(), None),
            (Some(certificate), Some(key)) => {
                let (client_cert, client_key) =
                    (read("tls_cert", certificate)?, read("tls_key", key)?);
                let chain = certificates("tls_cert", certificate, &client_cert)?;
                let private = PrivateKeyDer::from_pem_slice(&client_key).map_err(|error| {
                    format!("tls_key: {key} holds no private key in PEM: {error}")
                })?;
                let config = builder.with_client_auth_cert(chain, private);
                let config = config
                    .map_err(|error| format!("tls_cert and tls_key do not go together: {error}"))?;
                (config, Some(ClientTlsConfig { client_cert, client_key }))
            }
            _ => return Err("tls_cert and tls_key are given together or not at all".to_owned()),
        };
        Ok(Self {
            config: Arc::new(config),
            certificates: TlsCertificates { client_tls, root_cert },
        })
    }
}

fn read(what: &str, path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{what}: {path} cannot be read: {error}"))
}

fn certificates(
    what: &str,
    path: &str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{what}: {path} holds no certificate in PEM")),
        Err(error) => Err(format!("{what}: {path} holds no certificate in PEM: {error}")),
    }
}
