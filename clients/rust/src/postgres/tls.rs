//! TLS to Postgres like libpq: `sslmode` decides whether TLS is used and what is verified.
//!
//! | `sslmode` | first | then | verified |
//! |---|---|---|---|
//! | `disable` | plain | | |
//! | `allow` | plain | TLS, if the server refuses | the authority, if there is a root file |
//! | `prefer` | TLS, if the server has it | plain, if TLS fails | likewise |
//! | `require` | TLS | | likewise |
//! | `verify-ca` | TLS | | the authority |
//! | `verify-full` | TLS | | the authority and the host |

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio_postgres::config::SslMode;

use super::certificate::{Certificate, CertificateProblem, unreadable};
use super::choice::one_of;

/// `sslmode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    Disable,
    Allow,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// The trusted authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Roots {
    System,
    File(PathBuf),
}

/// The client's certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

/// The parameters of TLS, as they are read.
#[derive(Debug, Default)]
pub struct TlsParameters {
    mode: Option<Mode>,
    roots: Option<Roots>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    without_identity: bool,
    only_tls12: bool,
    only_tls13: bool,
    direct: bool,
}

/// The TLS settings of a connection. The files are read at the start, to report their faults, and
/// again for each connection, so that renewed files take effect.
#[derive(Debug, Clone)]
pub struct Tls {
    mode: Mode,
    roots: Option<Roots>,
    identity: Option<Identity>,
    versions: &'static [&'static SupportedProtocolVersion],
    direct: bool,
}

/// One way to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The mode of the library.
    pub ssl_mode: SslMode,
    /// When the next attempt follows a failure of this one.
    pub falls_back: FallsBack,
}

/// When another attempt follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallsBack {
    Never,
    /// The server refused with a message.
    IfRefused,
    /// It failed after TLS had begun.
    IfTlsBegan,
}

impl TlsParameters {
    /// Their names.
    pub const NAMES: [&'static str; 9] = [
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslcertmode",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "ssl",
    ];

    /// Reads a parameter, if it is one of these.
    pub fn read(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "sslmode" => {
                let modes = [
                    ("disable", Mode::Disable),
                    ("allow", Mode::Allow),
                    ("prefer", Mode::Prefer),
                    ("require", Mode::Require),
                    ("verify-ca", Mode::VerifyCa),
                    ("verify-full", Mode::VerifyFull),
                ];
                self.mode = Some(one_of(name, value, &modes)?);
            }
            // The form of Java and JavaScript drivers, which libpq accepts.
            "ssl" => {
                one_of(name, value, &[("true", ())])?;
                self.mode.get_or_insert(Mode::Require);
            }
            "sslrootcert" => {
                self.roots = match value {
                    "" => None,
                    "system" => Some(Roots::System),
                    path => Some(Roots::File(path.into())),
                };
            }
            "sslcert" => {
                self.certificate = Some(value).filter(|path| !path.is_empty()).map(Into::into)
            }
            "sslkey" => self.key = Some(value).filter(|path| !path.is_empty()).map(Into::into),
            "sslcertmode" => {
                self.without_identity =
                    one_of(name, value, &[("disable", true), ("allow", false)])?;
            }
            "sslnegotiation" => {
                self.direct = one_of(name, value, &[("postgres", false), ("direct", true)])?;
            }
            "ssl_min_protocol_version" => {
                let versions =
                    [("TLSv1", false), ("TLSv1.1", false), ("TLSv1.2", false), ("TLSv1.3", true)];
                self.only_tls13 = one_of(name, value, &versions)?;
            }
            "ssl_max_protocol_version" => {
                self.only_tls12 = one_of(name, value, &[("TLSv1.2", true), ("TLSv1.3", false)])?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks the parameters together, and reads the files once to report their faults.
    pub fn finish(self) -> Result<Tls, String> {
        self.finish_in(std::env::home_dir().map(|home| home.join(".postgresql")).as_deref())
    }

    /// Like `finish`, with libpq's folder of default files.
    fn finish_in(self, folder: Option<&Path>) -> Result<Tls, String> {
        let default = |name: &str| Some(folder?.join(name)).filter(|path| path.exists());
        let system = self.roots == Some(Roots::System);
        let mode = match self.mode {
            None if system => Mode::VerifyFull,
            Some(mode) if system && !matches!(mode, Mode::VerifyFull | Mode::Disable) => {
                return Err(
                    "sslmode: must be verify-full with sslrootcert=system, because everyone \
                     can have a certificate of these authorities"
                        .to_owned(),
                );
            }
            mode => mode.unwrap_or_default(),
        };
        if self.direct && matches!(mode, Mode::Disable | Mode::Allow | Mode::Prefer) {
            return Err("sslnegotiation: direct needs sslmode=require or stronger".to_owned());
        }
        let versions: &'static [&'static SupportedProtocolVersion] =
            match (self.only_tls12, self.only_tls13) {
                (false, false) => &VERSIONS,
                (true, false) => &ONLY_TLS12,
                (false, true) => &ONLY_TLS13,
                (true, true) => {
                    return Err(
                        "ssl_min_protocol_version is above ssl_max_protocol_version".to_owned()
                    );
                }
            };
        let roots = self.roots.or_else(|| default("root.crt").map(Roots::File));
        let roots = match (mode, roots) {
            (Mode::VerifyFull, None) => Some(Roots::System),
            (Mode::VerifyCa, None) => {
                return Err("sslmode=verify-ca needs sslrootcert=FILE, the certificate of the \
                            authority"
                    .to_owned());
            }
            (_, roots) => roots,
        };
        let certificate = self.certificate.or_else(|| default("postgresql.crt"));
        let key = self.key.or_else(|| default("postgresql.key"));
        let identity = match (certificate, key) {
            _ if self.without_identity => None,
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (Some(_), None) => return Err("sslcert needs sslkey=FILE, its key".to_owned()),
            (None, Some(_)) => return Err("sslkey needs sslcert=FILE, its certificate".to_owned()),
            (None, None) => None,
        };
        let tls = Tls { mode, roots, identity, versions, direct: self.direct };
        if mode != Mode::Disable {
            tls.client_config(&Handshake::default())?;
        }
        Ok(tls)
    }
}

/// Versions before 1.2 are never used.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
static ONLY_TLS12: [&SupportedProtocolVersion; 1] = [&TLS12];
static ONLY_TLS13: [&SupportedProtocolVersion; 1] = [&TLS13];

impl Tls {
    /// What the library wants for a connection without TLS. It reads no file.
    pub fn unused() -> Self {
        Self {
            mode: Mode::Disable,
            roots: None,
            identity: None,
            versions: &VERSIONS,
            direct: false,
        }
    }

    /// Whether TLS begins without asking the server for it.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// The ways to try, in order.
    pub fn attempts(&self, is_socket: bool) -> &'static [Attempt] {
        const fn attempt(ssl_mode: SslMode, falls_back: FallsBack) -> Attempt {
            Attempt { ssl_mode, falls_back }
        }
        const PLAIN: Attempt = attempt(SslMode::Disable, FallsBack::Never);
        const TLS: Attempt = attempt(SslMode::Require, FallsBack::Never);
        match self.mode {
            // A Unix-domain socket has no TLS with any `sslmode`.
            _ if is_socket => &[PLAIN],
            Mode::Disable => &[PLAIN],
            Mode::Allow => const { &[attempt(SslMode::Disable, FallsBack::IfRefused), TLS] },
            Mode::Prefer => const { &[attempt(SslMode::Prefer, FallsBack::IfTlsBegan), PLAIN] },
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => &[TLS],
        }
    }

    /// The configuration of one connection, whose handshake is noted.
    pub fn client_config(&self, handshake: &Handshake) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = self.roots.as_ref().map(|roots| self.trust(roots)).transpose()?;
        let verifier = Verifier {
            trust,
            algorithms: provider.signature_verification_algorithms,
            handshake: handshake.clone(),
        };
        let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
            .with_protocol_versions(self.versions)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = certificates("sslcert", certificate)?;
                let private = PrivateKeyDer::from_pem_slice(&read("sslkey", key)?);
                let private = private.map_err(|error| {
                    let key = key.display();
                    format!("sslkey: {key} has no private key in PEM without a password: {error}")
                })?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| format!("sslcert and sslkey do not match: {error}"))?
            }
        };
        if self.direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(config)
    }

    fn trust(&self, roots: &Roots) -> Result<Trust, String> {
        let host = self.mode == Mode::VerifyFull;
        Ok(match roots {
            Roots::System => Trust {
                roots: system_roots(),
                copies: Vec::new(),
                host,
                name: "the authorities of this system".to_owned(),
            },
            Roots::File(path) => {
                let copies = certificates("sslrootcert", path)?;
                let mut store = RootCertStore::empty();
                for certificate in &copies {
                    store
                        .add(certificate.clone())
                        .map_err(|error| format!("sslrootcert: {}: {error}", path.display()))?;
                }
                let name = format!("the certificates of {}", path.display());
                Trust { roots: Arc::new(store), copies, host, name }
            }
        })
    }
}

/// The system's certificates, more than a hundred, which are read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        // Without roots, the verification fails with an unknown issuer.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(load))
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{name}: cannot read {}: {error}", path.display()))
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(name, path)?).collect();
    let all = all.ok().filter(|all| !all.is_empty());
    all.ok_or_else(|| format!("{name}: {} has no certificate in PEM", path.display()))
}

/// The state of a connection's handshake. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Handshake(Arc<Mutex<Seen>>);

#[derive(Debug, Clone, Default)]
struct Seen {
    began: bool,
    version: &'static str,
    issuer: Option<String>,
    verified: Option<String>,
}

impl Handshake {
    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the server agreed to TLS.
    pub fn begin(&self) {
        self.note(|seen| seen.began = true);
    }

    /// Whether the server agreed to TLS.
    pub fn began(&self) -> bool {
        self.seen().began
    }

    /// The TLS of a connection that is established; `None` if it is plain.
    pub fn negotiated(&self) -> Option<Negotiated> {
        let Seen { began, version, issuer, verified } = self.seen();
        let issuer = issuer.unwrap_or_else(|| "an issuer that cannot be read".to_owned());
        began.then_some(Negotiated { version, issuer, verified })
    }
}

/// The negotiated TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The version, such as `TLS 1.3`.
    pub version: &'static str,
    /// The issuer of the server's certificate.
    pub issuer: String,
    /// What was verified and by which authorities; `None` if nothing was.
    pub verified: Option<String>,
}

/// The requirements for the server's certificate.
#[derive(Debug)]
struct Trust {
    roots: Arc<RootCertStore>,
    /// The same certificates: the server's own may be among them, as OpenSSL allows it.
    copies: Vec<CertificateDer<'static>>,
    /// Whether it must be for the host.
    host: bool,
    /// The roots, for messages.
    name: String,
}

/// Verifies like libpq, and records the certificate.
#[derive(Debug)]
struct Verifier {
    /// `None`: any certificate is accepted.
    trust: Option<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
    handshake: Handshake,
}

impl Trust {
    fn verify(
        &self,
        (server, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        certificate: &Certificate,
        host: &ServerName<'_>,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(server)?;
        if self.copies.iter().any(|copy| copy == server) {
            certificate.check_period(now)?;
        } else {
            let (roots, algorithms) = (&self.roots, algorithms.all);
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                roots,
                intermediates,
                now,
                algorithms,
            )?;
        }
        if self.host && !certificate.is_for_by_common_name(host) {
            verify_server_name(&parsed, host)?;
        }
        Ok(())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = Certificate::read(server);
        let issuer = certificate.as_ref().map(Certificate::issuer);
        self.handshake.note(|seen| seen.issuer = issuer);
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let refused = |problem: CertificateProblem| {
            rustls::Error::from(CertificateError::Other(OtherError(Arc::new(problem))))
        };
        let certificate = certificate.ok_or_else(|| refused(unreadable()))?;
        let chain = (server, intermediates);
        match trust.verify(chain, &certificate, host, now, &self.algorithms) {
            Ok(()) => {
                let what = if trust.host { "authority and host" } else { "authority" };
                let verified = format!("{what} verified by {}", trust.name);
                self.handshake.note(|seen| seen.verified = Some(verified));
                Ok(ServerCertVerified::assertion())
            }
            Err(rustls::Error::InvalidCertificate(error)) => {
                Err(refused(certificate.problem(&error, host, &trust.name)))
            }
            Err(other) => Err(other),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.handshake.note(|seen| seen.version = "TLS 1.2");
        // Anyone can create such a certificate, so its signature proves nothing either.
        if self.trust.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, server, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.handshake.note(|seen| seen.version = "TLS 1.3");
        if self.trust.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, server, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(parameters: &[(&str, &str)], folder: &Path) -> Result<Tls, String> {
        let mut read = TlsParameters::default();
        for (name, value) in parameters {
            assert_eq!(read.read(name, value), Ok(true), "{name}");
        }
        read.finish_in(Some(folder))
    }

    #[test]
    fn sslrootcert_system_means_verify_full_and_nothing_weaker() {
        let nowhere = Path::new("/nowhere");
        let system = ("sslrootcert", "system");
        assert_eq!(tls(&[system], nowhere).unwrap().mode, Mode::VerifyFull);
        for weaker in ["allow", "prefer", "require", "verify-ca"] {
            let refused = tls(&[system, ("sslmode", weaker)], nowhere).unwrap_err();
            assert!(refused.contains("verify-full"), "{weaker}: {refused}");
        }
    }

    #[test]
    fn a_mode_that_verifies_needs_an_authority() {
        let nowhere = Path::new("/nowhere");
        let full = tls(&[("sslmode", "verify-full")], nowhere).unwrap();
        assert_eq!(full.roots, Some(Roots::System));
        let refused = tls(&[("sslmode", "verify-ca")], nowhere).unwrap_err();
        assert!(refused.contains("needs sslrootcert"), "{refused}");
    }

    #[test]
    fn a_mode_without_a_root_file_verifies_nothing() {
        for mode in ["allow", "prefer", "require"] {
            assert_eq!(tls(&[("sslmode", mode)], Path::new("/nowhere")).unwrap().roots, None);
        }
        assert_eq!(tls(&[("ssl", "true")], Path::new("/nowhere")).unwrap().mode, Mode::Require);
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let nowhere = Path::new("/nowhere");
        for (parameters, expected) in [
            (&[("sslrootcert", "/missing.crt")][..], "sslrootcert: cannot read /missing.crt"),
            (&[("sslcert", "/missing.crt")], "sslcert needs sslkey"),
            (&[("sslkey", "/missing.key")], "sslkey needs sslcert"),
            (&[("sslcert", "/m.crt"), ("sslkey", "/m.key")], "sslcert: cannot read /m.crt"),
            (&[("sslrootcert", "/dev/null")], "sslrootcert: /dev/null has no certificate"),
            (&[("sslnegotiation", "direct")], "sslnegotiation: direct needs sslmode=require"),
        ] {
            assert!(tls(parameters, nowhere).unwrap_err().starts_with(expected), "{parameters:?}");
        }
        let disabled = [("sslrootcert", "/missing.crt"), ("sslmode", "disable")];
        assert!(tls(&disabled, nowhere).is_ok(), "what is not used is not read");
    }
}
