//! Subscriptions to changes of books. A change only leaves a mark in each subscriber's mailbox, and
//! marks of the same book are one mark: so a slow reader uses no more memory, and reads the latest
//! status when it reads.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// With more unread marks than this, the mailbox only marks that any book may have changed.
const MOST_MARKS: usize = 1000;

/// The subscribers.
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    interests: Mutex<Interests>,
    is_notified: AtomicBool,
}

#[derive(Debug, Default)]
struct Interests {
    books: HashMap<Uuid, Vec<Arc<Mailbox>>>,
    all: Vec<Arc<Mailbox>>,
}

/// The changes that the subscriber has not read yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// These books.
    pub books: BTreeSet<Uuid>,
    /// Any book may have changed.
    pub unknown: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    marks: Mutex<Marks>,
    mark_left: Notify,
}

/// A subscription; it ends when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    book: Option<Uuid>,
    mailbox: Arc<Mailbox>,
}

impl Hub {
    /// Subscribes to one book, or to all.
    pub fn subscribe(&self, book: Option<Uuid>) -> Subscription {
        let mailbox = Arc::new(Mailbox::default());
        let mut interests = lock(&self.0.interests);
        match book {
            Some(book) => interests.books.entry(book).or_default().push(mailbox.clone()),
            None => interests.all.push(mailbox.clone()),
        }
        Subscription { hub: self.clone(), book, mailbox }
    }

    /// Marks a book as changed.
    pub fn changed(&self, book: Uuid) {
        let interests = lock(&self.0.interests);
        for mailbox in interests.books.get(&book).into_iter().flatten().chain(&interests.all) {
            mailbox.mark(|marks| {
                marks.unknown |= marks.books.len() >= MOST_MARKS;
                if marks.unknown {
                    marks.books.clear();
                } else {
                    marks.books.insert(book);
                }
            });
        }
    }

    /// Marks all books as changed, because notifications may have been missed.
    pub fn anything_changed(&self) {
        let interests = lock(&self.0.interests);
        for mailbox in interests.books.values().flatten().chain(&interests.all) {
            mailbox.mark(|marks| marks.unknown = true);
        }
    }

    /// Whether Postgres notifies of changes; if not, the event streams poll.
    pub fn is_notified(&self) -> bool {
        self.0.is_notified.load(Ordering::Relaxed)
    }

    /// Sets whether Postgres notifies of changes from now on, and marks all books, because changes
    /// may have been missed before.
    pub fn set_notified(&self, is_notified: bool) {
        self.0.is_notified.store(is_notified, Ordering::Relaxed);
        self.anything_changed();
    }

    /// The number of subscribers.
    #[cfg(test)]
    pub fn listeners(&self) -> usize {
        let interests = lock(&self.0.interests);
        interests.all.len() + interests.books.values().map(Vec::len).sum::<usize>()
    }
}

impl Subscription {
    /// The marks since the last call; waits until there is one.
    pub async fn marks(&self) -> Marks {
        loop {
            let marks = std::mem::take(&mut *lock(&self.mailbox.marks));
            if marks != Marks::default() {
                return marks;
            }
            self.mailbox.mark_left.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut interests = lock(&self.hub.0.interests);
        let others = |mailboxes: &mut Vec<Arc<Mailbox>>| {
            mailboxes.retain(|other| !Arc::ptr_eq(other, &self.mailbox))
        };
        let Some(book) = self.book else { return others(&mut interests.all) };
        if let Some(mailboxes) = interests.books.get_mut(&book) {
            others(mailboxes);
            if mailboxes.is_empty() {
                interests.books.remove(&book);
            }
        }
    }
}

impl Mailbox {
    fn mark(&self, mark: impl FnOnce(&mut Marks)) {
        mark(&mut lock(&self.marks));
        self.mark_left.notify_one();
    }
}

/// Ignores poisoning: the data is consistent after each assignment, even if a panic follows.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(marks: &Marks) -> Vec<u128> {
        marks.books.iter().map(|book| book.as_u128()).collect()
    }

    #[tokio::test]
    async fn marks_of_one_book_are_one_mark() {
        let hub = Hub::default();
        let (one, all) = (hub.subscribe(Some(Uuid::from_u128(1))), hub.subscribe(None));
        for book in [1, 2, 1, 1] {
            hub.changed(Uuid::from_u128(book));
        }
        assert_eq!(books(&one.marks().await), [1]);
        assert_eq!(books(&all.marks().await), [1, 2]);
        hub.changed(Uuid::from_u128(2));
        assert_eq!(books(&all.marks().await), [2]);
    }

    #[tokio::test]
    async fn a_slow_reader_uses_bounded_memory() {
        let hub = Hub::default();
        let all = hub.subscribe(None);
        for book in 0..5000 {
            hub.changed(Uuid::from_u128(book));
        }
        assert_eq!(all.marks().await, Marks { unknown: true, books: BTreeSet::new() });
    }

    #[tokio::test]
    async fn a_subscription_ends_when_it_is_dropped() {
        let hub = Hub::default();
        let (first, second) = (hub.subscribe(Some(Uuid::nil())), hub.subscribe(Some(Uuid::nil())));
        drop(first);
        assert_eq!(hub.listeners(), 1);
        hub.set_notified(true);
        assert!(second.marks().await.unknown);
        drop(second);
        assert_eq!(hub.listeners(), 0);
        assert!(lock(&hub.0.interests).books.is_empty());
    }
}
