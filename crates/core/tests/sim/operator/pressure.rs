//! What people change of how a pool decides, and what a namespace may ask for.

use ostler_core::command::Order;
use ostler_core::head::Head;
use ostler_core::id::{PoolName, WorkloadKey};
use ostler_core::quota::{Quota, Totals};
use ostler_core::tuning::{RebalanceTuning, Tuning};

use crate::bus::{Bucket, Val};
use crate::world::{World, say};

impl World {
    /// Preemption, evening out by itself or by order, and quotas.
    pub fn tune(&mut self) {
        let pools = self.pools();
        let Some(pool) = self.fate.pick(&pools) else { return };
        match self.fate.index(5) {
            0 => {
                let max_moves = u32::try_from(self.fate.between(1, 4)).expect("small");
                self.order(&pool, Order::Rebalance { max_moves });
            }
            1 => {
                let limits = [None, Some(6), Some(12), Some(20)];
                let instances = self.fate.pick(&limits).flatten();
                say!(self, "quota {instances:?}");
                self.quota = Quota { instances, ..Quota::default() };
            }
            _settings => self.change_settings(pool),
        }
    }

    fn change_settings(&mut self, pool: PoolName) {
        let fate = &mut self.fate;
        let of = Some(pool).filter(|_| fate.percent(70));
        let thresholds = [None, Some(0), Some(10), Some(30)];
        let tuning = Tuning {
            preemption: Some(fate.percent(75)),
            rebalance: RebalanceTuning {
                on_join: Some(fate.percent(40)),
                threshold: fate.pick(&thresholds).flatten(),
                max_moves: Some(u32::try_from(fate.between(1, 3)).expect("small")),
            },
            ..Tuning::default()
        };
        let key = of.as_ref().map_or_else(|| "fleet".to_owned(), |pool| format!("pool.{pool}"));
        say!(self, "settings {key}: {tuning:?}");
        let value = Some(Val::Tuning(of, Box::new(tuning)));
        self.server.stream(&Bucket::Settings).put(&key, value);
        self.written(&Bucket::Settings);
    }

    /// What the workloads of the namespace ask for, but for one of them.
    fn asked_beside(&self, key: &WorkloadKey) -> Totals {
        let heads = self.server.heads().into_iter().filter(|head| head.key() != *key);
        heads.map(|head| self.asked_by(&head)).fold(Totals::default(), Totals::plus)
    }

    fn asked_by(&self, head: &Head) -> Totals {
        Totals::of_head(head, u32::try_from(self.hosts.len()).expect("few"))
    }

    /// Whether the quota lets a workload stand so.
    pub fn within_quota(&self, head: &Head) -> bool {
        let key = head.key();
        let before = self.server.head(&key).map_or_else(Totals::default, |old| self.asked_by(old));
        self.quota.admit(self.asked_beside(&key), before, self.asked_by(head)).is_ok()
    }
}
