//! Answers cut in their middle, slow or missing servers, a full disk, statements that take too
//! long, poison, a clock that jumps.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Fault, Proxy, Servers, eventually};
use fastrand::Rng;
use tokio_postgres::Client;

use crate::crash::check;
use crate::load::{Load, seed};
use crate::produce::Producer;
use crate::support::{
    Counts, SOON, add, applied_up_to, book_in, cursor, cursor_when, entries, entry,
};

/// The lease is short enough to wait for its end, and longer than a busy machine may keep a daemon
/// waiting.
const ARGS: [&str; 8] = ["--outbox", "", "--max-batch", "60", "--lease", "5s", "--sweep", "0"];
/// The same with a longer lease, which only a lasting fault ends.
const PATIENT: [&str; 8] = ["--outbox", "", "--max-batch", "60", "--lease", "15s", "--sweep", "0"];

/// Whether this is `make chaos`, whose tests take longer.
pub fn long() -> bool {
    std::env::var_os("BINDERY_CHAOS").is_some()
}

/// The address of a URL's server.
pub fn server(url: &str) -> Result<SocketAddr> {
    let (_, rest) =
        url.split_once("127.0.0.1:").with_context(|| format!("not on loopback: {url}"))?;
    Ok(SocketAddr::from((
        [127, 0, 0, 1],
        rest.split_once('/').map_or(rest, |(port, _)| port).parse()?,
    )))
}

/// A daemon that reaches each server through a proxy.
struct Between<'a> {
    database: Database<'a>,
    client: Client,
    daemon: Daemon,
    postgres: Proxy,
    redis: Proxy,
}

impl<'a> Between<'a> {
    async fn start(servers: &'a Servers) -> Result<Between<'a>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        let (at_postgres, at_redis) = (server(database.url())?, server(servers.redis_url())?);
        let (postgres, redis) = (Proxy::before(at_postgres).await?, Proxy::before(at_redis).await?);
        let daemon = Daemon::spawn_with(
            servers,
            &postgres.url(database.url(), at_postgres),
            &redis.url(servers.redis_url(), at_redis),
            &[&["--stream", database.stream()], ARGS.as_slice()].concat(),
            &[],
        )?;
        daemon.ready().await?;
        Ok(Between { database, client, daemon, postgres, redis })
    }

    /// Waits until this many more events are applied.
    async fn more(&self, events: i64) -> Result<()> {
        more(&self.client, self.database.stream(), events).await
    }
}

async fn more(client: &Client, stream: &str, events: i64) -> Result<()> {
    let wanted = cursor(client, stream).await?.counts.all() + events;
    cursor_when(client, stream, "more to be applied", |cursor| cursor.counts.all() >= wanted)
        .await?;
    Ok(())
}

async fn until_logged(daemon: &Daemon, words: &str) -> Result<()> {
    eventually(SOON, &format!("the log to have {words}"), async || {
        if daemon.log().contains(words) { Ok(()) } else { Err(anyhow!("it does not")) }
    })
    .await
}

#[tokio::test]
async fn answers_of_both_servers_cut_in_their_middle() -> Result<()> {
    let seed = seed("answers_cut_in_their_middle");
    let mut rng = Rng::with_seed(seed);
    let servers = Servers::shared().await?;
    let between = Between::start(servers).await?;
    let producer = Producer::start(servers, between.database.stream(), Load::new(seed))?;
    for _ in 0..if long() { 100 } else { 6 } {
        for proxy in [&between.postgres, &between.redis] {
            between.more(rng.i64(1..100)).await?;
            let before = proxy.cuts();
            proxy.set(Fault::CutAfter(rng.usize(..2_000)));
            eventually(SOON, "a connection to be cut", async || {
                if proxy.cuts() > before { Ok(()) } else { Err("none is") }
            })
            .await?;
            proxy.set(Fault::None);
        }
    }
    between.more(100).await?;
    producer.finish().await?;
    check(servers, &between.database, &between.client).await?;
    Ok(())
}

#[tokio::test]
async fn both_servers_made_slow() -> Result<()> {
    let seed = seed("both_servers_made_slow");
    let servers = Servers::shared().await?;
    let between = Between::start(servers).await?;
    let producer = Producer::start(servers, between.database.stream(), Load::new(seed))?;
    let epoch = cursor(&between.client, between.database.stream()).await?.epoch;
    for proxy in [&between.postgres, &between.redis] {
        proxy.set(Fault::Slow(Duration::from_millis(20)));
        between.more(300).await?;
        proxy.set(Fault::None);
    }
    producer.finish().await?;
    check(servers, &between.database, &between.client).await?;
    let after = cursor(&between.client, between.database.stream()).await?.epoch;
    ensure!(after == epoch, "slowness alone made it start over: epoch {epoch}, then {after}");
    Ok(())
}

/// What the daemon had sent arrives after another daemon has taken over the stream.
#[tokio::test]
async fn a_daemon_cut_off_from_postgres_is_taken_over_from_and_fenced_when_it_is_back() -> Result<()>
{
    let seed = seed("cut_off_from_postgres");
    let servers = Servers::shared().await?;
    let between = Between::start(servers).await?;
    let stream = between.database.stream();
    let producer = Producer::start(servers, stream, Load::new(seed))?;
    between.more(200).await?;
    let held = cursor(&between.client, stream).await?;
    let standby = between.database.daemon_unready(&ARGS)?;
    until_logged(&standby, "standing by").await?;
    between.postgres.set(Fault::BlackHole);
    let taken =
        cursor_when(&between.client, stream, "the other to take over", |c| c.epoch > held.epoch)
            .await?;
    assert_ne!(taken.holder, held.holder);
    between.more(200).await?;
    between.postgres.set(Fault::None);
    until_logged(&between.daemon, &format!("Epoch {} of the stream", held.epoch)).await?;
    between.more(200).await?;
    producer.finish().await?;
    check(servers, &between.database, &between.client).await?;
    Ok(())
}

#[tokio::test]
async fn a_redis_that_falls_silent_is_read_on_when_it_answers_again() -> Result<()> {
    let seed = seed("a_redis_that_falls_silent");
    let servers = Servers::shared().await?;
    let between = Between::start(servers).await?;
    let producer = Producer::start(servers, between.database.stream(), Load::new(seed))?;
    between.more(200).await?;
    between.redis.set(Fault::BlackHole);
    until_logged(&between.daemon, "reading from Redis failed").await?;
    between.redis.set(Fault::None);
    between.more(200).await?;
    producer.finish().await?;
    check(servers, &between.database, &between.client).await?;
    Ok(())
}

/// Every update of a book's progress fails as on a full disk, until the trigger is dropped.
const DISK_FULL: &str = "
    create function public.disk_full() returns trigger language plpgsql as $$
    begin
      raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
    end $$;
    create trigger disk_full before insert or update on bindery.book_progress
      for each row execute function public.disk_full();";

#[tokio::test]
async fn a_full_disk_is_waited_for_and_no_event_is_rejected() -> Result<()> {
    let seed = seed("a_full_disk");
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let daemon = database.daemon(&ARGS).await?;
    let producer = Producer::start(servers, database.stream(), Load::new(seed))?;
    for _ in 0..if long() { 10 } else { 2 } {
        more(&client, database.stream(), 200).await?;
        let lines_before = daemon.log().matches("53100").count();
        client.batch_execute(DISK_FULL).await?;
        eventually(SOON, "the daemon to meet it", async || {
            // Repeated log lines are suppressed; the counter has every failure.
            let lines_now = daemon.log().matches("53100").count();
            let failures = failures(&daemon).await?;
            if lines_now > lines_before || failures > 1 {
                Ok(())
            } else {
                Err(anyhow!("{failures} failures"))
            }
        })
        .await?;
        client
            .batch_execute(
                "drop trigger disk_full on bindery.book_progress; drop function public.disk_full()",
            )
            .await?;
    }
    more(&client, database.stream(), 200).await?;
    producer.finish().await?;
    check(servers, &database, &client).await?;
    Ok(())
}

/// The number of failed calls to Postgres, from the daemon's metrics.
async fn failures(daemon: &Daemon) -> Result<u64> {
    let page = daemon.get("/metrics").await?.body;
    let line = page.lines().find(|line| {
        line.contains("failures_total{")
            && line.contains("side=\"postgres\"")
            && line.contains("stream=")
    });
    Ok(line
        .and_then(|line| line.rsplit_once(' '))
        .and_then(|(_, count)| count.parse().ok())
        .unwrap_or(0))
}

#[tokio::test]
async fn a_batch_that_runs_into_statement_timeout_is_tried_again_and_no_event_is_rejected()
-> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let (client, holder) = (database.connect().await?, database.connect().await?);
    let name = client.query_one("select current_database()::text", &[]).await?.get::<_, String>(0);
    let book = book_in(&client, &["ANALYZING"]).await?;
    client.batch_execute(&format!("alter database {name} set statement_timeout = '3s'")).await?;
    let daemon = database.daemon(&ARGS).await?;
    holder.batch_execute("begin").await?;
    holder.query("select from bindery.book_status where book_id = $1 for update", &[&book]).await?;
    let mut redis = servers.redis().await?;
    let id = book.to_string();
    let fields = [
        ("type", "progress"),
        ("book_id", id.as_str()),
        ("substep", "extract_text"),
        ("progress", "100"),
    ];
    let last = database.add(&mut redis, &fields).await?;
    until_logged(&daemon, "57014").await?;
    let held = cursor(&client, database.stream()).await?;
    assert_eq!((held.position.as_str(), held.counts.all()), ("0-0", 0));
    holder.batch_execute("rollback").await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 1, ..Counts::default() });
    Ok(())
}

/// A backlog whose full batches take longer than `statement_timeout` allows. A trigger makes a
/// batch of more than 100 rows take too long, whatever the machine.
#[tokio::test]
async fn a_batch_that_takes_too_long_is_halved_until_it_passes() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let name = client.query_one("select current_database()::text", &[]).await?.get::<_, String>(0);
    client
        .batch_execute(&format!(
            "create function public.slow() returns trigger language plpgsql as $$
             begin
               if (select count(*) from changed) > 100 then perform pg_sleep(600); end if;
               return null;
             end $$;
             create trigger slow after update on bindery.book_progress
             referencing new table as changed for each statement execute function public.slow();
             alter database {name} set statement_timeout = '1s'"
        ))
        .await?;
    let mut redis = servers.redis().await?;
    let mut last = String::new();
    for _ in 0..1000 {
        let id = book_in(&client, &["ANALYZING"]).await?.to_string();
        let fields = [
            ("type", "progress"),
            ("book_id", &id),
            ("substep", "extract_text"),
            ("progress", "100"),
        ];
        last = add(&mut redis, database.stream(), &entry(fields)).await?;
    }
    let _daemon = database.daemon(&["--outbox", "", "--sweep", "0"]).await?;
    let counts = applied_up_to(&client, database.stream(), &last).await?.counts;
    assert_eq!(counts, Counts { applied: 1000, ..Counts::default() });
    Ok(())
}

/// While one session after another fails on a locked row, the daemon is not ready and its lag
/// grows; both end when it proceeds.
#[tokio::test]
async fn a_relay_that_cannot_get_on_is_not_ready_and_shows_its_lag() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let (client, holder) = (database.connect().await?, database.connect().await?);
    let name = client.query_one("select current_database()::text", &[]).await?.get::<_, String>(0);
    let book = book_in(&client, &["ANALYZING"]).await?;
    client.batch_execute(&format!("alter database {name} set statement_timeout = '1s'")).await?;
    let daemon = database.daemon(&ARGS).await?;
    let status = async || -> Result<(u16, f64)> {
        let ready = daemon.get("/readyz").await?;
        let body: serde_json::Value = serde_json::from_str(&ready.body)?;
        let lag = body["streams"][database.stream()]["lag"].as_f64();
        Ok((ready.status, lag.unwrap_or(-1.0)))
    };
    let ready_without_lag = async || {
        let now = status().await?;
        ensure!(now == (200, 0.0), "{now:?}");
        Ok(())
    };
    eventually(SOON, "readiness, and no lag", ready_without_lag).await?;
    holder.batch_execute("begin").await?;
    holder.query("select from bindery.book_status where book_id = $1 for update", &[&book]).await?;
    let id = book.to_string();
    let fields = [
        ("type", "progress"),
        ("book_id", id.as_str()),
        ("substep", "extract_text"),
        ("progress", "100"),
    ];
    let mut redis = servers.redis().await?;
    let last = database.add(&mut redis, &fields).await?;
    eventually(SOON, "the first failure", async || {
        ensure!(failures(&daemon).await? >= 1, "none");
        Ok(())
    })
    .await?;
    let (failed, mut before) = (std::time::Instant::now(), 0.0);
    while failures(&daemon).await? < 4 {
        let (status, lag) = status().await?;
        assert_eq!(status, 503, "{:?} after the first failure", failed.elapsed());
        assert!(lag >= before && lag >= failed.elapsed().as_secs_f64(), "{before} s, then {lag} s");
        before = lag;
    }
    holder.batch_execute("rollback").await?;
    applied_up_to(&client, database.stream(), &last).await?;
    eventually(SOON, "readiness, and no lag", ready_without_lag).await
}

/// A trigger refuses one event, with good ones before and after it.
#[tokio::test]
async fn an_event_that_the_database_refuses_is_rejected_alone_in_each_position_of_a_batch()
-> Result<()> {
    const SIZE: usize = 6;
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "create function public.poison() returns trigger language plpgsql as $$
             begin
               if new.message = 'poison' then raise exception 'it is poison'; end if;
               return new;
             end $$;
             create trigger poison before insert or update on bindery.book_progress
               for each row execute function public.poison()",
        )
        .await?;
    let mut redis = servers.redis().await?;
    let mut batches = Vec::new();
    for poisoned in 0..SIZE {
        let mut books = Vec::new();
        let mut last = String::new();
        for at in 0..SIZE {
            let book = book_in(&client, &["ANALYZING"]).await?;
            let id = book.to_string();
            let message = if at == poisoned { "poison" } else { "good" };
            let fields = [
                ("type", "progress"),
                ("book_id", &id),
                ("substep", "extract_text"),
                ("progress", "30"),
                ("message", message),
            ];
            last = add(&mut redis, database.stream(), &entry(fields)).await?;
            books.push(book);
        }
        batches.push((poisoned, books, last));
    }
    let size = SIZE.to_string();
    // All events are there before the daemon starts, so each batch is full: the first has the first
    // six events, and so on.
    let _daemon = database.daemon(&["--outbox", "", "--max-batch", &size]).await?;
    let (_, _, last) = batches.last().context("no batches")?;
    let counts = applied_up_to(&client, database.stream(), last).await?.counts;
    let (all, poisons) = (i64::try_from(SIZE * SIZE)?, i64::try_from(SIZE)?);
    assert_eq!(counts, Counts { applied: all - poisons, rejected: poisons, ..Counts::default() });
    for (poisoned, books, _) in &batches {
        for (at, book) in books.iter().enumerate() {
            let query = "select
                (select g.message from bindery.book_progress g
                  where g.book_id = $1 and g.substep = 'extract_text'),
                (select count(*) from bindery.dead_letters d
                  where d.book_id = $1 and d.reason = 'refused_by_database')";
            let row = client.query_one(query, &[book]).await?;
            let (message, dead): (Option<String>, i64) = (row.get(0), row.get(1));
            if at == *poisoned {
                ensure!(
                    message.as_deref() != Some("poison") && dead == 1,
                    "batch {poisoned}: {message:?}, {dead} dead"
                );
            } else {
                ensure!(
                    message.as_deref() == Some("good") && dead == 0,
                    "batch {poisoned}, {at}: {message:?}, {dead} dead"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_backlog_at_the_start_is_worked_off_exactly() -> Result<()> {
    let events = if long() { 1_000_000 } else { 10_000 };
    let seed = seed("a_backlog_at_the_start");
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let mut load = Load::new(seed);
    let mut added = 0;
    while added < events {
        let events: Vec<_> = std::iter::from_fn(|| load.next()).take(1_000).collect();
        bindery_client::append(&mut redis, database.stream(), events.iter().map(Vec::as_slice))
            .await?;
        added += 1_000;
    }
    let last = entries(&mut redis, database.stream()).await?.pop().context("nothing was added")?.0;
    let daemon = database.daemon_unready(&["--outbox", ""])?;
    eventually(Duration::from_secs(1_800), "the backlog to be worked off", async || {
        let cursor = cursor(&client, database.stream()).await?;
        if cursor.position == last { Ok(()) } else { Err(anyhow!("{cursor:?}")) }
    })
    .await?;
    println!("{} bytes resident after {added} events", daemon.resident()?);
    check(servers, &database, &client).await?;
    Ok(())
}

/// The daemon's clock jumps by two days, forward and back. The lease depends on Postgres's clock
/// and its renewal on a monotonic clock, so the daemon keeps the stream.
#[tokio::test]
async fn a_clock_that_jumps_moves_nothing() -> Result<()> {
    let seed = seed("a_clock_that_jumps");
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let offset = servers.new_file("faketime");
    std::fs::write(&offset, "+0\n")?;
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|file| std::path::Path::new(file).exists())
        .context("libfaketime is missing; run: make setup")?;
    let offset_file = offset.display().to_string();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &offset_file),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let args = [&["--stream", database.stream()], PATIENT.as_slice()].concat();
    let daemon =
        Daemon::spawn_with(servers, database.url(), servers.redis_url(), &args, &environment)?;
    daemon.ready().await?;
    let held = cursor(&client, database.stream()).await?;
    let standby = database.daemon_unready(&PATIENT)?;
    until_logged(&standby, "standing by").await?;
    let producer = Producer::start(servers, database.stream(), Load::new(seed))?;
    for jump in ["+2d", "-2d", "+0"] {
        std::fs::write(&offset, format!("{jump}\n"))?;
        more(&client, database.stream(), 300).await?;
    }
    producer.finish().await?;
    check(servers, &database, &client).await?;
    let after = cursor(&client, database.stream()).await?;
    assert_eq!((after.holder, after.epoch), (held.holder, held.epoch));
    Ok(())
}

async fn until_standing_by(daemon: &Daemon) -> Result<()> {
    eventually(SOON, "the daemon to find that it holds the stream no more", async || {
        let body = daemon.get("/readyz").await?.body;
        if body.contains("standing_by") { Ok(()) } else { Err(anyhow!("{body}")) }
    })
    .await
}

/// A paused daemon wakes up after another has taken its stream, and is fenced.
#[tokio::test]
async fn a_paused_daemon_that_wakes_up_does_no_harm() -> Result<()> {
    let seed = seed("a_paused_daemon");
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let stream = database.stream();
    let mut daemons = [database.daemon(&PATIENT).await?, database.daemon_unready(&PATIENT)?];
    until_logged(&daemons[1], "standing by").await?;
    let producer = Producer::start(servers, stream, Load::new(seed))?;
    for _ in 0..if long() { 10 } else { 3 } {
        more(&client, stream, 200).await?;
        let held = cursor(&client, stream).await?;
        daemons[0].pause().await?;
        let taken =
            cursor_when(&client, stream, "the other to take over", |c| c.epoch > held.epoch)
                .await?;
        assert_ne!(taken.holder, held.holder);
        more(&client, stream, 200).await?;
        daemons[0].resume().await?;
        until_logged(&daemons[0], "fenced: stopped this stream at once").await?;
        until_logged(&daemons[0], &format!("Epoch {} of the stream", held.epoch)).await?;
        until_standing_by(&daemons[0]).await?;
        daemons.swap(0, 1);
    }
    producer.finish().await?;
    check(servers, &database, &client).await?;
    Ok(())
}
