//! Query parameters: unknown ones are refused by name, wrong ones with the reason.

use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::{self, DeserializeOwned, Deserializer};

use crate::answer::Refusal;

/// The query string as a `T`, whose fields are the parameters.
#[derive(Debug, Clone)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query string.
pub fn read<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    let pairs = serde_html_form::Deserializer::from_bytes(query.as_bytes());
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let message = error.inner().to_string();
        let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
        match unknown {
            Some((name, rest)) => {
                let known = rest.trim_start_matches(", ");
                Refusal::malformed(name, format!("unknown query parameter, {known}"))
            }
            None => Refusal::malformed(error.path().to_string(), reason(message)),
        }
    })
}

/// The same in the words of people who write queries.
fn reason(message: String) -> String {
    match message.as_str() {
        "unsupported value" => "it is given more than once".to_owned(),
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type" => "a whole number, 0 or more".to_owned(),
        "provided string was not `true` or `false`" => "`true` or `false`".to_owned(),
        _ => message,
    }
}

/// For `deserialize_with`: an optional parameter of a type that reads itself from text.
pub fn text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text: String = de::Deserialize::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_core::time::Span;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Some {
        limit: Option<u32>,
        label: Vec<String>,
        dry_run: bool,
        #[serde(deserialize_with = "text")]
        wait: Option<Span>,
    }

    #[test]
    fn parameters_are_read_and_lists_repeat() {
        let read: Some = read("limit=5&label=a%3Db&label=c&wait=30s&dry_run=true").expect("reads");
        let label = vec!["a=b".to_owned(), "c".to_owned()];
        let wait = Option::Some(Span::from_secs(30));
        assert_eq!(read, Some { limit: Option::Some(5), label, dry_run: true, wait });
        assert_eq!(super::read::<Some>("").expect("reads"), Some::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, field, reason) in [
            ("limt=5", "limt", "unknown query parameter"),
            ("limit=x", "limit", "whole number"),
            ("limit=-1", "limit", "whole number"),
            ("limit=1&limit=2", "limit", "more than once"),
            ("dry_run=maybe", "dry_run", "`true` or `false`"),
            ("wait=5", "wait", "is not a duration"),
        ] {
            let refusal = read::<Some>(query).expect_err(query);
            let problem = refusal.problem();
            assert_eq!(problem.status, 400, "{query}");
            assert_eq!(problem.field.as_deref(), Option::Some(field), "{query}: {problem}");
            assert!(problem.detail.contains(reason), "{query}: {problem}");
        }
    }
}
