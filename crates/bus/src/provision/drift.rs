//! Where a stream is not as the table says.

use serde_json::{Map, Value};

use super::Drift;

/// The field of a stream that is not there.
pub(super) const MISSING: &str = "missing";

pub(super) fn missing(stream: &str) -> Drift {
    Drift {
        stream: stream.to_owned(),
        field: MISSING.to_owned(),
        wanted: "a stream".to_owned(),
        found: "none".to_owned(),
    }
}

/// Every field that differs. Fields that only one side has count as off on the other; metadata that
/// is not in the table (the server's own, the incarnation) is passed over.
pub(super) fn compare(stream: &str, wanted: &Value, found: &Value) -> Vec<Drift> {
    let empty = Map::new();
    let wanted = wanted.as_object().unwrap_or(&empty);
    let found = found.as_object().unwrap_or(&empty);
    let mut drifts = Vec::new();
    let mut tell = |field: &str, want: &Value, have: &Value| {
        if !same(want, have) {
            drifts.push(Drift {
                stream: stream.to_owned(),
                field: field.to_owned(),
                wanted: want.to_string(),
                found: have.to_string(),
            });
        }
    };
    for (field, want) in wanted {
        let have = found.get(field).unwrap_or(&Value::Null);
        match (field.as_str(), want) {
            ("metadata", Value::Object(ours)) => {
                for (name, want) in ours {
                    let have = have.get(name).unwrap_or(&Value::Null);
                    tell(&format!("metadata.{name}"), want, have);
                }
            }
            _ => tell(field, want, have),
        }
    }
    for (field, have) in found.iter().filter(|(field, _)| !wanted.contains_key(*field)) {
        tell(field, &Value::Null, have);
    }
    drifts
}

fn same(want: &Value, have: &Value) -> bool {
    want == have || (is_off(want) && is_off(have))
}

/// What the server writes where nothing was asked for.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_field_that_differs_is_named_with_both_values() {
        let wanted = json!({ "max_bytes": 5, "allow_direct": true, "metadata": { "a": "x" } });
        let found = json!({
            "max_bytes": 6, "allow_direct": true, "sealed": false, "mirror": { "name": "m" },
            "metadata": { "a": "y", "_nats.ver": "2" }, "consumer_limits": {},
        });
        let drifts: Vec<String> =
            compare("S", &wanted, &found).iter().map(ToString::to_string).collect();
        assert_eq!(
            drifts,
            [
                "stream `S`: `max_bytes` is 6, should be 5",
                "stream `S`: `metadata.a` is \"y\", should be \"x\"",
                "stream `S`: `mirror` is {\"name\":\"m\"}, should be null",
            ]
        );
    }
}
