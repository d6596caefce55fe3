//! Bodies of any size, a chunk at a time: never more than a few in memory.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _};
use ostler_core::id::ContentHash;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use sha2::{Digest as _, Sha256};

use crate::answer::{Answer, Refusal};
use crate::extract::Asker;

pub(super) use ostler_bus::CHUNK;

/// How long the registry may take to read back what was uploaded.
pub(super) const CHECK_WITHIN: Duration = Duration::from_secs(600);
/// A body of which nothing comes for so long is given up.
const IDLE: Duration = Duration::from_secs(60);
/// So many chunks are on their way at once.
const AHEAD: usize = 4;

/// What was received and put.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) upload: String,
    pub(super) sha256: ContentHash,
    pub(super) size: u64,
}

fn chunk_size() -> usize {
    usize::try_from(CHUNK).expect("512 KiB fit")
}

/// Puts a body into the store, under an upload of its own.
pub(super) async fn receive(asker: &Asker, body: Body) -> Answer<Received> {
    let upload = ostler_bus::op_id();
    let mut frames = body.into_data_stream();
    let (mut digest, mut size, mut index) = (Sha256::new(), 0u64, 0u32);
    let mut buffer = Vec::with_capacity(chunk_size());
    let mut under_way = FuturesUnordered::new();
    let put =
        |index: u32, data: Vec<u8>| asker.ask(pb::BlobPut { upload: upload.clone(), index, data });
    while let Some(mut frame) = next(&mut frames).await? {
        digest.update(&frame);
        size += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        while !frame.is_empty() {
            let part = frame.split_to(frame.len().min(chunk_size() - buffer.len()));
            buffer.extend_from_slice(&part);
            if buffer.len() < chunk_size() {
                continue;
            }
            let data = std::mem::replace(&mut buffer, Vec::with_capacity(chunk_size()));
            under_way.push(put(index, data));
            index = index.checked_add(1).ok_or_else(too_large)?;
            if under_way.len() >= AHEAD
                && let Some(done) = under_way.next().await
            {
                done?;
            }
        }
    }
    if !buffer.is_empty() || index == 0 {
        under_way.push(put(index, buffer));
    }
    while let Some(done) = under_way.next().await {
        done?;
    }
    Ok(Received { upload, sha256: ContentHash(digest.finalize().into()), size })
}

/// Reads a body to its end and keeps nothing of it.
pub(super) async fn measure(body: Body) -> Answer<Received> {
    let mut frames = body.into_data_stream();
    let (mut digest, mut size) = (Sha256::new(), 0u64);
    while let Some(frame) = next(&mut frames).await? {
        digest.update(&frame);
        size += u64::try_from(frame.len()).unwrap_or(u64::MAX);
    }
    let (upload, sha256) = (ostler_bus::op_id(), ContentHash(digest.finalize().into()));
    Ok(Received { upload, sha256, size })
}

fn too_large() -> Refusal {
    Refusal::new(Code::LimitExceeded, "an artifact has 2³² chunks at most")
}

/// The next part of a body; `None` at its end. One that breaks off is an error, not an end.
async fn next(
    frames: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
) -> Answer<Option<Bytes>> {
    match tokio::time::timeout(IDLE, frames.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some(frame)),
        Ok(Some(Err(error))) => {
            Err(Refusal::malformed("body", format!("it broke off, nothing was kept: {error}")))
        }
        Err(_) => {
            let refusal = Refusal::malformed("body", format!("nothing came for {IDLE:?}"));
            Err(refusal.with_status(StatusCode::REQUEST_TIMEOUT))
        }
    }
}

/// Answers with the content of an artifact. The first part is there before the head is sent, so
/// that what cannot be read at all is a problem and not a broken body.
pub(super) async fn send(asker: Asker, view: pb::ArtifactView) -> Answer<Response> {
    let size = view.size;
    let part = move |sha256: String, asker: Asker, offset: u64| async move {
        let reply = asker.ask(pb::BlobGet { sha256, offset, length: CHUNK }).await;
        reply.map(|reply| Bytes::from(reply.data))
    };
    let first = part(view.sha256.clone(), asker.clone(), 0).await?;
    let step = u64::from(CHUNK);
    let first_length = u64::try_from(first.len()).unwrap_or(u64::MAX);
    // Chunks are as long as a part may be, so each part but the last is that long.
    if first_length < size.min(step) {
        return Err(Refusal::new(Code::Internal, format!("`{}` is not whole", view.sha256)));
    }
    let sha256 = view.sha256.clone();
    let offsets = (1..size.div_ceil(step)).map(move |index| index * step);
    let rest = futures::stream::iter(offsets)
        .map(move |offset| part(sha256.clone(), asker.clone(), offset))
        .buffered(AHEAD);
    let rest = rest.map(|part| part.map_err(|refusal| refusal.problem().detail.clone()));
    let all = futures::stream::once(async move { Ok::<_, String>(first) }).chain(rest);
    let mut response = Response::new(Body::from_stream(all));
    let headers = response.headers_mut();
    let plain = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, plain);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    let named = format!("attachment; filename=\"{}-{}\"", view.name, view.version);
    for (name, text) in
        [(header::ETAG, format!("\"{}\"", view.sha256)), (header::CONTENT_DISPOSITION, named)]
    {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}
