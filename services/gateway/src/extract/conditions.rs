//! `If-Match` and `If-None-Match`: compare-and-set over HTTP.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use crate::answer::Refusal;

/// At what a change holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conditions {
    /// Whatever is there.
    #[default]
    Any,
    /// Only at this revision (`If-Match: "812"`).
    Revision(u64),
    /// Only if something is there (`If-Match: *`).
    Exists,
    /// Only if nothing is there (`If-None-Match: *`).
    Absent,
}

impl Conditions {
    /// Reads the headers of a change.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let text = |name: &HeaderName| {
            headers.get(name).map(|value| value.to_str().unwrap_or_default().trim().to_owned())
        };
        match (text(&header::IF_MATCH), text(&header::IF_NONE_MATCH)) {
            (None, None) => Ok(Self::Any),
            (Some(_), Some(_)) => {
                Err(Refusal::malformed("If-Match", "either it or `If-None-Match`, not both"))
            }
            (None, Some(text)) if text == "*" => Ok(Self::Absent),
            (None, Some(_)) => {
                Err(Refusal::malformed("If-None-Match", "a change takes only `*`: create, or fail"))
            }
            (Some(text), None) if text == "*" => Ok(Self::Exists),
            (Some(text), None) => revision(&text).map(Self::Revision),
        }
    }

    /// The revision for a request that cannot create anything.
    pub fn revision(self) -> Result<Option<u64>, Refusal> {
        match self {
            Self::Any | Self::Exists => Ok(None),
            Self::Revision(revision) => Ok(Some(revision)),
            Self::Absent => Err(Refusal::malformed("If-None-Match", "this creates nothing")),
        }
    }
}

/// `"812"`, `W/"812"` or `812`.
fn revision(text: &str) -> Result<u64, Refusal> {
    let plain = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let number = plain.parse().ok().filter(|revision| *revision > 0);
    number.ok_or_else(|| Refusal::malformed("If-Match", "a revision in quotes, such as \"812\""))
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::of(&parts.headers)
    }
}

/// For changes that cannot be conditional: says so instead of passing over the header.
#[derive(Debug, Clone, Copy)]
pub struct NoConditions;

impl<S: Send + Sync> FromRequestParts<S> for NoConditions {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match Conditions::of(&parts.headers)? {
            Conditions::Any | Conditions::Exists => Ok(Self),
            Conditions::Revision(_) => {
                Err(Refusal::malformed("If-Match", "this change cannot be made conditional"))
            }
            Conditions::Absent => Err(Refusal::malformed("If-None-Match", "this creates nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn read(if_match: &'static str, if_none_match: &'static str) -> Result<Conditions, String> {
        let mut headers = HeaderMap::new();
        for (name, text) in [(header::IF_MATCH, if_match), (header::IF_NONE_MATCH, if_none_match)] {
            if !text.is_empty() {
                headers.insert(name, HeaderValue::from_static(text));
            }
        }
        Conditions::of(&headers).map_err(|refusal| refusal.problem().detail.clone())
    }

    #[test]
    fn conditions_are_read() {
        assert_eq!(read("", ""), Ok(Conditions::Any));
        assert_eq!(read("\"812\"", ""), Ok(Conditions::Revision(812)));
        assert_eq!(read("W/\"812\"", ""), Ok(Conditions::Revision(812)));
        assert_eq!(read("812", ""), Ok(Conditions::Revision(812)));
        assert_eq!(read("*", ""), Ok(Conditions::Exists));
        assert_eq!(read("", "*"), Ok(Conditions::Absent));
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_refused_not_passed_over() {
        for (if_match, if_none_match) in [
            ("abc", ""),
            ("\"\"", ""),
            ("\"0\"", ""),
            ("\"1\", \"2\"", ""),
            ("", "\"1\""),
            ("*", "*"),
        ] {
            assert!(read(if_match, if_none_match).is_err(), "{if_match} {if_none_match}");
        }
    }
}
