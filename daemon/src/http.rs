//! The HTTP port: `/healthz`, `/readyz`, `/metrics`, and `/api` where only this machine can reach it.

mod api;

use std::net::SocketAddr;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::database::DatabaseUrl;
use crate::state::State;

/// What the port answers.
///
/// `/api` has no tokens yet, so beyond loopback it is not served at all.
pub fn router(
    database: &DatabaseUrl,
    state: State,
    metrics: PrometheusHandle,
    address: SocketAddr,
) -> anyhow::Result<Router> {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(state))
        .route("/metrics", get(async move || metrics.render()));
    if !address.ip().is_loopback() {
        info!(%address, "the address is not loopback: /api is not served");
        return Ok(router);
    }
    Ok(router.merge(api::router(database)?))
}

/// Serves until `stop`, and after it those who are still connected, until it is dropped.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await }).await;
    if let Err(error) = served {
        error!(error = %error, "the HTTP port ended");
    }
}

/// 200 while every stream is held here or by another daemon and both ends answer; else 503. The body says which and why.
async fn ready(Extract(state): Extract<State>) -> (StatusCode, Json<Value>) {
    let streams = state.snapshot();
    let ready = streams.values().all(crate::state::StreamState::is_ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "streams": streams })))
}
