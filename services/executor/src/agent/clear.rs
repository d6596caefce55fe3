//! What an instance leaves behind: its ports are proven closed before anybody else may have them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;

use super::Agent;
use crate::driver::process::ports;
use crate::driver::{Driver, Happened, Launch};
use crate::supervise::{End, Event, Life, Phase};

/// Between two looks at a port that should be closed, and how many there are.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS: u32 = 20;

impl Agent {
    /// Has everything of an instance removed that runs no more, in a task of its own.
    pub(super) fn clear(&self, life: &Life, driver: &dyn Driver) {
        // What was declined never had them.
        let began = life.phase != Phase::Removing(End::Declined);
        let launch = self.launch_of(life).filter(|launch| !launch.ports.is_empty());
        let Some(launch) = launch else { return driver.remove(life.id) };
        let (drivers, firewall) = (Arc::clone(&self.drivers), self.firewall.clone());
        let sink = self.happened_tx.clone();
        self.shared.tasks.spawn_brief(async move {
            let (id, kind, launch) = (launch.id, launch.spec.driver, Arc::new(launch));
            if began {
                until_closed(&launch, &sink).await;
            }
            firewall.close(id).await;
            match drivers.of(kind) {
                Some(driver) => driver.remove(id),
                // The loop has ended when nobody listens.
                None => drop(sink.send((id, Event::Removed)).await),
            }
        });
    }
}

/// Waits until nobody has bound a port of an instance that ended. Whoever still has it for long is
/// not of the instance: nothing of that runs.
async fn until_closed(launch: &Arc<Launch>, sink: &mpsc::Sender<Happened>) {
    let mut told = false;
    for _ in 0..LOOKS {
        let of = Arc::clone(launch);
        let looked =
            tokio::task::spawn_blocking(move || ports::taken(&of.spec.ports, &of.ports)).await;
        let Ok(Some(taken)) = looked else { return };
        if !told {
            told = true;
            let why = format!("waits until its ports are closed: {taken}");
            drop(sink.send((launch.id, Event::Stuck(launch.run, why))).await);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = sink.closed() => return,
        }
    }
    warn!(instance.id = %launch.id, "a port of instance {} is bound by somebody else", launch.id);
}
