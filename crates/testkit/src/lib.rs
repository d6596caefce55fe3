//! What tests stand on: a private nats-server (or three) or PostgreSQL per test, and `eventually`, the only
//! place that may wait.

pub mod disk;
pub mod docker;
pub mod eventually;
pub mod lan;
pub mod nats;
pub mod ports;
pub mod postgres;
pub mod program;
pub mod proxy;

pub use disk::SmallDisk;
pub use docker::Dockerd;
pub use eventually::{eventually, eventually_within};
pub use lan::{Cut, Host, in_a_network_of_its_own};
pub use nats::{NatsCluster, NatsServer};
pub use ports::Ports;
pub use postgres::Postgres;
pub use program::Process;
pub use proxy::{Proxy, Wire};
