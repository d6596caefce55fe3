//! New versions: one by one, and never further when the new one is broken.

use ostler_testkit::eventually;
use serde_json::{Value, json};

use crate::fleet::{Fleet, web};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_rolls_one_by_one() {
    let fleet = Fleet::start().await;
    fleet.put(&web(3)).await;
    fleet.until_ready("web", 3).await;
    let mut next = web(3);
    next["process"]["env"] = json!({ "GREETING": "hello" });
    let view = fleet.put(&next).await;
    assert_eq!(view["version"], 2, "{view}");
    eventually("all three are version 2", || async {
        let now = fleet.instances("web").await;
        let ready = now.iter().filter(|item| item["ready"] == true).count();
        assert!(now.is_empty() || ready >= 2, "at most one is replaced at a time: {now:#?}");
        now.len() == 3 && now.iter().all(|item| item["version"] == 2 && item["ready"] == true)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_version_stops_rolling_and_goes_back() {
    let fleet = Fleet::start().await;
    fleet.put(&web(3)).await;
    fleet.until_ready("web", 3).await;
    eventually("version 1 has proven itself", || async {
        fleet.instances("web").await.iter().all(|item| item["proven"] == true)
    })
    .await;
    let mut broken = web(3);
    broken["process"]["command"] = json!(["sh", "-c", "exit 3"]);
    broken["restart"] = json!({ "attempts": 0 });
    fleet.put(&broken).await;
    eventually("it is back at the old text, as version 3", || async {
        let now = fleet.instances("web").await;
        let ready = now.iter().filter(|item| item["ready"] == true).count();
        assert!(now.is_empty() || ready >= 2, "two of three serve throughout: {now:#?}");
        let view = fleet.get("/v1/workloads/default/web").await;
        view["version"] == 3 && view["spec"]["process"] == web(3)["process"]
    })
    .await;
    fleet.until_ready("web", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auto_revert_a_broken_version_stays_stopped_and_says_so() {
    let fleet = Fleet::start().await;
    fleet.put(&web(3)).await;
    fleet.until_ready("web", 3).await;
    let mut broken = web(3);
    broken["process"]["command"] = json!(["sh", "-c", "exit 3"]);
    broken["restart"] = json!({ "attempts": 0 });
    broken["update"]["auto_revert"] = json!(false);
    fleet.put(&broken).await;
    eventually("the update has failed and says why", || async {
        let view = fleet.get("/v1/workloads/default/web").await;
        let reason = view["status"]["reason"].as_str().unwrap_or_default().to_owned();
        !reason.is_empty() && view["status"]["ready"].as_u64() >= Some(2)
    })
    .await;
    let old = fleet.instances("web").await;
    let old = old.iter().filter(|item| item["version"] == 1 && item["ready"] == true).count();
    assert!(old >= 2, "the old version serves on");
    fleet.done(&["rollback", "web", "1"]).await;
    let back = fleet.until_ready("web", 3).await;
    assert!(back.iter().all(|item: &Value| item["ready"] == true));
}
