//! Which events are asked for, as SQL that both databases understand.

use ostler_core::id::Revision;

/// Which events are asked for. Empty texts ask for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// After this stream sequence.
    pub since: Revision,
    /// Before this one; 0: whichever.
    pub before: Revision,
    /// A kind, `instance.placed`, or all of one thing, `instance` or `instance.*`.
    pub kind: String,
    /// In which namespace.
    pub namespace: String,
    /// Of which workload.
    pub workload: String,
    /// Of which node.
    pub node: String,
    /// Of which instance; the beginning of its id is enough.
    pub instance: String,
    /// At most so many.
    pub limit: u32,
    /// The newest instead of the oldest.
    pub newest: bool,
}

/// A pattern of `LIKE` that begins with this text.
fn beginning(text: &str) -> String {
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("{escaped}%")
}

impl Query {
    /// The statement, and the values of `$2` and what follows but the last. `$1` is `since`, the
    /// last is `limit`. Nothing that a caller wrote is in the statement.
    pub(super) fn sql(&self) -> (String, Vec<String>) {
        let mut text = "SELECT sequence, id, time, source, kind, actor, trace_id, reason, \
             namespace, workload, instance, node, version, details FROM events WHERE sequence > $1"
            .to_owned();
        let mut values = Vec::new();
        let mut also = |condition: &str, value: String| {
            values.push(value);
            let place = format!("${}", values.len() + 1);
            text.push_str(" AND ");
            text.push_str(&condition.replace("$?", &place));
        };
        let exact = [
            ("namespace = $?", &self.namespace),
            ("workload = $?", &self.workload),
            ("node = $?", &self.node),
        ];
        for (condition, value) in exact.into_iter().filter(|(_, value)| !value.is_empty()) {
            also(condition, value.clone());
        }
        if !self.instance.is_empty() {
            also("instance LIKE $? ESCAPE '!'", beginning(&self.instance));
        }
        let kind = self.kind.strip_suffix(".*").unwrap_or(&self.kind);
        if kind.contains('.') {
            also("kind = $?", kind.to_owned());
        } else if !kind.is_empty() {
            also("kind LIKE $? ESCAPE '!'", beginning(&format!("{kind}.")));
        }
        if self.before.0 > 0 {
            // A number that we read.
            text.push_str(&format!(" AND sequence < {}", super::signed(self.before.0)));
        }
        let order = if self.newest { "DESC" } else { "ASC" };
        let limit = values.len() + 2;
        text.push_str(&format!(" ORDER BY sequence {order} LIMIT ${limit}"));
        (text, values)
    }
}
