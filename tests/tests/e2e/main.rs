//! The whole of Bindery against private servers: the real daemon, a real Postgres, a real Redis,
//! and what can befall them.
//!
//! | module | subject |
//! |---|---|
//! | `pipeline` | a whole book by events only |
//! | `illegal` | every change of status that the pipeline forbids, by every way in |
//! | `concurrency` | many sessions at once: nothing lost, nothing stuck |
//! | `malformed` | bad events among good ones |
//! | `forms` | events in unusual forms: texts, numbers, JSON, ids, repetitions |
//! | `crash` | the daemon killed at random and at chosen moments, taken over, stopped |
//! | `early` | streams that depend on each other, and events that arrive before their book or stage |
//! | `sums` | percentages from many writers at once, exact to the last digit |
//! | `daemons` | several daemons on the same streams |
//! | `outage` | Postgres and Redis restarted and killed under load |
//! | `failover` | Postgres killed, and a replica of it promoted, with all commits and without the last |
//! | `faults` | answers cut, slow or missing, a full disk, timeouts, poison, pauses, a clock that jumps |
//! | `standby` | `binderyd serve` at a hot standby |
//! | `losses` | a stream trimmed too far, deleted, made anew, put back to an older state |
//! | `pooler` | the daemon through pgbouncer |
//! | `sources` | TLS and ACL users, sentinels, a cluster |
//! | `tls` | TLS to Postgres, as libpq means it, with each kind of certificate |
//! | `announce` | `NOTIFY`, of many sessions at once |
//! | `bullmq` | queues of BullMQ, whose workers know nothing of Bindery |
//! | `outbox` | workers that follow `bindery:changes`, killed and replaced |
//! | `channels` | Redis Pub/Sub: heard by one daemon, each message once |
//! | `errors` | every error of the API, provoked |
//! | `fencing` | one relay a stream, each batch once |
//! | `retention` | pruning, replaying and refreshing beside others |
//! | `kernels` | native and portable: the same answers, and a database that changes over |
//! | `model` | many sessions doing anything at all, and the rules doing it again |
//! | `roles` | the relay's role, in sessions of its own |
//! | `migrate` | installing the schema, and the command line |
//! | `upgrade` | from an older version of the schema, with its books |
//! | `dump` | a copy in another server |
//! | `sweep` | silent books, books that go on by themselves, and what a relay proves |
//! | `http_tokens`, `http_books`, `http_acts` | the API: who may see what, lists and timelines, an operator's acts and the limits |
//! | `http_events`, `http_streams` | server-sent events: nothing lost, ends with a reason; many and slow ones |
//! | `http_reports` | what producers report: by the service, by workers, in batches |
//! | `http_limits` | what HTTP may take: connections, files, memory, Postgres |
//! | `logs` | a log that cannot be written, or that nobody reads |
//! | `realtime` | what is held back is broadcast, and the policy of Supabase Realtime is made |
//! | `metrics` | `/metrics` after known work, readiness, and a log that nothing floods |
//! | `deploy` | the unit for systemd, what it is told, the installation |
//! | `watch` | the books as lines, and on a terminal |
//! | `commands`, `doctor` | publish, dead-letters, the configuration, the manual; both ends looked at |
//! | `docs`, `docs_events` | docs/api.md: every function, and examples that run; those of docs/events.md, in four languages |
//!
//! `support` asks the database, `http_support` has tokens, `load` makes up events, `produce` adds
//! them, `node` and `python` run programs of tests/bridges and of the documentation, `live` has
//! books in every kind of status, and `oracle` knows what must have become of them.

mod announce;
mod bullmq;
mod channels;
mod client;
mod commands;
mod concurrency;
mod crash;
mod daemons;
mod deploy;
mod dev;
mod docs;
mod docs_events;
mod doctor;
mod dump;
mod early;
mod errors;
mod failover;
mod faults;
mod fencing;
mod forms;
mod http_acts;
mod http_books;
mod http_events;
mod http_limits;
mod http_reports;
mod http_streams;
mod http_support;
mod http_tokens;
mod illegal;
mod kernels;
mod live;
mod load;
mod logs;
mod losses;
mod malformed;
mod metrics;
mod migrate;
mod model;
mod node;
mod oracle;
mod outage;
mod outbox;
mod pipeline;
mod pooler;
mod produce;
mod python;
mod realtime;
mod retention;
mod roles;
mod sources;
mod standby;
mod sums;
mod support;
mod sweep;
mod tls;
mod upgrade;
mod watch;
mod without_redis;
