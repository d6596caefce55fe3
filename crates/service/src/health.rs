//! `/healthz`, `/readyz` and `/metrics`, the same on every service.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{Encoder, TextEncoder};

use crate::tasks::Tasks;

/// What must be usable for a program to be ready; each named part says so itself.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
}

impl Health {
    /// Names a part and what is wrong with it; `Ok` when it is usable.
    pub fn set(&self, part: &'static str, state: Result<(), String>) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, state);
    }

    /// `Ok` when at least one part has spoken and all are usable, else what is wrong, a line each.
    pub fn ready(&self) -> Result<(), String> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (part, state) in parts.iter() {
            if let Err(wrong) = state {
                writeln!(text, "{part}: {wrong}").expect("a String takes all");
            }
        }
        match (parts.is_empty(), text.is_empty()) {
            (true, _) => Err("starting\n".to_owned()),
            (false, true) => Ok(()),
            (false, false) => Err(text),
        }
    }
}

#[derive(Clone)]
struct Shared {
    health: Health,
    metrics: prometheus::Registry,
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    match shared.health.ready() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(wrong) => (StatusCode::SERVICE_UNAVAILABLE, wrong),
    }
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    let headers = [(header::CONTENT_TYPE, encoder.format_type().to_owned())];
    match encoder.encode(&shared.metrics.gather(), &mut text) {
        Ok(()) => (StatusCode::OK, headers, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, headers, error.to_string().into_bytes()),
    }
}

/// The three routes; the gateway merges them into its own.
pub fn routes(health: Health, metrics_registry: prometheus::Registry) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Shared { health, metrics: metrics_registry })
}

/// Serves the three routes until the program stops. Returns the address that was bound.
pub async fn serve(
    listen: SocketAddr,
    routes: Router,
    tasks: &Tasks,
) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let bound = listener.local_addr()?;
    let stop = tasks.stop_token();
    tasks.spawn("health", async move {
        axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await
    });
    Ok(bound)
}
