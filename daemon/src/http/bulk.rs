//! Acts on many books: `POST /api/books/resume` and `/cancel`, by ids or by a filter, with a dry
//! run first. Each batch is a transaction of its own, with the caller's role; SQL decides what
//! becomes of each book.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use postgres_types::{ToSql, Type};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::acts::{Body, arguments};
use super::api::Api;
use super::auth::Caller;
use super::error::ApiError;
use super::list::Filter;
use super::pool::{Intent, Object, begin};
use super::query::{ask, json};

/// How many books a call may name, or act on.
pub const MOST_BOOKS: usize = 10_000;
/// How many books a transaction changes: their rows stay locked until it ends.
const AT_ONCE: usize = 100;
/// How many books a transaction of a dry run judges.
const JUDGED_AT_ONCE: usize = 1000;
/// After this time no further batch begins: with a statement's time limit, the last one still ends
/// within that of the request.
const BEGIN_WITHIN: Duration = Duration::from_secs(8);

/// Which books, and whether to change them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Resume {
    book_ids: Option<Vec<Uuid>>,
    filter: Option<Map<String, Value>>,
    dry_run: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cancel {
    book_ids: Option<Vec<Uuid>>,
    filter: Option<Map<String, Value>>,
    dry_run: bool,
    message: Option<String>,
}

/// The act on a batch of books.
enum Act {
    Resume,
    Cancel { message: Option<String> },
}

/// What became of a book.
#[derive(Debug, PartialEq, Serialize)]
struct Outcome {
    book_id: Uuid,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// The answer of a dry run.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Verdict {
    dry_run: bool,
    matching: usize,
    allowed: usize,
    refused: BTreeMap<String, usize>,
    more: bool,
}

/// The answer of an act.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Done {
    done: usize,
    refused: usize,
    results: Vec<Outcome>,
    more: bool,
}

/// `POST /api/books/resume`.
pub async fn resume(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Resume { book_ids, filter, dry_run } = arguments(&headers, body)?.unwrap_or_default();
    answer(&api, &caller, &Act::Resume, book_ids, filter, dry_run).await
}

/// `POST /api/books/cancel`.
pub async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Cancel { book_ids, filter, dry_run, message } =
        arguments(&headers, body)?.unwrap_or_default();
    answer(&api, &caller, &Act::Cancel { message }, book_ids, filter, dry_run).await
}

async fn answer(
    api: &Api,
    caller: &Caller,
    act: &Act,
    ids: Option<Vec<Uuid>>,
    filter: Option<Map<String, Value>>,
    dry_run: bool,
) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let mut client = api.live.pool.get().await?;
    let (books, more) = match (ids, filter) {
        (Some(ids), None) => (distinct(ids)?, false),
        (None, Some(filter)) => matching(&mut client, caller, &read_filter(filter)?).await?,
        _ => {
            return Err(ApiError::bad_request(
                "exactly one of book_ids and filter is required",
                r#"Give either {"book_ids": [...]} or {"filter": {"phase": "failed"}}."#,
            ));
        }
    };
    if books.is_empty() {
        // Refuses a caller without the right, as for other books.
        run(&mut client, caller, act, &[Uuid::nil()], true).await?;
    }
    let text = if dry_run {
        let verdict = judge(&mut client, caller, act, &books).await?;
        serde_json::to_string(&Verdict { more, ..verdict })
    } else {
        let done = perform(&mut client, caller, act, &books, begun).await?;
        let more = done.more || more;
        serde_json::to_string(&Done { more, ..done })
    };
    text.map(json).map_err(|_| ApiError::unavailable())
}

/// The filter of an object; serde would also accept an array, and take an empty one for all books.
fn read_filter(filter: Map<String, Value>) -> Result<Filter, ApiError> {
    serde_json::from_value(Value::Object(filter)).map_err(|problem| {
        ApiError::bad_request(
            format!("filter: {problem}"),
            "It takes status, phase, pipeline, owner_id, q and tag, as the list of books.",
        )
    })
}

/// The ids in order, each once.
fn distinct(mut ids: Vec<Uuid>) -> Result<Vec<Uuid>, ApiError> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MOST_BOOKS {
        return Err(ApiError::bad_request(
            format!("book_ids must be 1 to {MOST_BOOKS} ids"),
            "Send the others in a further call.",
        ));
    }
    Ok(ids)
}

/// The books that the caller sees and that match, in order of their ids; and whether there are more
/// of them.
async fn matching(
    client: &mut Object,
    caller: &Caller,
    filter: &Filter,
) -> Result<(Vec<Uuid>, bool), ApiError> {
    let transaction = begin(client, caller, Intent::Read).await?;
    let query = format!(
        "select b.book_id from bindery.book_status b where {} order by b.book_id limit {}",
        filter.condition(),
        MOST_BOOKS + 1
    );
    let rows = ask(&transaction, caller, &query, &filter.values().parameters()).await?;
    let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
    let mut books =
        rows.iter().map(|row| row.try_get(0).map_err(failed)).collect::<Result<Vec<_>, _>>()?;
    let more = books.len() > MOST_BOOKS;
    books.truncate(MOST_BOOKS);
    Ok((books, more))
}

/// What would become of the books.
async fn judge(
    client: &mut Object,
    caller: &Caller,
    act: &Act,
    books: &[Uuid],
) -> Result<Verdict, ApiError> {
    let mut verdict = Verdict { dry_run: true, matching: books.len(), ..Verdict::default() };
    for batch in books.chunks(JUDGED_AT_ONCE) {
        for Outcome { outcome, code, .. } in run(client, caller, act, batch, true).await? {
            match code {
                Some(code) if outcome == "refused" => {
                    *verdict.refused.entry(code).or_default() += 1
                }
                _ => verdict.allowed += 1,
            }
        }
    }
    Ok(verdict)
}

/// Acts on the books, batch by batch, for as long as there is time. After the first batch an error
/// ends the work, and the answer has what was done until then.
async fn perform(
    client: &mut Object,
    caller: &Caller,
    act: &Act,
    books: &[Uuid],
    begun: Instant,
) -> Result<Done, ApiError> {
    let mut done = Done::default();
    for batch in books.chunks(AT_ONCE) {
        if !done.results.is_empty() && begun.elapsed() > BEGIN_WITHIN {
            done.more = true;
            break;
        }
        match run(client, caller, act, batch, false).await {
            Ok(outcomes) => {
                let finished = outcomes.iter().filter(|book| book.outcome == "done").count();
                done.done += finished;
                done.refused += outcomes.len() - finished;
                done.results.extend(outcomes);
            }
            Err(error) if done.results.is_empty() => return Err(error),
            Err(_) => {
                done.more = true;
                break;
            }
        }
    }
    Ok(done)
}

/// One batch in a transaction.
async fn run(
    client: &mut Object,
    caller: &Caller,
    act: &Act,
    books: &[Uuid],
    dry_run: bool,
) -> Result<Vec<Outcome>, ApiError> {
    let intent = if dry_run { Intent::Read } else { Intent::Change };
    let transaction = begin(client, caller, intent).await?;
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> =
        vec![(&books, Type::UUID_ARRAY), (&dry_run, Type::BOOL)];
    let call = match act {
        Act::Resume => "bindery.resume_books($1, $2)",
        Act::Cancel { message } => {
            values.push((message, Type::TEXT));
            "bindery.cancel_books($1, $3, $2)"
        }
    };
    let query = format!("select a.book_id, a.outcome, a.code, a.reason from {call} a");
    let rows = ask(&transaction, caller, &query, &values).await?;
    let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, caller.has_token());
    let outcomes = rows
        .iter()
        .map(|row| {
            Ok(Outcome {
                book_id: row.try_get(0).map_err(failed)?,
                outcome: row.try_get(1).map_err(failed)?,
                code: row.try_get(2).map_err(failed)?,
                message: row.try_get(3).map_err(failed)?,
            })
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    transaction.commit().await.map_err(failed)?;
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_once_each_in_order_and_within_the_limit() {
        let of = |ids: &[u128]| ids.iter().copied().map(Uuid::from_u128).collect::<Vec<_>>();
        assert_eq!(distinct(of(&[3, 1, 3, 2])).unwrap(), of(&[1, 2, 3]));
        assert!(distinct(Vec::new()).is_err());
        let most: Vec<u128> = (0..MOST_BOOKS as u128).collect();
        assert_eq!(distinct(of(&most)).unwrap().len(), MOST_BOOKS);
        let twice: Vec<u128> = most.iter().chain(&most).copied().collect();
        assert_eq!(distinct(of(&twice)).unwrap().len(), MOST_BOOKS);
        assert!(distinct(of(&(0..=MOST_BOOKS as u128).collect::<Vec<_>>())).is_err());
    }
}
