//! Output that is kept elsewhere, too.

use ostler_core::workload::DriverKind;
use ostler_executor::Config;
use ostler_testkit::eventually;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::rig::{Rig, Wanted, config, id, spec};

/// Asks the server as an operator does, who has a client of NATS and none of ours.
async fn ask(rig: &Rig, subject: &str, request: &Value) -> String {
    let address = rig.nats.url().trim_start_matches("nats://").to_owned();
    let mut wire = BufReader::new(TcpStream::connect(address).await.expect("it listens"));
    let request = request.to_string();
    let asked = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\n\
         SUB answers 1\r\nPUB {subject} answers {}\r\n{request}\r\n",
        request.len()
    );
    wire.write_all(asked.as_bytes()).await.expect("it reads");
    loop {
        let mut line = String::new();
        assert!(wire.read_line(&mut line).await.expect("it answers") > 0, "it hung up");
        if line.starts_with("MSG answers") || line.starts_with("HMSG answers") {
            let length = line.split_whitespace().last().expect("a length");
            let mut answer = vec![0; length.parse().expect("a length")];
            wire.read_exact(&mut answer).await.expect("it is whole");
            return String::from_utf8_lossy(&answer).into_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_is_kept_by_a_bounded_stream_of_the_operator() {
    let mut rig = Rig::start().await;
    let logs = json!({
        "name": "LOGS", "subjects": ["ostler.v1.log.>"], "storage": "file", "retention": "limits",
        "discard": "old", "max_bytes": 1_048_576, "max_age": 3_600_000_000_000_u64, "no_ack": true,
        "allow_direct": true
    });
    let made = ask(&rig, "$JS.API.STREAM.CREATE.LOGS", &logs).await;
    assert!(!made.contains("error"), "{made}");
    let drivers = [DriverKind::Process];
    let executor = rig.run(Config { ship_logs: true, ..config(rig.dir.path(), &drivers) });
    let command =
        r#"["sh", "-c", "while :; do seq 1 1000 | sed 's/^/shipped line /'; sleep 0.2; done"]"#;
    rig.order(id(1), Wanted::run(spec(&format!("[process]\ncommand = {command}")))).await;
    eventually("old lines have made room for new ones", || async {
        let info = ask(&rig, "$JS.API.STREAM.INFO.LOGS", &json!({})).await;
        let state = serde_json::from_str::<Value>(&info).expect("JSON")["state"].clone();
        assert!(state["bytes"].as_u64().is_some_and(|bytes| bytes <= 1_048_576), "{state}");
        state["first_seq"].as_u64() > Some(1)
    })
    .await;
    let subject = format!("ostler.v1.log.node-1.{}", id(1));
    let last = ask(&rig, "$JS.API.DIRECT.GET.LOGS", &json!({ "last_by_subj": subject })).await;
    assert!(last.contains("shipped line 1000"), "{last}");
    rig.end(executor).await;
}
