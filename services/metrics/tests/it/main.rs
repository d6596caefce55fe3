//! The metrics service: series as tables, and on a private nats-server.

mod bus;
mod series;
mod store;
