//! What handlers take from a request, checked: who asks, names, parameters, bodies, conditions.

pub mod asker;
pub mod body;
pub mod conditions;
pub mod identity;
pub mod names;
pub mod params;
pub mod trace;

pub use asker::{Allowed, Asker};
pub use body::{JsonBody, RawBody};
pub use conditions::{Conditions, NoConditions};
pub use identity::{Identity, policy};
pub use names::{InstanceRef, NamespaceRef, NodeRef, PoolRef, VersionRef, WorkloadRef};
pub use params::Params;
