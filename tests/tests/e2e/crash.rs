//! The daemon killed, taken over from and stopped, at random and at chosen moments, while events
//! arrive.

use anyhow::{Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Servers, eventually};
use fastrand::Rng;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::faults::long;
use crate::load::{Load, seed};
use crate::oracle::Oracle;
use crate::produce::Producer;
use crate::support::{
    SOON, applied_up_to, batches_wait, book_in, book_row, cursor, cursor_when, entries, pid,
    until_a_session_is_blocked, until_gone,
};

/// Small batches, for many moments at which to kill it, and a short lease.
const ARGS: [&str; 6] = ["--outbox", "", "--max-batch", "60", "--lease", "200ms"];

/// Checks, once everything is applied, that the database has exactly the effects of the events in
/// the stream.
pub async fn check(servers: &Servers, database: &Database<'_>, client: &Client) -> Result<Oracle> {
    let entries = entries(&mut servers.redis().await?, database.stream()).await?;
    let events = i64::try_from(entries.len())?;
    let last = entries.last().map(|(id, _)| id.clone()).unwrap_or_default();
    let cursor = applied_up_to(client, database.stream(), &last).await?;
    let oracle = Oracle::of(client, entries.into_iter().map(|(_, entry)| entry)).await?;
    ensure!(
        cursor.counts.all() == events,
        "{events} events were added, {:?} counted",
        cursor.counts
    );
    oracle.check(client).await?;
    ensure!(
        cursor.counts == oracle.counts,
        "counted {:?}, the events give {:?}",
        cursor.counts,
        oracle.counts
    );
    Ok(oracle)
}

#[tokio::test]
async fn killed_again_and_again_under_load() -> Result<()> {
    let seed = seed("killed_again_and_again_under_load");
    let mut rng = Rng::with_seed(seed);
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let stream = database.stream();
    let mut daemon = database.daemon_unready(&ARGS)?;
    let producer = Producer::start(servers, stream, Load::new(seed))?;

    let kills = if long() { 100 } else { 10 };
    for kill in 1..=kills {
        let more = rng.i64(1..1_000);
        // The previous daemon may have left a batch that commits without it; wait until this one
        // holds the stream itself.
        let held = cursor_when(&client, stream, "the daemon to hold the stream", |cursor| {
            cursor.epoch >= kill
        })
        .await?;
        let wanted = held.counts.all() + more;
        cursor_when(&client, stream, "more events to be applied", |cursor| {
            cursor.counts.all() >= wanted
        })
        .await?;
        if rng.bool() {
            // Kill it in the middle of a batch.
            until_applying(&client).await?;
        }
        daemon.sigkill().await?;
        println!(
            "kill {kill} at {:?} of {} events",
            cursor(&client, stream).await?,
            producer.added()
        );
        daemon = database.daemon_unready(&ARGS)?;
    }
    let produced = producer.finish().await?;

    assert!(produced.failures.is_empty(), "Redis was not touched");
    let oracle = check(servers, &database, &client).await?;
    assert!(oracle.books() > 24, "{} books were made", oracle.books());
    let epochs = cursor(&client, stream).await?.epoch;
    assert!(epochs > kills, "each daemon held the stream: {epochs}");
    Ok(())
}

/// Waits until a session of the daemon is inside `apply_events`.
pub async fn until_applying(client: &Client) -> Result<()> {
    eventually(SOON, "the daemon to be applying", async || {
        let query = "select from pg_stat_activity
            where datname = current_database() and application_name = 'binderyd'
            and state = 'active' and query like '%apply_events%'";
        match client.query(query, &[]).await?.len() {
            0 => Err(anyhow!("it is not")),
            _ => Ok(()),
        }
    })
    .await
}

/// A daemon that waits in the middle of a batch for a book that this session holds.
struct Stuck<'a> {
    database: Database<'a>,
    daemon: Daemon,
    holder: Client,
    client: Client,
    book: Uuid,
    redis: MultiplexedConnection,
    session: i32,
    last: String,
}

async fn stuck(servers: &Servers) -> Result<Stuck<'_>> {
    let database = servers.database().await?;
    let (client, holder) = (database.connect().await?, database.connect().await?);
    let book = book_in(&client, &["ANALYZING"]).await?;
    batches_wait(&client).await?;
    let daemon = database.daemon(&ARGS).await?;
    holder.batch_execute("begin").await?;
    holder.query("select from bindery.book_status where book_id = $1 for update", &[&book]).await?;
    let mut redis = servers.redis().await?;
    let id = book.to_string();
    for substep in ["extract_text", "detect_chapters"] {
        let fields = [
            ("type", "progress"),
            ("book_id", id.as_str()),
            ("substep", substep),
            ("progress", "100"),
        ];
        database.add(&mut redis, &fields).await?;
    }
    let move_on =
        [("type", "transition"), ("book_id", id.as_str()), ("to_status", "GENERATING_SCENES")];
    let last = database.add(&mut redis, &move_on).await?;
    let session = until_a_session_is_blocked(&client, pid(&holder).await?).await?;
    Ok(Stuck { database, daemon, holder, client, book, redis, session, last })
}

impl Stuck<'_> {
    /// A new daemon applies the rest, and everything has taken effect once.
    async fn recovers(self) -> Result<()> {
        let Stuck { database, client, book, mut redis, .. } = self;
        let _daemon = database.daemon(&ARGS).await?;
        // One more event, after which the new daemon has read all that was left.
        let last = database
            .add(&mut redis, &[("type", "heartbeat"), ("book_id", &book.to_string())])
            .await?;
        let counts = applied_up_to(&client, database.stream(), &last).await?.counts;
        assert_eq!((counts.applied, counts.stale, counts.early, counts.rejected), (4, 0, 0, 0));
        let row = book_row(&client, book).await?;
        assert_eq!(
            (&row["status"], &row["overall_progress"]),
            (&"GENERATING_SCENES".into(), &20.into()),
            "{row}"
        );
        let moves =
            "select count(*) from bindery.book_events where to_status = 'GENERATING_SCENES'";
        assert_eq!(client.query_one(moves, &[]).await?.get::<_, i64>(0), 1);
        Ok(())
    }
}

#[tokio::test]
async fn killed_before_it_receives_that_a_batch_is_committed() -> Result<()> {
    let mut stuck = stuck(Servers::shared().await?).await?;
    stuck.daemon.sigkill().await?;
    // The server has not noticed the kill: it commits, and the answer is lost.
    stuck.holder.batch_execute("rollback").await?;
    let stream = stuck.database.stream();
    cursor_when(&stuck.client, stream, "the batch to be committed", |cursor| {
        cursor.counts.applied >= 1
    })
    .await?;
    stuck.recovers().await
}

#[tokio::test]
async fn killed_together_with_its_session_in_the_middle_of_a_batch() -> Result<()> {
    let mut stuck = stuck(Servers::shared().await?).await?;
    stuck.daemon.sigkill().await?;
    stuck.client.query("select pg_terminate_backend($1)", &[&stuck.session]).await?;
    until_gone(&stuck.client, stuck.session).await?;
    stuck.holder.batch_execute("rollback").await?;
    assert_eq!(
        cursor(&stuck.client, stuck.database.stream()).await?.counts.all(),
        0,
        "nothing was committed"
    );
    stuck.recovers().await
}

#[tokio::test]
async fn its_session_ended_in_the_middle_of_a_batch_it_recovers() -> Result<()> {
    let stuck = stuck(Servers::shared().await?).await?;
    stuck.client.query("select pg_terminate_backend($1)", &[&stuck.session]).await?;
    stuck.holder.batch_execute("rollback").await?;
    let counts = applied_up_to(&stuck.client, stuck.database.stream(), &stuck.last).await?.counts;
    assert_eq!(counts.applied, 3);
    stuck.recovers().await
}

#[tokio::test]
async fn a_standby_takes_over_from_a_daemon_that_was_killed() -> Result<()> {
    let seed = seed("a_standby_takes_over");
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let stream = database.stream();
    // A lease that only the kill ends, because a busy machine may delay a daemon for seconds.
    let args = ["--outbox", "", "--max-batch", "60", "--lease", "20s"];
    let mut first = database.daemon(&args).await?;
    let held = cursor(&client, stream).await?;
    let standby = database.daemon(&args).await?;
    assert_eq!(
        cursor(&client, stream).await?.holder,
        held.holder,
        "the second daemon is ready and only stands by"
    );
    assert!(
        standby.get("/readyz").await?.body.contains("standing_by"),
        "{}",
        standby.get("/readyz").await?.body
    );
    let producer = Producer::start(servers, stream, Load::new(seed))?;
    cursor_when(&client, stream, "events to be applied", |cursor| cursor.counts.all() >= 500)
        .await?;

    first.sigkill().await?;

    let taken =
        cursor_when(&client, stream, "the standby to hold the stream", |c| c.epoch > held.epoch)
            .await?;
    assert_ne!(taken.holder, held.holder);
    let more = taken.counts.all() + 500;
    cursor_when(&client, stream, "the standby to apply events", |cursor| {
        cursor.counts.all() >= more
    })
    .await?;
    producer.finish().await?;
    check(servers, &database, &client).await?;
    Ok(())
}

#[tokio::test]
async fn sigterm_under_load_finishes_what_is_in_flight_and_releases_the_stream() -> Result<()> {
    let seed = seed("sigterm_under_load");
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let stream = database.stream();
    // A lease longer than any wait of a test.
    let args = ["--outbox", "", "--max-batch", "60", "--lease", "10m"];
    let mut daemon = database.daemon(&args).await?;
    let producer = Producer::start(servers, stream, Load::new(seed))?;
    for stop in 1..=3 {
        let wanted = cursor(&client, stream).await?.counts.all() + 500;
        cursor_when(&client, stream, "events to be applied", |cursor| {
            cursor.counts.all() >= wanted
        })
        .await?;
        let ended = daemon.sigterm().await?;
        let cursor = cursor(&client, stream).await?;
        assert_eq!(
            (ended.code(), &cursor.holder),
            (Some(0), &None),
            "stop {stop}: {}",
            daemon.log()
        );
        let mut redis = servers.redis().await?;
        eventually(SOON, "events to be left for the next daemon", async || {
            let after = format!("({}", cursor.position);
            let later: Vec<redis::Value> = redis.xrange_count(stream, after, "+", 1).await?;
            if later.is_empty() { Err(anyhow!("none are")) } else { Ok(()) }
        })
        .await?;
        daemon = database.daemon(&args).await?;
    }
    producer.finish().await?;
    check(servers, &database, &client).await?;
    Ok(())
}

#[tokio::test]
async fn sigterm_waits_for_the_batch_that_is_being_applied() -> Result<()> {
    let mut stuck = stuck(Servers::shared().await?).await?;
    stuck.daemon.signal("TERM").await?;
    eventually(SOON, "the daemon to have received the signal", async || {
        match stuck.daemon.get("/healthz").await {
            Ok(answer) => Err(format!("{answer:?}")),
            Err(_) => Ok(()),
        }
    })
    .await?;
    ensure!(
        stuck.daemon.is_running()?,
        "it ended in the middle of a batch:\n{}",
        stuck.daemon.log()
    );
    stuck.holder.batch_execute("rollback").await?;
    assert_eq!(stuck.daemon.ended().await?.code(), Some(0));
    let after = cursor(&stuck.client, stuck.database.stream()).await?;
    assert!(after.counts.applied >= 1 && after.holder.is_none(), "{after:?}");
    stuck.recovers().await
}
