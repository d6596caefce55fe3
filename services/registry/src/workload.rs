//! Workloads: what is wanted, as people change it and read it.

use ostler_bus::Caller;
use ostler_core::head::Head;
use ostler_core::id::{Revision, Version, WorkloadKey};
use ostler_core::workload::Workload;
use ostler_schemas::bucket::{Bucket, HeadKey};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, FieldError, Problem};
use ostler_schemas::wire::WireError;

use crate::app::{App, Shared};
use crate::index::{WorkloadFilter, limit};
use crate::quota::QuotaGate;
use crate::refusal::{invalid, not_found, unread};
use crate::write::{Changed, Gate as _, Terms, change_through, event_id};

mod act;
mod after;
mod desired;
mod later;
mod rehearse;
mod versions;

pub use act::{delete, reload, restart, rollback, scale, start, stop};
use desired::{Left, Stamp};
pub use versions::{version, versions};

/// Reads namespace and name of a request; an empty namespace is `default`.
pub fn key(namespace: &str, name: &str) -> Result<WorkloadKey, Problem> {
    let read = |error: ostler_core::id::IdError, field| invalid(field, error.to_string());
    let namespace = match namespace {
        "" => Default::default(),
        text => text.parse().map_err(|error| read(error, "namespace"))?,
    };
    let name = name.parse().map_err(|error| read(error, "name"))?;
    Ok(WorkloadKey::new(namespace, name))
}

/// Reads a specification and says everything that is wrong with it.
fn checked(spec: Option<pb::WorkloadSpec>) -> Result<Workload, Problem> {
    let spec = spec.ok_or_else(|| invalid("spec", "it is missing"))?;
    let workload = Workload::try_from(spec).map_err(|error| match error {
        WireError::Field { field, detail } => invalid(&field, detail),
        other => Problem::new(Code::Malformed, other.to_string()),
    })?;
    let errors: Vec<FieldError> = workload
        .check()
        .into_iter()
        .map(|problem| FieldError {
            field: problem.path,
            line: problem.line.and_then(|line| u32::try_from(line).ok()),
            message: problem.message,
        })
        .chain(later::not_yet(&workload))
        .collect();
    match errors.first() {
        None => Ok(workload),
        Some(first) => {
            let more = match errors.len() {
                1 => String::new(),
                all => format!(", and {} more", all - 1),
            };
            let detail = format!("`{}`: {}{more}", first.field, first.message);
            Err(Problem::new(Code::Invalid, detail).with_errors(errors))
        }
    }
}

fn event(kind: &str, head: &Head, reason: String) -> pb::Event {
    let key = head.key();
    pb::Event {
        kind: format!("workload.{kind}"),
        namespace: key.namespace.to_string(),
        workload: key.name.to_string(),
        version: head.version.0,
        reason,
        ..Default::default()
    }
}

impl App {
    fn view(&self, head: &Head, revision: Revision) -> pb::WorkloadView {
        self.index.read(|picture| picture.workload_view(head, revision))
    }

    /// The head as its leader has it.
    async fn head(&self, key: &WorkloadKey) -> Result<(Head, Revision), Problem> {
        let entry = self.bus.get(&HeadKey(key.clone())).await.map_err(unread)?;
        let entry = entry.ok_or_else(|| not_found("workload", key))?;
        Ok((entry.value, entry.revision))
    }

    /// What is left of a workload under the head that is in force.
    fn left(&self, head: Option<&Head>) -> Left {
        let Some(head) = head else { return Left::default() };
        self.index.read(|picture| Left {
            instances: picture.instances_of(&head.key()),
            rests: picture.rests(head),
        })
    }

    fn stamp<'a>(&self, caller: &'a Caller) -> Stamp<'a> {
        Stamp { at: self.now(), op_id: &caller.op_id }
    }

    /// After a head was written: its version is kept, the world is told, lists show it.
    async fn changed(
        &self,
        caller: &Caller,
        kind: &str,
        changed: &Changed<Head>,
    ) -> Result<(), Problem> {
        if !changed.ours() {
            return Ok(());
        }
        self.keep_versions(caller, changed).await;
        let head = &changed.value;
        let reason = changed.before.as_ref().map(|before| desired::difference(before, head));
        let id = event_id(&caller.op_id);
        let event = pb::Event { id, ..event(kind, head, reason.unwrap_or_default()) };
        self.tell_durably(caller, event).await?;
        self.see(&Bucket::Workloads, changed.revision).await;
        Ok(())
    }
}

/// `workload.put`: creates or updates.
pub async fn put(
    app: Shared,
    caller: Caller,
    request: pb::WorkloadPut,
) -> Result<pb::WorkloadPutReply, Problem> {
    let terms = Terms { if_revision: request.if_revision, ..Terms::of(&caller) };
    let mut workload = checked(request.spec.clone())?;
    app.check_pool(&workload.pool)?;
    app.check_after(&workload)?;
    app.pin(&mut workload).await?;
    let key = workload.key();
    let stamp = app.stamp(&caller);
    let present = |head: Option<&Head>| desired::put(head, &workload, app.left(head), &stamp);
    if request.dry_run {
        return dry_put(&app, &caller, &request, &workload, present).await;
    }
    if request.placed {
        app.must_be_placed(&caller, &workload).await?;
    }
    app.keep_spec(&workload).await?;
    let gate = QuotaGate::to(&app, &key).await?;
    let changed = change_through(&app.bus, HeadKey(key.clone()), terms, &gate, present).await?;
    // Of a repeated one it is not known what was there before; its first version was the first.
    let first = changed.before.is_none() && changed.value.version == Version(1);
    let created = changed.wrote && changed.before.is_none() || changed.repeated && first;
    app.changed(&caller, if created { "created" } else { "updated" }, &changed).await?;
    Ok(pb::WorkloadPutReply {
        workload: Some(app.view(&changed.value, changed.revision)),
        created,
        changed: changed.wrote,
        plan: None,
    })
}

/// What a put would do: the head as it would be, and the scheduler's plan for it.
async fn dry_put(
    app: &App,
    caller: &Caller,
    request: &pb::WorkloadPut,
    workload: &Workload,
    present: impl Fn(Option<&Head>) -> Result<Option<Head>, Problem>,
) -> Result<pb::WorkloadPutReply, Problem> {
    let entry = app.bus.get(&HeadKey(workload.key())).await.map_err(unread)?;
    let revision = entry.as_ref().map_or(Revision(0), |entry| entry.revision);
    if let Some(expected) = request.if_revision
        && expected != revision.0
    {
        return Err(crate::refusal::revision_mismatch(workload.key(), expected, revision.0));
    }
    let head = entry.map(|entry| entry.value);
    let next = present(head.as_ref())?;
    if let Some(next) = &next {
        QuotaGate::to(app, &workload.key()).await?.admit(head.as_ref(), next)?;
    }
    let (created, changed) = (head.is_none(), next.is_some());
    let plan = app.rehearsed(caller, workload).await?;
    let view = next.or(head).map(|head| app.view(&head, revision));
    Ok(pb::WorkloadPutReply { workload: view, created, changed, plan: Some(plan) })
}

/// `workload.get`
pub async fn get(
    app: Shared,
    _: Caller,
    request: pb::WorkloadGet,
) -> Result<pb::WorkloadView, Problem> {
    let (head, revision) = app.head(&key(&request.namespace, &request.name)?).await?;
    Ok(app.view(&head, revision))
}

/// `workload.list`
pub async fn list(
    app: Shared,
    _: Caller,
    request: pb::WorkloadList,
) -> Result<pb::WorkloadListReply, Problem> {
    let (filter, limit) = (WorkloadFilter::read(&request)?, limit(request.limit)?);
    let revision = app.index.revision(&Bucket::Workloads).0;
    let page = app.index.read(|picture| picture.workloads(&filter, &request.cursor, limit))?;
    Ok(pb::WorkloadListReply { items: page.items, next_cursor: page.next, revision })
}
