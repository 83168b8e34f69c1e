//! Redis: where it is, and how to connect to the server that has a key.
//!
//! | module | subject |
//! |---|---|
//! | `url`, `tls` | what a URL says: one server, Sentinel or Cluster |
//! | `place` | finding the server that has a key, and connecting to it |

mod place;
mod tls;
mod url;

pub use place::Wire;
pub use url::RedisUrl;
