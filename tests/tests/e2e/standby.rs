//! `binderyd serve` at a hot standby reads everything and writes nothing, continues when the
//! standby is promoted, and needs few rights.

use anyhow::{Result, anyhow, ensure};
use bindery_tests::{Daemon, Replica, Servers, eventually};
use serde_json::{Value, json};

use crate::support::{SOON, book_in, transition};

#[tokio::test]
async fn serve_reads_from_a_hot_standby_and_continues_when_it_is_promoted() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let book = book_in(&client, &["ANALYZING"]).await?;
    let replica = Replica::start(servers.database_url(), None).await?;
    let name = database.url().rsplit('/').next().unwrap_or_default().to_owned();
    let daemon = Daemon::serve(&servers, &replica.url_of(&name))?;
    daemon.ready().await?;

    let status = format!("/api/books/{book}/status");
    let mut events = daemon.ask("GET", &format!("/api/books/{book}/events")).stream().await?;
    eventually(SOON, "the book to be read", async || {
        let answer = daemon.ask("GET", &status).answer().await?;
        if answer.status == 200 && answer.json()?["current_stage"] == "ANALYZING" {
            Ok(())
        } else {
            Err(anyhow!("{} {}", answer.status, answer.body))
        }
    })
    .await?;
    let about = daemon.ask("GET", "/api").answer().await?.json()?;
    ensure!(about["hears"] == json!(false), "{about}");

    // A change on the primary arrives here.
    transition(&client, book, "GENERATING_SCENES").await?;
    events.until(|event| event.id == Some(3)).await?;

    let cancel = format!("/api/books/{book}/cancel");
    let refused = daemon.ask("POST", &cancel).json(&json!({})).answer().await?;
    ensure!(refused.refusal()? == (405, "25006".to_owned()), "{}", refused.body);
    ensure!(refused.json()?["hint"] == "Send it to a daemon at the primary.", "{}", refused.body);

    servers.kill9_postgres().await?;
    replica.promote().await?;
    let cancelled = eventually(SOON, "the book to be cancelled", async || {
        let answer = daemon.ask("POST", &cancel).json(&json!({})).answer().await?;
        if answer.status == 200 { Ok(answer) } else { Err(anyhow!("{}", answer.body)) }
    })
    .await?;
    ensure!(cancelled.json()?["status"] == "CANCELLED", "{}", cancelled.body);
    events.until(|event| event.id == Some(4)).await?;
    Ok(())
}

/// Like Supabase's `authenticator`, which has its rights only through other roles.
#[tokio::test]
async fn serve_needs_no_rights_but_to_become_its_callers_roles() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "create role reader login noinherit in role anon, authenticated, service_role",
        )
        .await?;
    let url = database.url().replacen("postgres@", "reader@", 1);
    let daemon = Daemon::serve(&servers, &url)?;
    daemon.ready().await?;
    eventually(SOON, "notifications to be received", async || {
        let about = daemon.ask("GET", "/api").answer().await?.json()?;
        if about["hears"] == json!(true) { Ok(()) } else { Err(anyhow!("{about}")) }
    })
    .await?;
    let book = book_in(&client, &["ANALYZING"]).await?;
    let answer = daemon.ask("GET", &format!("/api/books/{book}/status")).answer().await?;
    ensure!(answer.status == 200, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn serve_is_not_ready_while_postgres_is_away() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let daemon = Daemon::serve(&servers, database.url())?;
    daemon.ready().await?;
    servers.stop_postgres().await?;
    eventually(SOON, "it to report that", async || {
        let answer = daemon.get("/readyz").await?;
        let problem = serde_json::from_str::<Value>(&answer.body)?["database"]["problem"].clone();
        if answer.status == 503 && problem.is_string() { Ok(()) } else { Err(anyhow!("{problem}")) }
    })
    .await?;
    servers.start_postgres().await?;
    daemon.ready().await
}
