//! Names in paths, checked.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ostler_core::id::{IdError, Namespace, NodeName, PoolName, WorkloadKey};
use ostler_schemas::problem::Code;
use serde::de::DeserializeOwned;

use crate::answer::Refusal;

/// `/{ns}/{name}`
#[derive(Debug, Clone)]
pub struct WorkloadRef(pub WorkloadKey);

/// `/{ns}/{name}/versions/{n}`
#[derive(Debug, Clone)]
pub struct VersionRef(pub WorkloadKey, pub u32);

/// A node's `/{name}`.
#[derive(Debug, Clone)]
pub struct NodeRef(pub NodeName);

/// A namespace's `/{ns}`.
#[derive(Debug, Clone)]
pub struct NamespaceRef(pub Namespace);

/// A pool's `/{pool}`.
#[derive(Debug, Clone)]
pub struct PoolRef(pub PoolName);

/// An instance's `/{id}`: the id, or a prefix of it that is unique.
#[derive(Debug, Clone)]
pub struct InstanceRef(pub String);

async fn parts_of<T: DeserializeOwned + Send>(parts: &mut Parts) -> Result<T, Refusal> {
    let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, &()).await;
    path.map(|Path(path)| path).map_err(|error| Refusal::malformed("path", error.body_text()))
}

fn key(namespace: &str, name: &str) -> Result<WorkloadKey, Refusal> {
    let bad =
        |field: &'static str| move |error: IdError| Refusal::malformed(field, error.to_string());
    let namespace = namespace.parse().map_err(bad("ns"))?;
    Ok(WorkloadKey::new(namespace, name.parse().map_err(bad("name"))?))
}

impl<S: Send + Sync> FromRequestParts<S> for WorkloadRef {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let (namespace, name): (String, String) = parts_of(parts).await?;
        key(&namespace, &name).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for VersionRef {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let (namespace, name, version): (String, String, String) = parts_of(parts).await?;
        let number = version.parse().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| {
            Refusal::malformed(
                "n",
                format!("`{}` is no version: a whole number from 1", cut(&version)),
            )
        })?;
        Ok(Self(key(&namespace, &name)?, number))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NodeRef {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let name: String = parts_of(parts).await?;
        let name = name.parse::<NodeName>();
        name.map(Self).map_err(|error| Refusal::malformed("name", error.to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NamespaceRef {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let name: String = parts_of(parts).await?;
        let name = name.parse::<Namespace>();
        name.map(Self).map_err(|error| Refusal::malformed("ns", error.to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PoolRef {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let name: String = parts_of(parts).await?;
        let name = name.parse::<PoolName>();
        name.map(Self).map_err(|error| Refusal::malformed("pool", error.to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InstanceRef {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let id: String = parts_of(parts).await?;
        let digits = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'));
        if digits && (1..=16).contains(&id.len()) {
            return Ok(Self(id));
        }
        Err(none("instance", &id))
    }
}

/// There is nothing of this kind that is called so, nor could there be.
#[must_use]
pub fn none(what: &str, id: &str) -> Refusal {
    Refusal::new(Code::NotFound, format!("there is no {what} `{}`", cut(id)))
}

/// At most 80 characters of what somebody sent, for an error message.
#[must_use]
pub fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
