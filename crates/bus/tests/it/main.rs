//! The bus on real NATS servers: one, and three in a cluster.

mod backup;
mod connection;
mod events;
mod fence;
mod fenced;
mod fixture;
mod keys;
mod kv;
mod lease;
mod object;
mod provision;
mod pubsub;
mod rpc;
mod watch;
