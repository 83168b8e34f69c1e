//! Calls of the relay's functions: `acquire_stream`, `renew_stream`, `note_stream`,
//! `release_stream` and `apply_events`, in one round trip each.
//!
//! Parameters are sent with their types, without a prepared statement: preparing takes a second
//! round trip and fails behind a pooler in transaction mode.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{Debug, Display, Write};
use std::mem::take;
use std::time::{Duration, SystemTime};

use bindery_core::batch::Batch;
use bindery_core::stream_id::StreamId;
use bytes::BytesMut;
use postgres_types::{IsNull, Json, ToSql, Type, accepts, to_sql_checked};
use tokio_postgres::Client;
use uuid::Uuid;

use super::DatabaseError;

/// The functions of schema `bindery` that `binderyd run` calls with the rights of its own login.
/// `access/grants.sql` grants them to `bindery_relay`.
pub const FUNCTIONS: [&str; 14] = [
    "acquire_stream",
    "announce_relay",
    "apply_events",
    "dead_letter_reasons",
    "early_backlog",
    "make_realtime_policy",
    "note_stream",
    "note_waiting",
    "outbox_backlog",
    "release_stream",
    "renew_stream",
    "send_held_broadcasts",
    "sweep",
    "take_outbox",
];

/// How many waiting books one call records; `note_waiting` accepts up to 10,000.
const NOTED_AT_ONCE: usize = 5_000;

/// Applies a batch without progress.
const APPLY_OTHERS: &str =
    "select applied, stale, early, rejected from bindery.apply_events($1, $2, $3, $4)";
/// Applies a batch; the parameters from $5 on are [`bindery_core::batch::ProgressColumns`], in its
/// order.
const APPLY: &str = "select applied, stale, early, rejected \
    from bindery.apply_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

/// A value sent as its text, for a `text` parameter.
#[derive(Debug)]
struct Text<T>(T);

impl<T: Display + Debug> ToSql for Text<T> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        write!(out, "{}", self.0)?;
        Ok(IsNull::No)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

/// A parameter with its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The right to apply a stream's events.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The stream.
    pub stream: String,
    /// The fencing token.
    pub epoch: i64,
    /// The last entry whose effect is in the database.
    pub position: StreamId,
    /// How many entries Redis had counted up to `position`; `None`: unknown.
    pub entries: Option<u64>,
    /// When it was acquired, by the database's clock.
    pub since: SystemTime,
    /// The latest moment of that clock at which the relay was caught up; `None`: never.
    pub caught_up_at: Option<SystemTime>,
    ttl: Duration,
}

/// The outcomes of a batch's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Applied events.
    pub applied: i64,
    /// Stale events.
    pub stale: i64,
    /// Early events, which wait in `early_events`.
    pub early: i64,
    /// Rejected events, which are in `dead_letters`.
    pub rejected: i64,
}

impl Applied {
    /// The number of settled events: applied, stale, early or rejected.
    pub fn settled(self) -> i64 {
        self.applied + self.stale + self.early + self.rejected
    }
}

impl Lease {
    /// Acquires the lease on a stream, with a new epoch.
    pub async fn acquire(
        client: &Client,
        stream: &str,
        holder: &str,
        ttl: Duration,
    ) -> Result<Self, DatabaseError> {
        let millis = format!("{} milliseconds", ttl.as_millis());
        let row = client
            .query_typed_one(
                "select epoch, position, lease_expires_at, entries, caught_up_at from bindery.acquire_stream($1, $2, $3::text::interval)",
                &[(&stream, Type::TEXT), (&holder, Type::TEXT), (&millis, Type::TEXT)],
            )
            .await?;
        let position: String = row.try_get(1)?;
        // The column's check allows only stream ids; a number above 64 bits is after any entry.
        let position = position.parse().unwrap_or(StreamId { ms: u64::MAX, seq: u64::MAX });
        let expires: SystemTime = row.try_get(2)?;
        let entries: Option<i64> = row.try_get(3)?;
        let entries = entries.and_then(|entries| u64::try_from(entries).ok());
        Ok(Self {
            stream: stream.to_owned(),
            epoch: row.try_get(0)?,
            position,
            entries,
            since: expires - ttl,
            caught_up_at: row.try_get(4)?,
            ttl,
        })
    }

    /// Renews the lease, and reports up to which moment of the database's clock everything is
    /// applied. Returns a moment of that clock between this call and its answer.
    pub async fn renew(
        &self,
        client: &Client,
        caught_up: Option<SystemTime>,
    ) -> Result<SystemTime, DatabaseError> {
        let row = client
            .query_typed_one(
                "select bindery.renew_stream($1, $2, $3)",
                &[
                    (&self.stream, Type::TEXT),
                    (&self.epoch, Type::INT8),
                    (&caught_up, Type::TIMESTAMPTZ),
                ],
            )
            .await?;
        let expires: SystemTime = row.try_get(0)?;
        Ok(expires - self.ttl)
    }

    /// Records a finding about the stream: how many entries Redis counted up to the position, the
    /// loss and how many entries are known to be lost, and the position to read on from instead.
    pub async fn note(
        &self,
        client: &Client,
        entries: Option<u64>,
        loss: Option<&str>,
        lost: u64,
        position: Option<StreamId>,
    ) -> Result<(), DatabaseError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        client
            .query_typed(
                "select bindery.note_stream($1, $2, $3, $4, $5, $6)",
                &[
                    (&self.stream, Type::TEXT),
                    (&self.epoch, Type::INT8),
                    (&entries.map(number), Type::INT8),
                    (&loss, Type::TEXT),
                    (&number(lost), Type::INT8),
                    (&position.map(|position| position.to_string()), Type::TEXT),
                ],
            )
            .await?;
        Ok(())
    }

    /// Records the books with a job of this stage that waits in the stream's queue, and the attempt
    /// of each. All other books have none.
    pub async fn note_waiting(
        &self,
        client: &Client,
        stage: &str,
        books: &BTreeMap<Uuid, Option<i32>>,
    ) -> Result<(), DatabaseError> {
        let (mut left, mut first) = (books.iter().peekable(), Uuid::nil());
        loop {
            let (ids, attempts): (Vec<Uuid>, Vec<Option<i32>>) =
                left.by_ref().take(NOTED_AT_ONCE).map(|(&book, &attempt)| (book, attempt)).unzip();
            let is_last = left.peek().is_none();
            let last = ids.last().copied().filter(|_| !is_last).unwrap_or(Uuid::max());
            client
                .query_typed(
                    "select bindery.note_waiting($1, $2, $3, $4, $5, $6, $7)",
                    &[
                        (&self.stream, Type::TEXT),
                        (&self.epoch, Type::INT8),
                        (&stage, Type::TEXT),
                        (&first, Type::UUID),
                        (&last, Type::UUID),
                        (&ids, Type::UUID_ARRAY),
                        (&attempts, Type::INT4_ARRAY),
                    ],
                )
                .await?;
            if is_last {
                return Ok(());
            }
            first = Uuid::from_u128(last.as_u128() + 1);
        }
    }

    /// The rejection reasons of events after `after`, with their counts. `rejected` is the maximum
    /// number of events.
    pub async fn reasons(
        &self,
        client: &Client,
        after: StreamId,
        rejected: i64,
    ) -> Result<Vec<(String, u64)>, DatabaseError> {
        let rows = client
            .query_typed(
                "select reason, events from bindery.dead_letter_reasons($1, $2, $3)",
                &[
                    (&self.stream, Type::TEXT),
                    (&after.to_string(), Type::TEXT),
                    (&i32::try_from(rejected).unwrap_or(i32::MAX), Type::INT4),
                ],
            )
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs())))
            .collect()
    }

    /// Releases the lease.
    pub async fn release(&self, client: &Client) -> Result<(), DatabaseError> {
        client
            .query_typed(
                "select bindery.release_stream($1, $2)",
                &[(&self.stream, Type::TEXT), (&self.epoch, Type::INT8)],
            )
            .await?;
        Ok(())
    }

    /// Applies a batch and moves the position to its last event, in one transaction; also renews
    /// the lease.
    pub async fn apply(
        &self,
        client: &Client,
        batch: Batch,
        position: StreamId,
    ) -> Result<Applied, DatabaseError> {
        let (mut progress, others) = batch.into_parts();
        let (position, others) = (position.to_string(), Json(others));
        let texts = |ids: &mut Vec<_>| take(ids).into_iter().map(Text).collect::<Vec<_>>();
        let (first_ids, ids) = (texts(&mut progress.first_ids), texts(&mut progress.ids));
        let head: [Parameter<'_>; 4] = [
            (&self.stream, Type::TEXT),
            (&self.epoch, Type::INT8),
            (&position, Type::TEXT),
            (&others, Type::JSONB),
        ];
        let columns: [Parameter<'_>; 14] = [
            (&progress.segments, Type::INT4_ARRAY),
            (&progress.book_ids, Type::UUID_ARRAY),
            (&progress.stages, Type::TEXT_ARRAY),
            (&progress.substeps, Type::TEXT_ARRAY),
            (&progress.attempts, Type::INT4_ARRAY),
            (&progress.progress, Type::FLOAT8_ARRAY),
            (&progress.done, Type::FLOAT8_ARRAY),
            (&progress.totals, Type::FLOAT8_ARRAY),
            (&progress.units, Type::TEXT_ARRAY),
            (&progress.messages, Type::TEXT_ARRAY),
            (&progress.checkpoints, Type::TEXT_ARRAY),
            (&progress.counts, Type::INT8_ARRAY),
            (&first_ids, Type::TEXT_ARRAY),
            (&ids, Type::TEXT_ARRAY),
        ];
        let (query, parameters) = if progress.is_empty() {
            (APPLY_OTHERS, head.to_vec())
        } else {
            (APPLY, [&head[..], &columns].concat())
        };
        let row = client.query_typed_one(query, &parameters).await?;
        Ok(Applied {
            applied: row.try_get(0)?,
            stale: row.try_get(1)?,
            early: row.try_get(2)?,
            rejected: row.try_get(3)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::schema::Schema;

    /// The names that follow `bindery.` in a text, where the character after them is this one.
    fn named(text: &str, after: char, names: &mut BTreeSet<String>) {
        for rest in text.split("bindery.").skip(1) {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_lowercase());
            if let Some(end) = end.filter(|end| rest[*end..].starts_with(after)) {
                names.insert(rest[..end].to_owned());
            }
        }
    }

    fn called_in(path: &Path, names: &mut BTreeSet<String>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                called_in(&entry.unwrap().path(), names);
            }
        } else {
            named(&std::fs::read_to_string(path).unwrap(), '(', names);
        }
    }

    #[test]
    fn the_listed_functions_are_those_that_the_daemon_calls_and_bindery_relay_may_call() {
        let listed: BTreeSet<String> = FUNCTIONS.map(str::to_owned).into();
        assert!(FUNCTIONS.is_sorted() && listed.len() == FUNCTIONS.len());

        let mut called = BTreeSet::new();
        for part in [
            "database",
            "relay.rs",
            "relay",
            "broadcasts.rs",
            "channel.rs",
            "outbox.rs",
            "sweep.rs",
        ] {
            called_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(part), &mut called);
        }
        assert_eq!(listed, called);

        let schema = Schema::compiled_in().unwrap();
        let (_, rest) = schema
            .file("access/grants.sql")
            .unwrap()
            .split_once("('service_role, bindery_relay', array[")
            .unwrap();
        let mut granted = BTreeSet::new();
        named(rest.split(']').next().unwrap(), '\'', &mut granted);
        assert_eq!(listed, granted);
    }
}
