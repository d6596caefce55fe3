//! Events arrive in order, once, also when the server was away.

use ostler_bus::Bus;
use ostler_schemas::pb;
use ostler_schemas::wire::{Format, Wire as _};
use ostler_testkit::{NatsServer, eventually};
use serde_json::Value;

use crate::fixture::{provisioned, stranger};

fn event(number: u32) -> pb::Event {
    pb::Event {
        source: "scheduler".to_owned(),
        kind: "instance.placed".to_owned(),
        namespace: "default".to_owned(),
        workload: "web".to_owned(),
        version: number,
        ..pb::Event::default()
    }
}

async fn stored(url: &str) -> u64 {
    let info = stranger(url).await.request("$JS.API.STREAM.INFO.EVENTS", "".into()).await;
    let info: Value = serde_json::from_slice(&info.expect("it answers").payload).expect("JSON");
    info["state"]["messages"].as_u64().expect("a number")
}

async fn check(url: &str, count: u32) {
    eventually("all are stored", || async { stored(url).await == u64::from(count) }).await;
    let js = async_nats::jetstream::new(stranger(url).await);
    let stream = js.get_stream("EVENTS").await.expect("it is there");
    for number in 1..=count {
        let message = stream.get_raw_message(number.into()).await.expect("it is there");
        let event = pb::Event::decode(&message.payload, Format::Json).expect("we wrote it");
        assert_eq!(event.version, number, "in order");
        assert_eq!(&*message.subject, "ostler.v1.event.scheduler.default.web.instance-placed");
        let id = message.headers.get("Nats-Msg-Id").map(async_nats::HeaderValue::as_str);
        assert_eq!(id, Some(event.id.as_str()));
        assert!(event.time.ends_with('Z') && event.id.len() == 26, "{event:?}");
    }
}

fn emit(bus: &Bus, numbers: std::ops::RangeInclusive<u32>) {
    numbers.for_each(|number| bus.emit(event(number)));
}

#[tokio::test]
async fn events_wait_while_the_server_is_away_and_keep_their_order() {
    let mut server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    emit(&bus, 1..=100);
    server.kill();
    emit(&bus, 101..=200);
    server.restart().await;
    check(&server.url(), 200).await;
}

#[tokio::test]
async fn the_same_event_twice_is_kept_once() {
    let server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    let same = pb::Event { id: ostler_bus::op_id(), ..event(1) };
    bus.emit(same.clone());
    bus.emit(same);
    bus.emit(event(2));
    check(&server.url(), 2).await;
}

#[tokio::test]
async fn a_program_that_stops_sends_what_waits() {
    let server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    emit(&bus, 1..=100);
    let end = bus.program().tasks.clone().shut_down(std::time::Duration::from_secs(5)).await;
    assert_eq!((end.left, end.failure), (0, None));
    check(&server.url(), 100).await;
}

#[tokio::test]
async fn who_waits_for_an_event_goes_on_once_it_is_stored_however_long_the_server_was_away() {
    let mut server = NatsServer::start().await;
    let bus = provisioned(&server.url()).await;
    server.kill();
    let (told, ()) = tokio::join!(bus.emit_acked(event(1)), server.restart());
    assert_eq!(told, Ok(()));
    assert_eq!(stored(&server.url()).await, 1);
}
