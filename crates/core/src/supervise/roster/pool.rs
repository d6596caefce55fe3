//! Whose manifests a node obeys: those of one pool, until it is given to another.

use crate::id::PoolName;

use super::{Applied, Roster, Work};

impl Roster {
    /// The same, if that manifest was this pool's; with `None` nobody wrote down whose it was.
    #[must_use]
    pub fn of_pool(self, pool: Option<PoolName>) -> Self {
        Self { pool, ..self }
    }

    /// The pool whose manifest was applied, where that is known.
    #[must_use]
    pub const fn pool(&self) -> Option<&PoolName> {
        self.pool.as_ref()
    }

    /// Manifests are of this pool from now on: what was applied of another one is no measure of
    /// how new they are. Nothing is started or stopped by that.
    pub fn enter_pool(&mut self, pool: PoolName, work: &mut Work) {
        if self.pool.as_ref() == Some(&pool) {
            return;
        }
        if self.pool.replace(pool).is_some() {
            self.applied = Applied::default();
        }
        work.applied = true;
    }

    /// How many that have not ended are named by the manifest that was applied: its leader has to
    /// say what becomes of them.
    #[must_use]
    pub fn named(&self) -> usize {
        self.lives.values().filter(|life| life.named && !life.ended()).count()
    }
}
