//! What is done around the life of an instance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{PortName, WorkloadName};
use crate::time::Span;

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookPoint {
    /// Its directory and ports are ready; nothing runs.
    BeforeStart,
    /// It has started.
    AfterStart,
    /// Its checks pass; it is not ready yet.
    BeforeReady,
    /// It is ready.
    AfterReady,
    /// It is about to be told to stop.
    BeforeStop,
    /// Nothing of it runs any more.
    AfterStop,
}

impl HookPoint {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BeforeStart,
        Self::AfterStart,
        Self::BeforeReady,
        Self::AfterReady,
        Self::BeforeStop,
        Self::AfterStop,
    ];

    /// The key in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeStart => "before_start",
            Self::AfterStart => "after_start",
            Self::BeforeReady => "before_ready",
            Self::AfterReady => "after_ready",
            Self::BeforeStop => "before_stop",
            Self::AfterStop => "after_stop",
        }
    }
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A command, as the instance is run; it has to end with 0.
    Exec(Vec<String>),
    /// A request without a body, `http://…`; it has to be answered with 2xx or 3xx.
    Http(String),
    /// A text of up to 4 KiB is told as the event `instance.scroll`.
    Publish(String),
    /// Something has to be there.
    WaitFor(WaitFor),
}

/// What a hook waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// A file, from the instance's directory on.
    File(String),
    /// Something listens on a port of its own, by name.
    Port(PortName),
    /// An instance of another workload of the same namespace is ready, as far as this node knows.
    Instance(WorkloadName),
}

/// What becomes of an instance whose hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnHookFailure {
    /// It goes on; the failure is told.
    #[default]
    Ignore,
    /// It counts as a failed start. What is to stop stops all the same.
    Abort,
}

/// The hooks of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    actions: BTreeMap<HookPoint, Vec<Action>>,
    /// How long all actions of one point may take together.
    pub timeout: Span,
    /// What becomes of an instance whose hook fails.
    pub on_failure: OnHookFailure,
}

/// Where nothing is said.
const USUAL_TIMEOUT: Span = Span::from_secs(30);
/// At most so many actions at one point.
const MOST: usize = 16;
/// A published text has at most so many bytes.
const LONGEST_TEXT: usize = 4096;

impl Default for Hooks {
    fn default() -> Self {
        let on_failure = OnHookFailure::default();
        Self { actions: BTreeMap::new(), timeout: USUAL_TIMEOUT, on_failure }
    }
}

impl Hooks {
    /// Reads the table `hooks`; each mistake with the key it is at.
    pub fn read(table: &BTreeMap<String, Value>) -> Result<Self, Vec<(String, String)>> {
        let (mut hooks, mut wrong) = (Self::default(), Vec::new());
        for (key, value) in table {
            if let Err(message) = hooks.read_one(key, value) {
                wrong.push((key.clone(), message));
            }
        }
        if wrong.is_empty() { Ok(hooks) } else { Err(wrong) }
    }

    fn read_one(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let said = |error: serde_json::Error| error.to_string();
        match key {
            "timeout" => {
                self.timeout = serde_json::from_value(value.clone()).map_err(said)?;
                if self.timeout == Span::ZERO || self.timeout > Span::from_secs(3600) {
                    return Err("more than 0s and at most 1h".to_owned());
                }
            }
            "on_failure" => {
                self.on_failure = serde_json::from_value(value.clone()).map_err(said)?;
            }
            _ => {
                let point = HookPoint::ALL.into_iter().find(|point| point.as_str() == key);
                let point = point.ok_or("this version has no such hook yet; leave it out")?;
                let actions = match value {
                    Value::Array(items) => items.clone(),
                    one => vec![one.clone()],
                };
                if actions.len() > MOST {
                    return Err(format!("at most {MOST} actions"));
                }
                let actions = actions.into_iter().map(action).collect::<Result<Vec<_>, _>>()?;
                self.actions.insert(point, actions);
            }
        }
        Ok(())
    }

    /// What is done at a point, in this order.
    #[must_use]
    pub fn at(&self, point: HookPoint) -> &[Action] {
        self.actions.get(&point).map_or(&[], Vec::as_slice)
    }
}

fn action(value: Value) -> Result<Action, String> {
    let known = "`exec`, `http`, `publish` or `wait_for`";
    let action: Action = serde_json::from_value(value)
        .map_err(|error| format!("an action is a table with one of {known}: {error}"))?;
    match &action {
        Action::Exec(words) if words.first().is_none_or(String::is_empty) => {
            Err("`exec` names no program".to_owned())
        }
        Action::Exec(words) if words.iter().any(|word| word.contains('\0')) => {
            Err("`exec` holds a NUL character".to_owned())
        }
        Action::Http(url) if !url.starts_with("http://") => {
            Err("`http` is a URL that begins with `http://`".to_owned())
        }
        Action::Publish(text) if text.len() > LONGEST_TEXT => {
            Err(format!("`publish` has at most {LONGEST_TEXT} bytes"))
        }
        Action::Exec(_) | Action::Http(_) | Action::Publish(_) | Action::WaitFor(_) => Ok(action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Hooks, Vec<(String, String)>> {
        Hooks::read(&serde_json::from_str(json).expect("a table"))
    }

    #[test]
    fn a_hook_is_one_action_or_a_list_and_is_done_in_order() {
        let hooks = read(
            r#"{"timeout":"5s","on_failure":"abort","before_start":{"exec":["true"]},
                "before_ready":[{"wait_for":{"file":"up"}},{"publish":"hello"}]}"#,
        );
        let hooks = hooks.expect("reads");
        assert_eq!(hooks.at(HookPoint::BeforeStart), [Action::Exec(vec!["true".to_owned()])]);
        let waited = Action::WaitFor(WaitFor::File("up".to_owned()));
        let published = Action::Publish("hello".to_owned());
        assert_eq!(hooks.at(HookPoint::BeforeReady), [waited, published]);
        assert_eq!((hooks.timeout, hooks.on_failure), (Span::from_secs(5), OnHookFailure::Abort));
        assert_eq!(hooks.at(HookPoint::AfterStop), []);
    }

    #[test]
    fn each_mistake_is_named_with_its_key() {
        for (json, key, says) in [
            (r#"{"before_start":{"run":["true"]}}"#, "before_start", "`exec`, `http`"),
            (r#"{"before_start":{"exec":[]}}"#, "before_start", "no program"),
            (r#"{"after_stop":{"http":"https://x"}}"#, "after_stop", "begins with `http://`"),
            (r#"{"timeout":"0s"}"#, "timeout", "more than 0s"),
            (r#"{"on_failure":"panic"}"#, "on_failure", "unknown variant"),
            (r#"{"before_revive":{"exec":["true"]}}"#, "before_revive", "no such hook yet"),
        ] {
            let wrong = read(json).expect_err(json);
            assert_eq!(wrong.len(), 1, "{json}");
            assert_eq!(wrong[0].0, key);
            assert!(wrong[0].1.contains(says), "{json}: {}", wrong[0].1);
        }
    }
}
