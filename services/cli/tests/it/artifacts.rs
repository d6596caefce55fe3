//! An application in a package: pushed, run on several nodes, found by name, updated, rolled back.

use std::collections::BTreeSet;
use std::path::Path;

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::{Fleet, web};

/// A page, and so many bytes besides that the package has several chunks.
fn site(dir: &Path, page: &str) {
    std::fs::create_dir_all(dir.join("assets")).expect("made");
    std::fs::write(dir.join("index.html"), page).expect("written");
    let mut noise = Vec::new();
    let mut state = 1u32;
    for _ in 0..500_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend_from_slice(&state.to_le_bytes());
    }
    std::fs::write(dir.join("assets/noise"), noise).expect("written");
}

fn packed() -> Value {
    let mut workload = web(3);
    workload["process"]["artifact"] = "site".into();
    workload
}

async fn page(fleet: &Fleet, endpoint: &Value) -> String {
    let (address, port) = (&endpoint["address"], &endpoint["port"]);
    let url = format!("http://{}:{port}/", address.as_str().unwrap_or_default());
    match reqwest::get(url).await {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(error) => format!("{error} {}", fleet.logs()),
    }
}

/// Waits until all three endpoints show this page.
async fn until_shown(fleet: &Fleet, wanted: &str) {
    fleet.until_ready("web", 3).await;
    eventually(&format!("all show {wanted}"), || async {
        let list = fleet.get("/v1/endpoints/web.http").await;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let mut shown = Vec::new();
        for item in &items {
            shown.push(page(fleet, item).await);
        }
        shown.len() == 3 && shown.iter().all(|page| page == wanted)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_pushed_run_on_three_nodes_found_by_name_updated_and_rolled_back() {
    let fleet = Fleet::start_with(&[]).await;
    let dir = tempfile::tempdir().expect("a folder");
    let source = dir.path().join("site");
    site(&source, "one");
    let (status, refused) = fleet.send("PUT", "/v1/workloads/default/web", &packed()).await;
    assert_eq!((status, &refused["field"]), (422, &json!("process.artifact")), "{refused}");

    let path = source.display().to_string();
    let said = fleet.done(&["artifacts", "push", "site", &path]).await;
    assert!(said.starts_with("site@1: "), "{said}");
    let view = fleet.put(&packed()).await;
    assert_eq!(view["workload"]["spec"]["process"]["artifact"], "site@1", "{view}");
    until_shown(&fleet, "one").await;
    let list = fleet.get("/v1/endpoints?workload=web").await;
    let items = list["items"].as_array().expect("a list");
    let nodes: BTreeSet<&str> = items.iter().filter_map(|item| item["node"].as_str()).collect();
    assert_eq!((items.len(), nodes.len()), (3, 3), "{list}");
    let nginx = fleet.done(&["endpoints", "web.http", "--format", "nginx"]).await;
    assert!(nginx.starts_with("upstream web_http {\n    server 127.0.0.1:"), "{nginx}");

    // The same text means the newest version when it is sent again.
    site(&source, "two");
    assert!(fleet.done(&["artifacts", "push", "site", &path]).await.starts_with("site@2: "));
    assert_eq!(fleet.put(&packed()).await["version"], 2);
    until_shown(&fleet, "two").await;
    let used = fleet.ostler(&["--yes", "artifacts", "remove", "site"]).await;
    assert_eq!(used.code, 3, "{used:?}");
    assert!(used.err.contains("`site@2` is used by default/web"), "{used:?}");
    fleet.done(&["rollback", "web"]).await;
    until_shown(&fleet, "one").await;

    let copy = dir.path().join("copy");
    fleet.done(&["artifacts", "get", "site@1", &copy.display().to_string()]).await;
    let shown = fleet.get("/v1/artifacts/site/versions").await;
    assert_eq!(shown["items"][1]["size"], std::fs::metadata(&copy).expect("there").len());
    assert_eq!(shown["items"][1]["used_by"], json!(["default/web"]), "{shown}");

    fleet.done(&["stop", "web"]).await;
    eventually("nothing is listed that was told to stop", || async {
        fleet.get("/v1/endpoints").await["items"] == json!([])
    })
    .await;
    fleet.done(&["--yes", "artifacts", "remove", "site@2"]).await;
    assert_eq!(fleet.get("/v1/artifacts/site/versions").await["items"][0]["version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_upload_is_named_and_nothing_is_kept() {
    let fleet = Fleet::start_with(&["--nodes", "1"]).await;
    let wrong = format!("/v1/artifacts/a?sha256={}", "0".repeat(64));
    for (path, status, field) in [
        (wrong.as_str(), 422, "sha256"),
        ("/v1/artifacts/UPPER", 400, "name"),
        ("/v1/artifacts/a@3", 400, "name"),
        ("/v1/artifacts/a?sha256=x", 400, "sha256"),
    ] {
        let (found, problem) = fleet.send("PUT", path, &json!({ "some": "body" })).await;
        assert_eq!((found, &problem["field"]), (status, &json!(field)), "{path}: {problem}");
    }
    assert_eq!(fleet.get("/v1/artifacts").await["items"], json!([]));
    assert_eq!(fleet.get("/v1/artifacts/a").await["status"], 404);
}
