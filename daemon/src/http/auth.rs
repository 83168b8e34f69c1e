//! Authentication: a token's role and claims, which Postgres then uses; or, without a secret, local
//! access.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::jwks::Jwks;
use super::options::HttpOptions;
use super::signature;

/// The tolerance for clocks that differ.
const LEEWAY_SECONDS: u64 = 10;
const INVALID: &str = "PGRST301";
const REFUSED_CLAIMS: &str = "PGRST303";

/// The roles that a token may have: those of Supabase, and that of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// An anonymous caller.
    Anon,
    /// A user.
    Authenticated,
    /// A service or an operator.
    Service,
    /// A worker, which may report on the books that its token admits.
    Worker,
}

impl Role {
    /// The role's name in Postgres.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anon => "anon",
            Self::Authenticated => "authenticated",
            Self::Service => "service_role",
            Self::Worker => "bindery_worker",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Anon, Self::Authenticated, Self::Service, Self::Worker]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// The caller of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The role in Postgres.
    pub role: Role,
    /// The token's claims as JSON, for row-level security.
    pub claims: Arc<str>,
    /// When the token expires, in seconds since 1970.
    expires: Option<u64>,
    /// The token, to check it again during an event stream.
    token: Option<Arc<str>>,
}

impl Caller {
    /// Whether there was a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The time until the token expires; `None`: never.
    pub fn expires_in(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.expires.map(|at| Duration::from_secs(at).saturating_sub(now))
    }

    fn without_token(role: Role) -> Self {
        let claims = format!(r#"{{"role":"{}"}}"#, role.name()).into();
        Self { role, claims, expires: None, token: None }
    }
}

/// The rule for access.
#[derive(Debug)]
pub enum Access {
    /// By token; a caller without one is `anon`.
    Tokens(Tokens),
    /// For every client on loopback, as `service_role`.
    Local,
    /// None: no tokens are configured, and the port is reachable from other machines.
    Closed,
}

impl Access {
    /// The rule that the flags set.
    pub fn new(options: &HttpOptions, is_loopback: bool) -> Self {
        let secret =
            options.jwt_secret.as_ref().map(|secret| DecodingKey::from_secret(secret.as_bytes()));
        let jwks = options.jwks_url.clone().map(Jwks::new);
        match (secret, jwks) {
            (None, None) if is_loopback => Self::Local,
            (None, None) => Self::Closed,
            (secret, jwks) => {
                signature::install();
                Self::Tokens(Tokens {
                    secret,
                    jwks,
                    issuers: options.jwt_issuers.clone(),
                    audiences: options.jwt_audiences.clone(),
                })
            }
        }
    }

    /// The public keys that have to be kept fresh.
    pub fn jwks(&self) -> Option<Jwks> {
        match self {
            Self::Tokens(tokens) => tokens.jwks.clone(),
            Self::Local | Self::Closed => None,
        }
    }

    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        match self {
            Self::Local => Ok(Caller::without_token(Role::Service)),
            Self::Closed => Err(closed()),
            Self::Tokens(tokens) => match bearer(headers)? {
                None => Ok(Caller::without_token(Role::Anon)),
                Some(token) => tokens.caller(token).await,
            },
        }
    }

    /// Checks that the caller's token is still valid: not expired, and its key still published.
    pub async fn recheck(&self, caller: &Caller) -> Result<(), ApiError> {
        match (self, &caller.token) {
            (Self::Tokens(tokens), Some(token)) => tokens.caller(token).await.map(|_same| ()),
            _ => Ok(()),
        }
    }
}

/// The error for an expired token.
pub fn expired() -> ApiError {
    ApiError::bad_token(REFUSED_CLAIMS, "JWT expired", "Get a new token, and ask again.")
}

fn closed() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "42501",
        "/api is closed: no token secret is configured, and the port is not on loopback only",
        "Start binderyd with --jwt-secret (BINDERY_JWT_SECRET) or --jwks-url, or with --http on 127.0.0.1.",
    )
}

/// Checks tokens.
pub struct Tokens {
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
    /// The allowed issuers; empty: all.
    issuers: Vec<String>,
    /// The allowed audiences; empty: all.
    audiences: Vec<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Tokens(secret: {}, keys: {})",
            self.secret.is_some(),
            self.jwks.is_some()
        )
    }
}

impl Tokens {
    /// Checks `exp` and `nbf` if the token has them, as PostgREST does; requires `iss` and `aud` if
    /// the options name any.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        if !self.issuers.is_empty() {
            validation.set_issuer(&self.issuers);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        if !self.audiences.is_empty() {
            validation.validate_aud = true;
            validation.set_audience(&self.audiences);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        validation
    }

    async fn caller(&self, token: &str) -> Result<Caller, ApiError> {
        let header = decode_header(token).map_err(|_| {
            ApiError::bad_token(
                INVALID,
                "the token is not a JWT",
                "Send Authorization: Bearer <JWT>.",
            )
        })?;
        let key = match (header.alg, &self.jwks) {
            (Algorithm::HS256, _) => self.secret.clone(),
            (_, Some(jwks)) => jwks.key(&header).await,
            (_, None) => None,
        };
        let unknown = || {
            ApiError::bad_token(
                INVALID,
                "no key here checks this token",
                "See --jwt-secret and --jwks-url.",
            )
        };
        let claims: Map<String, Value> =
            decode(token, &key.ok_or_else(unknown)?, &self.validation(header.alg))
                .map_err(|error| refused(&error))?
                .claims;
        let role =
            claims.get("role").and_then(Value::as_str).and_then(Role::named).ok_or_else(|| {
                let hint = "The claim role must be anon, authenticated, service_role or \
                            bindery_worker.";
                ApiError::bad_token(REFUSED_CLAIMS, "the token names no role that may ask", hint)
            })?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "casts of floats saturate"
        )]
        let expires = claims.get("exp").and_then(Value::as_f64).map(|at| at as u64);
        Ok(Caller {
            role,
            claims: Value::Object(claims).to_string().into(),
            expires,
            token: Some(token.into()),
        })
    }
}

fn refused(error: &jsonwebtoken::errors::Error) -> ApiError {
    match error.kind() {
        ErrorKind::ExpiredSignature => expired(),
        ErrorKind::ImmatureSignature => ApiError::bad_token(
            REFUSED_CLAIMS,
            "JWT not yet valid",
            "Its claim nbf lies ahead; check the clocks.",
        ),
        ErrorKind::InvalidIssuer => wrong_issuer(),
        ErrorKind::InvalidAudience => wrong_audience(),
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => wrong_issuer(),
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => wrong_audience(),
        ErrorKind::InvalidSignature => {
            ApiError::bad_token(INVALID, "the token's signature is not right", "")
        }
        _ => ApiError::bad_token(INVALID, "the token cannot be taken", ""),
    }
}

fn wrong_issuer() -> ApiError {
    let hint = "Its claim iss must be one that --jwt-issuer names.";
    ApiError::bad_token(REFUSED_CLAIMS, "JWT not from an accepted issuer", hint)
}

fn wrong_audience() -> ApiError {
    let hint = "Its claim aud must hold one that --jwt-audience names.";
    ApiError::bad_token(REFUSED_CLAIMS, "JWT not in audience", hint)
}

/// The token of `Authorization: Bearer …`, if any.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim())
            .filter(|token| !token.is_empty())
    });
    token.map(Some).ok_or_else(|| {
        ApiError::bad_token(INVALID, "not a bearer token", "Send Authorization: Bearer <JWT>.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::hmac::{HMAC_SHA256, HMAC_SHA512};
    use serde_json::json;

    use crate::http::signature::tests::signed;

    const SECRET: &[u8] = b"a secret of the tests, 32 bytes or more";

    fn token(claims: &Value) -> String {
        signed(HMAC_SHA256, SECRET, claims)
    }

    async fn caller(token: &str) -> Result<Caller, ApiError> {
        tokens(&[], &[]).caller(token).await
    }

    fn tokens(issuers: &[&str], audiences: &[&str]) -> Tokens {
        signature::install();
        let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
        Tokens {
            secret: Some(DecodingKey::from_secret(SECRET)),
            jwks: None,
            issuers: texts(issuers),
            audiences: texts(audiences),
        }
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[tokio::test]
    async fn a_token_gives_its_role_and_all_its_claims() {
        let caller =
            caller(&token(&json!({"role": "authenticated", "sub": "s", "exp": now() + 60})))
                .await
                .unwrap();
        assert_eq!(caller.role, Role::Authenticated);
        assert!(caller.claims.contains(r#""sub":"s""#));
        assert!(caller.expires_in().is_some_and(|left| left <= Duration::from_secs(60)));
    }

    #[tokio::test]
    async fn only_the_three_roles_may_ask() {
        for claims in [
            json!({}),
            json!({"role": "postgres"}),
            json!({"role": ["anon"]}),
            json!({"role": "Anon"}),
        ] {
            assert_eq!(
                caller(&token(&claims)).await.unwrap_err().status(),
                StatusCode::UNAUTHORIZED,
                "{claims}"
            );
        }
    }

    #[tokio::test]
    async fn a_token_out_of_its_time_is_refused() {
        for claims in [
            json!({"role": "anon", "exp": now() - 60}),
            json!({"role": "anon", "nbf": now() + 60}),
            json!({"role": "anon", "exp": "tomorrow"}),
            json!({"role": "anon", "nbf": "yesterday"}),
        ] {
            assert!(caller(&token(&claims)).await.is_err(), "{claims}");
        }
    }

    #[tokio::test]
    async fn a_required_issuer_and_audience_must_be_in_the_token() {
        let tokens = tokens(&["https://a.example", "b"], &["books", "comics"]);
        for (claims, good) in [
            (json!({"iss": "https://a.example", "aud": "books"}), true),
            (json!({"iss": "b", "aud": ["others", "comics"]}), true),
            (json!({"iss": "c", "aud": "books"}), false),
            (json!({"iss": "https://a.example/", "aud": "books"}), false),
            (json!({"aud": "books"}), false),
            (json!({"iss": "b"}), false),
            (json!({"iss": "b", "aud": "others"}), false),
            (json!({"iss": "b", "aud": []}), false),
            (json!({"iss": null, "aud": null}), false),
        ] {
            let mut claims = claims;
            claims["role"] = json!("authenticated");
            let outcome = tokens.caller(&token(&claims)).await;
            assert_eq!(outcome.is_ok(), good, "{claims}");
            assert!(
                outcome.err().is_none_or(|error| error.to_json().contains("PGRST303")
                    || error.to_json().contains("PGRST301")),
                "{claims}"
            );
        }
    }

    #[tokio::test]
    async fn a_forged_token_is_refused() {
        let good = token(&json!({"role": "anon"}));
        let claims = json!({"role": "service_role"});
        let another = signed(HMAC_SHA256, b"another secret, 32 bytes or more too", &claims);
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
        let wider = signed(HMAC_SHA512, SECRET, &json!({"role": "anon"}));
        for forged in
            [another, unsigned, wider, String::new(), "a.b.c".to_owned(), format!("{good}x")]
        {
            assert!(caller(&forged).await.is_err(), "{forged}");
        }
        assert!(caller(&good).await.is_ok());
    }
}
