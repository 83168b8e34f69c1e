//! Dead letters and early events: lists, replaying and dropping.
//!
//! A replay or a drop works in batches, each a transaction of its own, and ends early with `next`
//! when its time is over.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use postgres_types::Type;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use tokio_postgres::Transaction;
use uuid::Uuid;

use super::acts::Body;
use super::api::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::operator::{Operator, body};
use super::pool::{Intent, begin};
use super::query::{ask, items_of, json, limit, page, text};
use crate::dead_letters::{self, CONDITION, Filter, REPLAYABLE, Replayed};

/// The maximum number of items in a page.
pub const MOST: i64 = 200;
/// The maximum number of ids in a choice.
pub const MOST_IDS: usize = 10_000;
/// A replay or a drop begins no further batch after this time.
const WORK_WITHIN: Duration = Duration::from_secs(5);
/// The number of dead letters in one transaction of a replay, and of a drop.
const REPLAY_BATCH: i64 = 100;
const DROP_BATCH: i64 = 2_000;
/// The maximum size of a payload in a list; a larger one loses its largest fields.
const PAYLOAD_BYTES: usize = 16 * 1024;

/// The query parameters of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListQuery {
    reason: Option<String>,
    stream: Option<String>,
    book_id: Option<Uuid>,
    q: Option<String>,
    counts: bool,
    total: bool,
    limit: Option<i64>,
    after: Option<i64>,
}

impl ListQuery {
    fn filter(&self) -> Filter {
        let filter = Filter {
            stream: self.stream.clone(),
            reason: self.reason.clone(),
            book_id: self.book_id,
            q: self.q.clone(),
            ids: None,
            replayable: false,
        };
        trimmed(filter)
    }
}

/// The filter without white space around the search text; an empty text is no condition.
fn trimmed(filter: Filter) -> Filter {
    let q = filter.q.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    Filter { q, ..filter }
}

type Asked = Result<Query<ListQuery>, QueryRejection>;

/// `GET /api/dead-letters`.
pub async fn list(
    State(api): State<Api>,
    Operator(caller): Operator,
    query: Asked,
) -> Result<Response, ApiError> {
    let own = format!(
        "'truncated', d.truncated, 'replayable', {REPLAYABLE}, 'replayed_at', d.replayed_at"
    );
    read(&api, &caller, query, "dead_letters", &own).await
}

/// `GET /api/early-events`.
pub async fn list_early(
    State(api): State<Api>,
    Operator(caller): Operator,
    query: Asked,
) -> Result<Response, ApiError> {
    let own = "'expires_at', d.at + (select s.patience from bindery.settings s)";
    read(&api, &caller, query, "early_events", own).await
}

/// A page of a table, with fields of its own.
async fn read(
    api: &Api,
    caller: &Caller,
    query: Asked,
    table: &str,
    own: &str,
) -> Result<Response, ApiError> {
    let Query(asked) = query.map_err(|problem| {
        ApiError::bad_request(problem.body_text(), "See docs/http.md for the parameters.")
    })?;
    let limit = limit(asked.limit, 50, MOST)?;
    let (filter, after) = (asked.filter(), asked.after.unwrap_or(i64::MAX));
    let items = format!(
        "select pg_catalog.row_number() over (order by d.id desc) as number, \
           pg_catalog.jsonb_build_object('id', d.id, 'stream', d.stream, 'event_id', d.event_id, \
             'first_event_id', d.first_event_id, 'count', d.count, 'book_id', d.book_id, \
             'reason', d.reason, 'message', d.message, 'at', d.at, \
             'payload', bindery_internal.cut_json(d.payload, {PAYLOAD_BYTES}), {own})::text \
             as item, d.id::text as place \
         from bindery.{table} d where {CONDITION} and d.id < $6 order by d.id desc limit $7"
    );
    let mut values = filter.values().to_vec();
    let most = limit + 1;
    values.extend([(&after as _, Type::INT8), (&most as _, Type::INT8)]);

    let mut client = api.live.pool.get().await?;
    let transaction = begin(&mut client, caller, Intent::Read).await?;
    let rows = ask(&transaction, caller, &page(&items, limit), &values).await?;
    let (found, next) = items_of(&rows)?;
    let mut more = String::new();
    if asked.total {
        let total = count(&transaction, caller, table, "count(*)", &filter).await?;
        more += &format!(r#","total":{total}"#);
    }
    if asked.counts {
        // By reason, so of every reason.
        let filter = Filter { reason: None, ..filter };
        let counts =
            "select coalesce(pg_catalog.jsonb_object_agg(c.reason, c.letters), '{}')::text";
        let query = format!(
            "{counts} from (select d.reason, count(*) as letters from bindery.{table} d \
             where {CONDITION} group by d.reason) c"
        );
        let rows = ask(&transaction, caller, &query, &filter.values()).await?;
        let counts = rows.first().map(|row| text(row, 0)).ok_or_else(ApiError::unavailable)??;
        more += &format!(r#","counts":{counts}"#);
    }
    let (found, next) = (found.join(","), next.unwrap_or("null"));
    Ok(json(format!(r#"{{"{table}":[{found}],"next":{next}{more}}}"#)))
}

/// An aggregate of the chosen rows as text.
async fn count(
    transaction: &Transaction<'_>,
    caller: &Caller,
    table: &str,
    aggregate: &str,
    filter: &Filter,
) -> Result<String, ApiError> {
    let query = format!("select ({aggregate})::text from bindery.{table} d where {CONDITION}");
    let rows = ask(transaction, caller, &query, &filter.values()).await?;
    rows.first().map(|row| text(row, 0).map(str::to_owned)).ok_or_else(ApiError::unavailable)?
}

/// The body of a replay or a drop.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Choice {
    ids: Option<Vec<i64>>,
    #[serde(deserialize_with = "object")]
    filter: Option<Filter>,
    dry_run: bool,
    after: Option<i64>,
    through: Option<i64>,
}

/// The filter of an object; serde would also accept an array, and take an empty one for all dead
/// letters.
fn object<'de, D: Deserializer<'de>>(given: D) -> Result<Option<Filter>, D::Error> {
    Option::<Map<String, Value>>::deserialize(given)?
        .map(|filter| serde_json::from_value(Value::Object(filter)).map_err(D::Error::custom))
        .transpose()
}

impl Choice {
    /// The filter; exactly one of `ids` and `filter` is required, so that an empty body, or a
    /// misspelled key, does not choose all.
    fn filter(&self) -> Result<Filter, ApiError> {
        let hint = r#"Give {"ids": [1, 2]} or {"filter": {"reason": "…"}}; {} is all of them."#;
        match (&self.ids, &self.filter) {
            (Some(ids), None) if (1..=MOST_IDS).contains(&ids.len()) => {
                Ok(Filter { ids: Some(ids.clone()), ..Filter::default() })
            }
            (Some(_), None) => Err(ApiError::bad_request(
                format!("ids must have 1 to {MOST_IDS} numbers"),
                "Give a filter, or fewer ids at a time.",
            )),
            (None, Some(filter)) => Ok(trimmed(filter.clone())),
            (Some(_), Some(_)) => {
                Err(ApiError::bad_request("ids and filter exclude each other", hint))
            }
            (None, None) => Err(ApiError::bad_request("ids or filter is missing", hint)),
        }
    }
}

/// What is done with the chosen dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Replay,
    Drop,
}

/// `POST /api/dead-letters/replay`: applies dead letters again.
pub async fn replay(
    State(api): State<Api>,
    Operator(caller): Operator,
    headers: HeaderMap,
    given: Body,
) -> Result<Response, ApiError> {
    act(&api, &caller, Act::Replay, body(&headers, given)?).await
}

/// `POST /api/dead-letters/drop`: deletes dead letters permanently.
pub async fn discard(
    State(api): State<Api>,
    Operator(caller): Operator,
    headers: HeaderMap,
    given: Body,
) -> Result<Response, ApiError> {
    act(&api, &caller, Act::Drop, body(&headers, given)?).await
}

async fn act(api: &Api, caller: &Caller, act: Act, choice: Choice) -> Result<Response, ApiError> {
    let mut filter = choice.filter()?;
    let mut client = api.live.pool.get().await?;
    if choice.dry_run {
        let transaction = begin(&mut client, caller, Intent::Read).await?;
        let counts = format!(
            "pg_catalog.jsonb_build_object('dry_run', true, 'matching', count(*), \
             'replayable', count(*) filter (where {REPLAYABLE}), 'through', max(d.id))"
        );
        return Ok(json(count(&transaction, caller, "dead_letters", &counts, &filter).await?));
    }
    // Skip entries that are no events, unless the caller names them: then count them as rejected.
    filter.replayable = act == Act::Replay && filter.ids.is_none();
    let failed = |error| ApiError::from_postgres(&error, caller.has_token());
    let (through, began) = (choice.through.unwrap_or(i64::MAX), Instant::now());
    let (mut after, mut replayed, mut dropped) =
        (choice.after.unwrap_or(0), Replayed::default(), 0_i64);
    let batch = if act == Act::Replay { REPLAY_BATCH } else { DROP_BATCH };
    let mut is_first = true;
    let next = loop {
        if !is_first && began.elapsed() >= WORK_WITHIN {
            break Some(after);
        }
        let transaction = begin(&mut client, caller, Intent::Change).await?;
        let ids = filter.ids(&transaction, after, through, batch).await.map_err(failed)?;
        let Some(last) = ids.last().copied() else { break None };
        let outcome = match act {
            Act::Replay => dead_letters::replay(&transaction, &ids).await.map(|more| {
                replayed.add(more);
            }),
            Act::Drop => dead_letters::drop_letters(&transaction, &ids).await.map(|more| {
                dropped += more;
            }),
        };
        match outcome {
            // Earlier batches are committed: their outcome is the answer. The next call meets the
            // error again.
            Err(_) if !is_first => break Some(after),
            outcome => outcome.map_err(failed)?,
        }
        transaction.commit().await.map_err(failed)?;
        (after, is_first) = (last, false);
        if i64::try_from(ids.len()).is_ok_and(|found| found < batch) {
            break None;
        }
    };
    let mut answer = match act {
        Act::Replay => json!(replayed),
        Act::Drop => json!({ "dropped": dropped }),
    };
    answer["more"] = Value::from(next.is_some());
    answer["next"] = json!(next);
    Ok(Json(answer).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(body: &str) -> Result<Filter, ApiError> {
        serde_json::from_str::<Choice>(body).unwrap().filter()
    }

    #[test]
    fn a_choice_is_ids_or_a_filter_and_never_all_by_accident() {
        assert_eq!(filter(r#"{"ids": [3]}"#).unwrap().ids, Some(vec![3]));
        let chosen = filter(r#"{"filter": {"reason": "bad_uuid", "q": " x "}}"#).unwrap();
        assert_eq!((chosen.reason.as_deref(), chosen.q.as_deref()), (Some("bad_uuid"), Some("x")));
        assert!(filter(r#"{"filter": {}}"#).is_ok());
        for refused in ["{}", r#"{"ids": []}"#, r#"{"ids": [1], "filter": {}}"#] {
            assert!(filter(refused).is_err(), "{refused}");
        }
        let many = serde_json::json!({ "ids": vec![1; MOST_IDS + 1] }).to_string();
        assert!(filter(&many).is_err());
        for wrong in [
            r#"{"filter": {"reson": "x"}}"#,
            r#"{"id": 1}"#,
            r#"{"filter": []}"#,
            r#"{"filter": ["stream"]}"#,
        ] {
            assert!(serde_json::from_str::<Choice>(wrong).is_err(), "{wrong}");
        }
    }
}
