//! Whether ports are really free.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use ostler_core::instance::PortGrant;
use ostler_core::workload::{PortSpec, Protocol};

/// The first granted port that somebody else has bound; none if all are free.
#[must_use]
pub fn taken(specs: &[PortSpec], grants: &[PortGrant]) -> Option<u16> {
    grants.iter().find_map(|grant| {
        let spec = specs.iter().find(|spec| spec.name == grant.name);
        let protocol = spec.map_or(Protocol::Tcp, |spec| spec.protocol);
        let last = grant.first.saturating_add(grant.count.saturating_sub(1));
        (grant.first..=last).find(|port| is_taken(*port, protocol))
    })
}

fn is_taken(port: u16, protocol: Protocol) -> bool {
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop),
        Protocol::Udp => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop),
    };
    bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}
