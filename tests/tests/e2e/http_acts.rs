//! An operator's acts over HTTP with their errors, and refused requests: too large, too many, or
//! from another site.

use anyhow::Result;
use bindery_tests::{Answer, Servers, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::http_support::{Guarded, service, user};
use crate::support::{SOON, all_of, transition};

async fn post(at: &Guarded, path: &str, body: &Value) -> Result<Answer> {
    at.daemon.ask("POST", path).token(&service()?).json(body).answer().await
}

#[tokio::test]
async fn a_book_is_resumed_rewound_and_cancelled() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    for to in ["ANALYZING", "GENERATING_SCENES", "FAILED"] {
        transition(&at.client, book, to).await?;
    }
    let resumed = post(&at, &format!("/api/books/{book}/resume"), &json!({})).await?.json()?;
    assert_eq!((&resumed["status"], &resumed["attempt"]), (&json!("GENERATING_SCENES"), &json!(2)));
    let revision = &resumed["revision"];
    let back =
        json!({"to_stage": "ANALYZING", "message": "once more", "expected_revision": revision});
    let rewound = post(&at, &format!("/api/books/{book}/rewind"), &back).await?.json()?;
    assert_eq!(
        (&rewound["status"], &rewound["message"]),
        (&json!("ANALYZING"), &json!("once more"))
    );
    let cancelled = post(&at, &format!("/api/books/{book}/cancel"), &json!({"message": "enough"}))
        .await?
        .json()?;
    assert_eq!(cancelled["status"], "CANCELLED");
    let status = at
        .daemon
        .ask("GET", &format!("/api/books/{book}/status"))
        .token(&service()?)
        .answer()
        .await?;
    assert_eq!(cancelled, status.json()?, "an act's answer is the status after it");
    Ok(())
}

#[tokio::test]
async fn a_refused_act_gives_the_reason_and_changes_nothing() -> Result<()> {
    let at = Guarded::start(&["--outbox", ""]).await?;
    let owner = Uuid::new_v4();
    let book = at.book_of(owner, "The Tide").await?;
    transition(&at.client, book, "ANALYZING").await?;
    let before = all_of(&at.client, book).await?;
    let unknown = Uuid::new_v4();
    for (path, body, expected) in [
        (format!("{book}/resume"), json!({}), (409, "PT409")),
        (format!("{book}/cancel"), json!({"expected_revision": 1}), (409, "PT409")),
        (format!("{book}/cancel"), json!({"message": "x".repeat(9000)}), (422, "PT422")),
        (format!("{book}/rewind"), json!({"to_stage": "NOWHERE"}), (404, "PT404")),
        (format!("{book}/rewind"), json!({}), (400, "bad_request")),
        (format!("{book}/cancel"), json!({"massage": "x"}), (400, "bad_request")),
        (format!("{book}/cancel"), json!([]), (400, "bad_request")),
        (format!("{unknown}/cancel"), json!({}), (404, "PT404")),
        ("book-7/cancel".to_owned(), json!({}), (400, "22P02")),
        (format!("{book}/cancel"), json!({"message": "x".repeat(70_000)}), (413, "bad_body")),
    ] {
        let refused = post(&at, &format!("/api/books/{path}"), &body).await?;
        assert_eq!(
            refused.refusal()?,
            (expected.0, expected.1.to_owned()),
            "{path} {}",
            refused.body
        );
        assert!(refused.json()?["message"].is_string());
    }
    let cancel = format!("/api/books/{book}/cancel");
    let owners =
        at.daemon.ask("POST", &cancel).token(&user(owner)?).json(&json!({})).answer().await?;
    assert_eq!(owners.refusal()?, (403, "42501".to_owned()), "an owner reads, and no more");
    let nobodys = at.daemon.ask("POST", &cancel).json(&json!({})).answer().await?;
    assert_eq!(nobodys.refusal()?, (401, "42501".to_owned()));
    let form = at
        .daemon
        .ask("POST", &cancel)
        .token(&service()?)
        .header("Content-Type", "text/plain")
        .answer()
        .await?;
    assert_eq!(form.refusal()?, (415, "bad_body".to_owned()));
    let got = at.daemon.ask("GET", &cancel).token(&service()?).answer().await?;
    assert_eq!(got.refusal()?, (405, "no_route".to_owned()));
    assert_eq!(all_of(&at.client, book).await?, before);
    Ok(())
}

#[tokio::test]
async fn only_listed_origins_are_allowed_from_a_browser() -> Result<()> {
    let at = Guarded::start(&[
        "--cors-origin",
        "https://app.example",
        "--cors-origin",
        "https://b.example",
    ])
    .await?;
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://b.example", true),
        ("https://c.example", false),
        ("null", false),
    ] {
        let preflight = at
            .daemon
            .ask("OPTIONS", "/api/books")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization,content-type")
            .answer()
            .await?;
        let asked = at
            .daemon
            .ask("GET", "/api/books")
            .token(&service()?)
            .header("Origin", origin)
            .answer()
            .await?;
        for answer in [&preflight, &asked] {
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed.then_some(origin),
                "{answer:?}"
            );
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
    Ok(())
}

#[tokio::test]
async fn more_connections_than_allowed_are_turned_away_until_one_ends() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let daemon = database.daemon(&["--http-connections", "2"]).await?;
    // A closed connection counts for a moment longer.
    let let_in =
        || eventually(SOON, "a stream to be let in", || daemon.ask("GET", "/api/events").stream());
    let first = let_in().await?;
    let _second = let_in().await?;
    let third = daemon.ask("GET", "/api/books").answer().await?;
    assert_eq!(third.refusal()?, (503, "too_many_connections".to_owned()));
    drop(first);
    daemon.ready().await
}

#[tokio::test]
async fn a_request_that_does_not_end_is_aborted() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let daemon = database.daemon(&[]).await?;
    let mut slow = TcpStream::connect(daemon.http()).await?;
    slow.write_all(b"GET /api/books HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await?;
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await?;
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    let mut large = TcpStream::connect(daemon.http()).await?;
    large
        .write_all(
            format!("GET /api HTTP/1.1\r\nHost: localhost\r\nX-Large: {}", "x".repeat(60_000))
                .as_bytes(),
        )
        .await?;
    let mut answer = vec![0; 12];
    large.read_exact(&mut answer).await?;
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 431");
    Ok(())
}
