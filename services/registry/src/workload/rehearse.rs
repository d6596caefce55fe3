//! What would become of a change, asked of the scheduler that would have to carry it out.

use std::collections::BTreeMap;

use ostler_bus::Caller;
use ostler_core::head::Head;
use ostler_core::workload::{Kind, Workload};
use ostler_schemas::bucket::HeadKey;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use serde_json::{Value, json};

use crate::app::App;
use crate::quota::document;
use crate::refusal::{internal, unread};
use crate::write::{Changed, was_by};

impl App {
    /// What would happen if this were the text in force.
    pub(super) async fn rehearsed(
        &self,
        caller: &Caller,
        workload: &Workload,
    ) -> Result<pb::Document, Problem> {
        let workloads = vec![workload.clone().into()];
        self.bus.call(&pb::WorkloadPlan { workloads, ..Default::default() }, caller).await
    }

    /// What would happen if this head were written; `None`: nothing that is planned.
    pub(super) async fn plan_of(
        &self,
        caller: &Caller,
        changed: &Changed<Head>,
    ) -> Result<Option<pb::Document>, Problem> {
        let Some(before) = &changed.before else { return Ok(None) };
        let after = &changed.value;
        let idle = |head: &Head| head.stopped || head.deleted;
        if idle(after) == idle(before) && (idle(after) || after.spec == before.spec) {
            return Ok(None);
        }
        if !idle(after) {
            return self.rehearsed(caller, &after.spec).await.map(Some);
        }
        match after.spec.kind {
            Kind::Service | Kind::Job => {
                let none = Workload { count: 0, ..after.spec.clone() };
                self.rehearsed(caller, &none).await.map(Some)
            }
            // They have no count that could be none.
            Kind::System | Kind::Cron => Ok(Some(document(&self.ended(after)))),
        }
    }

    /// What would end with a workload.
    fn ended(&self, head: &Head) -> Value {
        let (key, reason) = (head.key(), if head.deleted { "deleted" } else { "stopped" });
        let all = self.index.read(|picture| picture.all_instances_of(&key));
        let stops: Vec<Value> = all
            .iter()
            .map(|view| {
                let (id, slot, node) = (&view.id, view.slot, &view.node);
                json!({ "id": id, "workload": key, "slot": slot, "node": node, "reason": reason })
            })
            .collect();
        let summary = format!("{} instances would end", stops.len());
        json!({ "pool": head.spec.pool, "survives": true, "summary": summary, "stops": stops })
    }

    /// Refuses a workload of which a slot would have no place now, with the reasons; not one that
    /// this operation has put already.
    pub(super) async fn must_be_placed(
        &self,
        caller: &Caller,
        workload: &Workload,
    ) -> Result<(), Problem> {
        let head = self.bus.get(&HeadKey(workload.key())).await.map_err(unread)?;
        if head.is_some_and(|head| was_by(&head.value, &caller.op_id)) {
            return Ok(());
        }
        let plan = self.rehearsed(caller, workload).await?;
        let plan: Value = serde_json::from_str(&plan.json).map_err(internal)?;
        let key = workload.key().to_string();
        let Some(runs) = plan["unplaced"][&key].as_array().filter(|runs| !runs.is_empty()) else {
            return Ok(());
        };
        let reasons = reasons(runs);
        let mut words: Vec<String> =
            reasons.iter().map(|(reason, nodes)| format!("{reason} on {nodes}")).collect();
        if words.is_empty() {
            words.push("there is none".to_owned());
        }
        let detail = format!("no node can take `{key}`: {}; nothing was changed", words.join(", "));
        let mut problem = Problem::new(Code::Infeasible, detail);
        problem.reasons = reasons;
        Err(problem)
    }
}

/// How many nodes were passed over for each reason, at most for one of the slots.
fn reasons(runs: &[Value]) -> BTreeMap<String, u32> {
    let mut most = BTreeMap::new();
    let all = runs.iter().filter_map(|run| run["reasons"].as_object()).flatten();
    for (reason, nodes) in all {
        let nodes = nodes.as_u64().and_then(|nodes| u32::try_from(nodes).ok()).unwrap_or(u32::MAX);
        let known: &mut u32 = most.entry(reason.clone()).or_default();
        *known = (*known).max(nodes);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_counts_the_nodes_that_it_rules_out_and_not_the_slots() {
        let runs = json!([
            { "slots": [0, 3], "reasons": { "memory": 2, "node": 1 } },
            { "slots": [4, 4], "reasons": { "memory": 3 } },
        ]);
        let runs = reasons(runs.as_array().expect("a list"));
        assert_eq!(runs, [("memory".to_owned(), 3), ("node".to_owned(), 1)].into());
    }
}
