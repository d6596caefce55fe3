//! Sends orders to the schedulers, each operation's once: asked for again, the same command is
//! answered with.
//!
//! A command's id has the time in its front, by which schedulers tell old ones, and the mark of its
//! operation in the rest. Where the time is that of the operation's id, the whole id follows from the
//! operation, and two replicas make one key of it. Where an operation's id has no time (a key that a
//! caller chose), it is written only if nothing was ordered of the pool since we looked.

use std::time::Duration;

use ostler_bus::{Caller, Fence, WriteError};
use ostler_core::command::{Command, Order};
use ostler_core::id::PoolName;
use ostler_core::time::{Span, Timestamp};
use ostler_schemas::bucket::{Bucket, CommandKey};
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::index::command_view;
use crate::refusal::{unread, unwritten};

/// The time of an operation's id is taken for the command's if it is so near.
const NEAR: Span = Span::from_secs(600);
/// Somebody is always faster: give up.
const TRIES: u32 = 40;
/// Between two tries, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 5..50;

/// Which command an operation gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// The last 80 bits of the command's id.
    mark: u128,
    /// The first 48, if the operation says them.
    at: Option<Timestamp>,
}

impl Once {
    /// The command of this caller's operation: what is ordered, and of whom as the caller said it.
    pub fn of(caller: &Caller, now: Timestamp, verb: &str, whom: &str) -> Self {
        let hash = Sha256::digest(format!("{}\n{verb}\n{whom}", caller.op_id));
        let mark = hash.iter().take(10).fold(0, |bits: u128, byte| (bits << 8) | u128::from(*byte));
        let at = caller.op_id.parse::<ulid::Ulid>().ok();
        let at = at.map(|id| Timestamp::from_millis(id.timestamp_ms()));
        let near = |at: &Timestamp| at.since(now) < NEAR && now.since(*at) < NEAR;
        Self { mark, at: at.filter(near) }
    }

    fn id(self, now: Timestamp) -> String {
        let at = self.at.unwrap_or(now);
        ulid::Ulid::from_parts(at.as_millis(), self.mark).to_string()
    }
}

impl App {
    fn command(&self, caller: &Caller, pool: &PoolName, (id, order): (String, Order)) -> Command {
        let (actor, at) = (caller.actor.clone(), self.now());
        Command { id, pool: pool.clone(), order, actor, at }
    }

    /// What an order would look like; it is not sent.
    pub fn unsent(&self, caller: &Caller, pool: &PoolName, order: Order) -> pb::CommandView {
        command_view(&self.command(caller, pool, (String::new(), order)), None)
    }

    /// What was ordered before by the same operation, as far as our index has seen it.
    pub fn ordered(&self, once: Once) -> Option<pb::CommandView> {
        self.index.read(|picture| picture.command_of(once.mark))
    }

    /// The same once our index has seen everything that was ordered so far.
    pub async fn ordered_by_now(&self, once: Once) -> Result<Option<pb::CommandView>, Problem> {
        if let Some(known) = self.ordered(once) {
            return Ok(Some(known));
        }
        let last = self.bus.last_revision(&Bucket::Commands).await.map_err(unread)?;
        self.see(&Bucket::Commands, last).await;
        Ok(self.ordered(once))
    }

    /// Sends an order to a pool's scheduler, or answers with what the same operation ordered before.
    pub async fn order(
        &self,
        caller: &Caller,
        pool: &PoolName,
        once: Once,
        order: Order,
    ) -> Result<pb::CommandView, Problem> {
        for _ in 0..TRIES {
            let fence = match once.at {
                Some(_) => None,
                None => Some(self.orders_so_far(pool).await?),
            };
            if let Some(known) = self.ordered(once) {
                return Ok(known);
            }
            let command = self.command(caller, pool, (once.id(self.now()), order.clone()));
            if let Some(view) = self.send(&command, fence.as_ref()).await? {
                return Ok(view);
            }
            let pause = rand::rng().random_range(PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Err(Problem::new(Code::Unavailable, format!("too much is ordered of `{pool}` at once")))
    }

    /// What nobody else may order meanwhile; our index has seen all before.
    async fn orders_so_far(&self, pool: &PoolName) -> Result<Fence, Problem> {
        let fence = self.bus.fence(&Bucket::Commands, &format!("{pool}.*")).await;
        let fence = fence.map_err(unread)?;
        self.see(&Bucket::Commands, fence.at).await;
        if self.index.revision(&Bucket::Commands) < fence.at {
            let text = format!("what was ordered of `{pool}` is not known yet");
            return Err(Problem::new(Code::Unavailable, text));
        }
        Ok(fence)
    }

    /// Writes a command; `None`: something was ordered meanwhile, look again.
    async fn send(
        &self,
        command: &Command,
        fence: Option<&Fence>,
    ) -> Result<Option<pb::CommandView>, Problem> {
        let key = CommandKey((command.pool.clone(), command.id.clone()));
        let wrote = match fence {
            Some(fence) => self.bus.update_within(&key, command, fence).await,
            None => self.bus.update(&key, command, ostler_core::id::Revision(0)).await,
        };
        let failed = match wrote {
            Ok(revision) => {
                self.see(&Bucket::Commands, revision).await;
                return Ok(Some(command_view(command, None)));
            }
            Err(refused @ WriteError::Refused { .. }) => return Err(unwritten(refused)),
            Err(failed @ (WriteError::Conflict { .. } | WriteError::Unknown { .. })) => failed,
        };
        // It may be there: written by us after all, or for the same operation by another replica.
        let found = self.bus.get(&key).await.map_err(unread)?;
        if let Some(entry) = found {
            return Ok(Some(self.index.read(|picture| picture.command_as(&entry.value))));
        }
        match failed {
            WriteError::Conflict { .. } => Ok(None),
            failed @ (WriteError::Unknown { .. } | WriteError::Refused { .. }) => {
                Err(unwritten(failed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(op_id: &str, now_ms: u64) -> Once {
        let caller = Caller { op_id: op_id.to_owned(), ..Caller::program("test") };
        Once::of(&caller, Timestamp::from_millis(now_ms), "restart_instance", "0123")
    }

    #[test]
    fn one_operation_gives_one_command_and_its_id_is_of_its_time() {
        let now = 1_790_000_000_000;
        let near = ulid::Ulid::from_parts(now - 5_000, 7).to_string();
        let id = |at: u64| once(&near, at).id(Timestamp::from_millis(at));
        assert_eq!(id(now), id(now + 60_000), "a minute later it is the same");
        let ms = |id: &str| id.parse::<ulid::Ulid>().expect("a ULID").timestamp_ms();
        assert_eq!(ms(&id(now)), now - 5_000);
        let hashed = ulid::Ulid::from_parts(now * 3, 7).to_string();
        let chosen = once(&hashed, now);
        assert_eq!((chosen.at, ms(&chosen.id(Timestamp::from_millis(now)))), (None, now));
        assert_eq!(chosen.mark, once(&hashed, now + 60_000).mark);
        assert_ne!(chosen.mark, once(&near, now).mark);
    }
}
