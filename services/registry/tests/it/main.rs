//! The registry from the outside: on a private nats-server, with real databases.

mod artifacts;
mod fixture;
mod garbage;
mod history;
mod instances;
mod liveness;
mod nodes;
mod once;
mod promises;
mod quotas;
mod raw;
mod store;
mod tried;
mod workloads;
