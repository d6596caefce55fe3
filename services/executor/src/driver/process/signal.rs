//! Signals by name.

/// The number of a signal that a specification names; `None` if there is none such here.
#[must_use]
pub fn signal_number(name: &str) -> Option<i32> {
    Some(match name {
        "SIGHUP" => libc::SIGHUP,
        "SIGINT" => libc::SIGINT,
        "SIGQUIT" => libc::SIGQUIT,
        "SIGABRT" => libc::SIGABRT,
        "SIGKILL" => libc::SIGKILL,
        "SIGUSR1" => libc::SIGUSR1,
        "SIGUSR2" => libc::SIGUSR2,
        "SIGALRM" => libc::SIGALRM,
        "SIGTERM" => libc::SIGTERM,
        "SIGCONT" => libc::SIGCONT,
        "SIGSTOP" => libc::SIGSTOP,
        "SIGTSTP" => libc::SIGTSTP,
        "SIGWINCH" => libc::SIGWINCH,
        "SIGPWR" => libc::SIGPWR,
        "SIGIO" => libc::SIGIO,
        "SIGURG" => libc::SIGURG,
        "SIGRTMIN" => libc::SIGRTMIN(),
        other => libc::SIGRTMIN() + other.strip_prefix("SIGRTMIN+")?.parse::<i32>().ok()?,
    })
}
