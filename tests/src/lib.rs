//! The harness of the end-to-end tests: everything a test needs to stand on, and nothing about what
//! Bindery does.
//!
//! - [`Servers`]: a private Postgres and Redis, which can be killed and restarted; gone when the
//!   test is, however it ends
//! - [`Replica`]: a Postgres that replicates another one, and can be promoted
//! - [`Database`]: a test's own migrated database on them, and the name of a stream
//! - [`Daemon`]: a real `binderyd run`, to be asked over HTTP, stopped and killed
//! - [`Proxy`]: between a daemon and a server, to make answers slow, cut them short, or let none
//!   through
//! - [`Pooler`]: a real pgbouncer in transaction mode
//! - [`dump_schema`] and related functions: dumps by `pg_dump`, and restoring them
//! - [`eventually`]: waiting for a condition; the only place that sleeps
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! let servers = bindery_tests::Servers::shared().await?;
//! let database = servers.database().await?;
//! let daemon = database.daemon(&[]).await?;
//! let client = database.connect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Everything returns `anyhow::Result`, so that tests use `?` for unexpected errors.

mod daemon;
mod database;
mod dump;
mod eventually;
mod http;
mod leash;
mod listen;
mod node;
mod pooler;
mod proxy;
mod replica;
mod servers;

pub use daemon::{Daemon, Response, binderyd, free_address, run_binderyd};
pub use database::{Database, connect};
pub use dump::{difference, dump, dump_schema, pg_config, program, restore};
pub use eventually::{SOON, eventually};
pub use http::{Answer, Ask, Event, Stream, jwt, token};
pub use listen::Listener;
pub use node::{Certificates, Node, openssl};
pub use pooler::Pooler;
pub use proxy::{Fault, Proxy};
pub use replica::Replica;
pub use servers::Servers;
