//! Starts the scheduler: `ostler-scheduler [--config FILE]`.

use anyhow::Context as _;
use ostler_bus::{Bus, ConnectError, Pings};
use ostler_scheduler::Config;
use ostler_service::config::Settings;
use ostler_service::program::{Program, config_path_from_args, until_signal};
use ostler_service::telemetry;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::load(config_path_from_args().as_deref())?;
    telemetry::start(&settings.section("telemetry")?);
    let config: Config = settings.section("scheduler")?;
    let program = Program::new();
    let listen = config.health_listen.parse().context("`[scheduler] health_listen`")?;
    program.serve_health(listen).await?;
    let bus_config: ostler_bus::Config = settings.section("bus")?;
    let (runner, bus_program) = (program.clone(), program.clone());
    program.tasks.spawn("scheduler", async move {
        tokio::select! {
            () = bus_program.tasks.stopped() => Ok(()),
            bus = connect(&bus_config, &bus_program) => {
                anyhow::Ok(ostler_scheduler::run(config, bus?, runner).await?)
            }
        }
    });
    until_signal(&program).await;
    program.finish().await.map_err(anyhow::Error::msg)
}

/// Connects, however long NATS takes to come up.
async fn connect(config: &ostler_bus::Config, program: &Program) -> Result<Bus, ConnectError> {
    loop {
        match Bus::connect(config, "scheduler", Pings::Usual, program).await {
            Err(error @ ConnectError::Unreachable { .. }) => tracing::warn!(%error, "trying again"),
            other => return other,
        }
    }
}
