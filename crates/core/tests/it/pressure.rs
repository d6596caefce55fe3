//! When there is too little for all: who waits, who has to go, who moves.

mod blocked;
mod even;
mod hunted;
mod preempt;
mod rebalance;
mod settings;
mod wakes;
