//! What must be there and is not.

use expect_test::expect;

use crate::spec::{json, lines, toml};

#[test]
fn nothing_at_all() {
    toml(
        "",
        expect![[r#"
        line 1: `driver`: it is required
        line 1: `name`: it is required"#]],
    );
}

#[test]
fn an_empty_object() {
    json(
        "{}",
        expect![[r#"
        line 1: `driver`: it is required
        line 1: `name`: it is required"#]],
    );
}

#[test]
fn no_driver() {
    toml("name = 'web'", expect!["line 1: `driver`: it is required"]);
}

#[test]
fn no_section_of_the_driver() {
    toml(
        "name = 'web'
driver = 'process'",
        expect!["line 1: `process`: driver `process` needs a section `process`"],
    );
}

#[test]
fn a_section_of_another_driver() {
    lines(
        "[docker]
image = 'nginx'",
        expect!["line 3: `docker`: this section is of another driver than `sim`"],
    );
}

#[test]
fn no_name_of_a_port() {
    lines(
        "[[ports]]
static = 80",
        expect!["line 3: `ports[0].name`: it is required"],
    );
}

#[test]
fn no_type_of_a_check() {
    lines(
        "[[checks]]
path = '/'",
        expect!["line 3: `checks[0].type`: it is required"],
    );
}

#[test]
fn no_group() {
    lines(
        "placement.anti_affinity = {}",
        expect!["line 3: `placement.anti_affinity.group`: it is required"],
    );
}
