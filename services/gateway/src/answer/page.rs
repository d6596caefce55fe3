//! Bodies: one thing with its revision or a digest, a command that was accepted.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ostler_schemas::pb;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// One thing; its revision becomes the `ETag`. Revision 0 is none.
#[derive(Debug)]
pub struct Tagged<T>(pub u64, pub T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.1).into_response();
        if self.0 != 0 {
            let tag = HeaderValue::from_str(&format!("\"{}\"", self.0));
            response.headers_mut().insert(header::ETAG, tag.expect("digits fit a header"));
        }
        response
    }
}

/// One thing without a revision of its own; its `ETag` is a digest of what is said of it.
#[derive(Debug)]
pub struct Digested<T>(pub T);

impl<T: Serialize> IntoResponse for Digested<T> {
    fn into_response(self) -> Response {
        let text = serde_json::to_vec(&self.0).unwrap_or_default();
        let digest = Sha256::digest(&text);
        let digest = digest.iter().take(8).fold(0u64, |bits, b| (bits << 8) | u64::from(*b));
        let tag = HeaderValue::from_str(&format!("\"{digest:016x}\""));
        let mut response = Json(self.0).into_response();
        response.headers_mut().insert(header::ETAG, tag.expect("digits fit a header"));
        response
    }
}

/// An order that was taken, to be followed at its `Location`.
#[derive(Debug)]
pub struct Accepted(pub pb::CommandView);

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let location = format!("/v1/commands/{}", self.0.id);
        let mut response = (StatusCode::ACCEPTED, Json(self.0)).into_response();
        if let Ok(location) = HeaderValue::from_str(&location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}
