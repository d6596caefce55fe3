//! nftables: one transaction that says all that is open, so that nothing is open or closed halfway.

use std::collections::BTreeSet;

use ostler_core::id::NodeName;
use ostler_core::workload::Protocol;

use super::{FirewallError, Opening};

/// What `nft -f` reads. In somebody's table only two sets are ours; without one, a table of our own
/// closes what is in the node's range and not in the sets, but for the host itself.
pub(super) fn script(
    table: &str,
    node: &NodeName,
    (first, last): (u16, u16),
    wanted: &BTreeSet<Opening>,
) -> Result<String, FirewallError> {
    let set = |protocol: Protocol| {
        let ports = wanted.iter().filter(|opening| opening.protocol == protocol);
        ports.map(|opening| opening.port.to_string()).collect::<Vec<_>>().join(", ")
    };
    let (tcp, udp) = (set(Protocol::Tcp), set(Protocol::Udp));
    if !table.is_empty() {
        let mut script = String::new();
        for (name, ports) in [("ostler_tcp", tcp), ("ostler_udp", udp)] {
            let at = format!("{} {name}", checked(table)?);
            script.push_str(&format!("add set {at} {{ type inet_service; }}\nflush set {at}\n"));
            if !ports.is_empty() {
                script.push_str(&format!("add element {at} {{ {ports} }}\n"));
            }
        }
        return Ok(script);
    }
    let table = format!("inet ostler_{}", node.as_str().replace(['-', '.'], "_"));
    let elements = |ports: String| match ports.is_empty() {
        true => String::new(),
        false => format!(" elements = {{ {ports} }};"),
    };
    let (tcp, udp) = (elements(tcp), elements(udp));
    Ok(format!(
        "add table {table}
delete table {table}
table {table} {{
    set ostler_tcp {{ type inet_service;{tcp} }}
    set ostler_udp {{ type inet_service;{udp} }}
    chain input {{
        type filter hook input priority -10; policy accept;
        iif lo accept
        ct state established,related accept
        tcp dport {first}-{last} tcp dport != @ostler_tcp drop
        udp dport {first}-{last} udp dport != @ostler_udp drop
    }}
}}
"
    ))
}

/// `inet filter`: a family and a name, and nothing that nft would read as more.
fn checked(table: &str) -> Result<&str, FirewallError> {
    let words: Vec<&str> = table.split(' ').collect();
    let plain = |word: &&str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let fits =
        words.len() == 2 && words.iter().all(plain) && ["inet", "ip", "ip6"].contains(&words[0]);
    fits.then_some(table).ok_or_else(|| {
        FirewallError(format!("`table` is `{table}`, not a family and a name as `inet filter`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_sets_are_changed_in_the_table_of_somebody_else() {
        let node = "node-1".parse().expect("a name");
        let open = |port, protocol| Opening { port, protocol };
        let wanted = BTreeSet::from([open(1, Protocol::Tcp), open(2, Protocol::Tcp)]);
        let text = script("inet filter", &node, (1, 9), &wanted).expect("a script");
        let want = "add set inet filter ostler_tcp { type inet_service; }\n\
                    flush set inet filter ostler_tcp\n\
                    add element inet filter ostler_tcp { 1, 2 }\n\
                    add set inet filter ostler_udp { type inet_service; }\n\
                    flush set inet filter ostler_udp\n";
        assert_eq!(text, want);
        for table in ["filter", "inet filter; flush ruleset", "inet a b", "x y"] {
            assert!(script(table, &node, (1, 9), &wanted).is_err(), "{table}");
        }
    }
}
