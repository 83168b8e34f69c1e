//! Public keys of tokens: a JWKS from a file or over https. It is read again every 10 min, and when
//! a token names an unknown key.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::retry::Repeats;

/// The interval between two reads: a withdrawn key is accepted for up to this time.
const FRESH: Duration = Duration::from_secs(600);
/// The minimum time between two reads, whatever keys tokens name.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const MOST_BYTES: u64 = 256 * 1024;

/// The location of a JWKS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksUrl {
    /// A local file.
    File(PathBuf),
    /// A URL.
    Web(String),
}

impl FromStr for JwksUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Self::File(path.into()));
        }
        if text.starts_with("https://") {
            return Ok(Self::Web(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("http://") {
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            let name =
                host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
            let here = name == "localhost"
                || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            return if here {
                Ok(Self::Web(text.to_owned()))
            } else {
                Err("keys come by https, or from this machine".to_owned())
            };
        }
        if text.is_empty() || text.contains("://") {
            return Err("give a file's path, or an https URL".to_owned());
        }
        Ok(Self::File(text.into()))
    }
}

/// The keys. Clones share them.
#[derive(Debug, Clone)]
pub struct Jwks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    url: JwksUrl,
    /// Never locked during a download.
    keys: RwLock<Arc<Vec<Jwk>>>,
    /// Locked during a download, so that one runs at a time; a token with a known key does not lock
    /// it.
    asked: Mutex<Asked>,
}

/// The last read of the keys.
#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    answered: bool,
    failures: Repeats,
}

impl Jwks {
    /// Keys of this location, without reading them.
    pub fn new(url: JwksUrl) -> Self {
        Self(Arc::new(Inner { url, keys: RwLock::default(), asked: Mutex::default() }))
    }

    /// The key that a token names, or the only one that fits; `None` if there is no such key. Only
    /// a token with an unknown key waits for a download.
    pub async fn key(&self, header: &Header) -> Option<DecodingKey> {
        if let Some(known) = fitting(&self.0.keys(), header) {
            return Some(known);
        }
        // A task, so that the download continues if this caller is cancelled.
        let inner = self.0.clone();
        let _ = tokio::spawn(async move { inner.read().await }).await;
        fitting(&self.0.keys(), header)
    }

    /// Reads the keys now and every 10 min, so that a known key needs no download and a withdrawn
    /// one is dropped. Runs until it is dropped.
    pub async fn refresh(self) {
        loop {
            let pause = if self.0.read().await { FRESH } else { ASK_AGAIN_AFTER };
            sleep(pause).await;
        }
    }

    /// Reads the keys and returns their number, for `doctor`.
    pub async fn count(&self) -> anyhow::Result<usize> {
        Ok(self.0.ask().await?.len())
    }
}

impl Inner {
    fn keys(&self) -> Arc<Vec<Jwk>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the keys, unless the last read was within 10 s; returns whether the last read
    /// succeeded. After a failure the known keys stay valid.
    async fn read(&self) -> bool {
        let mut asked = self.asked.lock().await;
        if asked.at.is_some_and(|at| at.elapsed() < ASK_AGAIN_AFTER) {
            return asked.answered;
        }
        asked.at = Some(Instant::now());
        let answer = self.ask().await;
        asked.answered = answer.is_ok();
        match answer {
            Ok(keys) => {
                let mut kept = self.keys.write().unwrap_or_else(PoisonError::into_inner);
                if **kept != keys || asked.failures.over() {
                    info!(keys = keys.len(), "the tokens' public keys are read");
                }
                *kept = Arc::new(keys);
            }
            Err(error) => {
                let error = format!("{error:#}");
                if let Some(unlogged) = asked.failures.record(&error, std::time::Instant::now()) {
                    warn!(error, unlogged, "the tokens' public keys cannot be read");
                }
            }
        }
        asked.answered
    }

    async fn ask(&self) -> anyhow::Result<Vec<Jwk>> {
        let text = match &self.url {
            JwksUrl::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || {
                    std::fs::read_to_string(&path)
                        .with_context(|| format!("reading {}", path.display()))
                })
                .await??
            }
            JwksUrl::Web(url) => {
                let url = url.clone();
                tokio::task::spawn_blocking(move || download(&url)).await??
            }
        };
        let set: JwkSet = serde_json::from_str(&text).context("it is not a JWKS")?;
        if set.keys.is_empty() {
            bail!("it holds no keys");
        }
        Ok(set.keys)
    }
}

/// Downloads with the system's certificates, as for Postgres and Redis.
fn download(url: &str) -> anyhow::Result<String> {
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted: Vec<_> = trusted
        .iter()
        .map(|der| ureq::tls::Certificate::from_der(der.as_ref()).to_owned())
        .collect();
    let tls =
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::from(trusted)).build();
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER_WITHIN))
        // A redirect could leave https.
        .max_redirects(0)
        .tls_config(tls)
        .build();
    let mut answer = ureq::Agent::new_with_config(config).get(url).call()?;
    Ok(answer.body_mut().with_config().limit(MOST_BYTES).read_to_string()?)
}

/// The algorithms of a key. Symmetric keys and HS256 are refused: a published secret is not secret,
/// and a public key must not serve as an HS256 secret.
fn algorithms(key: &Jwk) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(_) => &[EdDSA],
        _ => &[],
    }
}

fn fitting(keys: &[Jwk], header: &Header) -> Option<DecodingKey> {
    let mut fits = keys.iter().filter(|key| algorithms(key).contains(&header.alg));
    let key = match &header.kid {
        Some(kid) => fits.find(|key| key.common.key_id.as_ref() == Some(kid)),
        None => fits.next().filter(|_| fits.next().is_none()),
    };
    key.and_then(|key| DecodingKey::from_jwk(key).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_a_file_by_https_or_from_this_machine() {
        for right in [
            "keys.json",
            "/etc/keys.json",
            "file:///etc/keys.json",
            "https://a.example/jwks",
            "http://127.0.0.1:9/k",
            "http://[::1]:9/k",
        ] {
            assert!(right.parse::<JwksUrl>().is_ok(), "{right}");
        }
        for wrong in
            ["", "http://a.example/jwks", "ftp://a.example", "http://localhost.a.example/k"]
        {
            assert!(wrong.parse::<JwksUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_public_key_never_checks_a_shared_secret() {
        let keys: JwkSet = serde_json::from_str(
            r#"{"keys": [
                {"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
                {"kty": "oct", "kid": "b", "k": "aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaGh1c2g"}]}"#,
        )
        .unwrap();
        let header =
            |alg, kid: Option<&str>| Header { kid: kid.map(str::to_owned), ..Header::new(alg) };
        assert!(fitting(&keys.keys, &header(Algorithm::EdDSA, Some("a"))).is_some());
        assert!(fitting(&keys.keys, &header(Algorithm::EdDSA, None)).is_some());
        assert!(fitting(&keys.keys, &header(Algorithm::EdDSA, Some("c"))).is_none());
        for kid in ["a", "b"] {
            assert!(fitting(&keys.keys, &header(Algorithm::HS256, Some(kid))).is_none(), "{kid}");
        }
    }
}
