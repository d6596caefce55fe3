//! Readiness checks: asked quickly at first, then at their interval.

use std::sync::Arc;
use std::time::Duration;

use ostler_core::instance::Exit;
use ostler_core::time::Span;
use ostler_core::workload::{Check, CheckKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::driver::session::Exec;
use crate::driver::{Drivers, Launch, Sink};
use crate::socket::{Pulse, Pulses};
use crate::supervise::Event;

/// The first wait between two questions; doubles up to the interval until the first pass.
const FIRST_WAIT: Span = Span::from_millis(25);

/// All checks of one run.
#[derive(Debug)]
pub struct Inquiry {
    /// What is asked.
    pub launch: Arc<Launch>,
    /// What runs commands inside it.
    pub drivers: Arc<Drivers>,
    /// What it says of itself.
    pub pulses: Pulses,
    /// Where it is told.
    pub sink: Sink,
}

type Answer = (usize, Result<(), String>);

/// Listens for what an instance says of itself. Once it was heard, silence of `failures` intervals
/// is fatal; before that, it is only not ready.
async fn listen(
    inquiry: &Inquiry,
    index: usize,
    check: &Check,
    tell: &tokio::sync::mpsc::Sender<Answer>,
) {
    let launch = &inquiry.launch;
    let limit = Duration::from(check.interval) * check.failures.max(1);
    let mut pulses = inquiry.pulses.of(launch.id);
    loop {
        let pulse = *pulses.borrow_and_update();
        let (heard, answer) = match pulse {
            Pulse::None => (None, None),
            Pulse::Beat(at) => (Some(at), Some(Ok(()))),
            Pulse::NotReady(at) => (Some(at), Some(Err("it says that it is not ready".to_owned()))),
        };
        if let Some(answer) = answer
            && tell.send((index, answer)).await.is_err()
        {
            return;
        }
        let silent = async {
            match heard {
                Some(at) => tokio::time::sleep_until((at + limit).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = pulses.changed() => if changed.is_err() { return },
            () = silent => {
                let why = format!("check `heartbeat`: silent for {limit:?}");
                // The loop has ended when nobody listens.
                drop(inquiry.sink.send((launch.id, Event::Silent(launch.run, why))).await);
                return;
            }
        }
    }
}

/// Asks until cancelled. Tells every change, and the first answer that is a pass.
pub async fn ask(inquiry: Inquiry) {
    let launch = &inquiry.launch;
    let mut passing = vec![false; launch.spec.checks.len()];
    let (tell, mut heard) = tokio::sync::mpsc::channel::<Answer>(16);
    let questions = launch.spec.checks.iter().enumerate().map(|(index, check)| {
        let tell = tell.clone();
        let inquiry = &inquiry;
        async move {
            match check.kind {
                CheckKind::Heartbeat => listen(inquiry, index, check, &tell).await,
                CheckKind::Http | CheckKind::Tcp | CheckKind::Exec => {
                    repeat(inquiry, index, check, &tell).await;
                }
            }
        }
    });
    let asking = join_all(questions.collect());
    let telling = async {
        let mut ready = false;
        while let Some((index, answer)) = heard.recv().await {
            passing[index] = answer.is_ok();
            let run = launch.run;
            let event = match answer {
                Ok(()) if !ready && passing.iter().all(|pass| *pass) => Event::Passing(run),
                Err(why) => Event::Failing(run, why),
                Ok(()) => continue,
            };
            ready = matches!(event, Event::Passing(_));
            if inquiry.sink.send((launch.id, event)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(asking, telling);
}

/// Runs a few futures side by side in this task.
async fn join_all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

async fn repeat(
    inquiry: &Inquiry,
    index: usize,
    check: &Check,
    tell: &tokio::sync::mpsc::Sender<Answer>,
) {
    let mut wait = FIRST_WAIT.as_millis().min(check.interval.as_millis().max(1));
    // An adopted instance may have been ready, so its failures are told like any other's.
    let (mut passed, mut told, mut failures) = (false, None, 0u32);
    loop {
        let answer = tokio::time::timeout(check.timeout.into(), once(inquiry, check)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer in {}", check.timeout)));
        failures = if answer.is_ok() { 0 } else { failures.saturating_add(1) };
        passed |= answer.is_ok();
        let news = match &answer {
            Ok(()) => told != Some(true),
            Err(_) => told != Some(false) && failures >= check.failures.max(1),
        };
        if news {
            told = Some(answer.is_ok());
            let answer = answer.map_err(|why| format!("check `{}`: {why}", word(check.kind)));
            if tell.send((index, answer)).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let most = check.interval.as_millis().max(1);
        wait = if passed { most } else { (wait * 2).min(most) };
    }
}

const fn word(kind: CheckKind) -> &'static str {
    match kind {
        CheckKind::Http => "http",
        CheckKind::Tcp => "tcp",
        CheckKind::Exec => "exec",
        CheckKind::Heartbeat => "heartbeat",
    }
}

async fn once(inquiry: &Inquiry, check: &Check) -> Result<(), String> {
    match check.kind {
        CheckKind::Tcp => connect(inquiry, check).await.map(drop),
        CheckKind::Http => http(inquiry, check).await,
        CheckKind::Exec => command(inquiry, check).await,
        CheckKind::Heartbeat => Err("it is listened for".to_owned()),
    }
}

async fn connect(inquiry: &Inquiry, check: &Check) -> Result<TcpStream, String> {
    let launch = &inquiry.launch;
    let granted = launch.ports.iter().find(|grant| Some(&grant.name) == check.port.as_ref());
    let port = granted.map(|grant| grant.first).ok_or("it names no port")?;
    let stream = TcpStream::connect((launch.place.address.as_str(), port)).await;
    stream.map_err(|error| format!("port {port}: {error}"))
}

/// A GET by hand: only the status line is of interest.
async fn http(inquiry: &Inquiry, check: &Check) -> Result<(), String> {
    let mut stream = connect(inquiry, check).await?;
    let host = &inquiry.launch.place.address;
    let path = &check.path;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ostler-check\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut head = Vec::with_capacity(64);
    while head.len() < 12 {
        let more = stream.read_buf(&mut head).await.map_err(|error| error.to_string())?;
        if more == 0 {
            break;
        }
    }
    drain(&mut stream).await;
    let head = String::from_utf8_lossy(&head);
    let status = head.strip_prefix("HTTP/").and_then(|rest| rest.split_whitespace().nth(1));
    match status.and_then(|status| status.get(..3)).and_then(|s| s.parse::<u16>().ok()) {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("status {status}")),
        None => Err("the answer is not HTTP".to_owned()),
    }
}

/// Takes the rest of an answer, within bounds: to close a connection on a server that still writes
/// is an error to it, and would fill its log.
async fn drain(stream: &mut TcpStream) {
    let mut rest = [0; 4096];
    let all = async {
        for _ in 0..16 {
            if !stream.read(&mut rest).await.is_ok_and(|read| read > 0) {
                return;
            }
        }
    };
    // Whoever keeps the connection open has answered all the same.
    tokio::time::timeout(Duration::from_millis(250), all).await.ok();
}

async fn command(inquiry: &Inquiry, check: &Check) -> Result<(), String> {
    let driver = inquiry.drivers.of(inquiry.launch.spec.driver).ok_or("its driver is gone")?;
    let exec = Exec { words: check.command.clone(), terminal: None };
    match driver.exec(Arc::clone(&inquiry.launch), exec).outcome().await? {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) => Err(format!("exit code {code}")),
        Exit::Signal(signal) => Err(format!("killed by signal {signal}")),
        Exit::OutOfMemory | Exit::Unknown => Err("it ended, nobody can say how".to_owned()),
    }
}
