//! How full the streams are.

use ostler_core::id::PoolName;

use crate::connection::Bus;
use crate::provision::{ProvisionError, streams};

/// How full one stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Its name, as the table has it.
    pub stream: String,
    /// What is in it.
    pub bytes: u64,
    /// What it takes at most.
    pub limit: u64,
    /// Past that it refuses what is new; others drop what is old.
    pub refuses: bool,
}

impl Filled {
    /// In percent of what it takes.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let percent = u128::from(self.bytes) * 100 / u128::from(self.limit.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

impl Bus {
    /// How full each stream of the table and of the given pools is, by its leader.
    pub async fn filled(&self, pools: &[PoolName]) -> Result<Vec<Filled>, ProvisionError> {
        let mut all = Vec::new();
        for stream in streams(pools) {
            let name = self.root().stream(&stream.name);
            let info = self.stream_info(&name).await.map_err(|error| ProvisionError::Server {
                stream: name.clone(),
                cause: error.to_string(),
            })?;
            all.push(Filled {
                stream: stream.name,
                bytes: info["state"]["bytes"].as_u64().unwrap_or_default(),
                limit: info["config"]["max_bytes"].as_u64().unwrap_or(u64::MAX),
                refuses: info["config"]["discard"] == "new",
            });
        }
        Ok(all)
    }
}
