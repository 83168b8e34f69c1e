//! Changes of a stream by other programs: it is trimmed past the position, deleted, created
//! anew, or restored to an older state. The daemon reports the loss, applies each readable entry
//! once, and continues. Entries that the daemon itself trims are not a loss.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Fault, Proxy, Servers, eventually};
use redis::aio::MultiplexedConnection;
use tokio_postgres::Client;

use crate::support::{SOON, applied_up_to, book_in, cursor, entries};

const ARGS: [&str; 6] = ["--outbox", "", "--lease", "500ms", "--sweep", "0"];

/// The columns of `relay_cursors` about losses.
#[derive(Debug, PartialEq, Eq)]
struct Losses {
    losses: i64,
    lost: i64,
    last: Option<String>,
    told_when: bool,
    position: String,
}

async fn losses(client: &Client, stream: &str) -> Result<Losses> {
    let query = "select losses, lost, last_loss, lost_at is not null, position
        from bindery.relay_cursors where stream = $1";
    let row = client.query_one(query, &[&stream]).await?;
    Ok(Losses {
        losses: row.get(0),
        lost: row.get(1),
        last: row.get(2),
        told_when: row.get(3),
        position: row.get(4),
    })
}

/// Waits until this loss is recorded once, and checks the log and the metrics as well.
async fn found(
    client: &Client,
    stream: &str,
    daemon: &Daemon,
    loss: &str,
    lost: i64,
) -> Result<Losses> {
    let found = eventually(SOON, &format!("{loss} to be found"), async || {
        let found = losses(client, stream).await?;
        if found.last.as_deref() == Some(loss) { Ok(found) } else { Err(anyhow!("{found:?}")) }
    })
    .await?;
    ensure!((found.losses, found.lost, found.told_when) == (1, lost, true), "{found:?}");
    let metric = format!("bindery_relay_losses_total{{stream=\"{stream}\",loss=\"{loss}\"}} 1");
    let entries = format!("bindery_relay_lost_entries_total{{stream=\"{stream}\"}} {lost}");
    eventually(SOON, "the metrics to count it", async || {
        let body = daemon.get("/metrics").await?.body;
        let exposed =
            [&metric, &entries].into_iter().all(|line| body.lines().any(|found| found == line));
        if exposed { Ok(()) } else { Err(anyhow!("{body}")) }
    })
    .await?;
    let lines = eventually(SOON, "the log to report it", async || {
        let lines =
            daemon.log().lines().filter(|line| line.contains(&format!("loss=\"{loss}\""))).count();
        if lines > 0 { Ok(lines) } else { Err("it does not") }
    })
    .await?;
    ensure!(lines == 1, "the log reports it {lines} times");
    Ok(found)
}

/// Adds a report of this progress; returns its id.
async fn report(
    redis: &mut MultiplexedConnection,
    stream: &str,
    id: &str,
    book: &str,
    progress: u8,
) -> Result<String> {
    let progress = progress.to_string();
    let fields = [
        ("type", "progress"),
        ("book_id", book),
        ("substep", "extract_text"),
        ("progress", &progress),
    ];
    Ok(redis::cmd("XADD").arg(stream).arg(id).arg(&fields).query_async(redis).await?)
}

/// The progress of the book's substep.
async fn progress(client: &Client, book: &str) -> Result<f64> {
    let query = "select progress from bindery.book_progress
        where book_id = $1::text::uuid and substep = 'extract_text'";
    Ok(client.query_one(query, &[&book]).await?.get(0))
}

struct Ground<'a> {
    database: Database<'a>,
    client: Client,
    redis: MultiplexedConnection,
    book: String,
}

impl<'a> Ground<'a> {
    async fn new(servers: &'a Servers) -> Result<Ground<'a>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        let book = book_in(&client, &["ANALYZING"]).await?.to_string();
        Ok(Ground { database, client, redis: servers.redis().await?, book })
    }

    fn stream(&self) -> &str {
        self.database.stream()
    }

    /// Adds reports of 1, 2, … percent and waits until they are applied; returns the last one's id.
    async fn reported(&mut self, reports: u8) -> Result<String> {
        let mut last = String::new();
        for percent in 1..=reports {
            last = self.report("*", percent).await?;
        }
        applied_up_to(&self.client, self.stream(), &last).await?;
        Ok(last)
    }

    async fn report(&mut self, id: &str, percent: u8) -> Result<String> {
        report(&mut self.redis, self.database.stream(), id, &self.book, percent).await
    }

    async fn found(&self, daemon: &Daemon, loss: &str, lost: i64) -> Result<Losses> {
        found(&self.client, self.stream(), daemon, loss, lost).await
    }

    /// Waits until the stream is applied up to this entry, with this progress and this many events.
    async fn ends_at(&self, id: &str, percent: f64, events: i64) -> Result<()> {
        let cursor = applied_up_to(&self.client, self.stream(), id).await?;
        ensure!(
            cursor.counts.applied == events && cursor.counts.all() == events,
            "{cursor:?}, not {events} applied"
        );
        let progress = progress(&self.client, &self.book).await?;
        ensure!((progress - percent).abs() < f64::EPSILON, "it is at {progress}, not {percent}");
        Ok(())
    }
}

#[tokio::test]
async fn entries_trimmed_past_the_position_are_reported_and_the_rest_is_applied() -> Result<()> {
    let mut ground = Ground::new(Servers::shared().await?).await?;
    let mut daemon = ground.database.daemon(&ARGS).await?;
    ground.reported(3).await?;
    // Trimming applied entries is not a loss.
    let trim = async |redis: &mut MultiplexedConnection, stream: &str, kept: usize| -> Result<()> {
        Ok(redis::cmd("XTRIM").arg(stream).arg("MAXLEN").arg(kept).query_async(redis).await?)
    };
    trim(&mut ground.redis, ground.database.stream(), 0).await?;
    ground.reported(4).await?;
    daemon.sigterm().await?;
    let mut last = String::new();
    for percent in 11..=15 {
        last = ground.report("*", percent).await?;
    }
    trim(&mut ground.redis, ground.database.stream(), 2).await?;
    let mut daemon = ground.database.daemon(&ARGS).await?;
    ground.found(&daemon, "trimmed", 3).await?;
    ground.ends_at(&last, 15.0, 9).await?;
    // The loss is reported once: the next daemon finds the stream as the last one left it.
    daemon.sigterm().await?;
    let _next = ground.database.daemon(&ARGS).await?;
    let last = ground.report("*", 16).await?;
    ground.ends_at(&last, 16.0, 10).await?;
    ensure!(losses(&ground.client, ground.stream()).await?.losses == 1);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_was_deleted_is_reported_and_its_later_entries_are_new() -> Result<()> {
    let mut ground = Ground::new(Servers::shared().await?).await?;
    let daemon = ground.database.daemon(&ARGS).await?;
    ground.reported(3).await?;
    let _: () =
        redis::cmd("DEL").arg(ground.database.stream()).query_async(&mut ground.redis).await?;
    let found = ground.found(&daemon, "deleted", 0).await?;
    assert_eq!(found.position, "0-0");
    // Far below every id that the daemon has read.
    ground.report("1-1", 50).await?;
    ground.ends_at("1-1", 50.0, 4).await
}

/// The stream is a copy that an operator made. It was trimmed before, so Redis's count of added
/// entries exceeds its length.
#[tokio::test]
async fn a_stream_renamed_away_and_back_is_still_the_same() -> Result<()> {
    let mut ground = Ground::new(Servers::shared().await?).await?;
    let daemon = ground.database.daemon(&ARGS).await?;
    ground.reported(5).await?;
    let stream = ground.database.stream().to_owned();
    let trim: i64 = redis::cmd("XTRIM")
        .arg(&stream)
        .arg("MAXLEN")
        .arg(3)
        .query_async(&mut ground.redis)
        .await?;
    ensure!(trim == 2);
    let away = format!("{stream}:away");
    // The daemon probes the stream eight times a second.
    for _ in 0..3 {
        for (from, to) in [(&stream, &away), (&away, &stream)] {
            let _: () =
                redis::cmd("RENAME").arg(from).arg(to).query_async(&mut ground.redis).await?;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }
    let last = ground.report("*", 50).await?;
    ground.ends_at(&last, 50.0, 6).await?;
    let losses = losses(&ground.client, &stream).await?;
    ensure!(losses.losses == 0, "{losses:?}\n{}", daemon.log());
    Ok(())
}

#[tokio::test]
async fn a_stream_deleted_and_recreated_is_reported_and_read_from_its_beginning() -> Result<()> {
    for id in ["1-1", "*"] {
        let mut ground = Ground::new(Servers::shared().await?).await?;
        let daemon = ground.database.daemon(&ARGS).await?;
        ground.reported(3).await?;
        let fields = [
            ("type", "progress"),
            ("book_id", &ground.book),
            ("substep", "extract_text"),
            ("progress", "50"),
        ];
        let stream = ground.database.stream();
        let mut anew = redis::pipe();
        anew.atomic().del(stream).ignore().xadd(stream, id, &fields);
        let (first,): (String,) = anew.query_async(&mut ground.redis).await?;
        ground.found(&daemon, "recreated", 0).await?;
        ground.ends_at(&first, 50.0, 4).await?;
    }
    Ok(())
}

/// Redis returns with an older state, as after a failover to a replica that lacked the latest
/// entries. Before the daemon reconnects, entries are added whose ids are among the lost ones.
#[tokio::test]
async fn a_redis_put_back_to_an_older_state_is_read_on_from_where_it_parts_each_entry_once()
-> Result<()> {
    let servers = Servers::start().await?;
    let mut ground = Ground::new(&servers).await?;
    let at_redis: SocketAddr = server(servers.redis_url())?;
    let proxy = Proxy::before(at_redis).await?;
    let args = [&["--stream", ground.stream()], ARGS.as_slice()].concat();
    let redis_url = proxy.url(servers.redis_url(), at_redis);
    let daemon = Daemon::spawn_with(&servers, ground.database.url(), &redis_url, &args, &[])?;
    daemon.ready().await?;
    let kept = ground.reported(3).await?;
    let (folder, copy) = (servers.dir().join("redis/appendonlydir"), servers.dir().join("older"));
    copy_folder(&folder, &copy)?;
    let read = ground.reported(6).await?;

    proxy.set(Fault::BlackHole);
    servers.kill9_redis().await?;
    std::fs::remove_dir_all(&folder)?;
    copy_folder(&copy, &folder)?;
    servers.start_redis().await?;
    ground.redis = servers.redis().await?;
    // The state may be older than the last save, because Redis delays writes while the disk is
    // busy.
    let (left, _) = entries(&mut ground.redis, ground.database.stream())
        .await?
        .pop()
        .context("nothing is left")?;
    let between = format!("{}-7", kept.split_once('-').context("an id")?.0);
    ground.report(&between, 40).await?;
    ensure!(applied_up_to(&ground.client, ground.stream(), &read).await?.counts.applied == 9);
    proxy.set(Fault::None);

    let found = ground.found(&daemon, "rewound", 0).await?;
    ensure!([&left, &between].contains(&&found.position), "{found:?}");
    ground.ends_at(&between, 40.0, 10).await?;
    let last = ground.report("*", 41).await?;
    ground.ends_at(&last, 41.0, 11).await
}

/// Which of the stream's entries were applied is then unknown: those that are there count as
/// applied, the next ones do not.
#[tokio::test]
async fn a_daemon_started_on_a_rewound_stream_continues_from_its_end() -> Result<()> {
    let mut ground = Ground::new(Servers::shared().await?).await?;
    let mut daemon = ground.database.daemon(&ARGS).await?;
    ground.reported(3).await?;
    daemon.sigterm().await?;
    let _: () =
        redis::cmd("DEL").arg(ground.database.stream()).query_async(&mut ground.redis).await?;
    ground.report("5-1", 50).await?;
    let daemon = ground.database.daemon(&ARGS).await?;
    let found = ground.found(&daemon, "rewound", 0).await?;
    assert_eq!(found.position, "5-1");
    ground.report("5-2", 60).await?;
    ground.ends_at("5-2", 60.0, 4).await
}

#[tokio::test]
async fn a_login_that_may_only_read_relays_and_logs_once_that_it_sees_no_losses() -> Result<()> {
    let servers = Servers::shared().await?;
    let mut ground = Ground::new(servers).await?;
    let name = format!("blind_{}", uuid::Uuid::new_v4().simple());
    let _: () = redis::cmd("ACL")
        .arg(&["SETUSER", &name, "on", ">hush", "~*", "+xread"])
        .query_async(&mut ground.redis)
        .await?;
    let url = servers.redis_url().replacen("://", &format!("://{name}:hush@"), 1);
    let args = [&["--stream", ground.stream()], ARGS.as_slice()].concat();
    let daemon = Daemon::spawn_with(servers, ground.database.url(), &url, &args, &[])?;
    daemon.ready().await?;
    ground.reported(3).await?;
    let epoch = cursor(&ground.client, ground.stream()).await?.epoch;
    daemon.logged("losses are not noticed").await?;
    let lines = daemon.log().lines().filter(|line| line.contains("losses are not noticed")).count();
    ensure!((lines, epoch) == (1, 1), "{lines} lines, in epoch {epoch}: {}", daemon.log());
    Ok(())
}

/// Redis trims by whole nodes of 100 entries, so up to 99 more may stay.
#[tokio::test]
async fn what_is_applied_and_old_is_trimmed_and_nothing_that_is_not_applied() -> Result<()> {
    const EVENTS: usize = 350;
    let mut ground = Ground::new(Servers::shared().await?).await?;
    let _daemon = ground.database.daemon(&[&ARGS[..], &["--retain", "100ms"]].concat()).await?;
    let trimmed_to = async |redis: &mut MultiplexedConnection, stream: &str, most: usize| {
        eventually(SOON, &format!("{most} entries at most to be left"), async || {
            let left: usize =
                redis::cmd("XLEN").arg(stream).query_async(&mut redis.clone()).await?;
            if left <= most { Ok(left) } else { Err(anyhow!("there are {left}")) }
        })
        .await
    };
    let add = async |ground: &mut Ground<'_>| -> Result<String> {
        let mut last = String::new();
        for _ in 0..EVENTS {
            last = ground.report("*", 7).await?;
        }
        Ok(last)
    };
    let last = add(&mut ground).await?;
    applied_up_to(&ground.client, ground.stream(), &last).await?;
    trimmed_to(&mut ground.redis.clone(), ground.stream(), 99).await?;

    // New entries cannot be applied for a while.
    let mut session = ground.database.connect().await?;
    let held = session.transaction().await?;
    held.execute("select from bindery.book_status for update", &[]).await?;
    let last = add(&mut ground).await?;
    let left = trimmed_to(&mut ground.redis.clone(), ground.stream(), EVENTS + 99).await?;
    ensure!(left >= EVENTS, "{left} are left of what was not applied");
    held.rollback().await?;
    let cursor = applied_up_to(&ground.client, ground.stream(), &last).await?;
    ensure!(cursor.counts.applied == 2 * EVENTS as i64, "{cursor:?}");
    trimmed_to(&mut ground.redis.clone(), ground.stream(), 99).await?;
    ensure!(losses(&ground.client, ground.stream()).await?.losses == 0, "that is no loss");
    Ok(())
}

fn server(url: &str) -> Result<SocketAddr> {
    let (_, rest) = url.split_once("://").context("no URL")?;
    Ok(rest.trim_end_matches('/').parse()?)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}
