//! Reports of producers: one event a request, by its type, or a batch of any types. The bodies are
//! the events of docs/events.md, parsed by the same rules; the SQL functions decide the outcome.

use std::borrow::Cow;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bindery_core::event::{Event, EventKind, Rejection};
use bindery_core::json::Node;
use postgres_types::{ToSql, Type};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::acts::{Body, body_of};
use super::api::Api;
use super::auth::{Caller, Role};
use super::books::BookId;
use super::error::ApiError;
use super::openapi::{EXPECTED_REVISION, WITH_REVISION};
use super::pool::{Intent, begin};
use super::query::{ask, json, text};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
/// The maximum number of events in a batch.
pub const MOST_EVENTS: usize = 1000;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The answer to a report of one event, from a book's row `b`.
const STATE: &str = "select pg_catalog.jsonb_build_object('book_id', b.book_id, \
     'status', b.status, 'current_stage', b.current_stage, 'attempt', b.attempt, \
     'revision', b.revision, 'overall_progress', b.overall_progress)::text from";

/// `POST /api/books`: registers a book, whose id is in the body.
pub async fn register(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    report(api, caller, "register", None, &headers, body).await
}

/// `POST /api/books/{id}/…`: an event of this type about this book.
pub async fn report(
    api: Api,
    caller: Caller,
    kind: &'static str,
    book: Option<Uuid>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = body_of(headers, body, &[JSON])?;
    let (Event { book_id, kind, .. }, revision) = event(kind, book, utf8(&body)?)?;
    let id = (&book_id as &(dyn ToSql + Sync), Type::UUID);
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Change).await?;
    let ask = async |call: String, values: &[(&(dyn ToSql + Sync), Type)]| {
        ask(&transaction, &caller, &call, values).await
    };
    let rows = match &kind {
        EventKind::Register(register) => {
            let metadata = register.metadata.as_ref().map(|json| json.as_str());
            let call = format!("{STATE} bindery.register_book($1, $2, $3, $4, $5::jsonb) b");
            let values = [
                id,
                (&register.owner_id, Type::UUID),
                (&register.pipeline, Type::TEXT),
                (&register.title, Type::TEXT),
                (&metadata, Type::TEXT),
            ];
            ask(call, &values).await?
        }
        EventKind::Begin(begin) => {
            // A worker may not register a book.
            if begin.pipeline.is_some() && caller.role != Role::Worker {
                let metadata = begin.metadata.as_ref().map(|json| json.as_str());
                let call = "select from bindery.register_book($1, $2, $3, $4, $5::jsonb) \
                     where not exists (select from bindery.book_status b where b.book_id = $1)";
                let values = [
                    id.clone(),
                    (&begin.owner_id, Type::UUID),
                    (&begin.pipeline, Type::TEXT),
                    (&begin.title, Type::TEXT),
                    (&metadata, Type::TEXT),
                ];
                ask(call.to_owned(), &values).await?;
            }
            let call = "select bindery.begin_stage($1, $2, $3, $4, $5)::text".to_owned();
            let values = [
                id,
                (&begin.to_status, Type::TEXT),
                (&begin.worker, Type::TEXT),
                (&begin.attempt, Type::INT4),
                (&begin.resume, Type::BOOL),
            ];
            ask(call, &values).await?
        }
        EventKind::Transition(transition) => {
            let call = format!("{STATE} bindery.transition_book($1, $2, $3, $4, $5) b");
            let values = [
                id,
                (&transition.to_status, Type::TEXT),
                (&transition.message, Type::TEXT),
                (&revision, Type::INT8),
                (&transition.attempt, Type::INT4),
            ];
            ask(call, &values).await?
        }
        EventKind::Progress(progress) => {
            let report = &progress.report;
            let percent = report.done.is_none().then_some(report.progress);
            let checkpoint = report.checkpoint.as_ref().map(|json| json.as_str());
            let call = format!(
                "{STATE} bindery.report_progress($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10) b"
            );
            let values = [
                id,
                (&progress.substep, Type::TEXT),
                (&percent, Type::FLOAT8),
                (&report.done, Type::FLOAT8),
                (&report.total, Type::FLOAT8),
                (&report.unit, Type::TEXT),
                (&report.message, Type::TEXT),
                (&checkpoint, Type::TEXT),
                (&progress.stage, Type::TEXT),
                (&progress.attempt, Type::INT4),
            ];
            ask(call, &values).await?
        }
        EventKind::Plan(plan) => {
            let substeps = json!(plan.substeps).to_string();
            let call = format!("{STATE} bindery.plan_substeps($1, $2, $3::jsonb, $4) b");
            let values =
                [id, (&plan.stage, Type::TEXT), (&substeps, Type::TEXT), (&revision, Type::INT8)];
            ask(call, &values).await?
        }
        EventKind::Heartbeat(heartbeat) => {
            let call = format!("{STATE} bindery.heartbeat($1, $2, $3) b");
            let values = [id, (&heartbeat.attempt, Type::INT4), (&heartbeat.stage, Type::TEXT)];
            ask(call, &values).await?
        }
        EventKind::Fail(fail) => {
            let error = fail.error.as_ref().map(|json| json.as_str());
            let call = format!("{STATE} bindery.fail_book($1, $2::jsonb, $3, $4, $5, $6) b");
            let values = [
                id,
                (&error, Type::TEXT),
                (&fail.message, Type::TEXT),
                (&revision, Type::INT8),
                (&fail.attempt, Type::INT4),
                (&fail.stage, Type::TEXT),
            ];
            ask(call, &values).await?
        }
    };
    let answer = rows.first().map(|row| text(row, 0).map(str::to_owned));
    let answer = answer.ok_or_else(ApiError::unavailable)??;
    let committed = transaction.commit().await;
    committed.map_err(|error| ApiError::from_postgres(&error, caller.has_token()))?;
    Ok(json(answer))
}

/// The query parameters of `GET /api/books/{id}/resume-point`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResumePointQuery {
    after: Option<String>,
}

/// `GET /api/books/{id}/resume-point`: the same answer as `bindery.get_resume_point`.
pub async fn resume_point(
    State(api): State<Api>,
    caller: Caller,
    BookId(book): BookId,
    query: Result<Query<ResumePointQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) =
        query.map_err(|problem| ApiError::bad_request(problem.body_text(), "It takes after."))?;
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let values: [(&(dyn ToSql + Sync), Type); 2] =
        [(&book, Type::UUID), (&asked.after, Type::TEXT)];
    let call = "select bindery.get_resume_point($1, $2)::text";
    let rows = ask(&transaction, &caller, call, &values).await?;
    rows.first()
        .map(|row| text(row, 0).map(str::to_owned))
        .ok_or_else(ApiError::unavailable)?
        .map(json)
}

/// `POST /api/events`: a batch of events, each with its own outcome.
pub async fn batch(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let body = body_of(&headers, body, &[JSON, NDJSON])?;
    let items = items(utf8(&body)?, is(&headers, NDJSON))?;
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Change).await?;
    let values: [(&(dyn ToSql + Sync), Type); 2] = [(&items, Type::TEXT), (&key, Type::TEXT)];
    let call = "select bindery.report_events($1::jsonb, $2)::text";
    let rows = ask(&transaction, &caller, call, &values).await?;
    let answer = rows.first().map(|row| text(row, 0).map(str::to_owned));
    let answer = answer.ok_or_else(ApiError::unavailable)??;
    let committed = transaction.commit().await;
    committed.map_err(|error| ApiError::from_postgres(&error, caller.has_token()))?;
    Ok(json(answer))
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    super::acts::content_type(headers).eq_ignore_ascii_case(kind)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let hint = "Send a key of 1 to 255 characters, such as a uuid, a new one with each batch.";
    let bad = || ApiError::bad_request("Idempotency-Key is not a key", hint);
    let key = key.to_str().map_err(|_not_ascii| bad())?.trim();
    if key.is_empty() || key.len() > 255 { Err(bad()) } else { Ok(Some(key)) }
}

fn utf8(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|problem| {
        ApiError::bad_request(format!("the body is not UTF-8: {problem}"), "Send JSON as UTF-8.")
    })
}

/// The event of a body, with its type and perhaps its book from the route, and the revision that
/// the caller expects.
fn event(
    kind: &'static str,
    book: Option<Uuid>,
    body: &str,
) -> Result<(Event, Option<i64>), ApiError> {
    let body = if body.trim().is_empty() { "{}" } else { body };
    let read = Node::read(body).map_err(|problem| {
        ApiError::bad_request(format!("the body is not JSON: {problem}"), "Send an object.")
    })?;
    let Node::Object(mut fields) = read else {
        let hint = "Send an object with the fields of the event.";
        return Err(ApiError::bad_request("the body is not a JSON object", hint));
    };
    let known = [("type", Some(kind.to_owned())), ("book_id", book.map(|book| book.to_string()))];
    for (name, value) in known {
        let Some(value) = value else { continue };
        if let Some(place) = fields.iter().position(|(field, _)| field == name) {
            let (_, given) = fields.remove(place);
            let same = match &given {
                Node::Null => true,
                Node::Text(given) if name == "type" => given.as_ref() == value,
                Node::Text(given) => Uuid::try_parse(given).ok() == book,
                _ => false,
            };
            if !same {
                let message = format!("{name} differs from the one in the path");
                return Err(ApiError::rejected("conflicting_fields", message));
            }
        }
        fields.push((name.into(), Node::Text(value.into())));
    }
    let revision = if WITH_REVISION.contains(&kind) { revision(&fields)? } else { None };
    // Unknown fields are ignored.
    let event = Event::from_fields(fields)
        .map_err(|Rejection { error, .. }| ApiError::rejected(error.code(), error.to_string()))?;
    Ok((event, revision))
}

/// The integer of [`EXPECTED_REVISION`], written as a number or as text.
fn revision(fields: &[(Cow<'_, str>, Node<'_>)]) -> Result<Option<i64>, ApiError> {
    let given = fields.iter().find(|(field, _)| field == EXPECTED_REVISION).map(|(_, given)| given);
    let number = match given {
        None | Some(Node::Null) => return Ok(None),
        Some(Node::Number(number) | Node::Text(number)) => number.trim().parse().ok(),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| {
        let message = format!("{EXPECTED_REVISION} is not a number; expected a whole one from 1");
        ApiError::rejected("bad_number", message)
    })
}

/// The events of a batch for `bindery.report_events`; one that cannot be parsed is replaced by the
/// reason.
fn items(body: &str, is_lines: bool) -> Result<String, ApiError> {
    let too_many = || {
        let message = format!("a batch has at most {MOST_EVENTS} events");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_body", message, "Send several batches.")
    };
    let mut items = Vec::new();
    let mut add = |read: Result<Node<'_>, String>| {
        if items.len() == MOST_EVENTS {
            return Err(too_many());
        }
        items.push(match read {
            Ok(Node::Object(fields)) => match Event::from_fields(fields) {
                Ok(event) => serde_json::to_string(&event).unwrap_or_default(),
                Err(Rejection { error, .. }) => rejected(error.code(), &error.to_string()),
            },
            Ok(_) => rejected("wrong_type", "the event is not a JSON object"),
            Err(problem) => rejected("bad_json", &problem),
        });
        Ok(())
    };
    if is_lines {
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            let read = Node::read(line);
            add(read.map_err(|problem| format!("the event is not JSON: {problem}")))?;
        }
    } else {
        let read = Node::read(body).map_err(|problem| {
            let hint = "Send an array of events, or application/x-ndjson.";
            ApiError::bad_request(format!("the body is not JSON: {problem}"), hint)
        })?;
        let Node::List(events) = read else {
            let hint = "Send an array of events, or application/x-ndjson.";
            return Err(ApiError::bad_request("the body is not a JSON array", hint));
        };
        for event in events {
            add(Ok(event))?;
        }
    }
    Ok(format!("[{}]", items.join(",")))
}

fn rejected(code: &str, message: &str) -> String {
    Value::to_string(&json!({"type": "rejected", "reason": code, "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "018f3c1e-7b2a-7c3d-9e4f-5a6b7c8d9e0f";

    #[test]
    fn the_path_determines_the_type_and_the_book() {
        let book: Uuid = BOOK.parse().unwrap();
        for body in [
            "".to_owned(),
            "{}".to_owned(),
            r#"{"type": "heartbeat", "book_id": null}"#.to_owned(),
            format!(r#"{{"book_id": "{}"}}"#, BOOK.to_uppercase()),
        ] {
            let (event, _) = event("heartbeat", Some(book), &body).unwrap();
            assert_eq!((event.book_id, event.kind.name()), (book, "heartbeat"), "{body}");
        }
        for body in [
            r#"{"type": "fail"}"#,
            r#"{"type": 7}"#,
            r#"{"book_id": "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b"}"#,
            r#"{"book_id": "moby-dick"}"#,
        ] {
            let refused = event("heartbeat", Some(book), body).unwrap_err();
            assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }
        for body in ["[]", "7", "{", "\"text\""] {
            let refused = event("heartbeat", Some(book), body).unwrap_err();
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
        }
    }

    #[test]
    fn a_report_has_the_revision_that_it_expects_as_a_number_or_as_text() {
        let book: Uuid = BOOK.parse().unwrap();
        let read = |kind, revision: &str| {
            let body = format!(r#"{{"to_status": "DRAWING", "expected_revision": {revision}}}"#);
            event(kind, Some(book), &body).map(|(_, revision)| revision)
        };
        for (written, revision) in [
            ("7", Some(7)),
            (r#"" 7 ""#, Some(7)),
            ("null", None),
            ("9223372036854775807", Some(i64::MAX)),
        ] {
            assert_eq!(read("transition", written).unwrap(), revision, "{written}");
        }
        for written in ["7.5", r#""""#, r#""seven""#, "[7]", "true", "9223372036854775808"] {
            let refused = read("transition", written).unwrap_err();
            assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{written}");
        }
        // For other types it is an unknown field.
        assert_eq!(read("heartbeat", r#""seven""#).unwrap(), None);
    }

    #[test]
    fn an_event_that_cannot_be_read_stays_in_its_place() {
        let event = format!(r#"{{"type": "heartbeat", "book_id": "{BOOK}"}}"#);
        let kinds = |items: &str| -> Vec<String> {
            let items: Vec<Value> = serde_json::from_str(items).unwrap();
            let part = |item: &Value| {
                item["reason"].as_str().or(item["type"].as_str()).unwrap().to_owned()
            };
            items.iter().map(part).collect()
        };
        let array = items(&format!(r#"[{event}, 7, {{"type": "x"}}, {event}]"#), false).unwrap();
        assert_eq!(kinds(&array), ["heartbeat", "wrong_type", "unknown_type", "heartbeat"]);
        let lines = items(&format!("{event}\n\n{{oops\r\n7\n{event}"), true).unwrap();
        assert_eq!(kinds(&lines), ["heartbeat", "bad_json", "wrong_type", "heartbeat"]);
        assert_eq!(items("", true).unwrap(), "[]");
        for body in ["", "{}", "[", "7"] {
            assert_eq!(items(body, false).unwrap_err().status(), StatusCode::BAD_REQUEST);
        }
        let many = format!("[{}7]", "7,".repeat(MOST_EVENTS));
        assert_eq!(items(&many, false).unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
