//! Facts that only the operator's own commands can find out: each is a label of the node.
//!
//! Asked when the executor begins, and every ten seconds from then on; each has five. A node whose
//! labels have changed says hello again, no more often than once a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ostler_service::clock;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::ask::{Asked, ask};
use crate::shared::Shared;

/// How long an answer is good.
const EVERY: Duration = Duration::from_secs(10);
/// How long a command may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Hellos for new labels are at least so far apart.
const APART: Duration = Duration::from_secs(60);
/// So long may a label's value be, in bytes.
const VALUE: usize = 63;

/// Commands, by the label that they find out.
pub type Predicates = BTreeMap<String, Vec<String>>;
/// What they found out.
pub(crate) type Labels = BTreeMap<String, String>;

/// What the commands say, side by side: the first line that is printed, or `true`, where one
/// succeeds, `false` where it fails. One that cannot be run or does not answer says nothing; why.
async fn asked(predicates: &Predicates) -> BTreeMap<String, Result<String, String>> {
    let each = predicates.iter().map(|(label, words)| async move {
        let value = match ask(words, WITHIN).await {
            Asked::Yes(printed) => Ok(first_line(&printed).unwrap_or_else(|| "true".to_owned())),
            Asked::No(_) => Ok("false".to_owned()),
            Asked::Silent(why) => Err(why),
        };
        (label.clone(), value)
    });
    futures::future::join_all(each).await.into_iter().collect()
}

/// What they found out.
pub(crate) async fn answers(predicates: &Predicates) -> Labels {
    let known = asked(predicates).await.into_iter();
    known.filter_map(|(label, value)| Some((label, value.ok()?))).collect()
}

fn first_line(printed: &str) -> Option<String> {
    let line = printed.lines().next()?.trim();
    let end = (0..=VALUE.min(line.len())).rev().find(|at| line.is_char_boundary(*at))?;
    (end > 0).then(|| line[..end].to_owned())
}

/// Asks again and again until stopped; nothing if there is nothing to ask.
pub(crate) async fn keep(predicates: Predicates, shared: Arc<Shared>, stop: CancellationToken) {
    let (mut told, mut silent): (Option<Instant>, BTreeSet<String>) = Default::default();
    while !predicates.is_empty() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let mut found = Labels::new();
        for (label, value) in asked(&predicates).await {
            match value {
                Ok(value) => {
                    silent.remove(&label);
                    found.insert(label, value);
                }
                Err(why) if silent.insert(label.clone()) => {
                    warn!("the label `{label}` is not known: {why}");
                }
                Err(_) => {}
            }
        }
        if found == shared.labels() || told.is_some_and(|at| clock::since(at) < APART) {
            continue;
        }
        info!("the labels of this node have changed: {found:?}");
        told = Some(clock::instant());
        shared.labelled(found);
        shared.relabelled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_a_label_by_what_it_prints_or_how_it_ends() {
        let words = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
        let long = format!("printf|{}", "é".repeat(40));
        let predicates: Predicates = [
            ("yes", "true"),
            ("no", "false"),
            ("printed", "printf|a100\\nmore\\n"),
            ("long", long.as_str()),
            ("missing", "/no/such/program"),
            ("late", "sleep|60"),
        ]
        .map(|(label, line)| (label.to_owned(), words(line)))
        .into();
        let long = "é".repeat(31);
        let want = [("long", long.as_str()), ("no", "false"), ("printed", "a100"), ("yes", "true")];
        let want: Labels = want.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(answers(&predicates).await, want);
    }
}
