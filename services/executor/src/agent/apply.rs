//! What a manifest means for what is here. What it does not name is never stopped.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ostler_core::id::{InstanceId, SpecHash};
use ostler_core::instance::{Manifest, Spec};
use tracing::{debug, warn};

use super::{Agent, Work};
use crate::journal::Applied;
use crate::supervise::{Event, Life, Order, Phase};

/// The orders of a manifest, by instance.
fn orders(manifest: Manifest) -> BTreeMap<InstanceId, Order> {
    let groups = manifest.groups.into_iter();
    let orders = groups.flat_map(|group| {
        let (key, version, spec, ask) = (group.key, group.version, group.spec, group.ask);
        group.entries.into_iter().map(move |entry| {
            let order = Order {
                key: key.clone(),
                version,
                spec,
                slot: entry.slot,
                desired: entry.desired,
                generation: entry.generation,
                ports: entry.ports,
                ask,
            };
            (entry.id, order)
        })
    });
    orders.collect()
}

impl Agent {
    /// Applies a manifest if it is newer than what was applied.
    pub(super) fn apply(
        &mut self,
        manifest: Manifest,
        specs: HashMap<SpecHash, Arc<Spec>>,
        work: &mut Work,
    ) {
        self.shared.heard();
        let Manifest { incarnation, term, revision, .. } = manifest;
        let applied = Applied { incarnation, term, revision };
        self.specs.extend(specs);
        if applied < self.applied {
            // A replica that lags; it is read again.
            return;
        }
        if applied == self.applied {
            return self.settle(work);
        }
        let orders = orders(manifest);
        self.drop_unnamed(&orders, work);
        for (id, order) in orders {
            self.order(id, order, work);
        }
        self.applied = applied;
        work.applied = true;
        self.settle(work);
        self.forget_specs();
    }

    fn order(&mut self, id: InstanceId, order: Order, work: &mut Work) {
        let (hash, version) = (order.spec, order.version);
        let now = self.timeline.now();
        match self.lives.get(&id) {
            None => {
                self.occupy(order.ask);
                self.lives.insert(id, Life::new(id, order.clone(), now));
            }
            Some(life) if life.order == order && life.named && life.in_force_is_ordered() => {
                return;
            }
            Some(life) if life.order.ask != order.ask && !life.ended() => {
                let before = life.order.ask;
                self.vacate(before);
                self.occupy(order.ask);
            }
            Some(_) => {}
        }
        self.feel(id, Event::Ordered(order), work);
        let in_force = self.lives.get(&id).and_then(|life| life.in_force);
        if in_force == Some((hash, version)) {
            return;
        }
        if let Some(spec) = self.specs.get(&hash).cloned() {
            self.feel(id, Event::Spec(hash, version, spec), work);
        }
    }

    /// What has ended and is named no more is forgotten; what runs, runs on.
    fn drop_unnamed(&mut self, orders: &BTreeMap<InstanceId, Order>, work: &mut Work) {
        let unnamed = self.lives.values_mut().filter(|life| !orders.contains_key(&life.id));
        for life in unnamed {
            let id = life.id;
            if life.ended() {
                work.forgotten.push(id);
                continue;
            }
            if life.named {
                warn!(instance.id = %id, "the manifest names instance {id} no more, it is kept");
            }
            life.named = false;
            work.changed.insert(id);
        }
        for id in work.forgotten.clone() {
            debug!(instance.id = %id, "instance {id} is forgotten");
            self.lives.remove(&id);
            self.fenced.remove(&id);
            self.arm(id, None);
            work.changed.remove(&id);
        }
    }

    /// Specifications have come: whoever waits for one goes on.
    pub(super) fn learn(&mut self, specs: HashMap<SpecHash, Arc<Spec>>, work: &mut Work) {
        self.specs.extend(specs);
        let waiting = self.lives.values().filter_map(|life| {
            let wanted = (life.order.spec, life.order.version);
            let spec = self.specs.get(&wanted.0).filter(|_| life.in_force != Some(wanted))?;
            Some((life.id, Event::Spec(wanted.0, wanted.1, Arc::clone(spec))))
        });
        for (id, event) in waiting.collect::<Vec<_>>() {
            self.feel(id, event, work);
        }
    }

    /// What died while we were away may be started again, if that is still wanted. What nobody
    /// names any more has ended.
    pub(super) fn settle(&mut self, work: &mut Work) {
        let unsettled = self.lives.values().filter(|l| matches!(l.phase, Phase::Unsettled(_)));
        let unsettled = unsettled.map(|life| (life.id, life.named)).collect::<Vec<_>>();
        for (id, named) in unsettled {
            self.feel(id, if named { Event::Settled } else { Event::Unnamed }, work);
        }
    }

    fn forget_specs(&mut self) {
        let in_use = |life: &Life| [Some(life.order.spec), life.in_force.map(|(hash, _)| hash)];
        let used: HashSet<SpecHash> = self.lives.values().flat_map(in_use).flatten().collect();
        self.specs.retain(|hash, _| used.contains(hash));
    }
}
