//! How much a namespace may ask for in all, checked when something is asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::{self, Comments, Problem, Reading};
use crate::head::Head;
use crate::resources::Bytes;
use crate::workload::{Kind, Workload};

/// Limits on what all workloads of a namespace ask for together; what is absent is not limited.
///
/// What is asked for counts, whether or not it runs: count times the requests of one instance.
/// Workloads that are stopped ask for nothing, and the extra copies of an update do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u64>,
    /// Thousandths of one CPU core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u64>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Bytes>,
    /// Ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<u64>,
}

/// What is asked for in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Instances.
    pub instances: u64,
    /// Thousandths of one CPU core.
    pub cpu: u64,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// Ports.
    pub ports: u64,
}

impl Totals {
    /// What `count` instances of this workload ask for, saturating.
    #[must_use]
    pub fn of(spec: &Workload, count: u32) -> Self {
        let (ask, count) = (spec.ask(), u64::from(count));
        let ports = spec.ports.iter().map(|port| u64::from(port.count.max(1))).sum::<u64>();
        Self {
            instances: count,
            cpu: ask.cpu.saturating_mul(count),
            memory: Bytes(ask.memory.0.saturating_mul(count)),
            disk: Bytes(ask.disk.0.saturating_mul(count)),
            ports: ports.saturating_mul(count),
        }
    }

    /// What a workload asks for as it stands. One of kind `system` asks for one on each of `nodes`,
    /// one of kind `cron` for one.
    #[must_use]
    pub fn of_head(head: &Head, nodes: u32) -> Self {
        let count = match head.spec.kind {
            Kind::Service | Kind::Job => head.spec.count,
            Kind::System => nodes,
            Kind::Cron => 1,
        };
        Self::of(&head.spec, if head.deleted || head.stopped { 0 } else { count })
    }

    /// These and those, saturating.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            instances: self.instances.saturating_add(other.instances),
            cpu: self.cpu.saturating_add(other.cpu),
            memory: Bytes(self.memory.0.saturating_add(other.memory.0)),
            disk: Bytes(self.disk.0.saturating_add(other.disk.0)),
            ports: self.ports.saturating_add(other.ports),
        }
    }
}

/// A limit that would be passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Which: `instances`, `cpu`, `memory`, `disk` or `ports`.
    pub limit: &'static str,
    /// How much is allowed.
    pub allowed: u64,
    /// How much it would be.
    pub wanted: u64,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, allowed, wanted } = *self;
        let over = wanted.saturating_sub(allowed);
        match limit {
            "memory" | "disk" => {
                let (allowed, wanted, over) = (Bytes(allowed), Bytes(wanted), Bytes(over));
                write!(f, "`{limit}`: {wanted} of {allowed}, {over} too much")
            }
            "cpu" => write!(f, "`cpu`: {wanted}m of {allowed}m, {over}m too much"),
            _ => write!(f, "`{limit}`: {wanted} of {allowed}, {over} too many"),
        }
    }
}

/// A text may be so long, in bytes.
const LONGEST: usize = 4096;

impl Quota {
    /// Reads it from JSON, and names everything that is wrong with it.
    pub fn from_json(text: &str) -> Result<Self, Vec<Problem>> {
        if text.len() > LONGEST {
            let message = format!("{} bytes are too many: at most {LONGEST}", text.len());
            return Err(vec![Problem::new("", message)]);
        }
        let tree = document::json(text, Comments::Refused).map_err(|problem| vec![problem])?;
        let Reading { value, problems } = document::read::<Self>(tree);
        value.filter(|_| problems.is_empty()).ok_or(problems)
    }

    /// Whether a workload may ask for `after` where it asked for `before`, beside what the `others`
    /// of its namespace ask for. Only what grows is refused: where a limit was lowered below what
    /// is asked for already, less may still be asked for.
    pub fn admit(&self, others: Totals, before: Totals, after: Totals) -> Result<(), Vec<Excess>> {
        let all = others.plus(after);
        let limits = [
            ("instances", self.instances, all.instances, before.instances < after.instances),
            ("cpu", self.cpu, all.cpu, before.cpu < after.cpu),
            ("memory", self.memory.map(|b| b.0), all.memory.0, before.memory < after.memory),
            ("disk", self.disk.map(|b| b.0), all.disk.0, before.disk < after.disk),
            ("ports", self.ports, all.ports, before.ports < after.ports),
        ];
        let over = limits.into_iter().filter_map(|(limit, allowed, wanted, grows)| {
            let allowed = allowed.filter(|allowed| grows && wanted > *allowed)?;
            Some(Excess { limit, allowed, wanted })
        });
        let over: Vec<Excess> = over.collect();
        if over.is_empty() { Ok(()) } else { Err(over) }
    }
}

/// Why a namespace may not ask for so much, in one line.
#[must_use]
pub fn refusal(namespace: &str, over: &[Excess]) -> String {
    let each: Vec<String> = over.iter().map(ToString::to_string).collect();
    format!("the quota of namespace `{namespace}` would be passed: {}", each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(instances: u64, gib: u64) -> Totals {
        Totals { instances, memory: Bytes(gib << 30), ..Totals::default() }
    }

    #[test]
    fn what_grows_past_a_limit_is_refused_with_the_limit_and_by_how_much() {
        let quota = Quota::from_json(r#"{"instances":10,"memory":"8GiB"}"#).expect("it is right");
        let says = |others, before, after| match quota.admit(others, before, after) {
            Ok(()) => String::new(),
            Err(over) => refusal("shop", &over),
        };
        assert_eq!(says(totals(5, 4), totals(0, 0), totals(5, 4)), "");
        assert_eq!(
            says(totals(5, 4), totals(5, 4), totals(7, 6)),
            "the quota of namespace `shop` would be passed: `instances`: 12 of 10, 2 too many; \
             `memory`: 10GiB of 8GiB, 2GiB too much"
        );
        assert_eq!(says(totals(20, 4), totals(5, 4), totals(4, 4)), "", "less is always allowed");
        assert!(says(totals(20, 4), totals(5, 1), totals(4, 5)).contains("`memory`"));
    }

    #[test]
    fn a_workload_asks_for_count_times_its_requests() {
        let text = "name = \"web\"\ndriver = \"sim\"\ncount = 3\n[resources]\ncpu = 250\n\
                    memory = \"1GiB\"\n[[ports]]\nname = \"a\"\ncount = 2\n[[ports]]\nname = \"b\"";
        let spec = crate::workload::from_toml(text).expect("it is right");
        let of = Totals::of(&spec, spec.count);
        assert_eq!((of.instances, of.cpu, of.memory, of.ports), (3, 750, Bytes(3 << 30), 9));
        assert_eq!(
            Totals::of(&spec, u32::MAX).plus(Totals::of(&spec, u32::MAX)).ports,
            6 * u64::from(u32::MAX)
        );
    }

    #[test]
    fn an_unknown_limit_or_a_wrong_value_is_named() {
        for (text, says) in [
            (r#"{"instanes":1}"#, "instances"),
            (r#"{"memory":"8GB"}"#, "memory"),
            (r#"{"cpu":-1}"#, "cpu"),
        ] {
            let problems = Quota::from_json(text).expect_err(text);
            assert!(problems.iter().any(|one| one.to_string().contains(says)), "{problems:?}");
        }
    }
}
