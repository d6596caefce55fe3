//! Events as server-sent events: nothing is missing, nothing comes twice.

use futures::StreamExt;
use ostler_gateway::Config;
use ostler_schemas::pb;
use ostler_testkit::eventually;
use serde_json::Value;

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
