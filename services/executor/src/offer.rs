//! Which drivers this node offers: those that the settings name and that work here.

use std::path::Path;

use ostler_core::workload::DriverKind;
use ostler_service::Tasks;
use tracing::{info, warn};

use crate::artifact::{ArtifactError, Artifacts, Bounds, Limits};
use crate::config::Config;
use crate::driver::docker::{self, Docker};
use crate::driver::nspawn::{self, Nspawn};
use crate::driver::process::{Means, Process};
use crate::driver::sim::Sim;
use crate::driver::{Drivers, Sink};
use crate::fence::Fence;
use crate::host;
use crate::site::Site;

/// What drivers are made from.
pub(crate) struct Offering<'a> {
    pub(crate) config: &'a Config,
    pub(crate) fence: &'a Fence,
    pub(crate) artifacts: Option<&'a Artifacts>,
    pub(crate) sink: &'a Sink,
    pub(crate) tasks: &'a Tasks,
}

/// Where artifacts are kept; nowhere where nothing is written.
pub(crate) fn artifacts(config: &Config, site: &Site) -> Result<Option<Artifacts>, ArtifactError> {
    /// More files than any system has that somebody runs in a container.
    const ENTRIES: u64 = 1_000_000;
    let Some(data_dir) = &site.data_dir else { return Ok(None) };
    let bounds = Bounds {
        cache: config.artifact_cache.0,
        unpacked: Limits { bytes: config.artifact_unpacked.0, entries: ENTRIES },
        patience: config.artifact_patience.into(),
    };
    Artifacts::open(data_dir.join("artifacts"), bounds).map(Some)
}

/// Notes what does not work here.
fn miss(site: &mut Site, what: String) {
    warn!("{what}");
    site.missing.push(what);
}

impl Offering<'_> {
    /// Opens them, and notes in the facts which work.
    pub(crate) async fn drivers(&self, site: &mut Site) -> Drivers {
        let mut drivers = Drivers::default();
        let ours = env!("CARGO_PKG_VERSION").to_owned();
        for kind in &self.config.drivers {
            let data_dir = site.data_dir.clone();
            let version = match (kind, data_dir) {
                (DriverKind::Sim, _) => {
                    let sim = Sim::new();
                    self.tasks.spawn_brief(sim.turn(self.sink.clone()));
                    drivers.sim = Some(sim);
                    Some(ours.clone())
                }
                (DriverKind::Process, Some(data_dir)) => {
                    drivers.process = Some(self.process(site, &data_dir));
                    Some(ours.clone())
                }
                (DriverKind::Docker, Some(data_dir)) => {
                    self.docker(site, &data_dir, &mut drivers).await
                }
                (DriverKind::Nspawn, Some(data_dir)) => self.nspawn(site, &data_dir, &mut drivers),
                (other, _) => {
                    miss(site, format!("driver `{other}` comes with a later version"));
                    None
                }
            };
            if let Some(version) = version {
                site.facts.drivers.insert(kind.as_str().to_owned(), version);
            }
        }
        drivers
    }

    fn process(&self, site: &mut Site, data_dir: &Path) -> Process {
        let means = Means::new(self.config, &site.node, data_dir.to_owned(), self.fence.path());
        let missing = means.cgroups.missing();
        if !missing.is_empty() {
            miss(site, missing);
            site.facts.labels.insert("ostler/limits".to_owned(), "none".to_owned());
        }
        if !host::is_root() {
            let what = "an executor that is not root runs everything as itself: no `user`, `group`, \
                        `chroot` or `private`, no capabilities of others";
            miss(site, what.to_owned());
        }
        let parallel = self.config.start_parallel;
        let process = Process::new(means, parallel, self.sink.clone(), self.tasks);
        if let Err(why) = process.can_guard() {
            miss(site, format!("nothing can be fenced: {why}"));
        }
        if let Some(artifacts) = self.artifacts {
            process.supply(artifacts.clone());
        }
        process
    }

    /// Opened though the daemon does not answer, so that what runs is not taken to be gone; it is
    /// not offered then.
    async fn docker(
        &self,
        site: &mut Site,
        data_dir: &Path,
        drivers: &mut Drivers,
    ) -> Option<String> {
        let means = docker::Means {
            data_dir: data_dir.to_owned(),
            node: site.node.clone(),
            max_pids: self.config.max_pids,
            max_files: self.config.max_files,
        };
        let socket = self.config.docker_socket.display().to_string();
        let starts = (self.config.start_parallel, self.sink.clone());
        match Docker::open(&socket, means, starts, self.tasks).await {
            Ok((driver, version)) => {
                if let Some(artifacts) = self.artifacts {
                    driver.supply(artifacts.clone());
                }
                if version.is_none() {
                    let why = format!("nobody answers at `{socket}`");
                    miss(site, format!("driver `docker` is not offered: {why}"));
                }
                drivers.docker = Some(driver);
                version
            }
            Err(error) => {
                miss(site, format!("driver `docker` is not offered: {error}"));
                None
            }
        }
    }

    /// Trees run beside the commands of the same process driver.
    fn nspawn(&self, site: &mut Site, data_dir: &Path, drivers: &mut Drivers) -> Option<String> {
        let Some(version) = nspawn::version() else {
            let what = "driver `nspawn` is not offered: it needs root and systemd-nspawn";
            miss(site, what.to_owned());
            return None;
        };
        let process = match &drivers.process {
            Some(process) => process.clone(),
            None => self.process(site, data_dir),
        };
        let driver = Nspawn::new(process, self.sink.clone(), self.tasks);
        if let Some(artifacts) = self.artifacts {
            driver.supply(artifacts.clone());
        }
        info!("driver `nspawn` is systemd-nspawn {version}");
        drivers.nspawn = Some(driver);
        Some(version)
    }
}
