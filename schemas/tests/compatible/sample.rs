//! One of each message of the protos, in which every field has a value.

use std::collections::BTreeMap;

/// Messages within messages are filled so deep.
const DEEPEST: usize = 6;

/// Many of a field, as `google.protobuf.FieldDescriptorProto.Label` counts.
const REPEATED: i32 = 3;

/// How a field is told on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// A field of a message: what the descriptor says, as far as it matters.
#[derive(Debug, Clone)]
struct Field {
    number: u64,
    /// As `google.protobuf.FieldDescriptorProto.Type` counts.
    kind: i32,
    /// Which message it holds, if it holds one.
    holds: String,
    repeated: bool,
    /// Which choice it is a part of.
    choice: Option<i32>,
}

type Messages = BTreeMap<String, Vec<Field>>;

/// The bytes of each message, by its name.
pub fn all() -> BTreeMap<String, Vec<u8>> {
    let messages = read();
    let nested = |name: &&String| name.contains('.');
    let names = messages.keys().filter(|name| !nested(name));
    names.map(|name| (name.clone(), bytes(&messages, name, 0))).collect()
}

fn read() -> Messages {
    let files = ["ostler/v1/placement.proto", "ostler/v1/workload.proto", "ostler/v1/api.proto"];
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let set = protox::compile(files, [proto]).expect("the protos compile");
    let mut messages = Messages::new();
    for message in set.file.into_iter().flat_map(|file| file.message_type) {
        let outer = message.name().to_owned();
        let inner =
            message.nested_type.iter().map(|inner| (format!("{outer}.{}", inner.name()), inner));
        for (name, message) in inner.chain([(outer.clone(), &message)]) {
            let fields = message.field.iter().map(|field| Field {
                number: u64::try_from(field.number()).expect("positive"),
                kind: field.r#type() as i32,
                holds: field.type_name().trim_start_matches(".ostler.v1.").to_owned(),
                repeated: field.label() as i32 == REPEATED,
                choice: field.oneof_index.filter(|_| !field.proto3_optional()),
            });
            messages.insert(name, fields.collect());
        }
    }
    for fields in messages.values_mut() {
        fields.sort_by_key(|field| field.number);
    }
    messages
}

fn varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    into.push(u8::try_from(value).expect("seven bits"));
}

fn bytes(messages: &Messages, message: &str, depth: usize) -> Vec<u8> {
    let mut chosen = Vec::new();
    let mut bytes = Vec::new();
    for field in &messages[message] {
        // Of a choice there is the first.
        if field.choice.is_some_and(|choice| chosen.contains(&choice)) {
            continue;
        }
        chosen.extend(field.choice);
        if field.kind == 11 && depth == DEEPEST {
            continue;
        }
        let (wire, value) = value(messages, field, depth);
        // Numbers of which there may be many are packed.
        let packed = field.repeated && wire != LENGTH;
        varint((field.number << 3) | if packed { LENGTH } else { wire }, &mut bytes);
        if packed || wire == LENGTH {
            varint(u64::try_from(value.len()).expect("short"), &mut bytes);
        }
        bytes.extend(value);
    }
    bytes
}

/// How a value of the field is told, and its bytes.
fn value(messages: &Messages, field: &Field, depth: usize) -> (u64, Vec<u8>) {
    let number = field.number;
    match field.kind {
        1 => (FIXED64, 1.5f64.to_le_bytes().to_vec()),
        6 | 16 => (FIXED64, number.to_le_bytes().to_vec()),
        2 => (FIXED32, 1.5f32.to_le_bytes().to_vec()),
        7 | 15 => (FIXED32, u32::try_from(number).expect("small").to_le_bytes().to_vec()),
        9 | 12 => (LENGTH, format!("value {number}").into_bytes()),
        11 => (LENGTH, bytes(messages, &field.holds, depth + 1)),
        // A truth, or the first of the words.
        8 | 14 => (VARINT, vec![1]),
        3..=5 | 13 | 17 | 18 => {
            let mut bytes = Vec::new();
            varint(number + 1, &mut bytes);
            (VARINT, bytes)
        }
        other => panic!("fields of type {other} are not used here"),
    }
}
