//! The Rust client over each of its transports, with workers that are killed and servers that stop.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bindery_client::{Builder, Client, Error, Failure, book_uuid};
use bindery_tests::{Daemon, Database, Servers, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::http_support::{Guarded, worker};
use crate::support::{SOON, applied_up_to, entries};

/// How a client reports.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Entries of a stream; the outcome is read from Postgres.
    Redis,
    Postgres,
    Http,
}

const WAYS: [Way; 3] = [Way::Redis, Way::Postgres, Way::Http];

struct On<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    daemon: Daemon,
    client: tokio_postgres::Client,
}

impl<'a> On<'a> {
    async fn new(servers: &'a Servers) -> Result<Self> {
        let database = servers.database().await?;
        let daemon = database.daemon(&[]).await?;
        let client = database.connect().await?;
        Ok(Self { servers, database, daemon, client })
    }

    /// The client's settings as environment variables.
    fn settings(&self, way: Way) -> Vec<(&'static str, String)> {
        let postgres = self.database.url().to_owned();
        match way {
            Way::Redis => vec![
                ("BINDERY_URL", self.servers.redis_url().to_owned()),
                ("BINDERY_STATUS_URL", postgres),
                ("BINDERY_STREAM", self.database.stream().to_owned()),
            ],
            Way::Postgres => vec![("BINDERY_URL", postgres)],
            Way::Http => vec![("BINDERY_URL", format!("http://{}", self.daemon.http()))],
        }
    }

    fn builder(&self, way: Way) -> Builder {
        let mut builder = Client::builder().interval(Duration::from_millis(20));
        for (name, value) in self.settings(way) {
            builder = match name {
                "BINDERY_URL" => builder.url(&value),
                "BINDERY_STATUS_URL" => builder.status_url(&value),
                _ => builder.stream(&value),
            };
        }
        builder
    }

    fn client(&self, way: Way) -> Result<Client> {
        Ok(self.builder(way).begin_timeout(SOON).worker("press 1").build()?)
    }

    async fn status(&self, book: Uuid) -> Result<Value> {
        let call = "select bindery.get_book_status($1)";
        Ok(self.client.query_one(call, &[&book]).await?.try_get(0)?)
    }

    async fn status_when(
        &self,
        book: Uuid,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        eventually(SOON, what, async || {
            let status = self.status(book).await?;
            if is(&status) { Ok(status) } else { Err(anyhow!("{status}")) }
        })
        .await
    }

    /// Waits until all that was delivered is applied.
    async fn settled(&self, client: &Client) -> Result<()> {
        ensure!(client.flush(SOON).await, "it was not delivered");
        let mut redis = self.servers.redis().await?;
        if let Some((last, _)) = entries(&mut redis, self.database.stream()).await?.last() {
            applied_up_to(&self.client, self.database.stream(), last).await?;
        }
        Ok(())
    }

    /// Starts a worker of `tests/src/bin/client.rs`.
    fn worker(
        &self,
        way: Way,
        book: &str,
        stops_at: Option<u64>,
    ) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.args([book, "20"]).envs(self.settings(way));
        if let Some(at) = stops_at {
            command.env("STOPS_AT", at.to_string());
        }
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok((child, lines))
    }
}

fn substep<'a>(status: &'a Value, name: &str) -> &'a Value {
    let substeps = status["substeps"].as_array().map(Vec::as_slice).unwrap_or_default();
    substeps.iter().find(|substep| substep["substep"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_book_is_made_over_each_transport() -> Result<()> {
    let servers = Servers::shared().await?;
    let on = On::new(servers).await?;
    for way in WAYS {
        let client = on.client(way)?;
        let metadata = json!({"pages": 3});
        let book = client.book(format!("tide {way:?}")).title("The Tide").metadata(&metadata)?;
        let book = book.register()?;
        book.plan("CREATING_ARTWORK", [("page_1", 2.0), ("page_2", 1.0)])?;
        book.stage("ANALYZING")
            .run(async |stage| {
                ensure!(stage.attempt() == Some(1), "{way:?}: {:?}", stage.attempt());
                for page in stage.track("extract_text", ["a", "b", "c"]).unit("page") {
                    page?;
                }
                stage.count("detect_chapters", 3.0, 4.0, "chapter")?;
                stage.message("detect_chapters", "Chapter 3\u{7}")?;
                stage.checkpoint("detect_chapters", &json!({"chapter": 3}))?;
                stage.progress("analyze_characters", 250.0)?;
                anyhow::Ok(())
            })
            .await?;
        on.settled(&client).await?;
        let status = on.status(book.id()).await?;
        let chapters = substep(&status, "detect_chapters");
        ensure!(status["status"] == "ANALYZING" && status["title"] == "The Tide", "{status}");
        ensure!(status["metadata"] == metadata, "{status}");
        ensure!(substep(&status, "extract_text")["progress"] == 100.0, "{status}");
        ensure!(substep(&status, "analyze_characters")["progress"] == 100.0, "{status}");
        ensure!(chapters["progress"] == 75.0 && chapters["message"] == "Chapter 3", "{status}");
        let call = "select actor, resume_point->'left'->0->'checkpoint' from \
            (select bindery.get_resume_point($1)) r(resume_point), bindery.book_events e \
            where e.book_id = $1 and e.to_status = 'ANALYZING'";
        let row = on.client.query_one(call, &[&book.id()]).await?;
        let (worker, checkpoint): (Option<String>, Value) = (row.try_get(0)?, row.try_get(1)?);
        ensure!(worker.as_deref() == Some("press 1"), "{worker:?}");
        ensure!(checkpoint == json!({"chapter": 3}), "{checkpoint}");

        for stage in ["GENERATING_SCENES", "CREATING_ARTWORK"] {
            book.stage(stage).run(async |_| Ok::<_, Error>(())).await?;
        }
        book.transition_with("COMPLETED", Some("Bound."))?;
        on.settled(&client).await?;
        let status = on.status(book.id()).await?;
        ensure!(status["status"] == "COMPLETED" && status["message"] == "Bound.", "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_killed_in_mid_stage_resumes_where_it_was() -> Result<()> {
    let servers = Servers::shared().await?;
    let on = On::new(servers).await?;
    for way in WAYS {
        let name = format!("killed {way:?}");
        let book = book_uuid(&name)?;
        let (mut child, mut lines) = on.worker(way, &name, Some(7))?;
        let mut worked = Vec::new();
        while worked.len() < 8 {
            let line = lines.next_line().await?.context("the worker ended")?;
            worked.extend(line.strip_prefix("item ").map(str::parse::<u64>).transpose()?);
        }
        let is_reported = |status: &Value| substep(status, "extract_text")["done"] == 7.0;
        eventually(SOON, "seven items to be reported", async || {
            let status = on.status(book).await?;
            if is_reported(&status) { Ok(()) } else { Err(anyhow!("{status}")) }
        })
        .await?;
        child.kill().await?;

        let (mut child, mut lines) = on.worker(way, &name, None)?;
        while let Some(line) = lines.next_line().await? {
            worked.extend(line.strip_prefix("item ").map(str::parse::<u64>).transpose()?);
        }
        ensure!(child.wait().await?.success());
        // Item 7 was begun and not finished, so it is the only one that is processed twice.
        let expected: Vec<u64> = (0..=7).chain(7..20).collect();
        ensure!(worked == expected, "{way:?}: {worked:?}");
        on.status_when(book, "the stage to be whole", |status| {
            let substep = substep(status, "extract_text");
            substep["done"] == 20.0 && substep["progress"] == 100.0
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_error_makes_the_book_failed_and_the_next_run_skips_what_is_done() -> Result<()> {
    let servers = Servers::shared().await?;
    let on = On::new(servers).await?;
    for way in WAYS {
        let client = on.client(way)?;
        let run = async |fails: bool| -> Result<Vec<(&str, u32)>> {
            let mut worked = Vec::new();
            let book = client.book(format!("failing {way:?}")).register()?;
            for stage in ["ANALYZING", "GENERATING_SCENES"] {
                let substep = if stage == "ANALYZING" { "extract_text" } else { "split_scenes" };
                let done: Result<()> = book
                    .stage(stage)
                    .run(async |stage| {
                        for item in stage.track(substep, 0..5_u32) {
                            let item = item?;
                            if fails && substep == "split_scenes" && item == 2 {
                                bail!("Scene {item} is torn.");
                            }
                            worked.push((substep, item));
                        }
                        Ok(())
                    })
                    .await;
                if done.is_err() {
                    break;
                }
            }
            on.settled(&client).await?;
            Ok(worked)
        };
        let first = run(true).await?;
        ensure!(first.len() == 7, "{first:?}");
        let book = book_uuid(&format!("failing {way:?}"))?;
        let status = on.status(book).await?;
        ensure!(status["status"] == "FAILED" && status["error"]["code"] == "error", "{status}");
        ensure!(status["message"] == "Scene 2 is torn.", "{status}");
        let second = run(false).await?;
        let expected: Vec<_> = (2..5).map(|item| ("split_scenes", item)).collect();
        ensure!(second == expected, "{way:?}: {second:?}");
        let status = on.status(book).await?;
        ensure!(status["status"] == "GENERATING_SCENES" && status["attempt"] == 2, "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_whose_book_was_cancelled_stops_and_changes_nothing() -> Result<()> {
    let servers = Servers::shared().await?;
    let on = On::new(servers).await?;
    for way in WAYS {
        let client = on.client(way)?;
        let book = client.book(format!("cancelled {way:?}")).register()?;
        let stage = book.stage("ANALYZING").begin().await?;
        on.client.query("select from bindery.cancel_book($1)", &[&book.id()]).await?;
        let mut worked = 0;
        let stopped = eventually(SOON, "the worker to be refused", async || {
            worked += 1;
            match stage.progress("extract_text", f64::from(worked % 100)) {
                Err(Error::Superseded(superseded)) => Ok(superseded),
                other => Err(anyhow!("{other:?}")),
            }
        })
        .await?;
        ensure!(stopped.status.as_deref() == Some("CANCELLED"), "{way:?}: {stopped}");
        let mut items = stage.track("extract_text", 0..3);
        ensure!(matches!(items.next(), Some(Err(Error::Superseded(_)))));
        ensure!(items.next().is_none());
        drop(items);
        stage.fail(Failure::new("late", "It is too late."));
        on.settled(&client).await?;
        let status = on.status(book.id()).await?;
        ensure!(status["status"] == "CANCELLED" && status["error"].is_null(), "{status}");
        let again = book.stage("ANALYZING").begin().await;
        ensure!(matches!(again, Err(Error::Superseded(_))), "{way:?}: {again:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_workers_token_reports_its_stage_and_learns_that_the_book_has_left_it() -> Result<()> {
    let guarded = Guarded::start(&[]).await?;
    let id = guarded.book_of(Uuid::new_v4(), "The Tide").await?;
    let client = Client::builder()
        .url(&format!("http://{}", guarded.daemon.http()))
        .key(&worker(json!({"book_id": id, "stage": "ANALYZING"}))?)
        .interval(Duration::from_millis(20))
        .build()?;
    let book = client.book(id.to_string()).attach()?;
    let stage = book.stage("ANALYZING").begin().await?;
    ensure!(stage.attempt() == Some(1), "{:?}", stage.attempt());
    stage.progress("extract_text", 40.0)?;
    ensure!(book.flush(SOON).await);
    let call = "select progress from bindery.book_progress \
        where book_id = $1 and substep = 'extract_text'";
    ensure!(guarded.client.query_one(call, &[&id]).await?.get::<_, f64>(0) == 40.0);
    let call = "select from bindery.transition_book($1, 'GENERATING_SCENES')";
    guarded.client.query(call, &[&id]).await?;
    let mut percent = 40.0;
    let superseded = eventually(SOON, "the worker to be refused", async || {
        percent += 0.01;
        match stage.progress("extract_text", percent) {
            Err(Error::Superseded(superseded)) => Ok(superseded),
            other => Err(anyhow!("{other:?}")),
        }
    })
    .await?;
    ensure!(superseded.attempt == Some(1), "{superseded}");
    ensure!(book.flush(SOON).await, "what no longer counts is not sent again and again");
    Ok(())
}

#[tokio::test]
async fn a_stage_that_is_dropped_makes_its_book_failed() -> Result<()> {
    let servers = Servers::shared().await?;
    let on = On::new(servers).await?;
    let client = on.client(Way::Postgres)?;
    let dropped = client.book("dropped").register()?;
    drop(dropped.stage("ANALYZING").begin().await?);
    let panicked = client.book("panicked").register()?;
    let stage = panicked.stage("ANALYZING").begin().await?;
    let thread = std::thread::spawn(move || {
        let _stage = stage;
        panic!("on purpose");
    });
    ensure!(thread.join().is_err());
    let torn = client.book("torn").register()?;
    let stage = torn.stage("ANALYZING").begin().await?;
    stage.fail(Failure::new("torn_page", "Page 31 is torn.").no_retry().with("page", 31));
    on.settled(&client).await?;
    for (book, error) in [
        (dropped, json!({"code": "dropped"})),
        (panicked, json!({"code": "panic"})),
        (torn, json!({"code": "torn_page", "retry": false, "page": 31})),
    ] {
        let status = on.status(book.id()).await?;
        ensure!(status["status"] == "FAILED" && status["error"] == error, "{status}");
    }
    Ok(())
}

/// 10,000 reports from 50 books at once while servers stop and start. At the end each substep has
/// its worker's last progress.
async fn through_outages(way: Way, outage: impl AsyncFn(&Servers) -> Result<()>) -> Result<()> {
    let servers = Servers::start().await?;
    let mut on = On::new(&servers).await?;
    let client = on.builder(way).build()?;
    let mut workers = JoinSet::new();
    for number in 0..50_u32 {
        let client = client.clone();
        workers.spawn(async move {
            let book = client.book(format!("outage {number}")).register()?;
            let last = 100 + number;
            book.stage("ANALYZING")
                .run(async |stage| {
                    for done in 1..=200_u32 {
                        // The last reports are lower; progress does not decrease.
                        let done = f64::from(done.min(last));
                        stage.count("extract_text", done, 200.0, "page")?;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    anyhow::Ok(())
                })
                .await?;
            anyhow::Ok((book, f64::from(last)))
        });
    }
    outage(&servers).await?;
    let mut books = Vec::new();
    while let Some(worked) = workers.join_next().await {
        books.push(worked??);
    }
    ensure!(books.len() == 50 && client.dropped() == 0);
    on.client = on.database.connect().await?;
    on.daemon.ready().await?;
    on.settled(&client).await?;
    for (book, last) in books {
        let status = on.status(book.id()).await?;
        let substep = substep(&status, "extract_text");
        ensure!(status["status"] == "ANALYZING", "{status}");
        ensure!(substep["done"] == last, "{way:?}: {last} {status}");
    }
    Ok(())
}

#[tokio::test]
async fn ten_thousand_reports_end_exactly_though_redis_and_postgres_go() -> Result<()> {
    through_outages(Way::Redis, async |servers| {
        servers.stop_redis().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        servers.start_redis().await?;
        servers.stop_postgres().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        servers.start_postgres().await
    })
    .await
}

#[tokio::test]
async fn ten_thousand_reports_to_postgres_end_exactly_though_it_goes() -> Result<()> {
    through_outages(Way::Postgres, async |servers| {
        for _ in 0..2 {
            servers.stop_postgres().await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            servers.start_postgres().await?;
        }
        Ok(())
    })
    .await
}
