//! A timer of the kernel's that kills this process.

use std::io;

/// Sends SIGKILL to this process at a time since boot, suspends included; works also while the
/// process is stopped. Gone with the process, and with an exec.
#[derive(Debug)]
pub(super) struct Timer(libc::timer_t);

impl Timer {
    /// One that is not set.
    #[expect(unsafe_code, reason = "timer_create has no wrapper")]
    pub(super) fn new() -> io::Result<Self> {
        let mut id = std::ptr::null_mut();
        // SAFETY: all zeroes is a valid `sigevent`; both pointers are to live memory.
        let made = unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = libc::SIGKILL;
            libc::timer_create(libc::CLOCK_BOOTTIME, &raw mut event, &raw mut id)
        };
        if made == 0 { Ok(Self(id)) } else { Err(io::Error::last_os_error()) }
    }

    /// To fire at so many nanoseconds since boot, and not before.
    #[expect(unsafe_code, reason = "timer_settime has no wrapper")]
    pub(super) fn set(&mut self, at: u64) -> io::Result<()> {
        let second = 1_000_000_000;
        let value = libc::timespec {
            tv_sec: i64::try_from(at / second).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at % second).expect("less than a second"),
        };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let when = libc::itimerspec { it_interval: never, it_value: value };
        // SAFETY: the timer is ours, and `when` is read before this returns.
        let set = unsafe {
            libc::timer_settime(self.0, libc::TIMER_ABSTIME, &raw const when, std::ptr::null_mut())
        };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
