//! Dead letters: the filter, reading, replaying and dropping, for `binderyd dead-letters` and for
//! the API. Early events have the same columns, so the filter fits them, too.

use postgres_types::{ToSql, Type};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Error, GenericClient, Row};
use uuid::Uuid;

/// The filter of dead letters; all given conditions must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Of this stream.
    pub stream: Option<String>,
    /// With this rejection reason.
    pub reason: Option<String>,
    /// About this book.
    pub book_id: Option<Uuid>,
    /// A part of the message, or the beginning of the event's or the book's id.
    pub q: Option<String>,
    /// With these ids.
    #[serde(skip)]
    pub ids: Option<Vec<i64>>,
    /// Only those that can be applied again ([`REPLAYABLE`]).
    #[serde(skip)]
    pub replayable: bool,
}

/// The condition on a row `d`; $1 to $5 are [`Filter::values`].
pub const CONDITION: &str = "($1::text is null or d.stream = $1) \
     and ($2::text is null or d.reason = $2) and ($3::uuid is null or d.book_id = $3) \
     and ($4::text is null \
       or pg_catalog.strpos(pg_catalog.lower(d.message), pg_catalog.lower($4)) > 0 \
       or pg_catalog.starts_with(d.event_id, $4) \
       or pg_catalog.starts_with(d.book_id::text, pg_catalog.lower($4))) \
     and ($5::bigint[] is null or d.id = any ($5))";

/// Whether a dead letter `d` is an event that can be applied again; never null.
pub const REPLAYABLE: &str = "(not d.truncated \
     and pg_catalog.jsonb_typeof(d.payload -> 'count') is not distinct from 'number')";

/// Where a list continues.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// After this id, the oldest first.
    After(i64),
    /// Before this id, the newest first.
    Before(i64),
}

/// The number of events that a replay settled, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// They took effect.
    pub applied: i64,
    /// They came too late and have no effect.
    pub stale: i64,
    /// They were rejected again and are kept.
    pub rejected: i64,
}

impl Replayed {
    /// Adds another outcome.
    pub fn add(&mut self, other: Self) {
        self.applied += other.applied;
        self.stale += other.stale;
        self.rejected += other.rejected;
    }
}

impl Filter {
    /// The values of [`CONDITION`].
    pub fn values(&self) -> [(&(dyn ToSql + Sync), Type); 5] {
        [
            (&self.stream, Type::TEXT),
            (&self.reason, Type::TEXT),
            (&self.book_id, Type::UUID),
            (&self.q, Type::TEXT),
            (&self.ids, Type::INT8_ARRAY),
        ]
    }

    /// Reads these columns of the chosen dead letters `d`, up to `through`, from a place on.
    pub async fn rows<C: GenericClient + Sync>(
        &self,
        client: &C,
        columns: &str,
        place: Place,
        through: i64,
        most: i64,
    ) -> Result<Vec<Row>, Error> {
        let (place, comparison, order) = match place {
            Place::After(id) => (id, ">", "asc"),
            Place::Before(id) => (id, "<", "desc"),
        };
        let only = if self.replayable { format!(" and {REPLAYABLE}") } else { String::new() };
        let query = format!(
            "select {columns} from bindery.dead_letters d \
             where {CONDITION}{only} and d.id {comparison} $6 and d.id <= $7 \
             order by d.id {order} limit $8"
        );
        let mut values = self.values().to_vec();
        values.extend([(&place as _, Type::INT8), (&through as _, Type::INT8)]);
        values.push((&most, Type::INT8));
        client.query_typed(&query, &values).await
    }

    /// The ids of the next chosen dead letters after one, up to `through`, the oldest first.
    pub async fn ids<C: GenericClient + Sync>(
        &self,
        client: &C,
        after: i64,
        through: i64,
        most: i64,
    ) -> Result<Vec<i64>, Error> {
        let rows = self.rows(client, "d.id", Place::After(after), through, most).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}

/// Replays these dead letters, at most 10,000, in the order of their ids.
pub async fn replay<C: GenericClient + Sync>(client: &C, ids: &[i64]) -> Result<Replayed, Error> {
    let query = "select applied, stale, rejected \
        from bindery.replay_dead_letters(ids => $1, max_letters => 10000)";
    let row = client.query_typed_one(query, &[(&ids, Type::INT8_ARRAY)]).await?;
    Ok(Replayed { applied: row.try_get(0)?, stale: row.try_get(1)?, rejected: row.try_get(2)? })
}

/// Drops these dead letters, 1 to 10,000; returns how many there were.
pub async fn drop_letters<C: GenericClient + Sync>(client: &C, ids: &[i64]) -> Result<i64, Error> {
    let query = "select bindery.drop_dead_letters($1)";
    let row = client.query_typed_one(query, &[(&ids, Type::INT8_ARRAY)]).await?;
    Ok(i64::from(row.try_get::<_, i32>(0)?))
}
