//! Starts the executor of this host.

use ostler_service::config::Settings;
use ostler_service::{Program, program, telemetry};

fn main() -> anyhow::Result<()> {
    ostler_executor::guardian::stand_if_asked();
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let settings = Settings::load(program::config_path_from_args().as_deref())?;
    telemetry::start(&settings.section("telemetry")?);
    let config: ostler_executor::Config = settings.section("executor")?;
    let (bus, program) = (settings.section("bus")?, Program::new());
    program.serve_health(config.health_listen).await?;
    let asked = program.clone();
    program.tasks.spawn_brief(async move { program::until_signal(&asked).await });
    ostler_executor::run_connecting(config, bus, program.clone()).await?;
    program.finish().await.map_err(anyhow::Error::msg)
}
