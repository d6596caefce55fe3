//! `/v1/artifacts`: packages, trees and images of any size, streamed both ways, every version kept.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ostler_core::artifact::ArtifactRef;
use ostler_core::id::ContentHash;
use ostler_core::workload::Workload;
use ostler_schemas::pb;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Nothing, limit};
use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::policy::{ArtifactsRead, ArtifactsWrite};
use crate::extract::{Allowed, Asker, NoConditions, Params};

mod transfer;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(download, upload, remove))
        .routes(routes!(versions))
}

/// `/{name}`
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ArtifactPath {
    /// `site`, or `site@3` for a certain version of it.
    pub name: String,
}

/// An artifact's `/{name}`, checked.
#[derive(Debug, Clone)]
pub struct Named(ArtifactRef);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, &()).await;
        let Path(text) = path.map_err(|error| Refusal::malformed("path", error.body_text()))?;
        let read = text.parse().map(Self);
        read.map_err(|error: ostler_core::id::IdError| {
            Refusal::malformed("name", error.to_string())
        })
    }
}

impl Named {
    /// The name alone, where a version makes no sense.
    fn without_version(self) -> Answer<String> {
        match self.0.version {
            None => Ok(self.0.name.to_string()),
            Some(_) => Err(Refusal::malformed("name", "a version cannot be chosen here")),
        }
    }

    fn parts(&self) -> (String, u32) {
        (self.0.name.to_string(), self.0.version.unwrap_or_default())
    }
}

/// Which artifacts are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// At most so many, 1 to 1,000.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: String,
}

/// How an artifact is uploaded.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct UploadParams {
    /// The sha256 of the body, 64 hexadecimal digits: nothing is kept if it is another.
    #[serde(deserialize_with = "crate::extract::params::text")]
    #[param(value_type = Option<String>)]
    pub sha256: Option<ContentHash>,
    /// Say which version it would be, and keep nothing.
    pub dry_run: bool,
}

/// How an artifact is removed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RemoveParams {
    /// Though workloads name it.
    pub force: bool,
    /// Say what would be removed and remove nothing.
    pub dry_run: bool,
}

/// List artifacts, the newest version of each.
#[utoipa::path(get, path = "/v1/artifacts", tag = "artifacts", params(ListParams),
    responses((status = 200, body = pb::ArtifactListReply)))]
async fn list(
    asker: Allowed<ArtifactsRead>,
    Params(params): Params<ListParams>,
) -> Answer<Json<pb::ArtifactListReply>> {
    let (limit, cursor) = (limit(params.limit)?, params.cursor);
    asker.ask(pb::ArtifactList { name: String::new(), limit, cursor }).await.map(Json)
}

/// List the versions of an artifact, newest first.
#[utoipa::path(get, path = "/v1/artifacts/{name}/versions", tag = "artifacts",
    params(ArtifactPath, ListParams), responses((status = 200, body = pb::ArtifactListReply)))]
async fn versions(
    asker: Allowed<ArtifactsRead>,
    name: Named,
    Params(params): Params<ListParams>,
) -> Answer<Json<pb::ArtifactListReply>> {
    let name = name.without_version()?;
    let (limit, cursor) = (limit(params.limit)?, params.cursor);
    asker.ask(pb::ArtifactList { name, limit, cursor }).await.map(Json)
}

/// Upload a new version. The body is of any type and size, and may be sent in chunks.
#[utoipa::path(put, path = "/v1/artifacts/{name}", tag = "artifacts",
    params(ArtifactPath, UploadParams),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = pb::ArtifactView)))]
async fn upload(
    asker: Allowed<ArtifactsWrite>,
    name: Named,
    _: NoConditions,
    Params(params): Params<UploadParams>,
    body: Body,
) -> Answer<Response> {
    let name = name.without_version()?;
    let dry_run = params.dry_run;
    let sent = match dry_run {
        true => transfer::measure(body).await?,
        false => transfer::receive(&asker, body).await?,
    };
    if let Some(wanted) = params.sha256.filter(|wanted| *wanted != sent.sha256) {
        let found = sent.sha256;
        let message = format!("the body has {found}, not {wanted}; nothing was kept");
        return Err(Refusal::field("sha256", message));
    }
    let request = pb::ArtifactPut {
        name: name.clone(),
        upload: sent.upload,
        sha256: sent.sha256.to_string(),
        size: sent.size,
        chunk: transfer::CHUNK,
        dry_run,
    };
    // It is read back and checked, however large it is.
    let view = asker.ask_within(request, transfer::CHECK_WITHIN).await?;
    if dry_run {
        return Ok(Json(view).into_response());
    }
    let location = HeaderValue::from_str(&format!("/v1/artifacts/{name}@{}", view.version));
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Download an artifact: its newest version, or `name@version`. The `ETag` is its sha256.
#[utoipa::path(get, path = "/v1/artifacts/{name}", tag = "artifacts", params(ArtifactPath),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")))]
async fn download(
    asker: Allowed<ArtifactsRead>,
    name: Named,
    _: Params<Nothing>,
) -> Answer<Response> {
    let (name, version) = name.parts();
    let view = asker.ask(pb::ArtifactGet { name, version }).await?;
    transfer::send(asker.into_asker(), view).await
}

/// Remove a version, or with no version all; refused while a workload names one, unless forced.
#[utoipa::path(delete, path = "/v1/artifacts/{name}", tag = "artifacts",
    params(ArtifactPath, RemoveParams), responses((status = 200, body = pb::ArtifactListReply)))]
async fn remove(
    asker: Allowed<ArtifactsWrite>,
    name: Named,
    _: NoConditions,
    Params(RemoveParams { force, dry_run }): Params<RemoveParams>,
) -> Answer<Json<pb::ArtifactListReply>> {
    let (name, version) = name.parts();
    asker.ask(pb::ArtifactRemove { name, version, force, dry_run }).await.map(Json)
}

/// Writes into a workload which version of each artifact it means now, as a put would.
pub(super) async fn pin(asker: &Asker, workload: &mut Workload) -> Answer<()> {
    for (field, text) in workload.artifacts_mut() {
        let Ok(reference) = text.parse::<ArtifactRef>() else { continue };
        let (name, version) = (reference.name.to_string(), reference.version.unwrap_or_default());
        let found = asker.ask(pb::ArtifactGet { name, version }).await;
        let found = found.map_err(|refusal| match refusal.problem().status {
            404 => Refusal::field(field, refusal.problem().detail.clone()),
            _ => refusal,
        })?;
        *text = ArtifactRef { version: Some(found.version), ..reference }.to_string();
    }
    Ok(())
}
