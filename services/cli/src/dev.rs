//! `ostler dev`: NATS as a child, all services, some nodes; in this process or each in its own.

use std::time::Duration;

use ostler_service::{Program, program};

use crate::args::{DevArgs, DevCommand};
use crate::failure::Failure;

mod child;
mod fleet;
mod layout;
mod nats;
mod part;
mod ready;
mod settings;

/// How long a part may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// Runs a dev fleet, or one part of one, until a signal comes.
pub async fn run(args: DevArgs) -> Result<(), Failure> {
    match args.command {
        None => fleet::run(args).await,
        Some(DevCommand::Node(node)) => {
            child::die_with(node.parent);
            let layout = layout::Layout::open(&node.data)?;
            if node.parent.is_none() && layout.nodes().contains(&node.node) {
                layout.note_executor(&node.node)?;
            }
            alone(part::Part::Executor(node.node.parse().map_err(Failure::usage)?), &layout).await
        }
        Some(DevCommand::Exec { parent, command }) => {
            child::die_with(Some(parent));
            Err(child::become_program(&command))
        }
        Some(DevCommand::Service { service, data, replica, parent }) => {
            child::die_with(Some(parent));
            let layout = layout::Layout::open(&data)?;
            alone(part::Part::named(&service, replica)?, &layout).await
        }
    }
}

/// One part as this whole process, until a signal comes.
async fn alone(part: part::Part, layout: &layout::Layout) -> Result<(), Failure> {
    let program = Program::new();
    let running = part::run(&part, layout, &program);
    let ended = tokio::select! {
        ended = running => ended,
        () = async { program::until_signal(&program).await; std::future::pending().await } => Ok(()),
    };
    match (ended, program.finish().await) {
        (Err(failure), _) => Err(failure),
        (Ok(()), finished) => finished.map_err(Failure::failed),
    }
}
