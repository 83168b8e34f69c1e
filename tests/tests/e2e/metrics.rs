//! `/metrics` after known work, metric by metric; `/healthz` and `/readyz` and how they differ; the
//! size of the log during an outage.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bindery_tests::{Daemon, Fault, Proxy, Servers, eventually, run_binderyd};
use serde_json::Value;

use crate::faults::server;
use crate::support::{SOON, applied_up_to, batches_wait, book_in, text};

/// `/metrics`: the value of each series by its labels as printed, without the stream's.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    async fn of(daemon: &Daemon, stream: &str) -> Result<Self> {
        let text = daemon.get("/metrics").await?.body;
        let mut series = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            let named = format!("stream=\"{stream}\"");
            let name = name
                .replace(&format!("{named},"), "")
                .replace(&format!(",{named}"), "")
                .replace(&format!("{{{named}}}"), "");
            ensure!(series.insert(name, value.parse()?).is_none(), "twice: {line}");
        }
        Ok(Self(series))
    }

    fn get(&self, series: &str) -> Result<f64> {
        self.0.get(series).copied().with_context(|| format!("no {series} in {:#?}", self.0))
    }

    fn is(&self, series: &str, wanted: f64) -> Result<()> {
        let value = self.get(series)?;
        ensure!((value - wanted).abs() < 1e-9, "{series} is {value}, not {wanted}");
        Ok(())
    }

    fn is_between(&self, series: &str, least: f64, most: f64) -> Result<()> {
        let value = self.get(series)?;
        ensure!(
            (least..=most).contains(&value),
            "{series} is {value}, not between {least} and {most}"
        );
        Ok(())
    }
}

/// The metrics of docs/monitor.md.
fn documented() -> Result<BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/monitor.md");
    let text = std::fs::read_to_string(path)?;
    let section = text.split_once("\n## Metrics\n").context("no section Metrics")?.1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    Ok(rows.filter_map(|row| row.split(['{', '`']).next()).map(str::to_owned).collect())
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

#[tokio::test]
async fn every_documented_metric_has_the_value_that_known_work_gives_it() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let book = book_in(&client, &["ANALYZING"]).await?.to_string();
    let left = book_in(&client, &["ANALYZING"]).await?.to_string();
    client.query("select from bindery.fail_book($1::text::uuid)", &[&left]).await?;
    client.query("select from bindery.resume_book($1::text::uuid)", &[&left]).await?;
    let before = now()?;
    // The stream is complete before the daemon starts, so the daemon reads it in few batches.
    let mut last = String::new();
    for done in ["10", "20", "30"] {
        last = database
            .add(
                &mut redis,
                &[
                    ("type", "progress"),
                    ("book_id", &book),
                    ("substep", "extract_text"),
                    ("progress", done),
                ],
            )
            .await?;
    }
    for fields in [
        // One event of an earlier attempt, one of an unregistered book, and two without a valid
        // book id.
        &[("type", "heartbeat"), ("book_id", left.as_str()), ("attempt", "1")][..],
        &[("type", "heartbeat"), ("book_id", "00000000-0000-4000-8000-00000000dead")],
        &[("type", "heartbeat"), ("book_id", "nobody")],
        &[("type", "heartbeat"), ("book_id", "no-book")],
    ] {
        last = database.add(&mut redis, fields).await?;
    }
    let outbox = format!("{}:changes", database.stream());
    let daemon =
        database.daemon(&["--sweep", "100ms", "--outbox", &outbox, "--linger", "50ms"]).await?;
    applied_up_to(&client, database.stream(), &last).await?;
    let written: i64 = redis::cmd("XLEN").arg(&outbox).query_async(&mut redis).await?;

    // The metrics that arrive last: the stream's probe after the batch, a sweep, and the outbox.
    let metrics = eventually(SOON, "the metrics to count all events", async || {
        let metrics = Metrics::of(&daemon, database.stream()).await?;
        metrics.is("bindery_relay_lag_events", 0.0)?;
        metrics.is("bindery_relay_end_to_end_seconds_count", 7.0)?;
        metrics.is(r#"bindery_relay_dead_letters_total{reason="bad_uuid"}"#, 2.0)?;
        metrics.is("bindery_early_events", 1.0)?;
        metrics.get("bindery_sweep_last_success_timestamp_seconds")?;
        metrics.get("bindery_outbox_backlog")?;
        ensure!(metrics.get("bindery_outbox_published_total")? > 0.0, "nothing is published");
        anyhow::Ok(metrics)
    })
    .await?;
    metrics.is(r#"bindery_relay_events_total{outcome="applied"}"#, 3.0)?;
    metrics.is(r#"bindery_relay_events_total{outcome="stale"}"#, 1.0)?;
    metrics.is(r#"bindery_relay_events_total{outcome="early"}"#, 1.0)?;
    metrics.is(r#"bindery_relay_events_total{outcome="rejected"}"#, 2.0)?;
    metrics.is(r#"bindery_relay_dead_letters_total{reason="bad_uuid"}"#, 2.0)?;
    let batches = metrics.get("bindery_relay_batches_total")?;
    ensure!((1.0..=7.0).contains(&batches), "{batches} batches");
    metrics.is("bindery_relay_batch_events_count", batches)?;
    metrics.is("bindery_relay_batch_events_sum", 7.0)?;
    // The three reports are of one substep; those of one batch become one item.
    metrics.is_between("bindery_relay_batch_items_sum", 5.0, 4.0 + batches.min(3.0))?;
    metrics.is("bindery_relay_apply_seconds_count", batches)?;
    metrics.is(r#"bindery_relay_apply_seconds_bucket{le="+Inf"}"#, batches)?;
    metrics.is_between("bindery_relay_apply_seconds_sum", 1e-6, now()? - before)?;
    metrics.is("bindery_relay_end_to_end_seconds_count", 7.0)?;
    metrics.is(r#"bindery_relay_end_to_end_seconds_bucket{le="+Inf"}"#, 7.0)?;
    metrics.is_between("bindery_relay_end_to_end_seconds_sum", 1e-3, 7.0 * (now()? - before))?;
    metrics.is("bindery_relay_lag_events", 0.0)?;
    metrics.is_between("bindery_relay_lag_seconds", 0.0, now()? - before + 1.0)?;
    metrics.is("bindery_relay_held", 1.0)?;
    metrics.is("bindery_relay_standing_by", 0.0)?;
    for side in ["postgres", "redis"] {
        metrics.is(&format!("bindery_relay_failures_total{{side=\"{side}\"}}"), 0.0)?;
        metrics.is(&format!("bindery_relay_reconnects_total{{side=\"{side}\"}}"), 0.0)?;
        metrics.is(&format!("bindery_outbox_failures_total{{side=\"{side}\"}}"), 0.0)?;
    }
    // All processes share one clock, so the measured time is at most the time of the test.
    let most = now()? - before;
    metrics.is_between("bindery_relay_redis_clock_offset_seconds", -most, most)?;
    metrics.is("bindery_sweep_failures_total", 0.0)?;
    metrics.is(
        "bindery_sweep_waiting_streams",
        metrics.get("bindery_sweep_waiting_streams")?.clamp(0.0, 1.0),
    )?;
    metrics.is_between("bindery_sweep_last_success_timestamp_seconds", before, now()?)?;
    metrics.is(r#"bindery_sweep_books_total{outcome="stalled"}"#, 0.0)?;
    metrics.is(r#"bindery_sweep_books_total{outcome="resumed"}"#, 0.0)?;
    metrics.is(r#"bindery_sweep_books_total{outcome="expired"}"#, 0.0)?;
    metrics.is("bindery_sweep_skipped_total", 0.0)?;
    metrics.is_between("bindery_early_events_oldest_seconds", 0.0, now()? - before)?;
    metrics.is_between("bindery_outbox_backlog", 0.0, 100.0)?;
    metrics.is_between("bindery_outbox_oldest_seconds", 0.0, now()? - before + 60.0)?;
    ensure!(
        metrics.get("bindery_outbox_published_total")? >= written as f64,
        "{written} are in the stream"
    );
    metrics.is(
        r#"bindery_http_requests_total{method="GET",route="/readyz",status="200"}"#,
        metrics.get(r#"bindery_http_request_seconds_count{route="/readyz"}"#)? - refusals(&metrics),
    )?;
    // This connection, and perhaps the one before, which may not be closed yet.
    metrics.is_between("bindery_http_connections", 1.0, 3.0)?;
    metrics.is("bindery_http_turned_away_total", 0.0)?;
    metrics.is("bindery_http_streams", 0.0)?;
    metrics.is(&format!("bindery_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0)?;
    let resident = daemon.resident()? as f64;
    metrics.is_between("process_resident_memory_bytes", resident / 2.0, resident * 2.0)?;
    metrics.is_between("process_start_time_seconds", before - 2.0, now()? + 2.0)?;
    metrics.is_between("process_cpu_seconds_total", 0.0, now()? - before + 1.0)?;
    for series in
        ["process_open_fds", "process_max_fds", "process_threads", "process_virtual_memory_bytes"]
    {
        metrics.is_between(series, 1.0, f64::MAX)?;
    }
    // 0 means no limit.
    metrics.is_between("process_virtual_memory_max_bytes", 0.0, f64::MAX)?;
    Ok(())
}

/// How often `/readyz` was asked before the daemon was ready.
fn refusals(metrics: &Metrics) -> f64 {
    metrics
        .get(r#"bindery_http_requests_total{method="GET",route="/readyz",status="503"}"#)
        .unwrap_or(0.0)
}

#[tokio::test]
async fn the_metrics_shown_are_those_documented() -> Result<()> {
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let mut redis = servers.redis().await?;
    let outbox = format!("{}:changes", database.stream());
    let args = ["--sweep", "100ms", "--outbox", &outbox, "--channel", database.stream()];
    let daemon = database.daemon(&args).await?;
    database.add(&mut redis, &[("type", "heartbeat"), ("book_id", "nobody")]).await?;
    let documented = documented()?;
    eventually(SOON, "every documented metric", async || {
        let text = daemon.get("/metrics").await.map_err(|error| format!("{error:#}"))?.body;
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let shown: BTreeSet<String> = types.map(str::to_owned).collect();
        let helped =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
        let helped: BTreeSet<String> = helped.map(str::to_owned).collect();
        let undescribed: Vec<_> = shown.difference(&helped).collect();
        let (unshown, undocumented): (Vec<_>, Vec<_>) =
            (documented.difference(&shown).collect(), shown.difference(&documented).collect());
        if unshown.is_empty() && undocumented.is_empty() && undescribed.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "not shown {unshown:?}; not documented {undocumented:?}; \
                 without HELP {undescribed:?}"
            ))
        }
    })
    .await
}

#[tokio::test]
async fn a_standby_reports_that_it_stands_by_and_a_failure_that_is_over_is_counted() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    // Longer than both servers are down, so the holder of the stream keeps it throughout.
    let daemon = database.daemon(&["--lease", "60s", "--sweep", "200ms"]).await?;
    let standby = database.daemon(&["--lease", "60s"]).await?;
    let metrics = Metrics::of(&standby, database.stream()).await?;
    metrics.is("bindery_relay_held", 0.0)?;
    metrics.is("bindery_relay_standing_by", 1.0)?;
    metrics.is("bindery_relay_lag_seconds", 0.0)?;

    servers.stop_redis().await?;
    servers.stop_postgres().await?;
    for (series, what) in [
        (r#"bindery_relay_failures_total{side="postgres"}"#, "the relay to miss Postgres"),
        (r#"bindery_outbox_failures_total{side="postgres"}"#, "the outbox to miss Postgres"),
        ("bindery_sweep_failures_total", "the sweeper to miss Postgres"),
    ] {
        let failures = eventually(SOON, what, async || {
            let metrics = Metrics::of(&daemon, database.stream())
                .await
                .map_err(|error| format!("{error:#}"))?;
            let failures = metrics.get(series).map_err(|error| format!("{error:#}"))?;
            // A response's gauges are a moment older than its counters.
            let held = metrics.get("bindery_relay_held").map_err(|error| format!("{error:#}"))?;
            if failures >= 1.0 && held < 0.5 {
                Ok(())
            } else {
                Err(format!("{failures} failures, held {held}"))
            }
        });
        failures.await?;
    }
    ensure!(daemon.get("/healthz").await?.status == 200, "the process is well");
    let ready = daemon.get("/readyz").await?;
    let state: Value = serde_json::from_str(&ready.body)?;
    ensure!(ready.status == 503 && state["ready"] == false, "{ready:?}");
    ensure!(
        state["outbox"]["problem"].is_string()
            && state["streams"][database.stream()]["problem"].is_string(),
        "{state}"
    );

    servers.start_postgres().await?;
    // Only the daemon that holds the stream reports that it cannot read Redis.
    eventually(SOON, "the relay to miss Redis", async || {
        let (one, other) = (
            Metrics::of(&daemon, database.stream()).await,
            Metrics::of(&standby, database.stream()).await,
        );
        let failures: f64 = [one, other]
            .into_iter()
            .flatten()
            .filter_map(|metrics| metrics.get(r#"bindery_relay_failures_total{side="redis"}"#).ok())
            .sum();
        if failures >= 1.0 { Ok(()) } else { Err("it does not".to_owned()) }
    })
    .await?;
    servers.start_redis().await?;
    daemon.ready().await?;
    standby.ready().await?;
    for side in ["postgres", "redis"] {
        let series = format!("bindery_relay_reconnects_total{{side=\"{side}\"}}");
        eventually(SOON, &series, async || {
            let (one, other) = (
                Metrics::of(&daemon, database.stream()).await,
                Metrics::of(&standby, database.stream()).await,
            );
            let over: f64 = [one, other]
                .into_iter()
                .flatten()
                .filter_map(|metrics| metrics.get(&series).ok())
                .sum();
            if over >= 1.0 { Ok(()) } else { Err(format!("{over}")) }
        })
        .await?;
    }
    // The standby tries to acquire the lease four times in the lease's duration, and logs only
    // changes.
    let lines = repeated(&standby.log(), "standing by") + repeated(&daemon.log(), "standing by");
    ensure!((1..=4).contains(&lines), "{lines} lines:\n{}\n{}", standby.log(), daemon.log());
    Ok(())
}

#[tokio::test]
async fn waiting_events_are_counted_also_from_the_middle_of_a_backlog() -> Result<()> {
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let book = book_in(&client, &["ANALYZING"]).await?.to_string();
    let beat: &[(&str, &str)] = &[("type", "heartbeat"), ("book_id", &book)];
    // The position is in the middle of the stream.
    for _ in 0..500 {
        database.add(&mut redis, beat).await?;
    }
    // The batch waits for this test's locks as long as it holds them; the daemon's other session
    // keeps probing the stream.
    batches_wait(&client).await?;
    let daemon = database.daemon(&["--outbox", ""]).await?;
    let last = database.add(&mut redis, beat).await?;
    applied_up_to(&client, database.stream(), &last).await?;
    lag_is(&daemon, database.stream(), 0.0).await?;
    // The daemon holds the stream and reads on, but applies nothing: the book's row is locked.
    client
        .batch_execute(&format!(
            "begin; select from bindery.relay_cursors where stream = '{}' for update",
            database.stream()
        ))
        .await?;
    for _ in 0..700 {
        database.add(&mut redis, beat).await?;
    }
    lag_is(&daemon, database.stream(), 700.0).await?;
    client.batch_execute("rollback").await?;
    lag_is(&daemon, database.stream(), 0.0).await?;

    // A daemon that starts in the middle of the stream: the stream alone does not show how much the
    // position covers.
    let mut daemon = daemon;
    daemon.sigterm().await?;
    for _ in 0..150 {
        database.add(&mut redis, beat).await?;
    }
    client
        .batch_execute(&format!(
            "begin; select from bindery.book_status where book_id = '{book}' for update"
        ))
        .await?;
    let daemon = database.daemon(&["--outbox", ""]).await?;
    lag_is(&daemon, database.stream(), 150.0).await?;
    client.batch_execute("rollback").await?;
    lag_is(&daemon, database.stream(), 0.0).await
}

async fn lag_is(daemon: &Daemon, stream: &str, wanted: f64) -> Result<()> {
    eventually(SOON, &format!("the lag to be {wanted} events"), async || {
        let metrics = Metrics::of(daemon, stream).await.map_err(|error| format!("{error:#}"))?;
        metrics.is("bindery_relay_lag_events", wanted).map_err(|error| format!("{error:#}"))
    })
    .await
}

/// The number of lines with this message, none of which is there twice.
fn repeated(log: &str, message: &str) -> usize {
    log.lines().filter(|line| line.contains(message)).count()
}

#[tokio::test]
async fn an_outage_of_many_retries_is_a_few_log_lines_in_either_format() -> Result<()> {
    const RETRIES: f64 = 7.0;
    let servers = Servers::start().await?;
    let database = servers.database().await?;
    let mut daemons = Vec::new();
    for format in ["text", "json"] {
        let stream = format!("{}:{format}", database.stream());
        let args =
            ["--log-format", format, "--stream", &stream, "--lease", "500ms", "--sweep", "100ms"];
        daemons.push((format, stream.clone(), Daemon::spawn(&servers, database.url(), &args)?));
    }
    for (_, _, daemon) in &daemons {
        daemon.ready().await?;
    }
    // Stop Redis first, while the streams are held, so that both outages are noticed.
    servers.stop_redis().await?;
    for (_, stream, daemon) in &daemons {
        failures(daemon, stream, "redis", RETRIES).await?;
    }
    servers.stop_postgres().await?;
    for (_, stream, daemon) in &daemons {
        failures(daemon, stream, "postgres", RETRIES).await?;
    }
    servers.start_postgres().await?;
    servers.start_redis().await?;
    for (format, stream, daemon) in &daemons {
        daemon.ready().await?;
        let log = daemon.log();
        // A fault is logged again when its text changes and once a minute: a few lines in these
        // seconds.
        for message in [
            "the relay starts over",
            "reading from Redis failed",
            "the outbox waits",
            "sweeping failed",
        ] {
            let lines = repeated(&log, message);
            ensure!((1..=6).contains(&lines), "{format}: {lines} lines with \"{message}\":\n{log}");
        }
        ensure!(repeated(&log, "holding the stream") >= 2, "{format}: its end is logged:\n{log}");
        ensure!(
            repeated(&log, "reading from Redis continues") >= 1,
            "{format}: its end is logged:\n{log}"
        );
        if *format == "json" {
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
                ensure!(
                    line["timestamp"].is_string()
                        && line["level"].is_string()
                        && line["message"].is_string(),
                    "{line}"
                );
            }
            let trouble = log
                .lines()
                .find(|line| line.contains("the relay starts over"))
                .context("no line")?;
            let trouble: Value = serde_json::from_str(trouble)?;
            ensure!(
                trouble["stream"] == stream.as_str()
                    && trouble["error"].is_string()
                    && trouble["unlogged"].is_u64(),
                "{trouble}"
            );
        }
    }
    Ok(())
}

async fn failures(daemon: &Daemon, stream: &str, side: &str, wanted: f64) -> Result<()> {
    eventually(SOON, "many failures", async || {
        let metrics = Metrics::of(daemon, stream).await.map_err(|error| format!("{error:#}"))?;
        let failures = metrics
            .get(&format!("bindery_relay_failures_total{{side=\"{side}\"}}"))
            .map_err(|error| format!("{error:#}"))?;
        if failures >= wanted { Ok(()) } else { Err(format!("{failures} on the side of {side}")) }
    })
    .await
}

#[tokio::test]
async fn many_dead_letters_are_one_log_line_with_their_number() -> Result<()> {
    const LETTERS: usize = 300;
    let servers = Servers::shared().await?;
    let database = servers.database().await?;
    let client = database.connect().await?;
    let mut redis = servers.redis().await?;
    let daemon = database.daemon(&["--outbox", "", "--max-batch", "10"]).await?;
    let mut last = String::new();
    for _ in 0..LETTERS {
        last = database.add(&mut redis, &[("type", "heartbeat"), ("book_id", "nobody")]).await?;
    }
    applied_up_to(&client, database.stream(), &last).await?;
    // A batch is counted after its commit.
    eventually(SOON, "all letters to be counted", async || {
        let metrics = Metrics::of(&daemon, database.stream()).await?;
        ensure!(metrics.get("bindery_relay_batches_total")? >= 30.0, "they came in many batches");
        metrics.is(r#"bindery_relay_dead_letters_total{reason="bad_uuid"}"#, LETTERS as f64)
    })
    .await?;
    daemon.logged("events were rejected into bindery.dead_letters").await?;
    let log = daemon.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("events were rejected into bindery.dead_letters"))
        .collect();
    ensure!((1..=3).contains(&lines.len()), "{lines:#?}");
    ensure!(lines[0].contains("bad_uuid="), "{lines:#?}");
    // Events rejected after the last line are logged at the end; the lines add up to all of them.
    let mut daemon = daemon;
    daemon.sigterm().await?;
    let log = daemon.log();
    let counts = log.lines().filter_map(|line| {
        line.split_once("bad_uuid=")?.1.split(['"', ' ']).next()?.parse::<usize>().ok()
    });
    ensure!(counts.sum::<usize>() == LETTERS, "{log}");
    Ok(())
}

#[tokio::test]
async fn the_error_that_ends_the_daemon_is_an_object_where_the_log_is_json() -> Result<()> {
    let servers = Servers::shared().await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let http = taken.local_addr()?.to_string();
    let urls = [
        "--database-url",
        servers.database_url(),
        "--redis-url",
        servers.redis_url(),
        "--http",
        &http,
    ];
    let output = run_binderyd(&[&["--log-format", "json", "run"][..], &urls].concat()).await?;
    let printed = text(&output);
    ensure!(output.status.code() == Some(1), "{printed}");
    let last: Value = serde_json::from_str(printed.lines().last().context("no output")?)
        .context(printed.clone())?;
    ensure!(
        last["level"] == "ERROR"
            && last["error"].as_str().is_some_and(|error| error.contains(&http)),
        "{last}"
    );
    Ok(())
}

/// The first request is answered as soon as the port is open.
#[tokio::test]
async fn a_daemon_is_not_ready_before_it_holds_its_streams() -> Result<()> {
    let servers = Servers::shared().await?;
    let silent = Proxy::before(server(servers.database_url())?).await?;
    silent.set(Fault::BlackHole);
    let url = format!("postgresql://postgres@{}/postgres", silent.address());
    for _ in 0..10 {
        let daemon = Daemon::spawn(servers, &url, &["--outbox", "", "--sweep", "0"])?;
        let first = eventually(SOON, "an answer", async || daemon.get("/readyz").await).await?;
        assert_eq!(first.status, 503, "{first:?}");
    }
    Ok(())
}
