//! Somebody who asks a fleet for things, and remembers what was acknowledged.

use std::time::Duration;

use ostler_bus::{Bus, Caller, Config, Pings};
use ostler_core::id::NodeName;
use ostler_core::time::Span;
use ostler_core::workload;
use ostler_schemas::api::Call;
use ostler_schemas::contract::HeartbeatOf;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::Program;
use ostler_testkit::eventually_within;

/// How long a write may take to be acknowledged, whatever breaks.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);

/// A write that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acked {
    pub name: String,
    pub version: u32,
    pub count: u32,
}

/// Asks over a connection of its own, which no fault touches but those of the servers.
pub struct Client {
    pub bus: Bus,
    /// What its workloads are: by default simulated and small.
    pub kind: String,
    /// Every write that was acknowledged, in order.
    pub acked: Vec<Acked>,
}

impl Client {
    /// Connects to a server without streams, and makes them.
    pub async fn start(url: &str) -> Self {
        let bus = Bus::connect(&config(url), "test", Pings::Usual, &Program::new()).await;
        let bus = bus.expect("NATS is there");
        bus.provision(&bus.config().pools.clone()).await.expect("an empty server takes all");
        let kind = r#""driver": "sim", "resources": { "cpu": 10, "memory": "8MiB" }"#;
        Self { bus, kind: kind.to_owned(), acked: Vec::new() }
    }

    /// Asks, again and again as one operation, until that is acknowledged.
    pub async fn insist<R: Call>(&self, request: &R) -> R::Reply {
        let caller = Caller { actor: "tester".to_owned(), ..Caller::program("test") };
        let reply = std::sync::Mutex::new(None);
        eventually_within(ACKNOWLEDGED_WITHIN, &format!("{} is answered", R::SUBJECT), || async {
            let said = self.bus.call(request, &caller).await;
            let said = said.map_err(|problem| {
                let again = matches!(problem.code, Code::Unavailable | Code::Timeout);
                assert!(again, "{} is refused: {problem}", R::SUBJECT);
            });
            let answered = said.is_ok();
            *reply.lock().expect("unbroken") = said.ok();
            answered
        })
        .await;
        reply.into_inner().expect("unbroken").expect("just waited for")
    }

    /// Asks for a workload until that is acknowledged.
    pub async fn put(&mut self, name: &str, count: u32) {
        let reply = self.insist(&self.request(name, count)).await;
        let version = reply.workload.expect("a view").version;
        self.acked.push(Acked { name: name.to_owned(), version, count });
    }

    /// Asks for the end of a workload until that is acknowledged.
    pub async fn delete(&mut self, name: &str) {
        let request = pb::WorkloadDelete { name: name.to_owned(), ..Default::default() };
        self.insist(&request).await;
        self.acked.retain(|acked| acked.name != name);
    }

    /// Begins to ask, once, and does not wait for an answer.
    pub async fn ask(&self, name: &str, count: u32) -> Result<pb::WorkloadPutReply, Code> {
        let caller = Caller { timeout: Duration::from_secs(3), ..Caller::program("test") };
        self.bus.call(&self.request(name, count), &caller).await.map_err(|problem| problem.code)
    }

    /// How many instances run on each of these, by the next beat of each: no store has a part in it.
    pub async fn running(&self, nodes: &[NodeName]) -> u32 {
        let mut beats = self.bus.subscribe::<HeartbeatOf>(None).await.expect("NATS is there");
        let mut told = std::collections::BTreeMap::new();
        while told.len() < nodes.len() {
            if let Some(Ok((_, beat))) = beats.next().await
                && nodes.contains(&beat.node)
            {
                told.insert(beat.node, beat.instances);
            }
        }
        told.values().sum()
    }

    fn request(&self, name: &str, count: u32) -> pb::WorkloadPut {
        let text = format!(r#"{{ "name": "{name}", "count": {count}, {} }}"#, self.kind);
        let spec = workload::from_json(&text).expect("a workload");
        pb::WorkloadPut { spec: Some(spec.into()), ..Default::default() }
    }
}

/// Answers are waited for only so long, so that those which were lost are soon missed.
pub fn config(url: &str) -> Config {
    Config { url: url.to_owned(), request_timeout: Span::from_millis(1_500), ..Config::default() }
}
