//! `GET /api/system`: the daemon, its streams and its servers; `GET /api/system/findings`: the
//! findings of `binderyd doctor`.

use axum::Json;
use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::api::Api;
use super::error::ApiError;
use super::operator::Operator;
use super::pool::{Intent, begin};
use super::query::{ask, json_bytes, text};

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
       'outbox', (select pg_catalog.jsonb_build_object( \
           'rows', o.messages, 'oldest_at', o.oldest_at) \
         from bindery.outbox_backlog() o), \
       'early_events', (select count(*) from bindery.early_events), \
       'dead_letters', (select count(*) from bindery.dead_letters), \
       'settings', (select pg_catalog.to_jsonb(s) - 'only_row' from bindery.settings s))::text \
     from (select bindery_internal.now() as now) n \
     left join pg_catalog.pg_extension x on x.extname = 'bindery'";

/// `GET /api/system`.
pub async fn system(
    Extract(api): Extract<Api>,
    Operator(caller): Operator,
) -> Result<Response, ApiError> {
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let rows = ask(&transaction, &caller, QUERY, &[]).await?;
    let found = rows.first().map(|row| text(row, 0)).ok_or_else(ApiError::unavailable)??;
    let mut system: Value = serde_json::from_str(found).map_err(|_| ApiError::unavailable())?;
    api.own.complete(&mut system);
    Ok(Json(system).into_response())
}

/// `GET /api/system/findings`.
pub async fn findings(
    Extract(api): Extract<Api>,
    Operator(_caller): Operator,
) -> Result<Response, ApiError> {
    Ok(json_bytes(api.own.findings().await?))
}
