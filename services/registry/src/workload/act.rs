//! What may be done to a workload besides replacing its text; each may be tried without being done.

use ostler_bus::Caller;
use ostler_core::head::Head;
use ostler_core::id::{Version, WorkloadKey};
use ostler_schemas::bucket::HeadKey;
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use super::desired::{self, Stamp};
use super::key;
use crate::app::{App, Shared};
use crate::quota::QuotaGate;
use crate::refusal::{conflict, invalid, not_found, revision_mismatch};
use crate::write::{Terms, change_through, was_by};

/// What a head is changed by.
struct Order<'a> {
    key: WorkloadKey,
    kind: &'a str,
    if_revision: Option<u64>,
    dry_run: bool,
}

impl<'a> Order<'a> {
    fn new(kind: &'a str, namespace: &str, name: &str) -> Result<Self, Problem> {
        let key = key(namespace, name)?;
        Ok(Self { key, kind, if_revision: None, dry_run: false })
    }
}

impl App {
    /// Changes a head that must exist, tells it, and answers with what is there then.
    async fn revise(
        &self,
        caller: &Caller,
        order: Order<'_>,
        step: impl Fn(&Head, &Stamp<'_>) -> Result<Option<Head>, Problem>,
    ) -> Result<pb::WorkloadView, Problem> {
        let Order { key, kind, if_revision, dry_run } = order;
        let stamp = self.stamp(caller);
        let terms = Terms { if_revision, dry_run, ..Terms::of(caller) };
        let gate = QuotaGate::to(self, &key).await?;
        let changed = change_through(&self.bus, HeadKey(key.clone()), terms, &gate, |head| {
            step(head.ok_or_else(|| not_found("workload", &key))?, &stamp)
        });
        let changed = changed.await?;
        if dry_run {
            let plan = self.plan_of(caller, &changed).await?;
            return Ok(pb::WorkloadView { plan, ..self.view(&changed.value, changed.revision) });
        }
        self.changed(caller, kind, &changed).await?;
        Ok(self.view(&changed.value, changed.revision))
    }
}

/// `workload.delete`: its instances end, then it is forgotten.
pub async fn delete(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadDelete,
) -> Result<pb::WorkloadView, Problem> {
    let order = Order {
        if_revision: request.if_revision,
        dry_run: request.dry_run,
        ..Order::new("deleted", &request.namespace, &request.name)?
    };
    app.revise(&caller, order, |head, stamp| Ok(desired::delete(head, request.purge, stamp))).await
}

/// `workload.scale`: another count, all else as it is.
pub async fn scale(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadScale,
) -> Result<pb::WorkloadView, Problem> {
    const MOST: u32 = 1_000_000;
    if request.count > MOST {
        return Err(invalid("count", format!("{} is too many: at most {MOST}", request.count)));
    }
    let order = Order {
        if_revision: request.if_revision,
        dry_run: request.dry_run,
        ..Order::new("scaled", &request.namespace, &request.name)?
    };
    app.revise(&caller, order, |head, stamp| desired::scale(head, request.count, stamp)).await
}

/// `workload.restart`: all its instances, one after the other.
pub async fn restart(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadRestart,
) -> Result<pb::WorkloadView, Problem> {
    let order = Order {
        if_revision: request.if_revision,
        dry_run: request.dry_run,
        ..Order::new("restarted", &request.namespace, &request.name)?
    };
    app.revise(&caller, order, desired::restart).await
}

/// `workload.reload`
pub async fn reload(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadReload,
) -> Result<pb::WorkloadView, Problem> {
    let order = Order {
        if_revision: request.if_revision,
        dry_run: request.dry_run,
        ..Order::new("reloaded", &request.namespace, &request.name)?
    };
    app.revise(&caller, order, desired::reload).await
}

/// `workload.stop`: wanted, but with no instances.
pub async fn stop(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadStop,
) -> Result<pb::WorkloadView, Problem> {
    let order = Order {
        if_revision: request.if_revision,
        dry_run: request.dry_run,
        ..Order::new("stopped", &request.namespace, &request.name)?
    };
    app.revise(&caller, order, desired::stop).await
}

/// `workload.start`: the end of a stop.
pub async fn start(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadStart,
) -> Result<pb::WorkloadView, Problem> {
    let order = Order {
        if_revision: request.if_revision,
        dry_run: request.dry_run,
        ..Order::new("started", &request.namespace, &request.name)?
    };
    app.revise(&caller, order, desired::start).await
}

/// `workload.rollback`: an older text as a new version.
pub async fn rollback(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadRollback,
) -> Result<pb::WorkloadView, Problem> {
    let order = Order {
        dry_run: request.dry_run,
        ..Order::new("rollback", &request.namespace, &request.name)?
    };
    let (head, revision) = app.head(&order.key).await?;
    if was_by(&head, &caller.op_id) && !order.dry_run {
        return app.revise(&caller, order, |_, _| Ok(None)).await;
    }
    if let Some(expected) = request.if_revision.filter(|expected| *expected != revision.0) {
        return Err(revision_mismatch(&order.key, expected, revision.0));
    }
    if request.if_version != 0 && head.version.0 != request.if_version {
        let (found, wanted) = (head.version, request.if_version);
        return Err(conflict(format!("`{}` is at version {found}, not {wanted}", order.key)));
    }
    let version = match (request.version, head.version.0) {
        (0, 1) => return Err(conflict("there is no version before 1")),
        (0, present) => Version(present - 1),
        (version, _) => Version(version),
    };
    let mut text = app.text(&head, version).await?;
    app.check_pool(&text.pool)?;
    app.check_after(&text)?;
    app.pin(&mut text).await?;
    let order = Order { if_revision: Some(revision.0), ..order };
    if !order.dry_run {
        app.keep_spec(&text).await?;
    }
    app.revise(&caller, order, |head, stamp| {
        desired::put(Some(head), &text, app.left(Some(head)), stamp)
    })
    .await
}
