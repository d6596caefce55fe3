//! Free ports of this machine.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// Draws ports that nobody listens on.
#[derive(Debug, Clone, Copy)]
pub struct Ports;

static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

impl Ports {
    /// A free port of the loopback address, below those that outgoing connections take, and never
    /// the same twice in one process. Another process may take it before it is used: who binds it
    /// should try again with another.
    #[must_use]
    pub fn free() -> u16 {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let port = 10_000 + draw() % 22_000;
            let free = !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok();
            if free && taken.insert(port) {
                return port;
            }
        }
    }
}

/// A number from the operating system's randomness: tests run in many processes at once.
fn draw() -> u16 {
    let id = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    u16::try_from(id & 0xffff).expect("16 bits")
}
