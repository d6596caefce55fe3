//! The package of an instance: unpacked into its directory before its first start.

use ostler_core::instance::Spec;

use super::launch::find_user;
use super::{Launch, Means};
use crate::artifact::{Artifacts, Trust};
use crate::supervise::Blame;

/// Makes the directory of the instance from its artifact, unless it is there: that of a restart has
/// what the instance wrote. The directory has all of the artifact, or is not there.
pub(super) async fn prepare(
    means: &Means,
    artifacts: Option<&Artifacts>,
    launch: &Launch,
) -> Result<(), (String, Blame)> {
    let Some(artifact) = artifact_of(&launch.spec) else { return Ok(()) };
    let dir = means.instance_dir(launch.id);
    if dir.exists() {
        return Ok(());
    }
    let Some(artifacts) = artifacts else {
        return Err(("this executor keeps no artifacts".to_owned(), Blame::Node));
    };
    let section = launch.spec.sections.process.clone().unwrap_or_default();
    let user = find_user(&section).map_err(|error| (error.to_string(), Blame::Instance))?;
    let owner = user.map(|user| (user.uid.as_raw(), user.gid.as_raw()));
    let into = (dir.as_path(), Trust::Package(owner));
    artifacts.unpack_into(launch.id, artifact, into).await.map_err(|error| {
        let blame = if error.is_of_this_node() { Blame::Node } else { Blame::Instance };
        (error.to_string(), blame)
    })
}

fn artifact_of(spec: &Spec) -> Option<&str> {
    spec.sections.process.as_ref()?.artifact.as_deref()
}
