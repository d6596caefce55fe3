//! The gateway, over real HTTP and a private nats-server.

mod bad_input;
mod followed;
mod openapi;
mod served;
mod with_registry;
