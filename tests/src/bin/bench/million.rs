//! The cost of reading and registering in a table of a million books, and its ratio to a table of a
//! thousand.

use anyhow::{Context, Result, ensure};
use bindery_tests::{Database, Servers};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::figure::Figure;
use crate::timing::{Times, ratio};

const FEW: i64 = 1_000;
const MANY: i64 = 1_000_000;
/// The number of an owner's books.
const OWNED: i64 = 50;
const READS: usize = 5_000;
const CALLS: usize = 1_000;
const MODEL: &str = "00000000-0000-4000-8000-000000000000";

/// Copies of a book that was registered and started, each with the rows of its substeps and of its
/// registration. An owner's books lie far apart. Triggers and foreign keys are disabled meanwhile.
const LOAD: &str = "
    select count(*) from bindery.register_book('{model}', null, 'comic', 'A book');
    select count(*) from bindery.transition_book('{model}', 'ANALYZING');
    set session_replication_role = replica;
    create temp table ids as
        select gen_random_uuid() as book_id,
            md5('owner ' || n % ({books} / {owned}))::uuid as owner_id,
            clock_timestamp() - n * interval '1 second' as at
        from generate_series(1, {books}) n;
    insert into bindery.book_status (book_id, owner_id, title, pipeline, pipeline_version, status,
        current_stage, substeps_total, substeps_weight, stage_base, stage_share, revision,
        heartbeat_at, stage_entered_at, stage_started_at, created_at, updated_at)
    select i.book_id, i.owner_id, b.title, b.pipeline, b.pipeline_version, b.status,
        b.current_stage, b.substeps_total, b.substeps_weight, b.stage_base, b.stage_share,
        b.revision, i.at, i.at, i.at, i.at, i.at
    from ids i, bindery.book_status b where b.book_id = '{model}';
    insert into bindery.book_progress
        (book_id, stage, substep, weight, attempt, revision, updated_at)
    select i.book_id, p.stage, p.substep, p.weight, p.attempt, p.revision, i.at
    from ids i, bindery.book_progress p where p.book_id = '{model}'
    order by i.book_id, p.stage, p.substep;
    insert into bindery.book_events (book_id, revision, kind, to_status, stage, attempt, actor, at)
    select i.book_id, 1, 'register', 'UPLOADED', 'UPLOADED', 1, 'postgres', i.at from ids i;
    set session_replication_role = origin;";

/// PostgREST's query for `GET /book_status?owner_id=eq.…&order=created_at.desc&limit=50`.
const REST: &str = "
    with pgrst_source as (
        select book_status.* from bindery.book_status where book_status.owner_id = $1
        order by book_status.created_at desc limit 50 offset 0
    )
    select null::bigint as total_result_set, count(_postgrest_t) as page_total,
        coalesce(json_agg(_postgrest_t), '[]')::text as body
    from (select * from pgrst_source) _postgrest_t";
const LIST: &str = "select * from bindery.list_books(50)";
const READ: &str = "select bindery.get_book_status($1)";
const REGISTER: &str = "select * from bindery.register_book($1, $2, 'comic', 'A book')";

/// Reading one of a million books, and the three ratios from a thousand to a million.
pub async fn million(servers: &Servers, figures: &mut Vec<Figure>) -> Result<()> {
    let (few, many) = (servers.database().await?, servers.database().await?);
    let (few, many) = (loaded(&few, FEW).await?, loaded(&many, MANY).await?);
    for table in [&few, &many] {
        table.client.batch_execute("checkpoint").await?;
    }

    eprintln!("million: reading and listing");
    let read = many.client.prepare(READ).await?;
    let mut reads = Times::default();
    for number in 0..READS {
        reads.measure(&many.client, &read, &[many.books.get(number).context("a book")?]).await?;
    }
    figures.push(Figure {
        name: "status_p50",
        value: reads.median()? / 1000.0,
        unit: "ms",
        how: format!("get_book_status of {READS} random books, one after another, {MANY} books"),
    });

    for (name, query, what) in [
        ("list_rest_growth", REST, "PostgREST's query for a user's newest 50 books"),
        ("list_books_growth", LIST, "list_books(50) by a user"),
    ] {
        let (mut before, mut after) = (Times::default(), Times::default());
        let (at_few, at_many) = (few.as_user(query).await?, many.as_user(query).await?);
        for number in 0..CALLS {
            few.list(&mut before, &at_few, query == REST, number).await?;
            many.list(&mut after, &at_many, query == REST, number).await?;
        }
        let what = format!("{what}, who has {OWNED}, through row-level security");
        push(figures, name, &after, &before, &what)?;
    }

    eprintln!("million: registering");
    let (mut before, mut after) = (Times::default(), Times::default());
    let mut prepared = Vec::new();
    for table in [&few, &many] {
        table.client.batch_execute("reset role; set synchronous_commit = off").await?;
        prepared.push(table.client.prepare(REGISTER).await?);
    }
    for number in 0..CALLS {
        let both = [(&few, &mut before), (&many, &mut after)];
        for ((table, times), statement) in both.into_iter().zip(&prepared) {
            let book = Uuid::new_v4();
            times.measure(&table.client, statement, &[&book, table.owner(number)?]).await?;
        }
    }
    push(figures, "register_growth", &after, &before, "register_book, synchronous_commit off")
}

fn push(
    figures: &mut Vec<Figure>,
    name: &'static str,
    of: &Times,
    to: &Times,
    what: &str,
) -> Result<()> {
    let (value, medians) = ratio(of, to)?;
    let how = format!("{MANY} books to {FEW}, {medians}; {what}");
    figures.push(Figure { name, value, unit: "ratio", how });
    Ok(())
}

struct Table {
    client: Client,
    books: Vec<Uuid>,
    owners: Vec<Uuid>,
}

async fn loaded(database: &Database<'_>, books: i64) -> Result<Table> {
    let client = database.connect().await?;
    eprintln!("million: loading {books} books");
    let load = LOAD
        .replace("{model}", MODEL)
        .replace("{books}", &books.to_string())
        .replace("{owned}", &OWNED.to_string());
    client.batch_execute(&load).await?;
    for table in ["book_status", "book_progress", "book_events"] {
        client.batch_execute(&format!("vacuum (analyze) bindery.{table}")).await?;
    }
    let random = "select book_id from ids order by random() limit $1";
    let random = client.query(random, &[&i64::try_from(READS)?]).await?;
    let owners = "select distinct owner_id from ids order by 1 limit $1";
    let owners = client.query(owners, &[&i64::try_from(CALLS)?]).await?;
    let ids = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| row.get(0)).collect();
    Ok(Table { client, books: ids(random), owners: ids(owners) })
}

impl Table {
    fn owner(&self, number: usize) -> Result<&Uuid> {
        self.owners.get(number % self.owners.len()).context("no owners")
    }

    /// Sets the role of a signed-in user, as PostgREST does.
    async fn as_user(&self, query: &str) -> Result<Statement> {
        self.client.batch_execute("set role authenticated").await?;
        Ok(self.client.prepare(query).await?)
    }

    async fn list(
        &self,
        times: &mut Times,
        statement: &Statement,
        filtered: bool,
        number: usize,
    ) -> Result<()> {
        let owner = self.owner(number)?;
        let claims = serde_json::json!({ "sub": owner, "role": "authenticated" }).to_string();
        self.client.query("select set_config('request.jwt.claims', $1, false)", &[&claims]).await?;
        let books = if filtered {
            let rows = times.measure(&self.client, statement, &[owner]).await?;
            rows.first().context("no answer")?.get("page_total")
        } else {
            i64::try_from(times.measure(&self.client, statement, &[]).await?.len())?
        };
        ensure!(books == OWNED, "a user sees {books} books");
        Ok(())
    }
}
