//! Every driver keeps the same promises: each call may be made twice.

use std::time::Duration;

use ostler_core::instance::{Exit, Spec};
use ostler_executor::driver::session::Exec;
use ostler_executor::driver::sim::Sim;
use ostler_executor::driver::{Adoption, Driver, Happened, Run};
use ostler_executor::supervise::Event;
use ostler_service::Tasks;
use tokio::sync::mpsc;

use crate::process::{Bench, launch};
use crate::rig::{id, spec};

pub async fn next(heard: &mut mpsc::Receiver<Happened>) -> Event {
    loop {
        let happened = tokio::time::timeout(Duration::from_secs(20), heard.recv());
        match happened.await.expect("something happens").expect("the driver lives").1 {
            Event::Prepared(_) => {}
            other => return other,
        }
    }
}

pub fn exec(words: &[&str]) -> Exec {
    Exec { words: words.iter().map(|word| (*word).to_owned()).collect(), terminal: None }
}

/// The promises of [`Driver`].
pub async fn keeps_its_promises(
    driver: &dyn Driver,
    heard: &mut mpsc::Receiver<Happened>,
    spec: Spec,
) {
    // What is not there can be ended and removed.
    driver.signal(id(1), "SIGTERM");
    driver.kill(id(1));
    driver.remove(id(1));
    assert!(matches!(next(heard).await, Event::Removed));
    assert_eq!(driver.stats(id(1)), None);
    assert!(matches!(driver.adopt(launch(1, 1, spec.clone()), &Run::default()), Adoption::Gone(_)));

    // It starts once, however often it is told to.
    driver.start(launch(1, 1, spec.clone()));
    let run = match next(heard).await {
        Event::Started(1, run, _) => run,
        other => panic!("{other:?}"),
    };
    assert_eq!(driver.running(), [id(1)]);
    driver.start(launch(1, 1, spec.clone()));
    let Event::Started(1, same, _) = next(heard).await else { panic!("not told again") };
    assert_eq!(run, same);
    assert_eq!(driver.running(), [id(1)]);
    assert!(driver.stats(id(1)).is_some());

    // A command runs inside it, as often as it is asked for.
    for _ in 0..2 {
        let session = driver.exec(launch(1, 1, spec.clone()), exec(&["true"]));
        assert_eq!(session.outcome().await, Ok(Exit::Code(0)));
    }

    // It ends when told to, and says so once.
    driver.signal(id(1), "SIGTERM");
    driver.signal(id(1), "SIGTERM");
    let ended = next(heard).await;
    // systemd-nspawn has one code for all signals.
    let ends = [Exit::Signal(15), Exit::Code(255)];
    assert!(matches!(ended, Event::Exited(1, exit) if ends.contains(&exit)), "{ended:?}");
    assert!(driver.running().is_empty());
    driver.signal(id(1), "SIGTERM");
    driver.kill(id(1));
    assert!(driver.exec(launch(1, 1, spec.clone()), exec(&["true"])).outcome().await.is_err());

    // It starts again, is killed, and can be removed twice.
    driver.start(launch(1, 2, spec.clone()));
    let Event::Started(2, ..) = next(heard).await else { panic!("not started again") };
    driver.kill(id(1));
    let Event::Exited(2, Exit::Signal(9)) = next(heard).await else { panic!("not killed") };
    for _ in 0..2 {
        driver.remove(id(1));
        assert!(matches!(next(heard).await, Event::Removed));
    }
    assert!(matches!(driver.adopt(launch(1, 2, spec), &run), Adoption::Gone(_)));
}

#[tokio::test]
async fn the_process_driver_keeps_its_promises() {
    let bench = &mut Bench::new();
    let driver = bench.driver.clone();
    keeps_its_promises(&driver, &mut bench.heard, spec("")).await;
}

#[tokio::test]
async fn the_sim_driver_keeps_its_promises() {
    let (sink, mut heard) = mpsc::channel(64);
    let tasks = Tasks::new();
    let driver = Sim::new();
    tasks.spawn_brief(driver.turn(sink));
    keeps_its_promises(&driver, &mut heard, spec("driver = \"sim\"")).await;
}

#[tokio::test]
async fn a_simulation_obeys_its_script() {
    let (sink, mut heard) = mpsc::channel(64);
    let tasks = Tasks::new();
    let driver = Sim::new();
    tasks.spawn_brief(driver.turn(sink));
    let script =
        "driver = \"sim\"\n[sim]\nready_after = \"20ms\"\nexit_code = 3\nexit_after = \"40ms\"";
    driver.start(launch(1, 1, spec(script)));
    assert!(matches!(next(&mut heard).await, Event::Started(1, ..)));
    assert!(matches!(next(&mut heard).await, Event::Passing(1)));
    assert!(matches!(next(&mut heard).await, Event::Exited(1, Exit::Code(3))));
    driver.start(launch(2, 1, spec("driver = \"sim\"\n[sim]\nfail = true")));
    assert!(matches!(next(&mut heard).await, Event::NotStarted(1, ..)));
    assert!(driver.running().is_empty());
}
