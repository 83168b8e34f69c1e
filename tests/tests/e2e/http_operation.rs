//! The API for operators: dead letters, early events, the system, the pipelines.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow};
use bindery_tests::{Answer, Servers, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http_support::{Guarded, service, user, worker};
use crate::support::{SOON, transition};

async fn get(at: &Guarded, path: &str) -> Result<Value> {
    let answer = at.daemon.ask("GET", path).token(&service()?).answer().await?;
    anyhow::ensure!(answer.status == 200, "{path}: {answer:?}");
    answer.json()
}

async fn post(at: &Guarded, path: &str, body: &Value) -> Result<Answer> {
    at.daemon.ask("POST", path).token(&service()?).json(body).answer().await
}

async fn done(at: &Guarded, path: &str, body: &Value) -> Result<Value> {
    let answer = post(at, path, body).await?;
    anyhow::ensure!(answer.status == 200, "{path} {body}: {answer:?}");
    answer.json()
}

/// Adds `number` dead letters: heartbeats of books that are not registered.
async fn add_letters(at: &Guarded, stream: &str, reason: &str, number: i32) -> Result<()> {
    let query = "insert into bindery.dead_letters
          (stream, event_id, first_event_id, book_id, reason, message, payload, at)
        select $1, n || '-0', n || '-0', b.id, $2, 'A message about number ' || n,
          jsonb_build_object('type', 'heartbeat', 'id', n || '-0', 'count', 1, 'segment', 1,
            'book_id', b.id), now()
        from generate_series(1, $3) n cross join lateral (
          select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid as id) b";
    at.client.execute(query, &[&stream, &reason, &number]).await?;
    Ok(())
}

fn ids(page: &Value) -> Vec<i64> {
    let items = page["dead_letters"].as_array().into_iter().flatten();
    items.filter_map(|letter| letter["id"].as_i64()).collect()
}

async fn number(at: &Guarded) -> Result<i64> {
    Ok(at.client.query_one("select count(*) from bindery.dead_letters", &[]).await?.get(0))
}

#[tokio::test]
async fn dead_letters_are_listed_by_pages_with_counts_and_filters() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    add_letters(&at, "one", "unknown_book", 25).await?;
    add_letters(&at, "two", "bad_uuid", 5).await?;
    let query = "insert into bindery.dead_letters (stream, reason, message, payload, truncated, at)
        values ('two', 'too_large', 'Large.', jsonb_build_object('type', 'progress',
          'data', repeat('x', 40000)), true, now())";
    at.client.batch_execute(query).await?;

    let first = get(&at, "/api/dead-letters?limit=20&counts=true&total=true").await?;
    assert_eq!(first["counts"], json!({"unknown_book": 25, "bad_uuid": 5, "too_large": 1}));
    assert_eq!((&first["total"], ids(&first).len()), (&json!(31), 20));
    let next = &first["next"];
    let second = get(&at, &format!("/api/dead-letters?limit=20&after={next}")).await?;
    assert_eq!((ids(&second).len(), &second["next"]), (11, &Value::Null));
    let all: Vec<i64> = [ids(&first), ids(&second)].concat();
    assert!(all.is_sorted_by(|a, b| a > b), "the newest first, each once: {all:?}");

    let large = &first["dead_letters"][0];
    assert_eq!((&large["reason"], &large["truncated"]), (&json!("too_large"), &json!(true)));
    assert_eq!(large["replayable"], false);
    assert_eq!(large["payload"], json!({"type": "progress", "cut": true}), "within 16 KiB");
    let whole = &first["dead_letters"][1];
    assert_eq!((&whole["replayable"], &whole["count"]), (&json!(true), &json!(1)));
    assert_eq!(whole["payload"]["type"], "heartbeat");
    assert!(whole["at"].is_string() && whole["replayed_at"].is_null(), "{whole}");
    let query = "insert into bindery.dead_letters (stream, reason, message, payload, at)
        values ('two', 'bad_uuid', 'Unreadable.', jsonb_build_object('type', 'progress'), now())
        returning id";
    let unread: i64 = at.client.query_one(query, &[]).await?.get(0);
    let page = get(&at, "/api/dead-letters?limit=1").await?;
    let newest = &page["dead_letters"][0];
    assert_eq!((&newest["id"], &newest["replayable"]), (&json!(unread), &json!(false)));
    let delete = "delete from bindery.dead_letters where id = $1";
    at.client.execute(delete, &[&unread]).await?;

    for (filter, expected) in [
        ("reason=bad_uuid", 5),
        ("stream=one", 25),
        ("reason=bad_uuid&stream=one", 0),
        ("book_id=00000000-0000-4000-8000-000000000003", 2),
        ("q=NUMBER%2024", 1),
        ("q=24-", 1),
        ("q=00000000-0000-4000-8000-00000000002", 6),
        ("q=%25", 0),
    ] {
        let page = get(&at, &format!("/api/dead-letters?total=true&{filter}")).await?;
        assert_eq!((&page["total"], ids(&page).len()), (&json!(expected), expected), "{filter}");
    }
    let counts = get(&at, "/api/dead-letters?counts=true&reason=bad_uuid&stream=two").await?;
    assert_eq!(counts["counts"], json!({"bad_uuid": 5, "too_large": 1}), "of every reason");
    for wrong in ["limit=0", "limit=201", "after=x", "book_id=7", "reasons=x"] {
        let path = format!("/api/dead-letters?{wrong}");
        let refused = at.daemon.ask("GET", &path).token(&service()?).answer().await?;
        assert_eq!(refused.refusal()?, (400, "bad_request".to_owned()), "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn dead_letters_are_replayed_and_dropped_by_ids_and_by_filter() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    add_letters(&at, "one", "unknown_book", 130).await?;
    add_letters(&at, "two", "bad_uuid", 3).await?;
    let registered = "select b.book_id from generate_series(1, 120) n
        cross join lateral bindery.register_book(
          ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid) b";
    at.client.query(registered, &[]).await?;

    let filter = json!({"filter": {"stream": "one"}, "dry_run": true});
    let dry = done(&at, "/api/dead-letters/replay", &filter).await?;
    assert_eq!(
        (&dry["dry_run"], &dry["matching"], &dry["replayable"]),
        (&json!(true), &json!(130), &json!(130))
    );
    assert_eq!(number(&at).await?, 133, "a dry run changes nothing");

    // What arrives after the dry run is not replayed with it.
    add_letters(&at, "one", "unknown_book", 1).await?;
    let chosen = json!({"filter": {"stream": "one"}, "through": dry["through"]});
    let replayed = done(&at, "/api/dead-letters/replay", &chosen).await?;
    let expected = json!(
        {"applied": 120, "stale": 0, "rejected": 10, "more": false, "next": null});
    assert_eq!(replayed, expected, "over several batches, each letter once");
    assert_eq!(number(&at).await?, 14);
    let page = get(&at, "/api/dead-letters?stream=one").await?;
    assert_eq!(page["dead_letters"][0]["replayed_at"], Value::Null);
    assert!(page["dead_letters"][1]["replayed_at"].is_string(), "{page}");

    let some = ids(&get(&at, "/api/dead-letters?reason=bad_uuid").await?);
    let dry = json!({"ids": &some[..2], "dry_run": true});
    assert_eq!(done(&at, "/api/dead-letters/drop", &dry).await?["matching"], 2);
    let dropped = done(&at, "/api/dead-letters/drop", &json!({"ids": &some[..2]})).await?;
    assert_eq!(dropped, json!({"dropped": 2, "more": false, "next": null}));
    let replayed = done(&at, "/api/dead-letters/replay", &json!({"ids": [some[2]]})).await?;
    assert_eq!(replayed["applied"], 1, "{replayed}");
    let all = json!({"filter": {}});
    assert_eq!(done(&at, "/api/dead-letters/drop", &all).await?["dropped"], 11);
    assert_eq!(number(&at).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_second_replay_at_the_same_time_is_refused() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    add_letters(&at, "one", "unknown_book", 1).await?;
    let mut other = at.database.connect().await?;
    let held = other.transaction().await?;
    held.query("select * from bindery.replay_dead_letters()", &[]).await?;
    let refused = post(&at, "/api/dead-letters/replay", &json!({"filter": {}})).await?;
    assert_eq!(refused.refusal()?, (409, "PT409".to_owned()));
    held.rollback().await?;
    let replayed = done(&at, "/api/dead-letters/replay", &json!({"filter": {}})).await?;
    assert_eq!(replayed["rejected"], 1);
    Ok(())
}

#[tokio::test]
async fn only_the_service_may_operate() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    add_letters(&at, "one", "unknown_book", 1).await?;
    let tokens = [user(Uuid::new_v4())?, worker(json!({}))?];
    for path in ["dead-letters", "early-events", "system", "system/findings", "pipelines"] {
        let path = format!("/api/{path}");
        for token in &tokens {
            let refused = at.daemon.ask("GET", &path).token(token).answer().await?;
            assert_eq!(refused.refusal()?, (403, "42501".to_owned()), "{path}");
            let hint = refused.json()?["hint"].to_string();
            assert!(hint.contains("service_role"), "{hint}");
        }
        let refused = at.daemon.ask("GET", &path).answer().await?;
        assert_eq!(refused.refusal()?, (401, "42501".to_owned()), "{path}");
    }
    for path in ["/api/dead-letters/replay", "/api/dead-letters/drop"] {
        let all = json!({"filter": {}});
        for token in &tokens {
            let refused = at.daemon.ask("POST", path).token(token).json(&all).answer().await?;
            assert_eq!(refused.refusal()?, (403, "42501".to_owned()), "{path}");
        }
        for body in [json!({}), json!({"ids": []}), json!({"ids": [1], "filter": {}})] {
            let refused = post(&at, path, &body).await?;
            assert_eq!(refused.refusal()?, (400, "bad_request".to_owned()), "{path} {body}");
        }
    }
    assert_eq!(number(&at).await?, 1, "nothing was dropped");
    Ok(())
}

#[tokio::test]
async fn early_events_are_listed_with_the_time_at_which_they_expire() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    let book = Uuid::new_v4();
    let mut redis = Servers::shared().await?.redis().await?;
    let event = json!({"type": "heartbeat", "book_id": book}).to_string();
    let () = redis::cmd("XADD")
        .arg(at.database.stream())
        .arg("*")
        .arg("data")
        .arg(event)
        .query_async(&mut redis)
        .await?;
    let page = eventually(SOON, "an early event", async || {
        let page = get(&at, "/api/early-events?counts=true&total=true").await?;
        if page["total"] == 1 { Ok(page) } else { Err(anyhow!("{page}")) }
    })
    .await?;
    assert_eq!(page["counts"], json!({"unknown_book": 1}));
    let event = &page["early_events"][0];
    assert_eq!((&event["book_id"], &event["reason"]), (&json!(book), &json!("unknown_book")));
    let query = "select $1::text::timestamptz - $2::text::timestamptz
        = (select patience from bindery.settings)";
    let (expires, at_) = (event["expires_at"].as_str(), event["at"].as_str());
    assert!(at.client.query_one(query, &[&expires, &at_]).await?.get::<_, bool>(0), "{event}");
    let none = get(&at, "/api/early-events?reason=attempt_ahead&total=true").await?;
    assert_eq!((&none["total"], &none["early_events"]), (&json!(0), &json!([])));
    assert_eq!(get(&at, "/api/system").await?["early_events"], 1);
    Ok(())
}

#[tokio::test]
async fn the_system_shows_the_daemon_its_streams_and_its_servers() -> Result<()> {
    let at = Guarded::start(&["--sweep", "100ms"]).await?;
    let stream = at.database.stream();
    let system =
        eventually(SOON, "a caught-up stream, an announced relay and a sweep", async || {
            let system = get(&at, "/api/system").await?;
            let of = &system["streams"][0];
            let ready = !system["relays"][0].is_null() && !system["sweeper"]["at"].is_null();
            if of["is_held"] == true && of["lag_seconds"].as_f64() == Some(0.0) && ready {
                Ok(system)
            } else {
                Err(anyhow!("{system}"))
            }
        })
        .await?;
    let holder = &system["daemon"]["holder"];
    let of = &system["streams"][0];
    assert_eq!((&of["stream"], &of["holder"]), (&json!(stream), holder));
    assert_eq!(system["relays"][0]["streams"], json!([stream]));
    assert_eq!(&system["relays"][0]["holder"], holder);
    assert_eq!(system["schema"]["version"], system["schema"]["expected"]);
    assert_eq!(system["daemon"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(system["daemon"]["problems"], json!([]));
    assert_eq!(system["sweeper"]["every_seconds"], 0.1);
    assert_eq!(system["postgres"]["is_standby"], false);
    assert_eq!(system["settings"]["patience"], "00:15:00");
    let kind = system["kernel"]["kind"].as_str().context("a kernel")?;
    assert!(["native", "portable"].contains(&kind), "{kind}");
    add_letters(&at, "one", "unknown_book", 3).await?;
    assert_eq!(get(&at, "/api/system").await?["dead_letters"], 3);
    Ok(())
}

#[tokio::test]
async fn the_findings_are_those_of_doctor_for_the_daemons_own_options() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let first = get(&at, "/api/system/findings").await?;
    let found = first["findings"].as_array().context("a list")?;
    let checks: BTreeSet<&str> = found.iter().filter_map(|it| it["check"].as_str()).collect();
    for check in ["postgres_schema", "kernel", "postgres_rights", "redis_version", "http_access"] {
        assert!(checks.contains(check), "{check} in {first}");
    }
    let shows = |text: &str| found.iter().any(|it| it["found"].to_string().contains(text));
    assert!(shows("tokens are checked by the secret") && shows(at.database.stream()), "{first}");
    assert!(found.iter().all(|it| (it["level"] == "ok") == it["remedy"].is_null()), "{first}");
    let again = get(&at, "/api/system/findings").await?;
    assert_eq!(again["at"], first["at"], "within seconds the checks do not run again");
    Ok(())
}

#[tokio::test]
async fn the_pipelines_show_books_durations_and_failures() -> Result<()> {
    let at = Guarded::start(&["--outbox", "", "--sweep", "0"]).await?;
    let owner = Uuid::new_v4();
    for steps in [&["ANALYZING"][..], &["ANALYZING", "GENERATING_SCENES"], &["CANCELLED"]] {
        let book = at.book_of(owner, "The Tide").await?;
        for to in steps {
            transition(&at.client, book, to).await?;
        }
    }
    let failed = at.book_of(owner, "The Tide").await?;
    for to in ["ANALYZING", "FAILED"] {
        transition(&at.client, failed, to).await?;
    }
    at.client.execute("select bindery.sweep()", &[]).await?;
    let answer = get(&at, "/api/pipelines?days=2").await?;
    assert_eq!(answer["bucket"], "hour");
    let comic = answer["pipelines"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|it| it["name"] == "comic")
        .context("comic")?;
    let expected = json!({"ANALYZING": 1, "GENERATING_SCENES": 1, "CANCELLED": 1, "FAILED": 1});
    assert_eq!(comic["books"], expected);
    let names = comic["states"].as_array().into_iter().flatten().map(|it| it["name"].clone());
    assert_eq!(
        names.collect::<Value>(),
        json!(["UPLOADED", "ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"])
    );
    assert_eq!(comic["states"][1]["next"], json!(["GENERATING_SCENES"]));
    let stage = &comic["stages"][0];
    assert_eq!((&stage["name"], &stage["samples"]), (&json!("ANALYZING"), &json!(1)));
    assert!(stage["median_seconds"].as_f64() <= stage["p95_seconds"].as_f64(), "{stage}");
    let failure = &comic["failures"][0];
    assert_eq!((&failure["stage"], &failure["n"]), (&json!("ANALYZING"), &json!(1)));
    let hour = failure["at"].as_str().context("a time")?;
    assert!(hour.ends_with(":00:00+00:00"), "{hour}");
    assert_eq!(get(&at, "/api/pipelines").await?["bucket"], "day");
    for wrong in ["days=0", "days=91", "days=x", "day=1"] {
        let path = format!("/api/pipelines?{wrong}");
        let refused = at.daemon.ask("GET", &path).token(&service()?).answer().await?;
        assert_eq!(refused.refusal()?, (400, "bad_request".to_owned()), "{wrong}");
    }
    Ok(())
}
