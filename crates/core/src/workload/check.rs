//! Whether a specification makes sense as a whole: what no single field can say of itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Workload;
use crate::document::{Path, Problem};
use crate::time::Span;

mod container;
mod life;
mod network;
mod place;
mod run;

/// Stop signals by name; `SIGRTMIN+n` besides, which whole systems use.
pub const SIGNALS: [&str; 12] = [
    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGABRT",
    "SIGALRM", "SIGCONT", "SIGWINCH", "SIGPWR",
];

const MOST_INSTANCES: u32 = 1_000_000;
const MOST_LABELS: usize = 256;
const LONGEST_LABEL_KEY: usize = 128;
const LONGEST_LABEL_VALUE: usize = 4096;
const MOST_AFTER: usize = 64;
const DAY: Span = Span::from_secs(86_400);
const MONTH: Span = Span::from_secs(31 * 86_400);
const DECADE: Span = Span::from_secs(3660 * 86_400);

impl Workload {
    /// Everything in it that makes no sense, without lines; empty for a workload that may be run.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Found::default();
        self.check_head(&mut found);
        found.labels(self);
        run::check(self, &mut found);
        network::check(self, &mut found);
        place::check(self, &mut found);
        life::check(self, &mut found);
        found.size(self);
        found.0
    }

    fn check_head(&self, found: &mut Found) {
        let count = u64::from(self.count);
        found.at_most("count", count, MOST_INSTANCES.into());
        found.at_most("priority", self.priority.into(), 100);
        found.limit(self.after.len(), MOST_AFTER, "after", "workloads");
        let mut seen = BTreeSet::new();
        for (index, name) in self.after.iter().enumerate() {
            let path = Path::from("after").index(index);
            if *name == self.name {
                found.push(&path, "a workload cannot wait for itself");
            }
            if !seen.insert(name) {
                found.push(&path, format!("`{name}` is there twice"));
            }
        }
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
struct Found(Vec<Problem>);

impl Found {
    fn push(&mut self, path: &Path, message: impl Into<String>) {
        self.0.push(Problem::new(path, message));
    }

    /// A path of keys with dots between them.
    fn say(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(Problem::new(path, message));
    }

    fn at_most(&mut self, path: &str, value: u64, most: u64) {
        if value > most {
            self.say(path, format!("{value} is too many: at most {most}"));
        }
    }

    fn limit(&mut self, length: usize, most: usize, path: &str, what: &str) {
        if length > most {
            self.say(path, format!("{length} {what} are too many: at most {most}"));
        }
    }

    /// More than `longest` is refused.
    fn span(&mut self, path: &str, span: Span, longest: Span) {
        if span > longest {
            self.say(path, format!("{span} is too long: at most {longest}"));
        }
    }

    /// Nothing, and more than `longest`, is refused.
    fn real_span(&mut self, path: &str, span: Span, longest: Span) {
        if span == Span::ZERO {
            self.say(path, "0s is too short: more than nothing");
        }
        self.span(path, span, longest);
    }

    /// Text that the operating system can take, of which something is left.
    fn words(&mut self, path: &Path, text: &str) {
        if text.is_empty() {
            self.push(path, "it is empty");
        }
        if text.contains('\0') {
            self.push(path, "it holds a NUL character");
        }
    }

    fn command(&mut self, path: &Path, command: &[String]) {
        match command.first() {
            None => self.push(path, "it is empty: a program is wanted, and its arguments"),
            Some(program) => self.words(&path.index(0), program),
        }
        for (index, argument) in command.iter().enumerate().skip(1) {
            if argument.contains('\0') {
                self.push(&path.index(index), "it holds a NUL character");
            }
        }
    }

    fn labels(&mut self, workload: &Workload) {
        self.limit(workload.labels.len(), MOST_LABELS, "labels", "labels");
        for (key, value) in &workload.labels {
            let path = Path::from("labels").key(key.as_str());
            let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
            if key.is_empty() || key.len() > LONGEST_LABEL_KEY || !key.chars().all(allowed) {
                let most = LONGEST_LABEL_KEY;
                let message = format!(
                    "a label's key is 1 to {most} of letters, digits and `.`, `_`, `-`, `/`, `:`"
                );
                self.push(&path, message);
            }
            if value.len() > LONGEST_LABEL_VALUE {
                let (long, most) = (value.len(), LONGEST_LABEL_VALUE);
                self.push(&path, format!("{long} bytes are too many: at most {most}"));
            }
        }
    }

    /// Keys of a table whose contents are not typed (yet).
    fn known_keys(
        &mut self,
        table: &str,
        entries: &BTreeMap<String, serde_json::Value>,
        known: &[&str],
    ) {
        for key in entries.keys().filter(|key| !known.contains(&key.as_str())) {
            let path = Path::from(table).key(key.as_str());
            self.0.push(crate::document::unknown_key(&path, key, known));
        }
    }

    /// What came over the bus has passed no text of bounded length.
    fn size(&mut self, workload: &Workload) {
        let length = workload.to_json().len();
        if length > super::parse::LONGEST {
            let most = super::parse::LONGEST;
            self.say("", format!("{length} bytes are too many: at most {most}"));
        }
    }
}
