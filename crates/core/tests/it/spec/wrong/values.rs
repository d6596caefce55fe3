//! Values of the wrong type, form or size.

use expect_test::expect;

use crate::spec::{json, lines, toml};

#[test]
fn a_text_for_a_number() {
    lines(
        "count = 'three'",
        expect![
            "line 3: `count`: expected a whole number from 0 to 4294967295, found the text `three`"
        ],
    );
}

#[test]
fn a_number_for_a_text() {
    toml(
        "name = 5
driver = 'sim'",
        expect!["line 1: `name`: expected a string, found `5`"],
    );
}

#[test]
fn a_negative_count() {
    lines(
        "count = -1",
        expect!["line 3: `count`: expected a whole number from 0 to 4294967295, found `-1`"],
    );
}

#[test]
fn a_broken_count() {
    lines(
        "count = 1.5",
        expect!["line 3: `count`: expected a whole number from 0 to 4294967295, found `1.5`"],
    );
}

#[test]
fn a_count_that_is_too_large() {
    lines("count = 1000001", expect!["line 3: `count`: 1000001 is too many: at most 1000000"]);
}

#[test]
fn a_count_that_no_type_takes() {
    lines(
        "count = 99999999999999999999",
        expect![
            "line 3: `count`: expected a whole number from 0 to 4294967295, found a number that is too large"
        ],
    );
}

#[test]
fn an_infinite_count() {
    lines(
        "count = inf",
        expect![
            "line 3: `count`: expected a whole number from 0 to 4294967295, found a number that is not finite"
        ],
    );
}

#[test]
fn a_date_for_a_number() {
    lines(
        "count = 2020-01-01",
        expect![
            "line 3: `count`: expected a whole number from 0 to 4294967295, found a date or time without quotes"
        ],
    );
}

#[test]
fn a_priority_past_100() {
    lines("priority = 101", expect!["line 3: `priority`: 101 is too many: at most 100"]);
}

#[test]
fn a_priority_past_255() {
    lines(
        "priority = 300",
        expect!["line 3: `priority`: expected a whole number from 0 to 255, found `300`"],
    );
}

#[test]
fn a_table_for_a_number() {
    lines(
        "count = {}",
        expect!["line 3: `count`: expected a whole number from 0 to 4294967295, found a table"],
    );
}

#[test]
fn a_number_for_a_table() {
    lines("resources = 3", expect!["line 3: `resources`: expected a table, found `3`"]);
}

#[test]
fn a_text_for_a_list() {
    lines("ports = 'http'", expect!["line 3: `ports`: expected a list, found the text `http`"]);
}

#[test]
fn texts_for_tables() {
    lines(
        "ports = ['http']",
        expect!["line 3: `ports[0]`: expected a table, found the text `http`"],
    );
}

#[test]
fn a_number_for_one_or_many_tables() {
    lines(
        "placement.spread = 3",
        expect!["line 3: `placement.spread`: expected a table or a list of tables, found `3`"],
    );
}

#[test]
fn null() {
    json(
        r#"{"name":"web","driver":"sim","count":null}"#,
        expect!["line 1: `count`: expected a whole number from 0 to 4294967295, found null"],
    );
}

#[test]
fn a_text_for_yes_or_no() {
    lines(
        "update.auto_revert = 'yes'",
        expect!["line 3: `update.auto_revert`: expected `true` or `false`, found the text `yes`"],
    );
}

#[test]
fn a_list_for_a_document() {
    json("[]", expect!["line 1: expected a table, found a list"]);
}

#[test]
fn a_text_for_a_document() {
    json(r#""web""#, expect!["line 1: expected a table, found the text `web`"]);
}

#[test]
fn an_unknown_kind() {
    lines(
        "kind = 'servce'",
        expect![
            "line 3: `kind`: `servce` is none of `service`, `job`, `system` and `cron`; did you mean `service`?"
        ],
    );
}

#[test]
fn an_unknown_driver() {
    toml(
        "name = 'web'
driver = 'dokcer'",
        expect![
            "line 2: `driver`: `dokcer` is none of `process`, `nspawn`, `docker`, `vm`, `s6`, `uwsgi` and `sim`; did you mean `docker`?"
        ],
    );
}

#[test]
fn an_unknown_driver_like_none() {
    toml(
        "name = 'web'
driver = 'kubernetes'",
        expect![
            "line 2: `driver`: `kubernetes` is none of `process`, `nspawn`, `docker`, `vm`, `s6`, `uwsgi` and `sim`"
        ],
    );
}

#[test]
fn an_unknown_strategy() {
    lines(
        "placement.strategy = 'bin-pack'",
        expect![
            "line 3: `placement.strategy`: `bin-pack` is none of `weighted`, `binpack`, `least_loaded`, `least_instances`, `round_robin`, `sticky`, `first_fit`, `random` and `auction`; did you mean `binpack`?"
        ],
    );
}

#[test]
fn a_list_for_a_word() {
    lines(
        "kind = ['service']",
        expect!["line 3: `kind`: expected one of `service`, `job`, `system` and `cron`"],
    );
}

#[test]
fn a_bad_duration() {
    lines(
        "stop.grace = '30'
update.min_ready = 5",
        expect![[r#"
            line 3: `stop.grace`: `30` is not a duration: a whole number and one of ms, s, m, h, d, as in `1500ms` or `5m`
            line 4: `update.min_ready`: expected a string, found `5`"#]],
    );
}

#[test]
fn a_negative_duration() {
    lines(
        "stop.grace = '-1s'",
        expect![
            "line 3: `stop.grace`: `-1s` is not a duration: a whole number and one of ms, s, m, h, d, as in `1500ms` or `5m`"
        ],
    );
}

#[test]
fn a_duration_that_is_too_long() {
    lines(
        "stop.grace = '25h'
update.deadline = '0s'",
        expect![[r#"
            line 3: `stop.grace`: 25h is too long: at most 1d
            line 4: `update.deadline`: 0s is too short: more than nothing"#]],
    );
}

#[test]
fn a_bad_size() {
    lines(
        "[resources]
memory = '64MB'
disk = -1",
        expect![[r#"
            line 4: `resources.memory`: `64MB` is not a size: a whole number and one of KiB, MiB, GiB, TiB, or bytes, as in `64MiB`
            line 5: `resources.disk`: a size is not negative"#]],
    );
}

#[test]
fn impossible_resources() {
    lines(
        "[resources]
cpu = 99999999
memory = '9999999TiB'
disk = '99999999999999999999'",
        expect![[r#"
            line 4: `resources.cpu`: 99999999 is too many: at most 10000000
            line 5: `resources.memory`: 9999999TiB is too much: at most 1048576TiB
            line 6: `resources.disk`: `99999999999999999999` is not a size: a whole number and one of KiB, MiB, GiB, TiB, or bytes, as in `64MiB`"#]],
    );
}

#[test]
fn limits_below_requests() {
    lines(
        "[resources]
cpu = 100
cpu_limit = 50
memory = '2GiB'
memory_max = '1GiB'",
        expect![[r#"
            line 5: `resources.cpu_limit`: the limit is less than the request
            line 7: `resources.memory_max`: the limit is less than the request"#]],
    );
}

#[test]
fn no_memory() {
    toml(
        "name = 'web'
driver = 'process'
process.command = ['true']
resources.memory = 0",
        expect![
            "line 4: `resources.memory`: nothing can run in 0B, and the request is also the limit"
        ],
    );
}

#[test]
fn a_bad_name() {
    toml(
        "name = 'Web Server'
driver = 'sim'",
        expect![
            "line 1: `name`: `Web Server` is not a workload name: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`"
        ],
    );
}

#[test]
fn an_empty_name() {
    toml(
        "name = ''
driver = 'sim'",
        expect![
            "line 1: `name`: `` is not a workload name: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`"
        ],
    );
}

#[test]
fn a_name_that_is_too_long() {
    toml(
        "name = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
driver = 'sim'",
        expect![
            "line 1: `name`: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is not a workload name: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`"
        ],
    );
}

#[test]
fn a_bad_namespace_and_pool() {
    lines(
        "namespace = 'a.b'
pool = '-x'",
        expect![[r#"
            line 3: `namespace`: `a.b` is not a namespace: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`
            line 4: `pool`: `-x` is not a pool name: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`"#]],
    );
}

#[test]
fn labels_that_are_too_long() {
    let text = format!(
        "[labels]
{} = 'x'
a = '{}'
b = 3",
        "k".repeat(129),
        "v".repeat(4097)
    );
    lines(
        &text,
        expect![[r#"
        line 4: `labels.kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk`: a label's key is 1 to 128 of letters, digits and `.`, `_`, `-`, `/`, `:`
        line 5: `labels.a`: 4097 bytes are too many: at most 4096
        line 6: `labels.b`: expected a string, found `3`"#]],
    );
}
