//! Redis: how entries of a stream are read. Where it is, and how to connect, `bindery_client` says.
//!
//! | module | subject |
//! |---|---|
//! | `read` | a stream's entries from a position on, in chunks of bounded size |
//! | `link`, `resp` | the connection that brings them, and its protocol |
//! | `seen` | what was read last |
//! | `bullmq` | BullMQ's events, turned into Bindery's |
//! | `job_data` | what a BullMQ job's data has about its book |
//! | `channel`, `subscription` | Pub/Sub: a channel with the stream that keeps its messages, and hearing them |
//! | `info` | what Redis says of a stream as a whole |
//! | `options` | what is relayed, on the command line |

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
pub use read::{Chunk, Entry, Raw, Reader, Said};
pub use seen::Seen;
pub use subscription::{Heard, Subscription};
