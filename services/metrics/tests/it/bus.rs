//! Samples in, series out, over a private nats-server.

use ostler_bus::{Bus, Caller, Pings};
use ostler_core::id::{InstanceId, NodeName, PoolName};
use ostler_metrics::Config;
use ostler_schemas::contract::MetricOf;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::Program;
use ostler_testkit::{NatsServer, eventually};
use serde_json::Value;

async fn started(nats: &NatsServer, config: Config) -> (Bus, Program) {
    let program = Program::new();
    let settings = ostler_bus::Config { url: nats.url(), ..Default::default() };
    let bus = Bus::connect(&settings, "metrics", Pings::Usual, &program).await;
    let bus = bus.expect("the server runs");
    bus.provision(&[PoolName::default()]).await.expect("the server is empty");
    let running = ostler_metrics::run(config, bus.clone(), program.clone());
    program.tasks.spawn("metrics", running);
    (bus, program)
}

fn sample(instance: InstanceId) -> pb::NodeSample {
    let resources = |cpu, memory| pb::Resources { cpu, memory, disk: 3, network: 4 };
    pb::NodeSample {
        node: "node-1".into(),
        epoch: 1,
        used: Some(resources(1500, 1 << 30)),
        capacity: Some(resources(4000, 8 << 30)),
        load: vec![125, 100, 50],
        instances: vec![pb::InstanceSample {
            id: instance.bits().to_be_bytes()[6..].to_vec(),
            cpu: 250,
            memory: 64 << 20,
        }],
        ..Default::default()
    }
}

async fn ask<R>(bus: &Bus, request: &R) -> Value
where
    R: ostler_schemas::api::Call<Reply = pb::Document>,
{
    let reply = bus.call(request, &Caller::program("test")).await;
    reply.ok().and_then(|document| serde_json::from_str(&document.json).ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nodes_tell_becomes_series_of_node_instance_and_fleet() {
    let nats = NatsServer::start().await;
    let (bus, program) = started(&nats, Config::default()).await;
    let node: NodeName = "node-1".parse().expect("a name");
    let instance = InstanceId::from_bits(77);
    let request = pb::MetricsNode { name: node.to_string(), ..Default::default() };
    eventually("the node has a series", || async {
        // Lost before the service listens; told every 5 s.
        bus.publish(&MetricOf(node.clone()), &sample(instance)).await.ok();
        ask(&bus, &request).await["series"]["cpu"][0][1] == 1500.0
    })
    .await;
    let of_node = ask(&bus, &request).await;
    assert_eq!(of_node["totals"]["capacity"]["memory"], 8u64 << 30);
    assert_eq!(of_node["totals"]["load"][0], 1.25);
    assert_eq!(of_node["series"]["memory"][0][1], f64::from(1u32 << 30));
    let request = pb::MetricsInstance { id: instance.to_string(), ..Default::default() };
    let of_instance = ask(&bus, &request).await;
    assert_eq!(of_instance["node"], "node-1");
    assert_eq!(of_instance["series"]["cpu"][0][1], 250.0);
    let fleet = ask(&bus, &pb::MetricsFleet::default()).await;
    assert_eq!(fleet["totals"]["reporting_nodes"], 1);
    assert_eq!(fleet["totals"]["capacity"]["cpu"], 4000);
    let shown = prometheus::TextEncoder::new().encode_to_string(&program.metrics.gather());
    let shown = shown.expect("text");
    assert!(shown.contains("ostler_metrics_node_cpu_millicores{node=\"node-1\"} 1500"), "{shown}");
    assert!(shown.contains("ostler_metrics_fleet_cpu_millicores{kind=\"capacity\"} 4000"));
    program.finish().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_known_or_makes_no_sense_is_a_problem() {
    let nats = NatsServer::start().await;
    let (bus, program) = started(&nats, Config::default()).await;
    let caller = Caller::program("test");
    eventually("it answers", || async {
        bus.call(&pb::MetricsFleet::default(), &caller).await.is_ok()
    })
    .await;
    let code = |name: &str| {
        let request = pb::MetricsNode { name: name.to_owned(), ..Default::default() };
        let (bus, caller) = (bus.clone(), caller.clone());
        async move { bus.call(&request, &caller).await.map(|_| ()).map_err(|problem| problem.code) }
    };
    assert_eq!(code("node-9").await, Err(Code::NotFound));
    assert_eq!(code("Node 9").await, Err(Code::Invalid));
    program.finish().await.expect("it stops");
}
