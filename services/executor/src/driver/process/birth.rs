//! Starts a program without copying the executor: until it is another program the child borrows the
//! executor's memory, on a stack of its own, and the thread that started it waits.
//!
//! A `fork` copies the page tables of a program with many threads and holds all of them up, and the
//! table of its files, which has two for each instance and is closed one by one. What is promised: the
//! child is in its group of version 2 from its first moment, its pidfd is its own, and it has no file
//! of ours.
//! What is refused: a child that becomes another user. It would share memory with the executor while
//! it is somebody else's process, so it is forked.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// What the child does to itself before it is another program. Only system calls; on an error it is
/// none.
pub(super) type Step = Box<dyn FnMut() -> io::Result<()> + Send + Sync>;

/// Why nothing was born.
#[derive(Debug)]
pub(super) enum Stillborn {
    /// The kernel cannot, or may not; it has to be forked.
    CannotBorrow,
    /// It could not become the program.
    Failed(io::Error),
}

/// What is run, in the words of the kernel.
struct Image {
    /// Where the program may be; the first that can be run is.
    places: Vec<CString>,
    _words: Vec<CString>,
    argv: Vec<*const c_char>,
    /// `/bin/sh`, the place, and all words but the first: for a script that does not say who reads it.
    script: Vec<*const c_char>,
    _environment: Vec<CString>,
    envp: Vec<*const c_char>,
    dir: CString,
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Where a program of this name may be.
fn places(program: &[u8], path: Option<&[u8]>) -> io::Result<Vec<CString>> {
    if program.contains(&b'/') {
        return Ok(vec![text(program)?]);
    }
    let dirs = path.unwrap_or(b"/bin:/usr/bin").split(|byte| *byte == b':');
    let dirs = dirs.map(|dir| if dir.is_empty() { b".".as_slice() } else { dir });
    dirs.map(|dir| text(&[dir, b"/", program].concat())).collect()
}

impl Image {
    fn of(command: &Command, dir: &Path) -> io::Result<Self> {
        let program = command.get_program().as_bytes();
        let words = std::iter::once(program).chain(command.get_args().map(OsStrExt::as_bytes));
        let words: Vec<CString> = words.map(text).collect::<io::Result<_>>()?;
        let set: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
        let environment = set
            .iter()
            .map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()));
        let environment: Vec<CString> = environment.collect::<io::Result<_>>()?;
        let path = set.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| path.as_bytes());
        let argv = pointers(&words);
        let mut script = vec![c"/bin/sh".as_ptr(), std::ptr::null()];
        script.extend(&argv[1..]);
        Ok(Self {
            places: places(program, path)?,
            argv,
            script,
            envp: pointers(&environment),
            _words: words,
            _environment: environment,
            dir: text(dir.as_os_str().as_bytes())?,
        })
    }

    /// Becomes it; returns only if it cannot.
    #[expect(unsafe_code, reason = "the executor's memory is borrowed, so it is `execve` itself")]
    fn run(&mut self) -> c_int {
        let mut error = libc::ENOENT;
        for place in &self.places {
            // SAFETY: all pointers are to texts that live in `self`, and each list ends with null.
            unsafe { libc::execve(place.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
            match errno() {
                libc::ENOEXEC => {
                    self.script[1] = place.as_ptr();
                    // SAFETY: as above.
                    unsafe {
                        libc::execve(c"/bin/sh".as_ptr(), self.script.as_ptr(), self.envp.as_ptr())
                    };
                    return errno();
                }
                libc::ENOENT | libc::ENOTDIR => {}
                // Another place may have one that may be run.
                libc::EACCES => error = libc::EACCES,
                other => return other,
            }
        }
        error
    }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL)
}

/// What parent and child share.
struct Cradle {
    image: Image,
    streams: [CString; 3],
    steps: Vec<Step>,
    error: c_int,
    /// The kernel cannot do what this needs.
    refused: bool,
    /// It came as far as its first step.
    began: bool,
}

impl Cradle {
    #[expect(unsafe_code, reason = "none of these has a wrapper that may be called here")]
    fn become_it(&mut self) -> c_int {
        self.began = true;
        let one = self.steps.len().min(1);
        let (first, others) = self.steps.split_at_mut(one);
        for step in first {
            if let Err(error) = step() {
                return error.raw_os_error().unwrap_or(libc::EINVAL);
            }
        }
        // Only now is the table of files its own: of a copy that ends at 3 no other is made.
        // SAFETY: no memory is passed.
        let all = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, UNSHARE) };
        if all != 0 {
            self.refused = true;
            return errno();
        }
        for (path, number) in self.streams.iter().zip(0..) {
            let error = take_stream(path, number);
            if error != 0 {
                return error;
            }
        }
        if let Err(error) = rustix::process::chdir(self.image.dir.as_c_str()) {
            return error.raw_os_error();
        }
        for step in others {
            if let Err(error) = step() {
                return error.raw_os_error().unwrap_or(libc::EINVAL);
            }
        }
        for signal in 1..=libc::SIGRTMAX() {
            // SAFETY: handlers of the executor's are only taken away, from a table that is the
            // child's own; those that cannot be set are refused.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        let mut none = std::mem::MaybeUninit::uninit();
        // SAFETY: the set is made by the first call and read by the second.
        unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        }
        self.image.run()
    }
}

/// The child's first function; it never returns.
#[expect(unsafe_code, reason = "it is called with a pointer and may not unwind")]
extern "C" fn begin(cradle: *mut c_void) -> ! {
    // SAFETY: the parent waits and does not touch it meanwhile.
    let cradle = unsafe { &mut *cradle.cast::<Cradle>() };
    cradle.error = cradle.become_it();
    // SAFETY: ends the child and nothing else.
    unsafe { libc::_exit(127) }
}

/// A child that begins in a group of version 2.
const INTO_CGROUP: u64 = 0x2_0000_0000;
/// As much stack as a child's steps may need.
const STACK: usize = 64 * 1024;

/// `CLOSE_RANGE_UNSHARE`.
const UNSHARE: u32 = 2;

/// Opens a file, the first for reading, as a stream of the child; 0, or why not.
#[expect(unsafe_code, reason = "the standard library's files allocate, and are closed on exec")]
fn take_stream(path: &CStr, number: c_int) -> c_int {
    let flags = match number {
        0 => libc::O_RDONLY,
        _ => libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT,
    };
    // SAFETY: the path lives in the cradle.
    let opened = unsafe { libc::open(path.as_ptr(), flags, 0o640) };
    if opened < 0 {
        return errno();
    }
    if opened == number {
        return 0;
    }
    // SAFETY: no memory is passed.
    let moved = unsafe { libc::dup2(opened, number) };
    let error = if moved < 0 { errno() } else { 0 };
    // SAFETY: it was opened above, and nobody else has it.
    unsafe { libc::close(opened) };
    error
}

/// Starts it in `dir`, with these files as its streams; output is added to them. The first step may
/// use files of ours, the others have none. The child's pid, and its pidfd.
pub(super) fn spawn(
    (command, dir): (&Command, &Path),
    streams: [&Path; 3],
    steps: Vec<Step>,
    group: Option<BorrowedFd<'_>>,
) -> Result<(u32, OwnedFd), Stillborn> {
    let path = |path: &Path| text(path.as_os_str().as_bytes()).map_err(Stillborn::Failed);
    let [input, output, errors] = streams.map(path);
    let streams = [input?, output?, errors?];
    let image = Image::of(command, dir).map_err(Stillborn::Failed)?;
    let mut cradle = Cradle { image, streams, steps, error: 0, refused: false, began: false };
    let (pid, pidfd) = clone_into(&mut cradle, group).map_err(|error| {
        let impossible = [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::EOPNOTSUPP, libc::EACCES];
        match error.raw_os_error() {
            Some(number) if impossible.contains(&number) => Stillborn::CannotBorrow,
            Some(_) | None => Stillborn::Failed(error),
        }
    })?;
    if cradle.error == 0 && cradle.began {
        return Ok((pid, pidfd));
    }
    // It has ended; nobody else may be given its number before it is taken note of.
    let ended = rustix::process::WaitIdOptions::EXITED;
    rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd.as_fd()), ended).ok();
    // Linux 6.14 and later end at once what is born into a group in which all was killed before.
    if cradle.refused || !cradle.began {
        return Err(Stillborn::CannotBorrow);
    }
    Err(Stillborn::Failed(io::Error::from_raw_os_error(cradle.error)))
}

/// Lets the child run until it is another program, or has failed.
#[expect(unsafe_code, reason = "nothing else starts a child on borrowed memory in a group")]
fn clone_into(cradle: &mut Cradle, group: Option<BorrowedFd<'_>>) -> io::Result<(u32, OwnedFd)> {
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / 16);
    let mut pidfd: c_int = -1;
    // SAFETY: all zeroes is a valid `clone_args`.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_PIDFD;
    args.flags = u64::try_from(flags).expect("they are small");
    args.pidfd = (&raw mut pidfd).addr() as u64;
    args.exit_signal = u64::try_from(libc::SIGCHLD).expect("it is small");
    args.stack = stack.as_mut_ptr().addr() as u64;
    args.stack_size = STACK as u64;
    if let Some(group) = group {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::try_from(group.as_raw_fd()).expect("it is open");
    }
    let (mut all, mut before) = (std::mem::MaybeUninit::uninit(), std::mem::MaybeUninit::uninit());
    // SAFETY: no handler of the executor's may run in the child. The stack, the cradle and the
    // arguments live until the child has ended or is another program, since the kernel holds this
    // thread up until then.
    let got = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        let got = clone3(&args, begin, std::ptr::from_mut(cradle).cast());
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        got
    };
    drop(stack);
    let failed = || i32::try_from(-got).unwrap_or(libc::EINVAL);
    let pid = u32::try_from(got).map_err(|_| io::Error::from_raw_os_error(failed()))?;
    // SAFETY: the kernel has just opened it for us.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// The system call: its number or its negative error in the parent, `begin` in the child.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the C library has no call that changes the stack")]
unsafe fn clone3(
    args: &libc::clone_args,
    begin: extern "C" fn(*mut c_void) -> !,
    cradle: *mut c_void,
) -> i64 {
    let got: i64;
    // SAFETY: the kernel reads `args`; the child calls `begin` on its own stack and never comes back.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r9",
            "call r8",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => got,
            in("rdi") std::ptr::from_ref(args),
            in("rsi") size_of::<libc::clone_args>(),
            in("r8") begin,
            in("r9") cradle,
            out("rcx") _,
            out("r11") _,
        );
    }
    got
}

/// The system call: its number or its negative error in the parent, `begin` in the child.
#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "the C library has no call that changes the stack")]
unsafe fn clone3(
    args: &libc::clone_args,
    begin: extern "C" fn(*mut c_void) -> !,
    cradle: *mut c_void,
) -> i64 {
    let got: i64;
    // SAFETY: the kernel reads `args`; the child calls `begin` on its own stack and never comes back.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x3",
            "blr x2",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") std::ptr::from_ref(args) => got,
            in("x1") size_of::<libc::clone_args>(),
            in("x2") begin,
            in("x3") cradle,
        );
    }
    got
}

/// Elsewhere it is forked.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[expect(unsafe_code, reason = "it is called as the others are")]
unsafe fn clone3(_: &libc::clone_args, _: extern "C" fn(*mut c_void) -> !, _: *mut c_void) -> i64 {
    -i64::from(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    /// What a command writes, and its exit code.
    fn run(words: &[&str], dir: &Path) -> Result<(String, Option<i32>), Option<i32>> {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().env("PATH", "/usr/bin:/bin").env("GREETING", "hi");
        let output = dir.join("output");
        let streams = [Path::new("/dev/null"), output.as_path(), output.as_path()];
        let steps: Vec<Step> = vec![Box::new(|| Ok(rustix::process::setsid().map(drop)?))];
        let born = spawn((&command, dir), streams, steps, None).map_err(|why| match why {
            Stillborn::Failed(error) => error.raw_os_error(),
            Stillborn::CannotBorrow => None,
        });
        let (_, pidfd) = born?;
        let ended = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).expect("ours");
        let code = ended.expect("it has ended").exit_status();
        Ok((std::fs::read_to_string(output).expect("written"), code))
    }

    #[test]
    fn a_child_has_its_streams_its_directory_and_its_environment_and_no_file_of_ours() {
        let dir = tempfile::tempdir().expect("a folder");
        let _ours = std::fs::File::open(dir.path()).expect("opened");
        let script =
            "pwd; echo $GREETING; readlink /proc/$$/fd/3 || echo none; echo oops >&2; exit 7";
        let (said, code) = run(&["sh", "-c", script], dir.path()).expect("it runs");
        assert_eq!(said, format!("{}\nhi\nnone\noops\n", dir.path().display()));
        assert_eq!(code, Some(7));
    }

    #[test]
    fn a_script_that_does_not_say_who_reads_it_is_read_by_the_shell() {
        let dir = tempfile::tempdir().expect("a folder");
        let script = dir.path().join("script");
        std::fs::write(&script, "echo read $1\n").expect("written");
        let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, may_run).expect("a program");
        assert_eq!(run(&["./script", "it"], dir.path()), Ok(("read it\n".to_owned(), Some(0))));
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(run(&["there-is-no-such-program"], dir.path()), Err(Some(libc::ENOENT)));
        assert_eq!(run(&["/etc/passwd"], dir.path()), Err(Some(libc::EACCES)));
    }
}
