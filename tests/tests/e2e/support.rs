//! Queries that many tests need.

use std::ops::Add;
use std::process::Output;

use anyhow::{Context, Result, anyhow, ensure};
use bindery_core::definition::compile;
use bindery_core::machine::Machine;
pub use bindery_tests::SOON;
use bindery_tests::{Servers, difference, dump_schema, eventually};
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

/// A stream entry's fields.
pub type Entry = Vec<(Vec<u8>, Vec<u8>)>;

/// The row of `relay_cursors` for a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub position: String,
    pub epoch: i64,
    pub holder: Option<String>,
    pub counts: Counts,
}

/// The outcomes of a stream's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub applied: i64,
    pub stale: i64,
    /// Kept in `early_events` when they arrived.
    pub early: i64,
    pub rejected: i64,
}

impl Counts {
    pub fn all(self) -> i64 {
        self.applied + self.stale + self.early + self.rejected
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            applied: self.applied + other.applied,
            stale: self.stale + other.stale,
            early: self.early + other.early,
            rejected: self.rejected + other.rejected,
        }
    }
}

/// The current cursor, or an empty one if the stream was never acquired.
pub async fn cursor(client: &Client, stream: &str) -> Result<Cursor> {
    let query = "select position, epoch, holder, applied, stale, early, rejected
        from bindery.relay_cursors where stream = $1";
    Ok(match client.query_opt(query, &[&stream]).await? {
        None => {
            Cursor { position: "0-0".to_owned(), epoch: 0, holder: None, counts: Counts::default() }
        }
        Some(row) => Cursor {
            position: row.get(0),
            epoch: row.get(1),
            holder: row.get(2),
            counts: Counts {
                applied: row.get(3),
                stale: row.get(4),
                early: row.get(5),
                rejected: row.get(6),
            },
        },
    })
}

/// Waits for a cursor that meets a condition.
pub async fn cursor_when(
    client: &Client,
    stream: &str,
    what: &str,
    is: impl Fn(&Cursor) -> bool,
) -> Result<Cursor> {
    eventually(SOON, what, async || {
        let cursor = cursor(client, stream).await?;
        if is(&cursor) { Ok(cursor) } else { Err(anyhow!("{cursor:?}")) }
    })
    .await
}

/// Waits until the stream is applied up to this entry, as long as the position moves: a busy
/// machine may take long.
pub async fn applied_up_to(client: &Client, stream: &str, id: &str) -> Result<Cursor> {
    let mut before = cursor(client, stream).await?.position;
    loop {
        let what = format!("the position to be {id}, or to move");
        let now =
            cursor_when(client, stream, &what, |now| now.position == id || now.position != before)
                .await?;
        if now.position == id {
            return Ok(now);
        }
        before = now.position;
    }
}

/// Makes batches in this database wait for locks without a limit from now on.
pub async fn batches_wait(client: &Client) -> Result<()> {
    let function = "select oid::regprocedure::text from pg_proc
        where proname = 'apply_events' and pronamespace = 'bindery_internal'::regnamespace";
    let function: String = client.query_one(function, &[]).await?.get(0);
    Ok(client.batch_execute(&format!("alter function {function} set lock_timeout = 0")).await?)
}

/// The pipeline `comic`, compiled here from the definition that the database holds.
pub async fn comic(client: &Client) -> Result<Machine> {
    let query =
        "select definition, machine from bindery.pipelines where name = 'comic' and version = 1";
    let row = client.query_one(query, &[]).await?;
    let machine = compile(&row.get(0)).map_err(|faults| anyhow!("{faults:?}"))?;
    assert_eq!(
        machine,
        Machine::from_json(&row.get(1))?,
        "the machine in the database is that of the definition"
    );
    Ok(machine)
}

/// The book's whole row, without its substeps.
pub async fn book_row(client: &Client, book: Uuid) -> Result<Value> {
    json(client, "select to_jsonb(b) from bindery.book_status b where b.book_id = $1", &[&book])
        .await
}

/// All data of a book as text: its row, progress, history and outbox. Two such texts are equal only
/// if nothing has changed in between.
pub async fn all_of(client: &Client, book: Uuid) -> Result<String> {
    let query = "select concat_ws(E'\\n',
        (select to_jsonb(b)::text from bindery.book_status b where b.book_id = $1),
        (select jsonb_agg(to_jsonb(g) order by g.stage, g.substep)::text
            from bindery.book_progress g where g.book_id = $1),
        (select jsonb_agg(to_jsonb(e) order by e.revision)::text
            from bindery.book_events e where e.book_id = $1),
        (select jsonb_agg(to_jsonb(o) order by o.id)::text
            from bindery.outbox o where o.book_id = $1))";
    Ok(client.query_one(query, &[&book]).await?.try_get(0)?)
}

/// The JSON value that a query returns.
pub async fn json(client: &Client, query: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Value> {
    Ok(client.query_one(query, params).await.with_context(|| query.to_owned())?.try_get(0)?)
}

/// Registers a book and takes it through these statuses by `transition_book`.
pub async fn book_in(client: &Client, way: &[&str]) -> Result<Uuid> {
    let book = Uuid::new_v4();
    client.query("select from bindery.register_book($1)", &[&book]).await?;
    for to in way {
        transition(client, book, to).await.with_context(|| format!("to {to}"))?;
    }
    Ok(book)
}

/// `transition_book`, as one statement.
pub async fn transition(client: &Client, book: Uuid, to: &str) -> Result<Row, Error> {
    client
        .query_one("select status, revision from bindery.transition_book($1, $2)", &[&book, &to])
        .await
}

/// The SQLSTATE and the JSON detail of one of Bindery's errors.
pub fn refusal(error: &Error) -> (String, Value) {
    let Some(error) = error.as_db_error() else { return (error.to_string(), Value::Null) };
    let detail = error.detail().and_then(|detail| serde_json::from_str(detail).ok());
    (error.code().code().to_owned(), detail.unwrap_or(Value::Null))
}

/// The SQLSTATE and the code of the error that a call must have returned.
pub fn refused<T>(outcome: Result<T, Error>) -> Result<(String, String)> {
    let Err(error) = outcome else { return Err(anyhow!("it was not refused")) };
    let (state, detail) = refusal(&error);
    Ok((state, detail["code"].as_str().unwrap_or_default().to_owned()))
}

/// This session's process in the server.
pub async fn pid(client: &Client) -> Result<i32> {
    Ok(client.query_one("select pg_backend_pid()", &[]).await?.get(0))
}

/// Waits until one session waits for a lock that the other holds, or for one that stands before it
/// in the queue.
pub async fn until_blocked(watcher: &Client, waiting: i32, holding: i32) -> Result<()> {
    eventually(SOON, "one session to wait for the other", async || {
        let row = watcher.query_one("select pg_blocking_pids($1)", &[&waiting]).await?;
        let blocking: Vec<i32> = row.get(0);
        if blocking.contains(&holding) {
            Ok(())
        } else {
            Err(anyhow!("{waiting} waits for {blocking:?}, not {holding}"))
        }
    })
    .await
}

/// Adds an entry to a stream; returns its id.
pub async fn add(
    redis: &mut MultiplexedConnection,
    stream: &str,
    entry: &Entry,
) -> Result<String, redis::RedisError> {
    Ok(bindery_client::append(redis, stream, [entry.as_slice()]).await?.concat())
}

/// All entries of a stream.
pub async fn entries(
    redis: &mut MultiplexedConnection,
    stream: &str,
) -> Result<Vec<(String, Entry)>> {
    const PAGE: usize = 10_000;
    let mut all: Vec<(String, Entry)> = Vec::new();
    loop {
        let from = all.last().map_or_else(|| "-".to_owned(), |(last, _)| format!("({last}"));
        let mut command = redis::cmd("XRANGE");
        command.arg(stream).arg(from).arg("+").arg("COUNT").arg(PAGE);
        let page: Vec<(String, Entry)> = command.query_async(redis).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// An entry of these fields.
pub fn entry<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Entry {
    fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Waits until a session has ended.
pub async fn until_gone(watcher: &Client, session: i32) -> Result<()> {
    eventually(SOON, "the session to end", async || {
        match watcher
            .query_opt("select state from pg_stat_activity where pid = $1", &[&session])
            .await?
        {
            None => Ok(()),
            Some(row) => Err(anyhow!("it is {:?}", row.get::<_, Option<String>>(0))),
        }
    })
    .await
}

/// Waits until a session waits for a lock that this one holds; returns it.
pub async fn until_a_session_is_blocked(watcher: &Client, holding: i32) -> Result<i32> {
    eventually(SOON, "a session to wait for this one", async || {
        let query = "select pid from pg_stat_activity 
            where datname = current_database() and $1 = any (pg_blocking_pids(pid)) limit 1";
        let row = watcher.query_opt(query, &[&holding]).await?;
        row.map(|row| row.get(0)).ok_or_else(|| anyhow!("no session waits for {holding}"))
    })
    .await
}

/// The output of a program.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Checks that two databases have the same schema, including the kernel, comments and grants; a
/// failure shows the difference. `of` removes the differences to ignore.
pub async fn same_schema(
    servers: &Servers,
    one: &str,
    other: &str,
    of: impl Fn(String) -> String,
) -> Result<()> {
    let mut files = Vec::new();
    for url in [one, other] {
        let file = servers.dir().join(format!("{}.sql", Uuid::new_v4().simple()));
        std::fs::write(&file, of(dump_schema(url, &["--schema=bindery_core"]).await?))?;
        files.push(file);
    }
    let difference = difference(&files[0], &files[1]).await?;
    ensure!(difference.is_empty(), "the schemas differ:\n{difference}");
    Ok(())
}
