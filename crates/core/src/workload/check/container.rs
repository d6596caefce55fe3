//! Whether the sections of the container drivers make sense.

use super::Found;
use super::run::{environment, reference};
use crate::document::Path;
use crate::workload::{Bind, DockerSection, NspawnNetwork, NspawnSection, Pull, Workload};

const MOST_BINDS: usize = 64;
const LONGEST_IMAGE: usize = 512;

pub(super) fn check(workload: &Workload, found: &mut Found) {
    if let Some(docker) = &workload.docker {
        section_docker(workload, docker, found);
    }
    if let Some(nspawn) = &workload.nspawn {
        section_nspawn(workload, nspawn, found);
    }
}

fn section_docker(workload: &Workload, docker: &DockerSection, found: &mut Found) {
    let here = Path::from("docker");
    let image = &docker.image;
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if image.is_empty() || image.len() > LONGEST_IMAGE || image.contains(odd) {
        found.push(&here.key("image"), "an image is wanted, such as `nginx:1.27`");
    }
    if let Some(artifact) = &docker.artifact {
        reference(&here.key("artifact"), artifact, found);
        if docker.pull == Pull::Always {
            found.push(&here.key("pull"), "`always` would never use the artifact");
        }
    }
    words(&here.key("command"), &docker.command, found);
    words(&here.key("entrypoint"), &docker.entrypoint, found);
    environment(&here.key("env"), &docker.env, found);
    let texts = [("user", &docker.user), ("network", &docker.network)];
    for (key, text) in texts {
        if let Some(text) = text {
            found.words(&here.key(key), text);
        }
    }
    if let Some(workdir) = &docker.workdir {
        absolute(&here.key("workdir"), workdir, found);
    }
    found.limit(docker.volumes.len(), MOST_BINDS, "docker.volumes", "volumes");
    for (index, volume) in docker.volumes.iter().enumerate() {
        let path = here.key("volumes").index(index);
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let named = !volume.source.is_empty() && volume.source.chars().all(plain);
        if !named {
            absolute(&path.key("source"), &volume.source, found);
        }
        inside(&path, volume, found);
    }
    for name in docker.container_ports.keys() {
        if !workload.ports.iter().any(|port| port.name == *name) {
            let path = here.key("container_ports").key(name.as_str());
            found.push(&path, format!("there is no port `{name}` in `ports`"));
        }
    }
    for (name, port) in &docker.container_ports {
        if *port == 0 {
            found.push(&here.key("container_ports").key(name.as_str()), "a port is 1 to 65535");
        }
    }
}

fn section_nspawn(workload: &Workload, nspawn: &NspawnSection, found: &mut Found) {
    let here = Path::from("nspawn");
    match (&nspawn.artifact, &nspawn.directory) {
        (None, None) => found.push(&here, "a root is wanted: `artifact` or `directory`"),
        (Some(_), Some(_)) => {
            found.push(&here.key("directory"), "there is an `artifact` besides: one of both");
        }
        (Some(artifact), None) => reference(&here.key("artifact"), artifact, found),
        (None, Some(directory)) => absolute(&here.key("directory"), directory, found),
    }
    words(&here.key("command"), &nspawn.command, found);
    environment(&here.key("env"), &nspawn.env, found);
    if let Some(user) = &nspawn.user {
        found.words(&here.key("user"), user);
    }
    if nspawn.command.is_empty() {
        for (key, there) in [("user", nspawn.user.is_some()), ("workdir", nspawn.workdir.is_some())]
        {
            if there {
                found.push(&here.key(key), "it is of a `command`; an init decides itself");
            }
        }
    }
    if let Some(workdir) = &nspawn.workdir {
        absolute(&here.key("workdir"), workdir, found);
    }
    found.limit(nspawn.binds.len(), MOST_BINDS, "nspawn.binds", "binds");
    for (index, bind) in nspawn.binds.iter().enumerate() {
        let path = here.key("binds").index(index);
        absolute(&path.key("source"), &bind.source, found);
        inside(&path, bind, found);
    }
    if nspawn.network == NspawnNetwork::Private && !workload.ports.is_empty() {
        found.push(&here.key("network"), "nobody could reach its ports: `host`, or no ports");
    }
}

fn words(path: &Path, words: &[String], found: &mut Found) {
    if let Some(program) = words.first() {
        found.words(&path.index(0), program);
    }
    for (index, word) in words.iter().enumerate().filter(|(_, word)| word.contains('\0')) {
        found.push(&path.index(index), format!("`{}` holds a NUL character", word.escape_debug()));
    }
}

fn inside(path: &Path, bind: &Bind, found: &mut Found) {
    absolute(&path.key("target"), &bind.target, found);
    if bind.target == "/" {
        found.push(&path.key("target"), "nothing can be put in the place of `/`");
    }
}

fn absolute(path: &Path, text: &str, found: &mut Found) {
    let up = text.split('/').any(|part| part == "..");
    if !text.starts_with('/') || up || text.contains(['\0', ':']) {
        found.push(path, "an absolute path is wanted, without `..` and `:`");
    }
}
