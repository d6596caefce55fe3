//! Keys that are unknown or there twice.

use expect_test::expect;

use crate::spec::{json, lines, toml};

#[test]
fn an_unknown_key_names_its_line_and_the_nearest() {
    lines(
        "cuont = 3",
        expect!["line 3: `cuont`: unknown key `cuont`; the nearest known key is `count`"],
    );
}

#[test]
fn a_key_like_none_lists_all() {
    lines(
        "[stop]
how = 'soon'",
        expect![
            "line 4: `stop.how`: unknown key `how`; the nearest known key is `grace`, of `signal`, `grace` and `drain`"
        ],
    );
}

#[test]
fn an_unknown_key_in_a_table() {
    lines(
        "[resources]
memroy = '64MiB'
cpus = 2",
        expect![[r#"
            line 4: `resources.memroy`: unknown key `memroy`; the nearest known key is `memory`
            line 5: `resources.cpus`: unknown key `cpus`; the nearest known key is `cpu`"#]],
    );
}

#[test]
fn an_unknown_key_in_a_list_of_tables() {
    lines(
        "[[ports]]
name = 'a'
[[ports]]
name = 'b'
staitc = 80",
        expect![
            "line 7: `ports[1].staitc`: unknown key `staitc`; the nearest known key is `static`"
        ],
    );
}

#[test]
fn an_unknown_key_in_a_single_table() {
    lines(
        "[placement]
anti_affinity = { groop = 'g' }",
        expect![[r#"
            line 4: `placement.anti_affinity.groop`: unknown key `groop`; the nearest known key is `group`
            line 4: `placement.anti_affinity.group`: it is required"#]],
    );
}

#[test]
fn an_unknown_key_in_one_of_many_tables() {
    lines(
        "[placement]
spread = [
  { attribute = 'node.zone' },
  { attribute = 'node.zone', wieght = 3 },
]",
        expect![
            "line 6: `placement.spread[1].wieght`: unknown key `wieght`; the nearest known key is `weight`"
        ],
    );
}

#[test]
fn an_unknown_table() {
    lines(
        "[resource]
cpu = 3",
        expect!["line 3: `resource`: unknown key `resource`; the nearest known key is `resources`"],
    );
}

#[test]
fn an_unknown_hook() {
    lines(
        "[hooks]
before_strat = 'x'",
        expect![
            "line 4: `hooks.before_strat`: unknown key `before_strat`; the nearest known key is `before_start`"
        ],
    );
}

#[test]
fn an_unknown_key_of_a_schedule() {
    toml(
        "name='web'
driver='sim'
kind='cron'
cron = { schedul = '* * * * *' }",
        expect![
            "line 4: `cron.schedul`: unknown key `schedul`; the nearest known key is `schedule`"
        ],
    );
}

#[test]
fn a_key_twice_in_toml() {
    lines(
        "count = 1
count = 2",
        expect!["line 4: not TOML: duplicate key (column 1)"],
    );
}

#[test]
fn a_key_twice_in_json() {
    json(
        r#"{"name":"web",
"driver":"sim",
"count":1,
"count":2}"#,
        expect!["line 4: `count`: this key is there twice"],
    );
}

#[test]
fn an_unknown_key_in_json() {
    json(
        r#"{"name":"web",
"driver":"sim",
"resources":{
"cpuu":3}}"#,
        expect!["line 4: `resources.cpuu`: unknown key `cpuu`; the nearest known key is `cpu`"],
    );
}

#[test]
fn a_key_with_odd_characters() {
    lines(
        "labels = { 'a b' = 'x' }
'x y' = 3",
        expect![[r#"
            line 3: `labels."a b"`: a label's key is 1 to 128 of letters, digits and `.`, `_`, `-`, `/`, `:`
            line 4: `"x y"`: unknown key `x y`; the nearest known key is `vm`, of `name`, `namespace`, `kind`, `count`, `pool`, `priority`, `driver`, `process`, `nspawn`, `docker`, `vm`, `s6`, `uwsgi`, `sim`, `labels`, `resources`, `ports`, `checks`, `placement`, `restart`, `reschedule`, `update`, `stop`, `hooks`, `after`, `scale`, `sleep`, `cron`, `recycle` and `logs`"#]],
    );
}
