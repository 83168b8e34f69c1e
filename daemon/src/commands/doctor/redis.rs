//! Redis, as the daemon's user sees it: for each stream, the server that holds it.

use std::collections::BTreeMap;
use std::time::Duration;

use bindery_core::stream_id::StreamId;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value, cmd};

use super::{Findings, Relaying, now};
use crate::source::channel::{Channel, Claim};
use crate::source::{Info, RedisUrl, Subscription};

/// The time limit of a reply.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The first version with `XTRIM … MINID`.
const OLDEST: (u32, u32) = (6, 2);
/// More waiting entries than this are a backlog.
const BACKLOG: u64 = 10_000;

/// Runs all checks of Redis.
pub async fn check(
    relaying: &Relaying,
    positions: &BTreeMap<String, StreamId>,
    findings: &mut Findings,
) {
    let Relaying { redis: url, sources, outbox, trims } = relaying;
    let mut is_checked = false;
    for stream in &sources.streams {
        let Some(mut redis) = reach(url, stream, findings).await else { return };
        if !is_checked {
            is_checked = true;
            server(&mut redis, findings).await;
        }
        source(&mut redis, stream, *trims, positions.get(stream).copied(), findings).await;
    }
    for queue in sources.queues() {
        let stream = queue.stream();
        let Some(mut redis) = reach(url, &stream, findings).await else { return };
        // The relay also reads each job's data, and lists the active jobs and those that wait.
        let job = queue.key("0");
        right(&mut redis, &job, cmd("HGET").arg(&job).arg("data"), findings).await;
        right(&mut redis, &stream, cmd("XRANGE").arg(&stream).arg("0-1").arg("0-1"), findings)
            .await;
        for (command, list) in [("LRANGE", "active"), ("ZRANGE", "delayed")] {
            let list = queue.key(list);
            right(&mut redis, &list, cmd(command).arg(&list).arg(0).arg(0), findings).await;
        }
        let probe = redis::pipe().atomic().cmd("HGET").arg(&job).arg("data").to_owned();
        transaction(&mut redis, &probe, &job, findings).await;
        // BullMQ trims this stream, the daemon does not.
        source(&mut redis, &stream, false, positions.get(&stream).copied(), findings).await;
    }
    for channel in &sources.channels {
        let stream = channel.stream();
        let Some(mut redis) = reach(url, &stream, findings).await else { return };
        subscribes(url, channel, findings).await;
        if right(&mut redis, &channel.claim(), &Claim::probe(channel), findings).await
            && right(&mut redis, &stream, &no_entry(&stream), findings).await
        {
            source(&mut redis, &stream, true, positions.get(&stream).copied(), findings).await;
        }
    }
    if !outbox.is_empty()
        && let Some(mut redis) = reach(url, outbox, findings).await
    {
        right(&mut redis, outbox, &no_entry(outbox), findings).await;
    }
}

/// Whether the user may run a transaction.
async fn transaction(
    redis: &mut MultiplexedConnection,
    probe: &redis::Pipeline,
    key: &str,
    findings: &mut Findings,
) {
    match probe.query_async::<Value>(redis).await {
        Ok(_) => findings.ok("redis_rights", format!("MULTI and EXEC on {key} are allowed")),
        Err(error) => findings.fail(
            "redis_rights",
            format!("MULTI and EXEC on {key} are refused: {error}"),
            "grant the daemon's user the rights for --bullmq that docs/install.md lists \
             (ACL SETUSER)",
        ),
    }
}

/// A no-op append that tests the user's rights: an existing stream refuses the id 0-1, and a
/// missing one is not made.
fn no_entry(stream: &str) -> Cmd {
    cmd("XADD").arg(stream).arg("NOMKSTREAM").arg("0-1").arg("doctor").arg("probe").to_owned()
}

/// Whether the user may subscribe to the channel; subscribes for a moment.
async fn subscribes(url: &RedisUrl, channel: &Channel, findings: &mut Findings) {
    match Subscription::begin(url, channel).await {
        Ok(_) => findings.ok("channel", format!("SUBSCRIBE of {channel} is allowed")),
        Err(error) => findings.fail(
            "channel",
            format!("SUBSCRIBE of {channel} is refused: {error}"),
            "grant the daemon's user the rights for --channel that docs/install.md lists \
             (ACL SETUSER)",
        ),
    }
}

async fn reach(
    url: &RedisUrl,
    key: &str,
    findings: &mut Findings,
) -> Option<MultiplexedConnection> {
    match url.connect(key, ANSWER_WITHIN).await {
        Ok(redis) => Some(redis),
        Err(error) => {
            findings.fail(
                "redis_reach",
                format!("{url:?}: {error}"),
                "check --redis-url, its user and password, and that the server runs",
            );
            None
        }
    }
}

async fn server(redis: &mut MultiplexedConnection, findings: &mut Findings) {
    let asked = now();
    if let Ok((seconds, micros)) = cmd("TIME").query_async::<(f64, f64)>(redis).await {
        findings.clock("redis_clock", seconds + micros / 1e6, asked, now());
    }
    let Ok(info) = cmd("INFO").query_async::<String>(redis).await else {
        findings.warn(
            "redis_server",
            "INFO is refused: version, eviction and durability are not checked",
            "grant this user +info to check them",
        );
        return;
    };
    let value = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_default()
            .trim()
    };
    let version = value("redis_version");
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
        findings.fail(
            "redis_version",
            format!("Redis {version}"),
            "upgrade it to 6.2 or later; from 7 on, the relay counts lost entries",
        );
    } else {
        findings.ok("redis_version", format!("Redis {version}"));
    }
    let (policy, limit) = (value("maxmemory_policy"), value("maxmemory"));
    if policy.starts_with("allkeys-") && limit != "0" {
        findings.fail(
            "redis_eviction",
            format!("maxmemory-policy is {policy}: Redis deletes streams when memory is short"),
            "CONFIG SET maxmemory-policy noeviction",
        );
    } else {
        findings.ok("redis_eviction", format!("maxmemory-policy is {policy}"));
    }
    if value("aof_enabled") == "1" {
        findings.ok("redis_durability", "appendonly is on");
    } else {
        findings.warn(
            "redis_durability",
            "appendonly is off: a crash of Redis loses what was added since its last snapshot",
            "CONFIG SET appendonly yes",
        );
    }
}

async fn source(
    redis: &mut MultiplexedConnection,
    stream: &str,
    trims: bool,
    position: Option<StreamId>,
    findings: &mut Findings,
) {
    let read = cmd("XREAD").arg("COUNT").arg(1).arg("STREAMS").arg(stream).arg("0-0").to_owned();
    if !right(redis, stream, &read, findings).await {
        return;
    }
    if trims {
        // No entry lies before 0-0.
        right(
            redis,
            stream,
            &cmd("XTRIM").arg(stream).arg("MINID").arg("0-0").to_owned(),
            findings,
        )
        .await;
    }
    match Info::ask(redis, stream).await {
        Ok(None) => {
            findings.ok("stream", format!("{stream} does not exist yet: no event was sent"));
        }
        Ok(Some(info)) => match position {
            Some(position) if position > info.last => findings.warn(
                "stream",
                format!("{stream} ends at {}, before the position {position}", info.last),
                "it was restored from an older state, or recreated; a running daemon reads on",
            ),
            Some(position) => {
                let behind = info.certain(position).unwrap_or_else(|| info.guess(position));
                if behind > BACKLOG {
                    findings.warn(
                        "stream",
                        format!("about {behind} entries of {stream} wait to be applied"),
                        "see docs/alerts.md, BinderyBehind",
                    );
                } else {
                    findings.ok(
                        "stream",
                        format!("{stream} has {} entries, about {behind} wait", info.length),
                    );
                }
            }
            None => findings.ok("stream", format!("{stream} has {} entries", info.length)),
        },
        Err(error) => findings.fail(
            "stream",
            format!("{stream}: {error}"),
            "grant this user +exists and +xinfo|stream on the stream",
        ),
    }
}

/// Whether Redis accepts a form of a command that has no effect.
async fn right(
    redis: &mut MultiplexedConnection,
    key: &str,
    command: &Cmd,
    findings: &mut Findings,
) -> bool {
    let name = match command.args_iter().next() {
        Some(redis::Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    };
    let error: Option<RedisError> = command.query_async::<Value>(redis).await.err();
    let code = error.as_ref().and_then(RedisError::code).unwrap_or_default().to_owned();
    match (error, code.as_str()) {
        (Some(error), "NOPERM") => {
            findings.fail(
                "redis_rights",
                format!("{name} of {key} is refused: {error}"),
                "grant the daemon's user the rights that docs/install.md lists (ACL SETUSER)",
            );
            false
        }
        (Some(_), "WRONGTYPE") => {
            findings.fail(
                "stream",
                format!("{key} is a key of another type than a stream"),
                "rename that key, or give another name to binderyd and to the producers",
            );
            false
        }
        _ => {
            findings.ok("redis_rights", format!("{name} of {key} is allowed"));
            true
        }
    }
}
