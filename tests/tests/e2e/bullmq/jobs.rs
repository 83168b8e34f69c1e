//! The job that an id names, and the size of a job's data.

use std::fs;

use super::*;

/// A job: its id, the number of its book, its substep, and further options.
struct Given(&'static str, Option<usize>, &'static str, Value);

/// Jobs that one worker processes one after the other, each removed when it is done.
fn cases() -> Vec<(&'static str, Vec<Given>)> {
    let none = || json!({});
    vec![
        (
            "an id is used again for another book",
            vec![
                Given("current", Some(0), "page_1", none()),
                Given("current", Some(1), "page_1", none()),
                Given("current", Some(0), "page_2", none()),
            ],
        ),
        (
            "an id is used again for another substep of the book",
            vec![
                Given("render", Some(0), "page_3", none()),
                Given("render", Some(0), "page_4", none()),
            ],
        ),
        (
            "a job has a book only when it is added again",
            vec![
                Given("late", None, "page_5", none()),
                Given("late", Some(1), "page_5", none()),
                Given("late", None, "page_6", none()),
            ],
        ),
        (
            "an id is used again for a job with a priority and for one with a delay",
            vec![
                Given("mixed", Some(0), "page_7", json!({"priority": 3})),
                Given("mixed", Some(1), "page_7", json!({"delay": 1})),
                Given("mixed", Some(0), "page_8", json!({"lifo": true})),
            ],
        ),
    ]
}

#[tokio::test]
async fn an_event_counts_for_the_book_of_its_job_though_another_job_had_the_same_id() -> Result<()>
{
    for sandboxed in [false, true] {
        let mut on = Queues::start(Servers::shared().await?).await?;
        let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
        let environment: &[_] = if sandboxed { &[("SANDBOXED", "1")] } else { &[] };
        let _worker = on.worker_with("draw", environment).await?;
        let mut books = Vec::new();
        for _ in 0..2 {
            books.push(book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?);
        }
        let (mut expected, mut without_book) = ([json!({}), json!({})], 0);
        for (case, jobs) in cases() {
            for Given(id, book, substep, opts) in jobs {
                let mut data = json!({"substep": substep, "waits": on.mark, "steps": [40]});
                let mut opts = opts;
                (opts["jobId"], opts["removeOnComplete"]) = (json!(id), json!(true));
                if let Some(book) = book {
                    data["bookId"] = json!(books[book]);
                    expected[book][substep] = json!(100);
                } else {
                    without_book += 1;
                }
                on.add("draw", json!([{"data": data, "opts": opts}])).await?;
                on.progress_applied("draw").await?;
                let _: i64 = on.redis.lpush(&on.mark, 1).await?;
                on.until_removed("draw", id).await?;
                on.applied("draw").await?;
                for (book, expected) in books.iter().zip(&expected) {
                    let found = on.substeps(*book, "CREATING_ARTWORK").await?;
                    assert_eq!(found, *expected, "{case}, {substep}, sandboxed: {sandboxed}");
                }
            }
        }
        let letters = on.dead_letters().await?;
        assert_eq!(letters.as_array().map(Vec::len), Some(without_book), "{letters:#}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_removed_job_did_without_a_daemon_is_not_credited_to_the_next_job_with_its_id()
-> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let _worker = on.worker("draw").await?;
    let (lost, kept) = (
        book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?,
        book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?,
    );
    let job = |book: Uuid, gone: bool| {
        json!([{"data": {"bookId": book, "steps": [10]},
            "opts": {"jobId": "current", "removeOnComplete": gone}}])
    };
    on.add("draw", job(lost, true)).await?;
    on.until_removed("draw", "current").await?;
    // More than one read of the relay, so that the two jobs are in different reads.
    let others: Vec<Value> =
        (0..300).map(|_| json!({"data": {"bookId": kept, "substep": "others"}})).collect();
    on.add("draw", json!(others)).await?;
    on.add("draw", job(kept, false)).await?;
    eventually(SOON, "every job to be done", async || {
        let names = on.event_names("draw").await?;
        let done = names.iter().filter(|name| *name == "completed").count();
        if done == 302 { Ok(()) } else { Err(anyhow!("{done}")) }
    })
    .await?;
    let _daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    on.book(kept, "its jobs to be credited", |book| book["stage_progress"] == 100).await?;
    on.applied("draw").await?;
    assert_eq!(book_row(&on.client, lost).await?["status"], "GENERATING_SCENES");
    assert_eq!(on.substeps(kept, "CREATING_ARTWORK").await?, json!({"all": 100, "others": 100}));
    let letters = on.dead_letters().await?;
    let [letter] = &letters.as_array().context("no list")?[..] else {
        return Err(anyhow!("{letters:#}"));
    };
    ensure!(
        letter["payload"]["job_id"] == "current"
            && letter["message"].to_string().contains("removeOnComplete"),
        "{letter:#}"
    );
    Ok(())
}

#[tokio::test]
async fn the_data_of_fifty_jobs_of_8_mb_is_read_in_less_than_64_mb() -> Result<()> {
    let mut on = Queues::start(Servers::shared().await?).await?;
    let book = book_in(&on.client, &["ANALYZING", "GENERATING_SCENES"]).await?;
    let page = |number: usize| {
        let data = json!({"bookId": book, "substep": format!("page_{number}")});
        json!({"data": data, "pad": 8 * 1024 * 1024, "opts": {"removeOnComplete": true}})
    };
    let jobs: Vec<Value> = (0..50).map(page).collect();
    on.add("draw", json!(jobs)).await?;
    let daemon = on.daemon(&[("draw", "CREATING_ARTWORK")]).await?;
    on.applied("draw").await?;
    let _worker = on.worker("draw").await?;
    on.book(book, "every page to be drawn", |book| book["substeps_done"] == 50).await?;
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid().context("no pid")?))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").trim().parse()?;
    ensure!(peak < 64 * 1024, "{peak} kB");
    on.all_settled(&["draw"]).await
}
