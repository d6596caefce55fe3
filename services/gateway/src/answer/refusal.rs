//! Problems on their way to the caller.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ostler_schemas::problem::{Code, FieldError, Problem};
use tracing::error;

/// A problem instead of an answer. It travels as an extension of the response until
/// [`guard::finish`](crate::guard::finish) writes it out with the trace id.
#[derive(Debug, Clone)]
pub struct Refusal(Box<Problem>);

impl Refusal {
    /// A problem of this code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    /// One field is wrong: 422.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let detail = format!("`{field}`: {message}");
        let errors = vec![FieldError { field, line: None, message }];
        Problem::new(Code::Invalid, detail).with_errors(errors).into()
    }

    /// A part of the request cannot be read: 400.
    pub fn malformed(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let detail = format!("`{field}`: {message}");
        let errors = vec![FieldError { field, line: None, message }];
        Problem::new(Code::Malformed, detail).with_errors(errors).into()
    }

    /// The same with an HTTP status that is not the code's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status.as_u16();
        self
    }

    /// What it says.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let mut response = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The problem of an answer that carries none itself: from a layer, or from the router.
#[must_use]
pub fn status_problem(status: StatusCode, what: &str) -> Refusal {
    let (code, detail) = match status {
        StatusCode::NOT_FOUND => (Code::NotFound, format!("there is no path {what}")),
        StatusCode::METHOD_NOT_ALLOWED => {
            (Code::Malformed, format!("{what}: no such method here; `Allow` names those that are"))
        }
        StatusCode::FORBIDDEN => (Code::Forbidden, "not allowed".to_owned()),
        status if status.is_client_error() => {
            let reason = status.canonical_reason().unwrap_or("the request cannot be read");
            (Code::Malformed, reason.to_lowercase())
        }
        _ => (Code::Internal, String::new()),
    };
    Refusal::new(code, detail).with_status(status)
}

/// Writes a problem out. An internal one keeps its cause for the log.
#[must_use]
pub fn problem_response(refusal: Refusal, trace_id: &str) -> Response {
    let mut problem = *refusal.0;
    trace_id.clone_into(&mut problem.trace_id);
    if problem.code == Code::Internal {
        error!(error = problem.detail, trace.id = trace_id, "a request failed by our own fault");
        problem.detail = format!("internal error; trace id {trace_id}");
    }
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&problem).expect("a problem has text keys");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
