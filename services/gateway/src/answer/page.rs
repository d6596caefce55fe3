//! Bodies: one thing with its revision, a list, a command that was accepted.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ostler_schemas::pb;
use serde::Serialize;
use utoipa::ToSchema;

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

/// A list: `{"items":[…],"next_cursor":null,"revision":812}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Asks for what follows; `null` at the end.
    pub next_cursor: Option<String>,
    /// The revision the list is of; 0 where it is not known.
    pub revision: u64,
}

/// A list that has no further pages.
pub fn paged<T>(items: Vec<T>) -> axum::Json<Page<T>> {
    Json(Page { items, next_cursor: None, revision: 0 })
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
