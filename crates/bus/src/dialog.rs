//! Two programs in conversation over core messages: in order, complete, bounded.
//!
//! Core messages may be lost. Here that is noticed: pieces are counted in both directions, and a gap
//! ends the dialog. At most [`WINDOW`] pieces are on their way in each direction, so a slow reader
//! slows the writer down instead of losing anything. Signs of life tell that the other side is there.

use std::time::{Duration, Instant};

use ostler_schemas::contract::Contract;
use ostler_schemas::pb;
use ostler_service::clock;
use thiserror::Error;
use tokio::time::Interval;

use crate::connection::Bus;
use crate::pubsub::{SendError, Subscription};

/// So many pieces may be on their way in each direction.
pub const WINDOW: u64 = 32;
/// How often a side that has nothing to say shows that it is there.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// Who says nothing for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(20);

/// One message of a dialog.
pub trait Piece: Default + Send + Sync {
    /// Its number, from 1; 0 for a sign of life.
    fn sequence(&self) -> u64;
    /// The last piece of the other direction that its sender has taken.
    fn taken(&self) -> u64;
    /// Gives it both.
    fn stamp(&mut self, sequence: u64, taken: u64);
}

macro_rules! piece {
    ($($type:ident),*) => {$(
        impl Piece for pb::$type {
            fn sequence(&self) -> u64 {
                self.sequence
            }
            fn taken(&self) -> u64 {
                self.taken
            }
            fn stamp(&mut self, sequence: u64, taken: u64) {
                (self.sequence, self.taken) = (sequence, taken);
            }
        }
    )*};
}
piece!(ExecInput, ExecOutput);

/// Why a dialog cannot go on.
#[derive(Debug, Error)]
pub enum Broken {
    /// Messages were lost.
    #[error("piece {expected} was lost, {came} came")]
    Gap {
        /// What should have come.
        expected: u64,
        /// What came.
        came: u64,
    },
    /// The other side is gone.
    #[error("the other side has said nothing for {} s", GONE_AFTER.as_secs())]
    Silence,
    /// There is no connection.
    #[error("the connection is closed")]
    Closed,
    /// A piece cannot be read or sent.
    #[error("{0}")]
    Message(String),
}

impl From<SendError> for Broken {
    fn from(error: SendError) -> Self {
        Self::Message(error.to_string())
    }
}

/// One side of a dialog: sends to `S`, hears from `R`.
#[derive(Debug)]
pub struct Dialog<S: Contract, R: Contract> {
    bus: Bus,
    to: S,
    from: Subscription<R>,
    pace: Pace,
    alive: Interval,
}

/// What was sent, heard and taken.
#[derive(Debug)]
struct Pace {
    sent: u64,
    taken_there: u64,
    heard: u64,
    taken: u64,
    told: u64,
    last: Instant,
}

/// What a message of the other side means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// The next piece.
    Piece,
    /// There may be more room, nothing else.
    Nothing,
}

impl Pace {
    fn hear(&mut self, piece: &impl Piece, now: Instant) -> Result<Meaning, Broken> {
        self.last = now;
        self.taken_there = self.taken_there.max(piece.taken().min(self.sent));
        match piece.sequence() {
            // A sign of life, or a piece that came twice.
            came if came <= self.heard => Ok(Meaning::Nothing),
            came if came == self.heard + 1 && came - self.taken <= WINDOW => {
                self.heard = came;
                Ok(Meaning::Piece)
            }
            came => Err(Broken::Gap { expected: self.heard + 1, came }),
        }
    }

    fn has_room(&self) -> bool {
        self.sent - self.taken_there < WINDOW
    }

    /// Whether the other side should hear how much was taken before it has to wait.
    fn owes_word(&self) -> bool {
        self.taken - self.told >= WINDOW / 4
    }
}

impl<S, R> Dialog<S, R>
where
    S: Contract<Payload: Piece>,
    R: Contract<Payload: Piece>,
{
    /// Listens; what is sent there from now on is heard.
    pub async fn open(bus: &Bus, to: S, from: &R) -> Result<Self, SendError> {
        let from = bus.subscribe(Some(from)).await?;
        let now = clock::instant();
        let mut alive = tokio::time::interval_at((now + ALIVE_EVERY).into(), ALIVE_EVERY);
        alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let pace = Pace { sent: 0, taken_there: 0, heard: 0, taken: 0, told: 0, last: now };
        Ok(Self { bus: bus.clone(), to, from, pace, alive })
    }

    /// Whether a piece may be sent now; [`Dialog::next`] tells when that changes.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pace.has_room()
    }

    /// Sends the next piece. To be called only while there is room.
    pub async fn send(&mut self, mut piece: S::Payload) -> Result<(), Broken> {
        self.pace.sent += 1;
        piece.stamp(self.pace.sent, self.pace.taken);
        self.pace.told = self.pace.taken;
        Ok(self.bus.publish(&self.to, &piece).await?)
    }

    async fn say_alive(&mut self) -> Result<(), Broken> {
        let mut piece = S::Payload::default();
        piece.stamp(0, self.pace.taken);
        self.pace.told = self.pace.taken;
        match self.bus.publish(&self.to, &piece).await {
            // It is back, or silence ends the dialog.
            Ok(()) | Err(SendError::Disconnected) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A piece that [`Dialog::next`] returned is dealt with: another may be sent. Until then it waits
    /// with the caller, who never has more than [`WINDOW`] of them.
    pub fn took_one(&mut self) {
        self.pace.taken = self.pace.heard.min(self.pace.taken + 1);
    }

    /// The next piece of the other side; `None` when there may be room again. To be called again
    /// and again, also by who only sends: it shows that this side is there. May be dropped at any
    /// time without losing a piece.
    pub async fn next(&mut self) -> Result<Option<R::Payload>, Broken> {
        if self.pace.owes_word() {
            self.say_alive().await?;
        }
        loop {
            tokio::select! {
                said = self.from.next() => {
                    let (_, piece) = said
                        .ok_or(Broken::Closed)?
                        .map_err(|error| Broken::Message(error.to_string()))?;
                    return Ok(match self.pace.hear(&piece, clock::instant())? {
                        Meaning::Piece => Some(piece),
                        Meaning::Nothing => None,
                    });
                }
                _ = self.alive.tick() => {
                    if clock::since(self.pace.last) > GONE_AFTER {
                        return Err(Broken::Silence);
                    }
                    self.say_alive().await?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace { sent: 0, taken_there: 0, heard: 0, taken: 0, told: 0, last: clock::instant() }
    }

    fn piece(sequence: u64, taken: u64) -> pb::ExecOutput {
        pb::ExecOutput { sequence, taken, ..Default::default() }
    }

    #[test]
    fn a_gap_ends_it_and_what_comes_twice_is_passed_over() {
        let (mut pace, now) = (pace(), clock::instant());
        assert_eq!(pace.hear(&piece(1, 0), now).expect("in order"), Meaning::Piece);
        assert_eq!(pace.hear(&piece(1, 0), now).expect("twice"), Meaning::Nothing);
        assert_eq!(pace.hear(&piece(0, 0), now).expect("alive"), Meaning::Nothing);
        let gap = pace.hear(&piece(3, 0), now).expect_err("a gap");
        assert_eq!(gap.to_string(), "piece 2 was lost, 3 came");
    }

    #[test]
    fn there_is_room_for_a_window_beyond_what_was_taken() {
        let (mut pace, now) = (pace(), clock::instant());
        pace.sent = WINDOW;
        assert!(!pace.has_room());
        pace.hear(&piece(0, 5), now).expect("alive");
        assert!(pace.has_room());
        // Nobody has taken what was never sent.
        pace.hear(&piece(0, u64::MAX), now).expect("alive");
        assert_eq!(pace.taken_there, WINDOW);
    }
}
