//! Content: chunks in, a hash that holds, parts out.

use bytes::Bytes;
use futures::StreamExt as _;
use ostler_bus::{CHUNK, Caller, ObjectError, Store};
use ostler_core::artifact::{ArtifactRef, Blob};
use ostler_core::id::ContentHash;
use ostler_schemas::bucket::BlobKey;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use sha2::{Digest as _, Sha256};

use super::{hash, refused};
use crate::app::{App, Shared};
use crate::refusal::{invalid, not_found, unread};
use crate::write::{Terms, change};

const STORE: Store = Store::Artifacts;
/// So many chunks are read at once.
const AHEAD: usize = 4;

/// Content that somebody says to have uploaded.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) sha256: ContentHash,
    pub(super) size: u64,
    upload: String,
    chunk: u32,
}

fn upload(text: &str) -> Result<String, Problem> {
    let right = text.len() == 26 && text.parse::<ulid::Ulid>().is_ok();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    if right && plain {
        return Ok(text.to_owned());
    }
    Err(invalid("upload", "it is no ULID: 26 of 0-9 and A-Z"))
}

impl Content {
    /// Reads what a request says.
    pub(super) fn of(request: &pb::ArtifactPut) -> Result<Self, Problem> {
        if request.chunk == 0 || request.chunk > CHUNK {
            return Err(invalid("chunk", format!("from 1 to {CHUNK}")));
        }
        Ok(Self {
            sha256: hash(&request.sha256)?,
            size: request.size,
            upload: upload(&request.upload)?,
            chunk: request.chunk,
        })
    }

    fn blob(&self, caller: &Caller, named_at: ostler_core::time::Timestamp) -> Blob {
        Blob {
            sha256: self.sha256,
            size: self.size,
            chunk: self.chunk,
            upload: self.upload.clone(),
            named_at,
            op_id: caller.op_id.clone(),
        }
    }
}

fn stored(error: ObjectError) -> Problem {
    match &error {
        ObjectError::Missing { .. } => invalid("upload", error.to_string()),
        ObjectError::Refused(why) => {
            Problem::new(Code::LimitExceeded, format!("the store takes no more: {why}"))
        }
        ObjectError::Unavailable(_) => Problem::new(Code::Unavailable, error.to_string()),
    }
}

impl App {
    /// Keeps what was uploaded, if it is what its hash says. What was there already stays as it is
    /// and is young again; the upload is not needed then. An upload that is wrong is removed.
    pub(super) async fn keep_content(
        &self,
        caller: &Caller,
        content: &Content,
    ) -> Result<(), Problem> {
        let key = BlobKey(content.sha256);
        let known = self.bus.get(&key).await.map_err(unread)?;
        if let Some(known) = known.as_ref().filter(|known| known.value.size != content.size) {
            let (size, said) = (known.value.size, content.size);
            return Err(invalid("size", format!("this content has {size} bytes, not {said}")));
        }
        if known.is_none()
            && let Err(problem) = self.verify(content).await
        {
            if problem.code == Code::Invalid {
                self.drop_upload(&content.upload).await;
            }
            return Err(problem);
        }
        let now = self.now();
        let terms = Terms::of(caller);
        let changed = change(&self.bus, key, terms, |present| {
            let blob = content.blob(caller, now);
            Ok(Some(match present {
                Some(there) => Blob { named_at: now, op_id: blob.op_id, ..there.clone() },
                None => blob,
            }))
        });
        let kept = changed.await?.value;
        if kept.upload != content.upload {
            self.drop_upload(&content.upload).await;
        }
        Ok(())
    }

    async fn verify(&self, content: &Content) -> Result<(), Problem> {
        let blob = content.blob(&Caller::program("registry"), self.now());
        let (mut digest, mut size) = (Sha256::new(), 0u64);
        let read = |index| self.bus.get_chunk(STORE, &content.upload, index);
        let mut chunks = futures::stream::iter(0..blob.chunks()).map(read).buffered(AHEAD);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(stored)?;
            size += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            digest.update(&chunk);
        }
        if size != content.size {
            let wanted = content.size;
            return Err(invalid("size", format!("{size} bytes were uploaded, not {wanted}")));
        }
        let found = ContentHash(digest.finalize().into());
        if found != content.sha256 {
            let message = format!("what was uploaded has the sha256 {found}");
            return Err(invalid("sha256", message));
        }
        Ok(())
    }

    async fn drop_upload(&self, upload: &str) {
        // What stays is collected later.
        drop(self.bus.purge_upload(STORE, upload).await);
    }

    async fn blob(&self, hash: ContentHash) -> Result<Blob, Problem> {
        let entry = self.bus.get(&BlobKey(hash)).await.map_err(unread)?;
        entry.map(|entry| entry.value).ok_or_else(|| not_found("content", hash))
    }
}

/// `blob.put`: one chunk.
pub async fn put(
    app: Shared,
    _: Caller,
    request: pb::BlobPut,
) -> Result<pb::BlobPutReply, Problem> {
    let upload = upload(&request.upload)?;
    let most = usize::try_from(CHUNK).expect("512 KiB fit");
    if request.data.len() > most {
        let length = request.data.len();
        return Err(invalid("data", format!("{length} bytes are too many: at most {CHUNK}")));
    }
    let data = Bytes::from(request.data);
    let put = app.bus.put_chunk(STORE, &upload, request.index.into(), data).await;
    put.map(|()| pb::BlobPutReply {}).map_err(stored)
}

/// `blob.get`: a part, which ends where its chunk ends.
pub async fn get(
    app: Shared,
    _: Caller,
    request: pb::BlobGet,
) -> Result<pb::BlobGetReply, Problem> {
    let hash = hash(&request.sha256)?;
    if request.length == 0 || request.length > CHUNK {
        return Err(invalid("length", format!("from 1 to {CHUNK}")));
    }
    let known = app.index.read(|picture| picture.blob(hash).cloned());
    let was_known = known.is_some();
    let blob = match known {
        Some(blob) => blob,
        None => app.blob(hash).await?,
    };
    match part(&app, &blob, &request).await {
        // The index may be behind: it was removed and uploaded again.
        Err(ObjectError::Missing { .. }) if was_known => {
            let blob = app.blob(hash).await?;
            part(&app, &blob, &request).await.map_err(stored)
        }
        other => other.map_err(stored),
    }
}

async fn part(
    app: &App,
    blob: &Blob,
    request: &pb::BlobGet,
) -> Result<pb::BlobGetReply, ObjectError> {
    let size = blob.size;
    if request.offset >= size {
        return Ok(pb::BlobGetReply { data: Vec::new(), size });
    }
    let chunk = u64::from(blob.chunk.max(1));
    let (index, within) = (request.offset / chunk, request.offset % chunk);
    let data = app.bus.get_chunk(STORE, &blob.upload, index).await?;
    let begin = usize::try_from(within).unwrap_or(usize::MAX).min(data.len());
    let length = usize::try_from(request.length).unwrap_or(usize::MAX);
    let end = begin.saturating_add(length).min(data.len());
    Ok(pb::BlobGetReply { data: data[begin..end].to_vec(), size })
}

/// `blob.stat`: which content an artifact is.
pub async fn stat(
    app: Shared,
    _: Caller,
    request: pb::BlobStat,
) -> Result<pb::BlobStatReply, Problem> {
    let reference: ArtifactRef = request
        .artifact
        .parse()
        .map_err(|error: ostler_core::id::IdError| invalid("artifact", error.to_string()))?;
    let artifact = app.artifact(&reference.name).await?;
    let version = artifact.find(reference.version).map_err(refused)?;
    Ok(pb::BlobStatReply {
        name: artifact.name.to_string(),
        version: version.version,
        sha256: version.sha256.to_string(),
        size: version.size,
    })
}
