//! What only the leader does, over and over: forgets what has ended, removes what is empty.
//!
//! Level-triggered: each round looks at what is there, so a duty that was missed is done later.

use std::time::Duration;

use ostler_bus::{Caller, WriteError};
use ostler_core::head::Head;
use ostler_core::id::{NodeName, Revision};
use ostler_core::time::Span;
use ostler_schemas::bucket::{Bucket, HeadKey, NodeKey};
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;
use tracing::{info, warn};

use crate::app::{App, Shared};
use crate::refusal::{unread, unwritten};
use crate::write::farewell_id;

/// Between two rounds.
const ROUND: Duration = Duration::from_millis(500);
/// A deleted head stays at least so long: who asks for it right after its deletion is told.
const LINGER: Span = Span::from_secs(2);

/// Begins the rounds, for as long as the program runs.
pub fn begin(app: &Shared) {
    let app = app.clone();
    let tasks = app.bus.program().tasks.clone();
    let stop = tasks.stop_token();
    tasks.spawn("duties", async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), &str>(()),
                () = tokio::time::sleep(ROUND) => {}
            }
            if app.lead.holds() {
                app.round().await;
            }
        }
    });
}

impl App {
    async fn round(&self) {
        for (head, revision) in self.index.read(crate::index::Picture::ended) {
            if let Err(problem) = self.forget(&head, revision).await {
                let key = head.key();
                warn!(error = %problem, "`{key}` has ended and is forgotten later: {problem}");
            }
        }
        for (node, _) in self.index.read(crate::index::Picture::removable) {
            if let Err(problem) = self.remove(&node).await {
                warn!(error = %problem, "node {node} is empty and is removed later: {problem}");
            }
        }
    }

    /// Purges a deleted head once its scheduler has confirmed that it left nothing; its versions
    /// first.
    async fn forget(&self, head: &Head, revision: Revision) -> Result<(), Problem> {
        let key = head.key();
        if self.now().since(head.updated_at) < LINGER {
            return Ok(());
        }
        for pool in &self.bus.config().pools {
            self.see_placements(pool).await?;
        }
        let ended = self.index.read(crate::index::Picture::ended);
        if !ended.iter().any(|(other, at)| other.key() == key && *at == revision) {
            return Ok(());
        }
        // Told first: who removes it and dies would leave nobody who knows that it has to be told.
        let event = pb::Event {
            id: farewell_id("workload.ended", &head.op_id, head.updated_at),
            kind: "workload.ended".to_owned(),
            namespace: key.namespace.to_string(),
            workload: key.name.to_string(),
            version: head.version.0,
            ..Default::default()
        };
        self.tell_durably(&Caller::program("registry"), event).await?;
        // Nobody watches versions: they need no markers.
        let last = self.bus.last_revision(&Bucket::Versions).await.map_err(unread)?;
        let versions = format!("{}.*", key.token());
        self.bus.erase(&Bucket::Versions, &versions, last).await.map_err(unwritten)?;
        self.bus.delete(&HeadKey(key.clone()), revision).await.map_err(unwritten)?;
        info!("workload {key} has ended and is forgotten");
        Ok(())
    }

    /// Removes a node that was to be removed by force and is empty now.
    async fn remove(&self, name: &NodeName) -> Result<(), Problem> {
        let Some(entry) = self.bus.get(&NodeKey(name.clone())).await.map_err(unread)? else {
            return Ok(());
        };
        self.see_placements(&entry.value.pool).await?;
        let empty = self.index.read(|picture| picture.instances_on(name)) == 0;
        if !entry.value.kept.removing || !empty {
            return Ok(());
        }
        self.say_farewell(&Caller::program("registry"), &entry.value).await?;
        match self.bus.delete(&NodeKey(name.clone()), entry.revision).await {
            Ok(()) => info!("node {name} is empty and was removed"),
            Err(WriteError::Conflict { .. }) => {}
            Err(other) => return Err(unwritten(other)),
        }
        Ok(())
    }
}
