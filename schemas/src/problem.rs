//! Errors as callers see them: RFC 9457 problem details with a stable code.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The closed list of codes. Stable: programs go by them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request cannot be read; nothing was changed.
    Malformed,
    /// It can be read but makes no sense; `errors` names fields and reasons. Nothing was changed.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// What it is about is in a state that forbids it. Nothing was changed.
    Conflict,
    /// The revision is not the one that `if_revision` or `If-Match` names. Nothing was changed.
    RevisionMismatch,
    /// No node can take it; `reasons` says why. Nothing was changed.
    Infeasible,
    /// A named limit would be passed. Nothing was changed.
    LimitExceeded,
    /// Who asks may not; `missing_policies` says what is missing.
    Forbidden,
    /// Nobody is there to answer: a service or a node. What was asked may be asked again.
    Unavailable,
    /// No answer in time. Whether it was done is not known; ask again, it is safe.
    Timeout,
    /// Our own fault; the trace id finds it in the logs.
    Internal,
}

impl Code {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Invalid => 422,
            Self::NotFound => 404,
            Self::Conflict | Self::Infeasible => 409,
            Self::RevisionMismatch => 412,
            Self::LimitExceeded => 429,
            Self::Forbidden => 403,
            Self::Unavailable => 503,
            Self::Timeout => 504,
            Self::Internal => 500,
        }
    }

    /// A title for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "the request cannot be read",
            Self::Invalid => "the request makes no sense",
            Self::NotFound => "not found",
            Self::Conflict => "its present state forbids it",
            Self::RevisionMismatch => "it was changed meanwhile",
            Self::Infeasible => "no node can take it",
            Self::LimitExceeded => "a limit would be passed",
            Self::Forbidden => "not allowed",
            Self::Unavailable => "nobody is there to answer",
            Self::Timeout => "no answer in time",
            Self::Internal => "internal error",
        }
    }
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FieldError {
    /// Which field, such as `ports[0].name`.
    pub field: String,
    /// On which line of the text, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// An error as a caller sees it; `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:ostler:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A title for people, the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What programs go by.
    pub code: Code,
    /// What happened this time.
    pub detail: String,
    /// Finds it in the logs.
    #[serde(default)]
    pub trace_id: String,
    /// The first field that is wrong, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Everything that is wrong with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// How many nodes were passed over for each reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, u32>,
    /// The policies that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_policies: Vec<String>,
}

impl Problem {
    /// A problem of this code.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let word = serde_json::to_value(code).ok();
        let word = word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        Self {
            kind: format!("urn:ostler:problem:{word}"),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            trace_id: String::new(),
            field: None,
            errors: Vec::new(),
            reasons: BTreeMap::new(),
            missing_policies: Vec::new(),
        }
    }

    /// With everything that is wrong with the request; the first one becomes `field`.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.field = errors.first().map(|error| error.field.clone());
        self.errors = errors;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
impl std::error::Error for Problem {}
