//! A route together with its description, so that the OpenAPI document has every route and no
//! other.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::openapi::Operation;
use super::router::Api;

/// Routes below `/api`, and what the OpenAPI document says of them.
#[derive(Default)]
pub struct Routes {
    router: Router<Api>,
    /// By path, then by method in lower case.
    operations: Map<String, Value>,
}

impl Routes {
    /// With a route that reads.
    pub fn get<H, T>(mut self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.describe(path, "get", operation);
        Self { router: self.router.route(path, get(handler)), ..self }
    }

    /// With a route that changes something.
    pub fn post<H, T>(mut self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.describe(path, "post", operation);
        Self { router: self.router.route(path, post(handler)), ..self }
    }

    /// With other routes.
    pub fn merge(mut self, other: Self) -> Self {
        for (path, methods) in other.operations {
            let known = self.operations.entry(path).or_insert_with(|| json!({}));
            if let (Value::Object(known), Value::Object(methods)) = (known, methods) {
                known.extend(methods);
            }
        }
        Self { router: self.router.merge(other.router), ..self }
    }

    /// With something around the routes so far.
    pub fn layered(self, layer: impl FnOnce(Router<Api>) -> Router<Api>) -> Self {
        Self { router: layer(self.router), ..self }
    }

    /// The routes, and their descriptions by path.
    pub fn into_parts(self) -> (Router<Api>, Map<String, Value>) {
        (self.router, self.operations)
    }

    fn describe(&mut self, path: &str, method: &str, operation: Operation) {
        let path = if path == "/" { "/api".to_owned() } else { format!("/api{path}") };
        let operation = operation.at(&path);
        let methods = self.operations.entry(path).or_insert_with(|| json!({}));
        methods[method] = operation;
    }
}
