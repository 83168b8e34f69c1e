//! Real queues of BullMQ with its own, unmodified workers.
//!
//! Between queues and streams there is no order: a job's events may arrive before the book's
//! registration and before those of the queue that comes first.

mod jobs;
mod waiting;

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

/// Queues of one test, with its database.
struct Queues<'a> {
    servers: &'a Servers,
    database: Database<'a>,
    client: Client,
    redis: MultiplexedConnection,
    /// Part of the names of the queues and of a list.
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

    /// A daemon that reads these queues, each with its stage.
    async fn daemon(&self, queues: &[(&str, &str)]) -> Result<Daemon> {
        let queues: Vec<String> =
            queues.iter().map(|(queue, work)| format!("{}={work}", self.queue(queue))).collect();
        let mut args = vec!["--outbox", "", "--lease", "1s", "--sweep", "0"];
        args.extend(queues.iter().flat_map(|queue| ["--bullmq", queue]));
        self.database.daemon(&args).await
    }

    async fn worker(&self, queue: &str) -> Result<Running> {
        self.worker_with(queue, &[]).await
    }

    /// A worker whose lock on a job expires soon after it is killed.
    async fn brief_worker(&self, queue: &str) -> Result<Running> {
        self.worker_with(queue, &[("BRIEF", "1")]).await
    }

    async fn worker_with(&self, queue: &str, environment: &[(&str, &str)]) -> Result<Running> {
        Running::start(
            "node",
            &["worker.js", self.servers.redis_url(), &self.queue(queue)],
            environment,
        )
        .await
    }

    /// Adds jobs; returns their ids.
    async fn add(&self, queue: &str, jobs: Value) -> Result<Vec<String>> {
        let printed = node::run(&[
            "jobs.js",
            self.servers.redis_url(),
            &self.queue(queue),
            &jobs.to_string(),
        ])
        .await?;
        Ok(serde_json::from_str(&printed)?)
    }

    fn stream(&self, queue: &str) -> String {
        format!("bull:{}:events", self.queue(queue))
    }

    /// The names of a queue's events, in order.
    async fn event_names(&mut self, queue: &str) -> Result<Vec<String>> {
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

    /// Waits for a book that meets a condition.
    async fn book(&self, book: Uuid, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(SOON, what, async || {
            let row = book_row(&self.client, book).await?;
            if is(&row) { Ok(row) } else { Err(anyhow!("{row:#}, {}", self.others().await?)) }
        })
        .await
    }

    /// Waits until the current entries of a queue's stream are applied.
    async fn applied(&mut self, queue: &str) -> Result<()> {
        let stream = self.stream(queue);
        let (last, _) =
            entries(&mut self.redis, &stream).await?.pop().context("the queue has no event")?;
        let last: StreamId = last.parse()?;
        // The queue may have added more since.
        cursor_when(
            &self.client,
            &stream,
            &format!("the position to be {last} or more"),
            |cursor| cursor.position.parse::<StreamId>().is_ok_and(|position| position >= last),
        )
        .await?;
        Ok(())
    }

    /// Waits until the progress that the queue's newest job reports is applied.
    async fn progress_applied(&mut self, queue: &str) -> Result<()> {
        eventually(SOON, "a job to report its progress", async || {
            let names = self.event_names(queue).await?;
            match names.last() {
                Some(name) if name == "progress" => Ok(()),
                last => Err(anyhow!("{last:?}")),
            }
        })
        .await?;
        self.applied(queue).await
    }

    /// Waits until a job is removed.
    async fn until_removed(&mut self, queue: &str, job: &str) -> Result<()> {
        let key = format!("bull:{}:{job}", self.queue(queue));
        eventually(SOON, "the job to be removed", async || {
            if self.redis.exists(&key).await? { Err(anyhow!("{key} exists")) } else { Ok(()) }
        })
        .await
    }

    async fn dead_letters(&self) -> Result<Value> {
        let query = "select coalesce(jsonb_agg(to_jsonb(d) order by d.id), '[]')
            from bindery.dead_letters d";
        json(&self.client, query, &[]).await
    }

    /// The events that have not taken effect: dead letters and early events.
    async fn others(&self) -> Result<String> {
        let query = "select coalesce(jsonb_agg(to_jsonb(e) order by e.id), '[]')
            from bindery.early_events e";
        let early = json(&self.client, query, &[]).await?;
        Ok(format!("dead letters: {:#}, early events: {early:#}", self.dead_letters().await?))
    }

    /// Waits until every stream of the test is applied to its end, and checks that no event is
    /// lost, rejected or still waiting.
    async fn all_settled(&mut self, queues: &[&str]) -> Result<()> {
        for queue in queues {
            self.applied(queue).await?;
        }
        let unsettled = "select (select count(*) from bindery.dead_letters),
            (select count(*) from bindery.early_events),
            (select count(*) from bindery.relay_cursors where lost > 0 or last_loss is not null)";
        let row = self.client.query_one(unsettled, &[]).await?;
        let counts: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        ensure!(counts == (0, 0, 0), "{counts:?}: {}", self.others().await?);
        Ok(())
    }

    /// Registers books and adds their jobs, all at once.
    async fn begin(&self, flows: &[(Uuid, Value)]) -> Result<()> {
        let books: Vec<Value> =
            flows.iter().map(|(book, flow)| json!({"book": book, "flow": flow})).collect();
        let (stream, books) = (self.database.stream(), json!(books).to_string());
        node::run(&["flows.js", self.servers.redis_url(), stream, &books]).await?;
        Ok(())
    }

    /// The books' statuses, counted.
    async fn statuses(&self) -> Result<Value> {
        let query = "select coalesce(jsonb_object_agg(c.status, c.books), '{}') from (
            select b.status, count(*) as books from bindery.book_status b group by 1) c";
        json(&self.client, query, &[]).await
    }

    async fn substeps(&self, book: Uuid, stage: &str) -> Result<Value> {
        let query = "select coalesce(jsonb_object_agg(g.substep, g.progress), '{}')
            from bindery.book_progress g where g.book_id = $1 and g.stage = $2";
        json(&self.client, query, &[&book, &stage]).await
    }
}

#[tokio::test]
async fn jobs_that_are_removed_when_they_are_done_take_a_book_through_its_stages() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let reads = [
        ("extract", "ANALYZING/extract_text"),
        ("scenes", "GENERATING_SCENES"),
        ("draw", "CREATING_ARTWORK"),
    ];
    let mut daemon = on.daemon(&reads).await?;
    let book = book_in(&on.client, &[]).await?;
    let gone = json!({"removeOnComplete": true});
    let (_extract, _scenes) = (on.worker("extract").await?, on.worker("scenes").await?);
    let _draw = on.worker("draw").await?;

    // The first job of each batch waits until the daemon has read it, as a job that takes some time
    // does; the others do not.
    let release = async |stage: &str, substep: &str| -> Result<()> {
        eventually(SOON, "the job to be known", async || {
            let (row, substeps) =
                (book_row(&on.client, book).await?, on.substeps(book, stage).await?);
            let known =
                if substep.is_empty() { row["status"] == stage } else { substeps[substep] == 0 };
            if known { Ok(()) } else { Err(anyhow!("{row:#} {substeps}, {}", on.others().await?)) }
        })
        .await?;
        let _: i64 = on.servers.redis().await?.lpush(&on.mark, 1).await?;
        Ok(())
    };
    let steps = json!([10, {"done": 1, "total": 2, "checkpoint": {"page": 1}}]);
    let last = json!({"bookId": book, "substep": "analyze_characters", "to": "GENERATING_SCENES"});
    let jobs = json!([
        {"data": {"bookId": book, "waits": on.mark, "steps": steps}, "opts": gone},
        {"data": {"bookId": book, "substep": "detect_chapters", "steps": [50]}, "opts": gone},
        {"data": last, "opts": gone}
    ]);
    on.add("extract", jobs).await?;
    release("ANALYZING", "").await?;
    on.book(book, "the stage to end", |book| book["status"] == "GENERATING_SCENES").await?;
    let substeps = on.substeps(book, "ANALYZING").await?;
    ensure!(substeps["extract_text"] == 100 && substeps["detect_chapters"] == 100, "{substeps}");

    // These jobs run while no daemon runs.
    daemon.sigkill().await?;
    let scenes =
        |substep: &str| json!({"data": {"bookId": book, "substep": substep, "steps": [1, 2, 3]}});
    on.add("scenes", json!([scenes("split_scenes"), scenes("write_prompts")])).await?;
    let _daemon = on.daemon(&reads).await?;
    on.book(book, "the scenes to be done", |book| book["stage_progress"] == 100).await?;

    let page = |page: &str| json!({"data": {"bookId": book, "substep": page}, "opts": gone});
    let mut pages = [page("page_1"), page("page_2")];
    pages[0]["data"]["waits"] = json!(on.mark);
    on.add("draw", json!(pages)).await?;
    release("CREATING_ARTWORK", "").await?;
    on.book(book, "two pages to be drawn", |book| book["stage_progress"] == 100).await?;
    let mut last = page("page_3");
    (last["data"]["waits"], last["data"]["to"]) = (json!(on.mark), json!("COMPLETED"));
    last["data"]["steps"] = json!([0]);
    on.add("draw", json!([last])).await?;
    release("CREATING_ARTWORK", "page_3").await?;
    on.book(book, "the book to be completed", |book| book["status"] == "COMPLETED").await?;

    let query = "select jsonb_agg(e.to_status order by e.revision)
        from bindery.book_events e where e.book_id = $1";
    let way = json(&on.client, query, &[&book]).await?;
    assert_eq!(
        way,
        json!(["UPLOADED", "ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"]),
        "each once"
    );
    on.all_settled(&["extract", "scenes", "draw"]).await
}

#[tokio::test]
async fn a_job_without_attempts_left_fails_its_book_and_a_retry_by_hand_resumes_it() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    let _worker = on.worker("draw").await?;
    let data = json!({"bookId": book, "substep": "page_1", "steps": [30], "failures": 2});
    let job = json!([{"data": data, "opts": {"attempts": 2}}]);
    let job = on.add("draw", job).await?.remove(0);
    let failed = on.book(book, "the book to fail", |book| book["status"] == "FAILED").await?;
    assert_eq!(failed["message"], "no memory, for the 2. time");
    assert_eq!(
        failed["error"],
        json!({"code": "job_failed", "queue": on.queue("draw"), "job_id": job})
    );
    assert_eq!(failed["current_stage"], "CREATING_ARTWORK");
    on.applied("draw").await?;
    assert_eq!(on.dead_letters().await?, json!([]));

    node::run(&[
        "jobs.js",
        on.servers.redis_url(),
        &on.queue("draw"),
        &json!({"job": job, "does": "retry"}).to_string(),
    ])
    .await?;
    let resumed =
        on.book(book, "the book to continue", |book| book["stage_progress"] == 100).await?;
    assert_eq!((&resumed["status"], &resumed["attempt"]), (&json!("CREATING_ARTWORK"), &json!(2)));
    on.applied("draw").await?;
    assert_eq!(on.dead_letters().await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn another_worker_finishes_the_job_of_a_killed_one_and_the_book_stays_in_its_stage()
-> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    let mut first = on.brief_worker("draw").await?;
    let data = json!({"bookId": book, "substep": "page_1", "steps": [40], "hangs": true});
    on.add("draw", json!([{"data": data}])).await?;
    on.book(book, "the first worker's progress", |book| book["stage_progress"] == 40).await?;
    let before = book_row(&on.client, book).await?["heartbeat_at"].clone();
    first.sigkill().await?;

    let _second = on.worker("draw").await?;
    on.book(book, "the second worker to be done", |book| book["stage_progress"] == 100).await?;
    let names = on.event_names("draw").await?;
    ensure!(names.iter().any(|name| name == "stalled"), "{names:?}");
    on.applied("draw").await?;
    let after = book_row(&on.client, book).await?;
    assert_eq!(
        (&after["status"], &after["attempt"]),
        (&json!("CREATING_ARTWORK"), &json!(1)),
        "the book did not fail"
    );
    assert_ne!(after["heartbeat_at"], before);
    assert_eq!(on.dead_letters().await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn a_job_about_no_book_is_one_dead_letter_with_a_remedy_and_delays_no_other() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    // Done and removed before any daemon has seen it.
    let _worker = on.worker("draw").await?;
    let data = json!({"bookId": book, "steps": [1]});
    let gone = json!([{"data": data, "opts": {"removeOnComplete": true}}]);
    let gone = on.add("draw", gone).await?;
    eventually(SOON, "the job to be done", async || {
        let names = on.event_names("draw").await?;
        if names.iter().any(|name| name == "completed") {
            Ok(())
        } else {
            Err(anyhow!("{names:?}"))
        }
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
    on.book(book, "the third job's progress", |book| book["stage_progress"] == 100).await?;
    on.applied("draw").await?;

    let letters = on.dead_letters().await?;
    let letters: Vec<_> = letters.as_array().into_iter().flatten().collect();
    let of = |job: &str| {
        letters.iter().filter(|letter| letter["payload"]["job_id"] == job).collect::<Vec<_>>()
    };
    let [letter] = of(&gone[0])[..] else { return Err(anyhow!("{letters:#?}")) };
    ensure!(
        letter["reason"] == "missing_field"
            && letter["message"].to_string().contains("removeOnComplete"),
        "{letter}"
    );
    let [letter] = of(&others[0])[..] else { return Err(anyhow!("{letters:#?}")) };
    ensure!(
        letter["reason"] == "missing_field" && letter["message"].to_string().contains("bookId"),
        "{letter}"
    );
    ensure!(of(&others[1]).iter().all(|letter| letter["reason"] == "bad_uuid"), "{letters:#?}");
    ensure!(of(&others[2]).is_empty(), "{letters:#?}");
    let counts = cursor(&on.client, &on.stream("draw")).await?.counts;
    assert_eq!(counts.rejected, i64::try_from(letters.len())?);
    Ok(())
}

#[tokio::test]
async fn books_whose_jobs_are_added_as_they_are_registered_all_get_their_progress() -> Result<()> {
    const BOOKS: usize = 40;
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&[("extract", "ANALYZING/extract_text")]).await?;
    let _worker = on.worker("extract").await?;
    let flows: Vec<(Uuid, Value)> = (0..BOOKS)
        .map(|_| {
            let book = Uuid::new_v4();
            (book, json!({"queue": on.queue("extract"), "data": {"bookId": book, "steps": [40]}}))
        })
        .collect();
    on.begin(&flows).await?;
    let done = "select count(*) from bindery.book_status b
        join bindery.book_progress g on g.book_id = b.book_id and g.stage = b.current_stage
        where b.status = 'ANALYZING' and g.substep = 'extract_text' and g.progress = 100";
    eventually(SOON, "every book to be in its stage with its progress", async || {
        let books: i64 = on.client.query_one(done, &[]).await?.get(0);
        if books == i64::try_from(BOOKS)? {
            Ok(())
        } else {
            Err(anyhow!("{books}, {}, {}", on.statuses().await?, on.others().await?))
        }
    })
    .await?;
    on.all_settled(&["extract"]).await
}

/// A daemon's queues for flows: extract, then scenes, then draw.
const STAGES: [(&str, &str); 3] = [
    ("extract", "ANALYZING/extract_text"),
    ("scenes", "GENERATING_SCENES/split_scenes"),
    ("draw", "CREATING_ARTWORK"),
];

/// Ten books with a flow each, of jobs that take 0 to 5 ms. The last job's data has `to`.
fn flows(on: &Queues<'_>) -> Vec<(Uuid, Value)> {
    let flow = |number: u32| {
        let book = Uuid::new_v4();
        let data = |job: u32| json!({"bookId": book, "takes": (number + 2 * job) % 6});
        let extract = json!({"queue": on.queue("extract"), "data": data(0)});
        let scenes = json!({"queue": on.queue("scenes"), "data": data(1), "children": [extract]});
        let mut draw = json!({"queue": on.queue("draw"), "data": data(2), "children": [scenes]});
        draw["data"]["to"] = json!("COMPLETED");
        (book, draw)
    };
    (0..10).map(flow).collect()
}

async fn until_completed(on: &mut Queues<'_>, books: usize) -> Result<()> {
    eventually(SOON, "every book to be completed", async || {
        let statuses = on.statuses().await?;
        if statuses == json!({"COMPLETED": books}) {
            Ok(())
        } else {
            Err(anyhow!("{statuses}, {}", on.others().await?))
        }
    })
    .await?;
    on.all_settled(&["extract", "scenes", "draw"]).await
}

#[tokio::test]
async fn flows_over_three_queues_complete_their_books_whichever_stream_is_read_first() -> Result<()>
{
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&STAGES).await?;
    let _workers =
        [on.worker("extract").await?, on.worker("scenes").await?, on.worker("draw").await?];
    let flows = flows(&on);
    on.begin(&flows).await?;
    until_completed(&mut on, flows.len()).await
}

#[tokio::test]
async fn flows_that_were_worked_through_without_a_daemon_complete_their_books_once_it_starts()
-> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    // The first daemon has acquired the streams; nothing is in them yet.
    let mut daemon = on.daemon(&STAGES).await?;
    daemon.sigterm().await?;
    let _workers =
        [on.worker("extract").await?, on.worker("scenes").await?, on.worker("draw").await?];
    let flows = flows(&on);
    on.begin(&flows).await?;
    eventually(SOON, "every job to be done", async || {
        let names = on.event_names("draw").await?;
        let done = names.iter().filter(|name| *name == "completed").count();
        if done == flows.len() { Ok(()) } else { Err(anyhow!("{done}")) }
    })
    .await?;
    assert_eq!(on.statuses().await?, json!({}), "no daemon has read anything");
    let _daemon = on.daemon(&STAGES).await?;
    until_completed(&mut on, flows.len()).await
}

#[tokio::test]
async fn workers_that_add_the_next_queues_job_themselves_complete_their_books() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&STAGES).await?;
    let _workers =
        [on.worker("extract").await?, on.worker("scenes").await?, on.worker("draw").await?];
    let flow = |_| {
        let book = Uuid::new_v4();
        let draw = json!({"bookId": book, "to": "COMPLETED"});
        let scenes = json!({"bookId": book, "to": "CREATING_ARTWORK",
            "adds": [{"queue": on.queue("draw"), "data": draw}]});
        let extract = json!({"bookId": book, "to": "GENERATING_SCENES",
            "adds": [{"queue": on.queue("scenes"), "data": scenes}]});
        (book, json!({"queue": on.queue("extract"), "data": extract}))
    };
    let flows: Vec<(Uuid, Value)> = (0..10).map(flow).collect();
    on.begin(&flows).await?;
    until_completed(&mut on, flows.len()).await?;
    for (book, _) in flows {
        let query = "select jsonb_agg(e.to_status order by e.revision)
            from bindery.book_events e where e.book_id = $1";
        let way = ["UPLOADED", "ANALYZING", "GENERATING_SCENES", "CREATING_ARTWORK", "COMPLETED"];
        assert_eq!(json(&on.client, query, &[&book]).await?, json!(way), "each status once");
    }
    Ok(())
}

#[tokio::test]
async fn another_job_that_becomes_active_leaves_a_failed_book_failed() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    // One after the other, since the worker takes one job at a time.
    let page = |page: &str, failures: i32| {
        let data = json!({"bookId": book, "substep": page, "failures": failures, "steps": [10]});
        json!({"data": data})
    };
    on.add("draw", json!([page("page_1", 1), page("page_2", 0)])).await?;
    let _worker = on.worker("draw").await?;
    eventually(SOON, "the second job to be done", async || {
        let names = on.event_names("draw").await?;
        if names.iter().any(|name| name == "completed") {
            Ok(())
        } else {
            Err(anyhow!("{names:?}"))
        }
    })
    .await?;
    on.applied("draw").await?;
    let row = book_row(&on.client, book).await?;
    assert_eq!((&row["status"], &row["attempt"]), (&json!("FAILED"), &json!(1)));
    assert_eq!(on.substeps(book, "CREATING_ARTWORK").await?, json!({"page_1": 10}));
    on.all_settled(&["draw"]).await
}

#[tokio::test]
async fn a_job_moves_its_book_whatever_else_its_data_has() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _daemon = on.daemon(&[("extract", "ANALYZING/extract_text")]).await?;
    let _worker = on.worker("extract").await?;
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    // A title that was cut in the middle of an emoji, and JSON of 200 levels.
    for more in [r#""title": "The Fox \ud83e""#.to_owned(), format!(r#""deep": {deep}"#)] {
        let book = book_in(&on.client, &[]).await?;
        let jobs = format!(r#"[{{"data": {{{more}, "bookId": "{book}"}}}}]"#);
        let (url, queue) = (on.servers.redis_url(), on.queue("extract"));
        node::run(&["jobs.js", url, &queue, &jobs]).await?;
        // extract_text is a quarter of the stage.
        on.book(book, "the book to move", |book| book["stage_progress"] == 25).await?;
    }
    on.all_settled(&["extract"]).await
}
