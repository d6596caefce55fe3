//! `ostler bus`: streams and buckets on NATS.

use ostler_bus::{Bus, Config, Pings};
use ostler_core::id::PoolName;
use ostler_service::Program;

use crate::args::{BusCommand, BusTarget};
use crate::failure::Failure;
use crate::output;

/// `ostler bus provision` and `check`.
pub async fn run(command: BusCommand) -> Result<(), Failure> {
    match command {
        BusCommand::Provision(target) => {
            let (bus, pools) = connect(target).await?;
            let made = bus.provision(&pools).await.map_err(Failure::failed)?;
            let text =
                if made.is_empty() { "nothing was missing".to_owned() } else { made.join("\n") };
            output::print(&(text + "\n"));
        }
        BusCommand::Check(target) => {
            let (bus, pools) = connect(target).await?;
            bus.check(&pools).await.map_err(Failure::failed)?;
            output::print("every stream is as it should be\n");
        }
    }
    Ok(())
}

/// A connection of our own, and the pools that were named.
pub async fn connect(target: BusTarget) -> Result<(Bus, Vec<PoolName>), Failure> {
    let pools: Vec<PoolName> = target
        .pools
        .iter()
        .map(|pool| pool.parse())
        .collect::<Result<_, _>>()
        .map_err(Failure::usage)?;
    let config =
        Config { url: target.nats, root: target.root, pools: pools.clone(), ..Config::default() };
    let bus = Bus::connect(&config, "ostler-cli", Pings::Usual, &Program::new())
        .await
        .map_err(Failure::unreachable)?;
    Ok((bus, pools))
}
