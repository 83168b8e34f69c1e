//! Workers in Rust and in Node follow `bindery:changes`. They are killed in the middle of their
//! work, and others finish it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Servers, eventually};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::docs_events::{example, own_redis};
use crate::node::{bridges, folder};
use crate::support::{
    Entry, SOON, add, book_row, entries, entry, json, pid, until_a_session_is_blocked, until_gone,
};
use crate::sweep::clock;

const EVENTS: &str = "bindery:events";
const CHANGES: &str = "bindery:changes";
const GROUP: &str = "workers";
/// Units of each substep, as src/bin/worker.rs and bridges/stages.js have it.
const UNITS: u64 = 3;
const STAGES: [(&str, &[&str]); 3] = [
    ("ANALYZING", &["extract_text", "detect_chapters", "analyze_characters"]),
    ("GENERATING_SCENES", &["split_scenes", "write_prompts"]),
    ("CREATING_ARTWORK", &["page_1", "page_2", "page_3"]),
];
/// The worker that begins each book, and the unit during which it is killed.
const FIRST: [(Language, &str, &str, u64); 4] = [
    (Language::Rust, "ANALYZING", "detect_chapters", 2),
    (Language::Node, "GENERATING_SCENES", "write_prompts", 1),
    (Language::Rust, "CREATING_ARTWORK", "page_2", 1),
    (Language::Node, "ANALYZING", "analyze_characters", 0),
];

/// A unit of work: its book, stage, substep and number.
type Unit = (Uuid, String, String, u64);

/// A message of the outbox: book, revision, kind, payload and id.
pub type Message = (Uuid, i64, String, Value, Uuid);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Node,
}

/// A process that works on one book at a time. It is killed when dropped.
struct Worker {
    child: Child,
    output: PathBuf,
}

impl Worker {
    /// The units that the worker has begun.
    fn begun(&self) -> Result<Vec<Unit>> {
        let printed = std::fs::read_to_string(&self.output)?;
        let whole = printed.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let units = whole.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let ["works", book, stage, substep, unit] = words[..] else {
                return Err(anyhow!("the worker printed: {line}"));
            };
            Ok((book.parse()?, stage.to_owned(), substep.to_owned(), unit.parse()?))
        });
        units.collect()
    }

    async fn until_begun(&self, unit: &Unit) -> Result<()> {
        eventually(SOON, &format!("a worker to begin {unit:?}"), async || {
            let begun = self.begun()?;
            if begun.last() == Some(unit) { Ok(()) } else { Err(anyhow!("{begun:?}")) }
        })
        .await
    }
}

/// An own Redis, so that the streams can have the names of the documentation.
struct Shop<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    client: Client,
    redis_url: String,
    redis: MultiplexedConnection,
    /// The example of docs/events.md.
    node: PathBuf,
}

impl Shop<'_> {
    async fn open(servers: &Servers) -> Result<Shop<'_>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        let redis_url = own_redis(servers)?;
        let patient = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(SOON))
            .set_response_timeout(Some(SOON));
        let redis = redis::Client::open(redis_url.as_str())?;
        let redis = redis.get_multiplexed_async_connection_with_config(&patient).await?;
        let node = folder(servers).await?;
        std::fs::write(node.join("worker.js"), example("The way back", "js")?)?;
        std::fs::copy(bridges().join("stages.js"), node.join("stages.js"))?;
        Ok(Shop { servers, database, client, redis_url, redis, node })
    }

    /// A daemon that sweeps at every interval, by the clock that is set now.
    async fn daemon(&self) -> Result<Daemon> {
        let args = ["--lease", "300ms", "--sweep", "50ms"];
        let daemon =
            Daemon::spawn_with(self.servers, self.database.url(), &self.redis_url, &args, &[])?;
        daemon.ready().await?;
        Ok(daemon)
    }

    fn worker(&self, language: Language, waits_at: &str, waits_for: &str) -> Result<Worker> {
        let mut command = match language {
            Language::Rust => Command::new(env!("CARGO_BIN_EXE_worker")),
            Language::Node => Command::new("node"),
        };
        if language == Language::Rust {
            command.arg(&self.redis_url)
        } else {
            command.arg("worker.js")
        };
        command
            .env("REDIS_URL", &self.redis_url)
            .env("WAITS_AT", waits_at)
            .env("WAITS_FOR", waits_for);
        let output = self.servers.new_file("worker");
        command
            .current_dir(&self.node)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&output)?);
        Ok(Worker { child: command.kill_on_drop(true).spawn()?, output })
    }

    async fn publish_event(&mut self, fields: &[(&str, &str)]) -> Result<()> {
        add(&mut self.redis, EVENTS, &entry(fields.iter().copied())).await?;
        Ok(())
    }

    /// Waits for a book that meets a condition.
    async fn book(&self, book: Uuid, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(SOON, &format!("book {book} to be {what}"), async || {
            let row = book_row(&self.client, book).await?;
            if is(&row) { Ok(row) } else { Err(anyhow!("{row:#}")) }
        })
        .await
    }

    /// The number of done units of each of the book's begun substeps.
    async fn done(&self, book: Uuid) -> Result<Value> {
        let query = "select coalesce(jsonb_object_agg(g.substep, g.done), '{}')
            from bindery.book_progress g where g.book_id = $1 and g.done > 0";
        json(&self.client, query, &[&book]).await
    }

    /// Waits until every message is published.
    async fn published(&self) -> Result<()> {
        eventually(SOON, "the outbox to be empty", async || {
            match self
                .client
                .query_one("select count(*) from bindery.outbox", &[])
                .await?
                .get::<_, i64>(0)
            {
                0 => Ok(()),
                left => Err(anyhow!("{left} are left")),
            }
        })
        .await
    }

    /// Waits until every message is published and the workers have read it.
    async fn read_to_the_end(&mut self) -> Result<()> {
        self.published().await?;
        let last =
            entries(&mut self.redis, CHANGES).await?.pop().map(|(id, _)| id).unwrap_or_default();
        eventually(SOON, &format!("the group to have read up to {last}"), async || {
            let groups: redis::streams::StreamInfoGroupsReply =
                redis::cmd("XINFO").arg("GROUPS").arg(CHANGES).query_async(&mut self.redis).await?;
            match groups.groups.first() {
                Some(group) if group.name == GROUP && group.last_delivered_id == last => Ok(()),
                other => Err(anyhow!("{other:?}")),
            }
        })
        .await
    }
}

/// The messages in a stream of the outbox.
pub async fn messages(redis: &mut MultiplexedConnection, stream: &str) -> Result<Vec<Message>> {
    entries(redis, stream).await?.iter().map(|(_, entry)| message(entry)).collect()
}

/// The message of an entry.
pub fn message(entry: &Entry) -> Result<Message> {
    let field = |wanted: &str| -> Result<&str> {
        let field = entry.iter().find(|(name, _)| name == wanted.as_bytes());
        let (_, value) = field.with_context(|| format!("no {wanted}"))?;
        Ok(std::str::from_utf8(value)?)
    };
    Ok((
        field("book_id")?.parse()?,
        field("revision")?.parse()?,
        field("kind")?.to_owned(),
        serde_json::from_str(field("payload")?)?,
        field("id")?.parse()?,
    ))
}

/// Records every value of progress, and makes commits that remove messages from the outbox wait for
/// the advisory lock 1.
const WATCH: &str = "
    create table public.watched (
      id bigint generated always as identity, book_id uuid, part text, progress double precision);
    create function public.watch() returns trigger language plpgsql as $$
    begin
      insert into public.watched (book_id, part, progress)
      values (new.book_id, coalesce(to_jsonb(new) ->> 'substep', 'overall'),
        coalesce(to_jsonb(new) ->> 'overall_progress', to_jsonb(new) ->> 'progress')
          ::double precision);
      return null;
    end $$;
    create trigger zz_watch after insert or update on bindery.book_progress
      for each row execute function public.watch();
    create trigger zz_watch after insert or update on bindery.book_status
      for each row execute function public.watch();
    create function public.hold() returns trigger language plpgsql as $$
    begin
      perform pg_advisory_xact_lock_shared(1);
      return null;
    end $$;
    create constraint trigger zz_hold after delete on bindery.outbox deferrable initially deferred
      for each row execute function public.hold();";

#[tokio::test]
async fn workers_in_rust_and_node_finish_books_whose_first_workers_were_killed() -> Result<()> {
    let servers = Servers::shared().await?;
    let mut shop = Shop::open(servers).await?;
    let (name, books) = (
        shop.database.url().rsplit('/').next().unwrap_or_default().to_owned(),
        FIRST.map(|_| Uuid::new_v4()),
    );
    shop.client.batch_execute(WATCH).await?;
    clock(&shop.client, &name, 0).await?;
    let mut daemon = shop.daemon().await?;

    // Each worker begins a book, and stops in the middle of a unit.
    let mut first = Vec::new();
    for ((language, stage, substep, unit), book) in FIRST.into_iter().zip(books) {
        let mut worker = shop.worker(language, &format!("{substep}:{unit}"), "nothing")?;
        let id = book.to_string();
        shop.publish_event(&[("type", "register"), ("book_id", &id)]).await?;
        shop.publish_event(&[("type", "transition"), ("book_id", &id), ("to_status", "ANALYZING")])
            .await?;
        worker.until_begun(&(book, stage.to_owned(), substep.to_owned(), unit)).await?;
        let stopped = stopped_at(stage, substep, unit);
        eventually(SOON, &format!("{stopped} to be done of book {book}"), async || {
            let done = shop.done(book).await?;
            if done == stopped { Ok(()) } else { Err(anyhow!("{done}")) }
        })
        .await?;
        worker.child.kill().await?;
        first.push(worker);
    }

    // Fifty minutes later, a new daemon fails the books as stalled. It publishes nothing twice.
    shop.published().await?;
    daemon.sigkill().await?;
    clock(&shop.client, &name, 3000).await?;
    let mut daemon = shop.daemon().await?;
    for book in books {
        let row = shop.book(book, "failed", |book| book["status"] == "FAILED").await?;
        assert_eq!(row["error"]["code"], "stalled", "{row:#}");
    }

    // An operator resumes the last book. The daemon is killed after Redis has the message and
    // before Postgres has committed its removal, so the message is published again. By then one of
    // the new workers has the book and is at its first unit.
    shop.published().await?;
    let holder = shop.database.connect().await?;
    holder.query("select pg_advisory_lock(1)", &[]).await?;
    let second = [shop.worker(Language::Rust, "*", "go")?, shop.worker(Language::Node, "*", "go")?];
    shop.client.query("select from bindery.resume_book($1)", &[&books[3]]).await?;
    let again: Unit = (books[3], "ANALYZING".to_owned(), "analyze_characters".to_owned(), 0);
    eventually(SOON, "the resumed book to be begun", async || {
        let begun = [second[0].begun()?, second[1].begun()?].concat();
        if begun == [again.clone()] { Ok(()) } else { Err(anyhow!("{begun:?}")) }
    })
    .await?;
    let session = until_a_session_is_blocked(&shop.client, pid(&holder).await?).await?;
    daemon.sigkill().await?;
    shop.client.query("select pg_terminate_backend($1)", &[&session]).await?;
    until_gone(&shop.client, session).await?;
    drop(holder);

    // Ninety seconds later, the other books are due as well.
    clock(&shop.client, &name, 3090).await?;
    let _daemon = shop.daemon().await?;
    eventually(SOON, "both workers to have a book", async || {
        let begun = [second[0].begun()?.len(), second[1].begun()?.len()];
        if begun == [1, 1] { Ok(()) } else { Err(anyhow!("{begun:?}")) }
    })
    .await?;
    for ((_, stage, substep, unit), book) in FIRST.into_iter().zip(books) {
        let row = shop.book(book, "resumed", |book| book["attempt"] == 2).await?;
        assert_eq!((&row["status"], &row["current_stage"]), (&json!(stage), &json!(stage)));
        assert_eq!(
            shop.done(book).await?,
            stopped_at(stage, substep, unit),
            "nothing is lost of book {book}"
        );
    }
    let mut go = redis::cmd("RPUSH");
    go.arg("go").arg((0..200).collect::<Vec<i32>>());
    go.query_async::<()>(&mut shop.redis).await?;
    for book in books {
        shop.book(book, "completed", |book| book["status"] == "COMPLETED").await?;
    }
    shop.read_to_the_end().await?;

    each_unit_was_worked_once_but_those_that_were_cut_short(&first, &second, books)?;
    the_history_and_the_messages_agree(&mut shop, books).await?;
    let fell = "select coalesce(jsonb_agg(to_jsonb(w)), '[]') from (
          select w.*, lag(w.progress) over (partition by w.book_id, w.part order by w.id) as before
        from public.watched w) w where w.progress < w.before";
    assert_eq!(json(&shop.client, fell, &[]).await?, json!([]), "progress never went back");
    let counts = crate::support::cursor(&shop.client, EVENTS).await?.counts;
    assert_eq!(counts.applied, counts.all(), "{counts:?}");
    Ok(())
}

/// The units done of each substep of a stage and those before it, when the work stands in this unit
/// of this substep.
fn stopped_at(stage: &str, substep: &str, unit: u64) -> Value {
    let way = STAGES
        .iter()
        .flat_map(|(stage, substeps)| substeps.iter().map(move |substep| (*stage, *substep)));
    let whole = way
        .take_while(|at| *at != (stage, substep))
        .map(|(_, substep)| (substep.to_owned(), json!(UNITS)));
    let begun = (unit > 0).then(|| (substep.to_owned(), json!(unit)));
    Value::Object(whole.chain(begun).collect())
}

fn each_unit_was_worked_once_but_those_that_were_cut_short(
    first: &[Worker],
    second: &[Worker],
    books: [Uuid; 4],
) -> Result<()> {
    let mut expected = BTreeMap::new();
    for book in books {
        for (stage, substeps) in STAGES {
            for (substep, unit) in
                substeps.iter().flat_map(|substep| (0..UNITS).map(move |unit| (substep, unit)))
            {
                expected.insert((book, stage.to_owned(), (*substep).to_owned(), unit), 1);
            }
        }
    }
    for ((_, stage, substep, unit), book) in FIRST.into_iter().zip(books) {
        expected.insert((book, stage.to_owned(), substep.to_owned(), unit), 2);
    }
    let mut times = BTreeMap::new();
    for worker in first.iter().chain(second) {
        let begun = worker.begun()?;
        ensure!(!begun.is_empty(), "a worker had nothing to do");
        begun.into_iter().for_each(|unit| *times.entry(unit).or_insert(0) += 1);
    }
    assert_eq!(times, expected);
    Ok(())
}

async fn the_history_and_the_messages_agree(shop: &mut Shop<'_>, books: [Uuid; 4]) -> Result<()> {
    let messages = messages(&mut shop.redis, CHANGES).await?;
    let mut twice = Vec::new();
    for ((_, stage, ..), book) in FIRST.into_iter().zip(books) {
        let (mut seen, mut new) = (BTreeSet::new(), Vec::new());
        for (_, revision, kind, payload, id) in messages.iter().filter(|(of, ..)| *of == book) {
            if !seen.insert(*id) {
                twice.push((book, kind.as_str()));
                continue;
            }
            ensure!(
                new.last().is_none_or(|(last, _)| last < revision),
                "{revision} comes too late for {book}"
            );
            ensure!((kind == "resume") == payload["resume_point"].is_object(), "{payload}");
            new.push((*revision, payload["to_status"].clone()));
        }
        let query =
            "select jsonb_agg(jsonb_build_array(e.revision, e.to_status) order by e.revision)
            from bindery.book_events e where e.book_id = $1 and e.to_status is not null";
        assert_eq!(
            json(&shop.client, query, &[&book]).await?,
            json!(new),
            "each change is a message"
        );

        let mut way = vec![("register", "UPLOADED")];
        for (at, _) in STAGES {
            way.push(("transition", at));
            if at == stage {
                way.extend([("fail", "FAILED"), ("resume", at)]);
            }
        }
        way.push(("complete", "COMPLETED"));
        let query = "select jsonb_agg(jsonb_build_array(e.kind, e.to_status) order by e.revision)
            from bindery.book_events e where e.book_id = $1";
        assert_eq!(json(&shop.client, query, &[&book]).await?, json!(way));
    }
    assert_eq!(twice, [(books[3], "resume")], "that one message was there twice, and no other");
    Ok(())
}
