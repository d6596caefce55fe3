//! Counters as types: a term is no epoch and a version is no revision.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! counter {
    ($(#[$doc:meta])* $type:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $type(pub $inner);

        impl $type {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counter!(
    /// Which life of a node's executor, from 1.
    Epoch(u64)
);
counter!(
    /// Which reign of a pool's leader, from 1; 0 before the first.
    Term(u64)
);
counter!(
    /// A stream sequence, or a counter of writes; 0 before the first.
    Revision(u64)
);
counter!(
    /// Which text of a workload, from 1.
    Version(u32)
);
counter!(
    /// How often an instance was told to restart in place; a restart adds 1.
    Generation(u64)
);
counter!(
    /// The index of an instance in its workload, from 0; reused by replacements.
    Slot(u32)
);
