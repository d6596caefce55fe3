//! Texts that are no TOML and no JSON, or not one workload.

use expect_test::expect;

use crate::spec::{json, lines, toml};

#[test]
fn a_line_that_is_no_toml() {
    lines("count 3", expect!["line 3: not TOML: key with no value, expected `=` (column 7)"]);
}

#[test]
fn two_lines_that_are_no_toml() {
    lines(
        "count 3
priority = 
kind = 'job",
        expect!["line 3: not TOML: key with no value, expected `=` (column 7)"],
    );
}

#[test]
fn json_that_ends_early() {
    json(
        r#"{"name":"web",
"driver":"#,
        expect!["line 2: not JSON: it ends too early (column 10)"],
    );
}

#[test]
fn json_with_a_comma_too_many() {
    json(
        r#"{"name":"web",
}"#,
        expect!["line 2: not JSON: a key in double quotes is missing (column 1)"],
    );
}

#[test]
fn json_with_a_comment() {
    json(
        r#"{"name":"web" // it
}"#,
        expect!["line 1: not JSON: `,` or `}` is missing after a value (column 15)"],
    );
}

#[test]
fn json_with_something_after() {
    json(
        r#"{"name":"web"} {}"#,
        expect!["line 1: not JSON: something follows the value (column 16)"],
    );
}

#[test]
fn json_with_a_bad_number() {
    json(
        r#"{"name":"web","count":01}"#,
        expect!["line 1: not JSON: this is no number (column 23)"],
    );
}

#[test]
fn json_with_a_bad_word() {
    json(
        r#"{"name":"web","count":nil}"#,
        expect!["line 1: not JSON: a value is missing (column 23)"],
    );
}

#[test]
fn json_with_a_bad_string() {
    json(
        r##"{"name":"we\qb"}"##,
        expect!["line 1: not JSON: a control character or a bad escape in a string (column 9)"],
    );
}

#[test]
fn two_workloads_in_one_file() {
    toml(
        "[[workload]]
name = 'a'
[[workload]]
name = 'b'",
        expect![[r#"
            line 1: `driver`: it is required
            line 1: `name`: it is required
            line 1: `workload`: unknown key `workload`; the nearest known key is `kind`, of `name`, `namespace`, `kind`, `count`, `pool`, `priority`, `driver`, `process`, `nspawn`, `docker`, `vm`, `s6`, `uwsgi`, `sim`, `labels`, `resources`, `ports`, `checks`, `placement`, `restart`, `reschedule`, `update`, `stop`, `hooks`, `after`, `scale`, `sleep`, `cron`, `recycle` and `logs`"#]],
    );
}

#[test]
fn everything_at_once() {
    toml(
        "name = 'Web'
cuont = 3
driver = 'dokcer'
[resources]
memory = '64MB'
[[ports]]
name = 'http'
static = 0
[[checks]]
type = 'htpp'
port = 'htp'
[placement]
strategy = 'wieghted'
require = ['node.arch']
[stop]
grace = 5
signal = 'KILL'",
        expect![[r#"
            line 1: `name`: `Web` is not a workload name: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`
            line 2: `cuont`: unknown key `cuont`; the nearest known key is `count`
            line 3: `driver`: `dokcer` is none of `process`, `nspawn`, `docker`, `vm`, `s6`, `uwsgi` and `sim`; did you mean `docker`?
            line 5: `resources.memory`: `64MB` is not a size: a whole number and one of KiB, MiB, GiB, TiB, or bytes, as in `64MiB`
            line 8: `ports[0].static`: 0 is not a port: 1 to 65535
            line 10: `checks[0].type`: `htpp` is none of `http`, `tcp`, `exec` and `heartbeat`; did you mean `http`?
            line 13: `placement.strategy`: `wieghted` is none of `weighted`, `binpack`, `least_loaded`, `least_instances`, `round_robin`, `sticky`, `first_fit`, `random` and `auction`; did you mean `weighted`?
            line 14: `placement.require[0]`: `node.arch`, column 10: an operator is missing after `node.arch`: == != < <= > >= ~> ~ in contains contains_any is_set is_not_set semver
            line 16: `stop.grace`: expected a string, found `5`
            line 17: `stop.signal`: `KILL` is not a signal: SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1, SIGUSR2, SIGABRT, SIGALRM, SIGCONT, SIGWINCH, SIGPWR, SIGRTMIN+n"#]],
    );
}
