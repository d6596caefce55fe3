//! With a real registry behind it: conditions, versions, lists, orders, history, status.

use ostler_bus::{Bus, Pings};
use ostler_service::Program;
use ostler_testkit::eventually;
use reqwest::Response;
use serde_json::{Value, json};

use crate::served::Served;

/// A gateway with a registry of its own.
struct Fleet {
    served: Served,
    registry: Program,
}

impl Fleet {
    async fn start() -> Self {
        let served = Served::start().await;
        let registry = Program::new();
        let settings = ostler_bus::Config { url: served.nats.url(), ..Default::default() };
        let bus = Bus::connect(&settings, "registry", Pings::Usual, &registry).await;
        let database = served.nats.home().join("registry.db");
        let config = ostler_registry::Config {
            database: format!("sqlite:{}", database.display()),
            ..Default::default()
        };
        let running = ostler_registry::run(config, bus.expect("the server runs"), registry.clone());
        registry.tasks.spawn("registry", running);
        let health = registry.health.clone();
        eventually("the registry is ready", || async { health.ready().is_ok() }).await;
        Self { served, registry }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.served.ask("GET", path).send().await.expect("it answers");
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.expect("JSON")
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Response {
        self.with(method, path, body, &[]).await
    }

    async fn with(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut request = self.served.ask(method, path).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("it answers")
    }
}

const WEB: &str = "/v1/workloads/default/web";

fn sim(count: u32) -> Value {
    json!({ "driver": "sim", "count": count })
}

fn tag(answer: &Response) -> String {
    answer.headers()["ETag"].to_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_is_created_once_and_changed_only_at_the_revision_that_is_named() {
    let fleet = Fleet::start().await;
    let created = fleet.with("PUT", WEB, &sim(2), &[("If-None-Match", "*")]).await;
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["Location"], WEB);
    let first = tag(&created);
    let body: Value = created.json().await.expect("JSON");
    assert_eq!((&body["version"], &body["created"]), (&json!(1), &json!(true)), "{body}");
    assert_eq!(body["workload"]["spec"]["count"], 2);

    let again = fleet.send("PUT", WEB, &sim(2)).await;
    assert_eq!(again.status(), 200);
    assert_eq!(tag(&again), first, "nothing was written");
    let exists = fleet.with("PUT", WEB, &sim(3), &[("If-None-Match", "*")]).await;
    assert_eq!(exists.status(), 412);
    let stale = fleet.with("PUT", WEB, &sim(3), &[("If-Match", "\"1000000\"")]).await;
    assert_eq!(stale.status(), 412);
    let problem: Value = stale.json().await.expect("JSON");
    assert_eq!(problem["code"], "revision_mismatch");
    let changed = fleet.with("PUT", WEB, &sim(3), &[("If-Match", &first)]).await;
    assert_eq!(changed.status(), 200);
    let second = tag(&changed);
    assert_ne!(first, second);

    let known = fleet.served.ask("GET", WEB).header("If-None-Match", &second).send().await;
    let known = known.expect("it answers");
    assert_eq!(known.status(), 304);
    assert_eq!(known.text().await.expect("text"), "");
    let missing = "/v1/workloads/default/none";
    let missing = fleet.with("PUT", missing, &sim(1), &[("If-Match", "*")]).await;
    assert_eq!(missing.status(), 412);
    fleet.registry.finish().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_and_a_refusal_change_nothing() {
    let fleet = Fleet::start().await;
    fleet.send("PUT", WEB, &sim(2)).await;
    let before = fleet.get(WEB).await;
    let plan = fleet.send("PUT", "/v1/workloads/default/web?dry_run=true", &sim(9)).await;
    assert_eq!(plan.status(), 503, "there is no scheduler that could plan");
    for (method, path, body) in [
        ("POST", "/v1/workloads/default/web/scale?dry_run=true", json!({ "count": 9 })),
        ("DELETE", "/v1/workloads/default/web?dry_run=true", json!({})),
    ] {
        let answer = fleet.send(method, path, &body).await;
        assert_eq!(answer.status(), 503, "{method} {path}: nor that could plan these");
    }
    for path in ["restart", "start", "promote"] {
        let path = format!("/v1/workloads/default/web/{path}?dry_run=true");
        let answer = fleet.send("POST", &path, &json!({})).await;
        assert_eq!(answer.status(), 200, "{path}");
        let view: Value = answer.json().await.expect("JSON");
        assert_eq!(view.get("plan"), None, "{path}: there is nothing to plan");
    }
    let wrong = fleet.send("PUT", WEB, &json!({ "driver": "sim", "cuont": 3 })).await;
    assert_eq!(wrong.status(), 422);
    for path in ["restart", "reload", "stop", "promote", "rollback"] {
        let path = format!("/v1/workloads/default/web/{path}");
        let late = fleet.with("POST", &path, &json!({}), &[("If-Match", "\"1000\"")]).await;
        assert_eq!(late.status(), 412, "{path}");
    }
    assert_eq!(fleet.get(WEB).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_scales_once_though_it_is_sent_twice() {
    let fleet = Fleet::start().await;
    fleet.send("PUT", WEB, &sim(1)).await;
    let scale = "/v1/workloads/default/web/scale";
    let key = [("Idempotency-Key", "order-7")];
    let first = fleet.with("POST", scale, &json!({ "count": 5 }), &key).await;
    assert_eq!(first.status(), 200);
    let again = fleet.with("POST", scale, &json!({ "count": 5 }), &key).await;
    assert_eq!(again.status(), 200);
    assert_eq!(tag(&first), tag(&again));
    assert_eq!(fleet.get(WEB).await["spec"]["count"], 5);
    fleet.send("POST", scale, &json!({ "count": 3 })).await;
    let late = fleet.with("POST", scale, &json!({ "count": 5 }), &key).await;
    assert_eq!(late.status(), 200);
    assert_eq!(fleet.get(WEB).await["spec"]["count"], 3, "it was done before that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_gives_one_command() {
    let fleet = Fleet::start().await;
    fleet.send("PUT", WEB, &sim(1)).await;
    let key = [("Idempotency-Key", "order-8")];
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let sent = fleet.with("POST", "/v1/workloads/default/web/promote", &json!({}), &key).await;
        assert_eq!(sent.status(), 202);
        let command: Value = sent.json().await.expect("JSON");
        ids.insert(command["id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    let list = fleet.get("/v1/commands").await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    let id = ids.first().expect("one");
    let answer = fleet.served.ask("GET", &format!("/v1/commands/{id}")).send().await;
    assert!(answer.expect("it answers").headers().contains_key("ETag"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_said_that_they_were_whole_though_there_was_more() {
    let fleet = Fleet::start().await;
    fleet.send("PUT", WEB, &sim(1)).await;
    let scale = "/v1/workloads/default/web/scale";
    for count in 2..=5 {
        fleet.send("POST", scale, &json!({ "count": count })).await;
        fleet.send("POST", "/v1/workloads/default/web/promote", &json!({})).await;
        let quota = format!("/v1/quotas/shop-{count}");
        assert_eq!(fleet.send("PUT", &quota, &json!({ "instances": 9 })).await.status(), 200);
    }
    eventually("all is in history", || async {
        let events = fleet.get("/v1/events?limit=1000").await;
        events["items"].as_array().is_some_and(|items| items.len() >= 9)
    })
    .await;
    let newest = "/v1/events?newest=true&limit=2";
    let lists = ["/v1/events?limit=2", newest, "/v1/commands?limit=2", "/v1/quotas?limit=2"];
    let versions = "/v1/workloads/default/web/versions?limit=2";
    for path in lists.into_iter().chain([versions]) {
        let whole = fleet.get(&path.replace("limit=2", "limit=1000")).await;
        assert_eq!(whole["next_cursor"], Value::Null, "{path}");
        assert!(whole["revision"].as_u64() > Some(0), "{path}: {whole}");
        let (mut found, mut cursor) = (Vec::<Value>::new(), String::new());
        loop {
            let page = fleet.get(&format!("{path}{cursor}")).await;
            let items = page["items"].as_array().expect("a list").clone();
            assert!((1..=2).contains(&items.len()), "{path}: {page}");
            // The newest pages come first, each with its oldest item first.
            found = if path == newest { [items, found].concat() } else { [found, items].concat() };
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(Value::from(found), whole["items"], "{path}");
        let wrong = fleet.served.ask("GET", &format!("{path}&cursor=%20")).send().await;
        let wrong = wrong.expect("it answers").status();
        assert!(wrong == 422 || path.starts_with("/v1/commands"), "{path}: {wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_that_the_design_lists_are_taken() {
    let fleet = Fleet::start().await;
    fleet.send("PUT", WEB, &sim(1)).await;
    fleet.send("PUT", "/v1/workloads/shop/web", &sim(1)).await;
    fleet.send("POST", "/v1/workloads/shop/web/stop", &json!({})).await;
    for (query, count) in [
        ("workloads?state=stopped", 1),
        ("workloads?workload=web", 2),
        ("workloads?workload=default/web", 1),
        ("workloads?node=n1", 0),
        ("workloads?zone=east", 0),
        ("nodes?workload=default/web", 0),
        ("nodes?node=n1", 0),
        ("endpoints?pool=default&zone=east&label=a%3Db", 0),
    ] {
        let list = fleet.get(&format!("/v1/{query}")).await;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(count), "{query}: {list}");
    }
    let wrong = fleet.served.ask("GET", "/v1/workloads?state=bored").send().await;
    assert_eq!(wrong.expect("it answers").status(), 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_kept_and_gone_back_to() {
    let fleet = Fleet::start().await;
    let with = |env: &str| json!({ "driver": "sim", "count": 1, "labels": { "text": env } });
    fleet.send("PUT", WEB, &with("a")).await;
    fleet.send("PUT", WEB, &with("b")).await;
    let versions = fleet.get("/v1/workloads/default/web/versions").await;
    assert_eq!(versions["items"].as_array().expect("a list").len(), 2, "{versions}");
    let first = fleet.get("/v1/workloads/default/web/versions/1").await;
    assert_eq!(first["spec"]["labels"]["text"], "a");
    let back = fleet.send("POST", "/v1/workloads/default/web/rollback", &json!({})).await;
    assert_eq!(back.status(), 200);
    let now = fleet.get(WEB).await;
    assert_eq!((&now["version"], &now["spec"]["labels"]["text"]), (&json!(3), &json!("a")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn toml_is_taken_and_lists_are_paged_and_filtered() {
    let fleet = Fleet::start().await;
    for name in ["a", "b", "c"] {
        let request = fleet.served.ask("PUT", &format!("/v1/workloads/shop/{name}"));
        let text = format!("driver = \"sim\"\nlabels = {{ tier = \"{name}\" }}\n");
        let request = request.header("Content-Type", "application/toml").body(text);
        assert_eq!(request.send().await.expect("it answers").status(), 201);
    }
    let first = fleet.get("/v1/workloads?namespace=shop&limit=2").await;
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("a list").iter();
        items.map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&first), ["a", "b"]);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let rest = fleet.get(&format!("/v1/workloads?namespace=shop&limit=2&cursor={cursor}")).await;
    assert_eq!(names(&rest), ["c"]);
    assert_eq!(rest["next_cursor"], Value::Null);
    assert_eq!(names(&fleet.get("/v1/workloads?label=tier%3Db").await), ["b"]);
    for path in ["/v1/instances", "/v1/nodes", "/v1/commands", "/v1/events"] {
        let list = fleet.get(path).await;
        assert!(list["items"].is_array() && list["next_cursor"].is_null(), "{path}: {list}");
        assert!(list["revision"].is_u64(), "{path}: {list}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_is_bounded_and_says_that_it_expired() {
    let fleet = Fleet::start().await;
    let waited = fleet.send("PUT", "/v1/workloads/default/web?wait=300ms", &sim(1)).await;
    assert_eq!(waited.status(), 202, "there is no scheduler");
    let waited = fleet.send("POST", "/v1/workloads/default/web/stop?wait=20s", &json!({})).await;
    assert_eq!(waited.status(), 200, "nothing runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_404_and_what_nobody_answers_503() {
    let fleet = Fleet::start().await;
    for (method, path) in [
        ("GET", "/v1/workloads/default/none"),
        ("DELETE", "/v1/workloads/default/none"),
        ("POST", "/v1/workloads/default/none/restart"),
        ("GET", "/v1/instances/0123456789abcdef"),
        ("GET", "/v1/instances/0123456789abcdef/logs"),
        ("POST", "/v1/instances/0123456789abcdef/stop"),
        ("GET", "/v1/nodes/none"),
        ("POST", "/v1/nodes/none/drain"),
        ("GET", "/v1/commands/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ] {
        let answer = fleet.served.ask(method, path).send().await.expect("it answers");
        assert_eq!(answer.status(), 404, "{method} {path}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], "not_found", "{method} {path}");
    }
    let plan = json!({ "name": "web", "driver": "sim" });
    for path in ["/v1/workloads/default/none/explain", "/v1/metrics/fleet", "/v1/plan"] {
        let method = if path == "/v1/plan" { "POST" } else { "GET" };
        let answer = fleet.send(method, path, &plan).await;
        assert_eq!(answer.status(), 503, "{path}: nobody serves it here");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_listed_and_the_services_are_found() {
    let fleet = Fleet::start().await;
    fleet.send("PUT", WEB, &sim(1)).await;
    eventually("the event is in history", || async {
        let events = fleet.get("/v1/events?workload=web").await;
        let first = &events["items"][0];
        first["sequence"].is_u64() && first["event"]["workload"] == "web"
    })
    .await;
    eventually("both services are found", || async {
        let status = fleet.get("/v1/status").await;
        assert!(status["nats"]["version"].is_string(), "{status}");
        let services = status["services"].as_array().expect("a list").iter();
        let names: Vec<&str> = services.filter_map(|service| service["name"].as_str()).collect();
        names.contains(&"registry") && names.contains(&"gateway")
    })
    .await;
}
