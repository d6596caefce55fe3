//! What must hold of every byte that comes in: it is read, or refused by name; and what was read says
//! the same when it is written and read again.
//!
//! `make fuzz` runs each target for a while; `cargo +nightly fuzz run words` runs one for ever.

#[cfg(feature = "tar")]
pub mod tar;
pub mod texts;
pub mod wire;
pub mod words;
