//! Books whose jobs wait in BullMQ do not stall.

use super::*;

/// A reason for a job to wait, and the end of the wait.
struct Case {
    queue: &'static str,
    /// Whether a worker runs.
    works: bool,
    /// The first command to the queue.
    first: Option<&'static str>,
    opts: Value,
    failures: u32,
    end: End,
}

/// The end of the wait.
enum End {
    /// A command to the queue; the book then stalls.
    Queue(&'static str, Value),
    /// The job is removed; the book then stalls.
    Remove,
    /// The job is done.
    Done,
}

fn cases() -> [Case; 7] {
    let an_hour = 3_600_000;
    let case = |queue, opts, end| Case { queue, works: false, first: None, opts, failures: 0, end };
    let force = json!({"force": true});
    [
        Case {
            works: true,
            failures: 1,
            ..case(
                "backed-off",
                json!({"attempts": 2, "backoff": {"type": "fixed", "delay": an_hour}}),
                End::Done,
            )
        },
        case("waiting", json!({}), End::Remove),
        case("prioritized", json!({"priority": 5}), End::Queue("drain", json!([]))),
        case("delayed", json!({"delay": an_hour}), End::Queue("drain", json!([true]))),
        case("obliterated", json!({}), End::Queue("obliterate", json!([force]))),
        Case { first: Some("pause"), ..case("paused", json!({}), End::Queue("drain", json!([]))) },
        // A job of a flow, whose child is in a queue that no daemon reads.
        case("parent", json!({}), End::Remove),
    ]
}

impl Queues<'_> {
    async fn waits_daemon(&self) -> Result<Daemon> {
        let mut args = vec!["--outbox", "", "--lease", "600ms", "--sweep", "50ms"];
        let queues: Vec<String> =
            cases().iter().map(|case| format!("{}=WORKING", self.queue(case.queue))).collect();
        args.extend(queues.iter().flat_map(|queue| ["--bullmq", queue]));
        self.database.daemon(&args).await
    }

    async fn does(&self, queue: &str, request: Value) -> Result<()> {
        let (url, queue) = (self.servers.redis_url(), self.queue(queue));
        node::run(&["jobs.js", url, &queue, &request.to_string()]).await?;
        Ok(())
    }

    /// Begins the book's stage.
    async fn put_to_work(&self, book: Uuid) -> Result<()> {
        self.client
            .query("select from bindery.register_book($1, pipeline => 'waits')", &[&book])
            .await?;
        self.client.query("select from bindery.transition_book($1, 'WORKING')", &[&book]).await?;
        Ok(())
    }

    async fn health(&self, book: Uuid) -> Result<Value> {
        let query = "select bindery.get_book_status($1) -> 'health'";
        json(&self.client, query, &[&book]).await
    }

    async fn is_failed(&self, book: Uuid) -> Result<()> {
        let row = self.book(book, "the book to fail", |book| book["status"] == "FAILED").await?;
        ensure!(row["error"]["code"] == "stalled", "{row:#}");
        Ok(())
    }

    /// Waits until every book without reports would have stalled by now.
    async fn all_would_have_stalled(&self) -> Result<()> {
        // A book that begins now and gets no reports stalls.
        let book = Uuid::new_v4();
        self.put_to_work(book).await?;
        self.is_failed(book).await
    }
}

#[tokio::test]
async fn a_book_whose_job_waits_in_bullmq_never_stalls_until_the_job_is_removed() -> Result<()> {
    let on = Queues::start(Servers::shared().await?).await?;
    let definition = json!({"states": [{"name": "QUEUED"}, {"name": "WORKING", "weight": 1,
        "stall_after": "2 seconds"}, {"name": "DONE"}]});
    on.client.query("select bindery.define_pipeline('waits', $1)", &[&definition]).await?;
    let mut workers = Vec::new();
    let mut waiting = Vec::new();
    let mut daemon = on.waits_daemon().await?;
    for case in cases() {
        if let Some(first) = case.first {
            on.does(case.queue, json!({"queue": first})).await?;
        }
        let book = Uuid::new_v4();
        let data = json!({"bookId": book, "failures": case.failures});
        let job = if case.queue == "parent" {
            let child = json!({"queue": on.queue("children"), "data": {}});
            let flow = json!({"queue": on.queue("parent"), "data": data, "children": [child]});
            on.begin(&[(Uuid::new_v4(), flow)]).await?;
            let key = format!("bull:{}:waiting-children", on.queue("parent"));
            let jobs: Vec<String> = on.servers.redis().await?.zrange(key, 0, -1).await?;
            jobs.first().context("no parent waits")?.clone()
        } else {
            on.add(case.queue, json!([{"data": data, "opts": case.opts}])).await?.remove(0)
        };
        on.put_to_work(book).await?;
        if case.works {
            workers.push(on.worker(case.queue).await?);
        }
        waiting.push((case, book, job));
    }
    for (case, book, _) in &waiting {
        eventually(SOON, &format!("{} to be waiting", case.queue), async || {
            let health = on.health(*book).await?;
            if health == "waiting" { Ok(()) } else { Err(anyhow!("{health}")) }
        })
        .await?;
    }
    let all_wait = async |when: &str| -> Result<()> {
        on.all_would_have_stalled().await?;
        for (case, book, _) in &waiting {
            let row = book_row(&on.client, *book).await?;
            ensure!(
                row["status"] == "WORKING" && row["attempt"] == 1,
                "{} {when}: {row:#}",
                case.queue
            );
            ensure!(on.health(*book).await? == "waiting", "{} {when}", case.queue);
        }
        Ok(())
    };
    all_wait("at first").await?;
    daemon.sigkill().await?;
    let _daemon = on.waits_daemon().await?;
    all_wait("with another daemon").await?;

    for (case, book, job) in &waiting {
        match &case.end {
            End::Queue(does, args) => {
                on.does(case.queue, json!({"queue": does, "args": args})).await?;
            }
            End::Remove => on.does(case.queue, json!({"job": job, "does": "remove"})).await?,
            End::Done => on.does(case.queue, json!({"job": job, "does": "promote"})).await?,
        }
        if matches!(case.end, End::Done) {
            on.book(*book, "the job to be done", |book| book["stage_progress"] == 100).await?;
        } else {
            on.is_failed(*book).await.with_context(|| case.queue)?;
        }
    }
    eventually(SOON, "no book to be waiting", async || {
        let query = "select to_jsonb(count(*)) from bindery_internal.waiting_books";
        let books = json(&on.client, query, &[]).await?;
        if books == 0 { Ok(()) } else { Err(anyhow!("{books}")) }
    })
    .await
}
