//! A row of the table as the JSON that `$JS.API.STREAM.CREATE` takes.

use ostler_schemas::table::{Storage, Stream};
use serde_json::{Map, Value, json};

use crate::root::Root;

/// Where the incarnation is kept in a stream's metadata.
pub(crate) const INCARNATION: &str = "ostler.incarnation";
/// Who writes a stream, for the operator.
const WRITER: &str = "ostler.writer";

/// How long message ids are known; the most that is worth its memory.
const DUPLICATES_SECONDS: u64 = 120;
/// How long the marker of an expired key stays.
const MARKERS_SECONDS: u64 = 3_600;
const NANOS: u64 = 1_000_000_000;

/// Every field that matters, with its default written out, so that drift can be named.
pub(super) fn config(stream: &Stream, root: &Root, replicas: u8) -> Value {
    let subjects: Vec<String> =
        stream.subjects.iter().map(|subject| root.subject(subject)).collect();
    let storage = match stream.storage {
        Storage::File => "file",
        Storage::Memory => "memory",
    };
    let state = stream.last_only || stream.name.starts_with("OBJ_");
    // What only tells of the past makes room; what is state is never thrown away for new state.
    let discard = if state && !stream.no_ack { "new" } else { "old" };
    let duplicates = match stream.max_age_seconds {
        0 => DUPLICATES_SECONDS,
        age => age.min(DUPLICATES_SECONDS),
    };
    let mut config = json!({
        "name": root.stream(&stream.name),
        "description": stream.description,
        "subjects": subjects,
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": stream.max_bytes,
        "max_age": stream.max_age_seconds * NANOS,
        "max_msgs_per_subject": if stream.last_only { 1 } else { -1 },
        "max_msg_size": -1,
        "discard": discard,
        "storage": storage,
        "num_replicas": replicas,
        "duplicate_window": duplicates * NANOS,
        "compression": "none",
        "allow_direct": true,
        "mirror_direct": false,
        "sealed": false,
        "deny_delete": state,
        "deny_purge": false,
        "allow_rollup_hdrs": state,
        "metadata": { WRITER: stream.writer },
    });
    let fields = config.as_object_mut().expect("an object was written");
    optional(fields, stream, root);
    config
}

/// Fields that servers leave out when they are off.
fn optional(fields: &mut Map<String, Value>, stream: &Stream, root: &Root) {
    if stream.no_ack {
        fields.insert("no_ack".to_owned(), json!(true));
    }
    if stream.atomic {
        fields.insert("allow_atomic".to_owned(), json!(true));
    }
    if stream.ttl {
        fields.insert("allow_msg_ttl".to_owned(), json!(true));
        fields.insert("subject_delete_marker_ttl".to_owned(), json!(MARKERS_SECONDS * NANOS));
    }
    if let Some((from, to)) = &stream.republish {
        let republish =
            json!({ "src": root.subject(from), "dest": root.subject(to), "headers_only": true });
        fields.insert("republish".to_owned(), republish);
    }
}
