//! What must hold after every fault: exactly the wanted instances, none twice, every acknowledged
//! write is there, every event once in history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ostler_bus::{Bus, Caller};
use ostler_core::id::{InstanceId, NodeName, PoolName, Revision};
use ostler_core::instance::{Desired, Observed};
use ostler_schemas::bucket::{HeadKey, ManifestKey, ReportKey};
use ostler_schemas::pb;
use ostler_testkit::{eventually, eventually_within};

use super::client::{Acked, Client};

/// How long a fleet may take to be as it should once nothing is broken any more.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// A fleet that can be checked.
pub trait Checked {
    /// Who asked it for things.
    fn client(&self) -> &Client;

    /// The names of all its nodes.
    fn nodes(&self) -> Vec<NodeName>;

    /// What its parts said last, for failures.
    fn said(&self) -> String {
        String::new()
    }
}

/// An instance that is ordered to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    pub workload: String,
    pub slot: u32,
    pub id: InstanceId,
    pub node: NodeName,
}

/// Waits until everything is as it was asked for, and fails where something never can be. Returns
/// what runs.
pub async fn check(rig: &impl Checked) -> Vec<Ordered> {
    let (client, nodes) = (rig.client(), rig.nodes());
    let wrong = std::sync::Mutex::new(String::new());
    let running = std::sync::Mutex::new(Vec::new());
    let settled = eventually_within(SETTLED_WITHIN, "the fleet is as it was asked for", || async {
        let found = Fleet::read(&client.bus, &nodes).await;
        let found = found.and_then(|fleet| {
            let compared = fleet.compare(&client.acked);
            *running.lock().expect("unbroken") = fleet.ordered;
            compared
        });
        *wrong.lock().expect("unbroken") = found.clone().err().unwrap_or_default();
        found.is_ok()
    });
    let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(settled)).await;
    if let Err(panic) = outcome {
        eprintln!("{}\n{}", wrong.lock().expect("unbroken"), rig.said());
        std::panic::resume_unwind(panic);
    }
    heads_are_as_acknowledged(client).await;
    history_has_every_event_once(client).await;
    running.into_inner().expect("unbroken")
}

/// What manifests order and reports say.
#[derive(Debug, Default)]
struct Fleet {
    ordered: Vec<Ordered>,
    /// Said to run.
    running: Vec<(InstanceId, NodeName)>,
}

impl Fleet {
    async fn read(bus: &Bus, nodes: &[NodeName]) -> Result<Self, String> {
        let mut fleet = Self::default();
        for node in nodes {
            let key = ManifestKey { pool: PoolName::default(), node: node.clone() };
            let manifest = bus.get(&key).await.map_err(|error| error.to_string())?;
            for group in manifest.into_iter().flat_map(|entry| entry.value.groups) {
                let ordered = group.entries.iter().filter(|one| one.desired == Desired::Run);
                fleet.ordered.extend(ordered.map(|one| Ordered {
                    workload: group.key.name.to_string(),
                    slot: one.slot.0,
                    id: one.id,
                    node: node.clone(),
                }));
            }
            let report = bus.get(&ReportKey(node.clone())).await;
            let report = report.map_err(|error| error.to_string())?;
            let statuses = report.into_iter().flat_map(|entry| entry.value.statuses);
            let running = statuses.filter(|one| one.observed == Observed::Running);
            fleet.running.extend(running.map(|one| (one.id, node.clone())));
        }
        fleet.running.sort();
        Ok(fleet)
    }

    fn compare(&self, acked: &[Acked]) -> Result<(), String> {
        let wanted: BTreeMap<&str, u32> =
            acked.iter().map(|one| (one.name.as_str(), one.count)).collect();
        for (name, count) in &wanted {
            let mut slots: Vec<u32> =
                self.ordered.iter().filter(|o| o.workload == *name).map(|o| o.slot).collect();
            slots.sort_unstable();
            if slots != (0..*count).collect::<Vec<_>>() {
                return Err(format!("`{name}` should have {count} slots, has {slots:?}"));
            }
        }
        let others = self.ordered.iter().find(|o| !wanted.contains_key(o.workload.as_str()));
        if let Some(other) = others {
            return Err(format!("nobody was told that this is wanted: {other:?}"));
        }
        let mut ordered: Vec<(InstanceId, NodeName)> =
            self.ordered.iter().map(|one| (one.id, one.node.clone())).collect();
        ordered.sort();
        if ordered != self.running {
            let (ordered, running) = (ordered.len(), self.running.len());
            return Err(format!("{ordered} are ordered, and not just these {running} run"));
        }
        Ok(())
    }
}

/// What NATS answers, as soon as it does: it may be choosing a leader.
async fn answer<T, E, F>(ask: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
{
    let answer = std::sync::Mutex::new(None);
    eventually("NATS answers", || async {
        let said = ask().await.ok();
        let answers = said.is_some();
        *answer.lock().expect("unbroken") = said;
        answers
    })
    .await;
    answer.into_inner().expect("unbroken").expect("just waited for")
}

async fn heads_are_as_acknowledged(client: &Client) {
    let last: BTreeMap<&str, &Acked> =
        client.acked.iter().map(|acked| (acked.name.as_str(), acked)).collect();
    for (name, acked) in last {
        let key = HeadKey(format!("default/{name}").parse().expect("a key"));
        let found = answer(|| client.bus.get(&key)).await;
        let head = found.unwrap_or_else(|| panic!("{acked:?} is gone")).value;
        assert_eq!((head.version.0, head.spec.count), (acked.version, acked.count), "{name}");
    }
}

async fn history_has_every_event_once(client: &Client) {
    let last = answer(|| client.bus.last_event()).await;
    // A server whose clock jumps forgets which events it has: then the stream has one twice.
    let mut stream = BTreeSet::new();
    let mut reader = client.bus.events_from(Revision(0));
    while let Some(entry) = reader.next().await {
        let event = entry.event.expect("services write events that can be read");
        stream.insert(event.id);
        if entry.sequence >= last {
            break;
        }
    }
    let kept = std::sync::Mutex::new(Vec::new());
    eventually_within(SETTLED_WITHIN, "history has all events", || async {
        *kept.lock().expect("unbroken") = events(client).await;
        let kept = kept.lock().expect("unbroken");
        kept.last().is_some_and(|event: &pb::EventView| event.sequence >= last.0)
    })
    .await;
    let kept = kept.into_inner().expect("unbroken");
    let ids: BTreeSet<&str> = kept.iter().map(|view| of(view).id.as_str()).collect();
    assert_eq!(ids.len(), kept.len(), "an event is twice in history");
    let missing = stream.iter().find(|id| !ids.contains(id.as_str()));
    assert_eq!(missing, None, "an event is not in history");
    for acked in &client.acked {
        let told = kept.iter().map(of).filter(|event| {
            let kinds = ["workload.created", "workload.updated"];
            kinds.contains(&event.kind.as_str())
                && (event.workload.as_str(), event.version) == (&acked.name, acked.version)
        });
        assert_eq!(told.count(), 1, "{acked:?} is told once");
    }
}

/// The event of a view.
pub fn of(view: &pb::EventView) -> &pb::Event {
    view.event.as_ref().expect("a view has its event")
}

/// All of history; nothing while it cannot be read.
pub async fn events(client: &Client) -> Vec<pb::EventView> {
    let mut all: Vec<pb::EventView> = Vec::new();
    loop {
        let since = all.last().map_or(0, |view| view.sequence);
        let page = pb::EventList { since, limit: 1_000, ..Default::default() };
        match client.bus.call(&page, &Caller::program("test")).await {
            Ok(reply) if reply.items.is_empty() => return all,
            Ok(reply) => all.extend(reply.items),
            Err(_) => return Vec::new(),
        }
    }
}
