//! Requests of all kinds, good and bad, are answered; nothing crashes.

use std::time::Duration;

use async_nats::{HeaderMap, Message};
use ostler_bus::{Bus, Caller};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use ostler_schemas::wire::{Format, Wire as _};
use ostler_testkit::eventually;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::fixture::{Servers, join, node, stranger};

/// Answers by the name of the node that is asked for.
async fn get(caller: Caller, request: pb::NodeGet) -> Result<pb::NodeView, Problem> {
    match request.name.as_str() {
        "panic" => panic!("as the test wants"),
        "slow" => std::future::pending().await,
        "large" => Ok(pb::NodeView { name: "x".repeat(9 << 20), ..pb::NodeView::default() }),
        "none" => Err(Problem::new(Code::NotFound, "no such node")),
        _ => Ok(pb::NodeView { name: caller.actor, ..pb::NodeView::default() }),
    }
}

async fn serve(bus: &Bus) {
    bus.serve("registry", "registry-1").on(get).start().await.expect("it is up");
}

fn ask(name: &str) -> pb::NodeGet {
    pb::NodeGet { name: name.to_owned() }
}

const SUBJECT: &str = "ostler.v1.api.node.get";

async fn raw(url: &str, subject: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Message {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let stranger = stranger(url).await;
    stranger.request_with_headers(subject.to_owned(), map, body.into()).await.expect("an answer")
}

fn header<'a>(message: &'a Message, name: &'static str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

#[tokio::test]
async fn json_and_protobuf_are_answered_in_kind() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "registry").await;
    serve(&bus).await;
    let view = bus.call(&ask("x"), &Caller::program("test")).await.expect("it is answered");
    assert_eq!(view.name, "test", "the actor travels");

    let answer = raw(&url, SUBJECT, &[], b"{\"name\":\"x\"}".to_vec()).await;
    assert_eq!(header(&answer, "Content-Type"), Some("application/json"));
    let view = pb::NodeView::decode(&answer.payload, Format::Json).expect("it is JSON");
    assert_eq!(view.name, "anonymous");
    let answer = raw(&url, SUBJECT, &[], Vec::new()).await;
    assert_eq!(header(&answer, "Content-Type"), Some("application/json"), "nothing is `{{}}`");

    let kind = [("Content-Type", "application/protobuf")];
    let answer = raw(&url, SUBJECT, &kind, ask("x").encode(Format::Protobuf)).await;
    assert_eq!(header(&answer, "Content-Type"), Some("application/protobuf"));
    let view = pb::NodeView::decode(&answer.payload, Format::Protobuf).expect("it is protobuf");
    assert_eq!(view.name, "anonymous");
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_named_problem() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "registry").await;
    serve(&bus).await;
    let caller = Caller::program("test");
    let hurried = Caller { timeout: Duration::from_millis(200), ..caller.clone() };
    let problem = bus.call(&ask("slow"), &hurried).await.expect_err("it fails");
    assert_eq!(problem.code, Code::Timeout, "{problem}");
    for (name, code) in
        [("none", Code::NotFound), ("panic", Code::Internal), ("large", Code::LimitExceeded)]
    {
        let problem = bus.call(&ask(name), &caller).await.expect_err("it fails");
        assert_eq!(problem.code, code, "{name}: {problem}");
    }
    let problem = bus.call(&pb::NodeList::default(), &caller).await.expect_err("nobody serves it");
    assert_eq!(problem.code, Code::Unavailable);
    let huge = ask(&"x".repeat(9 << 20));
    let problem = bus.call(&huge, &caller).await.expect_err("it is too large");
    assert_eq!(problem.code, Code::LimitExceeded, "{problem}");

    let answer = raw(&url, SUBJECT, &[], b"{\"name\":\"none\"}".to_vec()).await;
    assert_eq!(header(&answer, "Nats-Service-Error-Code"), Some("404"));
    assert_eq!(header(&answer, "Content-Type"), Some("application/problem+json"));
    assert!(bus.call(&ask("x"), &caller).await.is_ok(), "and it is still there");
}

#[tokio::test]
async fn a_change_that_passed_its_time_was_dropped_half_done() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "registry").await;
    static GO: Semaphore = Semaphore::const_new(0);
    static DONE: Semaphore = Semaphore::const_new(0);
    let slow = async |_: Caller, _: pb::NodeCordon| {
        GO.acquire().await.expect("it is never closed").forget();
        DONE.add_permits(1);
        Ok(pb::NodeView::default())
    };
    bus.serve("registry", "1").on(slow).start().await.expect("it is up");
    let hurried = Caller { timeout: Duration::from_millis(200), ..Caller::program("test") };
    let request = pb::NodeCordon { name: "x".to_owned(), ..Default::default() };
    let problem = bus.call(&request, &hurried).await.expect_err("it is answered for");
    assert_eq!(problem.code, Code::Timeout, "{problem}");
    GO.add_permits(1);
    let done = tokio::time::timeout(Duration::from_secs(10), DONE.acquire()).await;
    drop(done.expect("it is finished all the same").expect("it is never closed"));
    let end = bus.program().tasks.clone().shut_down(Duration::from_secs(5)).await;
    assert_eq!((end.left, end.failure), (0, None));
}

#[tokio::test]
async fn garbage_is_answered_and_never_reaches_a_handler() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "registry").await;
    serve(&bus).await;
    bus.serve_node(&node("n1"))
        .on(async |_: Caller, _: pb::Logs| Err(Problem::new(Code::NotFound, "none")))
        .start()
        .await
        .expect("it is up");
    let bodies: [&[u8]; 6] =
        [b"{]", b"[1,2]", b"{\"name\":7}", b"{\"nope\":1}", b"\xff\xfe\x00", b"null"];
    for subject in [SUBJECT, "ostler.v1.node.n1.logs"] {
        for body in bodies {
            for kind in ["application/json", "application/protobuf", "text/rubbish"] {
                let headers =
                    [("Content-Type", kind), ("Ostler-Timeout", "x"), ("traceparent", "-")];
                let answer = raw(&url, subject, &headers, body.to_vec()).await;
                let problem: Result<Problem, _> = serde_json::from_slice(&answer.payload);
                match problem {
                    Ok(problem) => assert!(
                        matches!(problem.code, Code::Malformed | Code::Invalid | Code::NotFound),
                        "{problem:?}"
                    ),
                    // Some garbage is a message all the same.
                    Err(_) => assert_eq!(header(&answer, "Nats-Service-Error-Code"), None),
                }
            }
        }
    }
    assert!(bus.call(&ask("x"), &Caller::program("test")).await.is_ok());
}

#[tokio::test]
async fn an_answer_goes_to_inboxes_only() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "registry").await;
    serve(&bus).await;
    let stranger = stranger(&url).await;
    let mut victim = stranger.subscribe("$KV.nodes.n2").await.expect("it is up");
    let sent = stranger.publish_with_reply(SUBJECT, "$KV.nodes.n2", "{}".into()).await;
    sent.expect("it is up");
    stranger.flush().await.expect("it is up");
    // What comes after it on the same connection is answered: so the first was passed over.
    stranger.request(SUBJECT, "{}".into()).await.expect("it is answered");
    let nothing = futures::FutureExt::now_or_never(futures::StreamExt::next(&mut victim));
    assert!(nothing.is_none(), "{nothing:?}");
}

#[tokio::test]
async fn one_node_answers_for_itself() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "node-n1").await;
    let pong = pb::Pong { node: "n1".to_owned(), epoch: 3 };
    let said = pong.clone();
    let ping = move |_: Caller, _: pb::Ping| {
        let said = said.clone();
        async move { Ok(said) }
    };
    bus.serve_node(&node("n1")).on(ping).start().await.expect("it is up");
    let caller = Caller::program("registry");
    let answer = bus.call_node(&node("n1"), &pb::Ping {}, &caller).await;
    assert_eq!(answer.expect("it is there"), pong);
    let problem = bus.call_node(&node("n2"), &pb::Ping {}, &caller).await.expect_err("not there");
    assert_eq!(problem.code, Code::Unavailable);
}

#[tokio::test]
async fn services_introduce_themselves() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "registry").await;
    serve(&bus).await;
    let caller = Caller::program("test");
    bus.call(&ask("none"), &caller).await.expect_err("no such node");
    bus.call(&ask("x"), &caller).await.expect("it is there");
    let read = async |verb: &str| -> Value {
        let answer = raw(&url, &format!("$SRV.{verb}.registry"), &[], Vec::new()).await;
        serde_json::from_slice(&answer.payload).expect("it is JSON")
    };
    let ping = read("PING").await;
    assert_eq!(ping["type"], "io.nats.micro.v1.ping_response");
    assert_eq!(ping["metadata"]["replica"], "registry-1");
    assert_eq!(read("INFO").await["endpoints"][0]["subject"], SUBJECT);
    eventually("both are counted", || async {
        let stats = read("STATS").await;
        let endpoint = &stats["endpoints"][0];
        endpoint["num_requests"] == 2 && endpoint["last_error"] == "404:not found"
    })
    .await;
}

#[tokio::test]
async fn what_was_begun_is_answered_before_the_program_ends() {
    let (_servers, url) = Servers::one().await;
    let bus = join(&url, "registry").await;
    static BEGUN: Semaphore = Semaphore::const_new(0);
    static GO: Semaphore = Semaphore::const_new(0);
    let slow = async |_: Caller, _: pb::NodeGet| {
        BEGUN.add_permits(1);
        GO.acquire().await.expect("it is never closed").forget();
        Ok(pb::NodeView::default())
    };
    bus.serve("registry", "1").on(slow).start().await.expect("it is up");
    let asker = join(&url, "test").await;
    let work = async {
        BEGUN.acquire().await.expect("it is never closed").forget();
        bus.program().tasks.stop();
        let caller = Caller { timeout: Duration::from_millis(300), ..Caller::program("test") };
        eventually("it takes no more", || async {
            asker.call(&ask("y"), &caller).await.is_err_and(|it| it.code == Code::Unavailable)
        })
        .await;
        GO.add_permits(100);
    };
    let caller = Caller::program("test");
    let request = ask("x");
    let (answer, ()) = tokio::join!(asker.call(&request, &caller), work);
    answer.expect("it was begun");
    let end = bus.program().tasks.clone().shut_down(Duration::from_secs(5)).await;
    assert_eq!((end.left, end.failure), (0, None));
}

#[tokio::test]
async fn a_program_that_serves_ends_soon_though_the_server_is_gone() {
    let mut server = ostler_testkit::NatsServer::start().await;
    let bus = crate::fixture::provisioned(&server.url()).await;
    serve(&bus).await;
    server.kill();
    let mut state = bus.state();
    state.wait_for(|state| !state.up).await.expect("it is noticed");
    let end = bus.program().tasks.clone().shut_down(Duration::from_secs(4)).await;
    assert_eq!((end.left, end.failure), (0, None));
}
