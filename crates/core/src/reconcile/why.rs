//! Why an instance is not told to run, or was placed again.

/// A reason as it stands in manifests and decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Why {
    /// It runs, or nobody said.
    #[default]
    None,
    /// Fewer are wanted.
    Scaled,
    /// The workload was deleted.
    Deleted,
    /// The workload was stopped by a person.
    Stopped,
    /// A newer version replaces it.
    Updated,
    /// Its node is being emptied.
    Drain,
    /// It was ordered to move.
    Moved,
    /// Its node is lost.
    NodeLost,
    /// It ran elsewhere when its node came back.
    Replaced,
    /// The one that it replaced came back.
    Returned,
    /// A person ordered it.
    Command,
    /// Its job is done.
    Completed,
    /// It failed where it was.
    Failed,
    /// Its executor declined it.
    Declined,
    /// There is one of it too many.
    Surplus,
    /// A run of its schedule took too long.
    TimeLimit,
    /// The fleet cannot carry it.
    Infeasible,
    /// More important work needs its place.
    Preempted,
    /// To even out the nodes' use.
    Rebalanced,
}

impl Why {
    const ALL: [Self; 19] = [
        Self::None,
        Self::Scaled,
        Self::Deleted,
        Self::Stopped,
        Self::Updated,
        Self::Drain,
        Self::Moved,
        Self::NodeLost,
        Self::Replaced,
        Self::Returned,
        Self::Command,
        Self::Completed,
        Self::Failed,
        Self::Declined,
        Self::Surplus,
        Self::TimeLimit,
        Self::Infeasible,
        Self::Preempted,
        Self::Rebalanced,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Scaled => "scaled",
            Self::Deleted => "deleted",
            Self::Stopped => "stopped",
            Self::Updated => "updated",
            Self::Drain => "drain",
            Self::Moved => "moved",
            Self::NodeLost => "node_lost",
            Self::Replaced => "replaced",
            Self::Returned => "returned",
            Self::Command => "command",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Declined => "declined",
            Self::Surplus => "surplus",
            Self::TimeLimit => "time_limit",
            Self::Infeasible => "infeasible",
            Self::Preempted => "preempted",
            Self::Rebalanced => "rebalance",
        }
    }

    /// The reason that a manifest names; one of a newer version reads as none.
    pub fn read(text: &str) -> Self {
        Self::ALL.into_iter().find(|why| why.as_str() == text).unwrap_or_default()
    }
}
