//! The HTTP port: the page at `/`, `/api`, `/healthz`, `/readyz`, `/metrics`.
//!
//! | module | subject |
//! |---|---|
//! | `options` | its flags |
//! | `server` | the port: limits of connections and of the time for a request |
//! | `router` | the routes below `/api`, and their limits |
//! | `api` | what every request has: the shared state and its caller |
//! | `host`, `local` | requests from elsewhere; the names of this machine |
//! | `routes`, `openapi` | routes with their descriptions; the OpenAPI document |
//! | `auth`, `jwks`, `signature` | authentication: tokens and their keys |
//! | `pool` | connections to Postgres with the caller's role |
//! | `query` | queries of a request, and answers made of their rows |
//! | `list`, `books`, `acts` | lists of books, single books, and an operator's acts |
//! | `reports` | reports of producers |
//! | `operation`, `operator` | the routes for operators; their access and bodies |
//! | `dead_letters` | dead letters and early events |
//! | `system`, `own`, `pipelines` | the installation, this daemon, and the pipelines |
//! | `bounded` | the limit of memory for responses |
//! | `events`, `board`, `sse` | server-sent events, of one book and of all; their form |
//! | `live` | how books are read, and read again when they change |
//! | `hub`, `listen` | subscriptions to changes, and notifications of Postgres |
//! | `error` | error responses |
//! | `measure` | metrics of requests |
//! | `page` | the page |

mod acts;
mod api;
mod auth;
mod board;
mod books;
mod bounded;
mod bulk;
mod dead_letters;
mod error;
mod events;
mod host;
mod hub;
mod jwks;
mod list;
mod listen;
mod live;
mod local;
mod measure;
mod openapi;
mod operation;
mod operator;
mod options;
mod own;
mod page;
mod pipelines;
mod pool;
mod query;
mod reports;
mod router;
mod routes;
mod server;
mod signature;
mod sse;
mod system;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::http::header::CONNECTION;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::database::DatabaseUrl;
use crate::metrics::Exporter;
use crate::state::State;
use api::{Api, Shared};
use auth::Access;
use board::Boards;
use error::ApiError;
use hub::Hub;
use live::Live;
use own::Own;
use server::Routers;

pub use jwks::Jwks;
pub use options::HttpOptions;
pub use own::Examine;
pub use server::BEYOND;

/// What is served.
#[derive(Debug, Clone)]
pub struct Served {
    /// The options of the port.
    pub options: HttpOptions,
    /// The database that has the books.
    pub database: DatabaseUrl,
    /// The state of the daemon's tasks.
    pub state: State,
    /// Runs the checks of `binderyd doctor`.
    pub examine: Examine,
    /// Whether this daemon publishes the outbox.
    pub publishes: bool,
}

/// The HTTP port, ready to serve.
pub struct Http {
    listener: TcpListener,
    routers: Routers,
    connections: usize,
    database: DatabaseUrl,
    hub: Hub,
    jwks: Option<Jwks>,
}

impl Http {
    /// Without tokens `/api` is for this machine only; where others reach the port it is closed.
    /// `connections` is the limit, which may be lower than the one that the options ask for.
    pub fn new(
        served: Served,
        listener: TcpListener,
        connections: usize,
        metrics: Exporter,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let Served { options, database, state, examine, publishes } = served;
        let address = listener.local_addr()?;
        let is_loopback = address.ip().is_loopback();
        let access = Access::new(&options, is_loopback);
        log_access(&access, address);
        let jwks = access.jwks();
        let live = Live::new(pool::pool(&database, usize::try_from(options.http_pool)?)?);
        let hub = live.hub.clone();
        let api = Api(Arc::new(Shared {
            live,
            boards: Boards::default(),
            access,
            origins: options.cors_origins.clone(),
            stop: stop.clone(),
            own: Own::new(examine, publishes, state.clone()),
        }));
        let mut health = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready).with_state(state))
            .route("/metrics", get(async move || metrics.render()));
        if is_loopback {
            health = health.layer(axum::middleware::from_fn(host::known_hosts));
        }
        let measure = axum::middleware::from_fn(measure::measure);
        let routers = Routers {
            all: health
                .clone()
                .merge(page::router())
                .nest("/api", router::router(api))
                .layer(measure.clone()),
            beyond: health.fallback(full).layer(measure),
        };
        Ok(Self { listener, routers, connections, database, hub, jwks })
    }

    /// Serves until `stop`; after it, serves open connections until it is dropped.
    pub async fn serve(self, stop: CancellationToken) {
        let listening = listen::listen(self.database, self.hub, stop.clone());
        let served = server::serve(self.listener, self.routers, self.connections, stop.clone());
        let fresh = async {
            match self.jwks {
                Some(jwks) => stop.run_until_cancelled(jwks.refresh()).await,
                None => None,
            }
        };
        tokio::join!(served, listening, fresh);
    }
}

/// The response on a connection beyond the limit.
async fn full() -> impl IntoResponse {
    ::metrics::counter!(crate::metrics::TURNED_AWAY).increment(1);
    let message = "no more connections than --http-connections are open at once";
    let full = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        message,
        "Try again shortly.",
    );
    ([(CONNECTION, "close")], full)
}

fn log_access(access: &Access, address: SocketAddr) {
    match access {
        Access::Tokens(_) => {
            info!(page = %format_args!("http://{address}/"), "/api asks for tokens")
        }
        Access::Local => info!(
            page = %format_args!("http://{address}/"),
            "no token secret is configured: /api serves this machine only, each of its clients as service_role"
        ),
        Access::Closed => warn!(
            %address,
            remedy = "give --jwt-secret or --jwks-url, or --http on loopback",
            "no token secret is configured, and the port is not on loopback only: /api is closed"
        ),
    }
}

/// Returns 200 while each stream has a holder and each channel a subscriber, Postgres and Redis
/// answer, and the outbox is published; under `serve`, while Postgres answers; otherwise 503. The
/// body names the problem.
async fn ready(Extract(state): Extract<State>) -> (StatusCode, Json<Value>) {
    let streams = state.snapshot();
    let (outbox, sweep, database) = (state.outbox(), state.sweep(), state.database());
    let channels = state.channels();
    let ready = outbox.problem.is_none()
        && sweep.problem.is_none()
        && database.problem.is_none()
        && streams.values().all(crate::state::StreamState::is_ready)
        && channels.values().all(|channel| channel.problem.is_none());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (
        status,
        Json(
            json!({ "ready": ready, "streams": streams, "outbox": outbox, "sweep": sweep, "database": database, "channels": channels }),
        ),
    )
}
