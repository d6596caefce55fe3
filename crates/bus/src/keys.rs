//! Which keys a bucket has, markers among them, and how what was removed is forgotten for good.

use ostler_core::id::Revision;
use ostler_core::time::Span;
use ostler_schemas::bucket::Bucket;
use serde_json::json;

use crate::connection::Bus;
use crate::kv::{ReadError, WriteError, is_marker};

/// What became of the marker of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swept {
    /// There is none, or no more.
    Gone,
    /// The key was written again.
    Written,
    /// It is too young.
    Young,
}

impl Bus {
    /// The keys that match `keys`, such as `shop.web.*`, from the stream's leader, sorted; also those
    /// that were removed, as long as their markers are there.
    pub async fn keys(&self, bucket: &Bucket, keys: &str) -> Result<Vec<String>, ReadError> {
        let stream = self.root().bucket_stream(bucket);
        let (filter, start) = (self.root().key(bucket, keys), self.root().key(bucket, ""));
        let (mut found, mut told) = (Vec::new(), 0);
        loop {
            let body = json!({ "subjects_filter": filter, "offset": told });
            let info = self.api(&format!("STREAM.INFO.{stream}"), &body).await;
            let info = info.map_err(|error| unavailable(bucket, keys, error.to_string()))?;
            self.saw_in(&info);
            let subjects = info["state"]["subjects"].as_object();
            let page: Vec<&String> = subjects.into_iter().flat_map(|all| all.keys()).collect();
            told += u64::try_from(page.len()).expect("an answer is short");
            let keys = page.iter().filter_map(|subject| subject.strip_prefix(&start));
            found.extend(keys.map(str::to_owned));
            if page.is_empty() || told >= info["total"].as_u64().unwrap_or_default() {
                found.sort_unstable();
                return Ok(found);
            }
        }
    }

    /// Forgets what there is of the keys that match `keys`, up to and with this revision, and leaves
    /// no marker: for what nobody watches, or everybody has seen go. No sequence changes, so that
    /// whoever follows one follows it still.
    pub async fn erase(
        &self,
        bucket: &Bucket,
        keys: &str,
        upto: Revision,
    ) -> Result<(), WriteError> {
        let stream = self.root().bucket_stream(bucket);
        let body = json!({ "filter": self.root().key(bucket, keys), "seq": upto.next().0 });
        let erased = self.api(&format!("STREAM.PURGE.{stream}"), &body).await;
        erased.map(drop).map_err(|error| WriteError::new(error, bucket, keys, upto))
    }

    /// Erases the marker of a key that was removed so long ago, if it is one.
    pub async fn sweep(
        &self,
        bucket: &Bucket,
        key: &str,
        kept_for: Span,
    ) -> Result<Swept, ReadError> {
        let last = self.raw_from_leader(bucket, key).await;
        let last = last.map_err(|cause| unavailable(bucket, key, cause))?;
        match last {
            None => Ok(Swept::Gone),
            Some(last) if !is_marker(&last.headers) => Ok(Swept::Written),
            Some(last) if self.pool_time().since(last.at) < kept_for => Ok(Swept::Young),
            Some(last) => {
                let erased = self.erase(bucket, key, last.revision).await;
                erased.map_err(|error| unavailable(bucket, key, error.to_string()))?;
                Ok(Swept::Gone)
            }
        }
    }
}

fn unavailable(bucket: &Bucket, keys: &str, cause: String) -> ReadError {
    ReadError::Unavailable { bucket: bucket.to_string(), key: keys.to_owned(), cause }
}
