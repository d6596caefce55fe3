//! What commands end with, and what they do where something is left out.

use serde_json::json;
use tempfile::TempDir;

use crate::fleet::{Fleet, web};

fn sim(name: &str, more: &str) -> String {
    format!("name = \"{name}\"\ndriver = \"sim\"\n{more}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_moves_anywhere_else_where_no_node_is_named() {
    let fleet = Fleet::start().await;
    fleet.put(&web(1)).await;
    let before = fleet.until_ready("web", 1).await;
    fleet.done(&["move", "web/0"]).await;
    let now = fleet.until_ready("web", 1).await;
    assert_ne!(now[0]["node"], before[0]["node"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_end_as_their_help_says() {
    let fleet = Fleet::start_with(&["--nodes", "2"]).await;
    let dir = TempDir::new().expect("a folder");
    let file = |name: &str, more: &str| {
        let file = dir.path().join(name).with_extension("toml");
        std::fs::write(&file, sim(name, more)).expect("written");
        file.display().to_string()
    };
    fleet.done(&["quotas", "set", "small", "instances=1"]).await;
    let (good, large) = (file("good", ""), file("large", "namespace = \"small\"\ncount = 2"));

    let said = fleet.ostler(&["run", &large, &good]).await;
    assert_eq!(said.code, 5, "some of it is done: {said:?}");
    assert!(said.err.contains("small/large: ") && !said.err.contains("default/good"), "{said:?}");
    fleet.until_ready("good", 1).await;
    let said = fleet.ostler(&["run", &large]).await;
    assert_eq!(said.code, 3, "all of it is refused: {said:?}");

    let said = fleet.ostler(&["plan", &good]).await;
    assert_eq!(said.code, 0, "nothing changes: {said:?}");
    let urgent = file("good", "priority = 70");
    for how in [["plan", &urgent].as_slice(), &["-o", "json", "plan", &urgent]] {
        let said = fleet.ostler(how).await;
        assert_eq!(said.code, 10, "nothing moves, and its text changes: {said:?}");
    }

    let said = fleet.ostler(&["promote", "good"]).await;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("no canaries"), "{said:?}");

    let (status, _) = fleet.send("GET", "/v1/workloads/small/large", &json!(null)).await;
    assert_eq!(status, 404, "what was refused changed nothing");
}
