//! The root of an instance: its own layer over a tree that others may share.
//!
//! An overlay where the file system can carry one, a copy otherwise. All of it is in the
//! instance's directory; the shared tree is never written to.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ostler_core::workload::Storage;
use rustix::mount::{MountFlags, UnmountFlags};
use tracing::info;

use crate::host;

/// Where systemd-nspawn keeps what it shares with its trees.
const SHARED: &str = "/run/systemd/nspawn";

/// The root of one instance.
#[derive(Debug, Clone)]
pub(super) struct Root {
    dir: PathBuf,
}

fn told(path: &Path) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("`{}`: {error}", path.display())
}

fn clear(path: &Path) -> Result<(), String> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(told(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether something is mounted there.
fn is_mounted(path: &Path) -> bool {
    let wanted = path.display().to_string();
    let table = host::text("/proc/self/mountinfo");
    table.lines().any(|line| line.split(' ').nth(4) == Some(wanted.as_str()))
}

impl Root {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The directory that is the root.
    pub(super) fn top(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Makes the directory that the instance finds as its own; any user inside may write to it.
    pub(super) fn make_data(&self) -> Result<PathBuf, String> {
        let dir = self.dir.join("data");
        fs::create_dir_all(&dir).map_err(told(&dir))?;
        let open = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(&dir, open).map_err(told(&dir))?;
        Ok(dir)
    }

    /// Makes it over `lower`. With [`Storage::Persistent`] what was written before is there again.
    pub(super) fn make(&self, lower: &Path, storage: Storage) -> Result<(), String> {
        self.unmake()?;
        let (top, upper, work) = (self.top(), self.dir.join("upper"), self.dir.join("work"));
        if storage == Storage::Ephemeral {
            clear(&upper)?;
            clear(&top)?;
        }
        // What a mount before left in there is of no use, and may be unreadable.
        clear(&work)?;
        if top.join("usr").exists() || top.join("bin").exists() {
            // A copy that was made where no overlay can be.
            return Ok(());
        }
        for dir in [&top, &upper, &work] {
            fs::create_dir_all(dir).map_err(told(dir))?;
        }
        let mode = fs::metadata(lower).map_err(told(lower))?.permissions();
        fs::set_permissions(&upper, mode).map_err(told(&upper))?;
        match mount(lower, (&upper, &work), &top) {
            Ok(()) => Ok(()),
            Err(error) => {
                info!(%error, "no overlay at `{}`, the tree is copied: {error}", top.display());
                copy(lower, &top)
            }
        }
    }

    /// Unmounts it, and removes the names that systemd-nspawn left. Twice is once.
    pub(super) fn unmake(&self) -> Result<(), String> {
        let top = self.top();
        self.forget_names(&top);
        while is_mounted(&top) {
            let unmounted = rustix::mount::unmount(&top, UnmountFlags::DETACH);
            unmounted.map_err(|error| told(&top)(error.into()))?;
        }
        Ok(())
    }

    fn forget_names(&self, top: &Path) {
        let id = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let shared = Path::new(SHARED);
        let machine = format!("ostler-{id}");
        for kept in ["propagate", "unix-export"] {
            // Empty, once nothing is mounted there.
            let dir = shared.join(kept).join(&machine);
            rustix::mount::unmount(&dir, UnmountFlags::DETACH).ok();
            drop(fs::remove_dir_all(&dir));
        }
        drop(fs::remove_file(self.dir.join(".#root.lck")));
        if let Ok(meta) = fs::metadata(top) {
            let (device, inode) = (meta.dev(), meta.ino());
            drop(fs::remove_file(shared.join("locks").join(format!("inode-{device}:{inode}"))));
        }
    }
}

fn mount(lower: &Path, (upper, work): (&Path, &Path), top: &Path) -> io::Result<()> {
    // `:`, `,` and `\` mean something in there.
    let quoted = |path: &Path| {
        let text = path.display().to_string();
        text.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
    };
    let options =
        format!("lowerdir={},upperdir={},workdir={}", quoted(lower), quoted(upper), quoted(work));
    let options = CString::new(options).map_err(io::Error::other)?;
    rustix::mount::mount("overlay", top, "overlay", MountFlags::empty(), options.as_c_str())?;
    Ok(())
}

fn copy(lower: &Path, top: &Path) -> Result<(), String> {
    let mut command = std::process::Command::new("cp");
    command.args(["--archive", "--reflink=auto", "--"]).arg(lower.join(".")).arg(top);
    let output = command.output().map_err(|error| format!("`cp`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    drop(clear(top));
    Err(format!("cannot copy the tree: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
