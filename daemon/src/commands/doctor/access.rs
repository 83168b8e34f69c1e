//! The access to `/api`, as `run` would grant it.

use super::Findings;
use crate::http::{HttpOptions, Jwks};

/// Checks the options of tokens, and reads the public keys.
pub async fn check(options: &HttpOptions, findings: &mut Findings) {
    let kinds = [
        options.jwt_secret.as_ref().map(|_| "the secret"),
        options.jwks_url.as_ref().map(|_| "public keys"),
    ];
    let kinds: Vec<_> = kinds.into_iter().flatten().collect();
    if !kinds.is_empty() {
        let claims = format!(
            "iss: {}; aud: {}",
            accepted(&options.jwt_issuers),
            accepted(&options.jwt_audiences)
        );
        let by = kinds.join(" and ");
        findings.ok("http_access", format!("tokens are checked by {by}; {claims}"));
    } else if options.http.ip().is_loopback() {
        findings.ok("http_access", "no tokens: /api serves this machine only, as service_role");
    } else {
        findings.warn(
            "http_access",
            format!("/api is closed: {} is not on loopback, and there are no tokens", options.http),
            "give --jwt-secret or --jwks-url, or --http on 127.0.0.1",
        );
    }
    let Some(url) = options.jwks_url.clone() else { return };
    match Jwks::new(url).count().await {
        Ok(keys) => findings.ok("http_keys", format!("{keys} public keys can be read")),
        Err(error) => {
            let remedy = "check --jwks-url, and that the key server answers within 5 s";
            findings.fail("http_keys", format!("no public keys: {error:#}"), remedy);
        }
    }
}

fn accepted(values: &[String]) -> String {
    if values.is_empty() { "any".to_owned() } else { values.join(" or ") }
}
