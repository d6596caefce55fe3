//! How a connection is opened.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use rand::Rng as _;

use super::{ConnectError, Signals};
use crate::config::{Config, Pings};

/// Between two tries to reconnect: at least, at most, in milliseconds.
const RECONNECT_MS: (u64, u64) = (100, 5_000);
/// Commands that wait for the connection's task.
const COMMANDS: usize = 2_048;
/// Messages that wait in a subscription; what is more is dropped and counted.
const MESSAGES: usize = 64 * 1024;

pub(super) async fn connect(
    config: &Config,
    name: &str,
    pings: Pings,
    signals: &Arc<Signals>,
) -> Result<Client, ConnectError> {
    let servers = servers(&config.url)?;
    let signals = Arc::clone(signals);
    let mut options = ConnectOptions::new()
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(delay)
        .ping_interval(pings.interval())
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(config.request_timeout.into()))
        .client_capacity(COMMANDS)
        .subscription_capacity(MESSAGES)
        .custom_inbox_prefix(inbox(name))
        .event_callback(move |event| {
            let signals = Arc::clone(&signals);
            async move { signals.on(&event) }
        });
    if let Some(ca) = &config.ca {
        options = options.add_root_certificates(ca.into()).require_tls(true);
    }
    if let Some(file) = &config.credentials {
        options = options
            .credentials_file(file)
            .await
            .map_err(|error| ConnectError::Config(format!("`credentials`: {file}: {error}")))?;
    }
    options.connect(servers).await.map_err(|error| ConnectError::Unreachable {
        url: config.url.clone(),
        cause: error.to_string(),
    })
}

fn servers(url: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    url.split(',')
        .map(|one| one.trim().parse::<ServerAddr>())
        .collect::<Result<_, _>>()
        .map_err(|error| ConnectError::Config(format!("`url` is `{url}`: {error}")))
}

/// `_INBOX_<name>`: what the permissions of one user can name, so that nobody reads others'
/// replies.
fn inbox(name: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || char == '-' { char } else { '_' };
    let name: String = name.chars().map(plain).collect();
    format!("_INBOX_{name}")
}

/// Full jitter under a bound that doubles.
fn delay(attempt: usize) -> Duration {
    let (least, most) = RECONNECT_MS;
    let doublings = u32::try_from(attempt.min(10)).unwrap_or(10);
    let bound = (least << doublings).min(most);
    Duration::from_millis(rand::rng().random_range(least..=bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_between_a_tenth_and_five_seconds() {
        for attempt in [0, 1, 5, 10, usize::MAX] {
            let delay = delay(attempt);
            assert!((100..=5_000).contains(&delay.as_millis()), "{attempt}: {delay:?}");
        }
    }

    #[test]
    fn an_inbox_is_one_token() {
        assert_eq!(inbox("node 7.x"), "_INBOX_node_7_x");
    }
}
