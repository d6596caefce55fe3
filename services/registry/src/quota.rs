//! What namespaces may ask for in all.
//!
//! Two replicas together never let more through than the quota: a head of a namespace that has one
//! is written only if no head of that namespace was written since its totals were taken.

use ostler_bus::{Caller, Entry, Fence, ReadError};
use ostler_core::head::Head;
use ostler_core::id::{Namespace, WorkloadKey};
use ostler_core::quota::{Quota, Totals, refusal};
use ostler_schemas::bucket::{Bucket, QuotaKey, QuotaRecord};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, FieldError, Problem};
use serde::Serialize;

use crate::app::{App, Shared};
use crate::index::limit;
use crate::refusal::{conflict, invalid, not_found, unread, unwritten};
use crate::write::{Anew, Gate, Terms, change_through, event_id, farewell_id};

/// The way to heads of a namespace that has a quota.
pub struct QuotaGate<'a> {
    app: &'a App,
    key: WorkloadKey,
    quota: Option<Quota>,
}

impl<'a> QuotaGate<'a> {
    /// The way to the head of this workload, whose quota is read from the leader.
    pub async fn to(app: &'a App, key: &WorkloadKey) -> Result<Self, Problem> {
        let record = app.bus.get(&QuotaKey(key.namespace.clone())).await.map_err(unread)?;
        let quota = record.map(|entry| entry.value.limits);
        Ok(Self { app, key: key.clone(), quota })
    }
}

impl Gate<Head> for QuotaGate<'_> {
    async fn open(&self) -> Result<Option<Fence>, Problem> {
        if self.quota.is_none() {
            return Ok(None);
        }
        let keys = format!("{}.*", self.key.namespace);
        let fence = self.app.bus.fence(&Bucket::Workloads, &keys).await.map_err(unread)?;
        self.app.see(&Bucket::Workloads, fence.at).await;
        if self.app.index.revision(&Bucket::Workloads) < fence.at {
            let text = format!("what `{}` asks for in all is not known yet", self.key.namespace);
            return Err(Problem::new(Code::Unavailable, text));
        }
        Ok(Some(fence))
    }

    fn admit(&self, before: Option<&Head>, after: &Head) -> Result<(), Problem> {
        let Some(quota) = &self.quota else { return Ok(()) };
        let namespace = &self.key.namespace;
        let (others, nodes) = self.app.index.read(|picture| {
            let others = picture.asked_in(namespace, Some(&self.key));
            (others, picture.nodes_of(&after.spec.pool))
        });
        let before = before.map(|head| Totals::of_head(head, nodes)).unwrap_or_default();
        let after = Totals::of_head(after, nodes);
        quota.admit(others, before, after).map_err(|over| {
            let errors = over.iter().map(|one| FieldError {
                field: one.limit.to_owned(),
                line: None,
                message: one.to_string(),
            });
            let text = refusal(namespace.as_str(), &over);
            conflict(text).with_errors(errors.collect())
        })
    }

    async fn instead(&self, unreadable: ReadError) -> Result<Option<Head>, Problem> {
        match unreadable {
            ReadError::Value { revision, .. } => self.app.last_known(&self.key, revision).await,
            error @ ReadError::Unavailable { .. } => Err(unread(error)),
        }
    }
}

fn namespace(text: &str) -> Result<Namespace, Problem> {
    match text {
        "" => Ok(Namespace::default()),
        text => text
            .parse()
            .map_err(|error: ostler_core::id::IdError| invalid("namespace", error.to_string())),
    }
}

pub(crate) fn document(value: &impl Serialize) -> pb::Document {
    let json = serde_json::to_string(value).expect("types of the core have text keys");
    pb::Document { json }
}

impl App {
    fn quota_view(&self, namespace: &Namespace, limits: Quota, revision: u64) -> pb::QuotaView {
        let used = self.index.read(|picture| picture.asked_in(namespace, None));
        pb::QuotaView {
            namespace: namespace.to_string(),
            limits: Some(document(&limits)),
            used: Some(document(&used)),
            revision,
        }
    }
}

fn event(kind: &str, namespace: &Namespace, reason: String) -> pb::Event {
    let (kind, namespace) = (format!("quota.{kind}"), namespace.to_string());
    pb::Event { kind, namespace, reason, ..Default::default() }
}

/// `quota.get`
pub async fn get(app: Shared, _: Caller, request: pb::QuotaGet) -> Result<pb::QuotaView, Problem> {
    let namespace = namespace(&request.namespace)?;
    let entry = app.bus.get(&QuotaKey(namespace.clone())).await.map_err(unread)?;
    let entry = entry.ok_or_else(|| not_found("quota of namespace", &namespace))?;
    Ok(app.quota_view(&namespace, entry.value.limits, entry.revision.0))
}

/// `quota.list`
pub async fn list(
    app: Shared,
    _: Caller,
    request: pb::QuotaList,
) -> Result<pb::QuotaListReply, Problem> {
    let limit = limit(request.limit)?;
    let revision = app.index.revision(&Bucket::Accounts).0;
    let page = app.index.read(|picture| picture.quotas(&request.cursor, limit))?;
    let view = |(namespace, limits, revision): (Namespace, Quota, _)| {
        app.quota_view(&namespace, limits, revision)
    };
    let items = page.items.into_iter().map(view).collect();
    Ok(pb::QuotaListReply { items, next_cursor: page.next, revision })
}

/// `quota.put`: holds from the next thing that is asked for; what is there stays.
pub async fn put(
    app: Shared,
    caller: Caller,
    request: pb::QuotaPut,
) -> Result<pb::QuotaView, Problem> {
    let namespace = namespace(&request.namespace)?;
    let text = request.limits.map(|limits| limits.json).unwrap_or_else(|| "{}".to_owned());
    let limits = Quota::from_json(&text).map_err(|errors| named("limits", errors))?;
    let (if_revision, dry_run) = (request.if_revision, request.dry_run);
    let terms = Terms { if_revision, dry_run, ..Terms::of(&caller) };
    let changed = change_through(
        &app.bus,
        QuotaKey(namespace.clone()),
        terms,
        &Anew,
        |old: Option<&QuotaRecord>| {
            let same = old.is_some_and(|old| old.limits == limits);
            let (updated_at, op_id) = (app.now(), caller.op_id.clone());
            Ok((!same).then_some(QuotaRecord { limits, updated_at, op_id }))
        },
    );
    let changed = changed.await?;
    if changed.ours() {
        let id = event_id(&caller.op_id);
        let event = pb::Event { id, ..event("updated", &namespace, document(&limits).json) };
        app.tell_durably(&caller, event).await?;
        app.see(&Bucket::Accounts, changed.revision).await;
    }
    Ok(app.quota_view(&namespace, limits, changed.revision.0))
}

/// `quota.delete`
pub async fn delete(
    app: Shared,
    caller: Caller,
    request: pb::QuotaDelete,
) -> Result<pb::QuotaView, Problem> {
    let namespace = namespace(&request.namespace)?;
    let key = QuotaKey(namespace.clone());
    let (id, found) = match app.bus.get(&key).await {
        Ok(Some(Entry { value, revision, .. })) => {
            (farewell_id("quota.removed", &value.op_id, value.updated_at), revision)
        }
        Ok(None) => return Err(not_found("quota of namespace", &namespace)),
        Err(ReadError::Value { revision, .. }) => (event_id(&caller.op_id), revision),
        Err(error @ ReadError::Unavailable { .. }) => return Err(unread(error)),
    };
    if let Some(expected) = request.if_revision.filter(|expected| *expected != found.0) {
        return Err(crate::refusal::revision_mismatch(key, expected, found.0));
    }
    if request.dry_run {
        return Ok(app.quota_view(&namespace, Quota::default(), found.0));
    }
    // Told first: who removes it and dies would leave nobody who knows that it has to be told.
    let event = pb::Event { id, ..event("removed", &namespace, String::new()) };
    app.tell_durably(&caller, event).await?;
    app.bus.delete(&key, found).await.map_err(unwritten)?;
    Ok(app.quota_view(&namespace, Quota::default(), found.0))
}

/// Everything that is wrong with a document that came as a field.
pub(crate) fn named(field: &str, errors: Vec<ostler_core::document::Problem>) -> Problem {
    let one = |problem: ostler_core::document::Problem| FieldError {
        field: match problem.path.as_str() {
            "" => field.to_owned(),
            path => path.to_owned(),
        },
        line: problem.line.and_then(|line| u32::try_from(line).ok()),
        message: problem.message,
    };
    let errors: Vec<FieldError> = errors.into_iter().map(one).collect();
    let each: Vec<String> =
        errors.iter().map(|error| format!("`{}`: {}", error.field, error.message)).collect();
    Problem::new(Code::Invalid, each.join("\n")).with_errors(errors)
}
