//! The routes below `/api` and their shared rules: allowed hosts and origins, size limits and time
//! limits.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bindery_core::event;
use bytes::Bytes;
use serde_json::json;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::api::Api;
use super::auth::{Access, Caller};
use super::books::BookId;
use super::bounded::{Memory, bounded};
use super::error::ApiError;
use super::openapi::Operation;
use super::query::json_bytes;
use super::routes::Routes;
use super::{acts, books, bulk, events, host, list, openapi, operation, reports};

/// The limit of an act's body.
const BODY_BYTES: usize = 64 * 1024;
/// The time limit of a request: more than the limits of the body, the pool and Postgres together.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The memory of a status: 256 KiB, three times while it is read from Postgres's answer.
const STATUS_KIB: u32 = 3 * 256;
/// How many of the largest statuses fit into memory at once.
const STATUSES: u32 = 24;
/// How many acts, each answered with a status, fit into memory at once.
const ACTS: u32 = 8;
/// The memory of a page: 4 MiB, three times while it is built.
const PAGE_KIB: u32 = 3 * 4096;
/// How many of the largest pages fit into memory at once.
const PAGES: u32 = 4;
/// The limit of a report: an event of 256 KiB, plus texts that will be cut.
const REPORT_BYTES: usize = 512 * 1024;
/// The memory of a report: the body, its parsed form and the parameters for Postgres.
const REPORT_KIB: u32 = 4 * 512;
/// How many of the largest reports fit into memory at once.
const REPORTS: u32 = 8;
/// The limit of a batch of events.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_KIB: u32 = 6 * 1024;
/// How many of the largest batches fit into memory at once.
const BATCHES: u32 = 4;
/// The memory of a resume point: 1.25 MiB, three times while it is read from Postgres's answer.
const POINT_KIB: u32 = 3 * 1280;
/// How many of the largest resume points fit into memory at once.
const POINTS: u32 = 4;
/// The limit of a choice of dead letters: 10,000 ids.
const CHOICE_BYTES: usize = 256 * 1024;
/// The memory of a choice: the body, its parsed form and the parameters for Postgres.
const CHOICE_KIB: u32 = 3 * 256;
/// How many of the largest choices fit into memory at once.
const CHOICES: u32 = 4;
/// The limit of the body of an act on many books: 10,000 ids.
const BULK_BYTES: usize = 512 * 1024;
/// The memory of an act on many books: its body, and its answer of up to 300 bytes a book.
const BULK_KIB: u32 = 2 * 512 + 2 * 3072;
/// How many of the largest acts on many books fit into memory at once.
const BULKS: u32 = 2;
const PREFLIGHT_HOLDS: Duration = Duration::from_secs(600);

/// The phases of a book.
const PHASES: &[&str] = &["queued", "working", "failed", "completed", "cancelled"];

/// The routes below `/api`.
pub fn router(api: Api) -> Router {
    let allowed = api.origins.clone();
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origin.to_str().is_ok_and(|origin| allowed.iter().any(|allowed| allowed.allows(origin)))
        }))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("idempotency-key"),
        ])
        .max_age(PREFLIGHT_HOLDS);
    let bounded = |largest, answers| {
        let memory = Memory::new(largest, answers);
        middleware::from_fn_with_state((api.clone(), memory), bounded)
    };
    let (routes, paths) = routes()
        .merge(statuses().layered(|routes| routes.layer(bounded(STATUS_KIB, STATUSES))))
        // A slow body holds the memory meanwhile, so these routes have their own limit.
        .merge(acts().layered(|routes| routes.layer(bounded(STATUS_KIB, ACTS))))
        .merge(bulk_acts().layered(|routes| {
            routes.layer(DefaultBodyLimit::max(BULK_BYTES)).layer(bounded(BULK_KIB, BULKS))
        }))
        .merge(pages().layered(|routes| routes.layer(bounded(PAGE_KIB, PAGES))))
        .merge(operation::views().layered(|routes| routes.layer(bounded(PAGE_KIB, PAGES))))
        .merge(operation::acts().layered(|routes| {
            routes.layer(DefaultBodyLimit::max(CHOICE_BYTES)).layer(bounded(CHOICE_KIB, CHOICES))
        }))
        .merge(resume_points().layered(|routes| routes.layer(bounded(POINT_KIB, POINTS))))
        .merge(reports().layered(|routes| {
            routes.layer(DefaultBodyLimit::max(REPORT_BYTES)).layer(bounded(REPORT_KIB, REPORTS))
        }))
        .merge(batches().layered(|routes| {
            routes.layer(DefaultBodyLimit::max(BATCH_BYTES)).layer(bounded(BATCH_KIB, BATCHES))
        }))
        .into_parts();
    let document = Bytes::from(openapi::document(paths).to_string());
    let routes = routes
        .route("/openapi.json", get(async move || json_bytes(document.clone())))
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
        .layer(middleware::from_fn_with_state(api.clone(), host::from_here))
        .layer(cors)
        .with_state(api)
}

/// The routes that the OpenAPI document describes; the document's own route is not among them.
fn routes() -> Routes {
    let about = openapi::object(json!({
        "version": {"type": "string"},
        "access": {"enum": ["tokens", "local", "closed"]},
        "hears": {"type": "boolean"},
    }));
    let of_all = Operation::new("watchBooks", "The changes of all books that the caller may see.")
        .query("owner_id", "Only the books of this owner.", openapi::uuid())
        .streams("Events ready, book_status, book_gone and error.");
    let of_book = Operation::new("watchBook", "A book's changes.")
        .header(
            "Last-Event-ID",
            "The caller's revision; the first event then has the changes since it.",
            openapi::count(i64::MAX),
        )
        .streams("Events book_status and error.");
    Routes::default()
        .get(
            "/",
            about_this,
            Operation::new("about", "The daemon's version and access.")
                .answers("The daemon.", about),
        )
        .get("/events", events::of_all, of_all)
        .get("/books/{id}/events", events::of_book, of_book)
}

fn statuses() -> Routes {
    let status = Operation::new("getBookStatus", "A book's status.")
        .answers("As bindery.get_book_status returns it.", openapi::schema("BookStatus"));
    Routes::default().get("/books/{id}/status", books::status, status)
}

fn acts() -> Routes {
    let act = |id, summary, arguments| {
        Operation::new(id, summary)
            .takes(arguments)
            .answers("The book's new status.", openapi::schema("BookStatus"))
    };
    let revision =
        json!({"type": "integer", "description": "Refused if the book has another revision."});
    let arguments = |properties: serde_json::Value, required: &[&str]| {
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    let message = json!({"type": "string", "maxLength": event::MAX_MESSAGE_CHARS});
    let resume = arguments(json!({"expected_revision": revision}), &[]);
    let cancel = arguments(json!({"message": message, "expected_revision": revision}), &[]);
    let rewind = arguments(
        json!({"to_stage": openapi::name(), "message": message, "expected_revision": revision}),
        &["to_stage"],
    );
    Routes::default()
        .post(
            "/books/{id}/resume",
            acts::resume,
            act("resumeBook", "Resume a FAILED book in its stage.", resume),
        )
        .post(
            "/books/{id}/cancel",
            acts::cancel,
            act("cancelBook", "Cancel a book, finally.", cancel),
        )
        .post(
            "/books/{id}/rewind",
            acts::rewind,
            act("rewindBook", "Rewind a book to an earlier stage.", rewind),
        )
}

fn bulk_acts() -> Routes {
    let text = json!({"type": "string"});
    let filter = json!({
        "type": "object",
        "description": "The parameters of the list of books.",
        "properties": {
            "status": text,
            "phase": {"enum": PHASES},
            "pipeline": openapi::name(),
            "owner_id": openapi::uuid(),
            "q": text,
            "tag": text,
        },
        "additionalProperties": false,
    });
    let act = |id, summary, more: Option<(&str, serde_json::Value)>| {
        let mut arguments = json!({
            "type": "object",
            "description": "Either book_ids or filter.",
            "properties": {
                "book_ids": {
                    "type": "array",
                    "items": openapi::uuid(),
                    "minItems": 1,
                    "maxItems": bulk::MOST_BOOKS,
                },
                "filter": filter,
                "dry_run": {"type": "boolean"},
            },
            "additionalProperties": false,
        });
        if let Some((name, schema)) = more {
            arguments["properties"][name] = schema;
        }
        let count = json!({"type": "integer"});
        let outcome = json!({
            "type": "object",
            "properties": {
                "book_id": openapi::uuid(),
                "outcome": {"enum": ["done", "refused"]},
                "code": text,
                "message": text,
            },
            "required": ["book_id", "outcome"],
        });
        let done = openapi::object(json!({
            "done": count,
            "refused": count,
            "results": {"type": "array", "items": outcome},
            "more": {"type": "boolean"},
        }));
        let verdict = openapi::object(json!({
            "dry_run": {"const": true},
            "matching": count,
            "allowed": count,
            "refused": {"type": "object", "additionalProperties": count},
            "more": {"type": "boolean"},
        }));
        Operation::new(id, summary).takes(arguments).answers(
            "An outcome a book; of a dry run, how many would be done and refused.",
            json!({"oneOf": [done, verdict]}),
        )
    };
    let message = json!({"type": "string", "maxLength": event::MAX_MESSAGE_CHARS});
    Routes::default()
        .post(
            "/books/resume",
            bulk::resume,
            act("resumeBooks", "Resume many FAILED books, each in its stage.", None),
        )
        .post(
            "/books/cancel",
            bulk::cancel,
            act("cancelBooks", "Cancel many books, finally.", Some(("message", message))),
        )
}

fn pages() -> Routes {
    let items = json!({"type": "array", "items": {"type": "object"}});
    let flag = json!({"type": "boolean"});
    let one_of = |values: &[&str]| json!({ "enum": values });
    let books = Operation::new("listBooks", "The books that the caller may see, by pages.")
        .query("status", "One status, or several separated by commas.", openapi::name())
        .query("phase", "The phase, independent of the pipeline's states.", one_of(PHASES))
        .query("pipeline", "The pipeline's name.", openapi::name())
        .query("owner_id", "The owner.", openapi::uuid())
        .query(
            "q",
            "A part of the title or of a failure's code or message, or the beginning of the id.",
            openapi::name(),
        )
        .query(
            "fields",
            "`row`: only what a row of a list shows, about a kilobyte a book.",
            one_of(&["status", "row"]),
        )
        .query("tag", "A text in the array `tags` of the metadata.", openapi::name())
        .query(
            "sort",
            "",
            one_of(&[
                "created_at",
                "updated_at",
                "overall_progress",
                "title",
                "stage_started_at",
                "estimated_completion_at",
            ]),
        )
        .query("order", "", one_of(&["asc", "desc"]))
        .query("failed_first", "FAILED books first.", flag.clone())
        .query("counts", "Include the number of books in each phase.", flag.clone())
        .query("total", "Include the total number of books.", flag)
        .query("limit", "", openapi::count(200))
        .query("after", "`next` of the previous page.", openapi::name())
        .answers(
            "A page.",
            openapi::object(json!({"books": items, "next": {"type": ["string", "null"]}})),
        );
    let substeps = Operation::new("listSubsteps", "All substeps of a stage, by pages.")
        .query("stage", "The stage; by default the current one.", openapi::name())
        .query("after", "`next` of the previous page.", openapi::name())
        .query("limit", "", openapi::count(500))
        .answers(
            "A page.",
            openapi::object(json!({"substeps": items, "next": {"type": ["string", "null"]}})),
        );
    let timeline = Operation::new("getTimeline", "A book's history by pages, the latest first.")
        .query("limit", "", openapi::count(500))
        .query("before", "`next` of the previous page.", openapi::count(i64::MAX))
        .answers(
            "A page.",
            openapi::object(json!({
                "book_id": openapi::uuid(),
                "events": items,
                "next": {"type": ["integer", "null"]},
            })),
        );
    Routes::default()
        .get("/books", list::list, books)
        .get("/books/{id}/substeps", books::substeps, substeps)
        .get("/books/{id}/timeline", books::timeline, timeline)
}

fn resume_points() -> Routes {
    let point = Operation::new("getResumePoint", "The resume point of a book, for a worker.")
        .query("after", "A substep; `left` then has the substeps after it.", openapi::name())
        .answers("As bindery.get_resume_point returns it.", openapi::schema("ResumePoint"));
    Routes::default().get("/books/{id}/resume-point", reports::resume_point, point)
}

/// The routes for producers' reports, one event a request.
fn reports() -> Routes {
    let of = |kind: &'static str| {
        move |State(api): State<Api>,
              caller: Caller,
              BookId(book): BookId,
              headers: HeaderMap,
              body: acts::Body| async move {
            reports::report(api, caller, kind, Some(book), &headers, body).await
        }
    };
    let report = |kind, id, summary| Operation::new(id, summary).takes(openapi::event_body(kind));
    let state = |operation: Operation| {
        operation.answers("The book's new state.", openapi::schema("BookState"))
    };
    Routes::default()
        .post(
            "/books",
            reports::register,
            state(report(
                "register",
                "registerBook",
                "Register a book at the start of its pipeline.",
            )),
        )
        .post(
            "/books/{id}/begin",
            of("begin"),
            report("begin", "beginStage", "Begin or resume a stage, as a worker.")
                .answers("As the resume point.", openapi::schema("ResumePoint")),
        )
        .post(
            "/books/{id}/progress",
            of("progress"),
            state(report("progress", "reportProgress", "Report the progress of a substep.")),
        )
        .post(
            "/books/{id}/heartbeat",
            of("heartbeat"),
            state(report("heartbeat", "heartbeat", "Report that the book is being worked on.")),
        )
        .post(
            "/books/{id}/fail",
            of("fail"),
            state(report("fail", "failBook", "Make the book FAILED.")),
        )
        .post(
            "/books/{id}/transition",
            of("transition"),
            state(report("transition", "transitionBook", "Move the book to another state.")),
        )
        .post(
            "/books/{id}/plan",
            of("plan"),
            state(report("plan", "planSubsteps", "Plan the book's own substeps.")),
        )
}

fn batches() -> Routes {
    let events = json!({
        "application/json": {"schema": {
            "type": "array",
            "items": openapi::schema("Event"),
            "maxItems": reports::MOST_EVENTS,
        }},
        "application/x-ndjson": {"schema": {"type": "string"}},
    });
    let outcomes = json!({"type": "array", "items": openapi::schema("Outcome")});
    let batch = Operation::new("reportEvents", "A batch of events, each with its own outcome.")
        .header(
            "Idempotency-Key",
            "A repeated key within a day returns the stored answer and applies nothing.",
            json!({"type": "string", "pattern": "^[!-~]{1,255}$"}),
        )
        .takes_one_of(events)
        .answers(
            "One outcome for each event, in order.",
            openapi::object(json!({"replayed": {"type": "boolean"}, "outcomes": outcomes})),
        );
    Routes::default().post("/events", reports::batch, batch)
}

/// `GET /api`: the daemon's version, and whether tokens are required; the page's first request.
async fn about_this(State(api): State<Api>) -> Json<serde_json::Value> {
    let access = match api.access {
        Access::Tokens(_) => "tokens",
        Access::Local => "local",
        Access::Closed => "closed",
    };
    Json(
        json!({ "version": env!("CARGO_PKG_VERSION"), "access": access, "hears": api.live.hub.is_notified() }),
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
