//! Reads the entries of a Redis stream. `bindery_client` has the URLs and the connections.
//!
//! | module | subject |
//! |---|---|
//! | `read` | a stream's entries after a position, in chunks of bounded size |
//! | `link`, `resp` | the connection and its protocol |
//! | `seen` | the entries that were read last |
//! | `bullmq` | BullMQ's events, turned into Bindery's |
//! | `job_data` | the fields about a book in a BullMQ job's data |
//! | `channel`, `subscription` | Pub/Sub: a channel, the stream of its messages, a subscription |
//! | `info` | what Redis reports about a stream |
//! | `options` | the command-line options for sources |

pub mod bullmq;
pub mod channel;
mod info;
pub mod job_data;
pub mod link;
mod options;
mod read;
mod resp;
mod seen;
mod subscription;

pub use bindery_client::redis::RedisUrl;

pub use info::Info;
pub use options::SourceOptions;
pub use read::{Chunk, Decoded, Entry, Raw, Reader};
pub use seen::Seen;
pub use subscription::{PushedMessage, Subscription};
