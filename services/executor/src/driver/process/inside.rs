//! Commands inside a running instance: its groups, user, environment and namespaces, with pipes or
//! a terminal.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ostler_core::instance::Exit;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::launch::{self, As, StartError, exec};
use super::{Means, proc};
use crate::driver::session::{Exec, Input, Inside, Output, PIECE, Size};
use crate::driver::{Launch, Run};

/// Runs a command until it ends or nobody listens any more.
pub(super) async fn run(of: (Means, Arc<Launch>, Run), ask: Exec, inside: Inside) {
    let begun = tokio::task::spawn_blocking(move || begin(&of, &ask)).await;
    let begun = begun.unwrap_or_else(|error| Err(StartError::Host(error.to_string())));
    let over = match begun {
        Err(error) => Output::Refused(error.to_string()),
        Ok((child, None)) => return with_pipes(child, inside).await,
        Ok((child, Some(terminal))) => return with_terminal(child, terminal, inside).await,
    };
    // Nobody listens if it cannot be sent.
    drop(inside.output.send(over).await);
}

/// A command that is killed with its group when nobody waits for it any more.
struct Watched(Child);

impl Drop for Watched {
    fn drop(&mut self) {
        end(&self.0);
    }
}

/// Runs a command as the instance is run, but not as the instance, and waits for its end.
pub async fn beside(means: Means, launch: Launch, words: Vec<String>) -> Result<Exit, String> {
    let begun = tokio::task::spawn_blocking(move || launch::beside(&means, &launch, &words)).await;
    let begun = begun.unwrap_or_else(|error| Err(StartError::Host(error.to_string())));
    let mut child = Watched(begun.map_err(|error| error.to_string())?);
    Ok(wait(&mut child.0).await)
}

fn begin(
    (means, launch, run): &(Means, Arc<Launch>, Run),
    ask: &Exec,
) -> Result<(Child, Option<OwnedFd>), StartError> {
    let mut command = exec(means, launch, &ask.words, As::Inside(run))?.forked();
    let terminal = match ask.terminal {
        None => {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            None
        }
        Some(size) => {
            let (master, slave) = terminal(size)
                .map_err(|error| StartError::Host(format!("no terminal: {error}")))?;
            let copy = || slave.try_clone().map_err(|error| StartError::Host(error.to_string()));
            command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
            command.env("TERM", "xterm-256color");
            control_terminal(&mut command);
            Some(master)
        }
    };
    let failed = |cause| StartError::Command {
        command: ask.words.first().cloned().unwrap_or_default(),
        cause,
    };
    let child = tokio::process::Command::from(command).spawn().map_err(failed)?;
    Ok((child, terminal))
}

fn winsize(size: Size) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// A terminal: our end, and that of the command.
fn terminal(size: Size) -> io::Result<(OwnedFd, File)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, Mode::empty())?;
    tcsetwinsize(&slave, winsize(size))?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, slave.into()))
}

/// Its standard input becomes its controlling terminal; it has a session of its own by then.
#[expect(unsafe_code, reason = "between fork and exec the child has to take its terminal")]
fn control_terminal(command: &mut std::process::Command) {
    let take = || Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?);
    // SAFETY: one system call on an open file.
    unsafe { command.pre_exec(take) };
}

/// How it ended, once it has.
async fn wait(child: &mut Child) -> Exit {
    match child.wait().await {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        },
        Err(_) => Exit::Unknown,
    }
}

/// Ends everything that the command began and that has not left its session's first group.
fn end(child: &Child) {
    let raw = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    // Not reaped yet where there is a pid, so the group is its own.
    raw.map(|pid| kill_process_group(pid, Signal::KILL));
}

/// What is still written after the command has ended is read for so long: something that it left
/// behind may hold its output open for ever.
const LINGER: Duration = Duration::from_millis(500);

async fn linger(over: &CancellationToken) {
    over.cancelled().await;
    tokio::time::sleep(LINGER).await;
}

async fn with_pipes(mut child: Child, inside: Inside) {
    let Inside { input, output } = inside;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let over = CancellationToken::new();
    let talking = async {
        let ended = async {
            let exit = wait(&mut child).await;
            over.cancel();
            exit
        };
        let (exit, (), (), ()) = tokio::join!(
            ended,
            until(linger(&over), copy(stdout, &output, Output::Stdout)),
            until(linger(&over), copy(stderr, &output, Output::Stderr)),
            until(over.cancelled(), feed(stdin, input)),
        );
        exit
    };
    let exit = tokio::select! {
        exit = talking => Some(exit),
        () = output.closed() => None,
    };
    finish(child, exit, &output).await;
}

/// Tells how it ended; ends it where nobody listens any more.
async fn finish(mut child: Child, exit: Option<Exit>, output: &mpsc::Sender<Output>) {
    match exit {
        // Nobody listens if it cannot be sent.
        Some(exit) => drop(output.send(Output::Ended(exit)).await),
        None => {
            end(&child);
            wait(&mut child).await;
        }
    }
}

async fn until(limit: impl Future<Output = ()>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = limit => {}
        () = work => {}
    }
}

async fn copy(
    from: Option<impl AsyncRead + Unpin>,
    to: &mpsc::Sender<Output>,
    wrap: fn(Vec<u8>) -> Output,
) {
    let Some(mut from) = from else { return };
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        match from.read_buf(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(_) if to.send(wrap(piece)).await.is_err() => return,
            Ok(_) => {}
        }
    }
}

/// What is typed goes to a pipe, until there is no more or nobody reads it.
async fn feed(to: Option<ChildStdin>, mut input: mpsc::Receiver<Input>) {
    let Some(mut to) = to else { return };
    while let Some(typed) = input.recv().await {
        match typed {
            Input::Bytes(bytes) if to.write_all(&bytes).await.is_err() => return,
            Input::Bytes(_) | Input::Resize(_) => {}
            Input::End => return,
        }
    }
}

async fn with_terminal(mut child: Child, master: OwnedFd, inside: Inside) {
    let Inside { input, output } = inside;
    let Ok(master) = proc::both_ways(master) else {
        end(&child);
        return finish(child, None, &output).await;
    };
    let over = CancellationToken::new();
    let talking = async {
        let ended = async {
            let exit = wait(&mut child).await;
            over.cancel();
            exit
        };
        let (exit, (), ()) = tokio::join!(
            ended,
            until(linger(&over), show(&master, &output)),
            until(over.cancelled(), type_in(&master, input)),
        );
        exit
    };
    let exit = tokio::select! {
        exit = talking => Some(exit),
        () = output.closed() => None,
    };
    finish(child, exit, &output).await;
}

/// What the terminal shows, until nothing has it open any more.
async fn show(master: &AsyncFd<OwnedFd>, to: &mpsc::Sender<Output>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = |fd: &OwnedFd| rustix::io::read(fd, &mut piece[..]).map_err(io::Error::from);
        // The other end is closed: EIO.
        let Ok(read) = master.async_io(Interest::READABLE, read).await else { return };
        piece.truncate(read);
        if read == 0 || to.send(Output::Stdout(piece)).await.is_err() {
            return;
        }
    }
}

/// What ends a line's input: end of file, as a terminal knows it.
const END_OF_FILE: &[u8] = &[4];

async fn type_in(master: &AsyncFd<OwnedFd>, mut input: mpsc::Receiver<Input>) {
    while let Some(typed) = input.recv().await {
        let written = match &typed {
            Input::Bytes(bytes) => write_all(master, bytes).await,
            Input::End => write_all(master, END_OF_FILE).await,
            Input::Resize(size) => {
                tcsetwinsize(master.get_ref(), winsize(*size)).map_err(io::Error::from)
            }
        };
        if written.is_err() {
            return;
        }
    }
}

async fn write_all(master: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let write = |fd: &OwnedFd| rustix::io::write(fd, bytes).map_err(io::Error::from);
        let written = master.async_io(Interest::WRITABLE, write).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}
