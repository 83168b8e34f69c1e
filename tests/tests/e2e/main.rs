//! End-to-end tests of Bindery against private servers: the real daemon, a real Postgres, a real
//! Redis, and their failures.
//!
//! | module | subject |
//! |---|---|
//! | `pipeline` | a whole book by events only |
//! | `illegal` | every change of status that the pipeline forbids, by every way in |
//! | `concurrency` | many sessions at once: no lost update, no deadlock |
//! | `malformed` | bad events among good ones |
//! | `forms` | events in unusual forms: texts, numbers, JSON, ids, repetitions |
//! | `crash` | the daemon killed at random and at chosen moments, taken over, stopped |
//! | `early` | interdependent streams, and events before their book or stage |
//! | `sums` | percentages from many writers at once, exact to the last digit |
//! | `daemons` | several daemons on the same streams |
//! | `outage` | Postgres and Redis restarted and killed under load |
//! | `failover` | Postgres killed, and its replica promoted, with or without the last commits |
//! | `faults` | answers cut, slow or missing, full disk, timeouts, poison, pauses, clock jumps |
//! | `standby` | `binderyd serve` at a hot standby |
//! | `losses` | a stream trimmed too far, deleted, created anew, restored to an older state |
//! | `pooler` | the daemon through pgbouncer |
//! | `sources` | TLS and ACL users, sentinels, a cluster |
//! | `tls` | TLS to Postgres as in libpq, with each kind of certificate |
//! | `announce` | `NOTIFY`, of many sessions at once |
//! | `bullmq` | queues of BullMQ with unmodified workers |
//! | `outbox` | workers that follow `bindery:changes`, killed and replaced |
//! | `channels` | Redis Pub/Sub: one daemon is subscribed, each message applied once |
//! | `errors` | every error of the API, provoked |
//! | `fencing` | one relay a stream, each batch once |
//! | `retention` | pruning, replaying and refreshing beside others |
//! | `kernels` | native and portable: the same answers, and a database that changes over |
//! | `model` | random calls in many sessions, replayed by the rules |
//! | `roles` | the relay's role, in sessions of its own |
//! | `migrate` | installing the schema, and the command line |
//! | `upgrade` | from an older version of the schema, with its books |
//! | `dump` | a dump restored in another server |
//! | `sweep` | stalled books, automatic resumes, and the relay's proof of being caught up |
//! | `http_tokens` | the API: access rights |
//! | `http_books` | the API: lists and timelines |
//! | `http_acts` | the API: an operator's acts and the limits |
//! | `http_operation` | the API for operators: dead letters, the system, the pipelines |
//! | `http_events` | server-sent events: no change is lost, and each end has a reason |
//! | `http_streams` | server-sent events: many and slow readers |
//! | `http_reports` | reports of producers: by the service, by workers, in batches |
//! | `http_limits` | limits of HTTP: connections, files, memory, Postgres |
//! | `logs` | a log that cannot be written, or is not read |
//! | `realtime` | delayed broadcasts, and the policy for Supabase Realtime |
//! | `metrics` | `/metrics` after known work, readiness, and the size of the log |
//! | `deploy` | the systemd unit, notifications to systemd, the installation |
//! | `watch` | the books as lines, and on a terminal |
//! | `commands` | publish, dead-letters, the configuration, the manual |
//! | `doctor` | findings about Postgres and Redis |
//! | `docs` | docs/api.md: every function, and examples that run |
//! | `docs_events` | the examples of docs/events.md, in four languages |
//!
//! `support` queries the database, `http_support` has tokens, `load` generates events, `produce`
//! adds them, `node` and `python` run programs of tests/bridges and of the documentation, `live`
//! has books in every kind of status, and `oracle` computes the expected effect of events.

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
mod http_bulk;
mod http_events;
mod http_limits;
mod http_operation;
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
