//! The first token of every subject: names as the table has them, and as they are on the wire.

use ostler_schemas::bucket::Bucket;

/// The token that the schemas write.
const USUAL: &str = "ostler";

/// Turns names of the table into those of a fleet whose root is another.
///
/// `ostler.v1.…` becomes `<root>.v1.…`, and what is not under the root carries it in its name: the
/// bucket `nodes` becomes `<root>_nodes`, the stream `EVENTS` becomes `<root>_EVENTS`.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    token: String,
    /// Empty, or `<root>_`.
    prefix: String,
}

impl Root {
    pub(crate) fn new(token: &str) -> Result<Self, String> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if token.is_empty() || token.len() > 63 || !token.bytes().all(known) {
            return Err(format!("`root` is `{token}`, should be 1 to 63 of a-z, 0-9 and `-`"));
        }
        let prefix = if token == USUAL { String::new() } else { format!("{token}_") };
        Ok(Self { token: token.to_owned(), prefix })
    }

    /// Whether it is the root that fleets have unless they are given another.
    pub(crate) fn is_usual(&self) -> bool {
        self.prefix.is_empty()
    }

    /// A subject as it is on the wire.
    pub(crate) fn subject(&self, usual: &str) -> String {
        let Self { token, prefix } = self;
        if let Some(rest) = usual.strip_prefix("ostler.") {
            return format!("{token}.{rest}");
        }
        for kept in ["$KV.", "$O."] {
            if let Some(rest) = usual.strip_prefix(kept) {
                return format!("{kept}{prefix}{rest}");
            }
        }
        usual.to_owned()
    }

    /// A subject as the schemas write it.
    pub(crate) fn usual(&self, subject: &str) -> String {
        let Self { token, prefix } = self;
        if let Some(rest) = subject.strip_prefix(token).and_then(|rest| rest.strip_prefix('.')) {
            return format!("{USUAL}.{rest}");
        }
        for kept in ["$KV.", "$O."] {
            let rest = subject.strip_prefix(kept).and_then(|rest| rest.strip_prefix(prefix));
            if let Some(rest) = rest {
                return format!("{kept}{rest}");
            }
        }
        subject.to_owned()
    }

    /// A stream's name as it is on the server.
    pub(crate) fn stream(&self, usual: &str) -> String {
        let prefix = &self.prefix;
        for kept in ["KV_", "OBJ_"] {
            if let Some(rest) = usual.strip_prefix(kept) {
                return format!("{kept}{prefix}{rest}");
            }
        }
        format!("{prefix}{usual}")
    }

    /// The stream of a bucket.
    pub(crate) fn bucket_stream(&self, bucket: &Bucket) -> String {
        format!("KV_{}{bucket}", self.prefix)
    }

    /// The subject of a key.
    pub(crate) fn key(&self, bucket: &Bucket, key: &str) -> String {
        format!("$KV.{}{bucket}.{key}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_root_is_in_every_name_and_comes_off_again() {
        let root = Root::new("acme").expect("a token");
        for (usual, wire) in [
            ("ostler.v1.hint.default.n1", "acme.v1.hint.default.n1"),
            ("$KV.heartbeats.n1", "$KV.acme_heartbeats.n1"),
            ("$O.artifacts.C.>", "$O.acme_artifacts.C.>"),
        ] {
            assert_eq!(root.subject(usual), wire);
            assert_eq!(root.usual(wire), usual);
        }
        assert_eq!(root.stream("EVENTS"), "acme_EVENTS");
        assert_eq!(root.stream("KV_nodes"), root.bucket_stream(&Bucket::Nodes));
        assert_eq!(root.key(&Bucket::Nodes, "n1"), "$KV.acme_nodes.n1");
    }

    #[test]
    fn the_usual_root_changes_nothing() {
        let root = Root::new("ostler").expect("a token");
        for name in ["ostler.v1.api.node.list", "$KV.nodes.n1", "_INBOX.x"] {
            assert_eq!(root.subject(name), name);
            assert_eq!(root.usual(name), name);
        }
        assert_eq!(root.stream("KV_nodes"), "KV_nodes");
    }

    #[test]
    fn a_root_that_is_no_token_is_refused() {
        for token in ["", "a.b", "A", "a_b", "a*"] {
            assert!(Root::new(token).is_err(), "{token}");
        }
    }
}
