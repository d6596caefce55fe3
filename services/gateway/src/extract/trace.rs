//! The trace id of a request: the caller's, or a fresh one.

use axum::http::HeaderMap;

/// 32 hexadecimal digits that find a request in the logs of every service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceId(pub String);

impl TraceId {
    /// The trace id of the header `traceparent`, or a fresh one where there is none that can be
    /// read.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        parent.and_then(Self::read).unwrap_or_else(Self::fresh)
    }

    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        Self(format!("{:032x}", ulid::Ulid::new().0))
    }

    /// `00-<trace id>-<parent id>-<flags>`
    fn read(parent: &str) -> Option<Self> {
        let mut parts = parent.split('-');
        let (version, id, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let right = hex(version, 2)
            && version != "ff"
            && hex(id, 32)
            && hex(span, 16)
            && hex(flags, 2)
            && id.bytes().any(|b| b != b'0')
            && (version != "00" || parts.next().is_none());
        right.then(|| Self(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_trace_goes_on() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = TraceId::read(parent).expect("it is right");
        assert_eq!(read.0, "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_no_traceparent_is_passed_over() {
        for wrong in [
            "",
            "x",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(TraceId::read(wrong), None, "{wrong}");
        }
        assert_eq!(TraceId::fresh().0.len(), 32);
    }
}
