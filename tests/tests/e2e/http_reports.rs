//! Reports of producers over HTTP: one event a request, or a batch; by the service or by a worker.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bindery_tests::{Answer, Daemon, Servers};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::http_support::{Guarded, SECRET, service, user, worker};

async fn post(daemon: &Daemon, token: &str, path: &str, body: &Value) -> Result<Answer> {
    daemon.ask("POST", path).token(token).json(body).answer().await
}

/// Each outcome: its code if it is not plain, else the outcome itself.
fn outcomes(answer: &Answer) -> Result<Vec<String>> {
    let answer = answer.json()?;
    let outcomes = answer["outcomes"].as_array().with_context(|| format!("{answer}"))?;
    let short = |outcome: &Value| {
        let words = [&outcome["outcome"], &outcome["code"]].map(Value::as_str);
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    Ok(outcomes.iter().map(short).collect())
}

/// The code in Bindery's details, or the answer's own.
fn code(answer: &Answer) -> Result<String> {
    let answer = answer.json()?;
    let details = answer["details"].as_str().map(serde_json::from_str::<Value>).transpose()?;
    let code = details.map_or_else(|| answer["code"].clone(), |details| details["code"].clone());
    Ok(code.as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_book_is_made_over_http_from_the_first_event_to_the_last() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (book, token) = (Uuid::new_v4(), service()?);
    let path = |act: &str| format!("/api/books/{book}/{act}");
    let post_ok = async |path: String, body: Value| {
        let answer = post(&at.daemon, &token, &path, &body).await?;
        anyhow::ensure!(answer.status == 200, "{path}: {answer:?}");
        answer.json()
    };
    let register = json!({"book_id": book, "title": "The Tide", "pipeline": "comic"});
    for _ in 0..2 {
        let registered = post_ok("/api/books".to_owned(), register.clone()).await?;
        assert_eq!(
            (&registered["status"], &registered["revision"]),
            (&json!("UPLOADED"), &json!(1))
        );
    }
    let begun = post_ok(path("begin"), json!({"to_status": "ANALYZING", "worker": "w"})).await?;
    assert_eq!((&begun["attempt"], &begun["stage"]), (&json!(1), &json!("ANALYZING")));
    post_ok(
        path("plan"),
        json!({"stage": "CREATING_ARTWORK", "substeps": [{"substep": "page_1"}]}),
    )
    .await?;
    let digits = r#"{"stage": "ANALYZING", "substep": "extract_text", "attempt": 1, "done": 3,
        "total": "4", "unit": "page", "message": "\u001b[1mon\u001b[0m",
        "checkpoint": {"cursor": 147696713205860203665304570961189620315}}"#;
    let progress = at
        .daemon
        .ask("POST", &path("progress"))
        .token(&token)
        .body("application/json; charset=utf-8", digits.as_bytes())
        .answer()
        .await?;
    assert_eq!(progress.status, 200, "{progress:?}");
    let beat = post(&at.daemon, &token, &path("heartbeat"), &json!({"attempt": 1})).await?;
    assert_eq!((beat.status, &beat.json()?), (200, &progress.json()?));
    let point = at.daemon.ask("GET", &path("resume-point")).token(&token).answer().await?;
    assert!(point.body.contains("147696713205860203665304570961189620315"), "{}", point.body);
    assert_eq!(point.json()?["left"][0]["message"], "on");
    let failed = post_ok(path("fail"), json!({"error": "no memory", "stage": "ANALYZING"})).await?;
    assert_eq!(failed["status"], "FAILED");
    // The answer shows that a report had no effect, here of a heartbeat.
    let beat = post_ok(path("heartbeat"), json!({"stage": "ANALYZING", "attempt": 1})).await?;
    assert_eq!(beat, failed);
    let resumed = post_ok(path("begin"), json!({"to_status": "ANALYZING"})).await?;
    assert_eq!(resumed["attempt"], 2);
    for to_status in ["GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"] {
        post_ok(path("transition"), json!({"to_status": to_status, "message": "on"})).await?;
    }
    let row = at
        .client
        .query_one("select status, error from bindery.book_status where book_id = $1", &[&book])
        .await?;
    assert_eq!(row.get::<_, &str>(0), "COMPLETED");
    // With a pipeline, a begin registers an unknown book.
    let other = Uuid::new_v4();
    let begin = json!({"to_status": "ANALYZING", "pipeline": "comic", "title": "Another"});
    for _ in 0..2 {
        let begun = post_ok(format!("/api/books/{other}/begin"), begin.clone()).await?;
        assert_eq!((&begun["status"], &begun["attempt"]), (&json!("ANALYZING"), &json!(1)));
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_a_reason_and_a_hint() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (token, book) = (service()?, at.book_of(Uuid::new_v4(), "The Tide").await?);
    let path = |act: &str| format!("/api/books/{book}/{act}");
    let large = json!({"checkpoint": {"c": "c".repeat(70_000)}, "progress": 1});
    let larger = json!({"checkpoint": {"c": "c".repeat(600_000)}, "progress": 1});
    for (path, body, status, reason) in [
        (path("progress"), json!({"progress": 101}), 422, "out_of_range"),
        (path("progress"), json!({"progress": 1, "type": "fail"}), 422, "conflicting_fields"),
        (
            path("progress"),
            json!({"progress": 1, "book_id": Uuid::new_v4()}),
            422,
            "conflicting_fields",
        ),
        (path("progress"), json!({"progress": 1, "stage": "ANALYZING"}), 409, "stage_not_reached"),
        (path("progress"), json!({"progress": 1, "stage": "PRINTING"}), 404, "unknown_stage"),
        (path("progress"), large, 422, "too_large"),
        (path("progress"), larger, 413, "bad_body"),
        (path("progress"), json!([]), 400, "bad_request"),
        (path("begin"), json!({}), 422, "missing_field"),
        (path("begin"), json!({"to_status": "CREATING_ARTWORK"}), 409, "stage_not_reached"),
        (path("transition"), json!({"to_status": "COMPLETED"}), 409, "illegal_transition"),
        (
            path("plan"),
            json!({"stage": "ANALYZING", "substeps": [{"substep": "A"}]}),
            422,
            "bad_name",
        ),
        ("/api/books".to_owned(), json!({}), 422, "missing_field"),
        (
            "/api/books".to_owned(),
            json!({"book_id": book, "pipeline": "opera"}),
            404,
            "unknown_pipeline",
        ),
        (
            format!("/api/books/{}/begin", Uuid::new_v4()),
            json!({"to_status": "ANALYZING"}),
            404,
            "unknown_book",
        ),
        ("/api/books/moby-dick/begin".to_owned(), json!({"to_status": "ANALYZING"}), 400, "22P02"),
        ("/api/events".to_owned(), json!({}), 400, "bad_request"),
    ] {
        let refused = post(&at.daemon, &token, &path, &body).await?;
        assert_eq!(
            (refused.status, code(&refused)?.as_str()),
            (status, reason),
            "{path} {refused:?}"
        );
        let refused = refused.json()?;
        assert!(refused["message"].is_string() && refused["hint"].is_string(), "{path} {refused}");
    }
    let form = at.daemon.ask("POST", &path("heartbeat")).token(&token).body("text/plain", b"{}");
    assert_eq!(form.answer().await?.refusal()?, (415, "bad_body".to_owned()));
    let bytes = at.daemon.ask("POST", &path("heartbeat")).token(&token);
    let bytes = bytes.body("application/json", b"{\"message\": \"\xff\"}").answer().await?;
    assert_eq!(bytes.refusal()?, (400, "bad_request".to_owned()));
    let asked = at.daemon.ask("GET", &path("resume-point?before=x")).token(&token);
    assert_eq!(asked.answer().await?.refusal()?, (400, "bad_request".to_owned()));
    for token in [user(Uuid::new_v4())?, worker(json!({"stage": "DRAWING"}))?] {
        let refused =
            post(&at.daemon, &token, &path("begin"), &json!({"to_status": "ANALYZING"})).await?;
        assert_eq!(refused.refusal()?, (403, "42501".to_owned()));
    }
    let anonymous = at.daemon.ask("POST", &path("heartbeat")).json(&json!({})).answer().await?;
    assert_eq!(anonymous.refusal()?, (401, "42501".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_worker_may_report_what_its_token_admits_and_nothing_else() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    let other = at.book_of(Uuid::new_v4(), "The Ebb").await?;
    let token = worker(json!({"book_id": book, "stage": "ANALYZING", "pipeline": "comic"}))?;
    let path = |act: &str| format!("/api/books/{book}/{act}");
    let begin = json!({"to_status": "ANALYZING", "pipeline": "comic"});
    let begun = post(&at.daemon, &token, &path("begin"), &begin).await?;
    assert_eq!((begun.status, &begun.json()?["attempt"]), (200, &json!(1)));
    let report = json!({"substep": "extract_text", "progress": 40, "attempt": 1});
    let answer = post(&at.daemon, &token, &path("progress"), &report).await?;
    assert_eq!((answer.status, &answer.json()?["current_stage"]), (200, &json!("ANALYZING")));
    let plan = json!({"stage": "ANALYZING", "substeps": [{"substep": "more"}]});
    assert_eq!(post(&at.daemon, &token, &path("plan"), &plan).await?.status, 200);
    let beat = post(&at.daemon, &token, &path("heartbeat"), &json!({})).await?;
    assert_eq!((beat.status, &beat.json()?["current_stage"]), (200, &json!("ANALYZING")));
    let point = at.daemon.ask("GET", &path("resume-point")).token(&token).answer().await?;
    assert_eq!(point.json()?["left"][0]["progress"], 40.0);

    let refused = async |method: &str, path: String, body: Value| {
        let ask = at.daemon.ask(method, &path).token(&token);
        let ask = if method == "POST" { ask.json(&body) } else { ask };
        let answer = ask.answer().await?;
        assert_eq!(answer.refusal()?, (403, "42501".to_owned()), "{method} {path} {answer:?}");
        anyhow::Ok(())
    };
    for (act, body) in [
        ("transition", json!({"to_status": "GENERATING_SCENES"})),
        ("begin", json!({"to_status": "GENERATING_SCENES"})),
        ("resume", json!({})),
        ("cancel", json!({})),
        ("rewind", json!({"to_stage": "UPLOADED"})),
    ] {
        refused("POST", path(act), body).await?;
    }
    for act in ["begin", "progress", "heartbeat", "fail", "plan"] {
        let body = json!({"to_status": "ANALYZING", "progress": 1, "stage": "ANALYZING",
            "substeps": []});
        refused("POST", format!("/api/books/{other}/{act}"), body).await?;
    }
    refused("POST", "/api/books".to_owned(), json!({"book_id": Uuid::new_v4()})).await?;
    for path in [
        "/api/books".to_owned(),
        path("status"),
        path("timeline"),
        path("substeps"),
        path("events"),
        format!("/api/books/{other}/resume-point"),
    ] {
        refused("GET", path, json!({})).await?;
    }
    let batch = json!([
        {"type": "heartbeat", "book_id": book}, {"type": "heartbeat", "book_id": other},
        {"type": "register", "book_id": Uuid::new_v4()},
        {"type": "transition", "book_id": book, "to_status": "GENERATING_SCENES"},
    ]);
    let answer = post(&at.daemon, &token, "/api/events", &batch).await?;
    let not_allowed = "rejected not_allowed";
    assert_eq!(outcomes(&answer)?, ["applied", not_allowed, not_allowed, not_allowed]);
    // Reports of a worker after its book has left the stage have no effect.
    at.client
        .query("select from bindery.transition_book($1, 'GENERATING_SCENES')", &[&book])
        .await?;
    for act in ["heartbeat", "fail"] {
        let late = post(&at.daemon, &token, &path(act), &json!({"attempt": 1})).await?;
        assert_eq!((late.status, &late.json()?["status"]), (200, &json!("GENERATING_SCENES")));
    }
    Ok(())
}

#[tokio::test]
async fn a_report_with_a_revision_is_refused_if_the_book_has_changed_since() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (token, book) = (service()?, at.book_of(Uuid::new_v4(), "The Tide").await?);
    let send = async |act: &str, revision: Value| {
        let body = json!({"to_status": "ANALYZING", "stage": "ANALYZING",
            "substeps": [{"substep": "more"}], "expected_revision": revision});
        post(&at.daemon, &token, &format!("/api/books/{book}/{act}"), &body).await
    };
    for (act, revision) in [("transition", json!(1)), ("plan", json!("2")), ("fail", json!(3))] {
        let expected = json!(revision.to_string().trim_matches('"').parse::<i64>()? + 1);
        for wrong in [json!(99), json!("99")] {
            let refused = send(act, wrong).await?;
            assert_eq!(
                (refused.status, code(&refused)?.as_str()),
                (409, "stale_revision"),
                "{act}"
            );
        }
        for bad in [json!("new"), json!(1.5), json!([1])] {
            let refused = send(act, bad).await?;
            assert_eq!((refused.status, code(&refused)?.as_str()), (422, "bad_number"), "{act}");
        }
        let taken = send(act, revision).await?;
        assert_eq!((taken.status, &taken.json()?["revision"]), (200, &expected), "{act}");
    }
    // Without a revision, none is checked.
    assert_eq!(send("transition", Value::Null).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_batch_is_answered_event_by_event_and_applied_once() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (token, book) = (service()?, Uuid::new_v4());
    let batch = json!([
        {"type": "register", "book_id": book},
        {"type": "begin", "book_id": book, "to_status": "ANALYZING"},
        {"type": "progress", "book_id": book, "substep": "extract_text", "progress": "40"},
        {"type": "progress", "book_id": book, "progress": 101},
        {"type": "begin", "book_id": book, "to_status": "CREATING_ARTWORK"},
        {"type": "fail", "book_id": book, "stage": "ANALYZING", "error": "no memory"},
        {"type": "progress", "book_id": book, "stage": "ANALYZING", "attempt": 1,
            "substep": "extract_text", "progress": 50},
        7,
    ]);
    let expected = [
        "applied",
        "applied",
        "applied",
        "rejected out_of_range",
        "early stage_not_reached",
        "applied",
        "stale",
        "rejected wrong_type",
    ];
    let send = async |body: &[u8], kind: &str, key: &str| {
        let ask = at.daemon.ask("POST", "/api/events").token(&token);
        ask.header("Idempotency-Key", key).body(kind, body).answer().await
    };
    let first = send(batch.to_string().as_bytes(), "application/json", "a").await?;
    assert_eq!(outcomes(&first)?, expected, "{first:?}");
    let revision = async || {
        let rows = at.client.query("select sum(revision)::bigint from bindery.book_status", &[]);
        anyhow::Ok(rows.await?[0].get::<_, Option<i64>>(0))
    };
    let seen = revision().await?;
    let again = send(batch.to_string().as_bytes(), "application/json", "a").await?;
    assert_eq!(again.json()?["outcomes"], first.json()?["outcomes"]);
    assert_eq!(again.json()?["replayed"], true);
    assert_eq!(revision().await?, seen, "the same batch again changes nothing");
    let reused = send(b"[]", "application/json", "a").await?;
    assert_eq!((reused.status, code(&reused)?.as_str()), (422, "key_reused"));

    // The same as lines; a line that is not JSON affects no other.
    let lines = batch.as_array().context("it is an array")?;
    let mut lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.insert(1, "{oops".to_owned());
    let lines = lines.join("\n").replace(&book.to_string(), &Uuid::new_v4().to_string());
    let answer = send(lines.as_bytes(), "application/x-ndjson", "b").await?;
    let mut expected = expected.to_vec();
    expected.insert(1, "rejected bad_json");
    assert_eq!(outcomes(&answer)?, expected);

    // Two at once: one applies the batch, the other returns the same answer.
    let batch = json!([{"type": "register", "book_id": Uuid::new_v4()}]).to_string();
    let both = tokio::join!(
        send(batch.as_bytes(), "application/json", "c"),
        send(batch.as_bytes(), "application/json", "c"),
    );
    let replays = [both.0?.json()?, both.1?.json()?].map(|answer| answer["replayed"].clone());
    assert_eq!(replays.iter().filter(|replayed| **replayed == true).count(), 1, "{replays:?}");

    let many = format!("[{}7]", "7,".repeat(1000));
    assert_eq!(send(many.as_bytes(), "application/json", "d").await?.refusal()?.0, 413);
    let large = vec![b' '; 1_100_000];
    assert_eq!(send(&large, "application/json", "d").await?.refusal()?.0, 413);
    for key in ["", " ", &"k".repeat(256)] {
        assert_eq!(send(b"[]", "application/json", key).await?.refusal()?.0, 400, "{key:?}");
    }
    Ok(())
}

/// Expands the abbreviations of long values in tests/vectors.
fn written_out(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(written_out).collect(),
        Value::Object(object) => {
            let count = |key: &str| object.get(key).and_then(Value::as_u64).map(|n| n as usize);
            match (object.get("$repeat"), count("times"), count("$nest"), object.get("$concat")) {
                (Some(Value::String(text)), Some(times), ..) => json!(text.repeat(times)),
                (Some(Value::Array(values)), Some(times), ..) => {
                    values.iter().cycle().take(values.len() * times).cloned().collect()
                }
                (_, _, Some(levels), _) => (0..levels).fold(json!(1), |inner, _| json!([inner])),
                (.., Some(Value::Array(texts))) => {
                    let texts = texts.iter().cloned().map(written_out);
                    let texts = texts.map(|text| text.as_str().unwrap_or_default().to_owned());
                    json!(texts.collect::<String>())
                }
                _ => object.into_iter().map(|(key, value)| (key, written_out(value))).collect(),
            }
        }
        other => other,
    }
}

fn vectors(file: &str) -> Result<Vec<Map<String, Value>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("vectors/{file}.json"));
    let vectors: Vec<Map<String, Value>> = serde_json::from_str(&fs::read_to_string(path)?)?;
    let each = |vector| match written_out(Value::Object(vector)) {
        Value::Object(vector) => vector,
        _ => Map::new(),
    };
    Ok(vectors.into_iter().map(each).collect())
}

/// The text of a vector's event as a line of a batch; `None` for the fields of a stream's entry.
fn line(vector: &Map<String, Value>) -> Option<String> {
    vector
        .get("data")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| vector.get("event").map(Value::to_string))
}

#[tokio::test]
async fn a_batch_reads_events_as_the_vectors_state() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let token = service()?;
    let send = async |line: &str| {
        let ask = at.daemon.ask("POST", "/api/events").token(&token);
        let answer = ask.body("application/x-ndjson", line.as_bytes()).answer().await?;
        let answer = answer.json()?;
        anyhow::Ok(answer["outcomes"][0].clone())
    };
    for vector in vectors("rejected")? {
        let (name, Some(line)) = (&vector["name"], line(&vector)) else { continue };
        let outcome = send(&line).await?;
        assert_eq!(outcome["outcome"], "rejected", "{name}: {outcome}");
        assert_eq!(outcome["code"], vector["rejected"]["code"], "{name}");
        // `data` is a field of a stream's entry, which a batch does not have.
        if vector.contains_key("event") {
            assert_eq!(outcome["message"], vector["rejected"]["message"], "{name}");
        }
    }
    // Each event waits as an early event, whose payload is the event as parsed.
    for vector in vectors("valid")?.into_iter().chain(vectors("cleaned")?) {
        let (name, Some(line)) = (&vector["name"], line(&vector)) else { continue };
        let kind = vector["means"]["type"].as_str().unwrap_or_default();
        let registers =
            kind == "register" || kind == "begin" && vector["means"].get("pipeline").is_some();
        let outcome = send(&line).await?;
        if registers {
            assert_ne!(outcome["outcome"], "rejected", "{name}: {outcome}");
            let clear = "delete from bindery.early_events where true;
                delete from bindery.book_status where true";
            at.client.batch_execute(clear).await?;
            continue;
        }
        assert_eq!(outcome["outcome"], "early", "{name}: {outcome}");
        let kept = at
            .client
            .query_one(
                "with kept as (delete from bindery.early_events returning payload)
                 select k.payload - 'count' = $1::text::jsonb from kept k",
                &[&vector.get("text").map_or_else(
                    || vector["means"].to_string(),
                    |text| text.as_str().unwrap_or_default().to_owned(),
                )],
            )
            .await?;
        assert!(kept.get::<_, bool>(0), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_route_reads_its_event_as_the_vectors_state() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let token = service()?;
    for vector in vectors("rejected")? {
        let Some(event) = vector.get("event") else { continue };
        let (name, rejected) = (&vector["name"], &vector["rejected"]);
        let kind = event["type"].as_str().unwrap_or_default();
        let book = event["book_id"].as_str().and_then(|book| Uuid::try_parse(book).ok());
        let known = ["begin", "fail", "heartbeat", "plan", "progress", "transition"];
        let path = match (kind, book) {
            ("register", _) => "/api/books".to_owned(),
            (kind, Some(book)) if known.contains(&kind) => format!("/api/books/{book}/{kind}"),
            _ => continue,
        };
        let refused = post(&at.daemon, &token, &path, event).await?;
        assert_eq!((refused.status, &code(&refused)?), (422, &text(&rejected["code"])), "{name}");
        assert_eq!(refused.json()?["message"], rejected["message"], "{name}");
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn while_postgres_is_away_a_report_is_answered_503_and_when_to_try_again() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let daemon = database.daemon(&["--jwt-secret", SECRET]).await?;
    let token = service()?;
    servers.stop_postgres().await?;
    for (path, body) in
        [("/api/books", json!({"book_id": Uuid::new_v4()})), ("/api/events", json!([]))]
    {
        let away = post(&daemon, &token, path, &body).await?;
        assert_eq!(away.refusal()?, (503, "08000".to_owned()), "{path}");
        assert_eq!(away.header("retry-after"), Some("5"));
    }
    servers.start_postgres().await?;
    bindery_tests::eventually(Duration::from_secs(60), "Postgres to be back", async || match post(
        &daemon,
        &token,
        "/api/events",
        &json!([]),
    )
    .await
    {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn the_openapi_document_describes_every_route() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let document = at.daemon.ask("GET", "/api/openapi.json").answer().await?;
    assert_eq!(document.status, 200);
    let document = document.json()?;
    let paths = document["paths"].as_object().context("it has paths")?;
    let mut operations = 0;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().context("methods")? {
            operations += 1;
            let path = path.replace("{id}", &Uuid::new_v4().to_string());
            let ask = at.daemon.ask(&method.to_uppercase(), &path).token(&service()?);
            let ask = if method == "post" { ask.json(&json!({})) } else { ask };
            if path.ends_with("/events") && method == "get" {
                continue;
            }
            let answer = ask.answer().await?;
            let status = answer.status.to_string();
            assert!(operation["responses"].get(&status).is_some(), "{method} {path}: {answer:?}");
            assert_ne!(
                (answer.status, answer.json().ok().map(|json| json["code"].clone())),
                (404, Some(json!("no_route"))),
                "{method} {path}"
            );
        }
    }
    assert!(operations >= 20, "{operations}");
    Ok(())
}
