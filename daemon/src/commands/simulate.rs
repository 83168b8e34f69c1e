//! `binderyd simulate`: publishes events of books of the pipeline comic, with duplicates, crashes
//! and silent workers, and prints the outcome that must result.

mod book;

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use fastrand::Rng;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::source::RedisUrl;
use book::Book;

/// The time limit of a reply of Redis.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The interval at which events are sent.
const TICK: Duration = Duration::from_millis(10);
/// The maximum number of events in one round trip.
const PIPELINED: usize = 1000;

/// Options of `simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateOptions {
    /// Redis, such as redis://host:6379/.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: RedisUrl,
    /// The stream to publish to.
    #[arg(long = "to-stream", value_name = "STREAM", default_value = "bindery:events")]
    to_stream: String,
    /// The number of books, which work at the same time.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    books: u32,
    /// Events a second; 0: as fast as Redis takes them.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    #[command(flatten)]
    mix: Mix,
    /// The seed for the same books and events again; by default a random one.
    #[arg(long)]
    seed: Option<u64>,
}

/// The shares of faults, in percent, and the number of reports.
#[derive(Debug, Clone, Copy, Args)]
struct Mix {
    /// Reports of each substep.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    reports: u32,
    /// Reports that are sent twice.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    duplicates: f64,
    /// Reports that are followed by an older one.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    out_of_order: f64,
    /// Reports with an additional invalid event, which becomes a dead letter.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.5, value_parser = percent)]
    bad: f64,
    /// Stages whose first worker crashes: the book is failed, resumed, and worked on as its next
    /// attempt.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    crashes: f64,
    /// Books whose worker goes silent in the middle of a stage, which the sweeper fails.
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = percent)]
    silent: f64,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "must be 0 to 100".to_owned())
}

/// The events that were sent, and the outcome that must result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Outcome {
    /// Entries sent, including all those below.
    events: u64,
    /// Books registered.
    books: u64,
    /// Books that reach COMPLETED.
    completed: u64,
    /// Books left in the middle of a stage.
    silent: u64,
    /// Attempts that failed and were resumed.
    crashes: u64,
    /// Reports sent twice.
    duplicates: u64,
    /// Reports followed by an older one.
    out_of_order: u64,
    /// Entries that must become dead letters.
    bad: u64,
}

/// An entry's fields.
type Entry = Vec<(&'static str, String)>;

/// Sends the load, and prints the outcome as JSON.
pub async fn simulate(options: &SimulateOptions) -> anyhow::Result<()> {
    let stream = options.to_stream.as_str();
    let mut redis = options.redis_url.connect(stream, ANSWER_WITHIN).await.with_context(|| {
        format!("Redis is not reached at {:?}; nothing was sent", options.redis_url)
    })?;
    let mut load =
        Load::new(options.books, options.mix, options.seed.map_or_else(Rng::new, Rng::with_seed));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = Instant::now();
    let mut sent = 0_u64;
    loop {
        let mut due = PIPELINED;
        if options.rate > 0 {
            ticks.tick().await;
            let by_now = begun.elapsed().as_millis() * u128::from(options.rate) / 1000;
            due = usize::try_from(by_now.saturating_sub(u128::from(sent)))?.min(PIPELINED);
        }
        let entries: Vec<Entry> = load.by_ref().take(due).collect();
        if !entries.is_empty() {
            bindery_client::append(&mut redis, stream, entries.iter().map(Vec::as_slice))
                .await
                .with_context(|| format!("{stream} took {sent} events, and then no more"))?;
            sent += u64::try_from(entries.len())?;
        } else if load.is_over() {
            break;
        }
    }
    println!("{}", serde_json::to_string(&load.outcome)?);
    Ok(())
}

/// The events of all books, in order for each book.
struct Load {
    books: Vec<Book>,
    mix: Mix,
    rng: Rng,
    outcome: Outcome,
}

impl Load {
    fn new(books: u32, mix: Mix, mut rng: Rng) -> Self {
        let books: Vec<_> = (0..books).map(|number| Book::new(number, &mut rng)).collect();
        Self { books, mix, rng, outcome: Outcome::default() }
    }

    fn is_over(&self) -> bool {
        self.books.is_empty()
    }
}

impl Iterator for Load {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        while !self.books.is_empty() {
            let chosen = self.rng.usize(..self.books.len());
            match self.books[chosen].next(&self.mix, &mut self.rng, &mut self.outcome) {
                Some(entry) => {
                    self.outcome.events += 1;
                    return Some(entry);
                }
                None => {
                    self.books.swap_remove(chosen);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_core::event::Event;

    const MIX: Mix = Mix {
        reports: 4,
        duplicates: 10.0,
        out_of_order: 10.0,
        bad: 10.0,
        crashes: 20.0,
        silent: 20.0,
    };

    fn parsed(entry: &Entry) -> bool {
        let entry =
            entry.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        Event::parse(entry.collect()).is_ok()
    }

    #[test]
    fn the_same_seed_makes_the_same_load() {
        let all = |seed| Load::new(20, MIX, Rng::with_seed(seed)).collect::<Vec<_>>();
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }

    #[test]
    fn the_outcome_counts_what_was_sent() {
        let mut load = Load::new(200, MIX, Rng::with_seed(7));
        let entries: Vec<_> = load.by_ref().collect();
        let outcome = load.outcome;
        assert_eq!(u64::try_from(entries.len()).unwrap(), outcome.events);
        assert_eq!(outcome.books, outcome.completed + outcome.silent);
        let of = |kind: &str| {
            entries.iter().filter(|entry| entry[0] == ("type", kind.to_owned())).count() as u64
        };
        assert_eq!((of("register"), of("fail")), (200, outcome.crashes));
        let dead = entries.iter().filter(|entry| !parsed(entry)).count() as u64;
        assert!(dead > 0 && dead == outcome.bad, "{dead} of {}", outcome.bad);
        for number in [
            outcome.completed,
            outcome.silent,
            outcome.crashes,
            outcome.duplicates,
            outcome.out_of_order,
        ] {
            assert!(number > 0, "{outcome:?}");
        }
    }

    #[test]
    fn without_faults_there_are_none() {
        let mix =
            Mix { duplicates: 0.0, out_of_order: 0.0, bad: 0.0, crashes: 0.0, silent: 0.0, ..MIX };
        let mut load = Load::new(10, mix, Rng::with_seed(7));
        assert!(load.by_ref().all(|entry| parsed(&entry)));
        let events = load.outcome.events;
        assert_eq!(
            load.outcome,
            Outcome { events, books: 10, completed: 10, ..Outcome::default() }
        );
    }
}
