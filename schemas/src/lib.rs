//! What is said on the bus: messages, subjects, buckets and REST bodies, and nothing that does I/O.
//!
//! One table declares every subject, bucket and stream ([`table`]); a type for each address fixes
//! the payload ([`contract`], [`bucket`]), so that a payload of the wrong kind does not compile.
//! Generated protobuf types ([`pb`]) do not travel further inwards than the handler that received
//! them: [`convert`] turns them into the types of the core.

pub mod api;
mod base64_json;
pub mod bucket;
pub mod contract;
pub mod convert;
pub mod problem;
mod spec_json;
pub mod table;
pub mod wire;

/// Generated from `proto/ostler/v1/*.proto`.
pub mod pb {
    #![expect(missing_docs, clippy::all, reason = "generated; the protos carry the documentation")]
    include!(concat!(env!("OUT_DIR"), "/ostler.v1.rs"));
}
