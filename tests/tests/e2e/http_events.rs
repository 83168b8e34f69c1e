//! Server-sent events: every change arrives, a reader that reconnects misses nothing, and a stream
//! ends with a reason.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Servers, Stream, eventually, token};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::http_support::{Guarded, SECRET, seconds, service, user};
use crate::support::{SOON, book_row, pid, transition, until_a_session_is_blocked};

async fn report(client: &Client, book: Uuid, done: f64) -> Result<()> {
    client
        .query("select from bindery.report_progress($1, 'extract_text', $2)", &[&book, &done])
        .await?;
    Ok(())
}

async fn revision(client: &Client, book: Uuid) -> Result<i64> {
    book_row(client, book).await?["revision"].as_i64().context("no revision")
}

async fn follow(at: &Guarded, book: Uuid, token: &str, last: Option<i64>) -> Result<Stream> {
    let ask = at.daemon.ask("GET", &format!("/api/books/{book}/events")).token(token);
    match last {
        Some(last) => ask.header("Last-Event-ID", &last.to_string()),
        None => ask,
    }
    .stream()
    .await
}

#[tokio::test]
async fn a_change_arrives_as_the_status_that_it_made() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let owner = Uuid::new_v4();
    let book = at.book_of(owner, "The Tide").await?;
    let mut stream = follow(&at, book, &user(owner)?, None).await?;
    let first = stream.next().await?.context("the present status comes first")?;
    assert_eq!((first.name.as_str(), first.id), ("book_status", Some(1)));
    transition(&at.client, book, "ANALYZING").await?;
    let event = stream.until(|event| event.id == Some(2)).await?;
    let status = status(&at, book).await?;
    assert_eq!(
        event.data,
        with(status, &json!({"substeps_partial": false})),
        "a stage was entered"
    );
    Ok(())
}

/// An object with these members added.
fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

async fn status(at: &Guarded, book: Uuid) -> Result<Value> {
    let path = format!("/api/books/{book}/status");
    at.daemon.ask("GET", &path).token(&service()?).answer().await?.json()
}

#[tokio::test]
async fn a_later_event_has_only_the_substeps_that_changed() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    transition(&at.client, book, "ANALYZING").await?;
    let mut stream = follow(&at, book, &service()?, None).await?;
    let first = stream.next().await?.context("the present status comes first")?;
    assert_eq!(first.data, status(&at, book).await?);
    assert_eq!(first.data["substeps"].as_array().map(Vec::len), Some(3));

    report(&at.client, book, 40.0).await?;
    let event = stream.next().await?.context("an event")?;
    let whole = status(&at, book).await?;
    let changed = json!([{"substep": "extract_text", "label": "Extract text", "weight": 1,
        "state": "active", "progress": 40}]);
    let more = json!({"substeps": changed, "substeps_partial": true, "since_revision": 2});
    assert_eq!(event.data, with(whole, &more), "all else is whole");

    // A reader that reconnects gets what has changed since its revision.
    drop(stream);
    let query = "select from bindery.report_progress($1, 'detect_chapters', 100)";
    at.client.query(query, &[&book]).await?;
    let mut stream = follow(&at, book, &service()?, Some(2)).await?;
    let event = stream.next().await?.context("an event")?;
    let substeps = event.data["substeps"].as_array().context("no substeps")?;
    let keys: Vec<_> = substeps.iter().filter_map(|substep| substep["substep"].as_str()).collect();
    assert_eq!((keys, event.id), (vec!["extract_text", "detect_chapters"], Some(4)));
    assert_eq!(event.data["since_revision"], json!(2));
    Ok(())
}

#[tokio::test]
async fn the_answer_forbids_proxies_to_store_or_to_compress_it() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    let mut connection = TcpStream::connect(at.daemon.http()).await?;
    let path = format!("/api/books/{book}/events");
    let token = service()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Accept-Encoding: gzip, br\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut head = String::new();
    let mut lines = BufReader::new(connection);
    while !head.ends_with("\r\n\r\n") {
        lines.read_line(&mut head).await?;
    }
    let head = head.to_lowercase();
    ensure!(head.contains("cache-control: no-store, no-transform\r\n"), "{head}");
    ensure!(!head.contains("content-encoding"), "{head}");
    Ok(())
}

#[tokio::test]
async fn a_reader_with_the_newest_revision_waits_and_one_with_an_older_revision_does_not()
-> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    transition(&at.client, book, "ANALYZING").await?;
    let mut behind = follow(&at, book, &service()?, Some(1)).await?;
    assert_eq!(behind.next().await?.and_then(|event| event.id), Some(2));
    let mut level = follow(&at, book, &service()?, Some(2)).await?;
    report(&at.client, book, 10.0).await?;
    assert_eq!(level.next().await?.and_then(|event| event.id), Some(3), "nothing came before it");
    Ok(())
}

/// The stream's first read waits for a lock until a change is committed. The stream subscribed
/// before that read.
#[tokio::test]
async fn a_change_between_the_first_read_and_the_wait_is_not_lost() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    transition(&at.client, book, "ANALYZING").await?;
    let mut writer = at.database.connect().await?;
    let writing = pid(&writer).await?;
    let transaction = writer.transaction().await?;
    transaction.batch_execute("lock table bindery.book_status in access exclusive mode").await?;
    let token = service()?;
    // If the lock is held for longer than the daemon waits for a statement, the request fails and
    // is sent again.
    let beginning = eventually(SOON, "the stream to begin", || follow(&at, book, &token, None));
    let (stream, committed) = tokio::join!(beginning, async {
        until_a_session_is_blocked(&at.client, writing).await?;
        transaction
            .query("select from bindery.report_progress($1, 'extract_text', 10)", &[&book])
            .await?;
        transaction.commit().await?;
        // One more change, which may come before, in or after the first read.
        report(&at.client, book, 20.0).await
    });
    committed?;
    let newest = revision(&at.client, book).await?;
    stream?.until(|event| event.id == Some(newest)).await?;
    Ok(())
}

#[tokio::test]
async fn a_reader_that_comes_and_goes_while_a_book_moves_gets_to_the_newest_revision_in_order()
-> Result<()> {
    let at = Guarded::start(&[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    transition(&at.client, book, "ANALYZING").await?;
    let writer = at.database.connect().await?;
    // Half-way, the writer waits until the reader has reconnected once.
    let back = Arc::new(Notify::new());
    let came_back = Arc::clone(&back);
    let writing = tokio::spawn(async move {
        for done in 1..=400 {
            if done == 200 {
                came_back.notified().await;
            }
            report(&writer, book, f64::from(done) / 4.0).await?;
        }
        revision(&writer, book).await
    });
    let mut writing = std::pin::pin!(writing);
    let (mut last, mut connections) = (0, 0);
    let token = service()?;
    let newest = 'written: loop {
        let mut stream = follow(&at, book, &token, Some(last)).await?;
        connections += 1;
        if connections == 2 {
            back.notify_one();
        }
        for _ in 0..=(connections - 1) % 3 {
            let event = tokio::select! {
                event = stream.next() => event?,
                // There may be no more events, or an event may have arrived unread.
                newest = writing.as_mut() => break 'written newest??,
            };
            let id = event.and_then(|event| event.id).context("an event without a revision")?;
            ensure!(id > last, "{id} came after {last}");
            last = id;
        }
    };
    if last < newest {
        let mut stream = follow(&at, book, &token, Some(last)).await?;
        stream.until(|event| event.id == Some(newest)).await?;
    }
    ensure!(connections > 1, "it came back {connections} times");
    Ok(())
}

#[tokio::test]
async fn the_list_has_events_of_the_callers_books_and_of_no_others() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (ann, ben) = (Uuid::new_v4(), Uuid::new_v4());
    let old = at.book_of(ann, "Old").await?;
    let mut stream = at.daemon.ask("GET", "/api/events").token(&user(ann)?).stream().await?;
    assert_eq!(stream.next().await?.context("ready comes first")?.name, "ready");
    let bens = at.book_of(ben, "Ben's").await?;
    transition(&at.client, bens, "ANALYZING").await?;
    let new = at.book_of(ann, "New").await?;
    let mut events = vec![stream.next().await?.context("the new book")?];
    transition(&at.client, old, "ANALYZING").await?;
    events.push(stream.next().await?.context("the old book")?);
    let books: Vec<_> = events.iter().map(|event| event.data["book_id"].clone()).collect();
    assert_eq!(books, [json!(new), json!(old)], "and nothing of Ben's");
    // A change of the owner changes no revision: the stream finds it at its next periodic read.
    at.client
        .execute("update bindery.book_status set owner_id = $2 where book_id = $1", &[&new, &ben])
        .await?;
    let gone = stream.until(|event| event.name == "book_gone").await?;
    assert_eq!(gone.data["book_id"], json!(new));
    Ok(())
}

#[tokio::test]
async fn the_list_of_one_owner_has_events_of_that_owners_books_also_for_service_role() -> Result<()>
{
    let at = Guarded::start(&[]).await?;
    let (ann, ben) = (Uuid::new_v4(), Uuid::new_v4());
    let old = at.book_of(ann, "Old").await?;
    let mut stream = at
        .daemon
        .ask("GET", &format!("/api/events?owner_id={ann}"))
        .token(&service()?)
        .stream()
        .await?;
    assert_eq!(stream.next().await?.context("ready comes first")?.name, "ready");
    at.book_of(ben, "Ben's").await?;
    let new = at.book_of(ann, "New").await?;
    let event = stream.next().await?.context("the new book")?;
    assert_eq!(event.data["book_id"], json!(new), "and nothing of Ben's");
    at.client
        .execute("update bindery.book_status set owner_id = $2 where book_id = $1", &[&old, &ben])
        .await?;
    transition(&at.client, old, "ANALYZING").await?;
    let gone = stream.until(|event| event.name == "book_gone").await?;
    assert_eq!(gone.data["book_id"], json!(old));
    let refused =
        at.daemon.ask("GET", "/api/events?owner_id=x").token(&service()?).answer().await?;
    assert_eq!(refused.refusal()?, (400, "bad_request".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_when_its_token_does() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let owner = Uuid::new_v4();
    let book = at.book_of(owner, "The Tide").await?;
    let short =
        token(SECRET, &json!({"role": "authenticated", "sub": owner, "exp": seconds() + 15}))?;
    let mut one = follow(&at, book, &short, None).await?;
    let mut all = at.daemon.ask("GET", "/api/events").token(&short).stream().await?;
    for stream in [&mut one, &mut all] {
        let end = stream.until(|event| event.name == "error").await?;
        assert_eq!(end.data["code"], "PGRST303");
        assert_eq!(stream.next().await?, None, "and the connection ends");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_loses_the_right_to_the_book() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let (owner, other) = (Uuid::new_v4(), Uuid::new_v4());
    let (given, hidden) =
        (at.book_of(owner, "Given away").await?, at.book_of(owner, "Hidden").await?);
    let mut streams = [
        follow(&at, given, &user(owner)?, None).await?,
        follow(&at, hidden, &user(owner)?, None).await?,
    ];
    at.client
        .execute(
            "update bindery.book_status set owner_id = $2 where book_id = $1",
            &[&given, &other],
        )
        .await?;
    at.client
        .batch_execute(&format!(
            "create policy hides on bindery.book_status as restrictive for select to authenticated
             using (book_id <> '{hidden}')"
        ))
        .await?;
    // The first read after it shows the change.
    transition(&at.client, hidden, "ANALYZING").await?;
    for stream in &mut streams {
        let end = stream.until(|event| event.name == "error").await?;
        assert_eq!(end.data["code"], "PT404");
        assert_eq!(stream.next().await?, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_ends_with_its_server_and_a_reader_continues_where_it_stopped() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let mut daemon = database.daemon(&["--jwt-secret", SECRET]).await?;
    let client = database.connect().await?;
    let book = Uuid::new_v4();
    client.query("select from bindery.register_book($1)", &[&book]).await?;
    let (path, service) = (format!("/api/books/{book}/events"), service()?);
    let mut stream = daemon.ask("GET", &path).token(&service).stream().await?;
    assert_eq!(stream.next().await?.and_then(|event| event.id), Some(1));
    daemon.signal("TERM").await?;
    let end = stream.until(|event| event.name == "error").await?;
    assert_eq!(end.data["code"], "stopping");
    daemon.ended().await?;

    transition(&client, book, "ANALYZING").await?;
    let daemon = database.daemon(&["--jwt-secret", SECRET]).await?;
    let again = || daemon.ask("GET", &path).token(&service).header("Last-Event-ID", "1").stream();
    let mut stream = again().await?;
    assert_eq!(stream.next().await?.and_then(|event| event.id), Some(2));

    servers.restart_postgres("fast").await?;
    let client = database.connect().await?;
    report(&client, book, 50.0).await?;
    let id = eventually(SOON, "the newest revision after Postgres was restarted", async || {
        // The old stream either got the change or ended.
        let mut stream = again().await?;
        let id = stream.next().await?.and_then(|event| event.id);
        ensure!(id == Some(3), "{id:?}");
        anyhow::Ok(id)
    })
    .await?;
    assert_eq!(id, Some(3));
    Ok(())
}
