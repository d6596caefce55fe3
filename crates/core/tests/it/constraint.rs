//! `require` expressions: the truth table of each operator, and what is refused.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use ostler_core::constraint::{Requirement, attribute};
use ostler_core::id::{Epoch, PoolName};
use ostler_core::node::{Admin, Facts, Liveness, Node};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Timestamp;

fn table(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn node() -> Node {
    let capacity = Resources { cpu: 4000, memory: Bytes(8 << 30), ..Resources::default() };
    Node {
        name: "worker-1".parse().expect("a name"),
        pool: PoolName::default(),
        admin: Admin::Active,
        liveness: Liveness::Online,
        liveness_since: Timestamp::default(),
        epoch: Epoch(1),
        facts: Facts {
            arch: "amd64".into(),
            os: "linux".into(),
            kernel: "6.8.0-45-generic".into(),
            boot_id: String::new(),
            hardware: String::new(),
            zone: String::new(),
            capacity,
            reserved: Resources::default(),
            max_instances: 50,
            drivers: table(&[
                ("docker", "24.0.7"),
                ("process", "1"),
                ("vm", "9.0.0-rc1"),
                ("nspawn", "255.4-1ubuntu8"),
                ("odd", "none"),
            ]),
            labels: table(&[
                ("gpu", "a100"),
                ("features", "avx, avx2,sse4"),
                ("disks", "10"),
                ("cache", "2GiB"),
                ("app", "1.7.0-beta.2+build9"),
                ("motto", "slow and steady"),
                ("empty", ""),
                ("example.com/rack", "r1"),
            ]),
            addresses: Vec::new(),
            ports: (20000, 20100),
            version: String::new(),
            battery: false,
        },
        drain_deadline: None,
        key: String::new(),
        left_empty: false,
        kept: ostler_core::node::Kept::default(),
        op_id: String::new(),
    }
}

/// Each line is an expression, then ` => ` and whether it holds.
#[track_caller]
fn check(lines: &str) {
    let node = node();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, want) = line.rsplit_once(" => ").expect("an arrow");
        let requirement: Requirement = text.trim().parse().unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(requirement.holds(&node).to_string(), want, "{line}");
    }
}

#[test]
fn text_is_equal_or_not() {
    check(
        "
        node.arch == amd64 => true
        node.arch==amd64 => true
        node.arch == 'amd64' => true
        node.arch == arm64 => false
        node.arch != arm64 => true
        node.arch != amd64 => false
        node.name == worker-1 => true
        node.pool == default => true
        node.labels.motto == \"slow and steady\" => true
        node.labels.motto == slow and steady => true
        node.labels.example.com/rack == r1 => true
        node.labels.features == avx, avx2,sse4 => true
        node.labels.gpu >= a099 => true
        node.labels.gpu < a099 => false",
    );
}

#[test]
fn numbers_and_sizes_compare_by_value() {
    check(
        "
        node.labels.disks == 10.0 => true
        node.labels.disks > 9 => true
        node.labels.disks < 9 => false
        node.labels.disks >= 10 => true
        node.labels.disks <= 10 => true
        node.labels.disks > 9, < 11 => true
        node.labels.disks > 9, < 10 => false
        node.cpu >= 4000 => true
        node.cpu > 4000 => false
        node.memory == 8GiB => true
        node.memory >= 8192MiB => true
        node.memory > 8589934591 => true
        node.memory > 9GiB => false
        node.labels.cache >= 2048MiB => true
        node.labels.gpu > 5 => true",
    );
}

#[test]
fn drivers_and_kernels_compare_as_versions() {
    check(
        "
        node.driver.docker >= 24 => true
        node.driver.docker >= 24, < 26 => true
        node.driver.docker >= 24.1 => false
        node.driver.docker >= 24, < 24.0.7 => false
        node.driver.docker < 100 => true
        node.driver.docker == 24.0.7 => true
        node.driver.docker == v24.0.7.0 => true
        node.driver.docker == 24 => false
        node.driver.docker != 24 => true
        node.driver.process == 1.0 => true
        node.driver.nspawn >= 255.4 => true
        node.driver.odd >= 1 => false
        node.driver.odd == none => true
        node.driver.odd != 1 => true
        node.kernel >= 6.8 => true
        node.kernel >= 6.9 => false
        node.kernel < 6.10 => true
        node.driver.docker in 23.0.1, 24.0.7 => true
        node.driver.docker in 23.0.1, 24 => false",
    );
}

#[test]
fn a_pessimistic_range_keeps_all_but_the_last_number() {
    check(
        "
        node.driver.docker ~> 24 => true
        node.driver.docker ~> 23 => false
        node.driver.docker ~> 24.0 => true
        node.driver.docker ~> 24.1 => false
        node.driver.docker ~> 24.0.6 => true
        node.driver.docker ~> 24.0.8 => false
        node.driver.docker ~> 24.0, != 24.0.7 => false
        node.driver.vm ~> 8.2 => false
        node.labels.app ~> 1.6 => true
        node.labels.motto ~> 1.6 => false",
    );
}

#[test]
fn a_pre_release_is_not_at_least_its_release() {
    check(
        "
        node.driver.vm >= 9.0.0 => false
        node.driver.vm < 9 => true
        node.driver.vm == 9.0.0 => false
        node.driver.vm > 8.9 => true
        node.driver.vm >= 9.0.0-rc1 => true
        node.driver.vm < 9.0.0-rc10 => true
        node.driver.vm > 9.0.0-beta9 => true",
    );
}

#[test]
fn semantic_versions_go_by_precedence() {
    check(
        "
        node.labels.app semver >= 1.6.0 => true
        node.labels.app semver >= 1.7.0 => false
        node.labels.app semver < 1.7 => true
        node.labels.app semver > 1.7.0-beta.1, < 1.7.0-beta.11 => true
        node.labels.app semver == 1.7.0-beta.2 => true
        node.labels.app semver ~> 1.6.9 => false
        node.labels.app semver ~> 1.6 => true
        node.labels.app semver ~> 2.0 => false
        node.labels.disks semver >= 1.0.0 => false
        node.labels.disks semver != 1.0.0 => true
        node.driver.docker semver >= 24.0.7 => true",
    );
}

#[test]
fn a_regular_expression_matches_anywhere() {
    check(
        r"
        node.name ~ ork => true
        node.name ~ ^worker-\d+$ => true
        node.name ~ ^ork => false
        node.name ~ '^worker' => true
        node.labels.motto ~ and\s+s => true",
    );
}

#[test]
fn lists_are_split_at_commas() {
    check(
        "
        node.arch in arm64, amd64 => true
        node.arch in [arm64, 'amd64'] => true
        node.arch in (arm64) => false
        node.labels.disks in 5, 10.0 => true
        node.labels.features contains avx => true
        node.labels.features contains avx,sse4 => true
        node.labels.features contains avx,sse3 => false
        node.labels.features contains av => false
        node.labels.features contains_any sse3, avx2 => true
        node.labels.features contains_any sse3 => false",
    );
}

#[test]
fn a_missing_attribute_only_differs_and_is_not_set() {
    check(
        "
        node.labels.no == x => false
        node.labels.no != x => true
        node.labels.no < 5 => false
        node.labels.no <= 5 => false
        node.labels.no > 5 => false
        node.labels.no >= 5 => false
        node.labels.no ~> 5 => false
        node.labels.no ~ . => false
        node.labels.no in x, y => false
        node.labels.no contains x => false
        node.labels.no contains_any x => false
        node.labels.no semver >= 1.0.0 => false
        node.labels.no semver != 1.0.0 => true
        node.labels.no is_set => false
        node.labels.no is_not_set => true
        node.zone is_set => false
        node.driver.s6 is_set => false
        node.driver.s6 >= 1 => false
        node.driver.s6 != 1 => true
        node.labels.gpu is_set => true
        node.labels.gpu is_not_set => false
        node.labels.empty is_set => true
        node.hardware == worker-1 => true",
    );
}

#[test]
fn an_attribute_that_no_node_can_have_makes_it_false_whatever_is_asked() {
    check(
        "
        node.colour == red => false
        node.colour != red => false
        node.colour is_not_set => false
        arch == amd64 => false
        node.labels. is_not_set => false",
    );
    let requirement: Requirement = "node.colour != red".parse().expect("reads");
    assert_eq!(requirement.unknown_attribute(), Some("node.colour"));
    assert_eq!(attribute(&node(), "node.colour"), None);
}

#[track_caller]
fn refused(texts: &[&str], want: Expect) {
    let said = |text: &&str| match text.parse::<Requirement>() {
        Ok(_) => format!("{text}: accepted\n"),
        Err(error) => format!("{error}\n"),
    };
    want.assert_eq(&texts.iter().map(said).collect::<String>());
}

#[test]
fn the_error_names_the_place() {
    refused(
        &[
            "",
            "== amd64",
            "node.arch",
            "node.arch = amd64",
            "node.arch is amd64",
            "node.arch ==",
            "node.arch == 'amd64",
            "node.arch in",
            "node.arch in a,,b",
            "node.arch is_set true",
            "node.driver.docker >= new",
            "node.driver.docker >= 24, < new",
            "node.labels.app ~> beta",
            "node.labels.app semver >= 1.2.3.4",
            "node.labels.é ~ (",
            "node.name ~ (((a{1,90}){1,90}){1,90}){1,90}",
        ],
        expect![[r#"
            ``, column 1: an attribute such as `node.arch` is missing
            `== amd64`, column 1: an attribute such as `node.arch` is missing
            `node.arch`, column 10: an operator is missing after `node.arch`: == != < <= > >= ~> ~ in contains contains_any is_set is_not_set semver
            `node.arch = amd64`, column 11: `=` is not an operator: == != < <= > >= ~> ~ in contains contains_any is_set is_not_set semver
            `node.arch is amd64`, column 11: `is` is not an operator: == != < <= > >= ~> ~ in contains contains_any is_set is_not_set semver
            `node.arch ==`, column 13: a value is missing after `==`
            `node.arch == 'amd64`, column 14: a quote is not closed
            `node.arch in`, column 13: a value is missing after `in`
            `node.arch in a,,b`, column 16: an item of the list is empty
            `node.arch is_set true`, column 18: `is_set` takes no value
            `node.driver.docker >= new`, column 23: `new` is not a version
            `node.driver.docker >= 24, < new`, column 29: `new` is not a version
            `node.labels.app ~> beta`, column 20: `beta` is not a version
            `node.labels.app semver >= 1.2.3.4`, column 27: `1.2.3.4` is not a version
            `node.labels.é ~ (`, column 17: the regular expression cannot be used: unclosed group
            `node.name ~ (((a{1,90}){1,90}){1,90}){1,90}`, column 13: the regular expression cannot be used: Compiled regex exceeds size limit of 1048576 bytes.
        "#]],
    );
    assert!(format!("node.arch == {}", "x".repeat(2000)).parse::<Requirement>().is_err());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        if let Ok(requirement) = text.parse::<Requirement>() {
            proptest::prop_assert_eq!(requirement.as_str(), text.trim());
            let held = requirement.holds(&node());
            proptest::prop_assert_eq!(held, requirement.holds(&node()));
        }
    }

    #[test]
    fn any_words_are_read_or_refused(
        text in "node\\.(arch|driver\\.vm|labels\\.[a-z]|cpu) ?(==|!=|~>|~|<=|in|contains|semver|is_set) ?[0-9a-z.,\\-\"\\[(<= +]{0,20}",
    ) {
        if let Ok(requirement) = text.parse::<Requirement>() {
            let held = requirement.holds(&node());
            proptest::prop_assert_eq!(held, requirement.holds(&node()));
        }
    }
}
