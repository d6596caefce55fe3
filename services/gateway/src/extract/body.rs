//! Bodies: bounded, of a named format, with every mistake named by line and field.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, FieldError, Problem};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::answer::{Answer, Refusal};
use crate::app::App;

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// `application/json`
    Json,
    /// `application/toml`
    Toml,
}

/// A body that was read and not yet parsed. Empty where there was none.
#[derive(Debug, Clone)]
pub struct RawBody {
    /// What it is written in.
    pub format: TextFormat,
    /// The text.
    pub text: String,
}

impl RawBody {
    /// The body as a document that is read where it is meant: JSON, and an object.
    pub fn document(&self) -> Answer<pb::Document> {
        if self.format != TextFormat::Json {
            return Err(unsupported("application/toml"));
        }
        let json = if self.text.is_empty() { "{}" } else { &self.text };
        is_json(json)?;
        Ok(pb::Document { json: json.to_owned() })
    }
}

/// A JSON body as a `T`. No body reads as `{}`.
#[derive(Debug, Clone)]
pub struct JsonBody<T>(pub T);

impl FromRequest<App> for RawBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let format = format(request.headers());
        let bytes = read_all(request, app).await?;
        if bytes.is_empty() {
            return Ok(Self { format: TextFormat::Json, text: String::new() });
        }
        let format = format?;
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Refusal::malformed("body", format!("not UTF-8 at byte {at}"))
        })?;
        Ok(Self { format, text })
    }
}

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let raw = RawBody::from_request(request, app).await?;
        match raw.format {
            TextFormat::Json => object(&raw.text).map(Self),
            TextFormat::Toml => Err(unsupported("application/toml")),
        }
    }
}

async fn read_all(request: Request, app: &App) -> Result<Bytes, Refusal> {
    let limit = usize::try_from(app.config().max_body.0).unwrap_or(usize::MAX);
    let reading = to_bytes(request.into_body(), limit);
    match tokio::time::timeout(app.request_timeout(), reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(&error) => {
            let detail =
                format!("a body may have {} at most (`gateway.max_body`)", app.config().max_body);
            let refusal = Refusal::new(Code::LimitExceeded, detail);
            Err(refusal.with_status(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Ok(Err(error)) => Err(Refusal::malformed("body", error.to_string())),
        Err(_) => {
            let refusal = Refusal::new(Code::Malformed, "the body did not arrive in time");
            Err(refusal.with_status(StatusCode::REQUEST_TIMEOUT))
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.to_string().contains("length limit"))
}

fn format(headers: &HeaderMap) -> Result<TextFormat, Refusal> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let word = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match word.to_ascii_lowercase().as_str() {
        "application/json" => Ok(TextFormat::Json),
        "application/toml" => Ok(TextFormat::Toml),
        other if other.starts_with("application/") && other.ends_with("+json") => {
            Ok(TextFormat::Json)
        }
        other => Err(unsupported(other)),
    }
}

fn unsupported(found: &str) -> Refusal {
    let message = match found {
        "" => "it is missing: `application/json`".to_owned(),
        found => format!("`{}` is not taken here: `application/json`", super::names::cut(found)),
    };
    Refusal::malformed("Content-Type", message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

/// Reads a JSON object as [`json`] does: serde would take a list for its fields in their order.
pub fn object<T: DeserializeOwned>(text: &str) -> Answer<T> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('{') {
        return json(text);
    }
    is_json(text)?;
    let message = "an object, `{…}`, is wanted".to_owned();
    let detail = message.clone();
    let error = FieldError { field: "body".to_owned(), line: Some(1), message };
    Err(Problem::new(Code::Invalid, detail).with_errors(vec![error]).into())
}

/// Reads JSON. What is no JSON is 400 with line and column; what is no `T` is 422 with the field.
pub fn json<T: DeserializeOwned>(text: &str) -> Answer<T> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    is_json(text)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let line = u32::try_from(error.inner().line()).ok();
        let message = without_place(&error.inner().to_string());
        let named = ["missing field `", "duplicate field `"];
        let missing = named.iter().find_map(|words| message.strip_prefix(words)?.split('`').next());
        let field = match (missing, path.as_str()) {
            (Some(name), ".") => name.to_owned(),
            (Some(name), path) => format!("{path}.{name}"),
            (None, ".") => String::new(),
            (None, path) => path.to_owned(),
        };
        let detail =
            if field.is_empty() { message.clone() } else { format!("`{field}`: {message}") };
        let error = FieldError { field, line, message };
        Problem::new(Code::Invalid, detail).with_errors(vec![error]).into()
    })
}

/// Whether a text is JSON at all; 400 with line and column otherwise.
pub fn is_json(text: &str) -> Answer<()> {
    let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
    let Err(error) = read else { return Ok(()) };
    let what = match error.classify() {
        Category::Eof => "the JSON ends too early",
        Category::Syntax | Category::Data | Category::Io => "not JSON",
    };
    let (line, column) = (error.line(), error.column());
    let message = without_place(&error.to_string());
    let detail = format!("{what} at line {line} column {column}: {message}");
    let line = u32::try_from(line).ok();
    let error = FieldError { field: "body".to_owned(), line, message };
    Err(Problem::new(Code::Malformed, detail).with_errors(vec![error]).into())
}

/// A message of serde_json without its ` at line … column …`.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(before, _)| before).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Scale {
        #[serde(rename = "count")]
        _count: u32,
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named_by_line_and_field() {
        for (text, status, field, line, reason) in [
            ("{", 400, "body", 1, "ends too early"),
            ("{\n\"count\": 3,}", 400, "body", 2, "key must be a string"),
            ("nonsense", 400, "body", 1, "not JSON"),
            ("{} {}", 400, "body", 1, "trailing characters"),
            ("", 422, "count", 1, "missing field"),
            ("[3]", 422, "body", 1, "an object"),
            ("{\n\n\"count\": \"x\"}", 422, "count", 3, "expected u32"),
            ("{\"count\": -1}", 422, "count", 1, "expected u32"),
            ("{\"count\": 4294967296}", 422, "count", 1, "expected u32"),
            ("{\"cuont\": 1}", 422, "cuont", 1, "expected `count`"),
            ("{\"count\": 1, \"count\": 2}", 422, "count", 1, "duplicate field"),
        ] {
            let refusal = object::<Scale>(text).expect_err(text);
            let problem = refusal.problem();
            assert_eq!(problem.status, status, "{text}: {problem}");
            assert_eq!(problem.field.as_deref(), Some(field), "{text}: {problem}");
            assert_eq!(problem.errors[0].line, Some(line), "{text}: {problem}");
            assert!(problem.detail.contains(reason), "{text}: {problem}");
        }
    }
}
