//! Those who want too much.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::probe::elsewhere;
use super::{Args, Case};
use crate::fleet::Fleet;
use crate::scenario::window::rest;

/// Instances on each node whose every run fails after a second: with their restarts this makes
/// a thousand failures a minute there.
const POISONED: u32 = 34;
/// What is renewed so that there is something to tell, and how often.
const RENEWED: u32 = 1_000;
const RENEW: Duration = Duration::from_secs(2);
/// The flood comes from another address than the probes.
const FLOODER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A pressure that is on.
pub struct Press {
    case: Case,
    clients: u32,
    deaf: Vec<TcpStream>,
    flood: Flood,
}

/// What became of the flood.
#[derive(Default)]
struct Flood {
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Press {
    /// Begins to press.
    pub async fn begin(args: &Args, case: Case, fleet: &Fleet) -> anyhow::Result<Self> {
        let mut press =
            Self { case, clients: args.clients, deaf: Vec::new(), flood: Flood::default() };
        match case {
            Case::Slots => fleet.put("press", &elsewhere(args.slots)).await?,
            Case::Poison => {
                fleet.put("press", &poison(POISONED * (args.nodes - 1))).await?;
                rest("seconds until it fails everywhere", Duration::from_secs(3)).await;
            }
            Case::Flood => {}
            Case::Deaf => press.deaf = deaf(fleet, args.clients).await?,
        }
        Ok(press)
    }

    /// Presses on; ends only in trouble.
    pub async fn go_on(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        match self.case {
            Case::Slots | Case::Poison => std::future::pending().await,
            Case::Flood => self.flood(fleet).await,
            Case::Deaf => renew(fleet).await,
        }
    }

    async fn flood(&self, fleet: &Fleet) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().local_address(FLOODER).build()?;
        let url = format!("{}/v1/instances?limit=100", fleet.api);
        let ask = async || loop {
            let answer = client.get(&url).send().await;
            let good = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
            let counter = if good { &self.flood.answered } else { &self.flood.refused };
            counter.fetch_add(1, Ordering::Relaxed);
            if let Ok(answer) = answer {
                answer.bytes().await.ok();
            }
        };
        join_all((0..self.clients).map(|_| ask())).await;
        Ok(())
    }

    /// What was counted meanwhile.
    pub async fn counted(&self, fleet: &Fleet) -> anyhow::Result<Vec<(String, f64)>> {
        let flood = |counter: &AtomicU64| {
            f64::from(u32::try_from(counter.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
        };
        let mut counted = match self.case {
            Case::Slots => {
                let view = fleet.get("/v1/workloads/default/press").await?;
                vec![("slots without a place".to_owned(), number(&view["status"]["unplaced"]))]
            }
            Case::Poison => {
                let page = fleet.get("/v1/instances?limit=1000&workload=press").await?;
                let items = page["items"].as_array().context("a page has items")?;
                let restarts: f64 = items.iter().map(|one| number(&one["restarts"])).sum();
                vec![(format!("restarts of {} instances", items.len()), restarts)]
            }
            Case::Flood => vec![
                ("answered to the flood".to_owned(), flood(&self.flood.answered)),
                ("refused to the flood".to_owned(), flood(&self.flood.refused)),
            ],
            Case::Deaf => Vec::new(),
        };
        for metric in ["ostler_gateway_streams_dropped_total", "ostler_gateway_refused_total"] {
            let value = fleet.gateway_metric(metric).await.unwrap_or_default();
            counted.push((metric.to_owned(), value));
        }
        Ok(counted)
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn poison(count: u32) -> Value {
    let mut poison = elsewhere(count);
    poison["sim"] = json!({ "exit_code": 1, "exit_after": "1s" });
    poison["restart"] = json!({ "attempts": -1, "backoff": { "initial": "1s", "max": "1s" } });
    poison
}

/// Connections that ask for all events, and one for everything on the bus; none is ever read.
async fn deaf(fleet: &Fleet, clients: u32) -> anyhow::Result<Vec<TcpStream>> {
    let gateway = fleet.api.trim_start_matches("http://").to_owned();
    let follow = format!("GET /v1/events?follow=true HTTP/1.1\r\nHost: {gateway}\r\n\r\n");
    let nats = fleet.nats_address();
    let mut asked = vec![(nats, "CONNECT {\"verbose\":false}\r\nSUB > 1\r\nPING\r\n".to_owned())];
    asked.extend((0..clients).map(|_| (gateway.clone(), follow.clone())));
    let connect = async |(address, text): (String, String)| {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(text.as_bytes()).await?;
        anyhow::Ok(stream)
    };
    try_join_all(asked.into_iter().map(connect)).await
}

/// Replaces instances again and again, so that there is something to tell.
async fn renew(fleet: &Fleet) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(RENEW);
    for round in 0u64.. {
        tick.tick().await;
        let mut text = elsewhere(RENEWED);
        text["resources"]["cpu"] = (10 + round % 2).into();
        text["update"] = json!({ "max_parallel": 0, "min_ready": "0s" });
        fleet.put("renewed", &text).await?;
    }
    Ok(())
}
