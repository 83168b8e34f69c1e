//! The worker of docs/events.md ("The way back") in Rust, for the end-to-end tests:
//! `worker REDIS_URL`.
//!
//! It has the stages of tests/bridges/stages.js and prints the same lines. At the unit `WAITS_AT`
//! (`substep:unit`, or `*` for each one) it waits for an item of the list `WAITS_FOR`.

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{AsyncConnectionConfig, Client};
use serde_json::{Value, json};

const EVENTS: &str = "bindery:events";
const CHANGES: &str = "bindery:changes";
const GROUP: &str = "workers";
const UNITS: u64 = 3;

/// A stage's substeps, and the state that follows it.
type Stage = (&'static [&'static str], &'static str);

fn stage(name: &str) -> Option<Stage> {
    Some(match name {
        "ANALYZING" => {
            (&["extract_text", "detect_chapters", "analyze_characters"], "GENERATING_SCENES")
        }
        "GENERATING_SCENES" => (&["split_scenes", "write_prompts"], "CREATING_ARTWORK"),
        "CREATING_ARTWORK" => (&["page_1", "page_2", "page_3"], "COMPLETED"),
        _ => return None,
    })
}

struct Worker {
    /// For commands that do not block.
    redis: MultiplexedConnection,
    /// For commands that block.
    waiting: MultiplexedConnection,
    waits_at: String,
    waits_for: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).context("usage: worker REDIS_URL")?;
    let client = Client::open(url)?;
    let patient =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let worker = Worker {
        redis: client.get_multiplexed_async_connection_with_config(&patient).await?,
        waiting: client.get_multiplexed_async_connection_with_config(&patient).await?,
        waits_at: std::env::var("WAITS_AT").unwrap_or_default(),
        waits_for: std::env::var("WAITS_FOR").unwrap_or_default(),
    };
    worker.run().await
}

impl Worker {
    async fn run(mut self) -> Result<()> {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(CHANGES).arg(GROUP).arg("0").arg("MKSTREAM");
        match create.query_async::<()>(&mut self.redis).await {
            Err(error) if error.code() != Some("BUSYGROUP") => return Err(error.into()),
            _ => {}
        }
        loop {
            let mut read = redis::cmd("XREADGROUP");
            read.arg("GROUP").arg(GROUP).arg("any").arg("COUNT").arg(1).arg("BLOCK").arg(5000);
            read.arg("NOACK").arg("STREAMS").arg(CHANGES).arg(">");
            let reply: Option<StreamReadReply> = read.query_async(&mut self.waiting).await?;
            for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                let id: String = entry.get("id").context("a message without id")?;
                let payload: String = entry.get("payload").context("a message without payload")?;
                let message: Value = serde_json::from_str(&payload)?;
                if let Some(stage) = message["to_status"].as_str().and_then(stage)
                    && self.is_first(&id).await?
                {
                    self.work_through(&message, stage).await?;
                }
            }
        }
    }

    /// Whether this message's id is new to all workers.
    async fn is_first(&mut self, id: &str) -> Result<bool> {
        let claim = format!("worked:{id}");
        let mut set = redis::cmd("SET");
        set.arg(claim).arg(1).arg("EX").arg(86_400).arg("NX");
        Ok(set.query_async::<Option<String>>(&mut self.redis).await?.is_some())
    }

    async fn work_through(&mut self, message: &Value, (substeps, next): Stage) -> Result<()> {
        let book = message["book_id"].as_str().context("no book_id")?;
        let stage = message["to_status"].as_str().context("no stage")?;
        let attempt = message["attempt"].to_string();
        let point = &message["resume_point"];
        let names: Vec<Value> = substeps.iter().map(|name| json!({"substep": name})).collect();
        let plan = [
            ("type", "plan"),
            ("book_id", book),
            ("stage", stage),
            ("substeps", &json!(names).to_string()),
        ];
        self.send(&plan).await?;
        let is_done = |substep: &str| {
            point["done"].as_array().is_some_and(|done| done.contains(&json!(substep)))
        };
        for substep in substeps.iter().filter(|substep| !is_done(substep)) {
            let left = point["left"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|known| known["substep"] == *substep);
            let from = left.and_then(|known| known["checkpoint"]["units"].as_u64()).unwrap_or(0);
            for unit in from..UNITS {
                self.work(book, stage, substep, unit).await?;
                let (done, total) = ((unit + 1).to_string(), UNITS.to_string());
                let checkpoint = json!({"units": unit + 1}).to_string();
                let report = [
                    ("type", "progress"),
                    ("book_id", book),
                    ("stage", stage),
                    ("substep", substep),
                ];
                let count = [
                    ("done", &*done),
                    ("total", &total),
                    ("checkpoint", &checkpoint),
                    ("attempt", &attempt),
                ];
                self.send(&[report, count].concat()).await?;
            }
        }
        self.send(&[
            ("type", "transition"),
            ("book_id", book),
            ("to_status", next),
            ("attempt", &attempt),
        ])
        .await
    }

    /// One unit of work.
    async fn work(&mut self, book: &str, stage: &str, substep: &str, unit: u64) -> Result<()> {
        println!("works {book} {stage} {substep} {unit}");
        if self.waits_at == "*" || self.waits_at == format!("{substep}:{unit}") {
            redis::cmd("BLPOP")
                .arg(&self.waits_for)
                .arg(0)
                .query_async::<redis::Value>(&mut self.waiting)
                .await?;
        }
        Ok(())
    }

    async fn send(&mut self, event: &[(&str, &str)]) -> Result<()> {
        let mut add = redis::cmd("XADD");
        add.arg(EVENTS).arg("*");
        for (name, value) in event {
            add.arg(name).arg(value);
        }
        Ok(add.query_async::<()>(&mut self.redis).await?)
    }
}
