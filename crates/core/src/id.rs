//! Names, ids and counters as types, so that none can stand in for another.
//!
//! Names are checked when they are built: a value that exists is right and is never checked again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

mod counter;
mod instance_id;

pub use counter::{Epoch, Generation, Revision, Slot, Term, Version};
pub use instance_id::{IdSource, InstanceId};

/// Why a text is no name or id. Nothing was built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text is not `[a-z0-9][a-z0-9-]{0,62}`.
    #[error("`{text}` is not a {what}: 1 to 63 of a-z, 0-9 and `-`, not starting with `-`")]
    Name {
        /// What was wanted.
        what: &'static str,
        /// What came, cut at 80 characters.
        text: String,
    },
    /// The text is not 16 characters of lowercase base32.
    #[error("`{0}` is not an instance id: 16 characters of 0-9 and a-v")]
    Instance(String),
    /// The text is not `<namespace>.<name>` or `<namespace>/<name>`.
    #[error("`{0}` is not a workload key: `<namespace>/<name>`")]
    Key(String),
    /// The text is no name of an artifact.
    #[error(
        "`{0}` is not an artifact name: 1 to 63 of a-z, 0-9, `-`, `_` and `.`, beginning and ending \
         with a letter or digit, without `..`"
    )]
    Artifact(String),
    /// The text is not `<artifact>` or `<artifact>@<version>`.
    #[error("`{0}` is not an artifact: `name` or `name@version`")]
    ArtifactRef(String),
    /// The text is not 64 hexadecimal digits.
    #[error("`{0}` is not a sha256: 64 hexadecimal digits")]
    Hash(String),
}

/// At most 80 characters of what somebody sent, for an error message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 63
        && bytes[0] != b'-'
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(std::sync::Arc<str>);

        impl $type {
            /// The name as text; also its token in a subject.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError::Name { what: $what, text: cut(text) })
                }
            }
        }
        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A machine that runs an executor; unique in the fleet.
    NodeName, "node name"
);
name!(
    /// The name of a workload, unique in its namespace.
    WorkloadName, "workload name"
);
name!(
    /// A tenant's or project's set of workloads.
    Namespace, "namespace"
);
name!(
    /// A set of nodes under one scheduler leader.
    PoolName, "pool name"
);
name!(
    /// The name of one of a workload's ports.
    PortName, "port name"
);

impl Default for Namespace {
    fn default() -> Self {
        Self("default".into())
    }
}
impl Default for PoolName {
    fn default() -> Self {
        Self("default".into())
    }
}

/// Which workload: namespace and name. Ordered by both; written `default/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    /// Whose it is.
    pub namespace: Namespace,
    /// What it is called there.
    pub name: WorkloadName,
}

impl WorkloadKey {
    /// A key from its two parts.
    #[must_use]
    pub fn new(namespace: Namespace, name: WorkloadName) -> Self {
        Self { namespace, name }
    }

    /// As a key of a bucket: `default.web`.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

impl fmt::Display for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for WorkloadKey {
    type Err = IdError;

    /// Reads `default/web`, `default.web`, and `web` as `default/web`.
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.split_once(['/', '.']) {
            Some((namespace, name)) => Ok(Self::new(namespace.parse()?, name.parse()?)),
            None => Ok(Self::new(Namespace::default(), text.parse()?)),
        }
    }
}

macro_rules! hash {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub [u8; 32]);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                digest(text).map(Self)
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash!(
    /// The content address (SHA-256) of what an executor needs to run one version of a workload.
    SpecHash
);
hash!(
    /// The content address (SHA-256) of an artifact.
    ContentHash
);

/// The bytes of 64 hexadecimal digits.
fn digest(text: &str) -> Result<[u8; 32], IdError> {
    let bad = || IdError::Hash(cut(text));
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad());
    }
    let mut hash = [0u8; 32];
    for (byte, pair) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
    }
    Ok(hash)
}

impl Serialize for WorkloadKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for WorkloadKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
