//! Machines of systemd-nspawn: what the words of each running one say.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Foreign, named};

/// The machines that run, but ours.
pub(super) fn machines() -> Vec<Foreign> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let words = processes.filter_map(|process| {
        let name = process.file_name();
        name.to_str()?.parse::<u32>().ok()?;
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8(line).ok()?;
        let words: Vec<String> =
            line.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        // The process that waits outside; its child inside has another name.
        let program = Path::new(words.first()?).file_name()?.to_str()?;
        let began = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        (program == "systemd-nspawn").then_some((words, began))
    });
    words.filter_map(|(words, began)| read(&words, &began)).collect()
}

/// Options whose value may be the next word.
const VALUED: [(&str, &str); 9] = [
    ("-D", "--directory"),
    ("-i", "--image"),
    ("-M", "--machine"),
    ("-u", "--user"),
    ("-E", "--setenv"),
    ("-p", "--port"),
    ("-S", "--slice"),
    ("-o", "--oci-bundle"),
    ("-Z", "--selinux-context"),
];

/// Options that change nothing of what runs.
const SILENT: [&str; 12] = [
    "--quiet",
    "-q",
    "--keep-unit",
    "--register",
    "--settings",
    "--link-journal",
    "--console",
    "--pipe",
    "-P",
    "--slice",
    "--kill-signal",
    "--notify-ready",
];

/// What was read so far.
#[derive(Default)]
struct Read {
    machine: Option<String>,
    directory: Option<String>,
    section: Map<String, Value>,
    env: Map<String, Value>,
    binds: Vec<Value>,
    notes: Vec<String>,
}

/// One machine by the words of its systemd-nspawn, which was begun in a directory; `None` where it
/// is ours.
fn read(words: &[String], began: &Path) -> Option<Foreign> {
    let mut read = Read::default();
    let mut words = words.iter().skip(1);
    let mut command = Vec::new();
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word == "--" {
            command.extend((word != "--").then(|| word.clone()));
            command.extend(words.by_ref().cloned());
            break;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            Some(_) | None => (word.as_str(), None),
        };
        let long = VALUED.iter().find(|(short, long)| name == *short || name == *long);
        match (long, value) {
            (Some((_, long)), None) => read.option(long, words.next().cloned().unwrap_or_default()),
            (_, Some(value)) => read.option(name, value),
            (None, None) => read.flag(name),
        }
    }
    read.finish(command, began)
}

impl Read {
    fn option(&mut self, name: &str, value: String) {
        match name {
            "--machine" => self.machine = Some(value),
            "--directory" => self.directory = Some(value),
            "--user" => drop(self.section.insert("user".to_owned(), value.into())),
            "--chdir" => drop(self.section.insert("workdir".to_owned(), value.into())),
            "--setenv" => {
                let (key, value) = value.split_once('=').unwrap_or((&value, ""));
                self.env.insert(key.to_owned(), value.into());
            }
            "--bind" | "--bind-ro" => {
                let mut parts = value.split(':');
                let source = parts.next().unwrap_or_default();
                let target = parts.next().unwrap_or(source);
                let read_only = name == "--bind-ro";
                self.binds
                    .push(json!({"source": source, "target": target, "read_only": read_only}));
            }
            "--image" => self.notes.push(format!(
                "its root is the image `{value}`: unpack it, or push it as an artifact"
            )),
            "--port" => self.notes.push(format!(
                "the port `{value}` was forwarded to it: there is no such option here"
            )),
            silent if SILENT.contains(&silent) => {}
            other => self.notes.push(format!("`{other}={value}` has no counterpart")),
        }
    }

    fn flag(&mut self, name: &str) {
        match name {
            "-b" | "--boot" | "-a" | "--as-pid2" => {}
            "-x" | "--ephemeral" => {
                drop(self.section.insert("storage".to_owned(), "ephemeral".into()))
            }
            "--private-network" => {
                drop(self.section.insert("network".to_owned(), "private".into()))
            }
            "-n" | "--network-veth" => {
                self.section.insert("network".to_owned(), "private".into());
                self.notes
                    .push("it had a link to the host: here `private` is loopback alone".to_owned());
            }
            silent if SILENT.contains(&silent) => {}
            other => self.notes.push(format!("`{other}` has no counterpart")),
        }
    }

    fn finish(mut self, command: Vec<String>, began: &Path) -> Option<Foreign> {
        let path = self.directory.as_deref().map(Path::new);
        let last = path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let name = self.machine.clone().or(last).unwrap_or_else(|| "machine".to_owned());
        if name.starts_with("ostler-") {
            return None;
        }
        // That is where systemd looks by itself.
        let directory = match self.directory {
            Some(directory) => began.join(directory).display().to_string(),
            None => format!("/var/lib/machines/{name}"),
        };
        self.section.insert("directory".to_owned(), directory.into());
        if !self.section.contains_key("storage") {
            self.section.insert("storage".to_owned(), "persistent".into());
            self.notes
                .push("what it writes goes to a layer of its own, not to its directory".to_owned());
        }
        if !command.is_empty() {
            self.section.insert("command".to_owned(), command.into());
        }
        if !self.env.is_empty() {
            self.section.insert("env".to_owned(), self.env.into());
        }
        if !self.binds.is_empty() {
            self.section.insert("binds".to_owned(), self.binds.into());
        }
        let workload = json!({ "name": named(&name), "driver": "nspawn", "nspawn": self.section });
        let state = "running".to_owned();
        Some(Foreign { driver: "nspawn", name, state, workload, notes: self.notes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Foreign> {
        read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), Path::new("/srv"))
    }

    #[test]
    fn a_machine_becomes_the_workload_that_would_run_it() {
        let line = "systemd-nspawn --quiet --keep-unit --boot --network-veth -U --machine=my.db \
                    --bind=/srv/data:/data --bind-ro=/etc/hosts -E A=b=c -D db";
        let found = of(line).expect("it is not ours");
        let want = json!({
            "name": "my-db",
            "driver": "nspawn",
            "nspawn": {
                "directory": "/srv/db",
                "storage": "persistent",
                "network": "private",
                "env": {"A": "b=c"},
                "binds": [
                    {"source": "/srv/data", "target": "/data", "read_only": false},
                    {"source": "/etc/hosts", "target": "/etc/hosts", "read_only": true},
                ],
            },
        });
        assert_eq!((found.name.as_str(), found.workload), ("my.db", want));
        assert_eq!(found.notes.len(), 3, "{:?}", found.notes);
        let found =
            of("/usr/bin/systemd-nspawn -x --directory=/srv/a --user web sh -c x=1").expect("one");
        assert_eq!(found.workload["nspawn"]["command"], json!(["sh", "-c", "x=1"]));
        assert_eq!(found.notes, Vec::<String>::new());
        assert_eq!(of("systemd-nspawn --machine=ostler-06abc --directory=/x true"), None);
    }
}
