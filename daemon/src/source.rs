//! Redis: where it is, and how entries of a stream are read.

mod read;
mod url;

pub use read::{Chunk, Entry, Reader};
pub use url::RedisUrl;
