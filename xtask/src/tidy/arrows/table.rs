//! Who may know whom: the picture of ARCHITECTURE.md as a table.

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Linked into what is shipped, or run to build it.
    Product,
    /// Only for the crate's tests.
    Test,
}

/// What one crate may know of ours.
enum Reach {
    /// These alone.
    Only(&'static [&'static str]),
    /// All of ours: it runs them together.
    Everything,
}

const SERVICE: Reach =
    Reach::Only(&["ostler-core", "ostler-schemas", "ostler-bus", "ostler-service"]);

/// Every crate of the workspace, and what feeds them with noise.
const REACH: [(&str, Reach); 14] = [
    ("ostler-core", Reach::Only(&[])),
    ("ostler-service", Reach::Only(&[])),
    ("xtask", Reach::Only(&[])),
    ("ostler-schemas", Reach::Only(&["ostler-core"])),
    ("ostler-bus", Reach::Only(&["ostler-core", "ostler-schemas", "ostler-service"])),
    ("ostler-gateway", SERVICE),
    ("ostler-registry", SERVICE),
    ("ostler-scheduler", SERVICE),
    ("ostler-metrics", SERVICE),
    ("ostler-executor", SERVICE),
    ("ostler", Reach::Everything),
    ("ostler-testkit", Reach::Everything),
    ("ostler-loadtest", Reach::Everything),
    ("ostler-fuzz", Reach::Everything),
];

/// What the tests of any crate may run: nobody mocks our own code.
const TESTS_MAY_RUN: [&str; 2] = ["ostler-testkit", "ostler-registry"];

/// Outside things, and the crates that are their doors.
const DOORS: [(&str, &[&str]); 2] =
    [("async-nats", &["ostler-bus"]), ("sqlx", &["ostler-registry", "ostler-executor"])];

/// Why `from` may not depend on `to`, if it may not.
pub fn refusal(from: &str, to: &str, kind: Kind) -> Option<String> {
    if let Some((_, keepers)) = DOORS.iter().find(|(outside, _)| *outside == to) {
        let door = keepers.join(", ");
        return (!keepers.contains(&from))
            .then(|| format!("`{from}` may not use `{to}`: its door is {door}"));
    }
    if to != "ostler" && !to.starts_with("ostler-") {
        return None;
    }
    let Some((_, reach)) = REACH.iter().find(|(name, _)| *name == from) else {
        return Some(format!(
            "`{from}` is not in the table of xtask/src/tidy/arrows/table.rs: decide there what it may know"
        ));
    };
    match reach {
        Reach::Everything => None,
        Reach::Only(known) if known.contains(&to) => None,
        Reach::Only(_) if kind == Kind::Test && TESTS_MAY_RUN.contains(&to) => None,
        Reach::Only(known) => {
            Some(format!("`{from}` may not know `{to}`: it may know {}", list(known)))
        }
    }
}

fn list(known: &[&str]) -> String {
    if known.is_empty() { "no crate of ours".to_owned() } else { known.join(", ") }
}
