//! Ends what an executor left behind, without a bus and without an executor.

use ostler_core::instance::Desired;
use ostler_core::workload::DriverKind;
use ostler_service::Tasks;
use thiserror::Error;
use tracing::warn;

use crate::config::Config;
use crate::driver::Run;
use crate::driver::docker::{self, Docker};
use crate::driver::nspawn::Nspawn;
use crate::driver::process::{Means, end_all, find_all};
use crate::journal::{Changes, Journal, JournalError};
use crate::site::Site;
use crate::supervise::{Life, Phase};

/// Why nothing was ended.
#[derive(Debug, Error)]
pub enum CleanError {
    /// The journal cannot be read, or an executor is at work.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Kills every instance that the executor of these settings left, by pid and start time and by
/// group; returns how many there were. The next executor starts them again if they are still
/// wanted. Fails, having touched nothing, while an executor is at work there.
pub async fn clean(config: &Config) -> Result<usize, CleanError> {
    let site = Site::new(config);
    let Some(data_dir) = site.data_dir.clone() else { return Ok(0) };
    if !data_dir.join("journal.db").exists() {
        return Ok(0);
    }
    let (mut journal, saved) = Journal::open(Some(&data_dir)).await?;
    let means = Means::new(config, &site.node, data_dir, None);
    let mut ended = 0;
    // Without groups, what an instance began in sessions of their own is found one by one.
    for round in 0..100 {
        let found: Vec<Run> = find_all(&means).into_values().collect();
        if found.is_empty() {
            break;
        }
        for run in found {
            let there = end_all(&run).await;
            ended += usize::from(there && round == 0);
        }
    }
    ended += containers(config, &site).await;
    for life in &saved.lives {
        Nspawn::forget(&means, life.id);
    }
    let mut changes = Changes::default();
    for mut life in saved.lives {
        let mut run = life.run.take().unwrap_or_default();
        run.cgroups.extend(means.cgroups.dirs(life.id));
        ended += usize::from(end_all(&run).await);
        changes.lives.push(at_rest(life));
    }
    journal.write(&changes).await?;
    means.cgroups.leave();
    Ok(ended)
}

/// Removes the containers of this node, where it may have any.
async fn containers(config: &Config, site: &Site) -> usize {
    let Some(data_dir) = &site.data_dir else { return 0 };
    if !config.drivers.contains(&DriverKind::Docker) {
        return 0;
    }
    let (sink, _) = tokio::sync::mpsc::channel(1);
    let means = docker::Means {
        data_dir: data_dir.clone(),
        node: site.node.clone(),
        max_pids: config.max_pids,
        max_files: config.max_files,
    };
    let socket = config.docker_socket.display().to_string();
    let opened = Docker::open(&socket, means, (1, sink), &Tasks::new()).await;
    let removed = match opened {
        Ok((driver, _)) => driver.clean().await,
        Err(error) => Err(error),
    };
    removed.unwrap_or_else(|error| {
        warn!(%error, "containers of this node may be left: {error}");
        0
    })
}

/// What the journal says of an instance that was ended from outside.
fn at_rest(mut life: Life) -> Life {
    life.run = None;
    life.ready = false;
    if !life.ended() && life.order.desired == Desired::Run && life.runs > 0 {
        life.phase = Phase::Unsettled(None);
    }
    life
}
