//! What lies where in the data folder of a dev fleet.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What a dev fleet is, kept in `fleet.json` so that its parts can be started one by one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fleet {
    /// How many nodes.
    pub nodes: u16,
    /// How many scheduler replicas.
    pub schedulers: u16,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where NATS listens on loopback.
    pub nats_port: u16,
    /// Whether instances are left running at the end.
    pub keep: bool,
    /// The processes that were started, by name.
    pub pids: BTreeMap<String, u32>,
}

/// The data folder of a dev fleet.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// What the fleet is.
    pub fleet: Fleet,
}

fn broken(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::failed(format!("{path}: {error}"))
}

impl Layout {
    /// Makes the folder and notes what the fleet is.
    pub fn create(dir: &Path, fleet: Fleet) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(broken(dir))?;
        let dir = dir.canonicalize().map_err(broken(dir))?;
        let layout = Self { dir, fleet };
        for sub in ["nats", "log"] {
            let sub = layout.dir.join(sub);
            fs::create_dir_all(&sub).map_err(broken(&sub))?;
        }
        layout.save()?;
        Ok(layout)
    }

    /// Reads what a fleet that was started there is.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("fleet.json");
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::usage(format!(
                "{} is no dev fleet ({error}): start one with `ostler dev --data {}`",
                dir.display(),
                dir.display()
            ))
        })?;
        let fleet = serde_json::from_str(&text)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let dir = dir.canonicalize().map_err(broken(dir))?;
        Ok(Self { dir, fleet })
    }

    /// Writes `fleet.json`.
    pub fn save(&self) -> Result<(), Failure> {
        let path = self.dir.join("fleet.json");
        let text = serde_json::to_string_pretty(&self.fleet).map_err(Failure::failed)?;
        write_whole(&path, &text)
    }

    /// The URL of NATS.
    pub fn nats_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.fleet.nats_port)
    }

    /// The URL of the gateway.
    pub fn server(&self) -> String {
        format!("http://{}", self.fleet.listen)
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> Vec<String> {
        (1..=self.fleet.nodes).map(|number| format!("node-{number}")).collect()
    }

    /// The folder of a node.
    pub fn node_dir(&self, node: &str) -> PathBuf {
        self.dir.join(node)
    }

    /// Notes this process as a node's executor that was started by hand.
    pub fn note_executor(&self, node: &str) -> Result<(), Failure> {
        write_whole(&self.executor_file(node), &std::process::id().to_string())
    }

    /// The executor of a node that was last started by hand.
    pub fn noted_executor(&self, node: &str) -> Option<u32> {
        std::fs::read_to_string(self.executor_file(node)).ok()?.parse().ok()
    }

    fn executor_file(&self, node: &str) -> PathBuf {
        self.node_dir(node).join("by-hand.pid")
    }

    /// The output of a child.
    pub fn log(&self, name: &str) -> Result<File, Failure> {
        let path = self.dir.join("log").join(format!("{name}.log"));
        File::options().create(true).append(true).open(&path).map_err(broken(&path))
    }
}

/// Writes a file so that nobody ever sees half of it.
pub fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::write(&beside, text).map_err(broken(&beside))?;
    fs::rename(&beside, path).map_err(broken(path))
}

/// Keeps a second fleet out of the same folder for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the folder for this process.
pub fn lock(dir: &Path) -> Result<Lock, Failure> {
    fs::create_dir_all(dir).map_err(broken(dir))?;
    let path = dir.join("lock");
    let file = File::create(&path).map_err(broken(&path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Failure::refused(format!("a dev fleet runs in {} already", dir.display())))?;
    Ok(Lock { _file: file })
}
