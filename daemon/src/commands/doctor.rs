//! `binderyd doctor`: checks Postgres and Redis, changes nothing, and prints a remedy for each
//! problem.
//!
//! | module | subject |
//! |---|---|
//! | `postgres` | reach, TLS, version, schema, kernel, rights, clock, durability, slots, |
//! | | publication, positions, early events |
//! | `realtime` | Supabase Realtime's table, policy and partitions |
//! | `redis` | reach, version, rights, clock, eviction, durability, streams |
//! | `access` | the access to `/api`: tokens, keys, required claims |

mod access;
mod postgres;
mod realtime;
mod redis;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use crate::database::DatabaseUrl;
use crate::http::HttpOptions;
use crate::options::DatabaseOptions;
use crate::source::channel::Channel;
use crate::source::{RedisUrl, SourceOptions};

/// Clocks further apart than this many seconds make times on screens and in logs disagree.
const SKEW_WARNS: f64 = 1.0;

/// Options of `doctor`: those of `run` that name servers, streams, queues, channels and the HTTP
/// port.
#[derive(Debug, Clone, Args)]
pub struct DoctorOptions {
    #[command(flatten)]
    database: DatabaseOptions,
    /// Redis, such as redis://host:6379/; omit it if the daemon runs without Redis.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<RedisUrl>,
    #[command(flatten)]
    sources: SourceOptions,
    #[command(flatten)]
    http: HttpOptions,
    /// The stream to publish the outbox to; empty: do not publish it.
    #[arg(long, env = "BINDERY_OUTBOX", default_value = "bindery:changes")]
    outbox: String,
    /// The retention of applied entries: check that the login may trim.
    #[arg(long, env = "BINDERY_RETAIN", value_parser = humantime::parse_duration)]
    retain: Option<Duration>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What is checked: the servers and the options of a daemon.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Postgres.
    pub database: DatabaseUrl,
    /// The HTTP port.
    pub http: HttpOptions,
    /// Redis; `None`: the daemon relays and publishes nothing.
    pub relaying: Option<Relaying>,
}

/// What a daemon relays and publishes.
#[derive(Debug, Clone)]
pub struct Relaying {
    /// Redis.
    pub redis: RedisUrl,
    /// The streams, queues and channels.
    pub sources: SourceOptions,
    /// The stream to publish the outbox to; empty: it is not published.
    pub outbox: String,
    /// Whether the login has to trim.
    pub trims: bool,
}

impl From<&DoctorOptions> for Subject {
    fn from(options: &DoctorOptions) -> Self {
        let relaying = options.redis_url.clone().map(|redis| Relaying {
            redis,
            sources: options.sources.clone(),
            outbox: options.outbox.clone(),
            trims: options.retain.is_some(),
        });
        Self {
            database: options.database.database_url.clone(),
            http: options.http.clone(),
            relaying,
        }
    }
}

impl Subject {
    /// Runs all checks; changes nothing.
    pub async fn examine(&self) -> Vec<Finding> {
        let mut findings = Findings::default();
        let streams = self.relaying.as_ref().map(Relaying::streams).unwrap_or_default();
        let positions = postgres::check(&self.database, &streams, &mut findings).await;
        match &self.relaying {
            Some(relaying) => redis::check(relaying, &positions, &mut findings).await,
            None => findings.ok("redis_reach", "no --redis-url: nothing is relayed or published"),
        }
        access::check(&self.http, &mut findings).await;
        findings.0
    }
}

impl Subject {
    /// Whether the daemon publishes the outbox.
    pub fn publishes(&self) -> bool {
        self.relaying.as_ref().is_some_and(|relaying| !relaying.outbox.is_empty())
    }
}

impl Relaying {
    /// The keys of all streams.
    fn streams(&self) -> Vec<String> {
        let SourceOptions { streams, channels, .. } = &self.sources;
        let queues = self.sources.queues().map(|queue| queue.stream());
        streams.iter().cloned().chain(queues).chain(channels.iter().map(Channel::stream)).collect()
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// No problem.
    Ok,
    /// It works now, and may fail later.
    Warning,
    /// It does not work.
    Failure,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    level: Level,
    /// The check, for programs, such as `redis_rights`.
    check: &'static str,
    /// What was found.
    found: String,
    /// How to correct it; absent without a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// The findings so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { level: Level::Ok, check, found: found.into(), remedy: None });
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding {
            level: Level::Warning,
            check,
            found: found.into(),
            remedy: Some(remedy.into()),
        });
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding {
            level: Level::Failure,
            check,
            found: found.into(),
            remedy: Some(remedy.into()),
        });
    }

    /// Reports the offset of a server's clock from this host's, without the query's time.
    fn clock(&mut self, check: &'static str, server: f64, asked: f64, answered: f64) {
        let skew = if server < asked { server - asked } else { (server - answered).max(0.0) };
        if skew.abs() < SKEW_WARNS {
            self.ok(check, "the clock agrees with this machine's");
        } else {
            let found = format!("the clock is {skew:+.1} s from this machine's");
            self.warn(
                check,
                found,
                "run NTP on both; leases and positions use Postgres's clock alone, ages in \
                 metrics and retention use both",
            );
        }
    }
}

/// This machine's clock, in seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Prints the findings; fails if one of them is a failure.
pub async fn doctor(options: &DoctorOptions) -> anyhow::Result<()> {
    let findings = Subject::from(options).examine().await;
    for finding in &findings {
        if options.json {
            println!("{}", serde_json::to_string(finding)?);
        } else {
            println!("{}", line(finding));
        }
    }
    let failures = findings.iter().filter(|finding| finding.level == Level::Failure).count();
    ensure!(
        failures == 0,
        "{failures} of {} findings prevent Bindery from working",
        findings.len()
    );
    Ok(())
}

fn line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Ok => "ok      ",
        Level::Warning => "warning ",
        Level::Failure => "FAILURE ",
    };
    let remedy = finding
        .remedy
        .as_ref()
        .map(|remedy| format!("\n           -> {remedy}"))
        .unwrap_or_default();
    format!("{level} {:20} {}{remedy}", finding.check, finding.found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skew(server: f64, asked: f64, answered: f64) -> Level {
        let mut findings = Findings::default();
        findings.clock("clock", server, asked, answered);
        findings.0[0].level
    }

    #[test]
    fn the_duration_of_a_query_is_no_skew() {
        assert_eq!(skew(100.0, 99.0, 105.0), Level::Ok);
        assert_eq!(skew(97.0, 99.0, 99.1), Level::Warning);
        assert_eq!(skew(107.0, 99.0, 105.0), Level::Warning);
    }

    #[test]
    fn a_finding_is_printed_with_its_remedy() {
        let mut findings = Findings::default();
        findings.fail("redis_rights", "XREAD is refused", "grant it");
        assert!(line(&findings.0[0]).ends_with("-> grant it"));
    }
}
