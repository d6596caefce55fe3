//! Events as server-sent events: nothing is missing, nothing comes twice.

use futures::StreamExt;
use ostler_core::time::Span;
use ostler_gateway::Config;
use ostler_schemas::pb;
use ostler_testkit::eventually;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::served::Served;

fn event(number: u32) -> pb::Event {
    pb::Event {
        source: "test".into(),
        kind: if number.is_multiple_of(2) { "test.even" } else { "test.odd" }.into(),
        namespace: "default".into(),
        workload: "web".into(),
        version: number,
        ..Default::default()
    }
}

/// Reads `count` events of a stream: the sequence and the number of each.
async fn read(response: reqwest::Response, count: usize) -> Vec<(u64, u64)> {
    let mut body = response.bytes_stream();
    let mut text = String::new();
    let read = async {
        while text.matches("\n\n").count() < count {
            let chunk = body.next().await.expect("it goes on").expect("it is readable");
            text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    };
    tokio::time::timeout(ostler_testkit::eventually::DEADLINE, read).await.expect("they come");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let views = data.map(|json| serde_json::from_str::<Value>(json).expect("JSON"));
    let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    let read: Vec<(u64, u64)> = views
        .zip(ids)
        .map(|(view, id)| {
            assert_eq!(view["sequence"].to_string(), id);
            let number = view["event"]["version"].as_u64();
            (id.parse().expect("a number"), number.expect("a number"))
        })
        .collect();
    read
}

/// Reads until so many events have come, and keeps none.
async fn hear(response: reqwest::Response, mut count: u32) {
    let (mut body, mut before) = (response.bytes_stream(), b' ');
    let read = async {
        while count > 0 {
            let chunk = body.next().await.expect("it goes on").expect("it is readable");
            for byte in chunk {
                // An empty line ends each.
                count -= u32::from(before == b'\n' && byte == b'\n');
                before = byte;
            }
        }
    };
    tokio::time::timeout(ostler_testkit::eventually::DEADLINE, read).await.expect("they come");
}

async fn follow(served: &Served, query: &str, last: Option<u64>) -> reqwest::Response {
    let mut request = served.ask("GET", &format!("/v1/events?{query}"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last.to_string());
    }
    let response = request.send().await.expect("it answers");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["Content-Type"], "text/event-stream");
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_taken_up_again_has_no_gap_and_no_repetition() {
    let served = Served::start().await;
    for number in 1..=10 {
        served.bus.emit(event(number));
    }
    eventually("they are stored", || async {
        served.bus.last_event().await.is_ok_and(|last| last.0 == 10)
    })
    .await;
    let first = read(follow(&served, "follow=true&since=0", None).await, 4).await;
    assert_eq!(first.iter().map(|(_, n)| *n).take(4).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let last = first[3].0;
    for number in 11..=20 {
        served.bus.emit(event(number));
    }
    let rest = read(follow(&served, "follow=true", Some(last)).await, 16).await;
    assert_eq!(rest.iter().map(|(_, n)| *n).collect::<Vec<_>>(), (5..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_wanted_events_are_sent_and_new_ones_without_asking_for_old_ones() {
    let served = Served::start().await;
    served.bus.emit(event(2));
    eventually("it is stored", || async {
        served.bus.last_event().await.is_ok_and(|last| last.0 == 1)
    })
    .await;
    let live = follow(&served, "follow=true&kind=test.even&workload=default/web", Some(1)).await;
    for number in 3..=8 {
        served.bus.emit(event(number));
    }
    let numbers: Vec<u64> = read(live, 3).await.into_iter().map(|(_, n)| n).collect();
    assert_eq!(numbers, [4, 6, 8]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_too_many_is_refused_and_room_comes_back_when_a_reader_leaves() {
    let served = Served::with(Config { max_streams: 1, ..Config::default() }).await;
    let first = follow(&served, "follow=true", None).await;
    let second = served.ask("GET", "/v1/events?follow=true").send().await.expect("it answers");
    assert_eq!(second.status(), 503);
    drop(first);
    eventually("there is room again", || async {
        let again = served.ask("GET", "/v1/events?follow=true").send().await;
        again.expect("it answers").status() == 200
    })
    .await;
    let wrong = served.ask("GET", "/v1/events?follow=true").header("Last-Event-ID", "x");
    assert_eq!(wrong.send().await.expect("it answers").status(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_never_reads_is_dropped_and_another_is_told_everything() {
    let config =
        Config { stream_queue: 4, slow_after: Span::from_millis(200), ..Config::default() };
    let served = Served::with(config).await;
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small one");
    let mut deaf = socket.connect(served.address).await.expect("it listens");
    let head = "GET /v1/events?follow=true&since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    deaf.write_all(head.as_bytes()).await.expect("it reads");
    const EVENTS: u32 = 1_500;
    let emit = async {
        for number in 1..=EVENTS {
            // More than the kernel keeps for who does not read.
            served.bus.emit(pb::Event { reason: "x".repeat(16 << 10), ..event(number) });
            eventually("it is stored", || async {
                !number.is_multiple_of(50)
                    || served.bus.last_event().await.is_ok_and(|last| last.0 >= number.into())
            })
            .await;
        }
    };
    let query = "follow=true&since=0";
    // Ends when who reads has been told of each.
    let all = async { hear(follow(&served, query, None).await, EVENTS).await };
    tokio::join!(all, emit);
    eventually("the deaf one is dropped", || async {
        let metrics = served.ask("GET", "/metrics").send().await.expect("it answers");
        let metrics = metrics.text().await.expect("text");
        metrics.contains("ostler_gateway_streams_dropped_total 1")
            && metrics.contains("ostler_gateway_streams_open 0")
    })
    .await;
    drop(deaf);
}
