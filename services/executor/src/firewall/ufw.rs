//! ufw: a rule for each port, with a comment that says whose it is.

use std::collections::BTreeSet;

use ostler_core::id::NodeName;
use ostler_core::workload::Protocol;

use super::Opening;

fn comment(node: &NodeName) -> String {
    format!("ostler {node}")
}

/// What is open for this node, by what `ufw show added` prints.
pub(super) fn ours(added: &str, node: &NodeName) -> BTreeSet<Opening> {
    let ending = format!(" comment '{}'", comment(node));
    let rules = added.lines().filter_map(|line| line.trim().strip_suffix(ending.as_str()));
    let openings = rules.filter_map(|rule| {
        let (port, transport) = rule.strip_prefix("ufw allow ")?.split_once('/')?;
        let protocol = match transport {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        Some(Opening { port: port.parse().ok()?, protocol })
    });
    openings.collect()
}

/// The commands that lead from what is open to what is wanted: opened first, then closed.
pub(super) fn changes(
    there: &BTreeSet<Opening>,
    wanted: &BTreeSet<Opening>,
    node: &NodeName,
) -> Vec<Vec<String>> {
    let allow = |opening: &Opening| {
        vec!["allow".to_owned(), opening.to_string(), "comment".to_owned(), comment(node)]
    };
    let delete =
        |opening: &Opening| vec!["delete".to_owned(), "allow".to_owned(), opening.to_string()];
    let opened = wanted.difference(there).map(allow);
    opened.chain(there.difference(wanted).map(delete)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rules_with_our_comment_are_ours() {
        let node: NodeName = "node-1".parse().expect("a name");
        let added = "Added user rules (see 'ufw status' for running firewall):\n\
                     ufw allow 22/tcp\n\
                     ufw allow 20001/tcp comment 'ostler node-1'\n\
                     ufw allow 20002/udp comment 'ostler node-1'\n\
                     ufw allow 20003/tcp comment 'ostler node-10'\n\
                     ufw deny 20004/tcp comment 'ostler node-1'\n";
        let there = ours(added, &node);
        let shown: Vec<String> = there.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["20001/tcp", "20002/udp"]);
        let wanted = ours("ufw allow 20005/tcp comment 'ostler node-1'", &node);
        let words: Vec<String> =
            changes(&there, &wanted, &node).iter().map(|words| words.join(" ")).collect();
        let want = [
            "allow 20005/tcp comment ostler node-1",
            "delete allow 20001/tcp",
            "delete allow 20002/udp",
        ];
        assert_eq!(words, want);
    }
}
