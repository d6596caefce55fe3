//! Lists that are printed again.

use std::time::Duration;

use crate::failure::Failure;
use crate::output;

/// Runs `show` once, or every two seconds on a cleared screen until Ctrl-C.
pub async fn every<F>(again: bool, mut show: impl FnMut() -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    if !again {
        return show().await;
    }
    let mut tick = tokio::time::interval(Duration::from_secs(2));
    loop {
        tick.tick().await;
        if output::terminal() {
            output::print("\x1b[2J\x1b[H");
        }
        show().await?;
    }
}
