//! The OpenAPI document, generated from the code, and a page that shows it.

use std::collections::BTreeSet;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use ostler_schemas::problem::Problem;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::app::App;

const PAGE: &str = include_str!("docs.html");

/// What the annotations of the handlers do not say: the title, and that any request may be
/// answered with a problem.
#[must_use]
pub fn completed(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Ostler")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Runs work on a fleet of machines. Errors are RFC 9457 problems; lists are paged; \
             `ETag` is the revision and `If-Match` makes a change conditional.",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    let mut schemas = Vec::new();
    <Problem as ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(Problem::name().into_owned(), <Problem as PartialSchema>::schema());
    let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
    let problem = ResponseBuilder::new()
        .description("a problem; `code` says which, `trace_id` finds it in the logs")
        .content("application/problem+json", content)
        .build();
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            with_problem(operation, &problem);
        }
    }
    document
}

fn with_problem(operation: &mut Operation, problem: &utoipa::openapi::Response) {
    let responses = &mut operation.responses.responses;
    responses.insert("default".to_owned(), RefOr::T(problem.clone()));
}

/// `/openapi.json` and `/docs`.
pub fn routes(document: &OpenApi) -> Router<App> {
    let json = serde_json::to_string(document).expect("the document has text keys");
    let json = axum::body::Bytes::from(json);
    let document = move || async move {
        ([(header::CONTENT_TYPE, "application/json")], json.clone()).into_response()
    };
    Router::new().route("/openapi.json", get(document)).route("/docs", get(|| async { Html(PAGE) }))
}

/// Every `method path` of a document.
#[must_use]
pub fn operations(document: &OpenApi) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, item) in &document.paths.paths {
        let methods = [
            ("GET", &item.get),
            ("PUT", &item.put),
            ("POST", &item.post),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        let there = methods.into_iter().filter(|(_, operation)| operation.is_some());
        found.extend(there.map(|(method, _)| format!("{method} {path}")));
    }
    found
}
