//! Ends what an executor left behind, without a bus and without an executor.

use ostler_core::instance::Desired;
use thiserror::Error;

use crate::config::Config;
use crate::driver::Run;
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

/// What the journal says of an instance that was ended from outside.
fn at_rest(mut life: Life) -> Life {
    life.run = None;
    life.ready = false;
    if !life.ended() && life.order.desired == Desired::Run && life.runs > 0 {
        life.phase = Phase::Unsettled(None);
    }
    life
}
