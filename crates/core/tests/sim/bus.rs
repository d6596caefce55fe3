//! The server: buckets with history 1, compare-and-set, fenced batches, leases by its own clock.

use std::collections::BTreeMap;

use ostler_core::command::{Command, Outcome};
use ostler_core::head::Head;
use ostler_core::id::{Epoch, NodeName, PoolName, Revision, SpecHash, Term, WorkloadKey};
use ostler_core::instance::{Manifest, Report, Spec};
use ostler_core::node::Node;
use ostler_core::reconcile::{Progress, Source};
use ostler_core::time::{Span, Timestamp};
use ostler_core::tuning::Tuning;
use std::sync::Arc;

/// A bucket; placements have one for each pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    Nodes,
    Heads,
    Commands,
    Reports,
    Settings,
    Placements(PoolName),
}

impl Bucket {
    pub fn of(source: Source, pool: &PoolName) -> Self {
        match source {
            Source::Nodes => Self::Nodes,
            Source::Workloads => Self::Heads,
            Source::Commands => Self::Commands,
            Source::Reports => Self::Reports,
            Source::Settings => Self::Settings,
            Source::Placements => Self::Placements(pool.clone()),
        }
    }
}

/// A value, as it was written.
#[derive(Debug, Clone)]
pub enum Val {
    Node(Box<Node>),
    Head(Box<Head>),
    Command(Box<Command>),
    Report(Box<Report>),
    Manifest(Box<Manifest>),
    Progress(Box<Progress>),
    Outcomes(Vec<Outcome>),
    Brake(Timestamp),
    /// Of one pool, or of all.
    Tuning(Option<PoolName>, Box<Tuning>),
    Term(Term, usize),
}

/// One write to a key; without a value it is a marker that the key is gone.
#[derive(Debug, Clone)]
pub struct Told {
    pub key: String,
    pub revision: u64,
    pub value: Option<Val>,
}

#[derive(Debug, Default)]
pub struct Stream {
    pub last: u64,
    pub keys: BTreeMap<String, Told>,
    /// The values before the present ones, for readers of a replica that lags.
    pub before: BTreeMap<String, Told>,
}

impl Stream {
    pub fn put(&mut self, key: &str, value: Option<Val>) -> u64 {
        self.last += 1;
        let told = Told { key: key.to_owned(), revision: self.last, value };
        if let Some(old) = self.keys.insert(key.to_owned(), told) {
            self.before.insert(key.to_owned(), old);
        }
        self.last
    }

    pub fn get(&self, key: &str) -> Option<&Told> {
        self.keys.get(key).filter(|told| told.value.is_some())
    }

    /// Everything past `heard`, in the order written; what was overwritten is not there any more.
    pub fn past(&self, heard: u64) -> Vec<Told> {
        let mut told: Vec<Told> =
            self.keys.values().filter(|told| told.revision > heard).cloned().collect();
        told.sort_by_key(|told| told.revision);
        told
    }
}

#[derive(Debug, Clone)]
pub struct Lease {
    pub holder: usize,
    pub revision: u64,
    pub until: Timestamp,
}

/// What is asked of the server.
#[derive(Debug, Clone)]
pub enum Ask {
    /// To hold, or to go on holding, a lease.
    Lease {
        key: String,
        holder: usize,
        ttl: Span,
    },
    Release {
        key: String,
        holder: usize,
    },
    /// Whether a lease is there.
    LookLease {
        key: String,
    },
    /// The last revision of each source of a pool.
    Lasts {
        pool: PoolName,
    },
    Commit {
        pool: PoolName,
        after: u64,
        writes: Vec<(String, Option<Val>)>,
    },
    /// The last revision of a pool's placements, and whose term it is.
    Stand {
        pool: PoolName,
    },
    Update {
        bucket: Bucket,
        key: String,
        value: Option<Val>,
        after: Option<u64>,
    },
    Get {
        bucket: Bucket,
        key: String,
        by_leader: bool,
    },
    /// Which revision a hello has to name.
    Challenge {
        node: usize,
    },
    /// Good only while the node's record was not written since.
    Hello {
        node: usize,
        after: u64,
    },
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Answer {
    Yes(u64),
    No,
    Lasts(Vec<(Source, u64)>),
    Stand(u64, Option<(Term, usize)>),
    Got(Option<Told>),
    Welcome {
        epoch: Epoch,
        pool: PoolName,
    },
    /// Nobody knows: it may have been done, or may be done yet.
    Unknown,
}

#[derive(Debug, Default)]
pub struct Server {
    pub streams: BTreeMap<Bucket, Stream>,
    pub leases: BTreeMap<String, Lease>,
    pub specs: BTreeMap<SpecHash, Arc<Spec>>,
    pub leased: u64,
    /// Batches are taken whatever sequence they name.
    pub unfenced: bool,
}

impl Server {
    pub fn stream(&mut self, bucket: &Bucket) -> &mut Stream {
        self.streams.entry(bucket.clone()).or_default()
    }

    pub fn node(&self, name: &NodeName) -> Option<(&Node, u64)> {
        let told = self.streams.get(&Bucket::Nodes)?.get(name.as_str())?;
        match &told.value {
            Some(Val::Node(node)) => Some((node, told.revision)),
            _other => None,
        }
    }

    pub fn nodes(&self) -> Vec<Node> {
        let stream = self.streams.get(&Bucket::Nodes);
        let values = stream.into_iter().flat_map(|stream| stream.keys.values());
        let node = |told: &Told| match &told.value {
            Some(Val::Node(node)) => Some((**node).clone()),
            _other => None,
        };
        values.filter_map(node).collect()
    }

    pub fn head(&self, key: &WorkloadKey) -> Option<&Head> {
        match &self.streams.get(&Bucket::Heads)?.get(&key.token())?.value {
            Some(Val::Head(head)) => Some(head),
            _other => None,
        }
    }

    pub fn heads(&self) -> Vec<Head> {
        let stream = self.streams.get(&Bucket::Heads);
        let values = stream.into_iter().flat_map(|stream| stream.keys.values());
        let head = |told: &Told| match &told.value {
            Some(Val::Head(head)) => Some((**head).clone()),
            _other => None,
        };
        values.filter_map(head).collect()
    }

    pub fn report(&self, node: &NodeName) -> Option<&Report> {
        match &self.streams.get(&Bucket::Reports)?.get(node.as_str())?.value {
            Some(Val::Report(report)) => Some(report),
            _other => None,
        }
    }

    /// The manifests of a pool.
    pub fn manifests(&self, pool: &PoolName) -> Vec<(NodeName, Manifest)> {
        let stream = self.streams.get(&Bucket::Placements(pool.clone()));
        let values = stream.into_iter().flat_map(|stream| stream.keys.values());
        let manifest = |told: &Told| match &told.value {
            Some(Val::Manifest(manifest)) => {
                Some((told.key.parse().expect("a node's name"), (**manifest).clone()))
            }
            _other => None,
        };
        values.filter_map(manifest).collect()
    }

    pub fn term(&self, pool: &PoolName) -> Option<(Term, usize)> {
        match self.streams.get(&Bucket::Placements(pool.clone()))?.get("_term")?.value.as_ref()? {
            Val::Term(term, holder) => Some((*term, *holder)),
            _other => None,
        }
    }

    /// Leases whose time is over are not there.
    pub fn lease(&mut self, key: &str, now: Timestamp) -> Option<&Lease> {
        self.leases.retain(|_, lease| lease.until > now);
        self.leases.get(key)
    }

    pub fn hold(&mut self, key: &str, holder: usize, ttl: Span, now: Timestamp) -> Answer {
        if self.lease(key, now).is_some_and(|lease| lease.holder != holder) {
            return Answer::No;
        }
        self.leased += 1;
        let lease = Lease { holder, revision: self.leased, until: now.plus(ttl) };
        self.leases.insert(key.to_owned(), lease);
        Answer::Yes(self.leased)
    }

    /// A batch is stored whole or refused whole.
    pub fn commit(
        &mut self,
        pool: &PoolName,
        after: u64,
        writes: &[(String, Option<Val>)],
    ) -> Answer {
        let unfenced = self.unfenced;
        let stream = self.stream(&Bucket::Placements(pool.clone()));
        if stream.last != after && !unfenced {
            return Answer::No;
        }
        for (key, value) in writes {
            stream.put(key, value.clone());
        }
        Answer::Yes(stream.last)
    }

    pub fn update(
        &mut self,
        (bucket, key): (&Bucket, &str),
        value: Option<Val>,
        after: Option<u64>,
    ) -> Answer {
        let stream = self.stream(bucket);
        let last = stream.keys.get(key).map_or(0, |told| told.revision);
        match after {
            Some(after) if after != last => Answer::No,
            Some(_) | None => Answer::Yes(stream.put(key, value)),
        }
    }

    pub fn stand(&mut self, pool: &PoolName) -> Answer {
        let term = self.term(pool);
        Answer::Stand(self.stream(&Bucket::Placements(pool.clone())).last, term)
    }
}

pub fn revision(of: u64) -> Revision {
    Revision(of)
}
