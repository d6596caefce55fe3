//! The gateway: REST, server-sent events and the OpenAPI document; owns no state.
//!
//! Every request becomes one request on the bus, whose reply is the body. Errors are
//! `application/problem+json`, always. What is absent: accounts (they come through
//! [`identity`](extract::identity)), and with them any listening address but loopback.

pub mod answer;
pub mod api;
pub mod app;
pub mod config;
pub mod docs;
pub mod extract;
pub mod guard;
pub mod room;
pub mod server;
pub mod stream;
pub mod tail;
pub mod wait;

pub use config::Config;
pub use server::{Bound, RunError, bind, run};
