//! `binderyd watch`: one line per change without a terminal, and the screen in a terminal of any
//! size.

use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Database, Servers, binderyd, eventually};
use portable_pty::{CommandBuilder, PtyPair, PtySize, native_pty_system};
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
        Self::start_at(database.url(), args)
    }

    fn start_at(database_url: &str, args: &[&str]) -> Result<Watch> {
        let mut child = Command::new(binderyd()?)
            .args(["watch", "--database-url", database_url])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        Ok(Watch { child, lines })
    }

    /// Reads up to the first line that contains all of these texts.
    async fn until(&mut self, texts: &[&str]) -> Result<String> {
        let mut read = Vec::new();
        loop {
            let line = timeout(SOON, self.lines.next_line()).await;
            let line =
                line.with_context(|| format!("no line with {texts:?} came, but {read:#?}"))??;
            let line =
                line.with_context(|| format!("it ended without a line with {texts:?}: {read:#?}"))?;
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
async fn watch_prints_each_change_and_ends_when_every_book_is_done() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let over = register(&client, "Long Over").await?;
    transition(&client, over, "CANCELLED").await?;
    let (tide, fog) =
        (register(&client, "The Tide").await?, register(&client, "Fog\n\tBank").await?);
    let mut watch = Watch::start(&database, &["--until-done"])?;
    watch.until(&["The Tide", "0.00 %", "Uploaded"]).await?;
    transition(&client, tide, "ANALYZING").await?;
    let report =
        "select from bindery.report_progress($1, 'analyze_characters', done => 3, total => 4)";
    client.query(report, &[&tide]).await?;
    let line = watch.until(&["The Tide", "7.50 %", "Reading the book"]).await?;
    assert!(line.contains("3/4"), "{line}");
    transition(&client, fog, "CANCELLED").await?;
    let line = watch.until(&["Fog", "CANCELLED at Uploaded"]).await?;
    assert!(!line.chars().any(char::is_control), "{line:?}");
    for (to, label) in [("GENERATING_SCENES", "Cutting scenes"), ("CREATING_ARTWORK", "Drawing")] {
        transition(&client, tide, to).await?;
        watch.until(&["The Tide", label]).await?;
    }
    client.query("select from bindery.fail_book($1, message => 'out of ink')", &[&tide]).await?;
    watch.until(&["The Tide", "FAILED at Drawing: out of ink"]).await?;
    client.query("select from bindery.resume_book($1)", &[&tide]).await?;
    watch.until(&["The Tide", "Drawing, attempt 2"]).await?;
    assert!(watch.child.try_wait()?.is_none(), "a book is still being made");
    transition(&client, tide, "COMPLETED").await?;
    watch.until(&["The Tide", "100.00 %", "Completed"]).await?;
    while let Some(line) = timeout(SOON, watch.lines.next_line()).await?? {
        ensure!(!line.contains("Long Over"), "what was over before is no news: {line}");
    }
    let status = timeout(SOON, watch.child.wait()).await??;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

/// The role has the rights of a signed-in user, and none on the underlying tables.
#[tokio::test]
async fn watch_shows_a_user_its_own_books() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let (owner, login) = (Uuid::new_v4(), format!("user_{}", Uuid::new_v4().simple()));
    client
        .batch_execute(&format!(
            "create role {login} login in role authenticated;
             alter role {login} set request.jwt.claims = '{{\"sub\": \"{owner}\"}}';
             select bindery.register_book(gen_random_uuid(), '{owner}', title => 'The Tide')"
        ))
        .await?;
    let url = database.url().replacen("postgres@", &format!("{login}@"), 1);
    ensure!(url != database.url(), "{url}");
    let mut watch = Watch::start_at(&url, &[])?;
    watch.until(&["The Tide", "0.00 %", "Uploaded"]).await?;
    Ok(())
}

#[tokio::test]
async fn watch_without_until_done_does_not_end() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let first = register(&client, "First").await?;
    let mut watch = Watch::start(&database, &[])?;
    watch.until(&["First", "Uploaded"]).await?;
    transition(&client, first, "CANCELLED").await?;
    watch.until(&["First", "CANCELLED"]).await?;
    register(&client, "Second").await?;
    watch.until(&["Second", "Uploaded"]).await?;
    assert!(watch.child.try_wait()?.is_none());
    Ok(())
}

/// An own terminal and its screen.
struct Terminal {
    pair: PtyPair,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
}

fn locked(screen: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Terminal {
    fn start(database: &Database<'_>, size: PtySize) -> Result<Terminal> {
        let pair = native_pty_system().openpty(size)?;
        let mut command = CommandBuilder::new(binderyd()?);
        command.args(["watch", "--database-url", database.url()]);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command)?;
        let keys = pair.master.take_writer()?;
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size.rows, size.cols, 0)));
        let (mut reader, parser) = (pair.master.try_clone_reader()?, Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                locked(&parser).process(&bytes[..read]);
            }
        });
        Ok(Terminal { pair, child, keys, screen })
    }

    async fn shows(&self, what: &str, is: impl Fn(&vt100::Screen) -> bool) -> Result<()> {
        eventually(SOON, what, async || {
            let parser = locked(&self.screen);
            if is(parser.screen()) {
                Ok(())
            } else {
                Err(anyhow!("{}", parser.screen().contents()))
            }
        })
        .await
    }

    fn resize(&self, size: PtySize) -> Result<()> {
        locked(&self.screen).screen_mut().set_size(size.rows, size.cols);
        self.pair.master.resize(size)
    }
}

const fn size(rows: u16, cols: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

#[tokio::test]
async fn in_a_terminal_watch_follows_size_filter_and_changes_and_restores_it() -> Result<()> {
    let database = Servers::shared().await?.database().await?;
    let client = database.connect().await?;
    let tide = register(&client, "The Tide").await?;
    register(&client, "Fog").await?;
    let mut terminal = Terminal::start(&database, size(12, 110))?;
    let has = |words: &'static [&str]| {
        move |screen: &vt100::Screen| words.iter().all(|word| screen.contents().contains(word))
    };
    terminal
        .shows(
            "both books, with room",
            has(&["2 at work", "The Tide", "Fog", "Uploaded", "q quit"]),
        )
        .await?;
    assert!(locked(&terminal.screen).screen().alternate_screen());
    transition(&client, tide, "ANALYZING").await?;
    terminal.shows("the change", has(&["The Tide", "Reading the book"])).await?;
    terminal.resize(size(5, 50))?;
    let foot = |screen: &vt100::Screen| {
        screen.rows(0, 50).nth(4).is_some_and(|row| row.starts_with("/ filter"))
    };
    terminal.shows("the foot on the last line of the smaller terminal", foot).await?;
    terminal.keys.write_all(b"/tide\r")?;
    terminal
        .shows("only what fits", |screen| {
            screen.contents().contains("The Tide") && !screen.contents().contains("Fog")
        })
        .await?;
    terminal.keys.write_all(b"q")?;
    let status = eventually(SOON, "it to end", async || match terminal.child.try_wait()? {
        Some(status) => Ok(status),
        None => Err(anyhow!("it runs")),
    });
    assert_eq!(status.await?.exit_code(), 0);
    terminal
        .shows("the terminal given back, with the last lines", |screen| {
            !screen.alternate_screen() && screen.contents().contains("The Tide")
        })
        .await
}
