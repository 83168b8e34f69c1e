//! The commands for operators: publish, dead-letters, the configuration, the manual.

use std::collections::BTreeMap;
use std::process::Output;

use anyhow::{Context, Result};
use bindery_tests::{Daemon, Servers, run_binderyd};
use serde_json::{Value, json};

use crate::support::{applied_up_to, book_in, book_row, text};

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn publish_sends_an_event_that_the_relay_accepts_and_nothing_else() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let book = book_in(&client, &["ANALYZING"]).await?;
    let (id, stream) = (book.to_string(), database.stream());
    let ends =
        ["publish", "--redis-url", servers.redis_url(), "--to-stream", stream, "--book-id", &id];
    let publish = async |more: &[&str]| run_binderyd(&[&ends, more].concat()).await;

    for (wrong, message) in [
        (
            &["--type", "progress", "--substep", "extract_text", "--progress", "140"][..],
            "nothing was sent",
        ),
        (&["--type", "heartbeat", "--to", "COMPLETED"], "has no to_status; leave it out"),
        (&["--type", "progress", "--done", "-1", "--total", "4"], "nothing was sent"),
    ] {
        let output = publish(wrong).await?;
        assert!(output.status.code() == Some(1) && text(&output).contains(message), "{output:?}");
    }
    let shown = publish(&["--type", "heartbeat", "--dry-run"]).await?;
    assert!(shown.status.success() && out(&shown).contains(&format!("book_id {id}")), "{shown:?}");
    let mut redis = servers.redis().await?;
    let length: u64 = redis::cmd("XLEN").arg(stream).query_async(&mut redis).await?;
    assert_eq!(length, 0, "nothing was sent");

    let sent = publish(&[
        "--type",
        "progress",
        "--substep",
        "extract_text",
        "--progress",
        "40",
        "--checkpoint",
        "{\"page\": 7}",
    ])
    .await?;
    let entry = out(&sent).trim().to_owned();
    assert!(sent.status.success() && entry.contains('-'), "{sent:?}");
    let daemon = database.daemon(&["--outbox", "", "--sweep", "0"]).await?;
    applied_up_to(&client, stream, &entry).await?;
    assert_eq!(book_row(&client, book).await?["stage_progress"], json!(10));
    drop(daemon);
    let away = run_binderyd(&[
        "publish",
        "--redis-url",
        "redis://127.0.0.1:1/",
        "--book-id",
        &id,
        "--type",
        "heartbeat",
    ])
    .await?;
    assert!(away.status.code() == Some(1) && text(&away).contains("nothing was sent"), "{away:?}");
    Ok(())
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_replayed_and_dropped_only_when_confirmed() -> Result<()>
{
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let (stream, url) = (database.stream(), database.url());
    let later = uuid::Uuid::new_v4().to_string();
    let mut redis = servers.redis().await?;
    let register = [("type", "register"), ("book_id", later.as_str()), ("pipeline", "opera")];
    database.add(&mut redis, &register).await?;
    database.add(&mut redis, &[("type", "paint"), ("book_id", &later)]).await?;
    let last = database.add(&mut redis, &[("type", "heartbeat"), ("book_id", "seven")]).await?;
    let _daemon = database.daemon(&["--outbox", "", "--sweep", "0"]).await?;
    applied_up_to(&client, stream, &last).await?;
    let letters = async |words: &[&str]| {
        let (action, more) = words.split_first().context("an action")?;
        run_binderyd(&[&["dead-letters", action, "--database-url", url], more].concat()).await
    };

    let listed = letters(&["list", "--of-stream", stream, "--json"]).await?;
    let rows: Vec<Value> =
        out(&listed).lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let reasons: BTreeMap<_, _> =
        rows.iter().map(|row| (row["reason"].as_str().unwrap_or_default(), &row["id"])).collect();
    assert!(reasons.keys().eq(&["bad_uuid", "unknown_pipeline", "unknown_type"]), "{rows:?}");
    assert!(
        rows.windows(2).all(|pair| pair[0]["id"].as_i64() > pair[1]["id"].as_i64()),
        "the newest first: {rows:?}"
    );
    let number = reasons["unknown_pipeline"].to_string();
    assert!(out(&letters(&["list", "--reason", "unknown_pipeline"]).await?).contains(&later));
    let shown: Value = serde_json::from_str(&out(&letters(&["show", &number]).await?))?;
    assert_eq!(shown["payload"]["pipeline"], json!("opera"));
    let none = letters(&["show", "999999999"]).await?;
    assert!(none.status.code() == Some(1) && text(&none).contains("no dead letter"), "{none:?}");

    let unmeant = letters(&["replay"]).await?;
    assert!(unmeant.status.code() == Some(1) && text(&unmeant).contains("--all"), "{unmeant:?}");
    let define = r#"select bindery.define_pipeline('opera',
        '{"states": [{"name": "SINGING", "weight": 1}, {"name": "SUNG"}]}')"#;
    client.batch_execute(define).await?;
    // The other two are not events and stay.
    let replayed: Value = serde_json::from_str(&out(&letters(&["replay", "--all"]).await?))?;
    assert_eq!(replayed, json!({"applied": 1, "stale": 0, "rejected": 2}));
    let status = book_row(&client, later.parse()?).await?["status"].clone();
    assert_eq!(status, json!("SINGING"));

    let counted = letters(&["drop", "--reason", "bad_uuid"]).await?;
    assert!(
        counted.status.code() == Some(1)
            && text(&counted).contains("1 dead letters would be dropped"),
        "{counted:?}"
    );
    assert_eq!(
        out(&letters(&["drop", "--reason", "bad_uuid", "--yes"]).await?).trim(),
        "{\"dropped\":1}"
    );
    assert_eq!(out(&letters(&["drop", "--all", "--yes"]).await?).trim(), "{\"dropped\":1}");
    assert_eq!(out(&letters(&["list"]).await?), "");
    Ok(())
}

#[tokio::test]
async fn the_books_of_simulate_end_as_it_prints() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let stream = database.stream();
    let _daemon = database.daemon(&["--outbox", "", "--sweep", "0"]).await?;
    let mut args = vec![
        "simulate",
        "--redis-url",
        servers.redis_url(),
        "--to-stream",
        stream,
        "--books",
        "40",
        "--rate",
        "0",
    ];
    for (fault, percent) in [
        ("duplicates", "5"),
        ("out-of-order", "5"),
        ("bad", "5"),
        ("crashes", "30"),
        ("silent", "20"),
    ] {
        args.extend([["--", fault].concat().leak(), percent]);
    }
    let output = run_binderyd(&args).await?;
    assert!(output.status.success(), "{output:?}");
    let counts: Value = serde_json::from_str(&out(&output))?;
    let mut redis = servers.redis().await?;
    let newest: Vec<(String, Vec<String>)> = redis::cmd("XREVRANGE")
        .arg(stream)
        .arg(&["+", "-", "COUNT", "1"])
        .query_async(&mut redis)
        .await?;
    let cursor = applied_up_to(&client, stream, &newest[0].0).await?;
    assert_eq!(
        (json!(cursor.counts.all()), json!(cursor.counts.rejected)),
        (counts["events"].clone(), counts["bad"].clone())
    );
    let row = client
        .query_one(
            "select count(*), count(completed_at), count(*) filter (
               where status in ('ANALYZING', 'GENERATING_SCENES', 'CREATING_ARTWORK')),
             (select count(*) from bindery.book_events where kind = 'fail'),
             (select count(*) from bindery.book_events where kind = 'resume')
             from bindery.book_status",
            &[],
        )
        .await?;
    for (column, name) in
        ["books", "completed", "silent", "crashes", "crashes"].into_iter().enumerate()
    {
        assert_eq!(json!(row.get::<_, i64>(column)), counts[name], "{name}: {counts}");
    }
    Ok(())
}

#[tokio::test]
async fn every_fault_of_the_configuration_is_listed_and_no_secret_is_shown() -> Result<()> {
    let servers = Servers::shared().await?;
    let file = servers.new_file("binderyd.toml");
    std::fs::write(&file, "redis-url = \"http://u:hush@h/\"\nmax-batch = 0\nlingr = \"1ms\"\n")?;
    let path = file.to_str().context("a path of text")?;
    let output =
        run_binderyd(&["run", "--config", path, "--lease", "never", "--http", "here"]).await?;
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    for part in [
        "6 faults",
        "redis-url: ",
        "max-batch: ",
        "did you mean \"linger\"?",
        "--lease: ",
        "--http: ",
        "database-url is missing",
    ] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert!(!printed.contains("hush"), "{printed}");
    std::fs::write(
        &file,
        "redis-url = \"redis://u:hush@h/\"\ndatabase-url = \"postgresql://u:hush@h/d\"\n\
         stream = [\"a\", \"b\"]\n",
    )?;
    let output = run_binderyd(&["run", "--config", path, "--print-config"]).await?;
    assert!(
        output.status.success() && out(&output).contains("stream = [\"a\", \"b\"]  # file"),
        "{output:?}"
    );
    assert!(!text(&output).contains("hush"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn the_daemon_runs_with_a_configuration_file_alone() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let file = servers.new_file("run.toml");
    std::fs::write(
        &file,
        format!("stream = \"{0}-a,{0}-b\"\noutbox = \"\"\nsweep = 0\n", database.stream()),
    )?;
    let args = ["--config", file.to_str().context("a path of text")?];
    let daemon = Daemon::spawn(servers, database.url(), &args)?;
    daemon.ready().await?;
    let metrics = daemon.get("/metrics").await?.body;
    for stream in ["a", "b"] {
        let label = format!("stream=\"{}-{stream}\"", database.stream());
        assert!(metrics.contains(&label), "{label} is not in {metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn completions_and_manual_pages_have_every_command() -> Result<()> {
    let commands =
        ["run", "migrate", "migration", "doctor", "watch", "publish", "dead-letters", "simulate"];
    for shell in ["bash", "zsh", "fish"] {
        let printed = out(&run_binderyd(&["completions", shell]).await?);
        commands
            .iter()
            .for_each(|command| assert!(printed.contains(command), "{shell}: {command}"));
    }
    let folder = Servers::shared().await?.new_file("man");
    let output = run_binderyd(&["man", folder.to_str().context("a path of text")?]).await?;
    assert!(output.status.success(), "{output:?}");
    for command in commands {
        let page = std::fs::read_to_string(folder.join(format!("binderyd-{command}.1")))?;
        assert!(page.contains(".SH") && page.contains(command), "{command}");
    }
    assert!(out(&run_binderyd(&["man"]).await?).contains("binderyd"));
    Ok(())
}
