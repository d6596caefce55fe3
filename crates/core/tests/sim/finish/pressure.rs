//! After the storm: whoever fits has a place (P5), and evening out evens out (P12).

use ostler_core::command::{Order, Verdict};
use ostler_core::constraint::Requirement;
use ostler_core::head::Head;
use ostler_core::id::PoolName;
use ostler_core::node::{Admin, Liveness, Node};
use ostler_core::time::Span;
use ostler_core::workload::Kind;

use crate::scheduler::Reign;
use crate::world::World;

/// So long evening out takes at most.
const EVENING: Span = Span::from_secs(100);

impl World {
    /// P12: what is ordered to be evened out is more even afterwards, and a second order finds
    /// nothing to do.
    pub fn check_evening(&mut self) -> Result<(), String> {
        let pools = self.pools();
        // A move that was ordered and found no place may find one now.
        let open = |pool: &PoolName| {
            let outcomes = self.leader_of(pool).map(|reign| reign.engine.outcomes());
            outcomes.into_iter().flatten().any(|outcome| outcome.verdict == Verdict::Running)
        };
        if pools.iter().any(open) {
            return Ok(());
        }
        let before: Vec<_> = pools.iter().map(|pool| self.stand_of(pool)).collect();
        self.even_out()?;
        let once: Vec<_> = pools.iter().map(|pool| self.stand_of(pool)).collect();
        for ((pool, before), after) in pools.iter().zip(&before).zip(&once) {
            let moved = before.1 != after.1;
            if after.0 > before.0 || (moved && after.0 == before.0) {
                return Err(format!("P12: {pool} was evened out from {} to {}", before.0, after.0));
            }
        }
        self.even_out()?;
        let twice: Vec<_> = pools.iter().map(|pool| self.stand_of(pool)).collect();
        if once != twice {
            return Err(format!("P12: a second evening out moves from {once:?} to {twice:?}"));
        }
        Ok(())
    }

    /// Orders it of every pool, and waits until it is done.
    fn even_out(&mut self) -> Result<(), String> {
        let pools = self.pools();
        let first = self.commands;
        pools.iter().for_each(|pool| self.order(pool, Order::Rebalance { max_moves: 4 }));
        self.run(self.now.plus(EVENING))?;
        for (pool, number) in pools.iter().zip(first + 1..) {
            let outcomes = self.leader_of(pool).map(|reign| reign.engine.outcomes());
            let id = format!("{number:026}");
            let verdict = outcomes.into_iter().flatten().find(|outcome| outcome.id == id);
            if verdict.as_ref().is_none_or(|one| one.verdict != Verdict::Done) {
                return Err(format!("P12: {pool} is not evened out: {verdict:?}"));
            }
        }
        Ok(())
    }

    fn leader_of(&self, pool: &PoolName) -> Option<&Reign> {
        let led = self.schedulers.iter().filter(|replica| replica.pool == *pool);
        led.into_iter().find_map(|replica| replica.reign())
    }

    /// How unevenly cpu is asked of the nodes that take work (the sum of the squared distances of
    /// all pairs), and how many run on each.
    fn stand_of(&self, pool: &PoolName) -> (u128, Vec<(String, u32)>) {
        let Some(reign) = self.leader_of(pool) else { return Default::default() };
        let mut shares = Vec::new();
        let mut counts = Vec::new();
        for view in reign.engine.nodes() {
            counts.push((view.name.to_string(), view.instances));
            let Some((node, _)) = self.server.node(view.name) else { continue };
            if view.admin == Admin::Active && view.liveness == Liveness::Online {
                let all = node.facts.capacity.cpu;
                shares.push(u128::from((all - view.free.cpu) * 10_000 / all));
            }
        }
        let pairs = shares.iter().flat_map(|a| shares.iter().map(|b| a.abs_diff(*b)));
        (pairs.map(|apart| apart * apart).sum(), counts)
    }

    /// P5: no slot is without a place for which a node has one, by the rules that hang on nothing
    /// but the node.
    pub fn check_places(&self, head: &Head, reign: &Reign) -> Result<(), String> {
        let (key, text) = (head.key(), &head.spec);
        let rules = &text.placement;
        let plain = text.ports.is_empty()
            && rules.anti_affinity.is_empty()
            && rules.max_per.is_empty()
            && matches!(text.kind, Kind::Service | Kind::Job);
        let progress = reign.engine.progress(&key).unwrap_or_default();
        if !plain || progress.unplaced.is_empty() {
            return Ok(());
        }
        let holds = |rule: &String, node: &Node| {
            rule.parse::<Requirement>().is_ok_and(|rule| rule.holds(node))
        };
        for view in reign.engine.nodes() {
            let Some((node, _)) = self.server.node(view.name) else { continue };
            let passed_over = progress.excluded.iter().any(|one| one.node == node.name);
            let open = view.admin == Admin::Active
                && view.liveness == Liveness::Online
                && !passed_over
                && rules.require.iter().all(|rule| holds(rule, node));
            let room = view.free.cpu >= text.ask().cpu && view.instances < node.facts.max_instances;
            if open && room {
                return Err(format!(
                    "P5: {key} has slots without a place, and {} has one",
                    node.name
                ));
            }
        }
        Ok(())
    }
}
