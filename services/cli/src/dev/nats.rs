//! nats-server as a child.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};

use super::child;
use super::layout::{Layout, write_whole};
use crate::failure::Failure;

/// The oldest nats-server that will do.
const OLDEST: (u32, u32) = (2, 12);

/// Finds a nats-server that is new enough: in `.tools/bin` here or in a folder above, then on PATH.
pub async fn find() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(Failure::failed)?;
    let exe = std::env::current_exe().map_err(Failure::failed)?;
    let above = here.ancestors().chain(exe.ancestors());
    let tools = above.map(|dir| dir.join(".tools/bin/nats-server")).find(|path| path.exists());
    let mut found = Vec::new();
    for candidate in tools.into_iter().chain([PathBuf::from("nats-server")]) {
        match version(&candidate).await {
            Some(version) if version >= OLDEST => return Ok(candidate),
            Some((major, minor)) => {
                found.push(format!("{} is {major}.{minor}", candidate.display()))
            }
            None => {}
        }
    }
    let found = if found.is_empty() { "none was found".to_owned() } else { found.join(", ") };
    Err(Failure::failed(format!(
        "nats-server 2.12 or later is needed, {found}: scripts/setup.sh brings one to .tools/bin"
    )))
}

/// Major and minor, of `nats-server: v2.15.1`.
async fn version(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut parts = text.rsplit_once('v')?.1.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The first port from 4222 on that nobody listens on; any if there is none.
pub fn free_port() -> Result<u16, Failure> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (4222..4322).find(free).ok_or_else(|| Failure::failed("no port from 4222 to 4321 is free"))
}

/// Starts it, with its store in the folder. It is not ready yet.
pub async fn start(layout: &Layout) -> Result<Child, Failure> {
    let program = find().await?;
    let path = layout.dir.join("nats.conf");
    write_whole(&path, &configuration(layout))?;
    let args = ["-c".to_owned(), path.display().to_string()];
    child::start_other(&program, &args, layout.log("nats")?)
}

/// The limits of streams are caps: the server is told a number above their sum, or a small disk
/// would be refused beforehand.
fn configuration(layout: &Layout) -> String {
    format!(
        "# Written by `ostler dev`.\n\
         listen: \"127.0.0.1:{}\"\n\
         server_name: \"ostler-dev\"\n\
         max_payload: 8388608\n\
         write_deadline: \"10s\"\n\
         jetstream {{\n  store_dir: {:?}\n  max_file_store: 1TB\n  max_memory_store: 1GB\n}}\n",
        layout.fleet.nats_port,
        layout.dir.join("nats").display().to_string(),
    )
}
