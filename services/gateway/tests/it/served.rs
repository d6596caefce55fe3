//! A gateway that is served for one test.

use std::net::SocketAddr;

use ostler_bus::{Bus, Pings};
use ostler_core::id::PoolName;
use ostler_gateway::Config;
use ostler_service::Program;
use ostler_testkit::NatsServer;
use reqwest::{Client, Method, RequestBuilder};

/// A gateway on a port of its own, with a nats-server of its own.
pub struct Served {
    pub address: SocketAddr,
    pub bus: Bus,
    pub program: Program,
    pub http: Client,
    pub nats: NatsServer,
}

impl Served {
    /// With the usual settings.
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// With these settings, but on a free port.
    pub async fn with(config: Config) -> Self {
        let nats = NatsServer::start().await;
        let program = Program::new();
        let settings = ostler_bus::Config { url: nats.url(), ..Default::default() };
        let bus = Bus::connect(&settings, "gateway", Pings::Usual, &program).await;
        let bus = bus.expect("the server runs");
        bus.provision(&[PoolName::default()]).await.expect("the server is empty");
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = ostler_gateway::bind(Config { listen, ..config }).await.expect("a free port");
        let address = bound.address();
        program.tasks.spawn("gateway", bound.run(bus.clone(), program.clone()));
        Self { address, bus, program, http: Client::new(), nats }
    }

    /// A request to this gateway.
    pub fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.http.request(method, format!("http://{}{path}", self.address))
    }
}
