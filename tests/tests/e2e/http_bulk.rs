//! Acts on many books over HTTP: by ids and by filter, a dry run first, an outcome a book.

use anyhow::{Context, Result};
use bindery_tests::Answer;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http_support::{Guarded, service, user};
use crate::support::{all_of, transition};

async fn post(at: &Guarded, path: &str, body: &Value) -> Result<Answer> {
    at.daemon.ask("POST", path).token(&service()?).json(body).answer().await
}

/// The outcome of each book.
fn outcomes(answer: &Value) -> Vec<(Uuid, &str, Option<&str>)> {
    let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    results
        .iter()
        .map(|book| {
            let id = book["book_id"].as_str().and_then(|id| id.parse().ok());
            let outcome = book["outcome"].as_str().unwrap_or_default();
            (id.unwrap_or_default(), outcome, book["code"].as_str())
        })
        .collect()
}

#[tokio::test]
async fn many_books_are_resumed_and_cancelled_with_an_outcome_each() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    let owner = Uuid::new_v4();
    let mut books = Vec::new();
    for title in ["The Tide", "Goose", "Fog", "Kelp"] {
        books.push(at.book_of(owner, title).await?);
    }
    books.sort();
    for book in &books[..3] {
        transition(&at.client, *book, "ANALYZING").await?;
    }
    for book in &books[..2] {
        transition(&at.client, *book, "FAILED").await?;
    }
    let unknown = Uuid::from_u128(u128::MAX);
    let before = all_of(&at.client, books[0]).await?;
    let ids = json!([unknown, books[1], books[0], books[2], books[0]]);

    let dry = post(&at, "/api/books/resume", &json!({"book_ids": ids, "dry_run": true})).await?;
    assert_eq!(
        dry.json()?,
        json!({"dry_run": true, "matching": 4, "allowed": 2, "more": false,
            "refused": {"not_failed": 1, "unknown_book": 1}})
    );
    assert_eq!(all_of(&at.client, books[0]).await?, before, "a dry run changes nothing");

    let done = post(&at, "/api/books/resume", &json!({"book_ids": ids})).await?.json()?;
    assert_eq!(
        (&done["done"], &done["refused"], &done["more"]),
        (&json!(2), &json!(2), &json!(false))
    );
    assert_eq!(
        outcomes(&done),
        [
            (books[0], "done", None),
            (books[1], "done", None),
            (books[2], "refused", Some("not_failed")),
            (unknown, "refused", Some("unknown_book")),
        ]
    );
    assert!(done["results"][2]["message"].as_str().context("no message")?.contains("ANALYZING"));

    let filter = json!({"owner_id": owner, "phase": "queued"});
    let dry = json!({"filter": filter, "dry_run": true});
    let dry = post(&at, "/api/books/cancel", &dry).await?.json()?;
    assert_eq!((&dry["matching"], &dry["allowed"]), (&json!(1), &json!(1)));
    let cancel = json!({"filter": filter, "message": "enough"});
    let done = post(&at, "/api/books/cancel", &cancel).await?.json()?;
    assert_eq!(outcomes(&done), [(books[3], "done", None)]);
    let path = format!("/api/books/{}/status", books[3]);
    let status = at.daemon.ask("GET", &path).token(&service()?).answer().await?.json()?;
    assert_eq!((&status["status"], &status["message"]), (&json!("CANCELLED"), &json!("enough")));
    let none = post(&at, "/api/books/cancel", &cancel).await?.json()?;
    assert_eq!(none, json!({"done": 0, "refused": 0, "results": [], "more": false}));
    Ok(())
}

#[tokio::test]
async fn a_request_about_many_books_that_is_not_clear_is_refused() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    let owner = Uuid::new_v4();
    let book = at.book_of(owner, "The Tide").await?;
    let before = all_of(&at.client, book).await?;
    let many: Vec<Uuid> = (0..10_001).map(|_| Uuid::new_v4()).collect();
    for (body, expected) in [
        (json!({}), (400, "bad_request")),
        (json!({"dry_run": true}), (400, "bad_request")),
        (json!({"book_ids": [book], "filter": {}}), (400, "bad_request")),
        (json!({"book_ids": []}), (400, "bad_request")),
        (json!({"book_ids": ["x"]}), (400, "bad_request")),
        (json!({"book_ids": many}), (400, "bad_request")),
        (json!({"filter": []}), (400, "bad_request")),
        (json!({"filter": {"phase": "x"}}), (400, "bad_request")),
        (json!({"filter": {"title": "x"}}), (400, "bad_request")),
        (json!({"book_ids": [book], "massage": "x"}), (400, "bad_request")),
        (json!({"book_ids": [book], "message": "x".repeat(9000)}), (422, "PT422")),
        (json!({"filter": {"q": "none"}, "message": "x".repeat(9000)}), (422, "PT422")),
        (json!({"book_ids": [book], "message": "x".repeat(600_000)}), (413, "bad_body")),
    ] {
        let refused = post(&at, "/api/books/cancel", &body).await?;
        let body = body.to_string();
        let shown = &body[..body.len().min(100)];
        assert_eq!(refused.refusal()?, (expected.0, expected.1.to_owned()), "{shown}");
    }
    for body in [json!({"book_ids": [book]}), json!({"filter": {}}), json!({"filter": {"q": "-"}})]
    {
        for dry_run in [true, false] {
            let mut body = body.clone();
            body["dry_run"] = json!(dry_run);
            for path in ["/api/books/cancel", "/api/books/resume"] {
                let ask = || at.daemon.ask("POST", path).json(&body);
                let owners = ask().token(&user(owner)?).answer().await?;
                assert_eq!(owners.refusal()?, (403, "42501".to_owned()), "{path} {body}");
                let nobodys = ask().answer().await?;
                assert_eq!(nobodys.refusal()?, (401, "42501".to_owned()), "{path} {body}");
            }
        }
    }
    assert_eq!(all_of(&at.client, book).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_book_that_another_session_holds_is_refused_and_the_others_are_done() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    let mut books = Vec::new();
    for title in ["The Tide", "Goose", "Fog"] {
        books.push(at.book_of(Uuid::new_v4(), title).await?);
    }
    books.sort();
    let mut other = at.database.connect().await?;
    let holding = other.transaction().await?;
    holding
        .query("select from bindery.book_status where book_id = $1 for update", &[&books[1]])
        .await?;
    let done = post(&at, "/api/books/cancel", &json!({"book_ids": books})).await?.json()?;
    assert_eq!(
        outcomes(&done),
        [(books[0], "done", None), (books[1], "refused", Some("55P03")), (books[2], "done", None),]
    );
    holding.rollback().await?;
    let done = post(&at, "/api/books/cancel", &json!({"book_ids": books})).await?.json()?;
    assert_eq!(done["done"], 3, "a CANCELLED book stays as it is: {done}");
    Ok(())
}

#[tokio::test]
async fn thousands_of_books_are_cancelled_in_as_many_calls_as_it_takes() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    at.client
        .query("select bindery.register_book(gen_random_uuid()) from generate_series(1, 1234)", &[])
        .await?;
    let body = json!({"filter": {"phase": "queued"}});
    let mut done = 0;
    loop {
        let answer = post(&at, "/api/books/cancel", &body).await?.json()?;
        assert_eq!(answer["refused"], 0, "{answer}");
        done += answer["done"].as_i64().context("no number")?;
        assert_eq!(
            answer["results"].as_array().map(Vec::len).map(|n| json!(n)),
            Some(answer["done"].clone())
        );
        if answer["more"] == json!(false) {
            break;
        }
        assert_ne!(answer["done"], 0, "each call gets further");
    }
    assert_eq!(done, 1234);
    Ok(())
}
