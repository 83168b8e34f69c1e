//! What a stream about all books has told its reader: so that it tells what is new, and takes back
//! what is no longer to be seen.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use postgres_types::{ToSql, Type};
use tokio_postgres::Transaction;
use uuid::Uuid;

use super::auth::Caller;
use super::books::ask;
use super::error::ApiError;
use super::events::{event, with_since};
use super::hub::Marks;
use super::pool::{Intent, begin};
use super::router::Api;

/// Books that are looked at without a mark: the newest.
const WATCHED: i64 = 1000;
/// Books known at most; the oldest are forgotten first, which costs no more than a take-back.
const KNOWN: usize = 2000;
/// Health is worked out for each book; where streams look by themselves they do so too often for
/// that.
const HEALTH_EVERY: Duration = Duration::from_secs(14);
/// Books read and sent at once, as far as they fit.
const AT_ONCE: usize = 20;
/// What is sent at once; a status alone is no larger.
const MOST_BYTES: i64 = 256 * 1024;

/// Each book as it was last told, and those to be told of next.
#[derive(Debug)]
pub struct Listing {
    owner: Option<Uuid>,
    told: HashMap<Uuid, Seen>,
    due: BTreeSet<Uuid>,
    health_at: Instant,
}

type Seen = (i64, Option<String>);

impl Listing {
    /// The books as they are now, which the reader reads for itself.
    pub async fn begin(api: &Api, caller: &Caller, owner: Option<Uuid>) -> Result<Self, ApiError> {
        let mut client = api.pool.get().await?;
        let transaction = begin(&mut client, caller, Intent::Read).await?;
        let told = glance(&transaction, caller, owner, &[], true).await?;
        Ok(Self { owner, told, due: BTreeSet::new(), health_at: Instant::now() })
    }

    /// Some events for what is due, with what was marked; and whether more is due. However much
    /// changes at once, and however slowly it is read, these events take at most 256 KiB.
    pub async fn look(
        &mut self,
        api: &Api,
        caller: &Caller,
        marks: Marks,
    ) -> Result<(String, bool), ApiError> {
        let mut client = api.pool.get().await?;
        let transaction = begin(&mut client, caller, Intent::Read).await?;
        self.due.extend(marks.books);
        if marks.unknown {
            let known: Vec<Uuid> = self.told.keys().copied().collect();
            let health = self.health_at.elapsed() >= HEALTH_EVERY;
            let now = glance(&transaction, caller, self.owner, &known, health).await?;
            self.due.extend(differences(&self.told, &now, health));
            if health {
                self.health_at = Instant::now();
            }
            if self.told.len() > KNOWN {
                let newest = glance(&transaction, caller, self.owner, &[], false).await?;
                self.told.retain(|book, _| newest.contains_key(book));
            }
        }
        let some: Vec<Uuid> = self.due.iter().take(AT_ONCE).copied().collect();
        let events = if some.is_empty() {
            String::new()
        } else {
            self.tell(&transaction, caller, &some).await?
        };
        Ok((events, !self.due.is_empty()))
    }

    /// Events for these books: what changed since this reader was last told, or the whole status. A
    /// book that does not fit any more stays due.
    async fn tell(
        &mut self,
        transaction: &Transaction<'_>,
        caller: &Caller,
        books: &[Uuid],
    ) -> Result<String, ApiError> {
        let since: Vec<Option<i64>> =
            books.iter().map(|book| self.told.get(book).map(|told| told.0)).collect();
        // `offset 0`: the function is called once a book, not at each use of its result.
        let query = format!(
            "select case when f.place = 1 or f.bytes <= $4 then f.status end, \
               f.revision, f.health, f.book_id from ( \
               select d.*, pg_catalog.row_number() over o as place, \
                 pg_catalog.sum(pg_catalog.octet_length(d.status)) over o as bytes \
               from ( \
                 select b.book_id, ({status})::text as status, \
                   (s ->> 'revision')::bigint as revision, s ->> 'health' as health \
                 from unnest($1::uuid[], $3::bigint[]) a(book_id, since) \
                 join bindery.book_status b using (book_id) \
                 cross join lateral ( \
                   select bindery_internal.listed_status(b.*, a.since) offset 0) c(s) \
                 where $2::uuid is null or b.owner_id = $2) d \
               window o as (order by d.book_id)) f",
            status = with_since("s", "a.since")
        );
        let values: [(&(dyn ToSql + Sync), Type); 4] = [
            (&books, Type::UUID_ARRAY),
            (&self.owner, Type::UUID),
            (&since, Type::INT8_ARRAY),
            (&MOST_BYTES, Type::INT8),
        ];
        let rows = ask(transaction, caller, &query, &values).await?;
        let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
        let mut gone: BTreeSet<Uuid> = books.iter().copied().collect();
        let mut events = String::new();
        for row in &rows {
            let book: Uuid = row.try_get(3).map_err(failed)?;
            gone.remove(&book);
            let Some(status) = row.try_get::<_, Option<&str>>(0).map_err(failed)? else { continue };
            self.due.remove(&book);
            let seen: Seen = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
            let revision = seen.0;
            if self.told.insert(book, seen.clone()) != Some(seen) {
                events.push_str(&event(revision, status));
            }
        }
        for book in gone {
            self.due.remove(&book);
            // Not one that the caller has never heard of.
            if self.told.remove(&book).is_some() {
                events.push_str(&format!("event: book_gone\ndata: {{\"book_id\":\"{book}\"}}\n\n"));
            }
        }
        Ok(events)
    }
}

/// Books whose revision, or health where that is known, is another, or which are to be seen by one
/// of the two only.
fn differences(
    told: &HashMap<Uuid, Seen>,
    now: &HashMap<Uuid, Seen>,
    health: bool,
) -> BTreeSet<Uuid> {
    let same = |told: &Seen, now: &Seen| told.0 == now.0 && (!health || told.1 == now.1);
    let new = now
        .iter()
        .filter(|(book, now)| !told.get(*book).is_some_and(|told| same(told, now)))
        .map(|(book, _)| *book);
    let gone = told.keys().filter(|book| !now.contains_key(*book)).copied();
    new.chain(gone).collect()
}

/// Revision, and health where that is asked for, of these books and of the newest ones.
async fn glance(
    transaction: &Transaction<'_>,
    caller: &Caller,
    owner: Option<Uuid>,
    books: &[Uuid],
    health: bool,
) -> Result<HashMap<Uuid, Seen>, ApiError> {
    let query = "select b.book_id, b.revision, \
           case when not $3 then null \
                when b.status = b.current_stage and b.completed_at is null \
                  then bindery_internal.listed_status(b.*, b.revision) ->> 'health' \
                when b.status = 'FAILED' and b.error ->> 'code' = 'stalled' then 'stalled' end \
         from bindery.book_status b \
         where ($4::uuid is null or b.owner_id = $4) and b.book_id = any ($1 || array( \
           select n.book_id from bindery.book_status n where $4::uuid is null or n.owner_id = $4 \
           order by n.created_at desc limit $2))";
    let values: [(&(dyn ToSql + Sync), Type); 4] = [
        (&books, Type::UUID_ARRAY),
        (&WATCHED, Type::INT8),
        (&health, Type::BOOL),
        (&owner, Type::UUID),
    ];
    let rows = ask(transaction, caller, query, &values).await?;
    let failed = |error: tokio_postgres::Error| ApiError::from_postgres(&error, true);
    rows.iter()
        .map(|row| {
            let seen = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
            Ok((row.try_get(0).map_err(failed)?, seen))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_changed_or_gone_differs() {
        let of = |books: &[(u128, i64)]| -> HashMap<Uuid, Seen> {
            books
                .iter()
                .map(|(book, revision)| (Uuid::from_u128(*book), (*revision, None)))
                .collect()
        };
        let found =
            differences(&of(&[(1, 1), (2, 1), (3, 1)]), &of(&[(1, 1), (2, 2), (4, 1)]), true);
        assert_eq!(found, [2, 3, 4].map(Uuid::from_u128).into());
        let mut quiet = of(&[(1, 1)]);
        quiet.insert(Uuid::from_u128(1), (1, Some("quiet".to_owned())));
        assert_eq!(differences(&of(&[(1, 1)]), &quiet, true), [Uuid::from_u128(1)].into());
        assert!(differences(&of(&[(1, 1)]), &quiet, false).is_empty());
    }
}
