//! Channels of Redis Pub/Sub. A message that a subscribed daemon receives takes effect once and in
//! order, whichever daemon receives it. A message that no daemon receives is lost.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, anyhow, ensure};
use bindery_tests::{Daemon, Database, Fault, Node, Proxy, Servers, eventually, run_binderyd};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::faults::server;
use crate::support::{Counts, SOON, book_in, book_row, cursor, cursor_when, entries, json, text};

/// A lease that does not end early on a busy machine.
const LONG: &str = "60s";
/// A lease whose end a test waits for. It is long because a busy machine may delay a daemon for
/// seconds, and the lease must survive that.
const ENDING: &str = "20s";

/// A channel for one test, with its database, Redis connection and counts.
struct Channel<'a> {
    database: Database<'a>,
    client: Client,
    redis: MultiplexedConnection,
    name: String,
    /// How many times a subscriber received a message.
    received: usize,
    /// The message that was published last.
    last: String,
}

impl Channel<'_> {
    async fn new(servers: &Servers) -> Result<Channel<'_>> {
        let database = servers.database().await?;
        let client = database.connect().await?;
        let name = format!("books-{}", Uuid::new_v4().simple());
        Ok(Channel {
            database,
            client,
            redis: servers.redis().await?,
            name,
            received: 0,
            last: String::new(),
        })
    }

    fn stream(&self) -> String {
        format!("bindery:channel:{{{}}}", self.name)
    }

    fn args<'b>(&'b self, lease: &'b str) -> Vec<&'b str> {
        vec!["--channel", &self.name, "--lease", lease, "--outbox", ""]
    }

    async fn daemon(&self, lease: &str) -> Result<Daemon> {
        self.database.daemon(&self.args(lease)).await
    }

    /// Publishes a message; returns how many subscribers received it.
    async fn publish(&mut self, message: &[u8]) -> Result<usize> {
        let received: usize =
            redis::cmd("PUBLISH").arg(&self.name).arg(message).query_async(&mut self.redis).await?;
        self.received += received;
        Ok(received)
    }

    /// Publishes a heartbeat of this book that differs from all others; returns how many received
    /// it.
    async fn publish_one(&mut self, book: Uuid) -> Result<usize> {
        self.last = json!({"type": "heartbeat", "book_id": book, "at": Uuid::new_v4()}).to_string();
        self.publish(self.last.clone().as_bytes()).await
    }

    /// Waits until this many are subscribed.
    async fn until_subscribed(&self, by: usize) -> Result<()> {
        eventually(SOON, &format!("{by} to be subscribed"), async || {
            let subscribed = self.subscribed().await?;
            if subscribed == by { Ok(()) } else { Err(anyhow!("{subscribed}")) }
        })
        .await
    }

    /// The number of subscribers that Redis reports.
    async fn subscribed(&self) -> Result<usize> {
        let mut redis = self.redis.clone();
        let answer: (String, usize) =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(&self.name).query_async(&mut redis).await?;
        Ok(answer.1)
    }

    /// Whether a daemon is subscribed, as its `/readyz` reports.
    async fn is_subscribed(&self, daemon: &Daemon) -> Result<bool> {
        let answer: Value = serde_json::from_str(&daemon.get("/readyz").await?.body)?;
        answer["channels"][&self.name]["subscribed"].as_bool().with_context(|| answer.to_string())
    }

    /// The messages in the channel's stream.
    async fn kept(&mut self) -> Result<Vec<String>> {
        let stream = self.stream();
        let entries = entries(&mut self.redis, &stream).await?;
        let data = entries.into_iter().map(|(id, fields)| match &fields[..] {
            [(name, value)] if name == b"data" => Ok(String::from_utf8_lossy(value).into_owned()),
            _ => Err(anyhow!("{id}: {fields:?}")),
        });
        data.collect()
    }

    /// Waits until this many events of the channel are settled, and checks that its stream has no
    /// more.
    async fn settled(&mut self, events: usize) -> Result<Counts> {
        let (stream, wanted) = (self.stream(), i64::try_from(events)?);
        let what = format!("{events} events to be settled");
        let cursor =
            cursor_when(&self.client, &stream, &what, |cursor| cursor.counts.all() >= wanted)
                .await?;
        let kept = self.kept().await?.len();
        ensure!(
            cursor.counts.all() == wanted && kept == events,
            "{events}, {kept} are kept: {cursor:?}"
        );
        Ok(cursor.counts)
    }

    /// Waits until the last published message is kept, and all kept messages are settled.
    async fn caught_up(&mut self) -> Result<Vec<String>> {
        eventually(SOON, "the last message to be settled", async || {
            let (kept, stream) = (self.kept().await?, self.stream());
            let settled = cursor(&self.client, &stream).await?.counts.all();
            if kept.last() == Some(&self.last) && settled == i64::try_from(kept.len())? {
                Ok(kept)
            } else {
                Err(anyhow!("{settled} of {}", kept.len()))
            }
        })
        .await
    }

    /// The channel's values in a daemon's `/metrics`: messages, subscriptions lost, dropped,
    /// subscribed.
    async fn metrics(&self, daemon: &Daemon) -> Result<[f64; 4]> {
        let text = daemon.get("/metrics").await?.body;
        let series: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.rsplit_once(' ')).collect();
        let value = |name: &str| -> Result<f64> {
            let name = format!("bindery_channel_{name}{{channel=\"{}\"}}", self.name);
            Ok(series
                .get(name.as_str())
                .with_context(|| format!("no {name} in {text}"))?
                .parse()?)
        };
        Ok([
            value("messages_total")?,
            value("subscriptions_lost_total")?,
            value("dropped_messages_total")?,
            value("subscribed")?,
        ])
    }
}

#[allow(clippy::cast_precision_loss, reason = "a test has few messages")]
fn number(count: usize) -> f64 {
    count as f64
}

#[tokio::test]
async fn published_events_take_effect_in_order_and_a_message_that_is_no_event_is_rejected_alone()
-> Result<()> {
    let mut on = Channel::new(Servers::shared().await?).await?;
    let daemon = on.daemon(LONG).await?;
    on.until_subscribed(1).await?;
    let book = Uuid::new_v4();
    let event = |more: Value| {
        let mut event = json!({"book_id": book});
        for (name, value) in more.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event.to_string().into_bytes()
    };
    let progress = |substep: &str, message: &str| {
        event(json!({"type": "progress", "stage": "ANALYZING", "substep": substep,
                "progress": 100, "message": message}))
    };
    let sent = [
        event(json!({"type": "register", "title": "The Salt Clock"})),
        event(json!({"type": "transition", "to_status": "ANALYZING"})),
        b"ANALYZING is done".to_vec(),
        progress("extract_text", ""),
        b"\"\xff\"".to_vec(),
        progress("detect_chapters", &"x".repeat(400 * 1024)),
        progress("detect_chapters", "in three parts"),
        b"".to_vec(),
        b"[1]".to_vec(),
        progress("analyze_characters", ""),
        event(json!({"type": "transition", "to": "GENERATING_SCENES"})),
    ];
    for message in &sent {
        assert_eq!(on.publish(message).await?, 1);
    }
    let counts = on.settled(sent.len()).await?;
    assert_eq!(counts, Counts { applied: 6, rejected: 5, ..Counts::default() });
    let row = book_row(&on.client, book).await?;
    assert_eq!(
        (&row["status"], &row["title"]),
        (&json!("GENERATING_SCENES"), &json!("The Salt Clock"))
    );
    let query = "select jsonb_agg(e.to_status order by e.revision)
        from bindery.book_events e where e.book_id = $1";
    assert_eq!(
        json(&on.client, query, &[&book]).await?,
        json!(["UPLOADED", "ANALYZING", "GENERATING_SCENES"])
    );
    let query =
        "select jsonb_agg(d.reason order by d.id) from bindery.dead_letters d where d.stream = $1";
    let reasons = json(&on.client, query, &[&on.stream()]).await?;
    assert_eq!(
        reasons,
        json!(["bad_json", "wrong_type", "too_large", "missing_field", "wrong_type"])
    );
    // The kept messages equal the sent ones, except for the end of the message that is too large.
    for (kept, sent) in on.kept().await?.iter().zip(&sent) {
        assert!(
            sent.len() < 400 * 1024 && *kept == String::from_utf8_lossy(sent)
                || kept.len() == 256 * 1024
        );
    }
    assert_eq!(on.metrics(&daemon).await?, [number(sent.len()), 0.0, 0.0, 1.0]);
    daemon.logged("a channel is lossy").await?;
    assert_eq!(daemon.log().matches("a channel is lossy").count(), 1);
    Ok(())
}

#[tokio::test]
async fn of_two_daemons_one_is_subscribed_and_the_other_takes_over_when_it_stops_or_is_killed()
-> Result<()> {
    let mut on = Channel::new(Servers::shared().await?).await?;
    let mut daemons = vec![on.daemon(ENDING).await?, on.daemon(ENDING).await?];
    let book = book_in(&on.client, &["ANALYZING"]).await?;
    on.until_subscribed(1).await?;
    for _ in 0..100 {
        assert_eq!(on.publish_one(book).await?, 1, "one of the two");
    }
    on.settled(100).await?;

    // A daemon that stops: messages received up to its end count; messages that no daemon received
    // do not.
    for _ in 0..3 {
        let subscribed = usize::from(on.is_subscribed(&daemons[1]).await?);
        let mut leaving = daemons.remove(subscribed);
        leaving.signal("TERM").await?;
        let mut most = 0;
        eventually(SOON, "the other to be subscribed", async || {
            most = most.max(on.publish_one(book).await?);
            if on.is_subscribed(&daemons[0]).await? { Ok(()) } else { Err(anyhow!("it is not")) }
        })
        .await?;
        assert!(most <= 1, "never both at once");
        assert!(leaving.ended().await?.success());
        on.until_subscribed(1).await?;
        assert_eq!(on.publish_one(book).await?, 1);
        daemons.push(on.daemon(ENDING).await?);
    }
    on.settled(on.received).await?;

    // A daemon that is killed.
    let subscribed = usize::from(on.is_subscribed(&daemons[1]).await?);
    let mut killed = daemons.remove(subscribed);
    let (before, by_then) = (on.metrics(&daemons[0]).await?[0], on.received);
    killed.sigkill().await?;
    // Wait until Redis has noticed the end of the connection.
    eventually(SOON, "the killed one to be gone", async || {
        let (subscribers, other) = (on.subscribed().await?, on.is_subscribed(&daemons[0]).await?);
        if subscribers == usize::from(other) {
            Ok(())
        } else {
            Err(anyhow!("{subscribers} are subscribed"))
        }
    })
    .await?;
    eventually(SOON, "the other to be subscribed", async || {
        // Messages are lost until the other daemon is subscribed.
        on.publish_one(book).await?;
        if on.is_subscribed(&daemons[0]).await? { Ok(()) } else { Err(anyhow!("it is not")) }
    })
    .await?;
    for _ in 0..100 {
        assert_eq!(on.publish_one(book).await?, 1);
    }
    on.settled(on.received).await?;
    assert_eq!(
        on.metrics(&daemons[0]).await?,
        [before + number(on.received - by_then), 0.0, 0.0, 1.0]
    );
    Ok(())
}

#[tokio::test]
async fn a_subscriber_that_was_paused_beyond_its_claim_appends_nothing() -> Result<()> {
    let mut on = Channel::new(Servers::shared().await?).await?;
    let sleeper = on.daemon(ENDING).await?;
    on.until_subscribed(1).await?;
    let book = book_in(&on.client, &["ANALYZING"]).await?;
    assert_eq!(on.publish_one(book).await?, 1);
    on.settled(1).await?;
    sleeper.pause().await?;
    // No other daemon runs yet.
    for _ in 0..10 {
        assert_eq!(on.publish_one(book).await?, 1);
    }
    let other = on.daemon(LONG).await?;
    on.until_subscribed(2).await?;
    for _ in 0..50 {
        assert_eq!(on.publish_one(book).await?, 2, "the paused one and the other");
    }
    on.settled(51).await?;
    sleeper.resume().await?;
    // The paused daemon learns that its lease has ended from a refused append or a refused renewal.
    // It then drops the messages that it received and did not append, and counts them.
    eventually(SOON, "the paused daemon to have dropped what it received", async || {
        let metrics @ [received, lost, dropped, subscribed] = on.metrics(&sleeper).await?;
        let accounted = (received - dropped - 1.0).abs() < 1e-9;
        if accounted && lost >= 1.0 && subscribed == 0.0 {
            Ok(())
        } else {
            Err(anyhow!("{metrics:?}"))
        }
    })
    .await?;
    on.until_subscribed(1).await?;
    assert!(on.is_subscribed(&other).await?);
    assert_eq!(on.publish_one(book).await?, 1);
    on.settled(52).await?;
    let kept = on.kept().await?;
    assert_eq!(kept.iter().collect::<HashSet<_>>().len(), kept.len(), "none is there twice");
    Ok(())
}

#[tokio::test]
async fn a_lost_subscription_is_made_again_and_counted() -> Result<()> {
    // Own servers, because every subscription is cut.
    let servers = Servers::start().await?;
    let mut on = Channel::new(&servers).await?;
    let daemon = on.daemon(LONG).await?;
    let book = book_in(&on.client, &["ANALYZING"]).await?;
    on.until_subscribed(1).await?;
    on.publish_one(book).await?;
    on.settled(1).await?;
    for (times, kind) in [(1, "pubsub"), (2, "normal")] {
        let _: usize = redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", kind, "SKIPME", "yes"])
            .query_async(&mut on.redis)
            .await?;
        // The next message or the next renewal detects the lost append connection.
        eventually(SOON, "the metric to count it, and a new subscription", async || {
            on.publish_one(book).await?;
            let [_, lost, _, subscribed] = on.metrics(&daemon).await?;
            if lost >= number(times) && subscribed == 1.0 {
                Ok(())
            } else {
                Err(anyhow!("{lost} {subscribed}"))
            }
        })
        .await?;
    }
    daemon.ready().await?;
    // Messages published in between may be lost. Those that are kept are settled, and none is there
    // twice.
    assert_eq!(on.publish_one(book).await?, 1);
    let kept = on.caught_up().await?;
    assert_eq!(kept.iter().collect::<HashSet<_>>().len(), kept.len());
    // The log has one line at the beginning and one at the end, however many attempts fail.
    daemon.logged("the channel is not subscribed").await?;
    let lines = daemon.log().matches("the channel is not subscribed").count();
    assert!((1..=2).contains(&lines), "{lines} lines");
    Ok(())
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_done_once() -> Result<()> {
    let servers = Servers::shared().await?;
    let mut on = Channel::new(servers).await?;
    let url = servers.redis_url();
    let proxy = Proxy::before(server(url)?).await?;
    let args = on.args(LONG);
    let args = [&["--stream", on.database.stream(), "--sweep", "0"], args.as_slice()].concat();
    let daemon =
        Daemon::spawn_with(servers, on.database.url(), &proxy.url(url, server(url)?), &args, &[])?;
    daemon.ready().await?;
    let book = book_in(&on.client, &["ANALYZING"]).await?;
    for round in 1..=5 {
        on.until_subscribed(1).await?;
        // Cut the answer to the append, and those to the queries that determine its outcome.
        proxy.set(Fault::CutAnswer(b":1\r\n"));
        let cuts = proxy.cuts();
        assert_eq!(on.publish_one(book).await?, 1);
        eventually(SOON, "the append and two more answers to be cut", async || {
            let (kept, cut) = (on.kept().await?.len(), proxy.cuts() - cuts);
            // The daemon must notice that it is not subscribed before answers come again.
            let deaf = !on.is_subscribed(&daemon).await?;
            if kept == round && cut >= 3 && deaf {
                Ok(())
            } else {
                Err(anyhow!("{kept} are kept, {cut} cut, {deaf}"))
            }
        })
        .await?;
        proxy.set(Fault::None);
        eventually(SOON, "the channel to be subscribed again", async || {
            if on.is_subscribed(&daemon).await? { Ok(()) } else { Err(anyhow!("it is not")) }
        })
        .await?;
    }
    on.settled(5).await?;
    let [received, lost, dropped, _] = on.metrics(&daemon).await?;
    assert!((received, dropped) == (5.0, 0.0) && lost >= 5.0, "{received} {lost} {dropped}");
    Ok(())
}

#[tokio::test]
async fn messages_published_while_postgres_is_away_wait_in_the_stream() -> Result<()> {
    let servers = Servers::start().await?;
    let mut on = Channel::new(&servers).await?;
    let daemon = on.daemon(LONG).await?;
    let book = book_in(&on.client, &["ANALYZING"]).await?;
    on.until_subscribed(1).await?;
    servers.stop_postgres().await?;
    eventually(SOON, "the relay to miss Postgres", async || {
        let ready = daemon.get("/readyz").await?;
        if ready.status == 503 { Ok(()) } else { Err(anyhow!("{ready:?}")) }
    })
    .await?;
    for _ in 0..1_000 {
        assert_eq!(on.publish_one(book).await?, 1);
    }
    eventually(SOON, "all to be kept", async || {
        let kept = on.kept().await?.len();
        if kept == 1_000 { Ok(()) } else { Err(anyhow!("{kept}")) }
    })
    .await?;
    servers.start_postgres().await?;
    on.client = on.database.connect().await?;
    let counts = on.settled(1_000).await?;
    assert_eq!(counts.applied, 1_000);
    assert_eq!(on.metrics(&daemon).await?, [1_000.0, 0.0, 0.0, 1.0]);
    Ok(())
}

#[tokio::test]
async fn the_documented_rights_suffice_and_without_them_readyz_shows_the_refusal() -> Result<()> {
    let servers = Servers::shared().await?;
    let on = Channel::new(servers).await?;
    let node = Node::server(servers, &[]).await?;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/install.md");
    let documents = std::fs::read_to_string(path)?;
    let rights = |begin: &str| -> Result<String> {
        let (_, rest) = documents
            .split_once(begin)
            .with_context(|| format!("no {begin} in docs/install.md"))?;
        Ok(rest.split('`').next().unwrap_or_default().replace(">password", ">hush"))
    };
    let grant = async |rights: &str| {
        let words: Vec<&str> =
            ["ACL", "SETUSER", "relay", "on"].into_iter().chain(rights.split(' ')).collect();
        let answer = node.cli(&words).await?;
        ensure!(answer == "OK", "{answer}");
        Ok(())
    };
    grant(&rights("`ACL SETUSER relay on ")?).await?;
    let url = format!("redis://relay:hush@127.0.0.1:{}/", node.port());
    let args =
        [&["--stream", on.database.stream(), "--sweep", "0"], on.args(LONG).as_slice()].concat();
    let daemon = Daemon::spawn_with(
        servers,
        on.database.url(),
        &url,
        &args,
        &[("RUST_LOG", "binderyd=debug")],
    )?;
    eventually(SOON, "/readyz to show the refusal", async || {
        let ready = daemon.get("/readyz").await?;
        let answer: Value = serde_json::from_str(&ready.body)?;
        let problem =
            answer["channels"][&on.name]["problem"].as_str().unwrap_or_default().to_lowercase();
        if ready.status == 503 && problem.contains("permission") {
            Ok(())
        } else {
            Err(anyhow!("{ready:?}"))
        }
    })
    .await?;
    grant(&format!("&{} {}", on.name, rights("`ACL SETUSER relay &book-progress ")?)).await?;
    daemon.ready().await?;
    let book = book_in(&on.client, &["ANALYZING"]).await?;
    let event = json!({"type": "heartbeat", "book_id": book}).to_string();
    eventually(SOON, "the channel to have a subscriber", async || {
        let subscribers = node.cli(&["PUBLISH", &on.name, &event]).await?;
        if subscribers == "1" { Ok(()) } else { Err(anyhow!("{subscribers}")) }
    })
    .await?;
    cursor_when(&on.client, &on.stream(), "it to be applied", |cursor| cursor.counts.applied == 1)
        .await?;
    drop(daemon);
    assert_eq!(cursor(&on.client, &on.stream()).await?.counts.all(), 1);
    Ok(())
}

#[tokio::test]
async fn invalid_channel_names_are_faults_of_the_configuration() -> Result<()> {
    let servers = Servers::shared().await?;
    let file = servers.new_file("channels.toml");
    let ends = "database-url = \"postgresql://h/d\"\nredis-url = \"redis://h/\"\n";
    std::fs::write(
        &file,
        format!(
            "{ends}channel = [\"a\", \" \", \"b\", \"a\"]\nstream = [\"bindery:channel:{{b}}\"]\n"
        ),
    )?;
    let path = file.to_str().context("a path of text")?;
    let output = run_binderyd(&["run", "--config", path]).await?;
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    for part in [
        "3 faults",
        ":3:1: channel: invalid value ' '",
        ":3:1: channel: the channel a is named twice",
        ":3:1: channel: bindery:channel:{b} is what keeps the channel's messages",
    ] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    let output = run_binderyd(&[
        "run",
        "--config",
        path,
        "--channel",
        "a,c",
        "--channel",
        "d",
        "--print-config",
    ])
    .await?;
    assert!(
        output.status.success()
            && text(&output).contains("channel = [\"a\", \"c\", \"d\"]  # flag"),
        "{output:?}"
    );
    Ok(())
}
