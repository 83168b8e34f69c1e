//! What a stream about all books has told its reader: so that it tells what is new, and takes back what is no longer to be seen.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use deadpool_postgres::Transaction;
use postgres_types::{ToSql, Type};
use uuid::Uuid;

use super::auth::Caller;
use super::books::ask;
use super::error::ApiError;
use super::events::{Status, event};
use super::hub::Marks;
use super::pool::{Intent, begin};
use super::router::Api;

/// Books that are looked at without a mark: the newest.
const WATCHED: i64 = 1000;
/// Books known at most; the oldest are forgotten first, which costs no more than a take-back.
const KNOWN: usize = 2000;
/// Health is worked out for each book; where streams look by themselves they do so too often for that.
const HEALTH_EVERY: Duration = Duration::from_secs(14);
/// Statuses read and sent at once.
const AT_ONCE: usize = 20;

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

    /// Some events for what is due, with what was marked; and whether more is due. However much changes at once, and however
    /// slowly it is read, no more than these are in memory.
    pub async fn look(&mut self, api: &Api, caller: &Caller, marks: Marks) -> Result<(String, bool), ApiError> {
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
        let events = if some.is_empty() { String::new() } else { self.tell(&transaction, caller, &some).await? };
        for book in &some {
            self.due.remove(book);
        }
        Ok((events, !self.due.is_empty()))
    }

    async fn tell(
        &mut self,
        transaction: &Transaction<'_>,
        caller: &Caller,
        books: &[Uuid],
    ) -> Result<String, ApiError> {
        let query = "select s.status::text, (s.status ->> 'revision')::bigint, s.status ->> 'health', b.book_id \
             from bindery.book_status b cross join lateral (select bindery.get_book_status(b.book_id) as status) s \
             where b.book_id = any ($1) and ($2::uuid is null or b.owner_id = $2)";
        let rows = ask(transaction, caller, query, &[(&books, Type::UUID_ARRAY), (&self.owner, Type::UUID)]).await?;
        let mut gone: BTreeSet<Uuid> = books.iter().copied().collect();
        let mut events = String::new();
        for row in &rows {
            let status = Status::from_row(row, 0)?;
            let book: Uuid = row.try_get(3).map_err(|error| ApiError::from_postgres(&error, true))?;
            gone.remove(&book);
            let seen = (status.revision, status.health.clone());
            if self.told.insert(book, seen.clone()) != Some(seen) {
                events.push_str(&event(&status));
            }
        }
        for book in gone {
            // Not one that the caller has never heard of.
            if self.told.remove(&book).is_some() {
                events.push_str(&format!("event: book_gone\ndata: {{\"book_id\":\"{book}\"}}\n\n"));
            }
        }
        Ok(events)
    }
}

/// Books whose revision, or health where that is known, is another, or which are to be seen by one of the two only.
fn differences(told: &HashMap<Uuid, Seen>, now: &HashMap<Uuid, Seen>, health: bool) -> BTreeSet<Uuid> {
    let same = |told: &Seen, now: &Seen| told.0 == now.0 && (!health || told.1 == now.1);
    let new =
        now.iter().filter(|(book, now)| !told.get(*book).is_some_and(|told| same(told, now))).map(|(book, _)| *book);
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
                when b.status = b.current_stage and b.completed_at is null then bindery.get_book_status(b.book_id) ->> 'health' \
                when b.status = 'FAILED' and b.error ->> 'code' = 'stalled' then 'stalled' end \
         from bindery.book_status b \
         where ($4::uuid is null or b.owner_id = $4) and b.book_id = any ($1 || array( \
           select n.book_id from bindery.book_status n where $4::uuid is null or n.owner_id = $4 \
           order by n.created_at desc limit $2))";
    let values: [(&(dyn ToSql + Sync), Type); 4] =
        [(&books, Type::UUID_ARRAY), (&WATCHED, Type::INT8), (&health, Type::BOOL), (&owner, Type::UUID)];
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
            books.iter().map(|(book, revision)| (Uuid::from_u128(*book), (*revision, None))).collect()
        };
        let found = differences(&of(&[(1, 1), (2, 1), (3, 1)]), &of(&[(1, 1), (2, 2), (4, 1)]), true);
        assert_eq!(found, [2, 3, 4].map(Uuid::from_u128).into());
        let mut quiet = of(&[(1, 1)]);
        quiet.insert(Uuid::from_u128(1), (1, Some("quiet".to_owned())));
        assert_eq!(differences(&of(&[(1, 1)]), &quiet, true), [Uuid::from_u128(1)].into());
        assert!(differences(&of(&[(1, 1)]), &quiet, false).is_empty());
    }
}
