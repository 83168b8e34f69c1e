//! The examples of docs/events.md run unchanged, each with its own Redis database.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Servers, eventually};
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::{Uuid, uuid};

use crate::node::folder;
use crate::python::python;
use crate::support::{SOON, book_row, cursor_when, json, text};

/// The book of the page.
const BOOK: Uuid = uuid!("6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b");
/// The stream of the page.
const STREAM: &str = "bindery:events";

/// The one example in a language that a section of docs/events.md has.
pub fn example(section: &str, language: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let page =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let section = page
        .split("\n## ")
        .find(|text| text.trim_start_matches("# ").starts_with(section))
        .with_context(|| format!("no section {section}"))?;
    let fence = format!("```{language}\n");
    let mut blocks = section.split(&*fence).skip(1);
    let block = blocks.next().with_context(|| format!("{section}: nothing in {language}"))?;
    ensure!(blocks.next().is_none(), "{section}: more than one in {language}");
    Ok(block.split("```").next().unwrap_or_default().to_owned())
}

/// An empty Redis database on the shared server, so that the page's names are free.
pub fn own_redis(servers: &Servers) -> Result<String> {
    static TAKEN: AtomicUsize = AtomicUsize::new(1);
    let number = TAKEN.fetch_add(1, Ordering::Relaxed);
    ensure!(number < 16, "Redis has 16 databases");
    Ok(format!("{}/{number}", servers.redis_url().trim_end_matches('/')))
}

/// A daemon with the names of the page, and a session.
struct Page<'a> {
    servers: &'a Servers,
    _database: Database<'a>,
    _daemon: Daemon,
    client: Client,
    redis: String,
}

impl Page<'_> {
    async fn open(args: &[&str]) -> Result<Page<'static>> {
        let servers = Servers::shared().await?;
        let database = servers.database().await?;
        let client = database.connect().await?;
        let redis = own_redis(servers)?;
        let daemon = Daemon::spawn_with(
            servers,
            database.url(),
            &redis,
            &[&["--sweep", "0"], args].concat(),
            &[],
        )?;
        daemon.ready().await?;
        Ok(Page { servers, _database: database, _daemon: daemon, client, redis })
    }

    /// Runs a program to its end.
    async fn run(&self, command: &mut Command) -> Result<()> {
        let running =
            command.env("REDIS_URL", &self.redis).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(SOON, running).await.context("it did not end")??;
        ensure!(output.status.success(), "{}", text(&output));
        Ok(())
    }

    /// Checks an example's types and compiles it to JavaScript; returns its path.
    async fn compiled(&self, example: &str) -> Result<PathBuf> {
        let folder = folder(self.servers).await?;
        std::fs::write(folder.join("example.ts"), example)?;
        let mut compile = Command::new("node");
        compile.args([
            "node_modules/typescript/bin/tsc",
            "--strict",
            "--skipLibCheck",
            "--types",
            "node",
        ]);
        compile
            .args(["--target", "es2022", "--module", "nodenext", "example.ts"])
            .current_dir(&folder);
        self.run(&mut compile).await?;
        Ok(folder.join("example.js"))
    }

    /// Checks the result of the page's seven events.
    async fn has_its_effect(&self) -> Result<()> {
        let done = cursor_when(&self.client, STREAM, "seven events to be read", |cursor| {
            cursor.counts.all() == 7
        })
        .await?;
        ensure!(done.counts.applied == 7, "{:?}", done.counts);
        let row = book_row(&self.client, BOOK).await?;
        assert_eq!(
            (&row["title"], &row["status"]),
            (&json!("The Salt Clock"), &json!("ANALYZING"))
        );
        assert_eq!((&row["message"], &row["attempt"]), (&json!("Rescanned."), &json!(2)));
        let history = "select jsonb_agg(jsonb_build_array(e.kind, e.message) order by e.revision)
            from bindery.book_events e where e.book_id = $1";
        assert_eq!(
            json(&self.client, history, &[&BOOK]).await?,
            json!([
                ["register", null],
                ["transition", null],
                ["fail", "Page 31 is torn."],
                ["resume", "Rescanned."]
            ])
        );
        let actor = "select to_jsonb(e.actor) from bindery.book_events e
            where e.book_id = $1 and e.kind = 'transition'";
        assert_eq!(json(&self.client, actor, &[&BOOK]).await?, json!("reader-1"));
        // 30 of 120 pages of one substep of four by weight, in a stage of 20 of 100.
        assert_eq!(
            (&row["stage_progress"], &row["overall_progress"]),
            (&json!(6.25), &json!(1.25)),
            "{row:#}"
        );
        self.has_stopped_at_page_30().await?;
        let planned = "select jsonb_agg(g.substep order by g.substep) from bindery.book_progress g
            where g.book_id = $1 and g.stage = 'CREATING_ARTWORK'";
        assert_eq!(json(&self.client, planned, &[&BOOK]).await?, json!(["page_1", "page_2"]));
        Ok(())
    }

    async fn has_stopped_at_page_30(&self) -> Result<()> {
        let query = "select jsonb_build_array(g.done, g.total, g.unit, g.checkpoint)
            from bindery.book_progress g
            where g.book_id = $1 and g.stage = 'ANALYZING' and g.substep = 'extract_text'";
        assert_eq!(
            json(&self.client, query, &[&BOOK]).await?,
            json!([30, 120, "page", {"page": 30}])
        );
        Ok(())
    }
}

#[tokio::test]
async fn the_events_in_redis_cli_have_the_documented_effect() -> Result<()> {
    let page = Page::open(&[]).await?;
    // The page's own commands, against this Redis.
    let script = format!(
        "redis-cli() {{ command redis-cli -e -u \"$REDIS_URL\" \"$@\"; }}\nset -e\n{}",
        example("Events", "sh")?
    );
    page.run(Command::new("bash").args(["-c", &script])).await?;
    page.has_its_effect().await
}

#[tokio::test]
async fn the_events_in_python_have_the_documented_effect() -> Result<()> {
    let page = Page::open(&[]).await?;
    page.run(
        Command::new(python().await?).args(["-c", &example("In Python and TypeScript", "python")?]),
    )
    .await?;
    page.has_its_effect().await
}

#[tokio::test]
async fn the_events_in_typescript_have_the_documented_effect() -> Result<()> {
    let page = Page::open(&[]).await?;
    let program = page.compiled(&example("In Python and TypeScript", "ts")?).await?;
    page.run(Command::new("node").arg(program)).await?;
    page.has_its_effect().await
}

#[tokio::test]
async fn the_job_of_bullmq_has_the_documented_effect() -> Result<()> {
    let page = Page::open(&["--bullmq", "extract=ANALYZING/extract_text"]).await?;
    page.client.query("select from bindery.register_book($1)", &[&BOOK]).await?;
    let program = page.compiled(&example("BullMQ", "ts")?).await?;
    let mut command = Command::new("node");
    let running =
        command.arg(program).env("REDIS_URL", &page.redis).stdin(Stdio::null()).kill_on_drop(true);
    let _worker = running.spawn()?;
    let row = eventually(SOON, "the job to have failed", async || {
        let row = book_row(&page.client, BOOK).await?;
        if row["status"] == "FAILED" { Ok(row) } else { Err(anyhow!("{row:#}")) }
    })
    .await?;
    assert_eq!(
        (&row["message"], &row["error"]["code"]),
        (&json!("Page 31 is torn."), &json!("job_failed"))
    );
    page.has_stopped_at_page_30().await?;
    let kinds = "select jsonb_agg(e.kind order by e.revision)
        from bindery.book_events e where e.book_id = $1";
    assert_eq!(
        json(&page.client, kinds, &[&BOOK]).await?,
        json!(["register", "transition", "fail"])
    );
    let cursor = cursor_when(&page.client, "bull:extract:events", "it all to be read", |c| {
        c.counts.all() >= 4
    })
    .await?;
    assert_eq!(cursor.counts.applied, cursor.counts.all(), "{cursor:?}");
    Ok(())
}

#[test]
fn every_reason_for_which_an_event_cannot_be_read_is_documented() -> Result<()> {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let page = read("docs/events.md")?;
    let section = page.split("\n## ").find(|text| text.starts_with("Rejection reasons"));
    let section = section.context("docs/events.md has no section Rejection reasons")?;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells: String = rows.filter_map(|row| row.split(" |").next()).collect();
    let source = read("core/src/event/error.rs")?;
    let (_, codes) = source.split_once("fn code(").context("no function code")?;
    let codes: Vec<&str> =
        codes.split("=> \"").skip(1).filter_map(|c| c.split('"').next()).collect();
    ensure!(codes.len() > 8, "{codes:?}");
    let missing: Vec<_> = codes.iter().filter(|code| !cells.contains(**code)).collect();
    ensure!(missing.is_empty(), "not documented: {missing:?}");
    Ok(())
}
