//! What a specification may say and nothing obeys yet: refused rather than passed over in silence.

use ostler_core::workload::{Sleep, Workload};
use ostler_schemas::problem::FieldError;

/// Fields that come with a later version, each with that reason.
pub(super) fn not_yet(workload: &Workload) -> Vec<FieldError> {
    let asked = [
        ("scale", !workload.scale.is_empty(), "copies on demand"),
        ("sleep", workload.sleep != Sleep::default(), "sleep"),
    ];
    let asked = asked.into_iter().filter(|(_, asked, _)| *asked);
    asked
        .map(|(field, _, what)| FieldError {
            field: field.to_owned(),
            line: None,
            message: format!("{what}: this version does not have it yet; leave it out"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(more: &str) -> Vec<String> {
        let text = format!(r#"{{"name":"web","driver":"sim"{more}}}"#);
        let workload: Workload = serde_json::from_str(&text).expect("reads");
        not_yet(&workload).into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn what_nothing_obeys_yet_is_refused_by_name() {
        assert_eq!(fields(""), Vec::<String>::new());
        assert_eq!(fields(r#","sleep":{"idle_after":"5m"}"#), ["sleep"]);
        assert_eq!(fields(r#","recycle":{"max_age":"1h"},"scale":{"max":3}"#), ["scale"]);
        let text = r#","placement":{"strategy":"auction"}"#;
        assert_eq!(fields(text), Vec::<String>::new());
    }
}
