//! From what watches tell to what the engine is told: decoded, and only of this pool.

use ostler_bus::WatchEvent;
use ostler_core::command::Command;
use ostler_core::id::{NodeName, PoolName};
use ostler_core::instance::{Manifest, Report};
use ostler_core::reconcile::{Event, Intake, Progress, Source};
use ostler_core::tuning::{Level, Tuning};
use ostler_schemas::bucket::{BrakeRecord, Outcomes, PlacementKey, SettingsKey, SettingsRecord};
use ostler_schemas::wire::WireError;
use thiserror::Error;

/// A value that cannot be understood. It is neither an order nor an absence.
#[derive(Debug, Error)]
#[error("`{bucket}/{key}` cannot be read")]
pub(crate) struct Unreadable {
    /// In which bucket.
    pub bucket: &'static str,
    /// Which key.
    pub key: String,
    /// Why not.
    #[source]
    pub source: WireError,
}

/// Decodes, and hands on what concerns the pool.
#[derive(Debug)]
pub(crate) struct Reader {
    pool: PoolName,
    /// What concerns the pool.
    pub intake: Intake,
}

impl Reader {
    /// A reader that has heard nothing.
    pub fn new(pool: PoolName) -> Self {
        Self { intake: Intake::new(pool.clone()), pool }
    }

    /// What the engine is told because of what a watch told.
    pub fn read(&mut self, source: Source, event: WatchEvent) -> Result<Vec<Event>, Unreadable> {
        match event {
            WatchEvent::Put { key, value, .. } => {
                Ok(self.put(source, &key, &value)?.into_iter().collect())
            }
            WatchEvent::Gone { key, .. } => Ok(self.gone(source, &key).into_iter().collect()),
            WatchEvent::CaughtUp { .. } => Ok(self.intake.caught_up(source)),
            WatchEvent::Resync => {
                self.intake.begin_anew(source);
                Ok(Vec::new())
            }
        }
    }

    /// What the engine is told because of a value. A value that cannot be read leaves what was
    /// known of the key as it was.
    pub fn put(
        &mut self,
        source: Source,
        key: &str,
        value: &[u8],
    ) -> Result<Option<Event>, Unreadable> {
        let event = match source {
            Source::Workloads => WatchEvent::decode(value).map(|head| self.intake.on_head(head)),
            Source::Nodes => WatchEvent::decode(value).map(|node| self.intake.on_node(node)),
            Source::Commands => self.on_command(key, value),
            Source::Placements => self.on_placement(key, value),
            Source::Reports => self.on_report(key, value),
            Source::Settings => self.on_settings(key, value),
        };
        event.map_err(|source_error| Unreadable {
            bucket: source.as_str(),
            key: key.to_owned(),
            source: source_error,
        })
    }

    /// What the engine is told of our own placements, from memory.
    pub fn recall(&mut self, event: Event) -> Event {
        match event {
            Event::Manifest(node, manifest) => self.intake.on_manifest(node, *manifest),
            Event::Progress(workload, progress) => self.intake.on_progress(workload, *progress),
            other => other,
        }
    }

    fn on_command(&self, key: &str, value: &[u8]) -> Result<Option<Event>, WireError> {
        let ours = key.split('.').next().is_some_and(|pool| pool == self.pool.to_string());
        if !ours {
            return Ok(None);
        }
        let command: Command = WatchEvent::decode(value)?;
        Ok(self.intake.on_command(command))
    }

    fn on_report(&self, key: &str, value: &[u8]) -> Result<Option<Event>, WireError> {
        let Ok(node) = key.parse::<NodeName>() else { return Ok(None) };
        if self.intake.is_stranger(&node) {
            return Ok(None);
        }
        let report: Report = WatchEvent::decode(value)?;
        Ok(self.intake.on_report(node, report))
    }

    fn on_placement(&mut self, key: &str, value: &[u8]) -> Result<Option<Event>, WireError> {
        match PlacementKey::read(key) {
            Some(PlacementKey::Manifest(node)) => {
                let manifest: Manifest = WatchEvent::decode(value)?;
                Ok(Some(self.intake.on_manifest(node, manifest)))
            }
            Some(PlacementKey::Progress(workload)) => {
                let progress: Progress = WatchEvent::decode(value)?;
                Ok(Some(self.intake.on_progress(workload, progress)))
            }
            Some(PlacementKey::Outcomes) => {
                let Outcomes(outcomes) = WatchEvent::decode(value)?;
                Ok(Some(Event::Outcomes(outcomes)))
            }
            Some(PlacementKey::Brake) => {
                let BrakeRecord { until } = WatchEvent::decode(value)?;
                Ok(Some(Event::Brake(until)))
            }
            Some(PlacementKey::Term) | None => Ok(None),
        }
    }

    fn on_settings(&self, key: &str, value: &[u8]) -> Result<Option<Event>, WireError> {
        let SettingsRecord { settings, .. } = WatchEvent::decode(value)?;
        Ok(self.tuning(key, settings))
    }

    /// Of the fleet, or of our pool; nobody else's.
    fn tuning(&self, key: &str, tuning: Tuning) -> Option<Event> {
        let level = match SettingsKey::read(key)?.0 {
            None => Level::Fleet,
            Some(pool) if pool == self.pool => Level::Pool,
            Some(_) => return None,
        };
        Some(Event::Tuning(level, Box::new(tuning)))
    }

    fn gone(&mut self, source: Source, key: &str) -> Option<Event> {
        match source {
            Source::Workloads => self.intake.on_head_gone(key.parse().ok()?),
            Source::Nodes => self.intake.on_node_gone(key.parse().ok()?),
            Source::Settings => self.tuning(key, Tuning::default()),
            Source::Commands | Source::Placements | Source::Reports => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_fleet_and_of_the_pool_are_heard_and_no_others() {
        let mut reader = Reader::new(PoolName::default());
        let value = br#"{"settings":{"preemption":true},"updated_at":0,"op_id":""}"#;
        let mut level = |key: &str| match reader.put(Source::Settings, key, value) {
            Ok(Some(Event::Tuning(level, tuning))) => {
                assert_eq!(tuning.preemption, Some(true));
                Some(level)
            }
            other => {
                assert!(matches!(other, Ok(None)), "{key}: {other:?}");
                None
            }
        };
        assert_eq!(level("fleet"), Some(Level::Fleet));
        assert_eq!(level("pool.default"), Some(Level::Pool));
        assert_eq!(level("pool.edge"), None);
        assert_eq!(level("other"), None);
        let garbage = reader.put(Source::Settings, "fleet", br#"{"settings":{"x":1}}"#);
        assert!(garbage.is_err(), "what cannot be read is said, and changes nothing");
    }
}
