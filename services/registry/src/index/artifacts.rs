//! Artifacts and content, as far as the index knows them.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use ostler_core::artifact::{Artifact, ArtifactName, ArtifactRef, Blob};
use ostler_core::id::{ContentHash, Revision};

use super::page::Page;
use super::picture::Picture;

impl Picture {
    /// Artifacts that have versions, by name.
    #[must_use]
    pub fn artifacts(&self, cursor: &str, limit: usize) -> Page<Artifact> {
        let after = cursor.parse::<ArtifactName>().map_or(Unbounded, Excluded);
        let there = self.artifacts.range((after, Unbounded));
        let there = there.filter(|(_, artifact)| artifact.newest().is_some());
        Page::of(there.map(|(name, artifact)| (name.to_string(), (**artifact).clone())), limit)
    }

    /// Where content is.
    #[must_use]
    pub fn blob(&self, hash: ContentHash) -> Option<&Blob> {
        self.blobs.get(&hash).map(|(blob, _)| blob.as_ref())
    }

    /// Content that no version names.
    #[must_use]
    pub fn unnamed_blobs(&self) -> Vec<(Blob, Revision)> {
        let versions = self.artifacts.values().flat_map(|artifact| &artifact.versions);
        let named: BTreeSet<ContentHash> = versions.map(|version| version.sha256).collect();
        let blobs = self.blobs.values().filter(|(blob, _)| !named.contains(&blob.sha256));
        blobs.map(|(blob, revision)| ((**blob).clone(), *revision)).collect()
    }

    /// The uploads that hold content.
    #[must_use]
    pub fn blob_uploads(&self) -> BTreeSet<String> {
        self.blobs.values().map(|(blob, _)| blob.upload.clone()).collect()
    }

    /// The workloads whose text in force names this version.
    #[must_use]
    pub fn users_of(&self, reference: &ArtifactRef) -> Vec<String> {
        let text = reference.to_string();
        let heads = self.workloads.after(None).filter_map(|(_, row)| row.head.as_ref());
        let users = heads.filter(|(head, _)| {
            !head.deleted && head.spec.artifacts().iter().any(|(_, named)| **named == text)
        });
        users.map(|(head, _)| head.key().to_string()).collect()
    }
}
