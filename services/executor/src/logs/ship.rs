//! Everything that instances write, published though nobody follows: for a stream of the operator's
//! that keeps it. At most once: what is written while the bus is away is not published later.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ostler_bus::Bus;
use ostler_core::id::{InstanceId, NodeName};
use tokio_util::sync::CancellationToken;

use super::follow::{Ends, publish_once};
use crate::driver::Drivers;
use crate::driver::process::log_dir;

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What is published for one node.
#[derive(Debug)]
pub(crate) struct Shipper {
    pub(crate) bus: Bus,
    pub(crate) node: NodeName,
    pub(crate) data_dir: PathBuf,
    pub(crate) drivers: Arc<Drivers>,
}

impl Shipper {
    /// Publishes until stopped.
    pub(crate) async fn run(self, stop: CancellationToken) {
        // What was written before is old.
        let mut known: HashMap<InstanceId, Ends> = self.running().map(|id| self.ends(id)).collect();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            for id in self.running() {
                known.entry(id).or_insert_with(|| Ends::beginning(&log_dir(&self.data_dir, id)));
            }
            for (id, ends) in &mut known {
                publish_once(&self.bus, &self.node, *id, ends).await;
            }
            // One look after its end, for its last words.
            let running: Vec<InstanceId> = self.running().collect();
            known.retain(|id, _| running.contains(id));
        }
    }

    fn running(&self) -> impl Iterator<Item = InstanceId> + use<> {
        self.drivers.log_rules().into_keys()
    }

    fn ends(&self, id: InstanceId) -> (InstanceId, Ends) {
        (id, Ends::now(&log_dir(&self.data_dir, id), ""))
    }
}
