//! `GET /api/system`: the daemon, its streams and its servers; `GET /api/system/findings`: the
//! findings of `binderyd doctor`.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::books::{ask, json_bytes, text};
use super::error::ApiError;
use super::operation::Operator;
use super::pool::{Intent, begin};
use super::router::Api;
use crate::commands::Subject;
use crate::schema::Schema;
use crate::state::{Phase, State};

/// Findings are shown for this long; then the next request runs the checks again.
const FINDINGS_LAST: Duration = Duration::from_secs(15);

/// What Postgres shows to `service_role`, as one object.
const QUERY: &str = "select pg_catalog.jsonb_build_object( \
       'now', n.now, \
       'schema', pg_catalog.jsonb_build_object('version', bindery.schema_version()), \
       'kernel', pg_catalog.jsonb_build_object( \
         'kind', case when x.extversion is null then 'portable' else 'native' end, \
         'version', x.extversion), \
       'postgres', pg_catalog.jsonb_build_object( \
         'version', pg_catalog.current_setting('server_version'), \
         'is_standby', pg_catalog.pg_is_in_recovery()), \
       'streams', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
           'stream', c.stream, 'holder', c.holder, \
           'is_held', c.holder is not null and c.lease_expires_at > n.now, \
           'lease_expires_at', c.lease_expires_at, 'position', c.position, 'epoch', c.epoch, \
           'applied', c.applied, 'stale', c.stale, 'early', c.early, 'rejected', c.rejected, \
           'lag_seconds', \
             greatest(extract(epoch from n.now - c.caught_up_at)::double precision, 0), \
           'caught_up_at', c.caught_up_at, 'applied_at', c.applied_at, 'losses', c.losses, \
           'lost', c.lost, 'last_loss', c.last_loss, 'lost_at', c.lost_at) order by c.stream) \
         from bindery.relay_cursors c), '[]'), \
       'relays', coalesce((select pg_catalog.jsonb_agg(pg_catalog.to_jsonb(r) order by r.holder) \
         from bindery.list_relays() r), '[]'), \
       'outbox', (select pg_catalog.jsonb_build_object('rows', o.messages, 'oldest_at', o.oldest_at) \
         from bindery.outbox_backlog() o), \
       'early_events', (select count(*) from bindery.early_events), \
       'dead_letters', (select count(*) from bindery.dead_letters), \
       'settings', (select pg_catalog.to_jsonb(s) - 'only_row' from bindery.settings s))::text \
     from (select bindery_internal.now() as now) n \
     left join pg_catalog.pg_extension x on x.extname = 'bindery'";

/// What this daemon shows of itself and of its servers.
#[derive(Debug)]
pub struct System {
    subject: Subject,
    state: State,
    started: SystemTime,
    findings: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl System {
    /// For a daemon that starts now.
    pub fn new(subject: Subject, state: State) -> Self {
        Self { subject, state, started: SystemTime::now(), findings: Arc::default() }
    }

    /// The findings as JSON, at most [`FINDINGS_LAST`] old. The checks run once at a time, and to
    /// their end even if the request that began them is gone.
    async fn findings(&self) -> Result<Bytes, ApiError> {
        let mut last = self.findings.clone().lock_owned().await;
        if let Some((at, findings)) = &*last
            && at.elapsed() < FINDINGS_LAST
        {
            return Ok(findings.clone());
        }
        let subject = self.subject.clone();
        let run = tokio::spawn(async move {
            let findings = subject.examine().await;
            let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
            let text = Bytes::from(json!({ "at": now, "findings": findings }).to_string());
            *last = Some((Instant::now(), text.clone()));
            text
        });
        run.await.map_err(|_| ApiError::unavailable())
    }

    /// The daemon's own part.
    fn daemon(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": humantime::format_rfc3339_millis(self.started).to_string(),
            "holder": self.state.holder(),
            "publishes": self.subject.relaying.as_ref().is_some_and(|it| !it.outbox.is_empty()),
            "problems": self.problems(),
        })
    }

    /// What `/readyz` would report, as texts.
    fn problems(&self) -> Vec<String> {
        let (outbox, database) = (self.state.outbox(), self.state.database());
        let streams = self.state.snapshot();
        let channels = self.state.channels();
        let of_streams = streams.iter().filter_map(|(name, of)| {
            of.problem.as_ref().map(|problem| format!("{name}: {problem}"))
        });
        let of_channels = channels.iter().filter_map(|(name, of)| {
            of.problem.as_ref().map(|problem| format!("{name}: {problem}"))
        });
        of_streams.chain(of_channels).chain(outbox.problem).chain(database.problem).collect()
    }

    fn sweeper(&self) -> Value {
        let sweep = self.state.sweep();
        let mut shown = sweep.last.as_ref().map_or_else(|| json!({}), |(_, swept)| json!(swept));
        let at = sweep.last.map(|(at, _)| humantime::format_rfc3339_millis(at).to_string());
        shown["every_seconds"] = json!(sweep.every.map(|every| every.as_secs_f64()));
        shown["at"] = json!(at);
        shown["problem"] = json!(sweep.problem);
        shown
    }

    /// Adds this daemon's own part, and the exact lag of the streams that it holds.
    fn complete(&self, system: &mut Value) {
        system["daemon"] = self.daemon();
        system["sweeper"] = self.sweeper();
        system["schema"]["expected"] =
            json!(Schema::compiled_in().and_then(|schema| schema.newest()).ok());
        let states = self.state.snapshot();
        for stream in system["streams"].as_array_mut().into_iter().flatten() {
            let state = stream["stream"].as_str().and_then(|name| states.get(name));
            if let Some(state) = state
                && state.phase == Phase::Holding
                && let Some(lag) = state.lag
            {
                stream["lag_seconds"] = json!(lag);
            }
        }
    }
}

/// `GET /api/system`.
pub async fn system(
    Extract(api): Extract<Api>,
    Operator(caller): Operator,
) -> Result<Response, ApiError> {
    let mut client = api.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let rows = ask(&transaction, &caller, QUERY, &[]).await?;
    let found = rows.first().map(|row| text(row, 0)).ok_or_else(ApiError::unavailable)??;
    let mut system: Value = serde_json::from_str(found).map_err(|_| ApiError::unavailable())?;
    api.system.complete(&mut system);
    Ok(Json(system).into_response())
}

/// `GET /api/system/findings`.
pub async fn findings(
    Extract(api): Extract<Api>,
    Operator(_caller): Operator,
) -> Result<Response, ApiError> {
    Ok(json_bytes(api.system.findings().await?))
}
