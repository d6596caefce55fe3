//! `ostler exec` through gateway, bus and executor.

use serde_json::json;

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_inside_an_instance_and_its_exit_code_is_ours() {
    let mut fleet = Fleet::start_with(&["--nodes", "1"]).await;
    let sleeper = json!({
        "name": "sleeper", "driver": "process",
        "process": { "command": ["sleep", "1000"], "env": { "COLOUR": "green" } },
    });
    fleet.put(&sleeper).await;
    fleet.until_ready("sleeper", 1).await;
    let script = "echo $OSTLER_WORKLOAD $COLOUR; echo trouble >&2; exit 7";
    let said = fleet.ostler(&["exec", "sleeper/0", "--", "sh", "-c", script]).await;
    assert_eq!((said.code, said.out.as_str()), (7, "sleeper green\n"), "{said:?}");
    assert!(said.err.contains("trouble"), "{said:?}");
    // More than fits into any window, in order.
    let many = fleet.done(&["exec", "sleeper/0", "--", "seq", "300000"]).await;
    assert!(many.lines().map(|line| line.parse::<u32>().expect("a number")).eq(1..=300_000));
    let terminal = fleet.done(&["exec", "--tty", "sleeper/0", "--", "stty", "size"]).await;
    assert_eq!(terminal.trim_end(), "24 80");
    let refused = fleet.ostler(&["exec", "sleeper/0", "--", "/no/such"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("cannot run `/no/such`"), "{refused:?}");
    let nobody = fleet.ostler(&["exec", "sleeper/9", "--", "true"]).await;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    fleet.end().await;
}
