//! How far somebody has seen, so that what was once answered is not unsaid by another replica.
//!
//! Replicas answer lists from pictures that follow the buckets, each at its own pace. An answer
//! tells how far its replica was, in the header `Ostler-Seen`; the asker sends the farthest it was
//! told with its next request, and whoever answers that catches up first, for a moment.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use ostler_core::id::Revision;
use ostler_schemas::bucket::Bucket;

/// More buckets than these are not told.
const MOST: usize = 32;

/// The revision that was reached in each bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Horizon(BTreeMap<String, u64>);

/// A picture of the buckets that answers are made from.
pub trait Picture: Send + Sync {
    /// How far it is.
    fn reached(&self) -> Horizon;
    /// Resolves when it is as far as that, or when that takes too long.
    fn until(&self, horizon: Horizon) -> BoxFuture<'static, ()>;
}

impl Horizon {
    /// Notes a bucket.
    pub fn set(&mut self, bucket: &Bucket, revision: Revision) {
        if self.0.len() < MOST && revision.0 > 0 {
            self.0.insert(bucket.to_string(), revision.0);
        }
    }

    /// How far it is in a bucket.
    #[must_use]
    pub fn of(&self, bucket: &Bucket) -> Revision {
        Revision(self.0.get(&bucket.to_string()).copied().unwrap_or_default())
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (bucket, revision)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{bucket}={revision}")?;
        }
        Ok(())
    }
}

/// A text is no horizon. It counts as none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `<bucket>=<revision>,…`")]
pub struct HorizonError(String);

impl FromStr for Horizon {
    type Err = HorizonError;
    fn from_str(text: &str) -> Result<Self, HorizonError> {
        let wrong = || HorizonError(text.chars().take(80).collect());
        let mut horizon = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (bucket, revision) = part.split_once('=').ok_or_else(wrong)?;
            horizon.0.insert(bucket.to_owned(), revision.parse().map_err(|_| wrong())?);
        }
        if horizon.0.len() > MOST { Err(wrong()) } else { Ok(horizon) }
    }
}

/// How far one connection was told.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Horizon>);

impl Told {
    pub(crate) fn get(&self) -> Horizon {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what an answer said to a request that came with `asked`. A replica that is not
    /// even so far, though it waited, will not be: the streams are others now.
    pub(crate) fn hear(&self, said: &Horizon, asked: &Horizon) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (bucket, revision) in &said.0 {
            let behind = asked.0.get(bucket).is_some_and(|asked| revision < asked);
            let known = told.0.entry(bucket.clone()).or_default();
            *known = if behind { *revision } else { *revision.max(known) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn horizon(text: &str) -> Horizon {
        text.parse().expect("a horizon")
    }

    #[test]
    fn it_reads_back_as_written_and_nonsense_is_refused() {
        let text = "nodes=44,workloads=812";
        assert_eq!(horizon(text).to_string(), text);
        assert_eq!(horizon(text).of(&Bucket::Nodes), Revision(44));
        assert_eq!(horizon(text).of(&Bucket::Commands), Revision(0));
        for wrong in ["nodes", "nodes=x", "nodes=-1", "nodes=99999999999999999999"] {
            assert!(wrong.parse::<Horizon>().is_err(), "{wrong}");
        }
        let long: Vec<String> = (0..40).map(|number| format!("b{number}=1")).collect();
        assert!(long.join(",").parse::<Horizon>().is_err());
    }

    #[test]
    fn the_farthest_counts_until_a_replica_that_waited_is_not_so_far() {
        let told = Told::default();
        told.hear(&horizon("nodes=5"), &Horizon::default());
        told.hear(&horizon("nodes=3,workloads=2"), &Horizon::default());
        assert_eq!(told.get(), horizon("nodes=5,workloads=2"));
        told.hear(&horizon("nodes=1"), &horizon("nodes=5"));
        assert_eq!(told.get(), horizon("nodes=1,workloads=2"));
    }
}
