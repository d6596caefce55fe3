//! Room for requests: so many in all, and of those so many of one client, so that who asks too much
//! is refused before others are. Services are asked a few things at a time for each client: what is
//! more waits its turn here, where nobody else has to wait behind it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{IntCounterVec, IntGauge, Opts};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Config;

/// What is taken and what is left.
#[derive(Debug)]
pub struct Room {
    all: u32,
    each: u32,
    parallel: usize,
    taken: Mutex<Taken>,
    open: IntGauge,
    refused: IntCounterVec,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    /// Of clients that have any.
    by_client: HashMap<IpAddr, Own>,
}

/// What one client has.
#[derive(Debug)]
struct Own {
    open: u32,
    turns: Turns,
}

/// The turns of one client: whoever asks a service takes one, in the order of asking.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Semaphore>);

impl Turns {
    /// Waits for a turn, which lasts as long as what is returned. `None`: none came in this time.
    pub async fn next(&self, within: Duration) -> Option<SemaphorePermit<'_>> {
        let turn = tokio::time::timeout(within, self.0.acquire()).await.ok()?;
        Some(turn.expect("it is never closed"))
    }
}

/// The place of one request; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    room: Arc<Room>,
    client: IpAddr,
    turns: Turns,
}

impl Place {
    /// The turns of its client.
    #[must_use]
    pub fn turns(&self) -> Turns {
        self.turns.clone()
    }
}

/// Which limit is reached, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `gateway.max_requests`
    All(u32),
    /// `gateway.max_requests_per_client`
    Client(u32),
}

impl Full {
    const fn setting(self) -> &'static str {
        match self {
            Self::All(_) => "max_requests",
            Self::Client(_) => "max_requests_per_client",
        }
    }
}

impl Room {
    /// As much as the settings say.
    pub fn new(config: &Config, metrics: &prometheus::Registry) -> Result<Self, prometheus::Error> {
        let open = IntGauge::new("ostler_gateway_requests_open", "requests not answered yet")?;
        let refused = Opts::new(
            "ostler_gateway_refused_total",
            "requests and streams that were refused, by the setting that limits them",
        );
        let refused = IntCounterVec::new(refused, &["limit"])?;
        metrics.register(Box::new(open.clone()))?;
        metrics.register(Box::new(refused.clone()))?;
        let (all, each) = (config.max_requests, config.max_requests_per_client);
        let parallel = usize::try_from(config.parallel_per_client.max(1)).unwrap_or(usize::MAX);
        let parallel = parallel.min(Semaphore::MAX_PERMITS);
        Ok(Self { all, each, parallel, taken: Mutex::default(), open, refused })
    }

    /// A place for one more request of this client.
    pub fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Place, Full> {
        let turns = self.take(client).inspect_err(|full| self.refuse(full.setting()))?;
        self.open.inc();
        Ok(Place { room: Arc::clone(self), client, turns })
    }

    /// Counts a refusal by the setting that is its reason.
    pub fn refuse(&self, setting: &str) {
        self.refused.with_label_values(&[setting]).inc();
    }

    fn take(&self, client: IpAddr) -> Result<Turns, Full> {
        let mut taken = self.taken();
        let open = taken.by_client.get(&client).map_or(0, |own| own.open);
        if open >= self.each {
            return Err(Full::Client(self.each));
        }
        if taken.all >= self.all {
            return Err(Full::All(self.all));
        }
        taken.all += 1;
        let none = || Own { open: 0, turns: Turns(Arc::new(Semaphore::new(self.parallel))) };
        let own = taken.by_client.entry(client).or_insert_with(none);
        own.open += 1;
        Ok(own.turns.clone())
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all -= 1;
        match taken.by_client.get_mut(&self.client) {
            Some(own) if own.open > 1 => own.open -= 1,
            Some(_) | None => drop(taken.by_client.remove(&self.client)),
        }
        self.room.open.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(all: u32, each: u32) -> Arc<Room> {
        let config =
            Config { max_requests: all, max_requests_per_client: each, ..Config::default() };
        Arc::new(Room::new(&config, &prometheus::Registry::new()).expect("names are right"))
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, number])
    }

    #[test]
    fn who_asks_too_much_is_refused_and_others_are_not() {
        let room = room(3, 2);
        let first: Vec<Place> = (0..2).filter_map(|_| room.admit(client(1)).ok()).collect();
        assert_eq!(first.len(), 2);
        assert_eq!(room.admit(client(1)).err(), Some(Full::Client(2)));
        let other = room.admit(client(2)).expect("there is room for another");
        assert_eq!(room.admit(client(3)).err(), Some(Full::All(3)));
        drop(other);
        assert!(room.admit(client(3)).is_ok());
    }

    #[test]
    fn a_place_that_is_given_back_leaves_nothing_of_its_client() {
        let room = room(3, 2);
        drop(room.admit(client(1)));
        assert!(room.taken().by_client.is_empty());
        assert_eq!((room.taken().all, room.open.get()), (0, 0));
    }

    #[tokio::test]
    async fn who_has_all_its_turns_waits_and_another_client_does_not() {
        let config = Config { parallel_per_client: 1, ..Config::default() };
        let room = Room::new(&config, &prometheus::Registry::new()).expect("names are right");
        let room = Arc::new(room);
        let place = |number: u8| room.admit(client(number)).expect("there is room");
        let (first, second, other) = (place(1), place(1), place(2));
        let (turns, soon) = (first.turns(), Duration::from_millis(1));
        let held = turns.next(soon).await;
        assert!(held.is_some() && second.turns().next(soon).await.is_none());
        assert!(other.turns().next(soon).await.is_some());
        drop(held);
        assert!(second.turns().next(soon).await.is_some());
    }

    #[test]
    fn refusals_are_counted_by_the_setting_that_is_their_reason() {
        let room = room(1, 1);
        let held = room.admit(client(1));
        drop((room.admit(client(1)), room.admit(client(2))));
        for setting in ["max_requests", "max_requests_per_client"] {
            assert_eq!(room.refused.with_label_values(&[setting]).get(), 1, "{setting}");
        }
        drop(held);
    }
}
