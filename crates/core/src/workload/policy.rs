//! What happens when instances end, are replaced, or are stopped.

use serde::{Deserialize, Serialize};

use crate::resources::Bytes;
use crate::time::Span;

/// A wait that doubles from `initial` to `max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The first wait.
    #[serde(default = "second")]
    pub initial: Span,
    /// The longest wait; if absent, the policy's own (180 s on the node, 5 m across nodes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
}

fn second() -> Span {
    Span::from_secs(1)
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: second(), max: None }
    }
}

impl Backoff {
    /// How long to wait after `failures` failures in a row (0 waits `initial`), at most `max` or,
    /// where that is absent, `longest`.
    #[must_use]
    pub fn after(&self, failures: u32, longest: Span) -> Span {
        self.initial.doubled(failures, self.max.unwrap_or(longest))
    }
}

/// On the same node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// How many restarts in `window` before the instance counts as failed; 0: none, −1: no limit.
    pub attempts: i32,
    /// The window in which attempts are counted.
    pub window: Span,
    /// The wait before each restart; at most 180 s by default.
    pub backoff: Backoff,
    /// Exit codes that end the instance by its own choice.
    pub never_on_exit: Vec<i32>,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            attempts: 3,
            window: Span::from_secs(30 * 60),
            backoff: Backoff::default(),
            never_on_exit: vec![26],
        }
    }
}

/// What becomes of instances whose node is lost.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum OnNodeLoss {
    /// They are started elsewhere.
    #[default]
    Restart,
    /// They are waited for.
    Wait,
    /// They are started elsewhere once the node has surely killed them.
    Fence,
}

/// On another node, after restarts on the same one are spent or the node is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reschedule {
    /// The wait before each next node; at most 5 m by default.
    pub backoff: Backoff,
    /// What becomes of instances whose node is lost.
    pub on_node_loss: OnNodeLoss,
    /// How long a lost node's instance is waited for.
    pub disconnected_for: Span,
}

/// What becomes of a run of a schedule that nobody could begin in time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// It is left out.
    #[default]
    Skip,
    /// One run makes up for all that were missed.
    Run,
}

/// When a workload of kind `cron` runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cron {
    /// Five fields from minutes to weekdays, or six with seconds before them.
    pub schedule: String,
    /// A name such as `Europe/Berlin`; UTC if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// What becomes of a run that was missed.
    pub missed: Missed,
    /// A run that takes longer is ended; no limit if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Span>,
}

/// How a new version replaces the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// How many are replaced at a time; 0: all at once.
    pub max_parallel: u32,
    /// How long one must be ready before the next is replaced.
    pub min_ready: Span,
    /// How many extra of the new version wait for `promote`.
    pub canary: u32,
    /// Whether a failed update goes back to the last good version.
    pub auto_revert: bool,
    /// How long a replacement may take to become ready.
    pub deadline: Span,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            max_parallel: 1,
            min_ready: Span::from_secs(5),
            canary: 0,
            auto_revert: true,
            deadline: Span::from_secs(300),
        }
    }
}

/// How an instance is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// The signal that asks it to end.
    pub signal: String,
    /// How long it may take before it is killed.
    pub grace: Span,
    /// How long one that was ready goes on, as an endpoint no more, before it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Span>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "SIGTERM".to_owned(), grace: Span::from_secs(30), drain: None }
    }
}

/// When an instance sleeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sleep {
    /// After how long without use; never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_after: Option<Span>,
    /// Whether the first connection wakes it.
    pub on_demand: bool,
}

/// When an instance is renewed though it works.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recycle {
    /// At this age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// At this much resident memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rss: Option<Bytes>,
}

/// How output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// A file is rotated at this size.
    pub max_size: Bytes,
    /// How many files are kept.
    pub max_files: u32,
    /// How long they are kept.
    pub max_age: Span,
}

impl Default for Logs {
    fn default() -> Self {
        Self { max_size: Bytes::from_mib(10), max_files: 10, max_age: Span::from_secs(7 * 86_400) }
    }
}
