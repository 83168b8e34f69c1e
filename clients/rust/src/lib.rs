//! Reports the progress of long work to Bindery.
//!
//! ```no_run
//! # fn read(page: &str) -> Result<(), std::io::Error> { Ok(()) }
//! # async fn work(pages: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
//! let bindery = bindery_client::Client::from_env()?;
//! let book = bindery.book("moby-dick").title("Moby Dick").pipeline("comic").register()?;
//! book.stage("ANALYZING")
//!     .run(async |stage| {
//!         for page in stage.track("extract_text", &pages).unit("page") {
//!             read(page?)?;
//!         }
//!         Ok::<_, Box<dyn std::error::Error>>(())
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! Reporting never breaks the work: calls return at once, a thread of the client delivers, and
//! problems of the server are logged by `tracing`. [`Superseded`] is the one error that stops the
//! work.
//!
//! | module | subject |
//! |---|---|
//! | `client`, `book`, `stage`, `track` | the interface for the work |
//! | `session` | a worker's stay in a stage |
//! | `buffer`, `sender` | the waiting events, and the thread that delivers them |
//! | `transport` | how events reach a server |
//! | [`redis`], [`postgres`] | the servers' URLs, and connections to them |

mod book;
mod buffer;
mod client;
mod cut;
mod error;
mod event;
mod id;
pub mod postgres;
pub mod redis;
mod resume;
mod sender;
mod session;
mod stage;
mod track;
mod transport;

pub use book::{Book, Registration};
pub use client::{Builder, Client};
#[doc(hidden)]
pub use cut::cut;
pub use error::{Error, Failure, Superseded};
pub use event::{checked, entry};
pub use id::{NAMESPACE, book_uuid};
pub use resume::{Left, ResumePoint};
pub use stage::{Begin, Reporter, Stage};
pub use track::Track;
pub use transport::append;
