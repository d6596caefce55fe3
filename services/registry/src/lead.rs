//! Which replica does what only one may do: the holder of the lease `registry`.

use std::time::Duration;

use ostler_bus::{Bus, Lease};
use ostler_service::Backoff;
use tokio::sync::watch;
use tracing::{info, warn};

const PURPOSE: &str = "registry";
const TTL: Duration = Duration::from_secs(3);
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Whether this replica leads, with every change.
#[derive(Debug, Clone)]
pub struct Lead {
    leads: watch::Receiver<bool>,
}

impl Lead {
    /// Stands for leader for as long as the program runs, and gives way at once when it stops.
    pub fn stand(bus: &Bus, replica: &str) -> Self {
        let (sender, leads) = watch::channel(false);
        let (bus, replica) = (bus.clone(), replica.to_owned());
        let stop = bus.program().tasks.stop_token();
        bus.program().tasks.clone().spawn("lead", async move {
            let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
            while !stop.is_cancelled() {
                let acquired = tokio::select! {
                    () = stop.cancelled() => break,
                    lease = Lease::acquire(&bus, PURPOSE, &replica, TTL) => lease,
                };
                match acquired {
                    Ok(lease) => {
                        pause.reset();
                        reign(lease, &sender, &stop).await;
                    }
                    Err(cause) => {
                        warn!(error = %cause, "cannot stand for leader: {cause}");
                        pause.wait().await;
                    }
                }
            }
            Ok::<(), &str>(())
        });
        Self { leads }
    }

    /// Whether it leads at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        *self.leads.borrow()
    }

    /// Waits until it leads.
    pub async fn gained(&self) {
        // The sender lives as long as the program.
        drop(self.leads.clone().wait_for(|leads| *leads).await);
    }
}

async fn reign(
    lease: Lease,
    leads: &watch::Sender<bool>,
    stop: &tokio_util::sync::CancellationToken,
) {
    info!("this registry leads");
    leads.send_replace(true);
    let lost = tokio::select! {
        () = lease.lost() => true,
        () = stop.cancelled() => false,
    };
    leads.send_replace(false);
    if lost {
        warn!("this registry leads no longer");
    } else {
        lease.release().await;
    }
}
