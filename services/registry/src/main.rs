//! Starts the registry: `ostler-registry [--config FILE]`.

use anyhow::{Context as _, Error};
use ostler_bus::{Bus, Pings};
use ostler_service::config::Settings;
use ostler_service::program::{Program, config_path_from_args, until_signal};
use ostler_service::telemetry;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::load(config_path_from_args().as_deref())?;
    telemetry::start(&settings.section("telemetry")?);
    let config: ostler_registry::Config = settings.section("registry")?;
    let program = Program::new();
    program.serve_health(config.health_listen).await.context("cannot serve health")?;
    let bus = settings.section("bus")?;
    let bus = Bus::connect(&bus, "registry", Pings::Usual, &program).await?;
    let (running, on) = (program.clone(), bus.clone());
    program.tasks.spawn("registry", async move { ostler_registry::run(config, on, running).await });
    until_signal(&program).await;
    let end = program.finish().await.map_err(Error::msg);
    bus.drain().await;
    end
}
