//! The limits of HTTP: connections, files, memory and Postgres. Health and relaying never lack
//! them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Servers, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::http_support::{Guarded, service};
use crate::support::{SOON, applied_up_to, book_in, transition};

const MB: u64 = 1_000_000;

async fn metric(daemon: &Daemon, name: &str) -> Result<f64> {
    let metrics = daemon.get("/metrics").await?.body;
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("no {name}"))?;
    Ok(value.parse()?)
}

async fn until(daemon: &Daemon, name: &str, is: f64) -> Result<()> {
    eventually(SOON, &format!("{name} to be {is}"), async || {
        let value = metric(daemon, name).await?;
        ensure!((value - is).abs() < 1e-9, "it is {value}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn health_answers_whatever_number_of_connections_there_is() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let daemon = database.daemon(&["--http-connections", "2"]).await?;
    let mut held = Vec::new();
    for _ in 0..2 {
        // A closed connection counts for a moment longer.
        let stream =
            eventually(SOON, "a stream to be let in", || daemon.ask("GET", "/api/events").stream());
        held.push(stream.await?);
    }
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(daemon.http()).await?);
        if idle.len() % 20 == 0 {
            for path in ["/healthz", "/readyz", "/metrics"] {
                let answer = daemon.get(path).await?;
                ensure!(answer.status == 200, "{path} beside {} idle: {answer:?}", idle.len());
            }
        }
    }
    let refused = daemon.ask("GET", "/api/books").answer().await?;
    assert_eq!(refused.refusal()?, (503, "too_many_connections".to_owned()));
    assert_eq!(refused.header("connection"), Some("close"));
    ensure!(metric(&daemon, "bindery_http_turned_away_total").await? > 0.0);
    Ok(())
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_soon_and_an_idle_one_too() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let daemon = database.daemon(&[]).await?;
    let mut idle = TcpStream::connect(daemon.http()).await?;
    let mut asked = TcpStream::connect(daemon.http()).await?;
    asked.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let ends = async {
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).await?;
        asked.read_to_end(&mut rest).await
    };
    // Both timeouts begin about now. Nginx and Node wait longer by default, so test only half of
    // that.
    tokio::time::timeout(Duration::from_secs(10), ends).await??;
    Ok(())
}

#[tokio::test]
async fn relaying_reconnects_while_http_has_all_the_connections_that_it_may_have() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let shell = "ulimit -Sn 120\nulimit -Hn 160";
    let daemon = database.daemon_after(shell, &[]).await?;
    ensure!(metric(&daemon, "process_max_fds").await? == 160.0, "the soft limit is raised");
    daemon.logged("does not run out of files").await?;
    // As many connections as possible, and more all the time: streams take the places, the others
    // wait for one.
    let address = daemon.http();
    let flood = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            if let Ok(mut stream) = TcpStream::connect(address).await {
                let asked = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
                let _ = stream.write_all(asked).await;
                held.push(stream);
            }
            if held.len() > 400 {
                held.remove(0);
            }
        }
    });
    // 160 less 64, 8 for the stream, 8 for the pool and 32 beyond the limit.
    until(&daemon, "bindery_http_connections", 48.0).await?;
    let book = book_in(&client, &["ANALYZING"]).await?.to_string();
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name = 'binderyd' and datname = current_database()";
    for progress in ["10", "20", "30"] {
        let ended: i64 = client.query_one(ended, &[]).await?.get(0);
        ensure!(ended > 0);
        let fields = [
            ("type", "progress"),
            ("book_id", &*book),
            ("substep", "extract_text"),
            ("progress", progress),
        ];
        let last = database.add(&mut redis, &fields).await?;
        applied_up_to(&client, database.stream(), &last).await?;
    }
    daemon.ready().await?;
    flood.abort();
    ensure!(!daemon.log().contains("Too many open files"), "{}", daemon.log());
    Ok(())
}

/// A book whose status has the largest size.
async fn large_book(at: &Guarded) -> Result<Uuid> {
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    for to in ["ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK"] {
        transition(&at.client, book, to).await?;
    }
    let plan = "select from bindery.plan_substeps($1, 'CREATING_ARTWORK', (
        select jsonb_agg(jsonb_build_object('substep', 'page_' || n))
        from generate_series(1, 300) n))";
    at.client.query(plan, &[&book]).await?;
    let large = "update bindery.book_status
        set metadata = jsonb_build_object('x', repeat('x', 30000)) where book_id = $1";
    at.client.query(large, &[&book]).await?;
    report(&at.client, book, 1).await?;
    Ok(book)
}

/// Reports every substep, so that the event about it is large, too.
async fn report(client: &Client, book: Uuid, progress: i32) -> Result<()> {
    let report = "select count(*) from generate_series(1, 300) n, lateral
        bindery.report_progress($1, 'page_' || n, $2::integer::float8,
            message => repeat('漫画', 700))";
    client.query(report, &[&book, &progress]).await?;
    Ok(())
}

#[tokio::test]
async fn two_hundred_readers_that_do_not_read_take_less_than_128_mb_and_leave_nothing() -> Result<()>
{
    const READERS: u32 = 200;
    let at = Guarded::start(&[]).await?;
    let book = large_book(&at).await?;
    let path = format!("/api/books/{book}/events");
    let status = format!("/api/books/{book}/status");
    let status = at.daemon.ask("GET", &status).token(&service()?).answer().await?.body.len();
    ensure!(status > 100_000, "{status} bytes");
    let before = at.daemon.resident()?;
    let mut readers = Vec::new();
    for index in 0..READERS {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut reader = socket.connect(at.daemon.http()).await?;
        let path = if index % 4 == 0 { "/api/events" } else { &path };
        let token = service()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        reader.write_all(request.as_bytes()).await?;
        readers.push(reader);
    }
    until(&at.daemon, "bindery_http_streams", READERS.into()).await?;
    // A second reader, which keeps up, shows that the changes are sent.
    let mut quick = at.daemon.ask("GET", "/api/events").token(&service()?).stream().await?;
    let mut most = 0;
    for progress in 2..=6 {
        report(&at.client, book, progress).await?;
        transition(&at.client, book, "FAILED").await?;
        quick.until(|event| event.data["status"] == "FAILED").await?;
        transition(&at.client, book, "CREATING_ARTWORK").await?;
        quick.until(|event| event.data["status"] == "CREATING_ARTWORK").await?;
        most = most.max(at.daemon.resident()?);
    }
    ensure!(metric(&at.daemon, "bindery_http_streams").await? >= READERS.into());
    drop((readers, quick));
    until(&at.daemon, "bindery_http_streams", 0.0).await?;
    println!(
        "{READERS} readers that do not read a status of {status} bytes: \
         {:.1} MB before, {:.1} MB most",
        before as f64 / MB as f64,
        most as f64 / MB as f64
    );
    ensure!(most < 128 * MB, "{most} bytes");
    eventually(SOON, "the memory to be given back", async || {
        let after = at.daemon.resident()?;
        ensure!(after < 64 * MB && after < most - most / 8, "{after} bytes after {most}");
        println!("{:.1} MB after", after as f64 / MB as f64);
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn pages_that_are_not_taken_take_bounded_memory_and_leave_health_alone() -> Result<()> {
    const READERS: usize = 60;
    let at = Guarded::start(&[]).await?;
    let register = "select count(*) from generate_series(1, 120) n, lateral bindery.register_book(
        md5(n::text)::uuid, metadata => jsonb_build_object('x', repeat('x', 30000)))";
    at.client.query(register, &[]).await?;
    let path = "/api/books?limit=200";
    let page = at.daemon.ask("GET", path).token(&service()?).answer().await?;
    ensure!(page.status == 200 && page.body.len() > 3_000_000, "{} bytes", page.body.len());
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut reader = socket.connect(at.daemon.http()).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            service()?
        );
        reader.write_all(request.as_bytes()).await?;
        readers.push(reader);
    }
    // They fill the memory for pages, so that no other page fits.
    let mut most = 0;
    eventually(SOON, "pages to be refused", async || {
        most = most.max(at.daemon.resident()?);
        let refused = at.daemon.ask("GET", path).token(&service()?).answer().await?;
        ensure!(refused.status == 503, "{}", refused.status);
        ensure!(refused.refusal()?.1 == "busy", "{refused:?}");
        anyhow::Ok(())
    })
    .await?;
    most = most.max(at.daemon.resident()?);
    ensure!(at.daemon.get("/readyz").await?.status == 200);
    println!("{READERS} pages that are not taken: {:.1} MB most", most as f64 / MB as f64);
    ensure!(most < 128 * MB, "{most} bytes");
    // Readers that do not take their page lose their connection, which frees memory.
    eventually(SOON, "pages to be answered again", async || {
        let page = at.daemon.ask("GET", path).token(&service()?).answer().await?;
        ensure!(page.status == 200, "{}", page.status);
        anyhow::Ok(())
    })
    .await
}

/// The number of ended transactions of all sessions of this database.
async fn transactions(client: &Client) -> Result<i64> {
    let query = "select xact_commit + xact_rollback from pg_stat_database
        where datname = current_database()";
    Ok(client.query_one(query, &[]).await?.get(0))
}

#[tokio::test]
async fn five_hundred_watchers_of_all_books_cost_one_query() -> Result<()> {
    const WATCHERS: usize = 500;
    let mut at = Guarded::start(&[]).await?;
    let register = "select count(*) from generate_series(1, 1200) n,
        lateral bindery.register_book(md5(n::text)::uuid)";
    at.client.query(register, &[]).await?;
    let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
    let before = transactions(&at.client).await?;
    let mut opening = Vec::new();
    for _ in 0..WATCHERS {
        // Each with a token of its own.
        opening.push(at.daemon.ask("GET", "/api/events").token(&service()?).stream());
    }
    let mut streams = Vec::new();
    for stream in futures_of(opening).await {
        let mut stream = stream?;
        let ready = stream.next().await?.context("it ended")?;
        ensure!(ready.name == "ready", "{ready:?}");
        streams.push(stream);
    }
    transition(&at.client, book, "ANALYZING").await?;
    for stream in &mut streams {
        let event = stream.until(|event| event.data["book_id"] == book.to_string()).await?;
        ensure!(event.data["status"] == "ANALYZING", "{event:?}");
    }
    ensure!(!at.daemon.log().contains("got no connection"), "{}", at.daemon.log());
    // A session's transactions are counted at its end.
    at.daemon.sigterm().await?;
    let mut after = 0;
    eventually(SOON, "the daemon's sessions to end", async || {
        let query = "select count(*) from pg_stat_activity
            where application_name = 'binderyd' and datname = current_database()";
        let there: i64 = at.client.query_one(query, &[]).await?.get(0);
        ensure!(there == 0, "{there} sessions");
        after = transactions(&at.client).await?;
        anyhow::Ok(())
    })
    .await?;
    println!("{} transactions for {WATCHERS} watchers", after - before);
    ensure!(after - before < 400, "{} transactions for {WATCHERS} watchers", after - before);
    Ok(())
}

/// Runs all of them at once; returns each outcome.
async fn futures_of<T: Send + 'static>(
    all: Vec<impl Future<Output = Result<T>> + Send + 'static>,
) -> Vec<Result<T>> {
    let tasks: Vec<_> = all.into_iter().map(tokio::spawn).collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap_or_else(|error| Err(error.into())));
    }
    outcomes
}

#[tokio::test]
async fn a_watcher_that_fell_behind_gets_the_newest_of_each_book_and_what_is_gone() -> Result<()> {
    let at = Guarded::start(&[]).await?;
    let mut books = Vec::new();
    for _ in 0..2 {
        let book = at.book_of(Uuid::new_v4(), "The Tide").await?;
        let large = "update bindery.book_status
            set metadata = jsonb_build_object('x', repeat('x', 30000)) where book_id = $1";
        at.client.query(large, &[&book]).await?;
        transition(&at.client, book, "ANALYZING").await?;
        books.push(book);
    }
    let (kept, deleted) = (books[0], books[1]);
    let token = service()?;
    let events = || at.daemon.ask("GET", "/api/events").token(&token).stream();
    let (mut slow, mut quick) = (events().await?, events().await?);
    // More than the daemon keeps in memory for slow readers, and than the kernel's buffers hold.
    let mut newest = 0;
    for step in 1..=100 {
        for book in [deleted, kept] {
            let report = "select revision from bindery.report_progress($1, 'extract_text', $2)";
            newest = at.client.query_one(report, &[&book, &f64::from(step)]).await?.get(0);
            quick.until(|event| event.id == Some(newest)).await?;
        }
    }
    at.client.query("delete from bindery.book_status where book_id = $1", &[&deleted]).await?;
    let gone = |event: &bindery_tests::Event| event.name == "book_gone";
    quick.until(gone).await?;
    let (mut has_newest, mut has_gone, mut events) = (false, false, 0);
    while !(has_newest && has_gone) {
        let event = slow.next().await?.context("it ended")?;
        has_newest |= event.id == Some(newest);
        has_gone |= gone(&event) && event.data["book_id"] == deleted.to_string();
        events += 1;
    }
    println!("{events} events for a reader that was behind");
    ensure!(events < 150, "{events} of 201 events, though those of one book become one");
    Ok(())
}
