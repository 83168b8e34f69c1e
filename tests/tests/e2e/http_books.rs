//! Lists and timelines over HTTP.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http_support::{Guarded, service, user};
use crate::support::transition;

async fn get(at: &Guarded, path: &str) -> Result<Value> {
    let answer = at.daemon.ask("GET", path).token(&service()?).answer().await?;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn titles(list: &Value) -> Vec<&str> {
    list["books"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|book| book["title"].as_str())
        .collect()
}

#[tokio::test]
async fn books_are_filtered_searched_counted_and_paged() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (ann, ben) = (Uuid::new_v4(), Uuid::new_v4());
    let first = at.book_of(ann, "The Tide").await?;
    let second = at.book_of(ben, "50% of the Fog").await?;
    let third = at.book_of(ann, "Goose").await?;
    for (book, metadata) in [
        (first, json!({"tags": ["sea", "night"]})),
        (second, json!({"tags": ["night"]})),
        (third, json!({"tags": "night", "night": "Goose"})),
    ] {
        at.client
            .execute(
                "update bindery.book_status set metadata = $2 where book_id = $1",
                &[&book, &metadata],
            )
            .await?;
    }
    transition(&at.client, first, "ANALYZING").await?;
    let error = json!({"code": "out_of_ink", "message": "The Press is at 50%"});
    at.client
        .query("select from bindery.fail_book($1, $2, 'no more today')", &[&first, &error])
        .await?;
    transition(&at.client, third, "ANALYZING").await?;
    at.client
        .query("select from bindery.report_progress($1, 'extract_text', 40)", &[&third])
        .await?;

    // Whatever the estimates of other books give.
    at.client
        .batch_execute(&format!(
            "alter table bindery.book_status disable trigger user; \
             update bindery.book_status set estimated_completion_at = \
                 case when book_id = '{third}' then '2030-01-01 12:00+00' \
                   else timestamptz '2030-01-01 13:00+00' end \
               where book_id <> '{second}'; \
             alter table bindery.book_status enable trigger user"
        ))
        .await?;

    assert_eq!(titles(&get(&at, "/api/books").await?), ["Goose", "50% of the Fog", "The Tide"]);
    assert_eq!(
        titles(&get(&at, "/api/books?failed_first=true").await?),
        ["The Tide", "Goose", "50% of the Fog"]
    );
    for (query, expected) in [
        ("status=FAILED", vec!["The Tide"]),
        ("status=ANALYZING,UPLOADED", vec!["Goose", "50% of the Fog"]),
        ("phase=working", vec!["Goose"]),
        ("phase=queued", vec!["50% of the Fog"]),
        ("phase=failed", vec!["The Tide"]),
        ("phase=completed", vec![]),
        ("pipeline=comic&q=GOO", vec!["Goose"]),
        ("pipeline=other", vec![]),
        ("q=0%25%20of", vec!["50% of the Fog"]),
        ("q=OF_INK", vec!["The Tide"]),
        ("q=press", vec!["The Tide"]),
        ("q=no%20more", vec!["The Tide"]),
        ("q=50%25", vec!["50% of the Fog", "The Tide"]),
        ("tag=night", vec!["50% of the Fog", "The Tide"]),
        ("tag=night&q=fog", vec!["50% of the Fog"]),
        ("tag=nigh", vec![]),
        ("tag=Goose", vec![]),
        ("q=%25%25", vec![]),
        ("q=%27%3B--", vec![]),
        (&format!("owner_id={ann}"), vec!["Goose", "The Tide"]),
        (&format!("q={}", &second.to_string()[..13]), vec!["50% of the Fog"]),
    ] {
        assert_eq!(titles(&get(&at, &format!("/api/books?{query}")).await?), expected, "{query}");
    }
    for (query, expected) in [
        ("sort=created_at&order=asc", ["The Tide", "50% of the Fog", "Goose"]),
        ("sort=updated_at", ["Goose", "The Tide", "50% of the Fog"]),
        ("sort=title&order=asc", ["50% of the Fog", "Goose", "The Tide"]),
        ("sort=stage_started_at&order=asc", ["50% of the Fog", "The Tide", "Goose"]),
        ("sort=estimated_completion_at&order=asc", ["Goose", "The Tide", "50% of the Fog"]),
        (
            "sort=overall_progress&order=asc&failed_first=true",
            ["The Tide", "50% of the Fog", "Goose"],
        ),
    ] {
        assert_eq!(titles(&get(&at, &format!("/api/books?{query}")).await?), expected, "{query}");
    }
    let total = get(&at, "/api/books?total=true&limit=1&tag=night").await?;
    assert_eq!((titles(&total), &total["total"]), (vec!["50% of the Fog"], &json!(2)));
    let counted = get(&at, "/api/books?counts=true&limit=1").await?;
    assert_eq!(counted["counts"], json!({"failed": 1, "queued": 1, "working": 1}));
    let counted = get(&at, "/api/books?counts=true&limit=1&tag=night&phase=failed").await?;
    assert_eq!(counted["counts"], json!({"failed": 1, "queued": 1}), "whatever the phase");
    for phase in ["failed", "queued", "working"] {
        let of_phase = get(&at, &format!("/api/books?fields=row&phase={phase}")).await?;
        assert_eq!(of_phase["books"][0]["phase"], phase, "a row has the phase that it is found by");
    }

    for order in [
        "",
        "&order=asc",
        "&failed_first=true",
        "&failed_first=true&order=asc",
        "&sort=updated_at",
        "&sort=overall_progress",
        "&sort=overall_progress&order=asc",
        "&sort=overall_progress&failed_first=true",
        "&sort=title",
        "&sort=title&order=asc&failed_first=true",
        "&sort=stage_started_at",
        "&sort=estimated_completion_at",
        "&sort=estimated_completion_at&order=asc",
        "&fields=row&sort=title&order=asc",
    ] {
        let whole = get(&at, &format!("/api/books?limit=200{order}")).await?;
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let page = get(&at, &format!("/api/books?limit=1{order}{after}")).await?;
            paged.extend(titles(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(paged, titles(&whole), "page by page it is the same list: {order}");
    }
    let book = &get(&at, "/api/books?q=Goose").await?["books"][0];
    let status = get(&at, &format!("/api/books/{third}/status")).await?;
    assert_eq!(book, &status, "a book in a list is its status");
    for (query, code) in [
        ("limit=0", "bad_request"),
        ("limit=201", "bad_request"),
        ("phase=x", "bad_request"),
        ("after=x", "bad_request"),
        ("owner_id=x", "bad_request"),
        ("sort=owner_id", "bad_request"),
        ("fields=all", "bad_request"),
        ("order=up", "bad_request"),
        ("nonsense=1", "bad_request"),
        (&format!("after=0_2026-13-99T99:99:99Z_{first}"), "22008"),
        (&format!("sort=title&after=0_7_{first}"), "22023"),
        (&format!("sort=title&after=0_ff_{first}"), "22021"),
    ] {
        let refused = at
            .daemon
            .ask("GET", &format!("/api/books?{query}"))
            .token(&service()?)
            .answer()
            .await?;
        assert_eq!(refused.refusal()?, (400, code.to_owned()), "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_of_rows_has_about_a_kilobyte_a_book() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let owner = Uuid::new_v4();
    let book = at.book_of(owner, "The Tide").await?;
    transition(&at.client, book, "ANALYZING").await?;
    let error = json!({"code": "ink", "message": "x".repeat(9000), "stack": ["y".repeat(9000)]});
    let metadata = json!({"tags": ["tides", "north"], "text": "z".repeat(9000)});
    at.client.query("select from bindery.fail_book($1, $2)", &[&book, &error]).await?;
    at.client
        .execute(
            "update bindery.book_status set metadata = $2 where book_id = $1",
            &[&book, &metadata],
        )
        .await?;
    let whole = get(&at, &format!("/api/books/{book}/status")).await?;
    let list = get(&at, "/api/books?fields=row").await?;
    let mut row = list["books"][0].as_object().context("no row")?.clone();
    assert_eq!(row["error"], json!({"code": "ink", "message": "x".repeat(500)}));
    assert_eq!(row["tags"], json!(["tides", "north"]));
    assert_eq!(row["max_attempts"], whole["stages"][0]["max_attempts"]);
    assert_eq!(
        row["stages"][0],
        json!({"name": "ANALYZING", "label": "Reading the book", "weight": 20, "state": "failed",
            "progress": 0})
    );
    assert_eq!(row["phase"], "failed");
    for key in ["error", "stages", "tags", "max_attempts", "phase"] {
        row.remove(key);
    }
    for (key, value) in &row {
        assert_eq!(value, &whole[key], "{key} is as in the status");
    }
    for key in ["health", "resume_at", "attempt", "owner_id", "estimated_completion_at"] {
        assert!(row.contains_key(key), "{key} is missing");
    }
    assert!(!row.contains_key("substeps") && !row.contains_key("metadata"));
    at.client
        .execute("update bindery.book_status set metadata = '{\"tags\": \"tides\"}'", &[])
        .await?;
    let path = "/api/books?fields=row";
    let answer = at.daemon.ask("GET", path).token(&user(owner)?).answer().await?;
    assert_eq!(answer.json()?["books"][0]["tags"], json!([]), "tags are a list or none");
    assert!(answer.body.len() < 2500, "{}", answer.body.len());
    Ok(())
}

#[tokio::test]
async fn all_substeps_of_a_stage_are_listed_by_pages() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    for to in ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"] {
        transition(&at.client, book, to).await?;
    }
    let plan = "select from bindery.plan_substeps($1, 'CREATING_ARTWORK', (
        select jsonb_agg(jsonb_build_object('substep', 'page_' || n))
        from generate_series(1000, 1449) n))";
    at.client.query(plan, &[&book]).await?;
    let report = "select from bindery.report_progress($1, 'page_1007', 40, message => $2)";
    at.client.query(report, &[&book, &"x".repeat(8000)]).await?;
    let status = get(&at, &format!("/api/books/{book}/status")).await?;
    assert_eq!(status["substeps"].as_array().map(Vec::len), Some(200), "a status is bounded");
    assert_eq!(
        (&status["substeps_total"], &status["substeps_done"]),
        (&json!(450), &json!(0)),
        "but counts all"
    );
    assert_eq!(status["substeps"][0]["substep"], "page_1007", "those at work come first");
    assert_eq!(
        status["substeps"][0]["message"].as_str().map(|text| text.chars().count()),
        Some(500)
    );

    let (mut keys, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&at, &format!("/api/books/{book}/substeps?limit=200{after}")).await?;
        let substeps = page["substeps"].as_array().context("no substeps")?;
        keys.extend(substeps.iter().map(|substep| substep["substep"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let all: Vec<_> = (1000..1450).map(|page| json!(format!("page_{page}"))).collect();
    assert_eq!(keys, all);
    let earlier = get(&at, &format!("/api/books/{book}/substeps?stage=ANALYZING&limit=1")).await?;
    assert_eq!(earlier["substeps"][0]["substep"], "analyze_characters");
    for (query, refusal) in [
        ("stage=PRINTING", (404, "PT404")),
        ("limit=501", (400, "bad_request")),
        ("limit=0", (400, "bad_request")),
        ("page=2", (400, "bad_request")),
    ] {
        let path = format!("/api/books/{book}/substeps?{query}");
        let refused = at.daemon.ask("GET", &path).token(&service()?).answer().await?;
        assert_eq!(refused.refusal()?, (refusal.0, refusal.1.to_owned()), "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_timeline_is_the_history_the_latest_first() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    for to in ["ANALYZING", "GENERATING_SCENES", "FAILED"] {
        transition(&at.client, book, to).await?;
    }
    let whole = get(&at, &format!("/api/books/{book}/timeline")).await?;
    let events = whole["events"].as_array().context("no events")?;
    let kinds: Vec<_> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(
        (kinds, &whole["next"]),
        (vec!["fail", "transition", "transition", "register"], &Value::Null)
    );
    let page = get(&at, &format!("/api/books/{book}/timeline?limit=2")).await?;
    assert_eq!(page["events"].as_array().map(Vec::as_slice), events.get(..2));
    let rest =
        get(&at, &format!("/api/books/{book}/timeline?limit=2&before={}", page["next"])).await?;
    assert_eq!(rest["events"].as_array().map(Vec::as_slice), events.get(2..));
    Ok(())
}

#[tokio::test]
async fn every_documented_route_and_parameter_exists() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/http.md"))?;
    let named = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let routes: Vec<_> = named.filter_map(|name| name.split_once(' ')).collect();
    assert!(routes.len() >= 8, "{routes:?}");
    for (method, path) in routes {
        let path = path.replace("{id}", &book.to_string());
        if method == "GET" && path.ends_with("/events") {
            at.daemon.ask(method, &path).token(&service()?).stream().await?;
            continue;
        }
        let answer =
            at.daemon.ask(method, &path).token(&service()?).json(&json!({})).answer().await?;
        assert!(![404, 405].contains(&answer.status), "{method} {path}: {answer:?}");
    }
    let filters = format!("status=FAILED&phase=failed&pipeline=comic&owner_id={book}&q=x&tag=x");
    let order =
        "failed_first=true&sort=updated_at&order=asc&limit=1&counts=true&total=true&fields=row";
    get(&at, &format!("/api/books?{filters}&{order}")).await?;
    Ok(())
}
