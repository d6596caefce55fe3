//! The whole fleet: started in order, ended in order.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use ostler_bus::{Bus, Config, Pings};
use ostler_service::{Program, program, telemetry};
use tokio::process::Child;

use super::layout::{self, Fleet, Layout};
use super::part::{self, Part};
use super::{GRACE, child, nats, ready, settings};
use crate::args::DevArgs;
use crate::failure::Failure;

/// How long a part in this process may take to end. It cannot be killed, and an executor holds its
/// journal, without which nothing is cleaned, while it waits up to a minute for its instances.
const IN_PROCESS: Duration = Duration::from_secs(70);

/// What was started, to be ended.
struct Running {
    nats: Child,
    children: Vec<(Part, Child)>,
    programs: Vec<(Part, Program)>,
}

/// Runs a fleet until Ctrl-C, SIGTERM, or until a part that runs in this process fails.
pub async fn run(args: DevArgs) -> Result<(), Failure> {
    let _lock = layout::lock(&args.data)?;
    let layout = prepare(&args).await?;
    telemetry::start(
        &settings::of_services(&layout)?.section("telemetry").map_err(Failure::failed)?,
    );
    let whole = Program::new();
    let signalled = whole.clone();
    whole.tasks.spawn_brief(async move { program::until_signal(&signalled).await });
    let mut running =
        Running { nats: nats::start(&layout).await?, children: Vec::new(), programs: Vec::new() };
    let started = start(&args, layout.clone(), &whole, &mut running).await;
    let ended = match started {
        Ok(()) => until_end(&whole, &mut running).await,
        Err(failure) => Err(failure),
    };
    let stopped = stop(&layout, running).await;
    ended.and(stopped)
}

async fn prepare(args: &DevArgs) -> Result<Layout, Failure> {
    if let Ok(earlier) = Layout::open(&args.data) {
        for pid in earlier.fleet.pids.values() {
            child::end_leftover(*pid, &earlier.dir).await;
        }
        // What runs on nodes that are no more would be nobody's.
        for node in earlier.nodes().into_iter().skip(args.nodes.into()) {
            part::clean(&earlier, &node).await?;
        }
    }
    let nats_port = args.nats_port.map_or_else(nats::free_port, Ok)?;
    let fleet = Fleet {
        nodes: args.nodes,
        schedulers: args.schedulers,
        listen: free(args.listen)?,
        nats_port,
        keep: args.keep,
        pids: BTreeMap::new(),
    };
    let layout = Layout::create(&args.data, fleet)?;
    settings::write_services(&layout)?;
    (1..=args.nodes).try_for_each(|number| settings::write_node(&layout, number))?;
    Ok(layout)
}

/// The address, with a free port for port 0; refuses one that is taken.
fn free(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    let socket = TcpListener::bind(listen).map_err(|error| {
        Failure::refused(format!("cannot listen on {listen}: {error}; name another with --listen"))
    })?;
    socket.local_addr().map_err(Failure::failed)
}

async fn start(
    args: &DevArgs,
    mut layout: Layout,
    whole: &Program,
    running: &mut Running,
) -> Result<(), Failure> {
    note(&mut layout, "nats", running.nats.id())?;
    provision(&layout, whole).await?;
    for part in part::all(&layout) {
        if args.processes {
            let exe = std::env::current_exe().map_err(Failure::failed)?;
            let log = layout.log(&part.name())?;
            let started = child::start(&exe, &part.args(&layout), log)?;
            note(&mut layout, &part.name(), started.id())?;
            running.children.push((part, started));
        } else {
            let program = Program::new();
            running.programs.push((part.clone(), program.clone()));
            in_this_process(part, layout.clone(), program, whole);
        }
    }
    let wait = ready::wait(&layout);
    tokio::select! {
        ready = wait => ready?,
        () = whole.tasks.stopped() => return Ok(()),
    }
    ready::tell(&layout, args.ready_file.as_deref())
}

/// Notes the process of a part, so that it can be found again.
fn note(layout: &mut Layout, name: &str, pid: Option<u32>) -> Result<(), Failure> {
    layout.fleet.pids.extend(pid.map(|pid| (name.to_owned(), pid)));
    layout.save()
}

fn in_this_process(part: Part, layout: Layout, program: Program, whole: &Program) {
    let name = part.name();
    whole.tasks.spawn("part", async move {
        let ended = part::run(&part, &layout, &program).await;
        match ended {
            Ok(()) if program.tasks.stop_token().is_cancelled() => Ok(()),
            Ok(()) => Err(format!("{name} ended by itself")),
            Err(failure) => Err(format!("{name}: {}", failure.text)),
        }
    });
}

/// Makes the streams; waits for NATS as long as a connection takes.
async fn provision(layout: &Layout, whole: &Program) -> Result<(), Failure> {
    let config = Config { url: layout.nats_url(), ..Config::default() };
    let bus = Bus::connect(&config, "ostler-dev", Pings::Usual, whole)
        .await
        .map_err(Failure::unreachable)?;
    bus.provision(&config.pools).await.map_err(Failure::failed)?;
    bus.drain().await;
    Ok(())
}

/// A part in this process that fails ends the fleet; a child that dies is not restarted, so that
/// faults can be tried.
async fn until_end(whole: &Program, running: &mut Running) -> Result<(), Failure> {
    let mut reap = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = whole.tasks.stopped() => return Ok(()),
            _ = reap.tick() => {}
        }
        running.children.retain_mut(|(part, child)| match child.try_wait() {
            Ok(Some(status)) => {
                eprintln!("{} has ended ({status}); it is not restarted", part.name());
                false
            }
            Ok(None) | Err(_) => true,
        });
        // Reaped when it died; whoever starts another on the same store finds it free.
        drop(running.nats.try_wait());
    }
}

/// Ends schedulers first, so that nothing is placed anew while executors stop what they run.
async fn stop(layout: &Layout, mut running: Running) -> Result<(), Failure> {
    eprintln!("ending …");
    for order in [0, 1, 2] {
        let now = |part: &Part| match part {
            Part::Scheduler(_) => order == 0,
            Part::Executor(_) => order == 1,
            Part::Registry | Part::Gateway | Part::Metrics => order == 2,
        };
        let children = running.children.iter_mut().filter(|(part, _)| now(part));
        let children = children.map(|(_, child)| child::stop(child, GRACE));
        let programs = running.programs.iter().filter(|(part, _)| now(part));
        let programs = programs.map(|(_, program)| program.clone().tasks.shut_down(IN_PROCESS));
        futures::join!(futures::future::join_all(children), futures::future::join_all(programs));
    }
    let by_hand = layout.nodes().into_iter().filter_map(|node| layout.noted_executor(&node));
    futures::future::join_all(by_hand.map(child::end_executor)).await;
    let mut cleaned = Ok(());
    if !layout.fleet.keep {
        for node in layout.nodes() {
            if let Err(failure) = part::clean(layout, &node).await {
                cleaned = Err(Failure::failed(format!("{node}: {}", failure.text)));
            }
        }
    }
    child::stop(&mut running.nats, GRACE).await;
    let layout =
        Layout { fleet: Fleet { pids: BTreeMap::new(), ..layout.fleet.clone() }, ..layout.clone() };
    layout.save()?;
    cleaned
}
