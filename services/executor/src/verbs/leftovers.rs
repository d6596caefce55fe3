//! `leftovers`: what runs for us on this host though no record says so, and its end.

use std::collections::HashSet;

use ostler_core::id::InstanceId;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use tokio::sync::oneshot;

use super::exec::Desk;
use crate::agent::{Message, Snapshot};
use crate::driver::Run;
use crate::driver::process::{end_all, find_all};

impl Desk {
    /// Lists what is left over; ends it if that is asked for. What a manifest names again is taken
    /// back by itself and is no leftover; what is not ours is never looked at twice.
    pub(super) async fn leftovers(
        &self,
        ask: pb::Leftovers,
    ) -> Result<pb::LeftoversReply, Problem> {
        let only = match ask.instance.as_str() {
            "" => None,
            text => Some(
                text.parse::<InstanceId>()
                    .map_err(|error| Problem::new(Code::Invalid, format!("`instance`: {error}")))?,
            ),
        };
        let found = self.untracked().await?;
        let found: Vec<_> =
            found.into_iter().filter(|(id, _)| only.is_none_or(|only| only == *id)).collect();
        if only.is_some() && found.is_empty() {
            return Err(Problem::new(Code::NotFound, "no such leftover is here"));
        }
        let mut items = Vec::with_capacity(found.len());
        for (id, run) in found {
            let command = command_of(&run);
            let cleaned = ask.clean && end_all(&run).await;
            items.push(pb::Leftover { instance: id.to_string(), pid: run.pid, command, cleaned });
        }
        Ok(pb::LeftoversReply { items })
    }

    async fn untracked(&self) -> Result<Vec<(InstanceId, Run)>, Problem> {
        let internal = |why: &str| Problem::new(Code::Unavailable, why.to_owned());
        let Some(driver) = &self.drivers.process else { return Ok(Vec::new()) };
        let means = driver.means().clone();
        let found = tokio::task::spawn_blocking(move || find_all(&means)).await;
        let found = found.map_err(|_| internal("the host was not searched"))?;
        // Asked afterwards: what was started meanwhile is known by now.
        let (reply, snapshot) = oneshot::channel();
        let gone = || internal("the executor stops");
        self.agent.send(Message::Snapshot(reply)).await.map_err(|_| gone())?;
        let Snapshot { statuses, .. } = snapshot.await.map_err(|_| gone())?;
        let known: HashSet<InstanceId> = statuses.iter().map(|status| status.id).collect();
        let mut left: Vec<_> = found.into_iter().filter(|(id, _)| !known.contains(id)).collect();
        left.sort_by_key(|(id, _)| *id);
        Ok(left)
    }
}

fn command_of(run: &Run) -> String {
    let pid = run.pid.unwrap_or_default();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>();
    words.join(" ").trim_end().chars().take(200).collect()
}
