//! One part of a dev fleet: a service or an executor, run in this process.

use ostler_bus::{Bus, Config, Pings};
use ostler_core::id::NodeName;
use ostler_service::config::Settings;
use ostler_service::{Program, telemetry};

use super::layout::Layout;
use super::settings;
use crate::failure::Failure;

/// Which part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The registry.
    Registry,
    /// A scheduler replica, from 1.
    Scheduler(u16),
    /// The gateway.
    Gateway,
    /// The metrics service.
    Metrics,
    /// The executor of a node.
    Executor(NodeName),
}

impl Part {
    /// The service of this name.
    pub fn named(service: &str, replica: u16) -> Result<Self, Failure> {
        match service {
            "registry" => Ok(Self::Registry),
            "scheduler" => Ok(Self::Scheduler(replica)),
            "gateway" => Ok(Self::Gateway),
            "metrics" => Ok(Self::Metrics),
            other => Err(Failure::usage(format!("there is no service `{other}`"))),
        }
    }

    /// Its name in the ready file: `scheduler`, `scheduler-2`, `node-1`.
    pub fn name(&self) -> String {
        match self {
            Self::Registry => "registry".to_owned(),
            Self::Scheduler(1) => "scheduler".to_owned(),
            Self::Scheduler(replica) => format!("scheduler-{replica}"),
            Self::Gateway => "gateway".to_owned(),
            Self::Metrics => "metrics".to_owned(),
            Self::Executor(node) => node.to_string(),
        }
    }

    /// The arguments that make `ostler` this part.
    pub fn args(&self, layout: &Layout) -> Vec<String> {
        let data = ["--data".to_owned(), layout.dir.display().to_string()];
        let parent = ["--parent".to_owned(), std::process::id().to_string()];
        let what: Vec<String> = match self {
            Self::Executor(node) => vec!["node".to_owned(), node.to_string()],
            Self::Scheduler(replica) => ["service", "scheduler", "--replica"]
                .map(str::to_owned)
                .into_iter()
                .chain([replica.to_string()])
                .collect(),
            Self::Registry | Self::Gateway | Self::Metrics => {
                vec!["service".to_owned(), self.name()]
            }
        };
        std::iter::once("dev".to_owned()).chain(what).chain(data).chain(parent).collect()
    }

    fn settings(&self, layout: &Layout) -> Result<Settings, Failure> {
        match self {
            Self::Executor(node) => settings::of_node(layout, node),
            Self::Scheduler(_) => {
                Ok(settings::of_services(layout)?.with("scheduler.id", self.name()))
            }
            Self::Registry | Self::Gateway | Self::Metrics => settings::of_services(layout),
        }
    }
}

/// Every part of a fleet, in the order in which they are started.
pub fn all(layout: &Layout) -> Vec<Part> {
    let schedulers = (1..=layout.fleet.schedulers).map(Part::Scheduler);
    let nodes = layout.nodes();
    let executors = nodes.iter().filter_map(|node| node.parse().ok()).map(Part::Executor);
    [Part::Registry]
        .into_iter()
        .chain(schedulers)
        .chain([Part::Gateway, Part::Metrics])
        .chain(executors)
        .collect()
}

/// Runs one part until its program stops.
pub async fn run(part: &Part, layout: &Layout, program: &Program) -> Result<(), Failure> {
    let all = part.settings(layout)?;
    telemetry::start(&all.section("telemetry").map_err(Failure::failed)?);
    let bus: Config = all.section("bus").map_err(Failure::failed)?;
    let bus = Bus::connect(&bus, &part.name(), Pings::Usual, program)
        .await
        .map_err(Failure::unreachable)?;
    let program = program.clone();
    match part {
        Part::Registry => {
            let config = all.section("registry").map_err(Failure::failed)?;
            ostler_registry::run(config, bus, program).await.map_err(Failure::caused)
        }
        Part::Scheduler(_) => {
            let config = all.section("scheduler").map_err(Failure::failed)?;
            ostler_scheduler::run(config, bus, program).await.map_err(Failure::caused)
        }
        Part::Gateway => {
            let config = all.section("gateway").map_err(Failure::failed)?;
            ostler_gateway::run(config, bus, program).await.map_err(Failure::caused)
        }
        Part::Metrics => {
            let config = all.section("metrics").map_err(Failure::failed)?;
            ostler_metrics::run(config, bus, program).await.map_err(Failure::caused)
        }
        Part::Executor(_) => {
            let config = all.section("executor").map_err(Failure::failed)?;
            ostler_executor::run(config, bus, program).await.map_err(Failure::caused)
        }
    }
}

/// Stops every instance that the executor of a node left behind, without the bus.
pub async fn clean(layout: &Layout, node: &str) -> Result<usize, Failure> {
    let node: NodeName = node.parse().map_err(Failure::usage)?;
    let all = settings::of_node(layout, &node)?;
    let config = all.section("executor").map_err(Failure::failed)?;
    ostler_executor::clean(&config).await.map_err(Failure::caused)
}
