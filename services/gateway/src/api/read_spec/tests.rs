//! What is read as a workload, and how it is refused.

use super::*;

fn body(format: TextFormat, text: &str) -> RawBody {
    RawBody { format, text: text.to_owned() }
}

fn key() -> WorkloadKey {
    "shop/web".parse().expect("a key")
}

#[test]
fn name_and_namespace_may_be_left_to_the_path() {
    let json = r#"{"driver":"sim","count":2}"#;
    let toml = "driver = \"sim\"\ncount = 2\n";
    for (format, text) in [(TextFormat::Json, json), (TextFormat::Toml, toml)] {
        let workload = workload(&body(format, text), Some(&key())).expect(text);
        assert_eq!(workload.key(), key());
        assert_eq!(workload.count, 2);
    }
}

#[test]
fn a_body_may_not_contradict_the_path() {
    for (text, field) in [
        (r#"{"driver":"sim","name":"api"}"#, "name"),
        (r#"{"driver":"sim","name":"web","namespace":"default"}"#, "namespace"),
    ] {
        let refusal = workload(&body(TextFormat::Json, text), Some(&key())).expect_err(text);
        assert_eq!(refusal.problem().status, 422);
        assert_eq!(refusal.problem().field.as_deref(), Some(field), "{text}");
    }
}

#[test]
fn mistakes_are_named_with_the_line_of_the_senders_text() {
    for (format, text, status, field, line) in [
        (TextFormat::Json, "{\"driver\":\"sim\",\n\"cuont\": 2}", 422, "cuont", Some(2)),
        (TextFormat::Json, "{\n\n\"driver\": \"submarine\"}", 422, "driver", Some(3)),
        (TextFormat::Json, "{}", 422, "driver", None),
        (TextFormat::Json, "{\"driver\":\"sim\",}", 400, "body", Some(1)),
        (TextFormat::Json, "[1]", 422, "", None),
        (TextFormat::Json, "", 400, "body", None),
        (TextFormat::Toml, "driver = \"sim\"\ncuont = 2", 422, "cuont", Some(2)),
        (TextFormat::Toml, "driver = \"sim\"\ncount = -2", 422, "count", Some(2)),
        (TextFormat::Toml, "driver = \"sim", 422, "", Some(1)),
    ] {
        let refusal = workload(&body(format, text), Some(&key())).expect_err(text);
        let problem = refusal.problem();
        assert_eq!(problem.status, status, "{text}: {problem}");
        assert_eq!(problem.field.as_deref(), Some(field), "{text}: {problem}");
        if line.is_some() {
            assert_eq!(problem.errors[0].line, line, "{text}: {problem}");
        }
    }
}

#[test]
fn a_plan_takes_one_workload_a_list_or_an_object_with_a_list() {
    let one = r#"{"driver":"sim","name":"a"}"#;
    let list = format!("[{one}, {one}]");
    let object = format!("{{\"workloads\": [{one}]}}");
    for (text, count) in [(one, 1), (list.as_str(), 2), (object.as_str(), 1)] {
        assert_eq!(plan(&body(TextFormat::Json, text)).expect(text).0.len(), count, "{text}");
    }
}

#[test]
fn a_plan_may_suppose_losses_drains_and_additions_and_nothing_else() {
    let text = r#"{"lose":["zone=east"],"drain":["n7"],"add":["4=n1"],"pool":"gpu"}"#;
    let (_, read) = plan(&body(TextFormat::Json, text)).expect(text);
    assert_eq!((read.lose, read.drain), (vec!["zone=east".to_owned()], vec!["n7".to_owned()]));
    assert_eq!((read.add, read.pool.as_str()), (vec!["4=n1".to_owned()], "gpu"));
    for (text, field) in [
        (r#"{"lose":"zone=east"}"#, "lose"),
        (r#"{"lose":["n1"],"looose":[]}"#, "looose"),
        (r#"{"lose":[]}"#, "workloads"),
        (r#"{"add":["4=n1"],"pool":4}"#, "pool"),
    ] {
        let refusal = plan(&body(TextFormat::Json, text)).expect_err(text);
        assert_eq!(refusal.problem().field.as_deref(), Some(field), "{text}");
    }
}

#[test]
fn a_mistake_in_a_list_says_which_of_them() {
    let text = r#"[{"driver":"sim","name":"a"}, {"driver":"sim","name":"A"}]"#;
    let refusal = plan(&body(TextFormat::Json, text)).expect_err("refused");
    assert_eq!(refusal.problem().field.as_deref(), Some("[1].name"));
    for text in ["[]", r#"{"workloads": 3}"#, r#"{"workloads": []}"#] {
        let refusal = plan(&body(TextFormat::Json, text)).expect_err(text);
        assert_eq!(refusal.problem().field.as_deref(), Some("workloads"), "{text}");
    }
}
