//! Postgres: the URLs and connections.
//!
//! | module | subject |
//! |---|---|
//! | `url` | the URL or connection string, by libpq's rules |
//! | `connect` | hosts in turn, TLS and its fallbacks, time limits |
//! | `unanswered` | hosts that did not answer lately, which are tried last |
//! | `session` | `target_session_attrs` |
//! | `tls`, `certificate` | TLS, verification, and why a certificate is refused |
//! | `error` | why a call failed, and what to do about it |

mod certificate;
mod choice;
mod connect;
mod error;
mod session;
mod tls;
mod unanswered;
mod url;

pub use connect::{Connected, Transport, open};
pub use error::DatabaseError;
pub use tls::Negotiated;
pub use url::DatabaseUrl;
