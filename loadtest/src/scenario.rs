//! One file a scenario, with what can be asked of it.

pub mod api;
pub mod churn;
mod engine;
pub mod failover;
pub mod footprint;
pub mod heartbeats;
pub mod host;
pub mod latency;
pub mod leader;
mod place;
pub mod pressure;
mod slots;
pub mod spawn;
mod tally;
mod window;

use crate::args::{Args, Scenario};
use crate::{baseline, fleet};

/// Runs what was asked for and publishes its report.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let report = match args.scenario {
        Scenario::Engine(engine) => engine::measure(&engine)?,
        Scenario::Place(place) => place::measure(&place).await?,
        Scenario::Latency(latency) => latency::measure(&latency).await?,
        Scenario::Failover(failover) => failover::measure(&failover).await?,
        Scenario::Leader(leader) => leader::measure(&leader).await?,
        Scenario::Heartbeats(heartbeats) => heartbeats::measure(&heartbeats).await?,
        Scenario::Churn(churn) => churn::measure(&churn).await?,
        Scenario::Api(api) => api::measure(&api).await?,
        Scenario::Footprint(footprint) => footprint::measure(&footprint).await?,
        Scenario::Pressure(pressure) => pressure::measure(&pressure).await?,
        Scenario::Spawn(spawn) => spawn::measure(&spawn).await?,
        Scenario::Host(host) => host::measure(&host).await?,
        Scenario::Compare(compare) => return baseline::compare(&compare),
        Scenario::Serve(serve) => return fleet::serve(serve).await,
    };
    report.publish(args.json.as_deref())
}
