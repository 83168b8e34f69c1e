//! The commands around the daemon.
//!
//! | module | command | subject |
//! |---|---|---|
//! | `publish` | `publish` | one event, checked, into a stream |
//! | `dead_letters` | `dead-letters list`, `show`, `replay`, `drop` | events that could not take effect |
//! | `doctor` | `doctor` | what is wrong at both ends, and how it is mended |
//! | `simulate` | `simulate` | load with faults, of known outcome |
//! | `watch` | `watch` | the books live in the terminal |
//! | `manual` | `completions`, `man` | what clap makes of the flags |

mod dead_letters;
mod doctor;
mod manual;
mod publish;
mod simulate;
mod watch;

pub use dead_letters::{DeadLettersOptions, dead_letters};
pub use doctor::{DoctorOptions, doctor};
pub use manual::{CompletionsOptions, ManOptions, completions, man};
pub use publish::{PublishOptions, publish};
pub use simulate::{SimulateOptions, simulate};
pub use watch::{WatchOptions, watch};
