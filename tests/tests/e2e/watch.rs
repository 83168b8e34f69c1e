//! `binderyd watch` where there is no terminal: one line a change.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Database, Servers, binderyd};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{SOON, transition};

struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(database: &Database<'_>, args: &[&str]) -> Result<Watch> {
        let mut child = Command::new(binderyd()?)
            .args(["watch", "--database-url", database.url()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        Ok(Watch { child, lines })
    }

    /// Reads on to the first line that holds all of these texts.
    async fn until(&mut self, texts: &[&str]) -> Result<String> {
        let mut read = Vec::new();
        loop {
            let line = timeout(SOON, self.lines.next_line()).await;
            let line = line.with_context(|| format!("no line with {texts:?} came, but {read:#?}"))??;
            let line = line.with_context(|| format!("it ended without a line with {texts:?}: {read:#?}"))?;
            if texts.iter().all(|text| line.contains(text)) {
                return Ok(line);
            }
            read.push(line);
        }
    }
}

async fn register(client: &Client, title: &str) -> Result<Uuid> {
    let book = Uuid::new_v4();
    client.query("select from bindery.register_book($1, title => $2)", &[&book, &title]).await?;
    Ok(book)
}

#[tokio::test]
async fn prints_each_change_and_ends_when_every_book_is_done() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let over = register(&client, "Long Over").await?;
    transition(&client, over, "CANCELLED").await?;
    let (tide, fog) = (register(&client, "The Tide").await?, register(&client, "Fog\n\tBank").await?);
    let mut watch = Watch::start(&database, &["--until-done"])?;
    watch.until(&["The Tide", "0.00 %", "UPLOADED"]).await?;
    transition(&client, tide, "ANALYZING").await?;
    let report = "select from bindery.report_progress($1, 'analyze_characters', done => 3, total => 4)";
    client.query(report, &[&tide]).await?;
    let line = watch.until(&["The Tide", "7.50 %", "ANALYZING"]).await?;
    assert!(line.contains("3/4"), "{line}");
    transition(&client, fog, "CANCELLED").await?;
    let line = watch.until(&["Fog", "CANCELLED"]).await?;
    assert!(!line.chars().any(char::is_control), "{line:?}");
    for to in ["GENERATING_SCENES", "CREATING_ARTWORK"] {
        transition(&client, tide, to).await?;
        watch.until(&["The Tide", to]).await?;
    }
    assert!(watch.child.try_wait()?.is_none(), "a book is still being made");
    transition(&client, tide, "COMPLETED").await?;
    watch.until(&["The Tide", "100.00 %", "COMPLETED"]).await?;
    while let Some(line) = timeout(SOON, watch.lines.next_line()).await?? {
        ensure!(!line.contains("Long Over"), "what was over before is no news: {line}");
    }
    let status = timeout(SOON, watch.child.wait()).await??;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn without_until_done_it_goes_on() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let first = register(&client, "First").await?;
    let mut watch = Watch::start(&database, &[])?;
    watch.until(&["First", "UPLOADED"]).await?;
    transition(&client, first, "CANCELLED").await?;
    watch.until(&["First", "CANCELLED"]).await?;
    register(&client, "Second").await?;
    watch.until(&["Second", "UPLOADED"]).await?;
    assert!(watch.child.try_wait()?.is_none());
    Ok(())
}
