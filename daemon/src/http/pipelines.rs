//! `GET /api/pipelines`: the pipelines with their states, the books in each, how long each stage
//! takes, and its failures over time.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use postgres_types::Type;
use serde::Deserialize;

use super::api::Api;
use super::error::ApiError;
use super::operator::Operator;
use super::pool::{Intent, begin};
use super::query::{ask, json, text};

/// The maximum of `days`.
pub const MOST_DAYS: i64 = 90;
/// Up to this many days, failures are counted by the hour.
const HOURS_UP_TO: i64 = 2;

/// The newest version of each pipeline, and older ones with books that are not at their end. $1 is
/// the number of buckets, $2 their unit.
const QUERY: &str = "with period as ( \
       select b.now, pg_catalog.date_trunc($2, b.now at time zone 'UTC') at time zone 'UTC' \
         - ($1 - 1) * ('1 ' || $2)::interval as since \
       from (select bindery_internal.now() as now) b \
     ), books as ( \
       select b.pipeline, b.pipeline_version, b.status, count(*) as books, \
         count(*) filter (where b.completed_at is null) as unfinished \
       from bindery.book_status b group by 1, 2, 3 \
     ), failures as ( \
       select b.pipeline, b.pipeline_version, e.stage, \
         pg_catalog.date_trunc($2, e.at at time zone 'UTC') at time zone 'UTC' as at, \
         count(*) as n \
       from period p \
       join bindery.book_events e on e.kind = 'fail' and e.at >= p.since \
       join bindery.book_status b on b.book_id = e.book_id \
       group by 1, 2, 3, 4 \
     ), durations as ( \
       select d.* from bindery.stage_durations() d \
     ), shown as ( \
       select d.name, d.version, d.machine from bindery.pipelines d \
       where d.version = (select max(o.version) from bindery.pipelines o where o.name = d.name) \
         or exists (select from books b where b.pipeline = d.name \
           and b.pipeline_version = d.version and b.unfinished > 0 and b.status <> 'CANCELLED') \
     ) \
     select pg_catalog.jsonb_build_object('now', p.now, 'since', p.since, 'bucket', $2, \
       'pipelines', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
         'name', s.name, 'version', s.version, \
         'states', (select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
             'name', m.state -> 'name', 'label', m.state -> 'label', \
             'weight', m.state -> 'weight', 'final', m.state -> 'final', \
             'next', pg_catalog.jsonb_path_query_array(m.state, '$.next[*].to'), \
             'rework', m.state -> 'rework', 'max_attempts', m.state -> 'max_attempts', \
             'stall_after', m.state -> 'stall_after', 'retry_after', m.state -> 'retry_after') \
             order by m.place) \
           from pg_catalog.jsonb_array_elements(s.machine -> 'states') with ordinality \
             as m(state, place)), \
         'books', coalesce((select pg_catalog.jsonb_object_agg(b.status, b.books) from books b \
           where b.pipeline = s.name and b.pipeline_version = s.version), '{}'), \
         'stages', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
             'name', d.stage, 'median_seconds', d.median_seconds, 'p95_seconds', d.p95_seconds, \
             'samples', d.samples) order by d.stage) from durations d \
           where d.pipeline = s.name and d.pipeline_version = s.version), '[]'), \
         'failures', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
             'stage', f.stage, 'at', f.at, 'n', f.n) order by f.at, f.stage) from failures f \
           where f.pipeline = s.name and f.pipeline_version = s.version), '[]')) \
         order by s.name, s.version desc) from shown s), '[]'))::text \
     from period p";

/// The query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelinesQuery {
    days: Option<i64>,
}

/// The number of buckets and their unit.
fn buckets(days: i64) -> (i32, &'static str) {
    let (buckets, unit) = if days <= HOURS_UP_TO { (days * 24, "hour") } else { (days, "day") };
    (i32::try_from(buckets).unwrap_or(i32::MAX), unit)
}

/// `GET /api/pipelines`.
pub async fn pipelines(
    State(api): State<Api>,
    Operator(caller): Operator,
    query: Result<Query<PipelinesQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = query
        .map_err(|problem| ApiError::bad_request(problem.body_text(), "It takes only days."))?;
    let days = asked.days.unwrap_or(14);
    if !(1..=MOST_DAYS).contains(&days) {
        let hint = "Give how many days of failures to count.";
        return Err(ApiError::bad_request(format!("days must be 1 to {MOST_DAYS}"), hint));
    }
    let (buckets, unit) = buckets(days);
    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, &caller, Intent::Read).await?;
    let values: [(&(dyn postgres_types::ToSql + Sync), Type); 2] =
        [(&buckets, Type::INT4), (&unit, Type::TEXT)];
    let rows = ask(&transaction, &caller, QUERY, &values).await?;
    let found = rows.first().map(|row| text(row, 0)).ok_or_else(ApiError::unavailable)??;
    Ok(json(found.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::buckets;

    #[test]
    fn few_days_are_counted_by_the_hour() {
        assert_eq!(buckets(1), (24, "hour"));
        assert_eq!(buckets(2), (48, "hour"));
        assert_eq!(buckets(3), (3, "day"));
        assert_eq!(buckets(90), (90, "day"));
    }
}
