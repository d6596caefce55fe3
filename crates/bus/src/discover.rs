//! Which services are there: `$SRV.PING.<name>`, answered by every replica.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;

use crate::connection::Bus;

/// More replicas than these are not listed.
const MOST: usize = 256;

/// One replica of a service, as it answers a ping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct FoundService {
    /// What it is called.
    pub name: String,
    /// The id of this replica on the bus.
    pub id: String,
    /// Its version.
    pub version: String,
    /// What else it says of itself, such as `replica`.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl Bus {
    /// The replicas of these services that answer a ping within `wait`, by name and id. Executors
    /// answer to `executor`; of them there may be thousands, of which 256 are listed. Empty when
    /// there is no connection.
    pub async fn services(&self, names: &[&str], wait: Duration) -> Vec<FoundService> {
        let mut found = Vec::new();
        // Running out of time is how it ends.
        drop(tokio::time::timeout(wait, self.collect_services(names, &mut found)).await);
        found.sort();
        found.dedup();
        found
    }

    async fn collect_services(&self, names: &[&str], found: &mut Vec<FoundService>) -> Option<()> {
        let inbox = self.client().new_inbox();
        let mut answers = self.client().subscribe(inbox.clone()).await.ok()?;
        for name in names {
            let subject = format!("$SRV.PING.{name}");
            self.client().publish_with_reply(subject, inbox.clone(), Bytes::new()).await.ok()?;
        }
        while let Some(answer) = answers.next().await {
            if let Ok(service) = serde_json::from_slice(&answer.payload) {
                found.push(service);
            }
            if found.len() >= MOST {
                break;
            }
        }
        Some(())
    }
}
