//! Whether most nodes of one NATS server fell silent at once while others beat: then it is the
//! server, not the nodes.

use std::collections::BTreeMap;

use super::silence::Silence;

const LEAST: u32 = 3;
const PERCENT: u32 = 90;

/// How a node counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// Not at all: it was lost before, left, or sleeps.
    #[default]
    Out,
    /// It beats.
    Beating,
    /// It is silent, and was not until lately.
    Silent,
}

#[derive(Debug, Clone, Copy, Default)]
struct Crowd {
    beating: u32,
    silent: u32,
}

/// The nodes of each server, counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowds {
    servers: BTreeMap<String, Crowd>,
    beating: u32,
}

impl Crowds {
    /// Counts a node anew.
    pub(super) fn stand(&mut self, silence: &mut Silence, standing: Standing) {
        let before = std::mem::replace(&mut silence.counted, standing);
        if before == standing {
            return;
        }
        if before == Standing::Beating {
            self.beating -= 1;
        }
        if standing == Standing::Beating {
            self.beating += 1;
        }
        let Some(server) = &silence.server else { return };
        let crowd = self.servers.entry(server.clone()).or_default();
        match before {
            Standing::Out => {}
            Standing::Beating => crowd.beating -= 1,
            Standing::Silent => crowd.silent -= 1,
        }
        match standing {
            Standing::Out => {}
            Standing::Beating => crowd.beating += 1,
            Standing::Silent => crowd.silent += 1,
        }
        if crowd.beating + crowd.silent == 0 {
            self.servers.remove(server);
        }
    }

    /// Whether this server's nodes fell silent together while others beat. Unknown servers never.
    pub(super) fn falls_silent(&self, server: Option<&str>) -> bool {
        let Some(crowd) = server.and_then(|server| self.servers.get(server)) else { return false };
        let all = crowd.beating + crowd.silent;
        let elsewhere = self.beating - crowd.beating;
        crowd.silent >= LEAST && crowd.silent * 100 >= all * PERCENT && elsewhere > 0
    }
}
