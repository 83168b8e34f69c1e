//! The routes for operators: dead letters, early events, the system, the pipelines. Only
//! `service_role` may use them.

use serde_json::{Map, Value, json};

use super::openapi::{self, Operation};
use super::routes::Routes;
use super::{dead_letters, pipelines, system};

/// The routes that read.
pub fn views() -> Routes {
    let flag = || json!({"type": "boolean"});
    let letters = |id: &str, summary: &str, name: &str| {
        Operation::new(id, summary)
            .query("reason", "The rejection reason.", openapi::name())
            .query("stream", "The stream.", openapi::name())
            .query("book_id", "The book.", openapi::uuid())
            .query(
                "q",
                "A part of the message, or the beginning of the event's or the book's id.",
                openapi::name(),
            )
            .query("counts", "Include the number of each reason.", flag())
            .query("total", "Include the total number.", flag())
            .query("limit", "", openapi::count(dead_letters::MOST))
            .query("after", "`next` of the previous page.", openapi::count(i64::MAX))
            .answers(
                "A page, the newest first.",
                openapi::object(json!({
                    name: {"type": "array", "items": {"type": "object"}},
                    "next": {"type": ["integer", "null"]},
                })),
            )
    };
    let list = || json!({"type": "array", "items": {"type": "object"}});
    let whole = || json!({"type": "integer"});
    let part = || json!({"type": "object"});
    let system = openapi::object(json!({
        "now": {"type": "string"},
        "daemon": part(), "schema": part(), "kernel": part(), "postgres": part(),
        "streams": list(), "relays": list(), "outbox": part(), "sweeper": part(),
        "early_events": whole(), "dead_letters": whole(), "settings": part(),
    }));
    let findings = openapi::object(json!({"at": {"type": "string"}, "findings": list()}));
    let pipelines = openapi::object(json!({
        "now": {"type": "string"},
        "since": {"type": "string"},
        "bucket": {"enum": ["hour", "day"]},
        "pipelines": list(),
    }));
    Routes::default()
        .get(
            "/dead-letters",
            dead_letters::list,
            letters("listDeadLetters", "Rejected events, by pages.", "dead_letters"),
        )
        .get(
            "/early-events",
            dead_letters::list_early,
            letters("listEarlyEvents", "Events that wait, by pages.", "early_events"),
        )
        .get(
            "/system",
            system::system,
            Operation::new("getSystem", "The daemon, its streams and its servers.")
                .answers("As of now.", system),
        )
        .get(
            "/system/findings",
            system::findings,
            Operation::new("getFindings", "The findings of binderyd doctor.")
                .answers("The findings, at most 15 seconds old.", findings),
        )
        .get(
            "/pipelines",
            pipelines::pipelines,
            Operation::new("getPipelines", "The pipelines: states, books, durations and failures.")
                .query("days", "How many days of failures.", openapi::count(pipelines::MOST_DAYS))
                .answers("As of now.", pipelines),
        )
}

/// The routes that change dead letters.
pub fn acts() -> Routes {
    let text = || openapi::name();
    let choice = || {
        json!({
            "type": "object",
            "properties": {
                "ids": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "minItems": 1,
                    "maxItems": dead_letters::MOST_IDS,
                },
                "filter": {
                    "type": "object",
                    "properties": {
                        "stream": text(), "reason": text(), "book_id": openapi::uuid(), "q": text(),
                    },
                    "additionalProperties": false,
                },
                "dry_run": {"type": "boolean"},
                "after": openapi::count(i64::MAX),
                "through": openapi::count(i64::MAX),
            },
            "oneOf": [{"required": ["ids"]}, {"required": ["filter"]}],
            "additionalProperties": false,
        })
    };
    let whole = json!({"type": "integer"});
    let answer = |counts: &[&str]| {
        let counts = counts.iter().map(|name| ((*name).to_owned(), whole.clone()));
        let mut done: Map<String, Value> = counts.collect();
        done.insert("more".to_owned(), json!({"type": "boolean"}));
        done.insert("next".to_owned(), json!({"type": ["integer", "null"]}));
        let dry = json!({
            "dry_run": {"const": true},
            "matching": whole,
            "replayable": whole,
            "through": {"type": ["integer", "null"]},
        });
        json!({"oneOf": [openapi::object(Value::Object(done)), openapi::object(dry)]})
    };
    Routes::default()
        .post(
            "/dead-letters/replay",
            dead_letters::replay,
            Operation::new("replayDeadLetters", "Apply dead letters again, the oldest first.")
                .takes(choice())
                .answers("The outcomes of the events.", answer(&["applied", "stale", "rejected"])),
        )
        .post(
            "/dead-letters/drop",
            dead_letters::discard,
            Operation::new("dropDeadLetters", "Delete dead letters permanently.")
                .takes(choice())
                .answers("The number of dead letters.", answer(&["dropped"])),
        )
}
