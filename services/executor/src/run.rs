//! How an executor begins, goes on, and ends.

use std::sync::Arc;
use std::time::Duration;

use nkeys::KeyPair;
use ostler_bus::{Bus, ConnectError, Pings};
use ostler_schemas::problem::Problem;
use ostler_service::{Program, clock};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::agent::boot::Parts;
use crate::agent::{Agent, Message, QUEUE, Queues};
use crate::artifact::{ArtifactError, Artifacts};
use crate::beat::Beater;
use crate::bid::Bidder;
use crate::config::{Config, OnStop};
use crate::counts::Counts;
use crate::driver::Drivers;
use crate::fence::{self, Fence};
use crate::firewall::Firewall;
use crate::identity::{KeyError, node_key};
use crate::join::{Stays, join, leave, stay};
use crate::journal::{Journal, JournalError};
use crate::logs::follow::Followed;
use crate::logs::rotate::{self, Keeper};
use crate::logs::ship::Shipper;
use crate::manifest::Reader;
use crate::offer::{self, Offering};
use crate::predicate;
use crate::report::{Replaced, Reporter};
use crate::sample::Surveyor;
use crate::shared::Shared;
use crate::site::Site;
use crate::tell::Outbox;
use crate::verbs;

/// The connections of an executor.
#[derive(Debug, Clone)]
pub struct Buses {
    /// For everything but beats.
    pub main: Bus,
    /// For beats, so that nothing delays them. Many executors in one process may share one.
    pub beats: Bus,
}

/// Why an executor ended though nobody had asked it to. Its instances run on.
#[derive(Debug, Error)]
pub enum RunError {
    /// Another executor is this node now. Nothing was touched.
    #[error(transparent)]
    Replaced(#[from] Replaced),
    /// The registry will not have this node; asking again would not help.
    #[error("the registry refuses this node: {0}")]
    Refused(Problem),
    /// The journal cannot be used, or another executor uses it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no place for artifacts.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// There is no node key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The settings of the bus make no sense.
    #[error(transparent)]
    Bus(#[from] ConnectError),
}

/// Runs until the program stops. Beats have a connection of their own.
pub async fn run(config: Config, bus: Bus, program: Program) -> Result<(), RunError> {
    let link = async move {
        let beats = bus.another("executor-beats", Pings::Heartbeat).await?;
        Ok(Buses { main: bus, beats })
    };
    supervise(config, program, link).await
}

/// Runs until the program stops, on connections that may be shared with others.
pub async fn run_with(config: Config, buses: Buses, program: Program) -> Result<(), RunError> {
    supervise(config, program, async { Ok(buses) }).await
}

/// Runs until the program stops; instances are supervised before the bus is there.
pub async fn run_connecting(
    config: Config,
    bus: ostler_bus::Config,
    program: Program,
) -> Result<(), RunError> {
    let for_link = program.clone();
    let link = async move {
        loop {
            match Bus::connect(&bus, "executor", Pings::Usual, &for_link).await {
                Ok(main) => {
                    let beats = main.another("executor-beats", Pings::Heartbeat).await?;
                    return Ok(Buses { main, beats });
                }
                Err(error @ ConnectError::Config(_)) => return Err(error),
                Err(error) => warn!(%error, "no bus yet, trying again: {error}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    supervise(config, program, link).await
}

/// What the parts of an executor have in common.
#[derive(Debug, Clone)]
struct House {
    config: Arc<Config>,
    site: Arc<Site>,
    shared: Arc<Shared>,
    drivers: Arc<Drivers>,
    fence: Arc<Fence>,
    agent: mpsc::Sender<Message>,
    artifacts: Option<Artifacts>,
    program: Program,
    key: Arc<KeyPair>,
}

async fn supervise(
    config: Config,
    program: Program,
    link: impl Future<Output = Result<Buses, ConnectError>>,
) -> Result<(), RunError> {
    program.health.set("executor", Err("not admitted yet".to_owned()));
    let house = open(config, program).await?;
    let stop = house.program.tasks.stop_token();
    let mut linked = None;
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = be_a_node(&house, link, &mut linked) => ended,
    };
    close(&house, linked, &ended).await;
    house.program.tasks.stop();
    ended
}

/// Takes back what runs and begins to supervise it.
async fn open(config: Config, program: Program) -> Result<House, RunError> {
    let mut site = Site::new(&config);
    let key = Arc::new(node_key(site.data_dir.as_deref())?);
    let journal = Journal::open(site.data_dir.as_deref()).await?;
    let (happened_tx, happened) = mpsc::channel(QUEUE);
    let (agent, messages) = mpsc::channel(QUEUE);
    let artifacts = offer::artifacts(&config, &site)?;
    let fence = Arc::new(Fence::new(site.data_dir.as_deref()));
    let offering = Offering {
        config: &config,
        fence: &fence,
        artifacts: artifacts.as_ref(),
        sink: &happened_tx,
        tasks: &program.tasks,
    };
    let drivers = Arc::new(offering.drivers(&mut site).await);
    let (site, tasks) = (Arc::new(site), program.tasks.clone());
    let shared =
        Arc::new(Shared::new(tasks, program.health.clone(), Counts::new(&program.metrics)));
    let parts = Parts {
        site: Arc::clone(&site),
        drivers: Arc::clone(&drivers),
        journal,
        outbox: Outbox::new(config.events),
        shared: Arc::clone(&shared),
        fence: Arc::clone(&fence),
        firewall: Firewall::new(config.firewall.clone(), site.node.clone(), site.facts.ports),
        happened: happened_tx,
    };
    let ended = shared.stop.clone();
    let (looping, queues) = (Agent::boot(parts).await, Queues { happened, messages });
    program.tasks.spawn("executor.agent", async move {
        let _ended = ended.drop_guard();
        looping.run(queues).await;
        Ok::<_, RunError>(())
    });
    let config = Arc::new(config);
    let house = House { config, site, shared, drivers, fence, agent, artifacts, program, key };
    begin_rotation(&house);
    Ok(house)
}

fn begin_rotation(house: &House) {
    let Some(data_dir) = house.site.data_dir.as_ref().filter(|_| house.drivers.outlive_us()) else {
        return;
    };
    let drivers = Arc::clone(&house.drivers);
    let (logs, stop) = (data_dir.join("logs"), house.program.tasks.stop_token());
    house.program.tasks.spawn_brief(async move {
        let mut keeper = Keeper::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(rotate::EVERY) => {}
            }
            let (logs, rules) = (logs.clone(), drivers.log_rules());
            let looked = tokio::task::spawn_blocking(move || {
                keeper.look(&logs, &rules);
                keeper
            });
            keeper = looked.await.unwrap_or_else(|error| {
                warn!(%error, "output was not rotated: {error}");
                Keeper::default()
            });
        }
    });
}

/// A connection, an admission, and everything that follows from it. Ends only in trouble.
async fn be_a_node(
    house: &House,
    link: impl Future<Output = Result<Buses, ConnectError>>,
    linked: &mut Option<Buses>,
) -> Result<(), RunError> {
    let House { site, shared, agent, program, key, .. } = house;
    let stop = program.tasks.stop_token();
    wait_alone(house);
    let buses = link.await?;
    *linked = Some(buses.clone());
    shared.linked(&buses.main);
    house.artifacts.iter().for_each(|artifacts| artifacts.link(buses.main.clone()));
    // The loop has ended only if the program stops.
    drop(agent.send(Message::Linked(buses.main.clone())).await);
    let predicates = house.config.predicates.clone();
    shared.labelled(predicate::answers(&predicates).await);
    program.tasks.spawn_brief(predicate::keep(predicates, Arc::clone(shared), stop.clone()));
    let admitted = join(&buses.main, site, key, shared, &stop).await;
    let Some(admission) = admitted.map_err(RunError::Refused)? else { return Ok(()) };
    let (pool, node) = (watch::Sender::new(admission.pool), site.node.clone());
    let bidder = Bidder::new(&house.config.bid);
    // Measured before the first beat.
    let surveyor = Surveyor::new(
        buses.main.clone(),
        Arc::clone(site),
        Arc::clone(shared),
        Arc::clone(&house.drivers),
        agent.clone(),
    );
    let beater = Beater::new(buses.beats.clone(), Arc::clone(site), Arc::clone(shared), bidder);
    let known = (Arc::clone(shared), Arc::clone(&house.fence));
    let reader = Reader::new(buses.main.clone(), pool.subscribe(), node, agent.clone(), known);
    let reads = Arc::clone(shared);
    let pledge = fence::keep(
        Arc::clone(&house.fence),
        buses.main.clone(),
        site.node.clone(),
        (agent.clone(), move || reads.sync.notify_one()),
        stop.clone(),
    );
    for (name, task) in [
        ("executor.beats", Box::pin(beater.run(stop.clone())) as Task),
        ("executor.samples", Box::pin(surveyor.run(stop.clone()))),
        ("executor.manifest", Box::pin(reader.run(stop.clone()))),
        ("executor.pledge", Box::pin(pledge)),
    ] {
        program.tasks.spawn(name, async move {
            task.await;
            Ok::<_, RunError>(())
        });
    }
    let parts = verbs::Parts {
        site: Arc::clone(site),
        shared: Arc::clone(shared),
        agent: agent.clone(),
        drivers: Arc::clone(&house.drivers),
        followed: begin_shipping(house, &buses.main),
    };
    if let Err(error) = verbs::serve(&buses.main, parts).await {
        warn!(%error, "requests to this node are not answered: {error}");
    }
    let stays = stay(&buses.main, (site, key), shared, &pool, &stop);
    let reports = reporter(house, &buses).run(stop.clone());
    tokio::select! {
        stays = stays => stays.map_err(RunError::Refused),
        reports = reports => reports.map_err(RunError::Replaced),
    }
}

/// Publishes what instances write, where that is wanted.
fn begin_shipping(house: &House, bus: &Bus) -> Followed {
    let Some(data_dir) = house.site.data_dir.clone().filter(|_| house.config.ship_logs) else {
        return Followed::default();
    };
    let (node, drivers) = (house.site.node.clone(), Arc::clone(&house.drivers));
    let shipper = Shipper { bus: bus.clone(), node, data_dir, drivers };
    house.program.tasks.spawn_brief(shipper.run(house.program.tasks.stop_token()));
    Followed::shipped()
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn reporter(house: &House, buses: &Buses) -> Reporter {
    let interval: Duration = house.config.report_interval.into();
    let (node, agent) = (house.site.node.clone(), house.agent.clone());
    let shared = Arc::clone(&house.shared);
    Reporter::new(buses.main.clone(), node, agent, shared, interval.max(SHORTEST))
}

/// Reports are never closer together than this.
const SHORTEST: Duration = Duration::from_millis(50);

/// Without a bus nobody will say what became of instances that died meanwhile. Not alone is who
/// has heard its manifest, or could.
fn wait_alone(house: &House) {
    let (agent, stop) = (house.agent.clone(), house.program.tasks.stop_token());
    let (alone_after, shared): (Duration, _) = (house.config.alone_after.into(), &house.shared);
    let shared = Arc::clone(shared);
    house.program.tasks.spawn_brief(async move {
        let mut since = clock::instant();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(alone_after.min(Duration::from_secs(1))) => {}
            }
            if shared.has_heard() {
                return;
            }
            if shared.is_linked() {
                since = clock::instant();
            } else if clock::since(since) >= alone_after {
                return drop(agent.send(Message::Alone).await);
            }
        }
    });
}

/// The longest that instances may take to stop with their executor.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// Stops instances where that is wanted, says goodbye, ends the loop.
async fn close(house: &House, linked: Option<Buses>, ended: &Result<(), RunError>) {
    let replaced = matches!(ended, Err(RunError::Replaced(_)));
    let mut stays = Stays::Instances;
    if house.config.on_stop == OnStop::Stop && ended.is_ok() {
        let (reply, halted) = oneshot::channel();
        drop(house.agent.send(Message::Halt(reply)).await);
        match tokio::time::timeout(STOP_WITHIN, halted).await {
            Ok(Ok(())) => stays = Stays::Nothing,
            Ok(Err(_)) => warn!("nobody is there to stop instances, they are left"),
            Err(_) => warn!("instances did not end in time, they are left"),
        }
    }
    if !house.drivers.outlive_us() || house.shared.instances() == 0 {
        stays = Stays::Nothing;
    }
    let epoch = house.shared.epoch();
    let admitted = linked.filter(|_| !replaced && epoch.0 > 0);
    if let Some(buses) = admitted.filter(|buses| buses.main.state().borrow().up) {
        leave(&buses.main, &house.site, &house.key, (epoch, stays)).await;
    }
    let (reply, quit) = oneshot::channel();
    if house.agent.send(Message::Quit(reply)).await.is_ok() {
        drop(quit.await);
    }
    info!("node {} goes, {} instances stay", house.site.node, house.shared.instances());
}
