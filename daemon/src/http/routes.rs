//! Routes with their descriptions, so that the OpenAPI document has exactly the served routes.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::api::Api;
use super::openapi::Operation;

/// Routes below `/api`, with their descriptions for the OpenAPI document.
#[derive(Default)]
pub struct Routes {
    router: Router<Api>,
    /// The descriptions by path, then by method in lower case.
    operations: Map<String, Value>,
}

impl Routes {
    /// Adds a route that reads.
    pub fn get<H, T>(mut self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.describe(path, "get", operation);
        Self { router: self.router.route(path, get(handler)), ..self }
    }

    /// Adds a route that changes data.
    pub fn post<H, T>(mut self, path: &str, handler: H, operation: Operation) -> Self
    where
        H: Handler<T, Api>,
        T: 'static,
    {
        self.describe(path, "post", operation);
        Self { router: self.router.route(path, post(handler)), ..self }
    }

    /// Adds other routes.
    pub fn merge(mut self, other: Self) -> Self {
        for (path, methods) in other.operations {
            let known = self.operations.entry(path).or_insert_with(|| json!({}));
            if let (Value::Object(known), Value::Object(methods)) = (known, methods) {
                known.extend(methods);
            }
        }
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Wraps the routes so far in a layer.
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
