//! Requests from elsewhere: other hosts' names, other sites' pages, proxies.

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::Api;
use super::auth::Access;
use super::error::ApiError;
use super::local::is_local;
use super::options::Origin;

/// Without tokens, every client on loopback has access. This refuses requests from elsewhere: those
/// of a page whose site resolves to this machine (its name is in `Host`), those of a page that
/// calls 127.0.0.1 (its site is in `Origin`), and those of a proxy on this machine (it adds
/// headers).
pub async fn from_here(State(api): State<Api>, request: Request, next: Next) -> Response {
    if !matches!(api.access, Access::Local) {
        return next.run(request).await;
    }
    if let Some(header) = of_a_proxy(request.headers()) {
        return ApiError::new(
            StatusCode::FORBIDDEN,
            "42501",
            format!("the request came through a proxy (it has the header {header}), and no token secret is configured"),
            "Start binderyd with --jwt-secret (BINDERY_JWT_SECRET) or --jwks-url, or ask it directly.",
        )
        .into_response();
    }
    if comes_from_here(&request, &api.origins) {
        return next.run(request).await;
    }
    let hint = "Ask 127.0.0.1 or localhost; pages of other sites need --cors-origin.";
    ApiError::new(
        StatusCode::FORBIDDEN,
        "42501",
        "/api answers to this machine's own names only",
        hint,
    )
    .into_response()
}

/// The first header that only a proxy adds.
fn of_a_proxy(headers: &HeaderMap) -> Option<&HeaderName> {
    let is_of_proxy = |name: &&HeaderName| {
        let name = name.as_str();
        ["forwarded", "via", "x-real-ip"].contains(&name) || name.starts_with("x-forwarded-")
    };
    headers.keys().find(is_of_proxy)
}

/// On loopback, refuses requests for health, readiness and metrics under other host names, for the
/// same reason. A request without `Host` is allowed: a browser always sends it.
pub async fn known_hosts(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
    if host.is_none_or(is_local) {
        return next.run(request).await;
    }
    let message = "answers to this machine's own names only";
    let hint = "Ask 127.0.0.1 or localhost, or start binderyd with --http on another address.";
    ApiError::new(StatusCode::FORBIDDEN, "42501", message, hint).into_response()
}

fn comes_from_here(request: &Request, allowed: &[Origin]) -> bool {
    let header =
        |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = header(HOST).unwrap_or_default();
    let own = |origin: &str| {
        origin.strip_prefix("http://") == Some(host)
            || allowed.iter().any(|allowed| allowed.allows(origin))
    };
    is_local(host) && header(ORIGIN).is_none_or(own)
}
