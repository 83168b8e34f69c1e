//! The operators' commands.
//!
//! | module | command | subject |
//! |---|---|---|
//! | `publish` | `publish` | checks one event and publishes it to a stream |
//! | `dead_letters` | `dead-letters list`, `show`, `replay`, `drop` | rejected events |
//! | `doctor` | `doctor` | problems of Postgres and Redis, with remedies |
//! | `simulate` | `simulate` | load with faults and a known outcome |
//! | `watch` | `watch` | the books live in the terminal |
//! | `manual` | `completions`, `man` | shell completions and manual pages |

mod dead_letters;
mod doctor;
mod manual;
mod publish;
mod simulate;
mod watch;

pub use dead_letters::{DeadLettersOptions, dead_letters};
pub use doctor::{DoctorOptions, Relaying, Subject, doctor};
pub use manual::{CompletionsOptions, ManOptions, completions, man};
pub use publish::{PublishOptions, publish};
pub use simulate::{SimulateOptions, simulate};
pub use watch::{WatchOptions, watch};
