//! What a head becomes: pure decisions, from what is there to what is to be written.

use ostler_core::head::Head;
use ostler_core::id::{Generation, SpecHash, Version};
use ostler_core::instance::Spec;
use ostler_core::time::Timestamp;
use ostler_core::workload::Workload;
use ostler_schemas::problem::Problem;
use ostler_schemas::wire::{Format, Wire};
use sha2::{Digest, Sha256};

use crate::refusal::conflict;

/// When, and by which operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub(super) at: Timestamp,
    pub(super) op_id: &'a str,
}

/// The content address of what executors need.
pub(super) fn hash(spec: &Spec) -> SpecHash {
    SpecHash(Sha256::digest(spec.encode(Format::Json)).into())
}

fn stamped(head: Head, stamp: &Stamp<'_>) -> Head {
    Head { updated_at: stamp.at, op_id: stamp.op_id.to_owned(), ..head }
}

fn alive(head: &Head) -> Result<(), Problem> {
    if head.deleted {
        let key = head.key();
        return Err(conflict(format!(
            "`{key}` is being deleted: it can be created again once its last instance has ended"
        )));
    }
    Ok(())
}

/// The next version of a head.
fn revised(head: &Head, spec: &Workload, stamp: &Stamp<'_>) -> Head {
    let version = head.version.next();
    let destructive = head.spec.destructive(spec);
    let next = Head {
        spec: spec.clone(),
        version,
        compatible_since: if destructive { version } else { head.compatible_since },
        spec_hash: hash(&spec.spec()),
        ..head.clone()
    };
    stamped(next, stamp)
}

/// What is left of a workload under its present head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Left {
    /// How many instances there are.
    pub(super) instances: usize,
    /// Its scheduler has confirmed that there are none and will be none.
    pub(super) rests: bool,
}

/// Creates or updates; `None`: it says the same already.
pub(super) fn put(
    head: Option<&Head>,
    spec: &Workload,
    left: Left,
    stamp: &Stamp<'_>,
) -> Result<Option<Head>, Problem> {
    let Some(head) = head else {
        return Ok(Some(Head {
            spec: spec.clone(),
            version: Version(1),
            compatible_since: Version(1),
            spec_hash: hash(&spec.spec()),
            restart_generation: Generation(0),
            reload_generation: Generation(0),
            stopped: false,
            deleted: false,
            purge: false,
            updated_at: stamp.at,
            op_id: stamp.op_id.to_owned(),
            earlier: Vec::new(),
        }));
    };
    alive(head)?;
    if head.spec == *spec {
        return Ok(None);
    }
    if head.spec.pool != spec.pool {
        may_leave(head, left)?;
    }
    Ok(Some(revised(head, spec, stamp)))
}

/// Whether it may go to another pool: its scheduler would not hear of it any more.
fn may_leave(head: &Head, Left { instances, rests }: Left) -> Result<(), Problem> {
    let (key, pool) = (head.key(), &head.spec.pool);
    if instances > 0 {
        return Err(conflict(format!(
            "`{key}` has {instances} instances in pool `{pool}`: stop it before it changes the pool"
        )));
    }
    if !rests {
        return Err(conflict(format!(
            "the scheduler of pool `{pool}` may still place `{key}`: stop it, and change the pool \
             once that is confirmed"
        )));
    }
    Ok(())
}

pub(super) fn delete(head: &Head, purge: bool, stamp: &Stamp<'_>) -> Option<Head> {
    if head.deleted && (head.purge || !purge) {
        return None;
    }
    Some(stamped(Head { deleted: true, purge: head.purge || purge, ..head.clone() }, stamp))
}

pub(super) fn scale(head: &Head, count: u32, stamp: &Stamp<'_>) -> Result<Option<Head>, Problem> {
    alive(head)?;
    if head.spec.count == count {
        return Ok(None);
    }
    Ok(Some(revised(head, &Workload { count, ..head.spec.clone() }, stamp)))
}

pub(super) fn restart(head: &Head, stamp: &Stamp<'_>) -> Result<Option<Head>, Problem> {
    alive(head)?;
    let restart_generation = head.restart_generation.next();
    Ok(Some(stamped(Head { restart_generation, ..head.clone() }, stamp)))
}

pub(super) fn reload(head: &Head, stamp: &Stamp<'_>) -> Result<Option<Head>, Problem> {
    alive(head)?;
    let reload_generation = head.reload_generation.next();
    Ok(Some(stamped(Head { reload_generation, ..head.clone() }, stamp)))
}

pub(super) fn stop(head: &Head, stamp: &Stamp<'_>) -> Result<Option<Head>, Problem> {
    alive(head)?;
    Ok((!head.stopped).then(|| stamped(Head { stopped: true, ..head.clone() }, stamp)))
}

pub(super) fn start(head: &Head, stamp: &Stamp<'_>) -> Result<Option<Head>, Problem> {
    alive(head)?;
    Ok(head.stopped.then(|| stamped(Head { stopped: false, ..head.clone() }, stamp)))
}

/// What changed, in a few words.
pub(super) fn difference(before: &Head, after: &Head) -> String {
    if before.spec.count != after.spec.count {
        return format!("count {} → {}", before.spec.count, after.spec.count);
    }
    match (before.version, after.version) {
        (old, new) if old == new => String::new(),
        (old, new) if after.compatible_since == new => {
            format!("version {old} → {new}, its instances are replaced")
        }
        (old, new) => format!("version {old} → {new}, its instances stay"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_core::workload::from_toml;

    const TWO: Left = Left { instances: 2, rests: false };
    const GONE: Left = Left { instances: 0, rests: true };
    const STAMP: Stamp<'static> = Stamp { at: Timestamp::from_millis(5), op_id: "op" };

    fn workload(more: &str) -> Workload {
        let text = format!("name = \"web\"\ndriver = \"sim\"\n{more}");
        from_toml(&text).expect("it is right")
    }

    fn head(more: &str) -> Head {
        put(None, &workload(more), GONE, &STAMP).expect("it is new").expect("it is written")
    }

    #[test]
    fn the_same_text_again_is_no_new_version() {
        assert_eq!(put(Some(&head("count = 2")), &workload("count = 2"), TWO, &STAMP), Ok(None));
    }

    #[test]
    fn a_change_that_needs_no_new_instance_keeps_the_old_ones_up_to_date() {
        let next = put(Some(&head("")), &workload("priority = 60"), TWO, &STAMP);
        let next = next.expect("allowed").expect("changed");
        assert_eq!((next.version, next.compatible_since), (Version(2), Version(1)));
    }

    #[test]
    fn a_change_of_what_runs_needs_new_instances() {
        let next = put(Some(&head("")), &workload("[resources]\ncpu = 200"), TWO, &STAMP);
        let next = next.expect("allowed").expect("changed");
        assert_eq!((next.version, next.compatible_since), (Version(2), Version(2)));
        assert_ne!(next.spec_hash, head("").spec_hash);
    }

    #[test]
    fn the_pool_changes_only_without_instances() {
        let (old, new) = (head(""), workload("pool = \"edge\""));
        assert!(put(Some(&old), &new, TWO, &STAMP).is_err());
        assert!(put(Some(&old), &new, GONE, &STAMP).is_ok());
    }

    #[test]
    fn a_pool_that_lags_could_place_what_had_gone_to_another_and_been_forgotten() {
        let unconfirmed = Left { instances: 0, rests: false };
        let moved = put(Some(&head("")), &workload("pool = \"edge\""), unconfirmed, &STAMP);
        assert!(moved.is_err_and(|problem| problem.detail.contains("confirmed")));
    }

    #[test]
    fn what_is_being_deleted_takes_no_change_but_deletion() {
        let gone = delete(&head(""), false, &STAMP).expect("deleted");
        assert!(put(Some(&gone), &workload("count = 9"), GONE, &STAMP).is_err());
        assert!(scale(&gone, 3, &STAMP).is_err());
        assert_eq!(delete(&gone, false, &STAMP), None);
        assert!(delete(&gone, true, &STAMP).is_some_and(|head| head.purge));
    }

    #[test]
    fn scaling_is_a_new_text_with_the_same_instances() {
        let next = scale(&head("count = 3"), 30, &STAMP).expect("allowed").expect("changed");
        assert_eq!((next.version, next.compatible_since), (Version(2), Version(1)));
        assert_eq!(next.spec_hash, head("").spec_hash);
        assert_eq!(scale(&next, 30, &STAMP), Ok(None));
    }
}
