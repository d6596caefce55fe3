//! One file a scenario. Later ones (`latency`, `spawn`, `failover`, `leader`, `heartbeats`, `churn`,
//! `api`, `footprint`) get a file each here and a variant in `args`.

mod engine;
mod place;
mod tally;

use crate::args::{Args, Scenario};
use crate::fleet;

/// Runs what was asked for and publishes its report.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let report = match args.scenario {
        Scenario::Engine(engine) => engine::measure(&engine)?,
        Scenario::Place(place) => place::measure(&place).await?,
        Scenario::Serve(serve) => return fleet::serve(serve).await,
    };
    report.publish(args.json.as_deref())
}
