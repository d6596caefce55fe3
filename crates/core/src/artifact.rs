//! Artifacts: named, checksummed files that instances are made of, and every version of each.
//!
//! Decided here: which version a name means, what a new one is called, what may be removed. A
//! version number is never used twice, so that `site@3` means the same for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::{ContentHash, IdError, cut};
use crate::time::Timestamp;

/// So many versions of one artifact are kept at most.
pub const MOST_VERSIONS: usize = 1000;

/// The name of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactName(String);

impl ArtifactName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        let right = bytes.len() <= 63
            && ends.into_iter().all(|end| end.is_some_and(|b| plain(*b)))
            && bytes.iter().all(|b| plain(*b) || b"-_.".contains(b))
            && !text.contains("..");
        if right { Ok(Self(text.to_owned())) } else { Err(IdError::Artifact(cut(text))) }
    }
}
impl TryFrom<String> for ArtifactName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}
impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> Self {
        name.0
    }
}
impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An artifact as people write it: `site`, which is the newest, or `site@3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactRef {
    /// Which.
    pub name: ArtifactName,
    /// Which version of it; the newest if `None`.
    pub version: Option<u32>,
}

impl FromStr for ArtifactRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = |_| IdError::ArtifactRef(cut(text));
        let (name, version) = match text.split_once('@') {
            None | Some((_, "latest")) => (text.strip_suffix("@latest").unwrap_or(text), None),
            Some((name, version)) => {
                let digits = version.bytes().all(|b| b.is_ascii_digit());
                let number = version.parse().ok().filter(|number| *number > 0 && digits);
                let number = number.ok_or_else(|| IdError::ArtifactRef(cut(text)))?;
                (name, Some(number))
            }
        };
        Ok(Self { name: name.parse().map_err(bad)?, version })
    }
}
impl fmt::Display for ArtifactRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => fmt::Display::fmt(&self.name, f),
        }
    }
}

/// One version of an artifact. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactVersion {
    /// Which, from 1.
    pub version: u32,
    /// Its content.
    pub sha256: ContentHash,
    /// How long it is, in bytes.
    pub size: u64,
    /// When it was named, in pool time.
    pub created_at: Timestamp,
    /// Who named it.
    pub actor: String,
}

/// An artifact, as the registry keeps it. It stays when its last version is removed: the numbers
/// that were used are not used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is called.
    pub name: ArtifactName,
    /// The number of the last version that was made.
    pub last: u32,
    /// The versions that are kept, oldest first.
    pub versions: Vec<ArtifactVersion>,
    /// The versions that the operation which wrote it removed: what it tells, also when it is asked
    /// again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<u32>,
    /// The id of the operation that wrote it.
    pub op_id: String,
}

/// The content of one or more versions, as the registry keeps it: `chunks` chunks under `upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its content.
    pub sha256: ContentHash,
    /// How long it is, in bytes.
    pub size: u64,
    /// How long each chunk but the last is, in bytes.
    pub chunk: u32,
    /// Under which upload its chunks are.
    pub upload: String,
    /// When it was last given a name, in pool time: what is young is not collected.
    pub named_at: Timestamp,
    /// The id of the operation that wrote it.
    pub op_id: String,
}

/// Why an artifact is not as it was asked for. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArtifactError {
    /// There is no such version, or none at all.
    #[error("there is no artifact `{0}`")]
    Missing(ArtifactRef),
    /// There are so many versions that no further one is taken.
    #[error("`{name}` has {MOST_VERSIONS} versions, which is the most: remove old ones")]
    Full {
        /// Of what.
        name: ArtifactName,
    },
    /// There is no number left.
    #[error("`{name}` has used up its version numbers")]
    Spent {
        /// What.
        name: ArtifactName,
    },
}

impl Artifact {
    /// One without versions.
    #[must_use]
    pub fn new(name: ArtifactName) -> Self {
        let (versions, removed) = (Vec::new(), Vec::new());
        Self { name, last: 0, versions, removed, op_id: String::new() }
    }

    /// The newest version that is kept.
    #[must_use]
    pub fn newest(&self) -> Option<&ArtifactVersion> {
        self.versions.last()
    }

    /// The version that is asked for; the newest for `None`.
    pub fn find(&self, version: Option<u32>) -> Result<&ArtifactVersion, ArtifactError> {
        let found = match version {
            None => self.newest(),
            Some(number) => self.versions.iter().find(|version| version.version == number),
        };
        found
            .ok_or_else(|| ArtifactError::Missing(ArtifactRef { name: self.name.clone(), version }))
    }

    /// The same with one more version, whose number is the next.
    pub fn with(&self, version: ArtifactVersion) -> Result<Self, ArtifactError> {
        let name = || self.name.clone();
        if self.versions.len() >= MOST_VERSIONS {
            return Err(ArtifactError::Full { name: name() });
        }
        let last = self.last.checked_add(1).ok_or_else(|| ArtifactError::Spent { name: name() })?;
        let mut next = Self { last, removed: Vec::new(), ..self.clone() };
        next.versions.push(ArtifactVersion { version: last, ..version });
        Ok(next)
    }

    /// The same without this version; without any for `None`.
    pub fn without(&self, version: Option<u32>) -> Result<Self, ArtifactError> {
        self.find(version)?;
        let mut next = self.clone();
        let kept = |of: &ArtifactVersion| version.is_some_and(|number| of.version != number);
        let gone = self.versions.iter().filter(|of| !kept(of));
        next.removed = gone.map(|gone| gone.version).collect();
        next.versions.retain(kept);
        Ok(next)
    }
}

impl Blob {
    /// How many chunks there are; one for an empty file.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.size.div_ceil(u64::from(self.chunk.max(1))).max(1)
    }
}
