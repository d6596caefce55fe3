//! The executor comes back: what still runs is adopted, what does not is settled with the leader.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::owed::Owed;
use super::{Agent, Work};
use crate::driver::{Drivers, Happened, Place};
use crate::fence::Fence;
use crate::firewall::Firewall;
use crate::journal::{Journal, Saved};
use crate::shared::Shared;
use crate::site::Site;
use crate::socket::{Pulses, Sockets};
use crate::supervise::Roster;
use crate::tell::Outbox;
use crate::timeline::Timeline;

/// What the loop is made of.
#[derive(Debug)]
pub struct Parts {
    /// What this node is.
    pub site: Arc<Site>,
    /// How instances are run.
    pub drivers: Arc<Drivers>,
    /// The journal, and what it held.
    pub journal: (Journal, Saved),
    /// Where the fleet is told.
    pub outbox: Outbox,
    /// What others may look at.
    pub shared: Arc<Shared>,
    /// The node's pledge.
    pub fence: Arc<Fence>,
    /// Who lets others reach the ports.
    pub firewall: Firewall,
    /// Where checks tell what they find.
    pub happened: mpsc::Sender<Happened>,
}

impl Agent {
    /// Takes back what the journal knows and adopts what of it still runs.
    pub async fn boot(parts: Parts) -> Self {
        let Parts { site, drivers, journal, outbox, shared, fence, firewall, happened } = parts;
        let (journal, saved) = journal;
        let place = Place {
            node: site.node.clone(),
            zone: site.zone.clone(),
            address: site.address.clone(),
        };
        let sockets = Sockets {
            shared: Arc::clone(&shared),
            sink: happened.clone(),
            pulses: Pulses::default(),
            open: Arc::default(),
        };
        let mut agent = Self {
            site,
            place: Arc::new(place),
            timeline: Timeline::default(),
            roster: Roster::new(saved.applied.manifest).of_pool(saved.applied.pool),
            drivers,
            checks: HashMap::new(),
            journal,
            outbox,
            shared,
            halting: None,
            fence,
            owed: Owed::default(),
            sockets,
            firewall,
            happened_tx: happened,
        };
        let mut work = Work::default();
        for life in saved.lives {
            agent.with_roster(|roster, at| roster.take_back(life, at, &mut work.roster));
        }
        agent.open_sockets();
        agent.keep_ports();
        agent.fence.want(agent.roster.needs_pledge());
        agent.carry_out(work).await;
        // Also when nothing changed: beats and the goodbye count what was adopted.
        agent.shared.changed(agent.roster.applied().revision, agent.roster.occupied());
        agent
    }
}
