//! Specifications: what is read, and what is refused with which words.

use expect_test::{Expect, expect};
use ostler_core::time::Span;
use ostler_core::workload::{DriverKind, Workload, from_json, from_json_value, from_toml};

mod wrong;

/// The example of the model, with every table it shows.
const WEB: &str = include_str!("spec/web.toml");

#[test]
fn the_example_of_the_model_is_read() {
    let web = from_toml(WEB).expect("the example is right");
    assert_eq!((web.count, web.priority, web.driver), (3, 50, DriverKind::Process));
    assert_eq!(web.checks[0].interval, Span::from_secs(2));
    assert_eq!(web.placement.anti_affinity.iter().len(), 1);
    assert_eq!(web.placement.spread.0[0].targets["east"], 60);
}

/// Every key, explained.
const REFERENCE: &str = include_str!("../../../../examples/reference.toml");

/// The keys that a table knows, as said to somebody who wrote one that it does not know.
fn known_keys(table: &str) -> Vec<String> {
    let unknown = format!("name = 'a'\ndriver = 'sim'\n{table}\nzzzzzzzzzzzz = 1\n");
    let said = from_toml(&unknown).expect_err("there is no such key").to_string();
    let (_, list) = said.split_once(", of ").unwrap_or_else(|| panic!("{table}: {said}"));
    list.lines()
        .next()
        .unwrap_or_default()
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_reference_is_right_and_explains_every_key() {
    let reference = from_toml(REFERENCE).expect("the reference is right");
    assert_eq!(reference.check(), []);
    // What stands behind `#` is said to be possible, so it is known as well.
    let said: String =
        REFERENCE.lines().map(|line| format!("{}\n", line.trim_start_matches('#'))).collect();
    let starts = |word: &str| said.lines().any(|line| line.starts_with(word));
    let nothing_obeys_yet = ["vm", "s6", "uwsgi", "sleep", "scale"];
    for key in known_keys("") {
        let there = [format!("{key} "), format!("[{key}]"), format!("[[{key}]]")];
        let there = there.iter().any(|word| starts(word));
        assert!(there || nothing_obeys_yet.contains(&key.as_str()), "`{key}` is not explained");
    }
    for table in [
        "[process]",
        "[docker]",
        "[nspawn]",
        "[sim]",
        "[resources]",
        "[[ports]]",
        "[[checks]]",
        "[placement]",
        "[restart]",
        "[reschedule]",
        "[update]",
        "[stop]",
        "[recycle]",
        "[logs]",
        "[cron]",
    ] {
        let (_, rest) = said.split_once(&format!("\n{table}")).expect(table);
        let within = rest.split("\n[").next().unwrap_or_default();
        for key in known_keys(table) {
            let there = within.lines().any(|line| line.starts_with(&format!("{key} =")));
            assert!(there, "`{key}` of {table} is not explained");
        }
    }
    for (inside, keys) in [
        ("prefer", "[[placement.prefer]]"),
        ("anti_affinity", "[[placement.anti_affinity]]"),
        ("affinity", "[[placement.affinity]]"),
        ("spread", "[[placement.spread]]"),
        ("backoff", "[restart.backoff]"),
        ("volumes", "[[docker.volumes]]"),
        ("binds", "[[nspawn.binds]]"),
    ] {
        let line =
            said.lines().find(|line| line.starts_with(&format!("{inside} ="))).expect(inside);
        for key in known_keys(keys) {
            assert!(line.contains(&key), "`{key}` of {keys} is not explained");
        }
    }
}

#[test]
fn the_shortest_specification_has_the_defaults_of_the_table() {
    let web = from_toml("name = 'web'\ndriver = 'sim'").expect("it is enough");
    expect![[r#"{"name":"web","namespace":"default","kind":"service","count":1,"pool":"default","priority":50,"driver":"sim","resources":{"cpu":100,"disk":"0B","network":0,"gpu":0},"placement":{"strategy":"weighted","zone_redundancy":false},"restart":{"attempts":3,"window":"30m","backoff":{"initial":"1s"},"never_on_exit":[26]},"reschedule":{"backoff":{"initial":"1s"},"on_node_loss":"restart","disconnected_for":"0s"},"update":{"max_parallel":1,"min_ready":"5s","canary":0,"auto_revert":true,"deadline":"5m"},"stop":{"signal":"SIGTERM","grace":"30s"},"sleep":{"on_demand":false},"recycle":{},"logs":{"max_size":"10MiB","max_files":10,"max_age":"7d"}}"#]]
    .assert_eq(&web.to_json());
}

#[test]
fn a_specification_reads_back_as_it_was_written() {
    let web = from_toml(WEB).expect("the example is right");
    assert_eq!(from_json(&web.to_json()), Ok(web.clone()));
    let value = serde_json::to_value(&web).expect("it has text keys");
    assert_eq!(from_json_value(value), Ok(web.clone()));
    assert_eq!(web.check(), []);
}

#[test]
fn a_single_table_stands_for_a_list_of_one() {
    let read = |rule: &str| {
        from_json(&format!(
            r#"{{"name":"web","driver":"sim","placement":{{"anti_affinity":{rule}}}}}"#
        ))
    };
    let (one, many) = (read(r#"{"group":"g"}"#), read(r#"[{"group":"g"}]"#));
    assert!(one.is_ok());
    assert_eq!(one, many);
}

#[test]
fn too_long_is_refused_before_it_is_read() {
    let text = format!("name = 'web'\ndriver = 'sim'\n# {}", "x".repeat(256 * 1024));
    expect!["262174 bytes are too many: at most 262144"]
        .assert_eq(&from_toml(&text).expect_err("too long").to_string());
    let mut web = from_toml("name = 'web'\ndriver = 'sim'").expect("it is right");
    web.scale = [("on".to_owned(), "x".repeat(300_000).into())].into();
    assert_eq!(web.check().len(), 1);
}

#[test]
fn too_deep_is_refused() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let toml = |levels| {
        // A section whose keys the core does not know yet.
        let text = format!("name = 'web'\ndriver = 'vm'\n[vm]\nx = {}", deep(levels));
        from_toml(&text)
    };
    assert!(toml(31).is_ok());
    for levels in [33, 70, 200, 20_000] {
        assert!(toml(levels).is_err(), "{levels}");
        assert!(from_json(&deep(levels)).is_err(), "{levels}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        proptest::prop_assert!(from_toml(&text).is_err());
        proptest::prop_assert!(from_json(&text).is_err());
    }

    #[test]
    fn any_bytes_in_a_right_file_are_read_or_refused(at in 0usize..1000, junk in "[ -~\n]{1,5}") {
        let mut text = WEB.to_owned();
        let at = (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.insert_str(at, &junk);
        reads_back(from_toml(&text));
    }

    #[test]
    fn any_piece_of_json_is_read_or_refused(
        key in "[a-z_]{1,9}",
        json in r#"[0-9{}\[\]":, a-z.\\-]{0,40}"#,
    ) {
        reads_back(from_json(&format!(r#"{{"name":"web","driver":"sim","{key}":{json}}}"#)));
    }

    #[test]
    fn what_is_read_reads_back(
        count in 0u32..1_000_000,
        priority in 0u8..=100,
        memory in proptest::option::of(0u64..1 << 50),
        grace_ms in 0u64..86_400_000,
        labels in proptest::collection::btree_map("[a-z./-]{1,20}", ".{0,20}", 0..5),
        never in proptest::collection::vec(0i32..=255, 0..4),
    ) {
        let mut web = from_toml(WEB).expect("the example is right");
        (web.count, web.priority, web.labels) = (count, priority, labels);
        web.resources.memory = memory.map(|m| ostler_core::resources::Bytes(m + 1));
        web.stop.grace = Span::from_millis(grace_ms);
        web.restart.never_on_exit = never;
        proptest::prop_assert_eq!(from_json(&web.to_json()), Ok(web));
    }
}

fn reads_back(read: Result<Workload, ostler_core::workload::SpecErrors>) {
    match read {
        Ok(workload) => assert_eq!(from_json(&workload.to_json()), Ok(workload)),
        Err(errors) => assert!(!errors.0.is_empty()),
    }
}

/// What is wrong with this TOML.
#[track_caller]
fn toml(text: &str, want: Expect) {
    said(from_toml(text), want);
}

/// What is wrong with this JSON.
#[track_caller]
fn json(text: &str, want: Expect) {
    said(from_json(text), want);
}

/// What is wrong with these lines at the end of a specification that is right without them.
#[track_caller]
fn lines(text: &str, want: Expect) {
    toml(&format!("name = 'web'\ndriver = 'sim'\n{text}"), want);
}

#[track_caller]
fn said(read: Result<Workload, ostler_core::workload::SpecErrors>, want: Expect) {
    want.assert_eq(&read.map_or_else(|errors| errors.to_string(), |_| "accepted".to_owned()));
}
