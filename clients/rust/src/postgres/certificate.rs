//! A server's certificate, in words: whose it is, who issued it, why it is refused.

use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::certificate::Version;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Why a certificate is refused, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("the server's certificate {problem}")]
pub struct CertificateProblem {
    problem: String,
    /// The next step.
    pub remedy: &'static str,
}

/// A certificate that could be parsed.
#[derive(Debug)]
pub struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// Parses a certificate.
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        x509_cert::Certificate::from_der(der).ok().map(Self)
    }

    /// Who issued it.
    pub fn issuer(&self) -> String {
        self.0.tbs_certificate.issuer.to_string()
    }

    fn is_self_signed(&self) -> bool {
        self.0.tbs_certificate.issuer == self.0.tbs_certificate.subject
    }

    /// The hosts and addresses that it names as such.
    fn alternative_names(&self) -> Vec<String> {
        let extension = self.0.tbs_certificate.get::<SubjectAltName>();
        let names = extension.ok().flatten().map(|(_, names)| names.0).unwrap_or_default();
        let text = |name: &GeneralName| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            GeneralName::IpAddress(bytes) => match bytes.as_bytes().len() {
                4 => <[u8; 4]>::try_from(bytes.as_bytes()).ok().map(IpAddr::from),
                _ => <[u8; 16]>::try_from(bytes.as_bytes()).ok().map(IpAddr::from),
            }
            .map(|address| address.to_string()),
            _ => None,
        };
        names.iter().filter_map(text).collect()
    }

    /// The common name, which libpq compares with the host where the certificate has no other name.
    fn common_name(&self) -> Option<String> {
        let parts = self.0.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
        parts.map(ToString::to_string).find_map(|part| part.strip_prefix("CN=").map(str::to_owned))
    }

    /// Whether it is for this host by its common name alone.
    pub fn is_for_by_common_name(&self, host: &ServerName<'_>) -> bool {
        let Some(name) = self.common_name().filter(|_| self.alternative_names().is_empty()) else {
            return false;
        };
        let (name, host) = (name.to_ascii_lowercase(), host.to_str().to_ascii_lowercase());
        let below = |pattern: &str| {
            host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == pattern)
        };
        name == host || name.strip_prefix("*.").is_some_and(below)
    }

    /// Whether its period of validity holds this moment.
    pub fn check_period(&self, now: UnixTime) -> Result<(), CertificateError> {
        let validity = &self.0.tbs_certificate.validity;
        if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
            Err(CertificateError::NotValidYet)
        } else if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
            Err(CertificateError::Expired)
        } else {
            Ok(())
        }
    }

    /// Describes the problem. `roots` names the trusted authorities.
    pub fn problem(
        &self,
        error: &CertificateError,
        host: &ServerName<'_>,
        roots: &str,
    ) -> CertificateProblem {
        let certificate = &self.0.tbs_certificate;
        let (problem, remedy) = match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                format!("expired at {}", certificate.validity.not_after),
                "renew the server's certificate, or correct this machine's clock",
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
                format!("is valid only from {}", certificate.validity.not_before),
                "correct this machine's clock, or replace the server's certificate",
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let mut names = self.alternative_names();
                if names.is_empty() {
                    names.extend(self.common_name());
                }
                (
                    format!("is for {}, not for {}", names.join(", "), host.to_str()),
                    "connect to the name in the certificate (hostaddr can give its address), or \
                     use sslmode=verify-ca to check the authority alone",
                )
            }
            _ if certificate.version != Version::V3 => (
                format!("is of X.509 {:?}, which cannot be verified", certificate.version),
                "replace it by one of version 3 with a subjectAltName, or use sslmode=require \
                 without sslrootcert to encrypt without verification",
            ),
            // One that is marked as an authority, as OpenSSL makes it by default, has another
            // error.
            CertificateError::UnknownIssuer | CertificateError::Other(_)
                if self.is_self_signed() =>
            {
                (
                    format!("is self-signed ({}), and not among {roots}", self.issuer()),
                    "give a copy of the certificate in sslrootcert=FILE, or use sslmode=require \
                     without sslrootcert to encrypt without verification",
                )
            }
            CertificateError::UnknownIssuer => (
                format!("was issued by {}, which is not among {roots}", self.issuer()),
                "give the certificate of this authority in sslrootcert=FILE (Supabase: the one \
                 that the dashboard offers), or use sslmode=require without sslrootcert to encrypt \
                 without verification",
            ),
            other => (
                format!("({}) cannot be verified: {other}", certificate.subject),
                "replace the server's certificate, or give a copy of it in sslrootcert=FILE",
            ),
        };
        CertificateProblem { problem, remedy }
    }
}

/// A certificate that cannot be parsed.
pub fn unreadable() -> CertificateProblem {
    CertificateProblem {
        problem: "cannot be parsed".to_owned(),
        remedy: "replace the server's certificate",
    }
}
