//! A whole book by events only, from its registration to its end, as every reader sees it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Listener, Servers, eventually};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::oracle::plain;
use crate::support::{Entry, SOON, add, applied_up_to, book_row, entries, entry, json};

/// A book that services work on, and all its readers.
struct Stage<'a> {
    database: Database<'a>,
    daemon: Daemon,
    client: Client,
    redis: MultiplexedConnection,
    book: Uuid,
}

impl<'a> Stage<'a> {
    async fn set(args: &[&str]) -> Result<Stage<'a>> {
        let servers = Servers::shared().await?;
        let database = servers.database().await?;
        let (client, redis) = (database.connect().await?, servers.redis().await?);
        let daemon = database.daemon(args).await?;
        Ok(Stage { database, daemon, client, redis, book: Uuid::new_v4() })
    }

    /// Adds an event as flat fields, waits until it has taken effect, and returns the book's row.
    async fn flat(&mut self, fields: &[(&str, &str)]) -> Result<Value> {
        let book = self.book.to_string();
        let event: Entry = entry(fields.iter().copied().chain([("book_id", book.as_str())]));
        self.entry(event).await
    }

    /// The same for an event as one JSON object.
    async fn data(&mut self, mut event: Value) -> Result<Value> {
        event["book_id"] = json!(self.book);
        self.entry(entry([("data", event.to_string().as_str())])).await
    }

    async fn entry(&mut self, event: Entry) -> Result<Value> {
        let id = add(&mut self.redis, self.database.stream(), &event).await?;
        applied_up_to(&self.client, self.database.stream(), &id).await?;
        let row = book_row(&self.client, self.book).await?;
        self.same_over_http(&row).await?;
        Ok(row)
    }

    /// `GET /api/books/{id}/status` equals `get_book_status`, which has the row's columns except
    /// the internal ones.
    async fn same_over_http(&self, row: &Value) -> Result<()> {
        const INTERNAL: [&str; 4] =
            ["substeps_weight", "substeps_points", "stage_base", "stage_share"];
        let answer = self.daemon.get(&format!("/api/books/{}/status", self.book)).await?;
        let over_http: Value = serde_json::from_str(&answer.body)?;
        let by_sql = self.status().await?;
        ensure!(answer.status == 200 && over_http == by_sql, "{answer:?}\nis not\n{by_sql}");
        for (name, value) in row.as_object().into_iter().flatten() {
            let shown = &by_sql[name];
            let expected = if INTERNAL.contains(&name.as_str()) { &Value::Null } else { value };
            ensure!(shown == expected, "{name} is {value} in the row, {shown} in get_book_status");
        }
        Ok(())
    }

    async fn status(&self) -> Result<Value> {
        json(&self.client, "select bindery.get_book_status($1)", &[&self.book]).await
    }
}

/// The columns that change along the way: status, stage, attempt, percent of the stage and of the
/// whole, revision.
fn standing(row: &Value) -> Value {
    let names =
        ["status", "current_stage", "attempt", "stage_progress", "overall_progress", "revision"];
    names.iter().map(|name| row[*name].clone()).collect()
}

#[tokio::test]
async fn a_book_from_beginning_to_end() -> Result<()> {
    let mut at = Stage::set(&[]).await?;
    let mut seen = Listener::start(at.database.url()).await?;
    let owner = Uuid::new_v4().to_string();

    let row = at
        .flat(&[
            ("type", "register"),
            ("owner_id", &owner),
            ("title", "Tide"),
            ("metadata", r#"{"pages": 320}"#),
        ])
        .await?;
    assert_eq!(standing(&row), json!(["UPLOADED", "UPLOADED", 1, 0, 0, 1]));
    assert_eq!(
        (&row["owner_id"], &row["title"], &row["metadata"]),
        (&json!(owner), &json!("Tide"), &json!({"pages": 320}))
    );

    let row = at
        .data(json!({"type": "transition", "to_status": "ANALYZING", "message": "a worker has it"}))
        .await?;
    assert_eq!(standing(&row), json!(["ANALYZING", "ANALYZING", 1, 0, 0, 2]));
    assert_eq!(row["message"], "a worker has it");
    at.flat(&[
        ("type", "progress"),
        ("substep", "extract_text"),
        ("done", "80"),
        ("total", "320"),
        ("unit", "page"),
    ])
    .await?;
    at.data(json!({"type": "progress", "substep": "extract_text", "done": 320, "total": 320,
            "unit": "page", "attempt": 1}))
        .await?;
    at.data(json!({"type": "progress", "stage": "ANALYZING", "substep": "detect_chapters",
        "progress": 100}))
        .await?;
    let row = at
        .flat(&[
            ("type", "progress"),
            ("substep", "analyze_characters"),
            ("progress", "50"),
            ("message", "Ahab"),
        ])
        .await?;
    assert_eq!(standing(&row), json!(["ANALYZING", "ANALYZING", 1, 75, 15, 6]));
    let substeps = json!([
        {"substep": "analyze_characters", "label": "Analyze characters", "weight": 2,
            "state": "active", "progress": 50,
            "message": "Ahab"},
        {"substep": "extract_text", "label": "Extract text", "weight": 1,
            "state": "done", "progress": 100, "done": 320, "total": 320, "unit": "page"},
        {"substep": "detect_chapters", "label": "Detect chapters", "weight": 1,
            "state": "done", "progress": 100},
    ]);
    assert_eq!(plain(&at.status().await?["substeps"]), plain(&substeps));

    at.flat(&[("type", "transition"), ("to_status", "GENERATING_SCENES")]).await?;
    let checkpoint = json!({"scene": 3});
    at.data(json!({"type": "progress", "substep": "split_scenes", "done": 3, "total": 4,
        "checkpoint": checkpoint}))
        .await?;
    at.flat(&[("type", "progress"), ("substep", "write_prompts"), ("progress", "20")]).await?;
    let row = at
        .data(json!({"type": "fail", "error": {"code": "out_of_memory"}, "message": "killed",
            "stage": "GENERATING_SCENES"}))
        .await?;
    assert_eq!(standing(&row), json!(["FAILED", "GENERATING_SCENES", 1, 47.5, 34.25, 10]));
    assert_eq!(
        (&row["error"]["code"], &row["message"]),
        (&json!("out_of_memory"), &json!("killed"))
    );

    // Substeps with a checkpoint are kept, the others start over.
    let row = at.flat(&[("type", "transition"), ("to_status", "GENERATING_SCENES")]).await?;
    assert_eq!(
        standing(&row),
        json!(["GENERATING_SCENES", "GENERATING_SCENES", 2, 37.5, 31.25, 11])
    );
    assert_eq!(row["error"], Value::Null);
    let point = json(&at.client, "select bindery.get_resume_point($1)", &[&at.book]).await?;
    assert_eq!(
        (&point["left"][0]["checkpoint"], &point["attempt"]),
        (&checkpoint, &json!(2)),
        "{point}"
    );
    // A worker of the first attempt that has not learned of the second.
    let row = at
        .flat(&[
            ("type", "progress"),
            ("substep", "write_prompts"),
            ("progress", "90"),
            ("attempt", "1"),
        ])
        .await?;
    assert_eq!(
        standing(&row),
        json!(["GENERATING_SCENES", "GENERATING_SCENES", 2, 37.5, 31.25, 11])
    );

    let plan = r#"[{"substep": "chapter_1", "weight": 3}, {"substep": "chapter_2"}]"#;
    at.flat(&[("type", "plan"), ("stage", "CREATING_ARTWORK"), ("substeps", plan)]).await?;
    at.data(json!({"type": "transition", "to_status": "CREATING_ARTWORK", "attempt": 2})).await?;
    let set = at
        .client
        .query_one("select heartbeat_at::text from bindery.book_status", &[])
        .await?
        .get::<_, String>(0);
    let quiet = at.flat(&[("type", "heartbeat")]).await?;
    assert_eq!(standing(&quiet), json!(["CREATING_ARTWORK", "CREATING_ARTWORK", 1, 0, 50, 12]));
    let later = "select heartbeat_at > $1::text::timestamptz from bindery.book_status";
    assert!(
        at.client.query_one(later, &[&set]).await?.get::<_, bool>(0),
        "a heartbeat moves heartbeat_at and changes nothing else"
    );
    let row =
        at.data(json!({"type": "progress", "substep": "chapter_1", "progress": "100"})).await?;
    assert_eq!(standing(&row), json!(["CREATING_ARTWORK", "CREATING_ARTWORK", 1, 75, 87.5, 13]));
    let row =
        at.flat(&[("type", "progress"), ("substep", "chapter_2"), ("progress", "100")]).await?;
    assert_eq!(standing(&row), json!(["CREATING_ARTWORK", "CREATING_ARTWORK", 1, 100, 99.99, 14]));
    let row = at.flat(&[("type", "transition"), ("to_status", "COMPLETED")]).await?;
    assert_eq!(standing(&row), json!(["COMPLETED", "CREATING_ARTWORK", 1, 100, 100, 15]));
    assert!(row["completed_at"].is_string());

    seen_by_listeners(&mut seen, at.book, 15).await?;
    history_and_outbox(&mut at).await
}

/// Each revision was announced, in order; some may have been skipped by a later one.
async fn seen_by_listeners(seen: &mut Listener, book: Uuid, last: i64) -> Result<()> {
    let mut revisions = Vec::new();
    while revisions.last() != Some(&last) {
        let payload = tokio::time::timeout(SOON, seen.next())
            .await
            .with_context(|| format!("announced: {revisions:?}"))??;
        let payload: Value = serde_json::from_str(&payload)?;
        ensure!(payload["book_id"] == json!(book), "{payload}");
        revisions.push(payload["revision"].as_i64().context("no revision")?);
    }
    // Here every event had its own transaction.
    ensure!(revisions == (1..=last).collect::<Vec<_>>(), "announced: {revisions:?}");
    Ok(())
}

async fn history_and_outbox(at: &mut Stage<'_>) -> Result<()> {
    let query =
        "select jsonb_agg(jsonb_build_array(kind, from_status, to_status, attempt, revision)
            order by revision) from bindery.book_events
        where book_id = $1 and actor = 'relay:' || $2";
    let history = json(&at.client, query, &[&at.book, &at.database.stream()]).await?;
    let expected = json!([
        ["register", null, "UPLOADED", 1, 1],
        ["transition", "UPLOADED", "ANALYZING", 1, 2],
        ["transition", "ANALYZING", "GENERATING_SCENES", 1, 7],
        ["fail", "GENERATING_SCENES", "FAILED", 1, 10],
        ["resume", "FAILED", "GENERATING_SCENES", 2, 11],
        ["transition", "GENERATING_SCENES", "CREATING_ARTWORK", 1, 12],
        ["complete", "CREATING_ARTWORK", "COMPLETED", 1, 15],
    ]);
    assert_eq!(history, expected);

    // All tests share the default stream; only this one publishes to it.
    let published: Vec<Value> = eventually(SOON, "the outbox to be published", async || {
        let mut published = Vec::new();
        for (_, fields) in entries(&mut at.redis, "bindery:changes").await? {
            let fields: BTreeMap<String, String> = fields
                .into_iter()
                .map(|(name, value)| {
                    Ok::<_, anyhow::Error>((String::from_utf8(name)?, String::from_utf8(value)?))
                })
                .collect::<Result<_>>()?;
            if fields["book_id"] == at.book.to_string() {
                let payload: Value = serde_json::from_str(&fields["payload"])?;
                ensure!(
                    payload["revision"] == json!(fields["revision"].parse::<i64>()?),
                    "{fields:?}"
                );
                let resumes =
                    payload["resume_point"]["left"][0]["checkpoint"] == json!({"scene": 3});
                ensure!(resumes == (fields["kind"] == "resume"), "{fields:?}");
                let kind = if resumes { "resume" } else { "transition" };
                published.push(json!([
                    kind,
                    payload["from_status"],
                    payload["to_status"],
                    payload["attempt"],
                    payload["revision"]
                ]));
            }
        }
        if published.len() < 7 { Err(anyhow!("{published:?}")) } else { Ok(published) }
    })
    .await?;
    let as_published = expected.as_array().into_iter().flatten().map(|row| {
        let kind = if row[0] == "resume" { "resume" } else { "transition" };
        json!([kind, row[1], row[2], row[3], row[4]])
    });
    assert_eq!(published, as_published.collect::<Vec<_>>());
    eventually(SOON, "the outbox to be empty", async || {
        let left: i64 =
            at.client.query_one("select count(*) from bindery.outbox", &[]).await?.get(0);
        if left == 0 { Ok(()) } else { Err(anyhow!("{left} are left")) }
    })
    .await
}

#[tokio::test]
async fn an_outbox_of_no_name_is_not_published() -> Result<()> {
    let mut at = Stage::set(&["--outbox", ""]).await?;
    at.flat(&[("type", "register")]).await?;
    at.flat(&[("type", "transition"), ("to_status", "ANALYZING")]).await?;
    assert_eq!(at.daemon.sigterm().await?.code(), Some(0));
    let left: i64 = at.client.query_one("select count(*) from bindery.outbox", &[]).await?.get(0);
    assert_eq!(left, 2);
    Ok(())
}

#[tokio::test]
async fn an_unknown_resource_is_404_and_an_invalid_id_is_400() -> Result<()> {
    let at = Stage::set(&["--outbox", ""]).await?;
    let unknown = at.daemon.get(&format!("/api/books/{}/status", at.book)).await?;
    let body: Value = serde_json::from_str(&unknown.body)?;
    let details: Value = serde_json::from_str(body["details"].as_str().unwrap_or_default())?;
    assert_eq!(
        (unknown.status, &body["code"], &details["code"]),
        (404, &json!("PT404"), &json!("unknown_book")),
        "{body}"
    );
    assert!(
        body["message"].as_str().is_some_and(|message| message.contains(&at.book.to_string())),
        "{body}"
    );
    assert!(body["hint"].is_string(), "{body}");
    for path in ["/api/books/book-7/status", "/api/books/%27%3B--/status"] {
        let bad = at.daemon.get(path).await?;
        let body: Value = serde_json::from_str(&bad.body)?;
        assert_eq!((bad.status, &body["code"]), (400, &json!("22P02")), "{path}: {body}");
        assert!(body["message"].is_string() && body["hint"].is_string(), "{body}");
    }
    assert_eq!(at.daemon.get("/api/nothing").await?.status, 404);
    assert_eq!(at.daemon.get("/healthz").await?.status, 200);
    let metrics = at.daemon.get("/metrics").await?;
    assert!(metrics.status == 200 && metrics.body.contains("bindery_relay_held"), "{metrics:?}");
    Ok(())
}
