//! `ostler nodes import`: what runs on a node that is not ours, as workload files.

use serde_json::Value;

use super::node::path;
use crate::failure::Failure;
use crate::output::{self, text};
use crate::session::Session;

/// Prints a file for each container and machine; what is not the same stands above it.
pub async fn report(session: &Session, node: &str) -> Result<(), Failure> {
    let mut found: Value = session.client.get(&format!("{}/import", path(node))).await?;
    for item in found["items"].as_array_mut().into_iter().flatten() {
        let workload = item["workload_json"].as_str().unwrap_or_default();
        let workload: Value = serde_json::from_str(workload).map_err(Failure::failed)?;
        item["workload"] = workload;
        item.as_object_mut().and_then(|item| item.remove("workload_json"));
    }
    if let Some(text) = output::machine(session.format, &found)? {
        output::print(&text);
        return Ok(());
    }
    for missing in found["missing"].as_array().into_iter().flatten() {
        eprintln!("not looked at: {}", missing.as_str().unwrap_or_default());
    }
    let items = found["items"].as_array().map_or(&[][..], Vec::as_slice);
    for item in items {
        output::print(&file(item)?);
    }
    let count = items.len();
    eprintln!("{count} found on {node}; nothing was changed");
    Ok(())
}

fn file(item: &Value) -> Result<String, Failure> {
    let mut file =
        format!("# {} `{}`, {}\n", text(item, "driver"), text(item, "name"), text(item, "state"));
    for note in item["notes"].as_array().into_iter().flatten() {
        file.push_str(&format!("# - {}\n", note.as_str().unwrap_or_default()));
    }
    file.push_str(&toml::to_string(&item["workload"]).map_err(Failure::failed)?);
    file.push('\n');
    Ok(file)
}

#[cfg(test)]
mod tests {
    use ostler_core::workload::from_toml;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_can_be_applied_and_says_what_is_not_the_same() {
        let item = json!({
            "driver": "docker",
            "name": "web",
            "state": "running",
            "notes": ["it is privileged: there is no such option here"],
            "workload": {
                "name": "web",
                "driver": "docker",
                "docker": {"image": "nginx", "container_ports": {"p80": 80}},
                "ports": [{"name": "p80", "static": 8080}],
                "resources": {"memory": "64MiB"},
            },
        });
        let text = file(&item).expect("a file");
        assert!(text.starts_with("# docker `web`, running\n# - it is privileged"), "{text}");
        let read = from_toml(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        assert_eq!(read.ports[0].fixed, Some(8080));
    }
}
