//! x
mod cut;
pub mod postgres;
pub mod redis;

#[doc(hidden)]
pub use cut::cut;
