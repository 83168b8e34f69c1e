//! Flags of the HTTP port.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use clap::Args;

use super::jwks::JwksUrl;
use super::local::is_local;

/// The minimum size for HS256: the size of the hash.
const SECRET_BYTES: usize = 32;

/// Flags of the HTTP port.
#[derive(Debug, Clone, Args)]
pub struct HttpOptions {
    /// The address of the page at /, /api, /healthz, /readyz and /metrics. Beyond loopback, /api
    /// needs tokens (--jwt-secret or --jwks-url).
    #[arg(long, env = "BINDERY_HTTP", default_value = "127.0.0.1:7890")]
    pub http: SocketAddr,
    /// The secret of tokens signed with HS256, 32 bytes or more.
    #[arg(long, env = "BINDERY_JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,
    /// The public keys of tokens: the path of a JWKS file, or an https URL (http on loopback only).
    #[arg(long, env = "BINDERY_JWKS_URL", hide_env_values = true)]
    pub jwks_url: Option<JwksUrl>,
    /// The required claim iss of tokens; may be repeated to allow several.
    #[arg(
        long = "jwt-issuer",
        env = "BINDERY_JWT_ISSUERS",
        value_name = "ISSUER",
        value_delimiter = ',',
        value_parser = claim
    )]
    pub jwt_issuers: Vec<String>,
    /// The required value in the claim aud of tokens; may be repeated to allow several.
    #[arg(
        long = "jwt-audience",
        env = "BINDERY_JWT_AUDIENCES",
        value_name = "AUDIENCE",
        value_delimiter = ',',
        value_parser = claim
    )]
    pub jwt_audiences: Vec<String>,
    /// An origin whose pages may call /api, such as https://app.example.com; http://localhost:* is
    /// any port of this machine; may be repeated.
    #[arg(
        long = "cors-origin",
        env = "BINDERY_CORS_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<Origin>,
    /// The maximum number of connections, including event streams; fewer if the process may not
    /// open enough files.
    #[arg(long, env = "BINDERY_HTTP_CONNECTIONS", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub http_connections: u32,
    /// Connections to Postgres for /api.
    #[arg(long, env = "BINDERY_HTTP_POOL", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub http_pool: u32,
}

/// A value to compare a token's claim with.
fn claim(text: &str) -> Result<String, String> {
    if text.is_empty() || text.trim() != text {
        return Err("must not be empty, nor begin or end with white space".to_owned());
    }
    Ok(text.to_owned())
}

/// A secret that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() < SECRET_BYTES {
            return Err(format!(
                "must be {SECRET_BYTES} bytes or more, such as `openssl rand -hex 32` gives"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A page's origin as browsers send it: scheme, host, and the port where it is not the scheme's
/// own; of this machine also with `*` for any port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Whether it allows pages of this origin.
    pub fn allows(&self, origin: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(up_to_port) => origin.strip_prefix(up_to_port).is_some_and(|port| {
                !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            }),
            None => self.0 == origin,
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or_default();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".:-[]".contains(c);
        let named = match host.strip_suffix(":*") {
            Some(name) if is_local(name) => name,
            _ => host,
        };
        if named.is_empty() || !named.chars().all(plain) {
            return Err(
                "must be scheme://host[:port] in lower case, without a path; every origin \
                        by name, but http://localhost:* is any port of this machine"
                    .to_owned(),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        assert!("hush".parse::<Secret>().is_err_and(|error| !error.contains("hush")));
        let secret: Secret = "hush".repeat(8).parse().unwrap();
        assert!(!format!("{secret:?}").contains("hush"));
    }

    #[test]
    fn an_origin_is_named_in_full() {
        for right in ["https://app.example.com", "http://localhost:5173", "http://[::1]:3000"] {
            let origin = right.parse::<Origin>().unwrap();
            assert!(origin.allows(right) && !origin.allows("http://localhost:1"), "{right}");
        }
        let any_port = "http://localhost:*".parse::<Origin>().unwrap();
        assert!(any_port.allows("http://localhost:5173"));
        for other in [
            "http://localhost",
            "http://localhost:",
            "http://localhost:*",
            "https://localhost:5173",
            "http://localhost:80.evil.example",
            "http://localhost.evil.example:80",
            "http://127.0.0.1:5173",
        ] {
            assert!(!any_port.allows(other), "{other}");
        }
        for wrong in [
            "*",
            "",
            "null",
            "app.example.com",
            "https://a.example/",
            "https://A.example",
            "https://*.a.example",
            "https://a.example:*",
            "http://localhost:5*",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
