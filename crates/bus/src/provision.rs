//! Streams are made once, exactly as the table says, and never changed behind anyone's back.

use std::fmt;

use ostler_core::id::PoolName;
use thiserror::Error;

use crate::connection::Bus;

/// One field of a stream that is not as the table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Which stream.
    pub stream: String,
    /// Which field; `missing` when there is no such stream.
    pub field: String,
    /// What the table says.
    pub wanted: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, field, wanted, found } = self;
        write!(f, "stream `{stream}`: `{field}` is {found}, should be {wanted}")
    }
}

/// Why provisioning or checking did not succeed.
#[derive(Debug, Error)]
pub enum ProvisionError {
    /// Streams that are not as the table says. Nothing was changed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Drift(Vec<Drift>),
    /// The server refused, or did not answer.
    #[error("cannot provision `{stream}`: {cause}")]
    Server {
        /// Which stream.
        stream: String,
        /// What it says.
        cause: String,
    },
}

impl Bus {
    /// Makes every stream of the table and of the given pools that is missing, then checks all.
    /// Calling it twice changes nothing. Returns the names of those that were made. Replicas: 3
    /// with three or more servers, else 1.
    pub async fn provision(&self, pools: &[PoolName]) -> Result<Vec<String>, ProvisionError> {
        let _ = pools;
        unimplemented!()
    }

    /// Checks every stream against the table, naming each field that differs.
    pub async fn check(&self, pools: &[PoolName]) -> Result<(), ProvisionError> {
        let _ = pools;
        unimplemented!()
    }

    /// Which life of the fleet this is: drawn at provisioning (milliseconds since 1970), kept in
    /// the metadata of the stream `KV_workloads`.
    pub async fn incarnation(&self) -> Result<u64, ProvisionError> {
        unimplemented!()
    }
}
