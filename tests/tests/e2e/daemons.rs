//! Several daemons on the same streams: they share the streams evenly and take over from each
//! other, and no event is lost or applied twice.

use anyhow::{Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Servers, eventually};
use tokio_postgres::Client;

use crate::load::{Load, seed};
use crate::oracle::Oracle;
use crate::produce::Producer;
use crate::support::{Counts, SOON, applied_up_to, cursor, cursor_when, entries};

/// A lease that does not end early on a busy machine; a daemon announces itself four times within
/// it.
const LONG: &str = "12s";
/// A lease whose end a test waits for.
const SHORT: &str = "5s";

/// The streams of one test, each with a producer, and the daemons that read them.
struct Streams<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    client: Client,
    names: Vec<String>,
}

impl<'a> Streams<'a> {
    async fn new(servers: &'a Servers, how_many: usize) -> Result<Streams<'a>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        let names = (0..how_many).map(|number| format!("{}:{number}", database.stream())).collect();
        Ok(Streams { servers, database, client, names })
    }

    /// A daemon on all of them, with leases of this duration.
    async fn daemon(&self, lease: &str) -> Result<Daemon> {
        let mut args = vec!["--outbox", "", "--sweep", "0", "--max-batch", "60", "--lease", lease];
        args.extend(self.names.iter().flat_map(|name| ["--stream", name.as_str()]));
        let daemon = Daemon::spawn(self.servers, self.database.url(), &args)?;
        daemon.ready().await?;
        Ok(daemon)
    }

    fn produce(&self, seed: u64) -> Result<Vec<Producer>> {
        let streams = u32::try_from(self.names.len())?;
        let each = self.names.iter().zip(0..);
        each.map(|(name, number)| {
            Producer::sharing(self.servers, name, Load::new(seed.wrapping_add(number)), streams)
        })
        .collect()
    }

    /// Waits until the streams are shared among as many daemons, this many each.
    async fn until_spread(&self, each: &[i64]) -> Result<()> {
        eventually(SOON, &format!("the streams to be spread as {each:?}"), async || {
            let query = "select count(*) from bindery.relay_cursors
                where stream = any ($1) and lease_expires_at > now()
                group by holder order by 1";
            let rows = self.client.query(query, &[&self.names]).await?;
            let held: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            if held == each { Ok(()) } else { Err(anyhow!("{held:?}")) }
        })
        .await
    }

    async fn epochs(&self) -> Result<Vec<i64>> {
        let mut epochs = Vec::new();
        for name in &self.names {
            epochs.push(cursor(&self.client, name).await?.epoch);
        }
        Ok(epochs)
    }

    /// Waits until this many more events of each stream are applied.
    async fn more(&self, events: i64) -> Result<()> {
        for name in &self.names {
            let wanted = cursor(&self.client, name).await?.counts.all() + events;
            cursor_when(&self.client, name, "more to be applied", |cursor| {
                cursor.counts.all() >= wanted
            })
            .await?;
        }
        Ok(())
    }

    /// Checks that every stream is applied to its end, and that the database has exactly the
    /// effects of all their events.
    async fn check(&self, producers: Vec<Producer>) -> Result<()> {
        for producer in producers {
            producer.finish().await?;
        }
        let mut redis = self.servers.redis().await?;
        let (mut all, mut counts) = (Vec::new(), Counts::default());
        for name in &self.names {
            let of_stream = entries(&mut redis, name).await?;
            let (last, _) = of_stream.last().ok_or_else(|| anyhow!("{name} is empty"))?;
            let applied = applied_up_to(&self.client, name, last).await?.counts;
            ensure!(
                applied.all() == i64::try_from(of_stream.len())?,
                "{name}: {applied:?} of {}",
                of_stream.len()
            );
            counts = counts + applied;
            // All events of a book are in one stream, so the streams may be replayed one after
            // another.
            all.extend(of_stream.into_iter().map(|(_, entry)| entry));
        }
        let oracle = Oracle::of(&self.client, all).await?;
        oracle.check(&self.client).await?;
        ensure!(counts == oracle.counts, "counted {counts:?}, the events give {:?}", oracle.counts);
        Ok(())
    }
}

#[tokio::test]
async fn streams_are_spread_over_two_and_three_daemons_and_then_stay_where_they_are() -> Result<()>
{
    let streams = Streams::new(Servers::shared().await?, 6).await?;
    let mut daemons = vec![streams.daemon(LONG).await?];
    streams.until_spread(&[6]).await?;
    let producers = streams.produce(seed("streams_are_spread"))?;
    daemons.push(streams.daemon(LONG).await?);
    streams.until_spread(&[3, 3]).await?;
    daemons.push(streams.daemon(LONG).await?);
    streams.until_spread(&[2, 2, 2]).await?;
    let epochs = streams.epochs().await?;
    streams.more(200).await?;
    assert_eq!(streams.epochs().await?, epochs, "none has moved since");
    // A daemon that stops releases its streams, and the others share them.
    daemons.remove(0).sigterm().await?;
    streams.until_spread(&[3, 3]).await?;
    streams.more(100).await?;
    streams.check(producers).await
}

#[tokio::test]
async fn the_streams_of_a_daemon_that_was_killed_are_shared_among_the_others() -> Result<()> {
    let streams = Streams::new(Servers::shared().await?, 5).await?;
    let mut daemons =
        [streams.daemon(SHORT).await?, streams.daemon(SHORT).await?, streams.daemon(SHORT).await?];
    streams.until_spread(&[1, 2, 2]).await?;
    let producers = streams.produce(seed("streams_of_a_killed_daemon"))?;
    streams.more(100).await?;
    daemons[1].sigkill().await?;
    streams.until_spread(&[2, 3]).await?;
    streams.more(100).await?;
    daemons[0].pause().await?;
    streams.until_spread(&[5]).await?;
    streams.more(100).await?;
    daemons[0].resume().await?;
    streams.until_spread(&[2, 3]).await?;
    streams.more(100).await?;
    streams.check(producers).await
}
