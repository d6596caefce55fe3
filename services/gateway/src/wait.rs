//! `?wait=`: the answer is held back until the outcome is there, or the time is over.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use ostler_core::id::WorkloadKey;
use ostler_core::time::Span;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_service::clock;

use crate::answer::{Accepted, Answer};
use crate::api::parameters::Changing;
use crate::extract::Asker;

/// How often the state is asked for.
const POLL: Duration = Duration::from_millis(200);

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// What was asked for is so.
    Settled,
    /// The time was over first.
    Expired,
    /// It will not be so: the update failed, or another version is in force by now.
    Overtaken,
}

impl Ended {
    /// 200 only for what is as it was asked for.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Settled => StatusCode::OK,
            Self::Expired | Self::Overtaken => StatusCode::ACCEPTED,
        }
    }
}

/// Whether what is there will not become what was asked for by `version`.
#[must_use]
pub fn overtaken(view: &pb::WorkloadView, version: u32) -> bool {
    let failed = view.status.as_ref().is_some_and(|status| !status.update_failed.is_empty());
    view.version != version || failed && !view.deleted && !view.stopped
}

/// Whether a workload is as wanted: everything is ready, or has ended where nothing is wanted.
#[must_use]
pub fn settled(view: &pb::WorkloadView) -> bool {
    let status = view.status.clone().unwrap_or_default();
    if view.deleted || view.stopped {
        return status.running == 0;
    }
    let kind = view.spec.as_ref().map(|spec| spec.kind.as_str()).unwrap_or_default();
    if kind == "job" {
        return status.completed.saturating_add(status.failed) >= status.wanted;
    }
    !status.updating
        && status.unplaced == 0
        && status.ready == status.wanted
        && status.running == status.wanted
}

/// Waits for a workload; one that is gone meanwhile is settled. Returns what was seen last.
pub async fn workload(
    asker: &Asker,
    key: &WorkloadKey,
    within: Span,
    mut last: pb::WorkloadView,
) -> Answer<(pb::WorkloadView, Ended)> {
    let began = clock::instant();
    let within: Duration = within.min(asker.app().config().max_wait).into();
    let version = last.version;
    while clock::since(began) < within {
        tokio::time::sleep(POLL).await;
        let request =
            pb::WorkloadGet { namespace: key.namespace.to_string(), name: key.name.to_string() };
        match asker.ask(request).await {
            Ok(view) if overtaken(&view, version) => return Ok((view, Ended::Overtaken)),
            Ok(view) if settled(&view) => return Ok((view, Ended::Settled)),
            Ok(view) => last = view,
            Err(refusal) => match refusal.problem().code {
                Code::NotFound => return Ok((last, Ended::Settled)),
                // The change was made: that the state is not known for a moment is no failure.
                Code::Unavailable | Code::Timeout => {}
                _ => return Err(refusal),
            },
        }
    }
    Ok((last, Ended::Expired))
}

/// The generations of a workload's instances, by id.
pub async fn generations(asker: &Asker, key: &WorkloadKey) -> Answer<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let mut cursor = Some(String::new());
    while let Some(from) = cursor {
        let request = pb::InstanceList {
            namespace: key.namespace.to_string(),
            workload: key.name.to_string(),
            limit: 1000,
            cursor: from,
            ..Default::default()
        };
        let page = asker.ask(request).await?;
        found.extend(page.items.into_iter().map(|instance| (instance.id, instance.generation)));
        cursor = page.next_cursor;
    }
    Ok(found)
}

/// Waits until every instance of `before` has been restarted or is gone. Returns what is left of
/// the time.
pub async fn restarted(
    asker: &Asker,
    key: &WorkloadKey,
    before: &BTreeMap<String, u64>,
    within: Span,
) -> Answer<Span> {
    let began = clock::instant();
    let within: Duration = within.min(asker.app().config().max_wait).into();
    loop {
        let left = within.saturating_sub(clock::since(began));
        let now = generations(asker, key).await?;
        let same = |(id, generation): (&String, &u64)| now.get(id).is_some_and(|n| n <= generation);
        if left.is_zero() || !before.iter().any(same) {
            return Ok(Span::from_millis(u64::try_from(left.as_millis()).unwrap_or_default()));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Answers 202 with a command; where the caller waits, once it is done or refused, or with what was
/// seen last. A command that was only tried is 200.
pub async fn accepted(
    asker: &Asker,
    params: &Changing,
    mut last: pb::CommandView,
) -> Answer<Response> {
    if params.dry_run {
        return Ok(Json(last).into_response());
    }
    let began = clock::instant();
    let within: Duration =
        params.wait.unwrap_or_default().min(asker.app().config().max_wait).into();
    while clock::since(began) < within && !matches!(last.state.as_str(), "done" | "refused") {
        tokio::time::sleep(POLL).await;
        match asker.ask(pb::CommandGet { id: last.id.clone() }).await {
            Ok(view) => last = view,
            Err(refusal) => match refusal.problem().code {
                Code::NotFound | Code::Unavailable | Code::Timeout => {}
                _ => return Err(refusal),
            },
        }
    }
    Ok(Accepted(last).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `wanted/running/ready`, and words: updating, stopped, deleted, job.
    fn check(numbers: [u32; 3], words: &str, expected: bool) {
        let [wanted, running, ready] = numbers;
        let has = |word: &str| words.split(' ').any(|w| w == word);
        let kind = if has("job") { "job" } else { "service" }.to_owned();
        let status = pb::WorkloadStatus {
            wanted,
            running,
            ready,
            updating: has("updating"),
            unplaced: u32::from(has("unplaced")),
            completed: if has("completed") { wanted } else { 0 },
            ..Default::default()
        };
        let view = pb::WorkloadView {
            spec: Some(pb::WorkloadSpec { kind, ..Default::default() }),
            status: Some(status),
            stopped: has("stopped"),
            deleted: has("deleted"),
            ..Default::default()
        };
        assert_eq!(settled(&view), expected, "{numbers:?} {words}");
    }

    #[test]
    fn a_reverted_version_was_taken_for_the_one_that_was_put() {
        let view = |version, failed: &str| pb::WorkloadView {
            version,
            status: Some(pb::WorkloadStatus {
                update_failed: failed.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        for (view, version, expected) in [
            (view(2, ""), 2, false),
            (view(3, ""), 2, true),
            (view(2, "slot 0 failed"), 2, true),
            (pb::WorkloadView { stopped: true, ..view(2, "slot 0 failed") }, 2, false),
        ] {
            assert_eq!(overtaken(&view, version), expected, "{view:?}");
        }
        assert_eq!(Ended::Overtaken.status(), StatusCode::ACCEPTED);
    }

    #[test]
    fn a_workload_is_settled_when_what_is_wanted_is_so() {
        check([3, 3, 3], "", true);
        check([3, 3, 2], "", false);
        check([3, 4, 3], "", false);
        check([3, 3, 3], "updating", false);
        check([3, 3, 3], "unplaced", false);
        check([0, 0, 0], "", true);
        check([3, 1, 1], "stopped", false);
        check([3, 0, 0], "stopped", true);
        check([3, 2, 2], "deleted", false);
        check([3, 3, 3], "job", false);
        check([3, 0, 0], "job completed", true);
    }
}
