//! Who asks, and what they may do: the one place through which accounts will come.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ostler_schemas::problem::{Code, Problem};

use crate::answer::Refusal;
use crate::app::App;

/// What a request must be allowed to do. One type for each, so that a handler that lacks one does
/// not compile.
pub trait Policy: Send + Sync + 'static {
    /// `resource:verb`
    const NAME: &'static str;
}

macro_rules! policies {
    ($($type:ident = $name:literal, $what:literal;)*) => {
        /// The policies, one type for each.
        pub mod policy {
            $(#[doc = $what]
            #[derive(Debug)]
            pub enum $type {}
            impl super::Policy for $type {
                const NAME: &'static str = $name;
            })*
        }
        /// Every policy.
        pub const POLICIES: &[&str] = &[$($name),*];
    };
}

policies! {
    WorkloadsRead = "workloads:read", "See workloads, their versions and why they are where they are.";
    WorkloadsWrite = "workloads:write", "Create, change and remove workloads.";
    WorkloadsPlan = "workloads:plan", "Ask where workloads would go.";
    InstancesRead = "instances:read", "See instances.";
    InstancesWrite = "instances:write", "Stop, restart and move instances.";
    InstancesExec = "instances:exec", "Run commands inside instances.";
    LogsRead = "logs:read", "Read what instances write.";
    NodesRead = "nodes:read", "See nodes.";
    NodesWrite = "nodes:write", "Change, empty and remove nodes.";
    ArtifactsRead = "artifacts:read", "See and download artifacts.";
    ArtifactsWrite = "artifacts:write", "Upload and remove artifacts.";
    EndpointsRead = "endpoints:read", "See endpoints.";
    PoolsRebalance = "pools:rebalance", "Even out the use of a pool's nodes.";
    QuotasRead = "quotas:read", "See what namespaces may ask for in all.";
    QuotasWrite = "quotas:write", "Limit what namespaces may ask for in all.";
    SettingsRead = "settings:read", "See how the fleet and its pools decide.";
    SettingsWrite = "settings:write", "Change how the fleet and its pools decide.";
    CommandsRead = "commands:read", "See orders and what became of them.";
    EventsRead = "events:read", "See events.";
    MetricsRead = "metrics:read", "See series and totals.";
    StatusRead = "status:read", "See the state of the fleet and its services.";
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// A user's or token's name; `anonymous` while there are no accounts.
    pub actor: String,
    /// What they may do.
    pub policies: BTreeSet<&'static str>,
}

impl Identity {
    /// Whoever reaches the loopback address, with every policy.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { actor: "anonymous".to_owned(), policies: POLICIES.iter().copied().collect() }
    }

    /// Refuses with the name of the policy that is missing.
    pub fn require<P: Policy>(&self) -> Result<(), Refusal> {
        if self.policies.contains(P::NAME) {
            return Ok(());
        }
        let detail = format!("`{}` may not: the policy `{}` is missing", self.actor, P::NAME);
        let mut problem = Problem::new(Code::Forbidden, detail);
        problem.missing_policies = vec![P::NAME.to_owned()];
        Err(problem.into())
    }
}

impl FromRequestParts<App> for Identity {
    type Rejection = Infallible;

    /// Anonymous: in this version the listening address is loopback, and nobody else gets here.
    async fn from_request_parts(_: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self::anonymous())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_policy_that_is_missing() {
        let nobody = Identity { actor: "eve".to_owned(), policies: BTreeSet::new() };
        let refusal = nobody.require::<policy::NodesWrite>().expect_err("refused");
        assert_eq!(refusal.problem().status, 403);
        assert_eq!(refusal.problem().missing_policies, ["nodes:write"]);
        assert!(Identity::anonymous().require::<policy::NodesWrite>().is_ok());
    }
}
