//! Bad input: a named error, nothing changed, nothing crashed.

use ostler_testkit::eventually;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fleet::{Fleet, alive, pid_of_instance, web};

/// What is wrong, the file, and what its error names.
const WRONG_FILES: &[(&str, &str, &str)] = &[
    ("no TOML", "name = ", "line 1"),
    ("empty", "", "name"),
    ("no driver", "name = \"x\"", "driver"),
    ("an unknown driver", "name = \"x\"\ndriver = \"proces\"", "process"),
    ("no section", "name = \"x\"\ndriver = \"process\"", "process"),
    ("a misspelt key", "name = \"x\"\ndriver = \"sim\"\ncuont = 3", "count"),
    ("a misspelt nested key", "name = \"x\"\ndriver = \"sim\"\n[resources]\nmemry = 1", "memory"),
    ("a name in capitals", "name = \"X\"\ndriver = \"sim\"", "name"),
    (
        "a name too long",
        "name = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\ndriver = \"sim\"",
        "name",
    ),
    ("a count as text", "name = \"x\"\ndriver = \"sim\"\ncount = \"3\"", "count"),
    ("a negative count", "name = \"x\"\ndriver = \"sim\"\ncount = -1", "count"),
    ("too great a count", "name = \"x\"\ndriver = \"sim\"\ncount = 1000001", "count"),
    ("too great a priority", "name = \"x\"\ndriver = \"sim\"\npriority = 101", "priority"),
    (
        "a size without meaning",
        "name = \"x\"\ndriver = \"sim\"\n[resources]\nmemory = \"64MB\"",
        "64MB",
    ),
    ("a duration without a unit", "name = \"x\"\ndriver = \"sim\"\n[stop]\ngrace = \"5\"", "grace"),
    ("no such signal", "name = \"x\"\ndriver = \"sim\"\n[stop]\nsignal = \"SIGFOO\"", "SIGFOO"),
    ("an empty command", "name = \"x\"\ndriver = \"process\"\n[process]\ncommand = []", "command"),
    (
        "two ports of one name",
        "name = \"x\"\ndriver = \"sim\"\n[[ports]]\nname = \"a\"\n[[ports]]\nname = \"a\"",
        "ports",
    ),
    (
        "a check of no port",
        "name = \"x\"\ndriver = \"sim\"\n[[checks]]\ntype = \"tcp\"\nport = \"a\"",
        "port",
    ),
    ("no such check", "name = \"x\"\ndriver = \"sim\"\n[[checks]]\ntype = \"ping\"", "ping"),
    (
        "no such strategy",
        "name = \"x\"\ndriver = \"sim\"\n[placement]\nstrategy = \"best\"",
        "best",
    ),
    (
        "a broken expression",
        "name = \"x\"\ndriver = \"sim\"\n[placement]\nrequire = [\"node.arch ==\"]",
        "require",
    ),
    (
        "a spread over 100 %",
        "name = \"x\"\ndriver = \"sim\"\n[placement]\nspread = { attribute = \"node.zone\", targets = { a = 60, b = 60 } }",
        "spread",
    ),
    (
        "a section of another driver",
        "name = \"x\"\ndriver = \"sim\"\n[process]\ncommand = [\"true\"]",
        "process",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn wrong_files_are_refused_by_name_and_change_nothing() {
    let fleet = Fleet::start_with(&["--nodes", "1"]).await;
    let dir = tempfile::TempDir::new().expect("a folder");
    let file = dir.path().join("wrong.toml");
    for (what, text, names) in WRONG_FILES {
        std::fs::write(&file, text).expect("written");
        let said = fleet.ostler(&["run", &file.display().to_string()]).await;
        assert_eq!(said.code, 2, "{what}: {said:?}");
        assert!(said.err.contains(names), "{what} should name `{names}`: {}", said.err);
    }
    let all = fleet.get("/v1/workloads").await;
    assert_eq!(all["items"], json!([]), "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_by_name_and_change_nothing() {
    let fleet = Fleet::start_with(&["--nodes", "1"]).await;
    let sim = |more: Value| {
        let mut workload = json!({ "name": "x", "driver": "sim" });
        workload.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        workload
    };
    let x = "/v1/workloads/default/x";
    let table = [
        ("PUT", x, json!([]), 422),
        ("PUT", x, sim(json!({ "unknown": 1 })), 422),
        ("PUT", x, sim(json!({ "resources": { "cpu": -5 } })), 422),
        ("PUT", x, sim(json!({ "name": "y" })), 422),
        ("PUT", "/v1/workloads/Default/x", sim(json!({})), 422),
        ("POST", "/v1/workloads", json!({ "driver": "sim" }), 422),
        ("POST", "/v1/workloads/default/nothing/scale", json!({ "count": 1 }), 404),
        ("POST", "/v1/workloads/default/nothing/restart", Value::Null, 404),
        ("POST", "/v1/workloads/default/nothing/rollback", json!({ "version": 7 }), 404),
        ("DELETE", "/v1/workloads/default/nothing", Value::Null, 404),
        ("GET", "/v1/workloads/default/nothing", Value::Null, 404),
        ("GET", "/v1/workloads?limit=5000", Value::Null, 422),
        ("GET", "/v1/workloads?colour=red", Value::Null, 422),
        ("GET", "/v1/instances/zzzzzzzzzzzzzzzz", Value::Null, 404),
        ("POST", "/v1/instances/0000000000000000/move", json!({ "node": "node-9" }), 404),
        ("GET", "/v1/nodes/nobody", Value::Null, 404),
        ("POST", "/v1/nodes/nobody/drain", json!({}), 404),
        ("GET", "/v1/commands/01ARZ3NDEKTSV4RRFFQ69G5FAV", Value::Null, 404),
        ("GET", "/v1/nothing", Value::Null, 404),
        ("PATCH", "/v1/status", Value::Null, 405),
    ];
    for (method, path, body, status) in table {
        let (found, problem) = fleet.send(method, path, &body).await;
        let near = found == status || (status == 422 && found == 400);
        assert!(near, "{method} {path} {body}: {found} {problem}");
        assert!(problem["code"].is_string() && problem["detail"].is_string(), "{path}: {problem}");
    }
    assert_eq!(fleet.get("/v1/workloads").await["items"], json!([]), "nothing was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_requests_are_explained_and_wait() {
    let fleet = Fleet::start_with(&["--nodes", "1"]).await;
    let huge = json!({ "name": "huge", "driver": "sim", "resources": { "memory": "900TiB" } });
    fleet.put(&huge).await;
    eventually("it is unplaced, and says that memory is short", || async {
        let view = fleet.get("/v1/workloads/default/huge").await;
        view["status"]["unplaced"] == 1
    })
    .await;
    let why = fleet.done(&["explain", "huge"]).await;
    assert!(why.contains("memory"), "{why}");
    let pinned = json!({ "name": "pinned", "driver": "sim", "placement": { "node": "nowhere" } });
    fleet.put(&pinned).await;
    eventually("the pin to an unknown node waits", || async {
        fleet.get("/v1/workloads/default/pinned").await["status"]["unplaced"] == 1
    })
    .await;
    let why = fleet.done(&["explain", "pinned"]).await;
    assert!(why.contains("pin"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_every_subject_crashes_nothing() {
    let fleet = Fleet::start().await;
    fleet.put(&web(2)).await;
    let before = fleet.until_ready("web", 2).await;
    let calls = ostler_schemas::api::CALLS.iter();
    let mut subjects: Vec<String> =
        calls.map(|(subject, _, _)| format!("ostler.v1.{subject}")).collect();
    for verb in ["ping", "sync", "logs", "nothing"] {
        subjects.push(format!("ostler.v1.node.node-1.{verb}"));
    }
    subjects.extend(
        [
            "ostler.v1.hint.default.node-1",
            "ostler.v1.metric.node-1",
            "ostler.v1.metric.nobody",
            "ostler.v1.log.node-1.x",
            "ostler.v1.event.nobody.default.web.instance-placed",
            "$KV.heartbeats.node-1",
            "$KV.heartbeats.nobody",
            "$KV.reports.nobody",
            "$KV.commands.default.nothing",
            "$KV.workloads.default.garbage",
            "$KV.nodes.garbage",
            "$KV.leases.garbage",
        ]
        .map(str::to_owned),
    );
    shout(&fleet.nats(), &subjects).await;
    for part in ["registry", "scheduler", "gateway", "metrics", "node-1", "node-2", "node-3"] {
        assert!(alive(fleet.pid(part)), "{part} has died\n{}", fleet.logs());
    }
    fleet.put(&web(3)).await;
    let now = fleet.until_ready("web", 3).await;
    assert_eq!(pid_of_instance(&now[0]), pid_of_instance(&before[0]));
    assert_eq!(pid_of_instance(&now[1]), pid_of_instance(&before[1]));
    for node in ["node-1", "node-2", "node-3"] {
        assert_eq!(fleet.get(&format!("/v1/nodes/{node}")).await["liveness"], "online");
    }
}

/// Publishes garbage by hand on each subject, with and without a reply, and waits until the server
/// has taken it all.
async fn shout(url: &str, subjects: &[String]) {
    let address = url.trim_start_matches("nats://");
    let mut stream = TcpStream::connect(address).await.expect("nats listens");
    let mut text = Vec::from(&b"CONNECT {\"verbose\":false,\"headers\":true}\r\n"[..]);
    for subject in subjects {
        for payload in
            [&b""[..], b"{", b"null", b"\xff\xfe\x00garbage", b"{\"a\":[[[[", &[0x28; 900]]
        {
            for reply in ["", " _INBOX.nobody"] {
                text.extend(format!("PUB {subject}{reply} {}\r\n", payload.len()).bytes());
                text.extend(payload);
                text.extend(b"\r\n");
            }
        }
    }
    text.extend(b"PING\r\n");
    stream.write_all(&text).await.expect("sent");
    let mut heard = Vec::new();
    let mut buffer = [0u8; 4096];
    while !heard.windows(4).any(|window| window == b"PONG") {
        let read = stream.read(&mut buffer).await.expect("an answer");
        assert!(read > 0, "nats hung up: {}", String::from_utf8_lossy(&heard));
        heard.extend(&buffer[..read]);
    }
}
