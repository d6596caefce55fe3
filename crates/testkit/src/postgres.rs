//! A private PostgreSQL: its own folder, its own port, gone with the test.

use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::nats::process::{die_with_us, spawn_on_keeper};
use crate::ports::Ports;

/// PostgreSQL refuses to run as root: then it runs as nobody.
const NOBODY: u32 = 65_534;
const READY_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
const USER: &str = "ostler";

/// One PostgreSQL server. Stopped on drop, and by the kernel when the test dies.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    port: u16,
    _home: TempDir,
}

impl Postgres {
    /// Starts one that takes connections. Panics, saying what is missing, where it is not
    /// installed.
    pub async fn start() -> Self {
        let home = tempfile::Builder::new().prefix("ostler-postgres-").tempdir();
        let home = home.expect("a folder can be made");
        let root = geteuid().is_root();
        if root {
            chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("root may give folders away");
        }
        let data = home.path().join("data");
        let mut init = command("initdb", root);
        init.arg("-D").arg(&data).args(["-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8"]);
        let output = init.current_dir(home.path()).output().expect("initdb can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = Ports::free();
        let mut server = command("postgres", root);
        server.arg("-D").arg(&data).arg("-k").arg(home.path());
        server.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "fsync=off"]);
        server.current_dir(home.path());
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        die_with_us(&mut server);
        let child = spawn_on_keeper(server).expect("postgres can be started");
        let postgres = Self { child, port, _home: home };
        let ready = async {
            while !takes_connections(port).await.unwrap_or(false) {
                tokio::time::sleep(POLL).await;
            }
        };
        let ready = tokio::time::timeout(READY_WITHIN, ready).await;
        assert!(ready.is_ok(), "PostgreSQL is not ready within {READY_WITHIN:?}");
        postgres
    }

    /// Where clients reach it, with the database that there is from the start.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // SIGQUIT is its "immediate shutdown": it ends its own children.
            kill_process(pid, Signal::QUIT).ok();
        }
        self.child.wait().ok();
    }
}

/// A program of PostgreSQL, as a user that it accepts.
fn command(program: &str, root: bool) -> Command {
    let mut command = Command::new(find(program));
    if root {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Of the newest version that is installed, else of PATH.
fn find(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(program)).collect();
    found.sort();
    found.retain(|file| file.is_file());
    found.pop().unwrap_or_else(|| PathBuf::from(program))
}

/// Begins a session, which it refuses while it starts up.
async fn takes_connections(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let parameters = format!("user\0{USER}\0database\0postgres\0\0");
    let length = u32::try_from(parameters.len() + 8).expect("it is short");
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&196_608u32.to_be_bytes()).await?;
    stream.write_all(parameters.as_bytes()).await?;
    let mut kind = [0u8; 1];
    stream.read_exact(&mut kind).await?;
    // `R`: it asks for, or passes, authentication.
    Ok(kind == *b"R")
}
