//! Postgres and Redis are restarted and killed while a producer adds events, and retries if Redis
//! does not answer. The daemon is not restarted and must recover without help.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::{Bound, RangeBounds};

use anyhow::{Context, Result, bail, ensure};
use bindery_core::stream_id::StreamId;
use bindery_tests::{Daemon, Database, Servers};
use fastrand::Rng;
use tokio_postgres::Client;

use crate::load::{Load, seed};
use crate::oracle::Oracle;
use crate::produce::{Produced, Producer};
use crate::support::{Entry, applied_up_to, cursor, cursor_when, entries};

/// A daemon under load.
struct UnderLoad<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    daemon: Daemon,
    rng: Rng,
}

/// Entries of a stream, with their ids.
type Entries = Vec<(String, Entry)>;

impl<'a> UnderLoad<'a> {
    async fn start(servers: &'a Servers, test: &str) -> Result<(UnderLoad<'a>, Producer)> {
        let seed = seed(test);
        let database = servers.database().await?;
        let daemon = database.daemon(&["--outbox", "", "--lease", "500ms"]).await?;
        let producer = Producer::start(servers, database.stream(), Load::new(seed))?;
        Ok((UnderLoad { servers, database, daemon, rng: Rng::with_seed(seed) }, producer))
    }

    /// Waits until more events are applied, a few or many.
    async fn more(&mut self) -> Result<()> {
        let client = self.database.connect().await?;
        let wanted =
            cursor(&client, self.database.stream()).await?.counts.all() + self.rng.i64(1..1_500);
        cursor_when(&client, self.database.stream(), "more to be applied", |c| {
            c.counts.all() >= wanted
        })
        .await?;
        Ok(())
    }

    /// The stream's entries, once all of them are applied.
    async fn drained(&self, client: &Client) -> Result<Entries> {
        let entries = entries(&mut self.servers.redis().await?, self.database.stream()).await?;
        let (last, _) = entries.last().context("the stream is empty")?;
        applied_up_to(client, self.database.stream(), last).await?;
        self.daemon.ready().await?;
        Ok(entries)
    }

    /// Checks that the database has exactly the effects of these entries.
    async fn check(&self, client: &Client, entries: Entries) -> Result<()> {
        let events = i64::try_from(entries.len())?;
        let counts = cursor(client, self.database.stream()).await?.counts;
        ensure!(
            counts.all() == events,
            "{events} events reached the daemon, {counts:?} are counted"
        );
        let oracle = Oracle::of(client, entries.into_iter().map(|(_, entry)| entry)).await?;
        oracle.check(client).await?;
        ensure!(counts == oracle.counts, "counted {counts:?}, the events give {:?}", oracle.counts);
        Ok(())
    }

    /// Checks that nothing is lost: the stream has all acknowledged entries, and the database all
    /// entries of the stream.
    async fn check_nothing_lost(&self, produced: Produced) -> Result<()> {
        let client = self.database.connect().await?;
        let entries = self.drained(&client).await?;
        let mut held = entries.iter().map(|(id, _)| id);
        for (id, _) in &produced.acknowledged {
            ensure!(held.any(|held| held == id), "{id} was acknowledged and is not in the stream");
        }
        self.check(&client, entries).await
    }
}

#[tokio::test]
async fn postgres_restarted_and_killed_under_load() -> Result<()> {
    let servers = Servers::start().await?;
    let (mut load, producer) = UnderLoad::start(&servers, "postgres_restarted_and_killed").await?;
    load.more().await?;
    servers.restart_postgres("fast").await?;
    load.more().await?;
    servers.restart_postgres("immediate").await?;
    load.more().await?;
    servers.kill9_postgres().await?;
    let added = producer.added();
    servers.start_postgres().await?;
    ensure!(producer.added() > added, "events were added while Postgres was away");
    load.more().await?;
    let produced = producer.finish().await?;
    assert!(produced.failures.is_empty(), "Redis was not touched");
    load.check_nothing_lost(produced).await
}

#[tokio::test]
async fn redis_restarted_under_load() -> Result<()> {
    let servers = Servers::start().await?;
    let (mut load, producer) = UnderLoad::start(&servers, "redis_restarted").await?;
    for _ in 0..2 {
        load.more().await?;
        servers.restart_redis().await?;
    }
    load.more().await?;
    let produced = producer.finish().await?;
    assert!(!produced.failures.is_empty(), "the producer noticed");
    load.check_nothing_lost(produced).await
}

#[tokio::test]
async fn both_away_at_once() -> Result<()> {
    let servers = Servers::start().await?;
    let (mut load, producer) = UnderLoad::start(&servers, "both_away_at_once").await?;
    load.more().await?;
    servers.stop_postgres().await?;
    servers.stop_redis().await?;
    servers.start_redis().await?;
    servers.start_postgres().await?;
    load.more().await?;
    load.check_nothing_lost(producer.finish().await?).await
}

/// Redis is killed, and its file lacks the end, as after a power loss with `appendfsync everysec`:
/// acknowledged entries are lost. The daemon had read the first of them, which take effect; the
/// others are lost permanently. A trigger records each batch, which shows how many the daemon had
/// read: a batch that moved the position from p to q and counted n events contained the entries
/// that the stream still holds between p and q, and as many of the first lost entries between them
/// as are missing to n. The expected effect is that of these lost entries and of the stream's final
/// content.
#[tokio::test]
async fn redis_killed_and_its_last_entries_lost() -> Result<()> {
    let servers = Servers::start().await?;
    let (mut load, producer) = UnderLoad::start(&servers, "redis_killed").await?;
    let client = load.database.connect().await?;
    client.batch_execute(NOTE_BATCHES).await?;
    load.more().await?;
    servers.kill9_redis().await?;
    forget_the_end(&servers)?;
    servers.start_redis().await?;
    load.more().await?;
    let produced = producer.finish().await?;

    let mut entries = load.drained(&client).await?;
    let [killed_at] = produced.failures[..] else {
        bail!("Redis was away {:?} times", produced.failures)
    };
    let held = entries.iter().map(|(id, _)| Ok(id.parse()?)).collect::<Result<Vec<StreamId>>>()?;
    let mut lost = BTreeMap::new();
    for (id, entry) in &produced.acknowledged[..killed_at] {
        let id = id.parse()?;
        if held.binary_search(&id).is_err() {
            lost.insert(id, entry);
        }
    }
    let (last, _) = lost.last_key_value().context("nothing was lost: the test proves nothing")?;
    // This entry may have been added and read without an acknowledgement; the producer then added
    // the same event once more.
    let unacknowledged = StreamId::new(last.ms, last.seq + 1);
    let (acknowledged, mut read) = (lost.len(), 0);
    lost.insert(unacknowledged, &produced.acknowledged[killed_at].1);
    for row in client.query("select moved_from, moved_to, events from public.batches", &[]).await? {
        let (from, to): (StreamId, StreamId) =
            (row.get::<_, &str>(0).parse()?, row.get::<_, &str>(1).parse()?);
        let within = (Bound::Excluded(from), Bound::Included(to));
        let still_held = held.iter().filter(|id| within.contains(id)).count();
        let missing = usize::try_from(row.get::<_, i64>(2))?
            .checked_sub(still_held)
            .context("a batch skipped entries")?;
        let before = entries.len();
        entries.extend(
            lost.range(within).take(missing).map(|(id, entry)| (id.to_string(), (*entry).clone())),
        );
        ensure!(
            entries.len() == before + missing,
            "a batch from {from} to {to} counted entries that never were"
        );
        read += missing;
    }
    println!(
        "{acknowledged} acknowledged entries were lost, \
         {read} of them after the daemon had read them"
    );
    entries.sort_by_key(|(id, _)| id.parse::<StreamId>().unwrap_or_default());
    load.check(&client, entries).await
}

const NOTE_BATCHES: &str = "
    create table public.batches (moved_from text, moved_to text, events bigint);
    create function public.note_batch() returns trigger language plpgsql as $$
    begin
      insert into public.batches values (old.position, new.position,
        new.applied + new.stale + new.early + new.rejected
        - old.applied - old.stale - old.early - old.rejected);
      return null;
    end $$;
    create trigger note_batch after update on bindery.relay_cursors
    for each row when (old.position <> new.position and old.losses = new.losses)
    execute function public.note_batch();";

/// Cuts the end off Redis's append-only file; Redis loads the rest.
fn forget_the_end(servers: &Servers) -> Result<()> {
    const LOST_BYTES: u64 = 20_000;
    let files =
        fs::read_dir(servers.dir().join("redis/appendonlydir"))?.collect::<Result<Vec<_>, _>>()?;
    let is_increment =
        |file: &&fs::DirEntry| file.file_name().to_string_lossy().ends_with(".incr.aof");
    let file = files.iter().find(is_increment).context("no append-only file")?;
    let size = file.metadata()?.len();
    Ok(File::options().write(true).open(file.path())?.set_len(size.saturating_sub(LOST_BYTES))?)
}
