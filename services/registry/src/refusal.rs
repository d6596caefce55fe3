//! Why a request is not done, in the words that callers get.

use std::fmt::Display;

use ostler_bus::{ReadError, WriteError};
use ostler_schemas::problem::{Code, FieldError, Problem};
use tracing::error;

/// One field of the request makes no sense.
pub fn invalid(field: &str, message: impl Into<String>) -> Problem {
    let message = message.into();
    let detail = format!("`{field}`: {message}");
    let error = FieldError { field: field.to_owned(), line: None, message };
    Problem::new(Code::Invalid, detail).with_errors(vec![error])
}

/// There is no such thing.
pub fn not_found(what: &str, name: impl Display) -> Problem {
    Problem::new(Code::NotFound, format!("there is no {what} `{name}`"))
}

/// Its present state forbids it.
pub fn conflict(detail: impl Into<String>) -> Problem {
    Problem::new(Code::Conflict, detail)
}

/// It is not at the revision that the caller named.
pub fn revision_mismatch(name: impl Display, expected: u64, found: u64) -> Problem {
    let detail = match (expected, found) {
        (0, _) => format!("`{name}` exists already, at revision {found}"),
        (_, 0) => format!("`{name}` does not exist, revision {expected} was expected"),
        _ => format!("`{name}` is at revision {found}, not {expected}"),
    };
    Problem::new(Code::RevisionMismatch, detail)
}

/// Our own fault; told in the log, once.
pub fn internal(cause: impl Display) -> Problem {
    error!(error = %cause, "a request failed: {cause}");
    Problem::new(Code::Internal, "internal error")
}

/// A key could not be read.
pub fn unread(error: ReadError) -> Problem {
    match &error {
        ReadError::Unavailable { .. } => Problem::new(Code::Unavailable, error.to_string()),
        ReadError::Value { .. } => internal(with_source(&error)),
    }
}

/// A key could not be written, for another reason than a conflict.
pub fn unwritten(error: WriteError) -> Problem {
    match &error {
        WriteError::Conflict { .. } => conflict(error.to_string()),
        WriteError::Unknown { .. } => Problem::new(Code::Timeout, error.to_string()),
        WriteError::Refused { .. } => internal(error),
    }
}

fn with_source(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
