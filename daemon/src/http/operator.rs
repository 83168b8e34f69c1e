//! Operators' requests: who may send them, and the form of their bodies.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::acts::{Body, body_of};
use super::api::Api;
use super::auth::{Caller, Role};
use super::error::ApiError;

/// A caller that may operate.
#[derive(Debug, Clone)]
pub struct Operator(pub Caller);

impl FromRequestParts<Api> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, api).await?;
        if caller.role == Role::Service {
            return Ok(Self(caller));
        }
        let status =
            if caller.has_token() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
        Err(ApiError::new(
            status,
            "42501",
            format!("only service_role may operate, and this caller is {}", caller.role.name()),
            "Send a token whose role is service_role, or ask a daemon on this machine that \
             requires no tokens.",
        ))
    }
}

/// The body's JSON object.
pub fn body<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    let body = body_of(headers, body, &["application/json"])?;
    serde_json::from_slice::<Map<String, Value>>(&body)
        .and_then(|object| serde_json::from_value(Value::Object(object)))
        .map_err(|problem| {
            ApiError::bad_request(problem.to_string(), "See docs/http.md for the body's keys.")
        })
}
