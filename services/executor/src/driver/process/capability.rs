//! Capabilities by name.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// The set of these names; an unknown one is named.
pub(super) fn set(names: &[String]) -> Result<u64, String> {
    let one = |name: &String| {
        let known = name.strip_prefix("CAP_").and_then(CapabilitySet::from_name);
        known.map(|set| set.bits()).ok_or_else(|| format!("there is no capability `{name}`"))
    };
    names.iter().try_fold(0, |all, name| Ok(all | one(name)?))
}

fn each(bits: u64) -> impl Iterator<Item = CapabilitySet> {
    CapabilitySet::all().iter().filter(move |one| one.bits() & bits != 0)
}

/// Nothing but these can be had from now on, by whatever program.
pub(super) fn bound(kept: u64) -> io::Result<()> {
    for one in each(!kept) {
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // A kernel that does not know it does not give it.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            // Who has no right to remove it is not root, and gets none by an exec.
            Err(rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Has these, and hands them on to the program that is run.
pub(super) fn keep(kept: u64) -> io::Result<()> {
    let has = rustix::thread::capabilities(None)?.permitted;
    let set = CapabilitySet::from_bits_truncate(kept);
    if !has.contains(set) {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let sets = CapabilitySets { effective: set, permitted: set, inheritable: set };
    rustix::thread::set_capabilities(None, sets)?;
    for one in each(kept) {
        rustix::thread::configure_capability_in_ambient_set(one, true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_known_by_name() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let both = set(&names(&["CAP_NET_BIND_SERVICE", "CAP_CHOWN"])).expect("known");
        assert_eq!(both, (1 << 10) | 1);
        let wrong = set(&names(&["CAP_FLY"])).expect_err("unknown");
        assert!(wrong.contains("`CAP_FLY`"), "{wrong}");
    }
}
