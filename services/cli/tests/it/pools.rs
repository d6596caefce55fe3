//! Several pools: each question reaches the leader of the pool that it is about.

use ostler_bus::{Bus, Caller, Pings};
use ostler_core::id::PoolName;
use ostler_core::node::Node;
use ostler_schemas::bucket::NodeKey;
use ostler_schemas::pb;
use ostler_service::Program;
use ostler_testkit::{NatsServer, eventually};
use serde_json::{Value, json};

/// A registry and one scheduler for each of two pools, on a private server.
struct Two {
    nats: NatsServer,
    bus: Bus,
    programs: Vec<Program>,
}

impl Two {
    async fn start() -> Self {
        let nats = NatsServer::start().await;
        let pools: Vec<PoolName> = ["default", "gpu"].map(|name| name.parse().expect(name)).into();
        let mut two = Self::connected(nats, &pools).await;
        two.bus.provision(&pools).await.expect("an empty server takes all streams");
        for (name, pool, zone) in [("n1", 0, "east"), ("n2", 0, "west"), ("g1", 1, "east")] {
            let node = node(name, &pools[pool], zone);
            two.bus.put(&NodeKey(node.name.clone()), &node).await.expect("written");
        }
        let program = Program::new();
        let bus = two.connect("registry", &program).await;
        let database = format!("sqlite:{}", two.nats.home().join("registry.db").display());
        let config = ostler_registry::Config { database, ..Default::default() };
        program.tasks.spawn("registry", ostler_registry::run(config, bus, program.clone()));
        two.programs.push(program);
        for pool in pools {
            let program = Program::new();
            let bus = two.connect("scheduler", &program).await;
            let config = ostler_scheduler::Config { pools: vec![pool], ..Default::default() };
            program.tasks.spawn("scheduler", ostler_scheduler::run(config, bus, program.clone()));
            two.programs.push(program);
        }
        for program in &two.programs {
            let health = program.health.clone();
            eventually("all are ready", || async { health.ready().is_ok() }).await;
        }
        for (pool, node) in [("default", "n1"), ("gpu", "g1")] {
            let (pool, name) = (pool.parse().expect(pool), node.to_owned());
            let (ask, me) = (pb::NodeExplain { name }, Caller::program("test"));
            eventually("both pools are led", || async {
                two.bus.call_pool::<pb::NodeExplain>(&pool, &ask, &me).await.is_ok()
            })
            .await;
        }
        two
    }

    async fn connected(nats: NatsServer, pools: &[PoolName]) -> Self {
        let (url, pools) = (nats.url(), pools.to_vec());
        let config = ostler_bus::Config { url, pools, ..Default::default() };
        let bus = Bus::connect(&config, "test", Pings::Usual, &Program::new()).await;
        Self { nats, bus: bus.expect("NATS is there"), programs: Vec::new() }
    }

    async fn connect(&self, name: &str, program: &Program) -> Bus {
        let config = self.bus.config();
        Bus::connect(config, name, Pings::Usual, program).await.expect("NATS is there")
    }

    async fn ask<R: ostler_schemas::api::Call>(&self, request: &R) -> Result<R::Reply, String> {
        let answer = self.bus.call(request, &Caller::program("test")).await;
        answer.map_err(|problem| problem.detail)
    }

    async fn document<R>(&self, request: &R) -> Result<Value, String>
    where
        R: ostler_schemas::api::Call<Reply = pb::Document>,
    {
        let document = self.ask(request).await?;
        Ok(serde_json::from_str(&document.json).expect("JSON"))
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        self.programs.iter().for_each(|program| program.tasks.stop());
    }
}

/// An executor of its own on the same server.
async fn executor(two: &mut Two, name: &str) {
    let program = Program::new();
    let config = ostler_executor::Config {
        name: Some(name.parse().expect("a name")),
        data_dir: Some(two.nats.home().join(name)),
        drivers: vec![ostler_core::workload::DriverKind::Sim],
        ..Default::default()
    };
    let bus = two.connect("executor", &program).await;
    program.tasks.spawn("executor", ostler_executor::run(config, bus, program.clone()));
    two.programs.push(program);
}

/// Where the instances of a workload are that are ready.
async fn ready_on(two: &Two, workload: &str) -> Vec<String> {
    let list = pb::InstanceList { workload: workload.to_owned(), ..Default::default() };
    let items = two.ask(&list).await.expect("a list").items;
    items.into_iter().filter(|item| item.ready).map(|item| item.node).collect()
}

async fn put(two: &Two, spec: pb::WorkloadSpec) {
    let put = pb::WorkloadPut { spec: Some(spec), ..Default::default() };
    two.ask(&put).await.expect("it is put");
}

fn node(name: &str, pool: &PoolName, zone: &str) -> Node {
    let zero = json!({ "cpu": 0, "memory": 0, "disk": 0, "network": 0 });
    let has = json!({ "cpu": 4000, "memory": "8GiB", "disk": "10GiB", "network": 1000 });
    let facts = json!({ "arch": "amd64", "os": "linux", "kernel": "6.1", "boot_id": "",
        "hardware": "", "zone": zone, "capacity": has, "reserved": zero, "max_instances": 50,
        "drivers": { "sim": "1.0" }, "labels": {}, "addresses": [], "ports": [20_000, 20_100],
        "version": "" });
    let node = json!({ "name": name, "pool": pool, "admin": "active", "liveness": "online",
        "liveness_since": 0, "epoch": 1, "facts": facts, "drain_deadline": null, "key": "",
        "left_empty": false, "op_id": "" });
    serde_json::from_value(node).expect("a node")
}

fn spec(name: &str, pool: &str, count: u32) -> pb::WorkloadSpec {
    let text = json!({ "name": name, "driver": "sim", "pool": pool, "count": count }).to_string();
    ostler_core::workload::from_json(&text).expect("a workload").into()
}

fn explain(name: &str) -> pb::WorkloadExplain {
    pb::WorkloadExplain { name: name.to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_reaches_the_pool_that_it_is_about_whoever_hears_it_first() {
    let two = Two::start().await;
    for (name, pool) in [("web", "default"), ("train", "gpu")] {
        let spec = Some(spec(name, pool, 1));
        let put = pb::WorkloadPut { spec, ..Default::default() };
        two.ask(&put).await.expect("it is put");
        eventually("its leader knows it and has placed it", || async {
            let said = two.document(&explain(name)).await.unwrap_or_default();
            said["instances"].as_array().is_some_and(|list| list.len() == 1)
        })
        .await;
    }
    // Any leader may get each of these: all of them must come out right.
    for _ in 0..10 {
        let web = two.document(&explain("web")).await.expect("of pool default");
        assert_eq!(
            (&web["workload"], &web["fitting"]),
            (&json!("default/web"), &json!(2)),
            "{web}"
        );
        let train = two.document(&explain("train")).await.expect("of pool gpu");
        assert_eq!(train["instances"][0]["node"], "g1", "{train}");
        for node in ["n1", "g1"] {
            let said = two.document(&pb::NodeExplain { name: node.to_owned() }).await;
            assert_eq!(said.expect("known")["node"], node);
        }
        let id = train["instances"][0]["id"].as_str().expect("an id").to_owned();
        let said = two.document(&pb::InstanceExplain { id, ..Default::default() }).await;
        assert_eq!(said.expect("known")["instance"]["node"], "g1");
        let missing = two.document(&explain("nothing")).await.expect_err("there is none");
        assert!(missing.contains("nothing"), "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_about_several_pools_is_one_answer() {
    let two = Two::start().await;
    let workloads = vec![spec("web", "default", 2), spec("train", "gpu", 3)];
    let plan = pb::WorkloadPlan { workloads, ..Default::default() };
    for _ in 0..5 {
        let said = two.document(&plan).await.expect("both pools answer");
        assert_eq!(said["placements"].as_array().map(Vec::len), Some(5), "{said}");
        assert_eq!(said["pools"], json!(["default", "gpu"]), "{said}");
    }
    let lose = |what: &str| pb::WorkloadPlan { lose: vec![what.to_owned()], ..plan.clone() };
    let said = two.document(&lose("zone=east")).await.expect("both pools answer");
    assert_eq!((&said["lost"], &said["survives"]), (&json!(["n1", "g1"]), &json!(false)), "{said}");
    assert!(said["unplaced"].get("default/train").is_some(), "{said}");
    let said = two.document(&lose("node=n1")).await.expect("meant in one pool is enough");
    assert_eq!((&said["lost"], &said["survives"]), (&json!(["n1"]), &json!(true)), "{said}");
    let refused = two.document(&lose("zone=mars")).await.expect_err("meant nowhere");
    assert!(refused.contains("zone=mars") && refused.contains("east"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_given_to_another_pool_runs_its_work_though_its_revisions_are_lower() {
    let mut two = Two::start().await;
    executor(&mut two, "mover").await;
    let on_mover = |name: &str, pool: &str, count: u32| {
        let text = json!({ "name": name, "driver": "sim", "pool": pool, "count": count,
            "placement": { "node": "mover" } });
        ostler_core::workload::from_json(&text.to_string()).expect("a workload").into()
    };
    for round in 1..5 {
        put(&two, on_mover("web", "default", round)).await;
        eventually("the old pool's work runs", || async {
            ready_on(&two, "web").await.len() == usize::try_from(round).expect("few")
        })
        .await;
    }
    let give = pb::NodePatch {
        name: "mover".to_owned(),
        pool: Some("gpu".to_owned()),
        ..Default::default()
    };
    let refused = two.ask(&give).await.expect_err("its work has to end first");
    assert!(refused.contains("4 instances"), "{refused}");
    put(&two, on_mover("web", "default", 0)).await;
    eventually("it is let go", || async { two.ask(&give).await.is_ok() }).await;
    put(&two, on_mover("train", "gpu", 2)).await;
    eventually("the new pool's work runs", || async {
        ready_on(&two, "train").await == ["mover", "mover"]
    })
    .await;
    let back = pb::NodePatch { pool: Some("default".to_owned()), ..give };
    put(&two, on_mover("train", "gpu", 0)).await;
    eventually("it is let go again", || async { two.ask(&back).await.is_ok() }).await;
    put(&two, on_mover("web", "default", 1)).await;
    eventually("it is back", || async { ready_on(&two, "web").await == ["mover"] }).await;
}
