//! How a value becomes bytes: protobuf or JSON, as `Content-Type` says.

use thiserror::Error;

/// The two encodings. Both decode to the same message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `application/json`
    Json,
    /// `application/protobuf`
    Protobuf,
}

impl Format {
    /// The value of the header `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/protobuf",
        }
    }

    /// Reads the header; parameters such as a charset are passed over.
    #[must_use]
    pub fn from_content_type(text: &str) -> Option<Self> {
        match text.split(';').next().unwrap_or_default().trim() {
            "application/json" => Some(Self::Json),
            "application/protobuf" | "application/x-protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// Why bytes are no such message. Nothing was changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes are not of that format.
    #[error("not a `{message}` as {format:?}: {detail}")]
    Malformed {
        /// The message wanted.
        message: &'static str,
        /// The format it was read as.
        format: Format,
        /// What the decoder says.
        detail: String,
    },
    /// A field has no acceptable value.
    #[error("`{field}`: {detail}")]
    Field {
        /// Which field.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// It is larger than may be.
    #[error("{bytes} bytes where at most {limit} are allowed")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit: usize,
    },
}

impl WireError {
    /// A field has no acceptable value.
    pub fn field(field: impl Into<String>, detail: impl ToString) -> Self {
        Self::Field { field: field.into(), detail: detail.to_string() }
    }
}

/// A value that can be sent.
pub trait Wire: Sized {
    /// What is used where nobody asks for the other.
    const FORMAT: Format;

    /// The bytes.
    fn encode(&self, format: Format) -> Vec<u8>;

    /// Reads and checks the bytes.
    fn decode(bytes: &[u8], format: Format) -> Result<Self, WireError>;
}

/// Derives [`Wire`] for a generated type that also has serde: JSON by default, protobuf where
/// the list begins with that. Empty JSON bytes
/// read as `{}`, so that `nats req … ''` works.
macro_rules! wire_message {
    ($($type:ident),* $(,)?) => {
        $crate::wire::wire_message! { Json: $($type),* }
    };
    ($format:ident: $($type:ident),* $(,)?) => {$(
        impl $crate::wire::Wire for $crate::pb::$type {
            const FORMAT: $crate::wire::Format = $crate::wire::Format::$format;

            fn encode(&self, format: $crate::wire::Format) -> Vec<u8> {
                match format {
                    $crate::wire::Format::Json => {
                        serde_json::to_vec(self).expect("generated types have text keys")
                    }
                    $crate::wire::Format::Protobuf => prost::Message::encode_to_vec(self),
                }
            }

            fn decode(
                bytes: &[u8],
                format: $crate::wire::Format,
            ) -> Result<Self, $crate::wire::WireError> {
                let detail = match format {
                    $crate::wire::Format::Json => {
                        let bytes = if bytes.is_empty() { b"{}" } else { bytes };
                        match serde_json::from_slice(bytes) {
                            Ok(message) => return Ok(message),
                            Err(error) => error.to_string(),
                        }
                    }
                    $crate::wire::Format::Protobuf => match prost::Message::decode(bytes) {
                        Ok(message) => return Ok(message),
                        Err(error) => error.to_string(),
                    },
                };
                Err($crate::wire::WireError::Malformed { message: stringify!($type), format, detail })
            }
        }
    )*};
}
pub(crate) use wire_message;

/// Derives [`Wire`] for a type of the core that is kept as JSON and has no protobuf form. What grows
/// with the fleet is `packed`: with zstd above 16 KiB, as manifests are; no JSON begins as zstd does.
macro_rules! wire_json {
    (packed $($type:ty),* $(,)?) => {$(
        impl $crate::wire::Wire for $type {
            const FORMAT: $crate::wire::Format = $crate::wire::Format::Json;

            fn encode(&self, _: $crate::wire::Format) -> Vec<u8> {
                let plain = serde_json::to_vec(self).expect("types of the core have text keys");
                $crate::convert::pack(plain)
            }

            fn decode(
                bytes: &[u8],
                _: $crate::wire::Format,
            ) -> Result<Self, $crate::wire::WireError> {
                let plain = $crate::convert::unpack(bytes)?;
                serde_json::from_slice(&plain).map_err(|error| $crate::wire::WireError::Malformed {
                    message: stringify!($type),
                    format: $crate::wire::Format::Json,
                    detail: error.to_string(),
                })
            }
        }
    )*};
    ($($type:ty),* $(,)?) => {$(
        impl $crate::wire::Wire for $type {
            const FORMAT: $crate::wire::Format = $crate::wire::Format::Json;

            fn encode(&self, _: $crate::wire::Format) -> Vec<u8> {
                serde_json::to_vec(self).expect("types of the core have text keys")
            }

            fn decode(
                bytes: &[u8],
                _: $crate::wire::Format,
            ) -> Result<Self, $crate::wire::WireError> {
                serde_json::from_slice(bytes).map_err(|error| $crate::wire::WireError::Malformed {
                    message: stringify!($type),
                    format: $crate::wire::Format::Json,
                    detail: error.to_string(),
                })
            }
        }
    )*};
}
pub(crate) use wire_json;
