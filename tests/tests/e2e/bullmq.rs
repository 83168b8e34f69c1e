//! Real queues of BullMQ with its own workers, which know nothing of Bindery.

use anyhow::{Context, Result, anyhow, ensure};
use bindery_core::stream_id::StreamId;
use bindery_tests::{Daemon, Database, Servers, eventually};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::node::{self, Running};
use crate::support::{SOON, book_in, book_row, cursor, cursor_when, entries, json};

/// A queue of this test's own, and all that is around it.
struct Queues<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    client: Client,
    redis: MultiplexedConnection,
    /// Goes before the queues' names.
    mark: String,
}

impl Queues<'_> {
    async fn start(servers: &Servers) -> Result<Queues<'_>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        Ok(Queues {
            database,
            client,
            redis: servers.redis().await?,
            mark: Uuid::new_v4().simple().to_string(),
            servers,
        })
    }

    fn queue(&self, name: &str) -> String {
        format!("{name}-{}", self.mark)
    }

    /// A daemon that reads these queues, each with the work it does.
    async fn daemon(&self, queues: &[(&str, &str)]) -> Result<Daemon> {
        let queues: Vec<String> = queues.iter().map(|(queue, work)| format!("{}={work}", self.queue(queue))).collect();
        let mut args = vec!["--outbox", "", "--lease", "1s", "--sweep", "0"];
        args.extend(queues.iter().flat_map(|queue| ["--bullmq", queue]));
        self.database.daemon(&args).await
    }

    async fn worker(&self, queue: &str) -> Result<Running> {
        self.worker_with(queue, &[]).await
    }

    /// One whose lock on a job is soon over once it is killed.
    async fn brief_worker(&self, queue: &str) -> Result<Running> {
        self.worker_with(queue, &[("BRIEF", "1")]).await
    }

    async fn worker_with(&self, queue: &str, environment: &[(&str, &str)]) -> Result<Running> {
        Running::start("node", &["worker.js", self.servers.redis_url(), &self.queue(queue)], environment).await
    }

    /// Adds jobs; their ids.
    async fn add(&self, queue: &str, jobs: Value) -> Result<Vec<String>> {
        let printed = node::run(&["jobs.js", self.servers.redis_url(), &self.queue(queue), &jobs.to_string()]).await?;
        Ok(serde_json::from_str(&printed)?)
    }

    fn stream(&self, queue: &str) -> String {
        format!("bull:{}:events", self.queue(queue))
    }

    /// The names of the events that BullMQ told of a queue.
    async fn told(&mut self, queue: &str) -> Result<Vec<String>> {
        let stream = self.stream(queue);
        let entries = entries(&mut self.redis, &stream).await?;
        let name = |entry: &crate::support::Entry| {
            entry
                .iter()
                .find(|(name, _)| name == b"event")
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        Ok(entries.iter().filter_map(|(_, entry)| name(entry)).collect())
    }

    /// Waits for a book that is as wanted.
    async fn book(&self, book: Uuid, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(SOON, what, async || {
            let row = book_row(&self.client, book).await?;
            if is(&row) { Ok(row) } else { Err(anyhow!("{row:#}, dead: {}", self.dead().await?)) }
        })
        .await
    }

    /// Waits until a queue's stream is applied to its end, and nothing in it was lost by anybody's count.
    async fn applied(&mut self, queue: &str) -> Result<()> {
        let stream = self.stream(queue);
        let (last, _) = entries(&mut self.redis, &stream).await?.pop().context("nothing has happened")?;
        let last: StreamId = last.parse()?;
        // The queue lives on, and may have said more.
        cursor_when(&self.client, &stream, &format!("the position to be {last} or more"), |cursor| {
            cursor.position.parse::<StreamId>().is_ok_and(|position| position >= last)
        })
        .await?;
        Ok(())
    }

    async fn dead(&self) -> Result<Value> {
        json(
            &self.client,
            "select coalesce(jsonb_agg(to_jsonb(d) order by d.id), '[]') from bindery.dead_letters d",
            &[],
        )
        .await
    }

    async fn substeps(&self, book: Uuid, stage: &str) -> Result<Value> {
        let query = "select coalesce(jsonb_object_agg(g.substep, g.progress), '{}') from bindery.book_progress g where g.book_id = $1 and g.stage = $2";
        json(&self.client, query, &[&book, &stage]).await
    }
}

#[tokio::test]
async fn a_book_is_taken_through_its_stages_by_jobs_that_are_gone_when_they_are_done() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let reads = [("extract", "ANALYZING/extract_text"), ("scenes", "GENERATING_SCENES"), ("draw", "CREATING_ARTWORK")];
    let mut daemon = on.daemon(&reads).await?;
    let book = book_in(&on.client, &[]).await?;
    let gone = json!({"removeOnComplete": true});
    let (_extract, _scenes) = (on.worker("extract").await?, on.worker("scenes").await?);
    let _draw = on.worker("draw").await?;

    // Each batch's first job waits until the daemon has heard of it, as any that takes some time does; the others do not.
    let release = async |stage: &str, substep: &str| -> Result<()> {
        eventually(SOON, "the job to be known", async || {
            let (row, substeps) = (book_row(&on.client, book).await?, on.substeps(book, stage).await?);
            let known = if substep.is_empty() { row["status"] == stage } else { substeps[substep] == 0 };
            if known { Ok(()) } else { Err(anyhow!("{row:#} {substeps}, dead: {}", on.dead().await?)) }
        })
        .await?;
        let _: i64 = on.servers.redis().await?.lpush(&on.mark, 1).await?;
        Ok(())
    };
    let jobs = json!([
        {"data": {"bookId": book, "waits": on.mark, "steps": [10, {"done": 1, "total": 2, "checkpoint": {"page": 1}}]}, "opts": gone},
        {"data": {"bookId": book, "substep": "detect_chapters", "steps": [50]}, "opts": gone},
        {"data": {"bookId": book, "substep": "analyze_characters", "to": "GENERATING_SCENES"}, "opts": gone}
    ]);
    on.add("extract", jobs).await?;
    release("ANALYZING", "").await?;
    on.book(book, "the book to be cut", |book| book["status"] == "GENERATING_SCENES").await?;
    let substeps = on.substeps(book, "ANALYZING").await?;
    ensure!(substeps["extract_text"] == 100 && substeps["detect_chapters"] == 100, "{substeps}");

    // One that is begun while no daemon runs, and one that the daemon is killed in the midst of.
    daemon.sigkill().await?;
    let scenes = |substep: &str| json!({"data": {"bookId": book, "substep": substep, "steps": [1, 2, 3]}});
    on.add("scenes", json!([scenes("split_scenes"), scenes("write_prompts")])).await?;
    let _daemon = on.daemon(&reads).await?;
    on.book(book, "the scenes to be cut", |book| book["stage_progress"] == 100).await?;

    let page = |page: &str| json!({"data": {"bookId": book, "substep": page}, "opts": gone});
    let mut pages = [page("page_1"), page("page_2")];
    pages[0]["data"]["waits"] = json!(on.mark);
    on.add("draw", json!(pages)).await?;
    release("CREATING_ARTWORK", "").await?;
    on.book(book, "two pages to be drawn", |book| book["stage_progress"] == 100).await?;
    let mut last = page("page_3");
    (last["data"]["waits"], last["data"]["to"]) = (json!(on.mark), json!("COMPLETED"));
    on.add("draw", json!([last])).await?;
    release("CREATING_ARTWORK", "page_3").await?;
    on.book(book, "the book to be completed", |book| book["status"] == "COMPLETED").await?;

    let query = "select jsonb_agg(e.to_status order by e.id) from bindery.book_events e where e.book_id = $1";
    let way = json(&on.client, query, &[&book]).await?;
    assert_eq!(
        way,
        json!(["UPLOADED", "ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"]),
        "each once"
    );
    for (queue, _) in reads {
        on.applied(queue).await?;
    }
    assert_eq!(on.dead().await?, json!([]));
    let query = "select count(*) from bindery.relay_cursors where lost > 0 or last_loss is not null";
    assert_eq!(on.client.query_one(query, &[]).await?.get::<_, i64>(0), 0, "nothing counts as lost");
    Ok(())
}

#[tokio::test]
async fn a_job_that_fails_for_good_fails_its_book_and_one_retried_by_hand_resumes_it() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    let _worker = on.worker("draw").await?;
    let job =
        json!([{"data": {"bookId": book, "substep": "page_1", "steps": [30], "failures": 2}, "opts": {"attempts": 2}}]);
    let job = on.add("draw", job).await?.remove(0);
    let failed = on.book(book, "the book to fail", |book| book["status"] == "FAILED").await?;
    assert_eq!(failed["message"], "no memory, for the 2. time");
    assert_eq!(failed["error"], json!({"code": "job_failed", "queue": on.queue("draw"), "job_id": job}));
    assert_eq!(failed["current_stage"], "CREATING_ARTWORK");
    on.applied("draw").await?;
    assert_eq!(on.dead().await?, json!([]));

    node::run(&["jobs.js", on.servers.redis_url(), &on.queue("draw"), &json!({"retry": job}).to_string()]).await?;
    let resumed = on.book(book, "the book to go on", |book| book["stage_progress"] == 100).await?;
    assert_eq!((&resumed["status"], &resumed["attempt"]), (&json!("CREATING_ARTWORK"), &json!(2)));
    on.applied("draw").await?;
    assert_eq!(on.dead().await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn a_job_whose_worker_was_killed_is_finished_by_another() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    let mut first = on.brief_worker("draw").await?;
    on.add("draw", json!([{"data": {"bookId": book, "substep": "page_1", "steps": [40], "hangs": true}}])).await?;
    on.book(book, "the first worker's progress", |book| book["stage_progress"] == 40).await?;
    let before = book_row(&on.client, book).await?["heartbeat_at"].clone();
    first.sigkill().await?;

    let _second = on.worker("draw").await?;
    on.book(book, "the second worker to be done", |book| book["stage_progress"] == 100).await?;
    let told = on.told("draw").await?;
    ensure!(told.iter().any(|event| event == "stalled"), "{told:?}");
    on.applied("draw").await?;
    let after = book_row(&on.client, book).await?;
    assert_eq!((&after["status"], &after["attempt"]), (&json!("CREATING_ARTWORK"), &json!(1)), "nobody failed");
    assert_ne!(after["heartbeat_at"], before);
    assert_eq!(on.dead().await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn a_job_about_no_book_is_one_dead_letter_that_says_what_to_do_and_holds_nothing_up() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    // Done and removed before any daemon has seen it.
    let _worker = on.worker("draw").await?;
    let gone =
        on.add("draw", json!([{"data": {"bookId": book, "steps": [1]}, "opts": {"removeOnComplete": true}}])).await?;
    eventually(SOON, "the job to be done", async || {
        let told = on.told("draw").await?;
        if told.iter().any(|event| event == "completed") { Ok(()) } else { Err(anyhow!("{told:?}")) }
    })
    .await?;

    let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    on.applied("draw").await?;
    let others = json!([
        {"data": {"steps": [10, 20, 30]}},
        {"data": {"bookId": "the salt clock"}},
        {"data": {"bookId": book, "substep": "page_1"}}
    ]);
    let others = on.add("draw", others).await?;
    on.book(book, "the good one's progress", |book| book["stage_progress"] == 100).await?;
    on.applied("draw").await?;

    let dead = on.dead().await?;
    let dead: Vec<_> = dead.as_array().into_iter().flatten().collect();
    let of = |job: &str| dead.iter().filter(|dead| dead["payload"]["job_id"] == job).collect::<Vec<_>>();
    let [letter] = of(&gone[0])[..] else { return Err(anyhow!("{dead:#?}")) };
    ensure!(
        letter["reason"] == "missing_field" && letter["message"].to_string().contains("removeOnComplete"),
        "{letter}"
    );
    let [letter] = of(&others[0])[..] else { return Err(anyhow!("{dead:#?}")) };
    ensure!(letter["reason"] == "missing_field" && letter["message"].to_string().contains("bookId"), "{letter}");
    ensure!(of(&others[1]).iter().all(|letter| letter["reason"] == "bad_uuid"), "{dead:#?}");
    ensure!(of(&others[2]).is_empty(), "{dead:#?}");
    let counts = cursor(&on.client, &on.stream("draw")).await?.counts;
    assert_eq!(counts.dead, i64::try_from(dead.len())?);
    Ok(())
}
