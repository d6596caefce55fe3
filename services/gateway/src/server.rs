//! Binds the address, serves until the program stops.

use std::net::{IpAddr, SocketAddr};

use ostler_bus::Bus;
use ostler_bus::provision::ProvisionError;
use ostler_bus::pubsub::SendError;
use ostler_service::Program;
use thiserror::Error;
use tokio::net::TcpListener;
use tracing::info;

use crate::app::App;
use crate::config::Config;

/// Why the gateway does not serve, or does so no longer.
#[derive(Debug, Error)]
pub enum RunError {
    /// Anybody who reaches the address could do everything. Nothing was bound.
    #[error(
        "`gateway.listen` is {0}: without accounts the gateway listens on loopback only, such as 127.0.0.1:8000"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The listener broke while serving.
    #[error("cannot serve any longer")]
    Serve(#[source] std::io::Error),
    /// The streams are not as the table says. Nothing is served.
    #[error("the bus is not as it should be; `ostler bus provision` makes what is missing")]
    Streams(#[from] ProvisionError),
    /// It cannot be found on the bus.
    #[error("cannot answer pings on the bus")]
    Ping(#[from] SendError),
    /// A metric has the name of another.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
}

/// A gateway that has its address and does not answer yet.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes the address of the settings.
pub async fn bind(config: Config) -> Result<Bound, RunError> {
    let address = config.listen;
    if !is_loopback(address.ip()) {
        return Err(RunError::NotLoopback(address));
    }
    let failed = |source| RunError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { config, listener, address })
}

impl Bound {
    /// The address, with the port that was found where the settings say 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the program stops, then lets open requests finish for `stop_timeout`.
    pub async fn run(self, bus: Bus, program: Program) -> Result<(), RunError> {
        if !bus.verified(&bus.config().pools).await? {
            return Ok(());
        }
        let stop = program.tasks.stop_token();
        let grace = self.config.stop_timeout;
        let id = format!("gateway-{}", self.address.port());
        bus.serve("gateway", &id).start().await?;
        let app = App::new(self.config, bus, program.clone())?;
        app.follow_events();
        let router = crate::api::router(app);
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(self.listener, router)
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        info!(server.address = %self.address, "the gateway serves http://{}", self.address);
        program.health.set("gateway", Ok(()));
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(grace.into()).await;
        };
        tokio::select! {
            served = serving => served.map_err(RunError::Serve),
            () = late => Ok(()),
        }
    }
}

/// Binds and serves.
pub async fn run(config: Config, bus: Bus, program: Program) -> Result<(), RunError> {
    bind(config).await?.run(bus, program).await
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_others_reach_is_refused_while_there_are_no_accounts() {
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
            let listen = address.parse().expect("an address");
            let refused = bind(Config { listen, ..Config::default() }).await;
            assert!(matches!(refused, Err(RunError::NotLoopback(_))), "{address}");
        }
    }

    #[tokio::test]
    async fn port_0_is_told_once_it_is_known() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = bind(Config { listen, ..Config::default() }).await.expect("binds");
        assert_ne!(bound.address().port(), 0);
    }
}
