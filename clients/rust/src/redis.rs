//! Redis: the URLs, and connections to the server that has a key.
//!
//! | module | subject |
//! |---|---|
//! | `url`, `tls` | the URL of one server, of Sentinel or of Cluster |
//! | `place` | finds the server that has a key, and connects to it |

mod place;
mod tls;
mod url;

pub use place::Wire;
pub use url::RedisUrl;
