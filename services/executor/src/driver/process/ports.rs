//! Whether ports are really free, and who has those that are not.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use ostler_core::instance::PortGrant;
use ostler_core::workload::{PortSpec, Protocol};

use crate::host;

/// A port that somebody has bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub port: u16,
    /// Its process and what that is called, where we may know.
    pub by: Option<(u32, String)>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Some((pid, name)) => write!(f, "{} is bound by `{name}` (process {pid})", self.port),
            None => write!(f, "{} is bound by another program", self.port),
        }
    }
}

/// The ports of these grants, with their transports.
pub fn granted(specs: &[PortSpec], grants: &[PortGrant]) -> Vec<(u16, Protocol)> {
    let ports = grants.iter().flat_map(|grant| {
        let spec = specs.iter().find(|spec| spec.name == grant.name);
        let protocol = spec.map_or(Protocol::Tcp, |spec| spec.protocol);
        let last = grant.first.saturating_add(grant.count.saturating_sub(1));
        (grant.first..=last).map(move |port| (port, protocol))
    });
    ports.collect()
}

/// The first granted port that somebody has bound; none if all are free.
#[must_use]
pub fn taken(specs: &[PortSpec], grants: &[PortGrant]) -> Option<Taken> {
    let all = granted(specs, grants);
    let (port, protocol) = all.into_iter().find(|(port, protocol)| is_taken(*port, *protocol))?;
    Some(Taken { port, by: holder(port, protocol) })
}

fn is_taken(port: u16, protocol: Protocol) -> bool {
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop),
        Protocol::Udp => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop),
    };
    bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

/// The process that has a socket bound to it. Of others' processes only root learns that.
fn holder(port: u16, protocol: Protocol) -> Option<(u32, String)> {
    let tables = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let sockets: Vec<String> =
        tables.iter().flat_map(|table| bound(&host::text(table), port)).collect();
    if sockets.is_empty() {
        return None;
    }
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let has = files.any(|file| {
            let to = fs::read_link(file.path()).unwrap_or_default();
            sockets.iter().any(|socket| to.as_os_str() == socket.as_str())
        });
        has.then(|| (pid, host::text(process.path().join("comm"))))
    })
}

/// What the sockets are called that are bound to a port in one of the kernel's tables; listening
/// ones first.
fn bound(table: &str, port: u16) -> Vec<String> {
    let ending = format!(":{port:04X}");
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let here = fields.get(1)?.ends_with(&ending);
        let listens = fields.get(3).is_some_and(|state| *state == "0A");
        here.then(|| Some((!listens, format!("socket:[{}]", fields.get(9)?))))?
    };
    let mut found: Vec<_> = table.lines().skip(1).filter_map(socket).collect();
    found.sort();
    found.into_iter().map(|(_, socket)| socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(protocol: &str, port: u16, other: &str) {
        let spec = |protocol: &str| {
            let json = serde_json::json!({ "name": "web", "protocol": protocol });
            vec![serde_json::from_value::<PortSpec>(json).expect("a port")]
        };
        let grants = [PortGrant { name: "web".parse().expect("a name"), first: port, count: 1 }];
        let found = taken(&spec(protocol), &grants).expect("it is taken");
        assert_eq!(
            (found.port, found.by.as_ref().map(|by| by.0)),
            (port, Some(std::process::id()))
        );
        assert!(found.to_string().contains(&format!("{port} is bound by `")), "{found}");
        // Another transport has its own ports.
        assert_ne!(taken(&spec(other), &grants).and_then(|taken| taken.by), found.by);
    }

    #[test]
    fn a_port_that_is_bound_is_told_with_who_has_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        check("tcp", listener.local_addr().expect("an address").port(), "udp");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        check("udp", socket.local_addr().expect("an address").port(), "tcp");
    }
}
