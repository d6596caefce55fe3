//! Starts the gateway.

use ostler_bus::{Bus, Pings};
use ostler_service::config::Settings;
use ostler_service::program::{config_path_from_args, until_signal};
use ostler_service::{Program, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::load(config_path_from_args().as_deref())?;
    telemetry::start(&settings.section("telemetry")?);
    let program = Program::new();
    let bound = ostler_gateway::bind(settings.section("gateway")?).await?;
    let bus = settings.section("bus")?;
    let bus = Bus::connect(&bus, "gateway", Pings::Usual, &program).await?;
    let running = bound.run(bus, program.clone());
    program.tasks.spawn("gateway", running);
    until_signal(&program).await;
    program.finish().await.map_err(anyhow::Error::msg)
}
