//! One pool: standby, takeover, reign, and standby again.

use std::sync::Arc;
use std::time::Duration;

use ostler_bus::lease::Candidate;
use ostler_bus::{Bus, Lease};
use ostler_core::id::PoolName;
use ostler_core::time::Timestamp;
use ostler_service::{Backoff, Program};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::asked;
use crate::config::Config;
use crate::errand;
use crate::feed::Feed;
use crate::history;
use crate::leases::Looked;
use crate::metrics::Metrics;
use crate::reign::{Effect, Input, Reign};
use crate::share::{self, Led, Share};
use crate::standing::Standing;
use crate::takeover::{Begun, Memory, TakeoverError, take_over};
use crate::world::World;
use crate::writer::{Failure, Pen, Writer, Written};

/// What all pools of a replica share.
#[derive(Debug)]
pub(crate) struct Context {
    /// The settings.
    pub config: Config,
    /// What this replica is called.
    pub replica: String,
    /// The door to NATS.
    pub bus: Bus,
    /// Tasks, health, metrics.
    pub program: Program,
    /// What is counted.
    pub metrics: Metrics,
    /// What is said of the replica's health.
    pub standing: Standing,
    /// What it leads.
    pub share: Share,
}

/// Inputs that are taken in at most before the next plan.
const AT_ONCE: usize = 1024;
/// How long to wait after something did not work: at first, at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// Who resigned does not stand again for so long.
const SHY: Duration = Duration::from_secs(2);
/// A reign that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(60);
/// A due moment is waited for at least so long, so that a moment that stays due does not spin.
const SHORTEST: Duration = Duration::from_millis(10);

/// How a reign ended.
enum End {
    /// The program stops.
    Stopped,
    /// The lease could not be renewed in time.
    LeaseLost,
    /// Another replica leads fewer pools.
    Resigned,
    /// By what the pen found.
    Failed(Failure),
}

/// Stands by for a pool, and leads it whenever the lease is ours, until the program stops.
pub(crate) async fn run(context: Arc<Context>, pool: PoolName) {
    let mut held: Option<Lease> = None;
    let mut memory = None;
    let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
    while !context.program.tasks.stop_token().is_cancelled() {
        let begun = ostler_service::clock::instant();
        let ended = turn(&context, &pool, held.take(), &mut memory).await;
        if ostler_service::clock::since(begun) >= GOOD {
            pause.reset();
        }
        held = match ended {
            Ok(kept) => kept,
            Err(TakeoverError::Stopped) => break,
            Err(failed) => {
                let cause = std::error::Error::source(&failed).map(ToString::to_string);
                let cause = cause.unwrap_or_default();
                warn!(pool = %pool, error = %failed, cause, "pool {pool} is not led: {failed}");
                context.standing.unusable(&pool, &failed.to_string());
                tokio::select! {
                    () = context.program.tasks.stopped() => break,
                    () = pause.wait() => None,
                }
            }
        };
    }
    if let Some(lease) = held {
        lease.release().await;
    }
}

/// Standby, takeover and reign, once. The lease is returned if it is to be used again.
async fn turn(
    context: &Arc<Context>,
    pool: &PoolName,
    held: Option<Lease>,
    memory: &mut Option<Memory>,
) -> Result<Option<Lease>, TakeoverError> {
    let mut feed = Feed::open(&context.bus, pool).await?;
    let mut world = World::after(memory.take());
    let lease = match held {
        Some(lease) => lease,
        None => stand_by(context, pool, &mut feed, &mut world).await?,
    };
    match take_over(context, pool, &lease, &mut feed, &mut world).await {
        Ok(begun) => {
            drop(world);
            context.standing.usable(pool);
            let term = begun.term.clone();
            let (end, reign) = Throne::begin(context, pool, begun).lead(&mut feed, &lease).await;
            if matches!(end, End::Failed(Failure::Foreign)) {
                *memory = Some(Memory { term, reign });
            }
            after_reign(context, pool, end, lease).await
        }
        Err(failed) => {
            *memory = world.memory.take();
            lease.release().await;
            Err(failed)
        }
    }
}

/// Keeps the picture up to date until the lease is ours.
async fn stand_by(
    context: &Context,
    pool: &PoolName,
    feed: &mut Feed,
    world: &mut World,
) -> Result<Lease, TakeoverError> {
    let purpose = share::purpose(pool);
    let ttl = context.config.lease_ttl();
    let mut pause = Backoff::new(PAUSE.0, PAUSE.1);
    let wait = async {
        loop {
            let who =
                Candidate { holder: &context.replica, hesitation: &|| context.share.hesitation() };
            match Lease::acquire_as(&context.bus, &purpose, who, ttl).await {
                Ok(lease) => return lease,
                Err(error) => warn!(pool = %pool, error = %error, "the lease cannot be asked for"),
            }
            pause.wait().await;
        }
    };
    tokio::pin!(wait);
    let mut hot = false;
    loop {
        tokio::select! {
            () = context.program.tasks.stopped() => return Err(TakeoverError::Stopped),
            lease = &mut wait => return Ok(lease),
            heard = feed.next() => world.hear(heard.ok_or(TakeoverError::Stopped)?),
        }
        if !hot && world.caught_up() {
            hot = true;
            context.standing.usable(pool);
            info!(pool = %pool, replica = context.replica, "ready to lead pool {pool}");
        }
    }
}

/// Tells how a reign ended, and keeps or gives up the lease.
async fn after_reign(
    context: &Context,
    pool: &PoolName,
    end: End,
    lease: Lease,
) -> Result<Option<Lease>, TakeoverError> {
    context.metrics.pool(pool).reign(None);
    let told = |kind: &str, why: &str| {
        let details = [("holder", context.replica.clone())];
        let mut event = history::of_pool(pool, kind, &details);
        why.clone_into(&mut event.reason);
        context.bus.emit(event);
    };
    match end {
        End::Stopped => {
            lease.release().await;
            Ok(None)
        }
        End::LeaseLost => {
            warn!(pool = %pool, replica = context.replica, "pool {pool}: the lease was lost");
            told("leader.deposed", "lease_lost");
            Ok(None)
        }
        End::Resigned => {
            told("leader.resigned", "another replica leads fewer pools");
            lease.release().await;
            // Whoever waits for it takes it meanwhile.
            tokio::select! {
                () = context.program.tasks.stopped() => {}
                () = tokio::time::sleep(SHY) => {}
            }
            Ok(None)
        }
        End::Failed(Failure::Deposed) => {
            warn!(pool = %pool, replica = context.replica, "pool {pool}: another leads");
            told("leader.deposed", "fenced");
            lease.release().await;
            Ok(None)
        }
        End::Failed(Failure::Foreign) => {
            error!(pool = %pool, "pool {pool}: somebody else wrote placements, reading all anew");
            told("leader.foreign_write", "somebody else wrote placements");
            Ok(Some(lease))
        }
        End::Failed(Failure::Refused) => {
            told("leader.refused", "the server does not take what is to be written");
            lease.release().await;
            Err(TakeoverError::Unwritable)
        }
        End::Failed(Failure::Lost) => {
            error!(pool = %pool, replica = context.replica, "pool {pool}: the pen was lost");
            told("leader.deposed", "pen_lost");
            lease.release().await;
            Err(TakeoverError::PenLost)
        }
    }
}

/// Everything that belongs to one reign and ends with it.
struct Throne {
    context: Arc<Context>,
    reign: Reign,
    pen: Pen,
    asks: mpsc::Receiver<asked::Ask>,
    looked: (mpsc::Sender<Looked>, mpsc::Receiver<Looked>),
    stop: CancellationToken,
    led: Led,
}

impl Throne {
    fn begin(context: &Arc<Context>, pool: &PoolName, begun: Begun) -> Self {
        let Begun { reign, term, after, retold } = begun;
        info!(
            pool = %pool, term = term.term.0, replica = context.replica,
            "leading pool {pool}, term {}", term.term
        );
        let details = [("term", term.term.to_string()), ("holder", term.holder.clone())];
        context.bus.emit(history::of_pool(pool, "leader.elected", &details));
        retold.into_iter().for_each(|event| context.bus.emit(event));
        let stop = CancellationToken::new();
        let writer = Writer::new(&context.bus, term, pool.clone(), context.metrics.pool(pool));
        let pen = writer.start(after, stop.clone());
        let (sender, asks) = mpsc::channel(asked::QUEUE);
        let (bus, me) = (context.bus.clone(), (context.replica.clone(), pool.clone()));
        context.program.tasks.spawn_brief(asked::serve(bus, me, sender, stop.clone()));
        let (context, looked) = (Arc::clone(context), mpsc::channel(64));
        let led = context.share.lead(pool);
        Self { context, reign, pen, asks, looked, stop, led }
    }

    /// Plans and writes until something ends the reign; the batch in flight is waited for.
    async fn lead(mut self, feed: &mut Feed, lease: &Lease) -> (End, Reign) {
        let end = self.rule(feed, lease).await;
        self.stop.cancel();
        while self.pen.written.recv().await.is_some() {}
        (end, self.reign)
    }

    async fn rule(&mut self, feed: &mut Feed, lease: &Lease) -> End {
        let stopped = self.context.program.tasks.stop_token();
        let resign = self.led.resign.clone();
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            if let Some(row) = self.reign.plan(self.now()) {
                // The pen is free; where it was laid down, it says so.
                self.pen.rows.send(row).await.ok();
            }
            let due = self.until_due();
            let input = tokio::select! {
                biased;
                () = stopped.cancelled() => return End::Stopped,
                () = lease.lost() => return End::LeaseLost,
                () = resign.cancelled() => return End::Resigned,
                written = self.pen.written.recv() => Input::Written(Written::heard(written)),
                Some(ask) = self.asks.recv() => Input::Asked(ask),
                Some((look, found)) = self.looked.1.recv() => Input::Looked(look, found),
                _ = tick.tick() => Input::Tick,
                () = due => Input::Due,
                heard = feed.next() => match heard {
                    Some(heard) => Input::Heard(heard),
                    None => return End::Stopped,
                },
            };
            if !lease.holds() {
                return End::LeaseLost;
            }
            if let Some(failure) = self.take(input, feed) {
                return End::Failed(failure);
            }
        }
    }

    /// Takes in an input and whatever else waits, so that one plan answers all of it.
    fn take(&mut self, input: Input, feed: &mut Feed) -> Option<Failure> {
        let waiting = feed.depth();
        let mut next = Some(input);
        for _ in 0..AT_ONCE {
            let Some(input) = next.take().or_else(|| feed.waiting().map(Input::Heard)) else {
                break;
            };
            for effect in self.reign.react(input, self.now()) {
                if let Some(failure) = self.perform(effect) {
                    return Some(failure);
                }
            }
        }
        self.reign.waiting(waiting);
        None
    }

    fn perform(&self, effect: Effect) -> Option<Failure> {
        let bus = self.context.bus.clone();
        let tasks = &self.context.program.tasks;
        match effect {
            Effect::Emit(event) => bus.emit(*event),
            Effect::RollBack(workload, good, failed) => {
                let stop = self.stop.clone();
                tasks.spawn_brief(errand::roll_back(bus, workload, (good, failed), stop));
            }
            Effect::Sync(node) => tasks.spawn_brief(errand::sync(bus, node)),
            Effect::LookForLease(look) => {
                let looked = self.looked.0.clone();
                tasks.spawn_brief(async move {
                    if let Some(found) = errand::look_for_lease(&bus, &look.0).await {
                        looked.send((look, found)).await.ok();
                    }
                });
            }
            Effect::End(failure) => return Some(failure),
        }
        None
    }

    fn now(&self) -> Timestamp {
        self.context.bus.pool_time()
    }

    /// Resolves when the engine wants to be asked.
    fn until_due(&self) -> impl Future<Output = ()> + use<> {
        let wait = self.reign.wake_at().map(|at| Duration::from(at.since(self.now())));
        async move {
            match wait {
                Some(wait) => tokio::time::sleep(wait.max(SHORTEST)).await,
                None => std::future::pending().await,
            }
        }
    }
}
