//! Artifacts: content in chunks, names and versions for it, and which version a workload means.
//!
//! The only writer of the bucket `artifacts` and of the object store of that name. What is uploaded
//! is read back and checked against its hash before it gets a name. Content that no version names
//! is collected by the leader, never by whoever removed the version: a push of the same content may
//! be under way.

use ostler_bus::Caller;
use ostler_core::artifact::{
    Artifact, ArtifactError, ArtifactName, ArtifactRef, ArtifactVersion, Blob,
};
use ostler_core::id::ContentHash;
use ostler_core::workload::Workload;
use ostler_schemas::bucket::{ArtifactKey, Bucket};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, FieldError, Problem};

use crate::app::{App, Shared};
use crate::index::{limit, rfc3339};
use crate::refusal::{conflict, invalid, unread};
use crate::write::{Stamped, Terms, change, event_id, event_id_of};

mod blob;
mod collect;

pub use blob::{get as get_blob, put as put_blob, stat as stat_blob};
pub use collect::begin as begin_collection;

impl Stamped for Artifact {
    fn op_id(&self) -> &str {
        &self.op_id
    }
}
impl Stamped for Blob {
    fn op_id(&self) -> &str {
        &self.op_id
    }
}

fn name(text: &str) -> Result<ArtifactName, Problem> {
    text.parse().map_err(|error: ostler_core::id::IdError| invalid("name", error.to_string()))
}

fn hash(text: &str) -> Result<ContentHash, Problem> {
    text.parse().map_err(|error: ostler_core::id::IdError| invalid("sha256", error.to_string()))
}

/// The version of a request: 0 is the newest, or all.
fn number(version: u32) -> Option<u32> {
    (version != 0).then_some(version)
}

fn refused(error: ArtifactError) -> Problem {
    let code = match &error {
        ArtifactError::Missing(_) => Code::NotFound,
        ArtifactError::Full { .. } | ArtifactError::Spent { .. } => Code::LimitExceeded,
    };
    Problem::new(code, error.to_string())
}

impl App {
    /// An artifact as its leader has it; one without versions if it is not there.
    async fn artifact(&self, name: &ArtifactName) -> Result<Artifact, Problem> {
        let entry = self.bus.get(&ArtifactKey(name.clone())).await.map_err(unread)?;
        Ok(entry.map_or_else(|| Artifact::new(name.clone()), |entry| entry.value))
    }

    fn artifact_view(&self, artifact: &Artifact, version: &ArtifactVersion) -> pb::ArtifactView {
        let reference = ArtifactRef { name: artifact.name.clone(), version: Some(version.version) };
        pb::ArtifactView {
            name: artifact.name.to_string(),
            version: version.version,
            sha256: version.sha256.to_string(),
            size: version.size,
            created_at: rfc3339(version.created_at),
            actor: version.actor.clone(),
            versions: u32::try_from(artifact.versions.len()).unwrap_or(u32::MAX),
            used_by: self.index.read(|picture| picture.users_of(&reference)),
        }
    }

    /// Writes into a workload which version of each artifact it means: the text that is kept means
    /// the same for ever. Refuses what is not there.
    pub async fn pin(&self, workload: &mut Workload) -> Result<(), Problem> {
        let mut errors = Vec::new();
        for (field, text) in workload.artifacts_mut() {
            let Ok(reference) = text.parse::<ArtifactRef>() else { continue };
            match self.artifact(&reference.name).await?.find(reference.version) {
                Ok(found) => {
                    let pinned = ArtifactRef { version: Some(found.version), ..reference };
                    *text = pinned.to_string();
                }
                Err(error) => errors.push(FieldError {
                    field: field.to_owned(),
                    line: None,
                    message: error.to_string(),
                }),
            }
        }
        match errors.first() {
            None => Ok(()),
            Some(first) => {
                let detail = format!("`{}`: {}", first.field, first.message);
                Err(Problem::new(Code::Invalid, detail).with_errors(errors))
            }
        }
    }
}

fn event(kind: &str, artifact: &ArtifactName, version: u32) -> pb::Event {
    let details = [("artifact", artifact.to_string()), ("version", version.to_string())];
    let details = details.map(|(key, value)| (key.to_owned(), value));
    pb::Event {
        kind: format!("artifact.{kind}"),
        details: details.into_iter().collect(),
        ..Default::default()
    }
}

/// `artifact.put`: gives uploaded content a name.
pub async fn put(
    app: Shared,
    caller: Caller,
    request: pb::ArtifactPut,
) -> Result<pb::ArtifactView, Problem> {
    let terms = Terms { dry_run: request.dry_run, ..Terms::of(&caller) };
    let name = name(&request.name)?;
    let content = blob::Content::of(&request)?;
    if !request.dry_run {
        app.keep_content(&caller, &content).await?;
    }
    let version = ArtifactVersion {
        version: 0,
        sha256: content.sha256,
        size: content.size,
        created_at: app.now(),
        actor: caller.actor.clone(),
    };
    let changed = change(&app.bus, ArtifactKey(name.clone()), terms, |present| {
        let present = present.cloned().unwrap_or_else(|| Artifact::new(name.clone()));
        let next = present.with(version.clone()).map_err(refused)?;
        Ok(Some(Artifact { op_id: caller.op_id.clone(), ..next }))
    });
    let changed = changed.await?;
    let artifact = &changed.value;
    let newest = artifact.newest().ok_or_else(|| conflict(format!("`{name}` was removed")))?;
    if changed.ours() {
        let id = event_id(&caller.op_id);
        let event = pb::Event { id, ..event("pushed", &name, newest.version) };
        app.tell_durably(&caller, event).await?;
        app.see(&Bucket::Artifacts, changed.revision).await;
    }
    Ok(app.artifact_view(artifact, newest))
}

/// `artifact.get`
pub async fn get(
    app: Shared,
    _: Caller,
    request: pb::ArtifactGet,
) -> Result<pb::ArtifactView, Problem> {
    let artifact = app.artifact(&name(&request.name)?).await?;
    let version = artifact.find(number(request.version)).map_err(refused)?;
    Ok(app.artifact_view(&artifact, version))
}

/// `artifact.list`: the newest version of each artifact, or all of one, newest first.
pub async fn list(
    app: Shared,
    _: Caller,
    request: pb::ArtifactList,
) -> Result<pb::ArtifactListReply, Problem> {
    let limit = limit(request.limit)?;
    let revision = app.index.revision(&Bucket::Artifacts).0;
    let (items, next_cursor) = if request.name.is_empty() {
        let page = app.index.read(|picture| picture.artifacts(&request.cursor, limit));
        let newest = |artifact: &Artifact| {
            artifact.newest().map(|version| app.artifact_view(artifact, version))
        };
        (page.items.iter().filter_map(newest).collect(), page.next)
    } else {
        let artifact = app.artifact(&name(&request.name)?).await?;
        artifact.find(None).map_err(refused)?;
        let last = match request.cursor.as_str() {
            "" => u32::MAX,
            text => text.parse().map_err(|_| invalid("cursor", "it is of no earlier page"))?,
        };
        let views = artifact.versions.iter().rev().filter(|version| version.version < last);
        let views = views.map(|version| app.artifact_view(&artifact, version));
        let mut views: Vec<pb::ArtifactView> = views.take(limit + 1).collect();
        let more = views.len() > limit;
        views.truncate(limit);
        let next = views.last().filter(|_| more).map(|view| view.version.to_string());
        (views, next)
    };
    Ok(pb::ArtifactListReply { items, next_cursor, revision })
}

/// `artifact.remove`: one version, or all.
pub async fn remove(
    app: Shared,
    caller: Caller,
    request: pb::ArtifactRemove,
) -> Result<pb::ArtifactListReply, Problem> {
    let (name, version) = (name(&request.name)?, number(request.version));
    let used = |artifact: &Artifact| -> Vec<pb::ArtifactView> {
        let going = artifact.versions.iter();
        let going = going.filter(|kept| version.is_none_or(|number| kept.version == number));
        going.map(|going| app.artifact_view(artifact, going)).collect()
    };
    let mut removed = Vec::new();
    let terms = Terms { dry_run: request.dry_run, ..Terms::of(&caller) };
    let changed = change(&app.bus, ArtifactKey(name.clone()), terms, |present| {
        let present = present.cloned().unwrap_or_else(|| Artifact::new(name.clone()));
        let next = present.without(version).map_err(refused)?;
        removed = used(&present);
        if let Some(view) = removed.iter().find(|view| !view.used_by.is_empty())
            && !request.force
        {
            let (version, users) = (view.version, view.used_by.join(", "));
            return Err(conflict(format!("`{name}@{version}` is used by {users}")));
        }
        Ok(Some(Artifact { op_id: caller.op_id.clone(), ..next }))
    });
    let changed = changed.await?;
    if changed.ours() {
        for version in &changed.value.removed {
            let id = event_id_of(&caller.op_id, *version);
            let event = pb::Event { id, ..event("removed", &name, *version) };
            app.tell_durably(&caller, event).await?;
        }
        app.see(&Bucket::Artifacts, changed.revision).await;
    }
    Ok(pb::ArtifactListReply { items: removed, next_cursor: None, revision: changed.revision.0 })
}
