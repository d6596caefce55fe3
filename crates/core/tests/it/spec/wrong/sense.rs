//! Specifications that are well formed and make no sense.

use expect_test::expect;

use crate::spec::{lines, toml};

#[test]
fn an_empty_command() {
    toml(
        "name = 'web'
driver = 'process'
[process]
command = []",
        expect!["line 4: `process.command`: it is empty: a program is wanted, and its arguments"],
    );
}

#[test]
fn an_empty_program() {
    toml(
        "name = 'web'
driver = 'process'
[process]
command = ['']
env = { 'A=B' = 'x' }
user = ''
artifact = 'a@'",
        expect![[r#"
            line 4: `process.command[0]`: it is empty
            line 5: `process.env."A=B"`: a variable's name is not empty and holds no `=` and no NUL
            line 6: `process.user`: it is empty
            line 7: `process.artifact`: `a@` is not an artifact: `name` or `name@version`"#]],
    );
}

#[test]
fn a_port_twice() {
    lines(
        "[[ports]]
name = 'http'
[[ports]]
name = 'http'",
        expect!["line 6: `ports[1].name`: port `http` is there twice"],
    );
}

#[test]
fn a_port_that_is_none() {
    lines(
        "[[ports]]
name = 'http'
static = 0
[[ports]]
name = 'b'
static = 65536",
        expect![[r#"
            line 5: `ports[0].static`: 0 is not a port: 1 to 65535
            line 8: `ports[1].static`: expected a whole number from 0 to 65535, found `65536`"#]],
    );
}

#[test]
fn commands_inside_of_a_container_that_is_not_there() {
    let text = "name = 'web'\ndriver = 'docker'\n[docker]\nimage = 'nginx'\n[hooks]\n\
                before_start = { exec = ['true'] }\nafter_start = { exec = ['true'] }\n\
                after_stop = [{ publish = 'gone' }, { exec = ['true'] }]\n";
    expect![[r#"
        line 6: `hooks.before_start`: nothing of driver `docker` runs then in which a command could
        line 8: `hooks.after_stop`: nothing of driver `docker` runs then in which a command could"#]]
    .assert_eq(&ostler_core::workload::from_toml(text).expect_err("it is wrong").to_string());
}

#[test]
fn no_ports_at_all() {
    lines(
        "[[ports]]
name = 'http'
count = 0
align = 0",
        expect![[r#"
            line 5: `ports[0].count`: 0 ports are none: at least 1
            line 6: `ports[0].align`: nothing is a multiple of 0: at least 1"#]],
    );
}

#[test]
fn ports_past_the_last() {
    lines(
        "[[ports]]
name = 'http'
static = 65530
count = 10",
        expect!["line 6: `ports[0].count`: 10 ports from 65530 go past 65535"],
    );
}

#[test]
fn ports_that_overlap() {
    lines(
        "[[ports]]
name = 'a'
static = 8000
count = 10
[[ports]]
name = 'b'
static = 8009
[[ports]]
name = 'c'
static = 8009
protocol = 'udp'",
        expect!["line 9: `ports[1].static`: port `a` has the same numbers"],
    );
}

#[test]
fn a_port_out_of_line() {
    lines(
        "[[ports]]
name = 'a'
static = 8001
align = 8",
        expect!["line 6: `ports[0].align`: 8001 is not a multiple of 8"],
    );
}

#[test]
fn a_check_of_a_port_that_is_not_there() {
    lines(
        "[[checks]]
type = 'tcp'
port = 'http'",
        expect!["line 5: `checks[0].port`: there is no port `http`"],
    );
}

#[test]
fn a_check_of_no_port() {
    lines(
        "[[checks]]
type = 'http'",
        expect!["line 3: `checks[0].port`: this check asks a port: name one"],
    );
}

#[test]
fn a_check_without_a_command() {
    lines(
        "[[checks]]
type = 'exec'",
        expect!["line 3: `checks[0].command`: it is empty: a program is wanted, and its arguments"],
    );
}

#[test]
fn a_check_that_never_ends() {
    lines(
        "[[checks]]
type = 'heartbeat'
interval = '0s'
timeout = '0s'
failures = 0",
        expect![[r#"
            line 5: `checks[0].interval`: 0s is too short: more than nothing
            line 6: `checks[0].timeout`: 0s is too short: more than nothing
            line 7: `checks[0].failures`: at least 1"#]],
    );
}

#[test]
fn a_check_of_a_bad_path() {
    lines(
        "ports = [{ name = 'a' }]
checks = [{ type = 'http', port = 'a', path = 'health check' }]",
        expect![[r#"
            line 4: `checks[0].path`: a path begins with `/`
            line 4: `checks[0].path`: it holds a blank or a control character"#]],
    );
}

#[test]
fn a_bad_requirement() {
    lines(
        "placement.require = ['node.arch == amd64', 'node.arch is amd64']",
        expect![
            "line 3: `placement.require[1]`: `node.arch is amd64`, column 11: `is` is not an operator: == != < <= > >= ~> ~ in contains contains_any is_set is_not_set semver"
        ],
    );
}

#[test]
fn a_bad_pin() {
    lines(
        "placement.node = 'Node 1'",
        expect![
            "line 3: `placement.node`: `Node 1` is not a node name: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`"
        ],
    );
}

#[test]
fn a_wish_for_what_no_node_has() {
    lines(
        "placement.prefer = [{ attribute = 'colour', value = 'red', weight = 101 }]",
        expect![[r#"
            line 3: `placement.prefer[0].attribute`: `colour` is not an attribute of nodes: node.name, arch, os, kernel, zone, hardware, pool, driver.<d>, labels.<l>, cpu or memory
            line 3: `placement.prefer[0].weight`: 101 is not −100 to 100"#]],
    );
}

#[test]
fn a_spread_over_100_percent() {
    lines(
        "placement.spread = { attribute = 'node.zone', weight = 0, targets = { a = 60, b = 50 } }",
        expect![[r#"
            line 3: `placement.spread[0].targets`: 110 % are more than 100 %
            line 3: `placement.spread[0].weight`: 0 is not 1 to 100"#]],
    );
}

#[test]
fn weights_of_nothing() {
    lines(
        "placement.weights = { cpu = 0, mem = 0, disk = -1 }",
        expect![[r#"
            line 3: `placement.weights`: all of them are 0
            line 3: `placement.weights.disk`: expected a whole number from 0 to 4294967295, found `-1`
            line 3: `placement.weights.mem`: unknown key `mem`; the nearest known key is `cpu`, of `cpu`, `memory`, `disk`, `network`, `base`, `prefer`, `affinity`, `own_workload`, `image` and `power`"#]],
    );
}

#[test]
fn no_place_per_rack() {
    lines(
        "placement.max_per = { 'node.labels.rack' = 0, 'rack' = 1 }",
        expect![[r#"
        line 3: `placement.max_per."node.labels.rack"`: 0 would leave no place: at least 1
        line 3: `placement.max_per.rack`: `rack` is not an attribute of nodes: node.name, arch, os, kernel, zone, hardware, pool, driver.<d>, labels.<l>, cpu or memory"#]],
    );
}

#[test]
fn sticky_to_nothing() {
    lines(
        "placement.strategy = 'sticky'",
        expect!["line 3: `placement.sticky_key`: strategy `sticky` needs it"],
    );
}

#[test]
fn a_bad_signal() {
    lines(
        "stop.signal = 'TERM'",
        expect![
            "line 3: `stop.signal`: `TERM` is not a signal: SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGKILL, SIGUSR1, SIGUSR2, SIGABRT, SIGALRM, SIGCONT, SIGWINCH, SIGPWR, SIGRTMIN+n"
        ],
    );
}

#[test]
fn a_workload_after_itself() {
    lines(
        "after = ['db', 'web', 'db']",
        expect![[r#"
        line 3: `after[1]`: a workload cannot wait for itself
        line 3: `after[2]`: `db` is there twice"#]],
    );
}

#[test]
fn a_schedule_without_its_kind() {
    lines(
        "cron = { schedule = '* * * * *' }",
        expect!["line 3: `cron`: this is for kind `cron` only"],
    );
}

#[test]
fn a_kind_without_its_schedule() {
    lines("kind = 'cron'", expect!["line 1: `cron.schedule`: kind `cron` needs it"]);
}

#[test]
fn too_few_restarts() {
    lines(
        "restart = { attempts = -2, window = '0s', never_on_exit = [256] }",
        expect![[r#"
        line 3: `restart.attempts`: -2 is too few: −1 is no limit, 0 is none
        line 3: `restart.never_on_exit[0]`: 256 is not an exit code: 0 to 255
        line 3: `restart.window`: 0s is too short: more than nothing"#]],
    );
}

#[test]
fn a_backoff_that_shrinks() {
    lines(
        "reschedule.backoff = { initial = '10s', max = '5s' }",
        expect!["line 3: `reschedule.backoff.max`: 5s is less than `initial`, which is 10s"],
    );
}

#[test]
fn logs_of_nothing() {
    lines(
        "logs = { max_size = 0, max_files = 0, max_age = '0s' }",
        expect![[r#"
        line 3: `logs.max_age`: 0s is too short: more than nothing
        line 3: `logs.max_files`: at least 1
        line 3: `logs.max_size`: 0B is too small: at least 1KiB"#]],
    );
}

#[test]
fn a_scale_that_shrinks() {
    lines(
        "scale = { min = 5, max = 3 }",
        expect!["line 3: `scale.max`: 3 is less than `min`, which is 5"],
    );
}
