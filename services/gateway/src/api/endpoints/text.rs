//! Endpoints in the words of those who use them: Prometheus, nginx, HAProxy.

use std::collections::BTreeMap;

use ostler_schemas::pb;
use serde_json::{Value, json};

type Named<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a pb::EndpointView>>;

fn by_name(endpoints: &[pb::EndpointView]) -> Named<'_> {
    let mut names = Named::new();
    for endpoint in endpoints {
        let name = (endpoint.namespace.as_str(), endpoint.name.as_str());
        names.entry(name).or_default().push(endpoint);
    }
    names
}

fn address(endpoint: &pb::EndpointView) -> String {
    let (host, port) = (&endpoint.address, endpoint.port);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What a proxy calls it: `web.http`, with its namespace where that is not `default`.
fn title((namespace, name): (&str, &str)) -> String {
    match namespace {
        "default" => name.replace('.', "_"),
        other => format!("{other}_{}", name.replace('.', "_")),
    }
}

/// A target group for each endpoint, so that each has its own labels.
pub(super) fn prometheus(endpoints: &[pb::EndpointView]) -> Value {
    let group = |endpoint: &pb::EndpointView| {
        json!({
            "targets": [address(endpoint)],
            "labels": {
                "__meta_ostler_endpoint": endpoint.name,
                "__meta_ostler_namespace": endpoint.namespace,
                "__meta_ostler_workload": endpoint.workload,
                "__meta_ostler_instance": endpoint.instance,
                "__meta_ostler_slot": endpoint.slot.to_string(),
                "__meta_ostler_version": endpoint.version.to_string(),
                "__meta_ostler_node": endpoint.node,
                "__meta_ostler_zone": endpoint.zone,
                "__meta_ostler_ready": endpoint.ready.to_string(),
            },
        })
    };
    endpoints.iter().map(group).collect()
}

/// `upstream` blocks. One in which nobody is ready has a server that is down: nginx refuses to
/// load an empty one.
pub(super) fn nginx(endpoints: &[pb::EndpointView]) -> String {
    let mut text = String::new();
    for (name, endpoints) in by_name(endpoints) {
        text.push_str(&format!("upstream {} {{\n", title(name)));
        let mut some = false;
        for endpoint in endpoints {
            let (address, weight) = (address(endpoint), endpoint.weight);
            if weight == 0 {
                text.push_str(&format!("    server {address} down;\n"));
            } else {
                some = true;
                text.push_str(&format!("    server {address} weight={weight};\n"));
            }
        }
        if !some {
            text.push_str("    server 127.0.0.1:9 down;\n");
        }
        text.push_str("}\n");
    }
    text
}

/// `backend` blocks.
pub(super) fn haproxy(endpoints: &[pb::EndpointView]) -> String {
    let mut text = String::new();
    for (name, endpoints) in by_name(endpoints) {
        text.push_str(&format!("backend {}\n", title(name)));
        text.push_str("    balance roundrobin\n");
        for endpoint in endpoints {
            let (id, address) = (&endpoint.instance, address(endpoint));
            let weight = endpoint.weight;
            text.push_str(&format!("    server {id} {address} weight {weight} check\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(namespace: &str, port: u32, ready: bool) -> pb::EndpointView {
        pb::EndpointView {
            name: "web.http".to_owned(),
            namespace: namespace.to_owned(),
            workload: "web".to_owned(),
            instance: format!("id{port}"),
            address: "10.0.0.1".to_owned(),
            port,
            ready,
            weight: if ready { 3 } else { 0 },
            ..pb::EndpointView::default()
        }
    }

    #[test]
    fn nginx_gets_a_block_for_each_name_and_none_is_empty() {
        let all = [endpoint("default", 1, true), endpoint("shop", 2, false)];
        let want = "upstream web_http {\n    server 10.0.0.1:1 weight=3;\n}\n\
                    upstream shop_web_http {\n    server 10.0.0.1:2 down;\n    server 127.0.0.1:9 \
                    down;\n}\n";
        assert_eq!(nginx(&all), want);
    }

    #[test]
    fn haproxy_gets_servers_with_weights() {
        let want = "backend web_http\n    balance roundrobin\n    server id1 10.0.0.1:1 weight 3 \
                    check\n";
        assert_eq!(haproxy(&[endpoint("default", 1, true)]), want);
    }

    #[test]
    fn prometheus_gets_targets_with_labels() {
        let mut one = endpoint("default", 9, true);
        one.address = "fd00::1".to_owned();
        let groups = prometheus(&[one]);
        assert_eq!(groups[0]["targets"], json!(["[fd00::1]:9"]));
        assert_eq!(groups[0]["labels"]["__meta_ostler_endpoint"], "web.http");
    }
}
