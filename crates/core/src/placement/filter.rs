//! What rules a node out: every reason, not only the first.

use crate::constraint::{Attribute, Requirement};
use crate::id::PoolName;
use crate::node::{Admin, Facts, Liveness, Node, Use};
use crate::ports::{Block, PortTable};
use crate::resources::{Bytes, Resources};
use crate::workload::{DriverKind, PortSpec, Preference, Strategy, Workload};

use super::image::{self, Platform};
use super::{Reason, Reasons};

/// What one instance asks of any node, read once from its workload.
#[derive(Debug, Clone)]
pub struct Request {
    /// The pool it belongs to.
    pub pool: PoolName,
    /// That node or nowhere; empty for any.
    pub pin: String,
    /// How it is run.
    pub driver: DriverKind,
    /// What must hold of the node. `None` stands for an expression that cannot be read; it holds
    /// nowhere.
    pub require: Vec<Option<Requirement>>,
    /// What it occupies.
    pub ask: Resources,
    /// The ports that it needs.
    pub ports: Vec<PortSpec>,
    /// How a node is chosen: an auction leaves out nodes without a bid.
    pub strategy: Strategy,
    /// What nodes are preferred by.
    pub(crate) wishes: Vec<Wish>,
    /// What its image or artifact is counted under.
    pub(crate) image: Option<String>,
    /// What its image or artifact runs on; `None` where nothing is said.
    pub(crate) platforms: Option<Vec<Platform>>,
}

/// A preference, with its attribute already read.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    attribute: Attribute,
    value: String,
    pub(crate) weight: i32,
}

impl Wish {
    /// Whether the node has the value.
    pub fn holds(&self, node: &Node) -> bool {
        self.attribute.of(node).is_some_and(|value| value == self.value)
    }
}

impl Request {
    /// What instances of this workload ask.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        let wish = |wish: &Preference| Wish {
            attribute: Attribute::named(&wish.attribute),
            value: wish.value.clone(),
            weight: wish.weight,
        };
        Self {
            strategy: workload.placement.strategy,
            wishes: workload.placement.prefer.iter().map(wish).collect(),
            image: image::tag(workload),
            platforms: image::platforms(workload),
            pool: workload.pool.clone(),
            pin: workload.placement.node.clone(),
            driver: workload.driver,
            require: workload.placement.require.iter().map(|text| text.parse().ok()).collect(),
            ask: workload.ask(),
            ports: workload.ports.clone(),
        }
    }
}

/// The room on one node, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seat {
    /// All that it has.
    pub capacity: Resources,
    /// What is kept for the host itself.
    pub reserved: Resources,
    /// The requests of every instance that occupies it.
    pub requested: Resources,
    /// The part of `requested` that its instances do not use yet, because they have not started.
    pub pending: Resources,
    /// The live use of the host by everything on it; `None` while it has not been told.
    pub used: Option<Use>,
    /// How many instances occupy it.
    pub instances: u32,
    /// At most so many.
    pub max_instances: u32,
}

impl Seat {
    /// An empty node with these facts.
    #[must_use]
    pub fn new(facts: &Facts) -> Self {
        Self {
            capacity: facts.capacity,
            reserved: facts.reserved,
            max_instances: facts.max_instances,
            ..Self::default()
        }
    }

    /// Capacity without what is reserved.
    #[must_use]
    pub fn usable(&self) -> Resources {
        self.capacity.minus(self.reserved)
    }

    /// What is free by requests.
    #[must_use]
    pub fn free(&self) -> Resources {
        self.usable().minus(self.requested)
    }

    /// What is free by live use, after what is about to start has started; all of it while no use
    /// has been told.
    #[must_use]
    pub fn live_free(&self) -> Resources {
        let Some(used) = self.used else { return self.capacity };
        let used = Resources {
            cpu: used.cpu,
            memory: Bytes(used.memory),
            disk: Bytes(used.disk),
            network: used.network,
        };
        self.capacity.minus(used).minus(self.pending)
    }
}

/// A node that may get one more instance.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What it is.
    pub node: &'a Node,
    /// Its room.
    pub seat: &'a Seat,
    /// Its ports.
    pub ports: &'a PortTable,
}

/// Whether the node can take one more instance; if not, all reasons. What other instances of the
/// pool forbid (anti-affinity, `max_per`, earlier failures) is not known here.
pub fn fit(candidate: &Candidate<'_>, request: &Request) -> Result<(), Reasons> {
    let reasons = closed(candidate.node, request)
        .and(room(candidate.seat, request.ask))
        .and(doors(candidate.ports, &request.ports));
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// What the node is rules it out, however much room it has.
pub(crate) fn closed(node: &Node, request: &Request) -> Reasons {
    let mut reasons = Reasons::NONE;
    reasons.add_if(Reason::Pool, || node.pool != request.pool);
    reasons.add_if(Reason::Liveness, || node.liveness != Liveness::Online);
    reasons.add_if(Reason::Admin, || node.admin != Admin::Active);
    reasons.add_if(Reason::Pin, || {
        !request.pin.is_empty() && node.name.as_str() != request.pin.as_str()
    });
    reasons.add_if(Reason::Driver, || !node.facts.drivers.contains_key(request.driver.as_str()));
    for one in &request.require {
        if !one.as_ref().is_some_and(|one| one.holds(node)) {
            reasons.add(Reason::Require);
            // The driver is not there at the wanted version.
            let driver =
                || one.as_ref().and_then(Requirement::driver) == Some(request.driver.as_str());
            reasons.add_if(Reason::Driver, driver);
        }
    }
    reasons.add_if(Reason::Image, || {
        let runs = |all: &Vec<Platform>| all.iter().any(|one| one.runs_on(node));
        !request.platforms.as_ref().is_none_or(runs)
    });
    reasons
}

/// What it lacks of room for `ask`; also what an executor asks itself at admission.
#[must_use]
pub fn room(seat: &Seat, ask: Resources) -> Reasons {
    let mut reasons = Reasons::NONE;
    let free = seat.free();
    let live = seat.live_free();
    reasons.add_if(Reason::MaxInstances, || seat.instances >= seat.max_instances);
    reasons.add_if(Reason::Cpu, || ask.cpu > free.cpu);
    reasons.add_if(Reason::Memory, || ask.memory > free.memory.min(live.memory));
    reasons.add_if(Reason::Disk, || ask.disk > free.disk.min(live.disk));
    reasons.add_if(Reason::Network, || ask.network > free.network);
    reasons
}

/// Whether it has the ports.
pub(crate) fn doors(table: &PortTable, ports: &[PortSpec]) -> Reasons {
    let has = match ports {
        [] => true,
        [one] => match one.fixed {
            Some(fixed) => table.is_free(fixed, one.count.max(1)),
            None => table.find(Block { count: one.count, align: one.align }).is_some(),
        },
        _ => grant(&mut table.clone(), ports).is_some(),
    };
    if has { Reasons::NONE } else { Reasons::from(Reason::Ports) }
}

/// Takes all ports that are asked for, static ones first; `None`, with the table in disorder, if
/// one is missing: give a copy.
pub(crate) fn grant(table: &mut PortTable, ports: &[PortSpec]) -> Option<Vec<u16>> {
    let mut firsts = vec![0; ports.len()];
    for (first, port) in firsts.iter_mut().zip(ports) {
        if let Some(fixed) = port.fixed {
            table.take(fixed, port.count.max(1)).then_some(())?;
            *first = fixed;
        }
    }
    for (first, port) in firsts.iter_mut().zip(ports) {
        if port.fixed.is_none() {
            *first = table.grant(Block { count: port.count, align: port.align })?;
        }
    }
    Some(firsts)
}
