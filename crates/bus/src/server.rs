//! Which server a connection is with.

use crate::connection::Bus;

/// The server that the connection is with, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How many servers of its cluster it knows, itself included.
    pub servers: usize,
}

impl Bus {
    /// The server that the connection is with, or was with last.
    #[must_use]
    pub fn server(&self) -> ServerInfo {
        let info = self.client().server_info();
        ServerInfo {
            name: info.server_name,
            version: info.version,
            servers: info.connect_urls.len().max(1),
        }
    }
}
