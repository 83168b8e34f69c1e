//! The OpenAPI document of the API: the parameters, bodies and answers of each route.
//! [`super::routes::Routes`] builds it from the routes that are served.

use bindery_core::event;
use serde_json::{Map, Value, json};

/// The statuses that any route can return.
const ALWAYS: [&str; 10] = ["400", "401", "403", "404", "405", "409", "422", "500", "503", "504"];
/// The further statuses of a route with a body.
const WITH_BODY: [&str; 2] = ["413", "415"];

/// A report's field beside its event's: the revision that the book must have.
pub const EXPECTED_REVISION: &str = "expected_revision";
/// The types of event whose routes accept it.
pub const WITH_REVISION: [&str; 3] = ["transition", "plan", "fail"];

/// The description of a route.
pub struct Operation(Map<String, Value>);

impl Operation {
    /// An operation with its id, for URLs and programs, and a summary.
    pub fn new(id: &str, summary: &str) -> Self {
        let mut operation = Map::new();
        operation.insert("operationId".to_owned(), json!(id));
        operation.insert("summary".to_owned(), json!(summary));
        operation.insert("parameters".to_owned(), json!([]));
        let failures = ALWAYS.map(|status| (status.to_owned(), failure(status)));
        operation.insert("responses".to_owned(), failures.into_iter().collect());
        Self(operation)
    }

    /// Adds an answer of JSON.
    pub fn answers(mut self, description: &str, schema: Value) -> Self {
        self.0["responses"]["200"] = json!({
            "description": description,
            "content": {"application/json": {"schema": schema}},
        });
        self
    }

    /// Adds an answer of server-sent events.
    pub fn streams(mut self, description: &str) -> Self {
        self.0["responses"]["200"] = json!({
            "description": description,
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        });
        self
    }

    /// Adds a query parameter.
    pub fn query(self, name: &str, description: &str, schema: Value) -> Self {
        self.parameter("query", name, description, schema)
    }

    /// Adds a header of the request.
    pub fn header(self, name: &str, description: &str, schema: Value) -> Self {
        self.parameter("header", name, description, schema)
    }

    /// Adds a body of JSON.
    pub fn takes(self, schema: Value) -> Self {
        self.takes_one_of(json!({"application/json": {"schema": schema}}))
    }

    /// Adds a body of one of these types.
    pub fn takes_one_of(mut self, content: Value) -> Self {
        self.0.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
        for status in WITH_BODY {
            self.0["responses"][status] = failure(status);
        }
        self
    }

    /// The operation at a path, with the path's parameters.
    pub fn at(mut self, path: &str) -> Value {
        if path.contains("{id}") {
            let schema = json!({"type": "string", "format": "uuid"});
            self = self.parameter("path", "id", "The book.", schema);
        }
        Value::Object(self.0)
    }

    fn parameter(mut self, place: &str, name: &str, description: &str, schema: Value) -> Self {
        if let Some(parameters) = self.0["parameters"].as_array_mut() {
            parameters.push(json!({
                "name": name,
                "in": place,
                "required": place == "path",
                "description": description,
                "schema": schema,
            }));
        }
        self
    }
}

/// A component's schema.
pub fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The schema of an event's fields, for a route whose path has the type and the book; `register`
/// has its book in the body.
pub fn event_body(kind: &str) -> Value {
    let mut body = event::definitions().remove(kind).unwrap_or_default();
    if kind == "register" {
        body["properties"]["book_id"] = uuid();
        body["required"] = json!(["book_id"]);
    }
    if WITH_REVISION.contains(&kind) {
        body["properties"][EXPECTED_REVISION] = count(i64::MAX);
    }
    body
}

/// An integer from 1.
pub fn count(most: i64) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": most})
}

/// A text that is not empty.
pub fn name() -> Value {
    json!({"type": "string", "minLength": 1})
}

/// A uuid.
pub fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

/// An object with these properties and possibly others.
pub fn object(properties: Value) -> Value {
    let names: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({"type": "object", "properties": properties, "required": names})
}

/// The document of all operations.
pub fn document(mut paths: Map<String, Value>) -> Value {
    paths.extend(health());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bindery",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Books in the making: their status, their progress, and what services \
                            report about them. docs/http.md describes it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "Where the daemon has a secret or public keys. The claim role is \
                                anon, authenticated, service_role or bindery_worker.",
            }},
            "responses": failures(),
            "schemas": schemas(),
        },
    })
}

/// The routes beside `/api`.
fn health() -> Map<String, Value> {
    let text = |description: &str| {
        json!({
            "description": description,
            "content": {"text/plain": {"schema": {"type": "string"}}},
        })
    };
    let ready = object(json!({"ready": {"type": "boolean"}}));
    let state = |description: &str| {
        json!({
            "description": description,
            "content": {"application/json": {"schema": ready}},
        })
    };
    let route = |id: &str, summary: &str, responses: Value| {
        let mut responses = responses;
        responses["403"] = failure("403");
        json!({"get": {
            "operationId": id,
            "summary": summary,
            "security": [],
            "responses": responses,
        }})
    };
    [
        ("/healthz", route("health", "The process is alive.", json!({"200": text("It is.")}))),
        (
            "/readyz",
            route(
                "readiness",
                "Whether each stream has a holder, and Postgres and Redis answer.",
                json!({"200": state("Ready."), "503": state("Not ready; the body names the problem.")}),
            ),
        ),
        (
            "/metrics",
            route("metrics", "Metrics for Prometheus.", json!({"200": text("The metrics.")})),
        ),
    ]
    .map(|(path, route)| (path.to_owned(), route))
    .into_iter()
    .collect()
}

fn failure(status: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{status}") })
}

fn failures() -> Value {
    let all = [
        ("400", "What was asked cannot be understood."),
        ("401", "The token is invalid or missing."),
        ("403", "The caller may not do that."),
        ("404", "There is no such book, stage, pipeline or route."),
        ("405", "The route does not have this method, or the server is a read-only standby."),
        ("409", "The book's state does not allow this; the details name what it allows."),
        ("413", "The body is too large."),
        ("415", "The type of the body is not supported."),
        ("422", "A value is refused; the details name it."),
        ("500", "Postgres refused the call; the message gives the reason."),
        ("503", "Postgres is unreachable, or the daemon is at a limit. Try again."),
        ("504", "The request took too long."),
    ];
    let response = |description: &str| {
        json!({
            "description": description,
            "content": {"application/json": {"schema": schema("Error")}},
        })
    };
    let mut all: Map<_, _> = all
        .into_iter()
        .map(|(status, description)| (status.to_owned(), response(description)))
        .collect();
    all["503"]["headers"] = json!({"Retry-After": {
        "description": "Seconds to wait.",
        "schema": {"type": "integer"},
    }});
    Value::Object(all)
}

fn schemas() -> Value {
    let text = json!({"type": "string"});
    let number = json!({"type": "number"});
    let whole = json!({"type": "integer"});
    let some = |of: &str| json!({"type": [of, "null"]});
    let list = json!({"type": "array"});
    let mut event = event::schema();
    let mut schemas = Map::new();
    if let Value::Object(types) = event["$defs"].take() {
        schemas.extend(types.into_iter().map(|(kind, of_type)| (format!("event_{kind}"), of_type)));
    }
    let types: Vec<_> = schemas.keys().map(|name| schema(name)).collect();
    let description = event["description"].take();
    schemas.insert("Event".to_owned(), json!({"description": description, "oneOf": types}));
    schemas.insert(
        "Error".to_owned(),
        object(json!({
            "code": {"type": "string", "description": "An SQLSTATE, PTnnn, or an error code."},
            "message": text,
            "details": {
                "type": ["string", "null"],
                "description": "Bindery's JSON as text: its code, and what it is about.",
            },
            "hint": some("string"),
        })),
    );
    schemas.insert(
        "BookState".to_owned(),
        object(json!({
            "book_id": uuid(),
            "status": text,
            "current_stage": some("string"),
            "attempt": some("integer"),
            "revision": whole,
            "overall_progress": number,
        })),
    );
    schemas.insert(
        "BookStatus".to_owned(),
        object(json!({
            "book_id": uuid(),
            "status": text,
            "current_stage": some("string"),
            "overall_progress": number,
            "revision": whole,
            "substeps": list,
            "stages": {"type": "array", "items": schema("Stage")},
        })),
    );
    schemas.insert(
        "Stage".to_owned(),
        object(json!({
            "name": text,
            "label": text,
            "weight": number,
            "state": {"enum": ["done", "active", "pending", "failed", "cancelled"]},
            "progress": number,
            "attempt": some("integer"),
            "started_at": some("string"),
            "seconds": some("number"),
            "median_seconds": some("number"),
            "max_attempts": some("integer"),
        })),
    );
    schemas.insert(
        "ResumePoint".to_owned(),
        object(json!({
            "book_id": uuid(),
            "status": text,
            "stage": some("string"),
            "attempt": some("integer"),
            "revision": whole,
            "done": list,
            "left": list,
        })),
    );
    schemas.insert(
        "Outcome".to_owned(),
        json!({
            "type": "object",
            "properties": {
                "outcome": {"enum": ["applied", "stale", "early", "rejected"]},
                "code": text,
                "message": text,
                "hint": text,
            },
            "required": ["outcome"],
        }),
    );
    Value::Object(schemas)
}
