//! What an instance finds in its environment, and `${NAME}` in its command.

use std::collections::BTreeMap;
use std::path::Path;

use crate::driver::Launch;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All variables of an instance whose directory is `dir`.
#[must_use]
pub fn environment(launch: &Launch, dir: &Path) -> BTreeMap<String, String> {
    let place = &launch.place;
    let dir_text = dir.display().to_string();
    let own = [
        ("PATH", PATH.to_owned()),
        ("HOME", dir_text.clone()),
        ("OSTLER_INSTANCE", launch.id.to_string()),
        ("OSTLER_NAMESPACE", launch.key.namespace.to_string()),
        ("OSTLER_WORKLOAD", launch.key.name.to_string()),
        ("OSTLER_VERSION", launch.version.to_string()),
        ("OSTLER_SLOT", launch.slot.to_string()),
        ("OSTLER_NODE", place.node.to_string()),
        ("OSTLER_ZONE", place.zone.clone()),
        ("OSTLER_SOCKET", dir.join(".ostler.sock").display().to_string()),
        ("OSTLER_DATA", dir_text),
    ];
    let mut all: BTreeMap<String, String> =
        own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for grant in &launch.ports {
        let name = grant.name.as_str().to_ascii_uppercase().replace('-', "_");
        all.insert(format!("OSTLER_PORT_{name}"), grant.first.to_string());
        let host = &place.address;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        all.insert(format!("OSTLER_ADDR_{name}"), format!("{host}:{}", grant.first));
    }
    let written = launch.spec.sections.process.as_ref().map(|section| &section.env);
    let own = all.clone();
    for (name, value) in written.into_iter().flatten() {
        all.insert(name.clone(), expand(value, &own));
    }
    all
}

/// Replaces `${NAME}` by the variable's value. What names no variable stays as it is: a shell that
/// is the command may know it.
#[must_use]
pub fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        out.push_str(&rest[..begin]);
        let inside = &rest[begin + 2..];
        let known = inside
            .find('}')
            .and_then(|end| variables.get(&inside[..end]).map(|value| (value, &inside[end + 1..])));
        match known {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push_str("${");
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_replaced_and_all_else_stays() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, want) in [
            ("${A}", "1"),
            ("x${A}y${A}", "x1y1"),
            ("${B}", "${B}"),
            ("$A", "$A"),
            ("${A", "${A"),
            ("${${A}}", "${1}"),
        ] {
            assert_eq!(expand(text, &variables), want, "{text}");
        }
    }
}
