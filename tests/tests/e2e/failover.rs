//! Postgres fails over: the primary is killed while events arrive, and its streaming replica is
//! promoted. The daemon has the addresses of both and is not restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Fault, Proxy, Replica, Servers, eventually};
use fastrand::Rng;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamMaxlen;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::crash::{check, until_applying};
use crate::faults::{long, server};
use crate::load::{Load, seed};
use crate::outbox::{Message, message, messages};
use crate::produce::Producer;
use crate::support::{Entry, SOON, add, applied_up_to, book_row, cursor, cursor_when, entry};

/// When a commit is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    /// When it is on the replica's disk.
    Synchronous,
    /// Before it is sent to the replica.
    Asynchronous,
}

/// A primary, its replica, and a daemon that has the addresses of both.
struct Pair<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    name: String,
    commits: Commits,
    /// `None`: the servers' own Postgres.
    primary: Option<Replica>,
    replica: Replica,
    /// The connection between the two.
    link: Proxy,
    /// A session on the primary.
    client: Client,
    daemon: Daemon,
    /// The outbox's stream.
    changes: String,
}

/// Records the id of each outbox message and, for each lease, how many events had been applied when
/// it was acquired. Both records are replicated, so a failover loses them together with the commits
/// they describe.
const KEEP: &str = "
    create table public.messages (message_id uuid primary key);
    create function public.keep_message() returns trigger language plpgsql as $$
    begin
      insert into public.messages values (new.message_id);
      return null;
    end $$;
    create trigger zz_keep after insert on bindery.outbox
      for each row execute function public.keep_message();
    create table public.leases (id bigint generated always as identity, events bigint);
    create function public.keep_lease() returns trigger language plpgsql as $$
    begin
      insert into public.leases (events)
      values (new.applied + new.stale + new.early + new.rejected);
      return null;
    end $$;
    create trigger zz_keep after update on bindery.relay_cursors
      for each row when (old.epoch <> new.epoch) execute function public.keep_lease();";

impl<'a> Pair<'a> {
    async fn start(servers: &'a Servers, commits: Commits) -> Result<Pair<'a>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        client.batch_execute(KEEP).await?;
        let name = database.url().rsplit('/').next().unwrap_or_default().to_owned();
        let (link, replica) = replicate(servers.database_url(), None).await?;
        let (one, two) = (server(database.url())?, server(&replica.url_of(&name))?);
        let both = database.url().replacen(&one.to_string(), &format!("{one},{two}"), 1);
        let changes = format!("{}:changes", database.stream());
        let daemon = Daemon::spawn(
            servers,
            &format!("{both}?target_session_attrs=read-write"),
            &[
                &["--stream", database.stream(), "--outbox", &changes][..],
                &["--max-batch", "60", "--lease", "5s", "--sweep", "0"],
            ]
            .concat(),
        )?;
        let pair = Pair {
            servers,
            database,
            name,
            commits,
            primary: None,
            replica,
            link,
            client,
            daemon,
            changes,
        };
        pair.replicating().await?;
        pair.daemon.ready().await?;
        Ok(pair)
    }

    /// Waits until the replica streams and commits are acknowledged in the chosen mode.
    async fn replicating(&self) -> Result<()> {
        let state = match self.commits {
            Commits::Asynchronous => "async",
            Commits::Synchronous => {
                let name = Replica::NAME;
                let set = format!("alter system set synchronous_standby_names = '{name}'");
                self.client.batch_execute(&set).await?;
                self.client.query("select pg_reload_conf()", &[]).await?;
                "sync"
            }
        };
        eventually(SOON, &format!("the replica to be {state}"), async || {
            let query = "select state || ' ' || sync_state from pg_stat_replication";
            match self.client.query_opt(query, &[]).await?.map(|row| row.get::<_, String>(0)) {
                Some(seen) if seen == format!("streaming {state}") => Ok(()),
                other => Err(anyhow!("{other:?}")),
            }
        })
        .await
    }

    /// Adds events until the end of the test; few enough to keep the short form short.
    fn produce(&self, seed: u64) -> Result<Producer> {
        let slower = if long() { 1 } else { 4 };
        Producer::sharing(self.servers, self.database.stream(), Load::new(seed), slower)
    }

    /// Waits until this many more events are applied.
    async fn more(&self, events: i64) -> Result<()> {
        let stream = self.database.stream();
        let wanted = cursor(&self.client, stream).await?.counts.all() + events;
        cursor_when(&self.client, stream, "more to be applied", |c| c.counts.all() >= wanted)
            .await?;
        Ok(())
    }

    /// Cuts the replica off, and waits until events that it lacks have been applied and their
    /// messages published.
    async fn cut_off(&self) -> Result<()> {
        self.link.set(Fault::BlackHole);
        let replica = self.replica.connect(&self.name).await?;
        self.more(300).await?;
        let mut redis = self.servers.redis().await?;
        eventually(SOON, "a message that the replica lacks", async || {
            let last: Vec<(String, Entry)> =
                redis.xrevrange_count(&self.changes, "+", "-", 1).await?;
            let (_, entry) = last.first().context("no message")?;
            let (.., id) = message(entry)?;
            let query = "select from public.messages where message_id = $1";
            match replica.query_opt(query, &[&id]).await? {
                None => Ok(()),
                Some(_) => Err(anyhow!("it has {id}")),
            }
        })
        .await
    }

    /// Cuts the replica off, and waits until a commit of the daemon waits for it.
    async fn until_a_commit_waits(&self) -> Result<()> {
        self.link.set(Fault::BlackHole);
        eventually(SOON, "a commit to wait for the replica", async || {
            let query = "select from pg_stat_activity where datname = current_database()
                and application_name = 'binderyd' and wait_event = 'SyncRep'";
            match self.client.query(query, &[]).await?.len() {
                0 => Err(anyhow!("none does")),
                _ => Ok(()),
            }
        })
        .await
    }

    /// Kills the primary and promotes the replica. Returns how many events were applied before, and
    /// how many of these the replica had.
    async fn fail_over(&mut self) -> Result<(i64, i64)> {
        let seen = cursor(&self.client, self.database.stream()).await?.counts.all();
        let kept = self.kill_and_promote().await?;
        let promoted = Instant::now();
        self.more(1).await?;
        let pause = promoted.elapsed();
        println!("{:?}: {kept} of {seen} events kept, more after {pause:?}", self.commits);
        Ok((seen, kept))
    }

    /// Kills the primary and promotes the replica. Returns how many events the replica had applied
    /// when the daemon acquired the stream there.
    async fn kill_and_promote(&mut self) -> Result<i64> {
        let leases = "select count(*) from public.leases";
        let before: i64 = self.client.query_one(leases, &[]).await?.get(0);
        match &self.primary {
            None => self.servers.kill9_postgres().await?,
            Some(primary) => primary.kill9().await?,
        }
        self.replica.promote().await?;
        self.client = self.replica.connect(&self.name).await?;
        eventually(SOON, "the daemon to acquire the stream", async || {
            let lease = "select events from public.leases order by id offset $1 limit 1";
            let row = self.client.query_opt(lease, &[&before]).await?;
            row.map(|row| row.get(0)).ok_or_else(|| anyhow!("it has not"))
        })
        .await
    }

    /// Replaces the killed server by a replica of the promoted one.
    async fn replace_the_killed(&mut self) -> Result<()> {
        let killed = match &self.primary {
            None => self.database.url().to_owned(),
            Some(primary) => primary.url_of(&self.name),
        };
        let (link, replica) =
            replicate(&self.replica.url_of("postgres"), Some(server(&killed)?)).await?;
        self.link = link;
        self.primary = Some(std::mem::replace(&mut self.replica, replica));
        self.replicating().await
    }

    /// Checks, once everything is applied and published, that each event took effect once and that
    /// only invalid events are rejected.
    async fn check(&self, producer: Producer) -> Result<()> {
        let produced = producer.finish().await?;
        let (last, _) = produced.acknowledged.last().context("nothing was added")?;
        applied_up_to(&self.client, self.database.stream(), last).await?;
        eventually(SOON, "the outbox to be empty", async || {
            let query = "select count(*) from bindery.outbox";
            match self.client.query_one(query, &[]).await?.get::<_, i64>(0) {
                0 => Ok(()),
                left => Err(anyhow!("{left} are left")),
            }
        })
        .await?;
        check(self.servers, &self.database, &self.client).await?;
        let query = "select losses from bindery.relay_cursors where stream = $1";
        let losses: i64 = self.client.query_one(query, &[&self.database.stream()]).await?.get(0);
        ensure!(losses == 0, "the relay takes {losses} losses for what was a failover");
        self.daemon.ready().await?;
        let books = self.daemon.get("/api/books?limit=1").await?;
        ensure!(books.status == 200, "{books:?}");
        Ok(())
    }

    /// Checks the published messages as every reader sees them. Returns those of changes that were
    /// lost.
    async fn check_messages(&self) -> Result<Vec<Message>> {
        let mut redis = self.servers.redis().await?;
        let published = messages(&mut redis, &self.changes).await?;
        let kept = self.client.query("select message_id from public.messages", &[]).await?;
        let kept: BTreeSet<Uuid> = kept.iter().map(|row| row.get(0)).collect();

        let same_change = |one: &Message, other: &Message| {
            let is_same = |name| one.3[name] == other.3[name];
            one.0 == other.0 && is_same("to_status") && is_same("attempt")
        };
        let (mut by_id, mut lost) = (BTreeMap::new(), Vec::new());
        let (mut history, mut statuses) = (BTreeMap::<Uuid, Vec<Value>>::new(), BTreeMap::new());
        for (at, message) in published.iter().enumerate() {
            let (book, revision, _, payload, id) = message;
            if let Some(known) = by_id.insert(*id, message) {
                ensure!(known == message, "one id, two messages: {known:?} and {message:?}");
                continue;
            }
            statuses.insert(*book, payload["to_status"].clone());
            if kept.contains(id) {
                history.entry(*book).or_default().push(json!([revision, payload["to_status"]]));
            } else {
                let mut later = published[at..].iter();
                ensure!(
                    later.any(|later| kept.contains(&later.4) && same_change(message, later)),
                    "the change did not come again: {message:?}"
                );
                lost.push(message.clone());
            }
        }
        let unpublished = kept.iter().filter(|id| !by_id.contains_key(id)).count();
        ensure!(unpublished == 0, "{unpublished} messages were never published");
        let query = "select b.book_id, to_jsonb(b.status),
              (select jsonb_agg(jsonb_build_array(e.revision, e.to_status) order by e.revision)
              from bindery.book_events e where e.book_id = b.book_id and e.to_status is not null)
            from bindery.book_status b";
        for row in self.client.query(query, &[]).await? {
            let (book, status, expected): (Uuid, Value, Value) =
                (row.get(0), row.get(1), row.get(2));
            let own = history.remove(&book).unwrap_or_default();
            ensure!(
                Value::Array(own.clone()) == expected,
                "{book}: {own:?} were published of {expected}"
            );
            ensure!(
                statuses.get(&book) == Some(&status),
                "{book} is {status}, and its last message has {:?}",
                statuses.get(&book)
            );
        }
        ensure!(history.is_empty(), "messages about unknown books: {history:?}");
        Ok(lost)
    }
}

/// A replica of the server at this URL, which it reaches through the proxy.
async fn replicate(url: &str, at: Option<std::net::SocketAddr>) -> Result<(Proxy, Replica)> {
    let primary = server(url)?;
    let link = Proxy::before(primary).await?;
    let replica = Replica::start(&link.url(url, primary), at).await?;
    Ok((link, replica))
}

/// The number of failovers in a test.
fn rounds(short: i32) -> i32 {
    if long() { 10 } else { short }
}

#[tokio::test]
async fn a_failover_to_a_synchronous_replica_loses_nothing() -> Result<()> {
    let seed = seed("a_failover_to_a_synchronous_replica");
    let mut rng = Rng::with_seed(seed);
    let servers = Servers::start().await?;
    let mut pair = Pair::start(&servers, Commits::Synchronous).await?;
    let producer = pair.produce(seed)?;
    for round in 1..=rounds(2) {
        if round > 1 {
            pair.replace_the_killed().await?;
        }
        pair.more(rng.i64(100..700)).await?;
        if round % 2 == 0 {
            pair.until_a_commit_waits().await?;
        } else {
            until_applying(&pair.client).await?;
        }
        let (seen, kept) = pair.fail_over().await?;
        ensure!(kept >= seen, "{seen} events were applied, and {kept} of them are replicated");
    }
    pair.more(300).await?;
    pair.check(producer).await?;
    let lost = pair.check_messages().await?;
    ensure!(lost.is_empty(), "messages of changes that were lost: {lost:?}");
    Ok(())
}

#[tokio::test]
async fn after_a_failover_that_lost_commits_their_events_are_applied_again() -> Result<()> {
    let seed = seed("a_failover_that_lost_commits");
    let mut rng = Rng::with_seed(seed);
    let servers = Servers::start().await?;
    let mut pair = Pair::start(&servers, Commits::Asynchronous).await?;
    let producer = pair.produce(seed)?;
    for round in 1..=rounds(1) {
        if round > 1 {
            pair.replace_the_killed().await?;
        }
        pair.more(rng.i64(100..700)).await?;
        pair.cut_off().await?;
        let (seen, kept) = pair.fail_over().await?;
        ensure!(kept < seen, "nothing was lost: the test proves nothing");
    }
    pair.more(300).await?;
    pair.check(producer).await?;
    let lost = pair.check_messages().await?;
    ensure!(!lost.is_empty(), "no message of a lost change was published");
    Ok(())
}

#[tokio::test]
async fn entries_trimmed_that_the_promoted_server_lacks_are_counted_as_lost() -> Result<()> {
    let servers = Servers::start().await?;
    let mut pair = Pair::start(&servers, Commits::Asynchronous).await?;
    let stream = pair.database.stream().to_owned();
    let mut redis = servers.redis().await?;
    let book = Uuid::new_v4();
    let id = book.to_string();
    let add = async |redis: &mut MultiplexedConnection, fields: &[(&'static str, &str)]| {
        let fields = fields.iter().copied().chain([("book_id", id.as_str())]);
        add(redis, &stream, &entry(fields)).await
    };
    let kept = add(&mut redis, &[("type", "register")]).await?;
    let replica = pair.replica.connect(&pair.name).await?;
    applied_up_to(&replica, &stream, &kept).await?;
    eventually(SOON, "Redis's count of entries to be noted", async || {
        let query = "select entries_ahead from bindery.relay_cursors where stream = $1";
        let row = replica.query_one(query, &[&stream]).await?;
        row.get::<_, Option<i64>>(0).context("it is not")
    })
    .await?;

    pair.link.set(Fault::BlackHole);
    add(&mut redis, &[("type", "transition"), ("to_status", "ANALYZING")]).await?;
    let last = add(&mut redis, &[("type", "heartbeat")]).await?;
    applied_up_to(&pair.client, &stream, &last).await?;
    // As with a `--retain` that is shorter than the replica's delay.
    let trimmed: i64 = redis.xtrim(&stream, StreamMaxlen::Equals(0)).await?;
    ensure!(trimmed == 3, "{trimmed} entries were trimmed");
    pair.kill_and_promote().await?;
    let next = add(&mut redis, &[("type", "heartbeat")]).await?;
    applied_up_to(&pair.client, &stream, &next).await?;

    let query = "select losses, lost, last_loss from bindery.relay_cursors where stream = $1";
    let row = pair.client.query_one(query, &[&stream]).await?;
    let seen: (i64, i64, Option<String>) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(seen, (1, 2, Some("trimmed".to_owned())));
    assert_eq!(book_row(&pair.client, book).await?["status"], "UPLOADED");
    Ok(())
}

/// As after a failover from a host that has disappeared.
#[tokio::test]
async fn a_first_host_that_does_not_answer_delays_neither_relay_nor_api_again() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let address = server(database.url())?;
    let gone = Proxy::before(address).await?;
    gone.set(Fault::BlackHole);
    let hosts = format!("{},{address}", gone.address());
    // Longer than a request waits for a connection.
    let url = database.url().replacen(&address.to_string(), &hosts, 1) + "?connect_timeout=6";
    let args = ["--stream", database.stream(), "--outbox", "", "--sweep", "0"];
    let daemon = Daemon::spawn(servers, &url, &args)?;
    daemon.ready().await?;
    for _ in 0..3 {
        let books = daemon.get("/api/books?limit=1").await?;
        assert_eq!(books.status, 200, "{books:?}");
    }
    // Its sessions end, and new ones are not made there.
    let client = database.connect().await?;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'binderyd'";
    let ended = client.query(end, &[]).await?.len();
    assert!(ended > 0, "it had no session");
    let start = Instant::now();
    daemon.ready().await?;
    let mut redis = servers.redis().await?;
    let book = Uuid::new_v4().to_string();
    let register = entry([("type", "register"), ("book_id", book.as_str())]);
    let last = add(&mut redis, database.stream(), &register).await?;
    applied_up_to(&client, database.stream(), &last).await?;
    let books = daemon.get("/api/books?limit=1").await?;
    assert_eq!(books.status, 200, "{books:?}");
    println!("relayed and answered after {:?}", start.elapsed());
    Ok(())
}
