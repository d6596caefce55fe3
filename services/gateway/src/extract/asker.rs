//! The right to ask the bus: handlers get it by naming the policy that they need.

use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use ostler_bus::Caller;
use ostler_core::id::NodeName;
use ostler_schemas::api::Call;
use ostler_schemas::problem::Code;
use sha2::{Digest, Sha256};

use crate::answer::{Answer, Refusal};
use crate::app::App;
use crate::extract::identity::{Identity, Policy};
use crate::extract::trace::TraceId;
use crate::room::Turns;

/// Longest accepted `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// Asks services in the name of whoever sent the request.
#[derive(Debug, Clone)]
pub struct Asker {
    app: App,
    caller: Caller,
    /// Of whoever sent it; all requests come through the room that has them.
    turns: Option<Turns>,
}

impl Asker {
    /// Asks a service.
    pub async fn ask<R: Call>(&self, request: R) -> Answer<R::Reply> {
        let _turn = match &self.turns {
            Some(turns) => Some(turns.next(self.caller.timeout).await.ok_or_else(no_turn)?),
            None => None,
        };
        Ok(self.app.bus().call(&request, &self.caller).await?)
    }

    /// Asks a service that may take its time.
    pub async fn ask_within<R: Call>(&self, request: R, within: Duration) -> Answer<R::Reply> {
        let caller = Caller { timeout: within, ..self.caller.clone() };
        Ok(self.app.bus().call(&request, &caller).await?)
    }

    /// Asks one executor.
    pub async fn ask_node<R: Call>(&self, node: &NodeName, request: R) -> Answer<R::Reply> {
        Ok(self.app.bus().call_node(node, &request, &self.caller).await?)
    }

    /// What all handlers share.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }
}

/// An [`Asker`] whose sender has the policy `P`.
#[derive(Debug, Clone)]
pub struct Allowed<P>(Asker, PhantomData<fn() -> P>);

impl<P> Allowed<P> {
    /// The asker itself, for a task that outlives the handler.
    #[must_use]
    pub fn into_asker(self) -> Asker {
        self.0
    }
}

impl<P> Deref for Allowed<P> {
    type Target = Asker;
    fn deref(&self) -> &Asker {
        &self.0
    }
}

impl<P: Policy> FromRequestParts<App> for Allowed<P> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let Ok(identity) = Identity::from_request_parts(parts, app).await;
        identity.require::<P>()?;
        let trace = parts.extensions.get::<TraceId>().cloned();
        let caller = Caller {
            op_id: op_id(parts, &identity.actor)?,
            actor: identity.actor,
            trace_id: trace.unwrap_or_else(TraceId::fresh).0,
            timeout: app.request_timeout(),
        };
        let turns = parts.extensions.get::<Turns>().cloned();
        Ok(Self(Asker { app: app.clone(), caller, turns }, PhantomData))
    }
}

fn no_turn() -> Refusal {
    let setting = "gateway.parallel_per_client";
    let detail = format!("others of your own requests take too long (`{setting}`)");
    Refusal::new(Code::LimitExceeded, detail)
}

/// The id of the operation. The same `Idempotency-Key` of the same sender on the same path gives
/// the same id, so that the registry does it once.
fn op_id(parts: &Parts, actor: &str) -> Result<String, Refusal> {
    let Some(key) = parts.headers.get("idempotency-key") else {
        return Ok(ostler_bus::op_id());
    };
    if parts.method == Method::GET {
        return Ok(ostler_bus::op_id());
    }
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let key = key.ok_or_else(|| {
        Refusal::malformed("Idempotency-Key", format!("1 to {LONGEST_KEY} visible characters"))
    })?;
    if key.len() == 26 && key.parse::<ulid::Ulid>().is_ok() {
        return Ok(key.to_owned());
    }
    let path = parts.uri.path();
    let hash = Sha256::digest(format!("{actor}\n{}\n{path}\n{key}", parts.method));
    let bits = hash.iter().take(16).fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    Ok(ulid::Ulid(bits).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(method: &str, path: &str, key: Option<&str>) -> Result<String, Refusal> {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        op_id(&request.body(()).expect("a request").into_parts().0, "anonymous")
    }

    #[test]
    fn the_same_key_gives_the_same_operation_and_another_path_another() {
        let one = id("POST", "/v1/workloads", Some("order-7")).expect("an id");
        assert_eq!(id("POST", "/v1/workloads", Some("order-7")).expect("an id"), one);
        assert_ne!(id("POST", "/v1/plan", Some("order-7")).expect("an id"), one);
        assert_ne!(id("POST", "/v1/workloads", None).expect("an id"), one);
        assert_eq!(one.len(), 26);
    }

    #[test]
    fn a_ulid_is_taken_as_it_is_and_nonsense_is_refused() {
        let ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(id("POST", "/v1/workloads", Some(ulid)).expect("an id"), ulid);
        let long = "x".repeat(256);
        for wrong in ["", long.as_str()] {
            let refusal = id("POST", "/v1/workloads", Some(wrong)).expect_err("refused");
            assert_eq!(refusal.problem().field.as_deref(), Some("Idempotency-Key"));
        }
    }
}
