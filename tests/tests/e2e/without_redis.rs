//! `binderyd run` without Redis: HTTP, the sweeper and broadcasts continue; nothing is relayed.

use anyhow::{Result, anyhow, ensure};
use bindery_tests::{Daemon, Servers, eventually, run_binderyd};
use serde_json::json;
use uuid::Uuid;

use crate::support::{SOON, book_in};

#[tokio::test]
async fn without_redis_books_are_served_and_swept() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let definition = json!({"states": [
        {"name": "WORKING", "weight": 1, "stall_after": "1 second", "max_attempts": 1},
        {"name": "DONE"},
    ]});
    client.query("select bindery.define_pipeline('hasty', $1)", &[&definition]).await?;
    let silent = Uuid::new_v4();
    client.query("select from bindery.register_book($1, pipeline => 'hasty')", &[&silent]).await?;
    let book = book_in(&client, &["ANALYZING"]).await?;

    let daemon = Daemon::without_redis(&servers, database.url(), &["--sweep", "100ms"])?;
    daemon.ready().await?;
    eventually(SOON, "the silent book to be failed", async || {
        let status = format!("/api/books/{silent}/status");
        let answer = daemon.ask("GET", &status).answer().await?.json()?;
        if answer["status"] == "FAILED" { Ok(()) } else { Err(anyhow!("{answer}")) }
    })
    .await?;
    let ready = daemon.get("/readyz").await?;
    ensure!(ready.body.contains("\"streams\":{}"), "{ready:?}");

    // Postgres stops and starts again.
    servers.stop_postgres().await?;
    eventually(SOON, "/readyz to report that Postgres is away", async || {
        match daemon.get("/readyz").await?.status {
            503 => Ok(()),
            other => Err(anyhow!("{other}")),
        }
    })
    .await?;
    servers.start_postgres().await?;
    daemon.ready().await?;
    let cancel = format!("/api/books/{book}/cancel");
    let cancelled = daemon.ask("POST", &cancel).json(&json!({})).answer().await?;
    ensure!(cancelled.status == 200, "{}", cancelled.body);

    let doctor = run_binderyd(&["doctor", "--database-url", database.url()]).await?;
    let printed = String::from_utf8_lossy(&doctor.stdout).into_owned();
    ensure!(printed.contains("nothing is relayed or published"), "{printed}");
    Ok(())
}
