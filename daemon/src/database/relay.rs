//! The relay's functions: `acquire_stream`, `renew_stream`, `note_stream`, `release_stream`, `apply_events`; one round trip each.
//!
//! Parameters are sent with their types, so that no statement has to be prepared first: that would be a second round trip, and
//! would not survive a pooler in transaction mode.

use std::time::{Duration, SystemTime};

use bindery_core::batch::Batch;
use bindery_core::stream_id::StreamId;
use postgres_types::{Json, Type};
use tokio_postgres::Client;

use super::DatabaseError;

/// The right to apply a stream's events.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The stream.
    pub stream: String,
    /// The fencing token.
    pub epoch: i64,
    /// The last entry whose effect is in the database.
    pub position: StreamId,
    /// How many entries Redis had counted up to there; `None`: not known.
    pub entries: Option<u64>,
    /// When it was taken, by the database's clock.
    pub since: SystemTime,
    ttl: Duration,
}

/// What became of a batch's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Took effect.
    pub applied: i64,
    /// Came too late.
    pub stale: i64,
    /// Went to dead_letters.
    pub dead: i64,
}

impl Lease {
    /// Takes the lease on a stream, with a new epoch.
    pub async fn acquire(client: &Client, stream: &str, holder: &str, ttl: Duration) -> Result<Self, DatabaseError> {
        let millis = format!("{} milliseconds", ttl.as_millis());
        let row = client
            .query_typed_one(
                "select epoch, position, lease_expires_at, entries from bindery.acquire_stream($1, $2, $3::text::interval)",
                &[(&stream, Type::TEXT), (&holder, Type::TEXT), (&millis, Type::TEXT)],
            )
            .await?;
        let position: String = row.try_get(1)?;
        // The column's check lets only stream ids in; a number past 64 bits is further than any stream.
        let position = position.parse().unwrap_or(StreamId { ms: u64::MAX, seq: u64::MAX });
        let expires: SystemTime = row.try_get(2)?;
        let entries: Option<i64> = row.try_get(3)?;
        let entries = entries.and_then(|entries| u64::try_from(entries).ok());
        Ok(Self { stream: stream.to_owned(), epoch: row.try_get(0)?, position, entries, since: expires - ttl, ttl })
    }

    /// Says that this relay is alive, and up to which moment of the database's clock it is known to have applied everything.
    /// Gives a moment of that clock: after this was called, before it is answered.
    pub async fn renew(&self, client: &Client, caught_up: Option<SystemTime>) -> Result<SystemTime, DatabaseError> {
        let row = client
            .query_typed_one(
                "select bindery.renew_stream($1, $2, $3)",
                &[(&self.stream, Type::TEXT), (&self.epoch, Type::INT8), (&caught_up, Type::TIMESTAMPTZ)],
            )
            .await?;
        let expires: SystemTime = row.try_get(0)?;
        Ok(expires - self.ttl)
    }

    /// Says what the stream was found to be: how many entries Redis counted at the position, what is missing and how many entries
    /// of it are known to be lost, and where to read on instead of the position.
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

    /// Why events after `after` went to the dead letters, and how many for each reason. `dead` is how many there are at most.
    pub async fn reasons(
        &self,
        client: &Client,
        after: StreamId,
        dead: i64,
    ) -> Result<Vec<(String, u64)>, DatabaseError> {
        let rows = client
            .query_typed(
                "select reason, events from bindery.dead_letter_reasons($1, $2, $3)",
                &[
                    (&self.stream, Type::TEXT),
                    (&after.to_string(), Type::TEXT),
                    (&i32::try_from(dead).unwrap_or(i32::MAX), Type::INT4),
                ],
            )
            .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs()))).collect()
    }

    /// Gives the stream up at once.
    pub async fn release(&self, client: &Client) -> Result<(), DatabaseError> {
        client
            .query_typed(
                "select bindery.release_stream($1, $2)",
                &[(&self.stream, Type::TEXT), (&self.epoch, Type::INT8)],
            )
            .await?;
        Ok(())
    }

    /// Applies a batch and moves the position to its last event, in one transaction; also renews the lease.
    pub async fn apply(&self, client: &Client, batch: &Batch, position: StreamId) -> Result<Applied, DatabaseError> {
        let row = client
            .query_typed_one(
                "select applied, stale, dead from bindery.apply_events($1, $2, $3, $4)",
                &[
                    (&self.stream, Type::TEXT),
                    (&self.epoch, Type::INT8),
                    (&position.to_string(), Type::TEXT),
                    (&Json(batch), Type::JSONB),
                ],
            )
            .await?;
        Ok(Applied { applied: row.try_get(0)?, stale: row.try_get(1)?, dead: row.try_get(2)? })
    }
}
