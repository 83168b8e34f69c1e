//! The routes below `/api`, and what holds for all of them: who may ask from where, how much, and how long it may take.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::auth::Access;
use super::board::Boards;
use super::bounded::{Memory, bounded};
use super::error::ApiError;
use super::hub::Hub;
use super::options::Origin;
use super::pool::Pool;
use super::{acts, books, events, list};

/// An act's arguments take far less.
const BODY_BYTES: usize = 64 * 1024;
/// Longer than Postgres may take, its pool and the body's way here included.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// A status of 256 KiB, three times while it is read from Postgres's answer.
const STATUS_KIB: u32 = 3 * 256;
/// So many of the largest statuses may be under way.
const STATUSES: u32 = 24;
/// So many acts, which are answered with a status.
const ACTS: u32 = 8;
/// A page of 4 MiB, three times while it is put together.
const PAGE_KIB: u32 = 3 * 4096;
/// So many of the largest pages may be under way.
const PAGES: u32 = 4;
const PREFLIGHT_HOLDS: Duration = Duration::from_secs(600);

/// What all requests share.
#[derive(Debug, Clone)]
pub struct Api(pub Arc<Shared>);

/// What all requests share.
#[derive(Debug)]
pub struct Shared {
    /// Connections to Postgres.
    pub pool: Pool,
    /// Who listens to which book.
    pub hub: Hub,
    /// Who watches all books.
    pub boards: Boards,
    /// How many slow readers may ask Postgres at once.
    pub catching_up: Semaphore,
    /// Who may ask.
    pub access: Access,
    /// Other sites whose pages may ask.
    pub origins: Vec<Origin>,
    /// Ends the streams.
    pub stop: CancellationToken,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The routes below `/api`.
pub fn router(api: Api) -> Router {
    let allowed = api.origins.clone();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origin.to_str().is_ok_and(|origin| allowed.iter().any(|allowed| allowed.allows(origin)))
        }))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static("last-event-id")])
        .max_age(PREFLIGHT_HOLDS);
    let bounded = |largest, answers| {
        let memory = Memory::new(largest, answers);
        middleware::from_fn_with_state((api.clone(), memory), bounded)
    };
    let statuses = Router::new()
        .route("/books/{id}/status", get(books::status))
        .layer(bounded(STATUS_KIB, STATUSES));
    // Their bodies may come slowly, and hold the memory meanwhile.
    let acts = Router::new()
        .route("/books/{id}/resume", post(acts::resume))
        .route("/books/{id}/cancel", post(acts::cancel))
        .route("/books/{id}/rewind", post(acts::rewind))
        .layer(bounded(STATUS_KIB, ACTS));
    let pages = Router::new()
        .route("/books", get(list::list))
        .route("/books/{id}/substeps", get(books::substeps))
        .route("/books/{id}/timeline", get(books::timeline))
        .layer(bounded(PAGE_KIB, PAGES));
    let routes = Router::new()
        .merge(statuses)
        .merge(acts)
        .merge(pages)
        .route("/books/{id}/events", get(events::of_book))
        .route("/events", get(events::of_all))
        .route("/", get(about))
        .fallback(async || {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "no_route",
                "there is nothing here",
                "See docs/http.md.",
            )
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "no_route",
                "not by this method",
                "See docs/http.md.",
            )
        });
    routes
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(api.clone(), from_here))
        .layer(cors)
        .with_state(api)
}

/// `GET /api`: whether tokens are asked for, and which daemon this is; the page starts with it.
async fn about(State(api): State<Api>) -> Json<serde_json::Value> {
    let access = match api.access {
        Access::Tokens(_) => "tokens",
        Access::Local => "local",
        Access::Closed => "closed",
    };
    Json(
        json!({ "version": env!("CARGO_PKG_VERSION"), "access": access, "hears": api.hub.hears() }),
    )
}

async fn in_time(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_late) => {
            let hint = "Ask for less, or again.";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "late", "it took too long", hint)
                .into_response()
        }
    };
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Without tokens everyone who reaches loopback may ask. A page of another site can resolve its own
/// name to this machine and make its reader's browser ask (the name is in `Host`), or ask 127.0.0.1
/// outright (the site is in `Origin`), and a proxy on this machine can bring requests from anywhere
/// (it adds headers of its own): all are refused.
async fn from_here(State(api): State<Api>, request: Request, next: Next) -> Response {
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

/// On loopback, health, readiness and metrics answer to this machine's own names only, for the same
/// reason. A probe that sends no `Host` is no browser.
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

/// Whether a `Host` header, with or without a port, names this machine.
pub fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machines_names_are_local() {
        for host in
            ["localhost", "LOCALHOST:7890", "127.0.0.1:7890", "127.0.0.1", "[::1]:7890", "[::1]"]
        {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7890",
            "localhost.evil.example",
            "10.0.0.1:7890",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
