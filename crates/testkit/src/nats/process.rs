//! Starting one server process and asking whether it is ready.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How a server is started, and started again.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) config: PathBuf,
    pub(super) home: PathBuf,
    pub(super) store: PathBuf,
    /// What its command line begins with.
    pub(super) enter: Vec<String>,
    /// Where it listens.
    pub(super) address: &'static str,
    pub(super) port: u16,
    pub(super) monitor: u16,
    pub(super) more: Vec<String>,
}

/// Where servers listen that nobody reaches from elsewhere.
pub(super) const LOOPBACK: &str = "127.0.0.1";
const READY_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

impl Start {
    /// Starts the process without waiting.
    pub(super) fn spawn(&self) -> io::Result<Child> {
        let binary = super::binary();
        let mut command = match self.enter.split_first() {
            None => Command::new(binary),
            Some((enter, words)) => {
                let mut command = Command::new(enter);
                command.args(words).arg(binary);
                command
            }
        };
        command
            .arg("-c")
            .arg(&self.config)
            .args(["-a", self.address, "-p", &self.port.to_string()])
            .args(["-m", &self.monitor.to_string()])
            .arg("-l")
            .arg(self.home.join("log"))
            .args(&self.more)
            .env("OSTLER_NATS_STORE", &self.store)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        die_with_us(&mut command);
        spawn_on_keeper(command)
    }

    /// Starts the process and waits until JetStream is ready.
    pub(super) async fn run(&self) -> Result<Child, String> {
        let mut child = self.spawn().map_err(|error| error.to_string())?;
        match self.ready(&mut child).await {
            Ok(()) => Ok(child),
            Err(why) => {
                // It may have ended by itself.
                child.kill().ok();
                child.wait().ok();
                Err(why)
            }
        }
    }

    /// Waits until JetStream is ready, with a leader where there are several.
    pub(super) async fn ready(&self, child: &mut Child) -> Result<(), String> {
        let wait = async {
            loop {
                if let Ok(Some(status)) = child.try_wait() {
                    let log = std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
                    return Err(format!("{status}\n{log}"));
                }
                if healthy(self.monitor).await.unwrap_or(false) {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, wait)
            .await
            .unwrap_or_else(|_| Err(format!("not ready within {READY_WITHIN:?}")))
    }
}

async fn healthy(monitor: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", monitor)).await?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).await?;
    Ok(answer.ends_with(b" 200"))
}

pub(super) fn home() -> TempDir {
    tempfile::Builder::new().prefix("ostler-nats-").tempdir().expect("a folder can be made")
}

pub(super) fn config(file: &str) -> PathBuf {
    super::workspace().join("deploy/nats").join(file)
}

pub(crate) fn signal(child: Option<&Child>, signal: Signal) {
    let pid = child.map(Child::id).and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(pid.expect("it runs"), signal).expect("it is our child");
}

#[expect(unsafe_code, reason = "what runs between fork and exec is two system calls")]
pub(crate) fn die_with_us(command: &mut Command) {
    let die =
        || rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(die);
    }
}

/// Starts what holds a namespace for as long as it runs, and says `ready` once it is there. `what` is
/// in there.
pub(crate) fn hold(mut command: Command, what: &str) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    die_with_us(&mut command);
    let mut holder = spawn_on_keeper(command).expect("unshare, of util-linux, is there");
    let mut said = String::new();
    let out = holder.stdout.take().expect("it is piped");
    BufReader::new(out).read_line(&mut said).expect("it is a pipe");
    assert_eq!(said, "ready\n", "no {what} in a namespace of one's own can be made here");
    holder
}

type Order = (Command, SyncSender<io::Result<Child>>);

/// Starts the command from a thread that lives as long as this process: the kernel sends the death
/// signal when the *thread* ends that started the child.
pub(crate) fn spawn_on_keeper(command: Command) -> io::Result<Child> {
    static KEEPER: OnceLock<SyncSender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (sender, orders) = sync_channel::<Order>(1);
        std::thread::spawn(move || {
            while let Ok((mut command, answer)) = orders.recv() {
                answer.send(command.spawn()).ok();
            }
        });
        sender
    });
    let (sender, answer) = sync_channel(1);
    keeper.send((command, sender)).expect("the keeper never ends");
    answer.recv().expect("the keeper never ends")
}
