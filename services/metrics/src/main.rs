//! Starts the metrics service.

use ostler_bus::{Bus, Pings};
use ostler_metrics::Config;
use ostler_service::config::Settings;
use ostler_service::program::{config_path_from_args, until_signal};
use ostler_service::{Program, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::load(config_path_from_args().as_deref())?;
    telemetry::start(&settings.section("telemetry")?);
    let config: Config = settings.section("metrics")?;
    let program = Program::new();
    program.serve_health(config.health_listen).await?;
    let bus = settings.section("bus")?;
    let bus = Bus::connect(&bus, "metrics", Pings::Usual, &program).await?;
    program.tasks.spawn("metrics", ostler_metrics::run(config, bus, program.clone()));
    until_signal(&program).await;
    program.finish().await.map_err(anyhow::Error::msg)
}
