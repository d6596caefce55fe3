//! Users by name, looked up before the fork: afterwards nothing may allocate.

use std::ffi::{CStr, CString};

use rustix::process::{Gid, Uid};

/// Who runs an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: Uid,
    /// The main group.
    pub gid: Gid,
    /// All groups.
    pub groups: Vec<Gid>,
}

/// The user of this name, or `None` if there is none such.
#[must_use]
pub fn find(name: &str) -> Option<User> {
    let name = CString::new(name).ok()?;
    let (uid, gid) = entry(&name)?;
    Some(User { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups: groups(&name, gid) })
}

/// Who the executor is.
#[must_use]
pub fn own() -> User {
    let groups = rustix::process::getgroups().unwrap_or_default();
    User { uid: rustix::process::geteuid(), gid: rustix::process::getegid(), groups }
}

/// The group of this name, or `None` if there is none such.
#[must_use]
#[expect(unsafe_code, reason = "groups may come from any name service, and only libc asks them")]
pub fn group(name: &str) -> Option<Gid> {
    let name = CString::new(name).ok()?;
    let mut text = vec![0; 64 * 1024];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are to live memory of the length given; `found` is null or `&entry`.
    unsafe {
        let mut entry: libc::group = std::mem::zeroed();
        let rc = libc::getgrnam_r(
            name.as_ptr(),
            &raw mut entry,
            text.as_mut_ptr(),
            text.len(),
            &raw mut found,
        );
        (rc == 0 && !found.is_null()).then_some(Gid::from_raw(entry.gr_gid))
    }
}

#[expect(unsafe_code, reason = "users may come from any name service, and only libc asks them")]
fn entry(name: &CStr) -> Option<(u32, u32)> {
    let mut text = vec![0; 16 * 1024];
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are to live memory of the length given; `found` is null or `&entry`.
    unsafe {
        let mut entry: libc::passwd = std::mem::zeroed();
        let rc = libc::getpwnam_r(
            name.as_ptr(),
            &raw mut entry,
            text.as_mut_ptr(),
            text.len(),
            &raw mut found,
        );
        (rc == 0 && !found.is_null()).then_some((entry.pw_uid, entry.pw_gid))
    }
}

#[expect(unsafe_code, reason = "groups may come from any name service, and only libc asks them")]
fn groups(name: &CStr, gid: u32) -> Vec<Gid> {
    let mut found = vec![0; 256];
    let mut count = i32::try_from(found.len()).expect("256 fits");
    // SAFETY: `found` has room for `count` groups, and at most so many are written.
    let known =
        unsafe { libc::getgrouplist(name.as_ptr(), gid, found.as_mut_ptr(), &raw mut count) };
    let count = usize::try_from(if known < 0 { 1 } else { count }).unwrap_or(1);
    if known < 0 {
        found[0] = gid;
    }
    found.into_iter().take(count).map(Gid::from_raw).collect()
}
