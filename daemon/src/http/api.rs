//! What every request has: the shared state, and its caller.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::auth::{Access, Caller};
use super::board::Boards;
use super::error::ApiError;
use super::live::Live;
use super::options::Origin;
use super::own::Own;

/// What all requests share.
#[derive(Debug, Clone)]
pub struct Api(pub Arc<Shared>);

/// What all requests share.
#[derive(Debug)]
pub struct Shared {
    /// How books are read.
    pub live: Live,
    /// The boards of readers of all books.
    pub boards: Boards,
    /// The rule for access.
    pub access: Access,
    /// Other origins whose pages may send requests.
    pub origins: Vec<Origin>,
    /// Ends the event streams.
    pub stop: CancellationToken,
    /// What this daemon reports about its own state and its servers.
    pub own: Own,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        // The token is already checked.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        api.access.caller(&parts.headers).await
    }
}
