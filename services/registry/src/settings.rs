//! What operators change of how pools decide, while the fleet runs.

use ostler_bus::Caller;
use ostler_core::id::PoolName;
use ostler_core::tuning::Tuning;
use ostler_schemas::bucket::{SettingsKey, SettingsRecord};
use ostler_schemas::pb;
use ostler_schemas::problem::Problem;

use crate::app::{App, Shared};
use crate::quota::{document, named};
use crate::refusal::{invalid, unread};
use crate::write::{Anew, Terms, change_through, event_id};

/// The level: a pool, or the whole fleet.
fn level(app: &App, pool: &str) -> Result<Option<PoolName>, Problem> {
    if pool.is_empty() {
        return Ok(None);
    }
    let pool: PoolName = pool
        .parse()
        .map_err(|error: ostler_core::id::IdError| invalid("pool", error.to_string()))?;
    app.check_pool(&pool)?;
    Ok(Some(pool))
}

fn view(pool: String, settings: &Tuning, revision: u64) -> pb::SettingsView {
    pb::SettingsView { pool, settings: Some(document(settings)), revision }
}

/// `settings.get`: where nothing was said, nothing, at revision 0.
pub async fn get(
    app: Shared,
    _: Caller,
    request: pb::SettingsGet,
) -> Result<pb::SettingsView, Problem> {
    let key = SettingsKey(level(&app, &request.pool)?);
    let entry = app.bus.get(&key).await.map_err(unread)?;
    Ok(match entry {
        None => view(request.pool, &Tuning::default(), 0),
        Some(entry) => view(request.pool, &entry.value.settings, entry.revision.0),
    })
}

/// `settings.put`: the pools' leaders take it up at once.
pub async fn put(
    app: Shared,
    caller: Caller,
    request: pb::SettingsPut,
) -> Result<pb::SettingsView, Problem> {
    let key = SettingsKey(level(&app, &request.pool)?);
    let text = request.settings.map_or_else(|| "{}".to_owned(), |settings| settings.json);
    let settings = Tuning::from_json(&text).map_err(|errors| named("settings", errors))?;
    let (if_revision, dry_run) = (request.if_revision, request.dry_run);
    let terms = Terms { if_revision, dry_run, ..Terms::of(&caller) };
    let changed = change_through(&app.bus, key, terms, &Anew, |old: Option<&SettingsRecord>| {
        let same = old.is_some_and(|old| old.settings == settings);
        let (updated_at, op_id) = (app.now(), caller.op_id.clone());
        Ok((!same).then_some(SettingsRecord { settings, updated_at, op_id }))
    });
    let changed = changed.await?;
    if changed.ours() {
        let mut event = pb::Event {
            id: event_id(&caller.op_id),
            kind: "settings.updated".to_owned(),
            reason: document(&settings).json,
            ..Default::default()
        };
        event.details.insert("pool".to_owned(), request.pool.clone());
        app.tell_durably(&caller, event).await?;
    }
    Ok(view(request.pool, &settings, changed.revision.0))
}
