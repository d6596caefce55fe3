//! Every version of a workload, and what executors need of each.
//!
//! A version is written after its head, from the head's own text: two writers who race for version
//! 5 cannot leave the loser's text there. When a crash loses it, the next change writes it.

use futures::StreamExt as _;
use ostler_bus::{Caller, ReadError};
use ostler_core::head::Head;
use ostler_core::id::{Generation, Revision, Version, WorkloadKey};
use ostler_core::workload::Workload;
use ostler_schemas::bucket::{Bucket, SpecKey, VersionKey, VersionRecord};
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;
use tracing::warn;

use super::{desired, key};
use crate::app::{App, Shared};
use crate::index::{limit, rfc3339};
use crate::refusal::{invalid, not_found, unread, unwritten};
use crate::write::Changed;

/// So many are read at once.
const AT_ONCE: usize = 16;

fn record(head: &Head, actor: &str) -> VersionRecord {
    VersionRecord {
        version: head.version,
        spec: head.spec.clone(),
        created_at: head.updated_at,
        actor: actor.to_owned(),
        op_id: head.op_id.clone(),
    }
}

/// The head that a version had at first.
fn head(record: VersionRecord) -> Head {
    Head {
        version: record.version,
        compatible_since: record.version,
        spec_hash: desired::hash(&record.spec.spec()),
        spec: record.spec,
        restart_generation: Generation(0),
        reload_generation: Generation(0),
        stopped: false,
        deleted: false,
        purge: false,
        updated_at: record.created_at,
        op_id: record.op_id,
        earlier: Vec::new(),
    }
}

/// A version with the revision at which it was kept; 0: it was not yet.
type Kept = (VersionRecord, Revision);

fn view((record, revision): Kept) -> pb::VersionView {
    pb::VersionView {
        version: record.version.0,
        spec: Some(record.spec.into()),
        created_at: rfc3339(record.created_at),
        actor: record.actor,
        revision: revision.0,
    }
}

impl App {
    /// Keeps what executors need. Before the head names it.
    pub(super) async fn keep_spec(&self, workload: &Workload) -> Result<(), Problem> {
        let spec = workload.spec();
        let key = SpecKey(desired::hash(&spec));
        let kept = self.bus.get_direct(&key).await.map_err(unread)?;
        if kept.is_some_and(|kept| self.is_fresh(kept.at)) {
            return Ok(());
        }
        self.bus.put(&key, &spec).await.map(drop).map_err(unwritten)
    }

    /// Keeps the version that was written, and the one before if a crash lost it.
    pub(super) async fn keep_versions(&self, caller: &Caller, changed: &Changed<Head>) {
        let head = &changed.value;
        let before = changed.before.as_ref();
        if before.is_some_and(|before| before.version == head.version) {
            return;
        }
        if let Some(before) = before {
            let key = VersionKey((before.key(), before.version));
            if matches!(self.bus.get(&key).await, Ok(None)) {
                self.keep_version(before, "unknown").await;
            }
        }
        self.keep_version(head, &caller.actor).await;
    }

    async fn keep_version(&self, head: &Head, actor: &str) {
        let (key, version) = (head.key(), head.version);
        let kept = self.bus.put(&VersionKey((key.clone(), version)), &record(head, actor)).await;
        if let Err(cause) = kept {
            warn!(error = %cause, "version {version} of `{key}` will be kept with the next change");
        }
    }

    /// What a head said that somebody else wrote over at this revision: as this replica read it last,
    /// else as its newest version says, and nobody stopped or restarted it. `None`: there was none.
    pub(crate) async fn last_known(
        &self,
        key: &WorkloadKey,
        at: Revision,
    ) -> Result<Option<Head>, Problem> {
        self.see(&Bucket::Workloads, at).await;
        if let Some(head) = self.index.read(|picture| picture.head(key).cloned()) {
            return Ok(Some(head));
        }
        let token = key.token();
        let keys = self.bus.keys(&Bucket::Versions, &format!("{token}.*")).await.map_err(unread)?;
        let numbers = keys.iter().filter_map(|key| key.rsplit('.').next()?.parse().ok());
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        for number in numbers.into_iter().rev() {
            let key = VersionKey((key.clone(), Version(number)));
            if let Some(entry) = self.bus.get(&key).await.map_err(unread)? {
                return Ok(Some(head(entry.value)));
            }
        }
        Ok(None)
    }

    async fn record(&self, head: &Head, version: Version) -> Result<Kept, Problem> {
        let key = head.key();
        let missing = || not_found("version", format!("{version}` of `{key}"));
        if version.0 == 0 || version > head.version {
            return Err(missing());
        }
        match self.bus.get(&VersionKey((key.clone(), version))).await {
            Ok(Some(entry)) => Ok((entry.value, entry.revision)),
            Ok(None) if version == head.version => Ok((record(head, "unknown"), Revision(0))),
            Ok(None) => Err(missing()),
            Err(error @ (ReadError::Value { .. } | ReadError::Unavailable { .. })) => {
                Err(unread(error))
            }
        }
    }

    /// The text of a version.
    pub(super) async fn text(&self, head: &Head, version: Version) -> Result<Workload, Problem> {
        self.record(head, version).await.map(|(record, _)| record.spec)
    }
}

/// `workload.versions`: the newest first.
pub async fn versions(
    app: Shared,
    _: Caller,
    request: pb::WorkloadVersions,
) -> Result<pb::WorkloadVersionsReply, Problem> {
    let (head, revision) = app.head(&key(&request.namespace, &request.name)?).await?;
    let limit = u32::try_from(limit(request.limit)?).unwrap_or(u32::MAX);
    let newest = match request.cursor.as_str() {
        "" => head.version.0,
        // The last of the page before.
        text => match text.parse::<u32>() {
            Ok(last @ 1..) => head.version.0.min(last - 1),
            Ok(_) | Err(_) => return Err(invalid("cursor", "it is of no earlier page")),
        },
    };
    let oldest = newest.saturating_sub(limit) + 1;
    let (app, head) = (&app, &head);
    let read = |version| async move { app.record(head, Version(version)).await };
    let numbers = futures::stream::iter((oldest..=newest).rev());
    let records: Vec<_> = numbers.map(read).buffered(AT_ONCE).collect().await;
    let items = records.into_iter().filter_map(Result::ok).map(view).collect();
    let next_cursor = (oldest > 1 && newest > 0).then(|| oldest.to_string());
    Ok(pb::WorkloadVersionsReply { items, next_cursor, revision: revision.0 })
}

/// `workload.version`
pub async fn version(
    app: Shared,
    _: Caller,
    request: pb::WorkloadVersion,
) -> Result<pb::VersionView, Problem> {
    let (head, _) = app.head(&key(&request.namespace, &request.name)?).await?;
    app.record(&head, Version(request.version)).await.map(view)
}
