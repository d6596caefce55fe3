//! The journal as a SQLite database.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ostler_core::id::SpecHash;
use ostler_core::instance::Spec;
use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};

use super::{Changes, JournalError, Saved, Standing, read_life};
use crate::supervise::Life;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS specs (hash TEXT PRIMARY KEY, spec TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY,
    workload TEXT NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    desired TEXT NOT NULL,
    observed TEXT NOT NULL,
    pid INTEGER,
    spec TEXT,
    record TEXT NOT NULL
) STRICT;
PRAGMA user_version = 1;
";

/// An open journal; no other executor can open it meanwhile.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: SqliteConnection,
    _lock: File,
}

/// How long another executor may take to be gone: what it was just forking holds its files until
/// it is run.
const GONE_WITHIN: Duration = Duration::from_secs(2);

async fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.display().to_string();
    std::fs::create_dir_all(dir)
        .map_err(|source| JournalError::Directory { path: path.clone(), source })?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"));
    let file = file.map_err(|source| JournalError::Directory { path: path.clone(), source })?;
    let taken = async {
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let taken = tokio::time::timeout(GONE_WITHIN, taken).await;
    taken.map_err(|_| JournalError::InUse { path })?;
    Ok(file)
}

/// Specifications hold the environment of instances, secrets among it: no user of an instance may
/// read them. What SQLite writes beside the file gets its mode.
fn keep_private(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

impl Sqlite {
    pub(super) async fn open(dir: &Path) -> Result<(Self, Saved), JournalError> {
        let lock = lock(dir).await?;
        let path = dir.join("journal.db");
        let database = |source| JournalError::Database { path: path.display().to_string(), source };
        keep_private(&path).map_err(|source| JournalError::Directory {
            path: path.display().to_string(),
            source,
        })?;
        let mut connection = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(database)?;
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await.map_err(database)?;
        let saved = load(&mut connection).await.map_err(database)?;
        Ok((Self { path, connection, _lock: lock }, saved))
    }

    pub(super) async fn write(&mut self, changes: &Changes) -> Result<(), JournalError> {
        write(&mut self.connection, changes).await.map_err(|source| JournalError::Database {
            path: self.path.display().to_string(),
            source,
        })
    }
}

async fn load(connection: &mut SqliteConnection) -> Result<Saved, sqlx::Error> {
    let applied = sqlx::query("SELECT value FROM state WHERE name = 'applied'")
        .fetch_optional(&mut *connection)
        .await?;
    let applied = match applied {
        Some(row) => serde_json::from_str(row.try_get::<&str, _>(0)?).unwrap_or_default(),
        None => Standing::default(),
    };
    let mut specs: HashMap<SpecHash, Arc<Spec>> = HashMap::new();
    for row in sqlx::query("SELECT hash, spec FROM specs").fetch_all(&mut *connection).await? {
        let (hash, spec): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        if let (Ok(hash), Ok(spec)) = (hash.parse(), serde_json::from_str(spec)) {
            specs.insert(hash, Arc::new(spec));
        }
    }
    let rows = sqlx::query("SELECT id, record FROM instances ORDER BY id")
        .fetch_all(&mut *connection)
        .await?;
    let mut lives = Vec::with_capacity(rows.len());
    for row in rows {
        let life: Option<Life> = read_life(row.try_get(0)?, row.try_get(1)?);
        lives.extend(life.map(|mut life| {
            life.spec = life.in_force.and_then(|(hash, _)| specs.get(&hash).cloned());
            life
        }));
    }
    Ok(Saved { applied, lives })
}

async fn write(connection: &mut SqliteConnection, changes: &Changes) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for (hash, spec) in &changes.specs {
        sqlx::query("INSERT OR IGNORE INTO specs (hash, spec) VALUES (?, ?)")
            .bind(hash.to_string())
            .bind(text(spec.as_ref()))
            .execute(&mut *transaction)
            .await?;
    }
    for life in &changes.lives {
        put(&mut transaction, life).await?;
    }
    for id in &changes.forgotten {
        sqlx::query("DELETE FROM instances WHERE id = ?")
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
    }
    if !changes.forgotten.is_empty() {
        let unused = "DELETE FROM specs WHERE hash NOT IN (SELECT spec FROM instances WHERE spec IS NOT NULL)";
        sqlx::query(unused).execute(&mut *transaction).await?;
    }
    if let Some(applied) = &changes.applied {
        sqlx::query("INSERT OR REPLACE INTO state (name, value) VALUES ('applied', ?)")
            .bind(text(applied))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn put(connection: &mut SqliteConnection, life: &Life) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO instances
         (id, workload, version, generation, desired, observed, pid, spec, record)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(life.id.to_string())
    .bind(life.order.key.to_string())
    .bind(i64::from(life.order.version.0))
    .bind(i64::try_from(life.begun.0).unwrap_or(i64::MAX))
    .bind(life.order.desired.as_str())
    .bind(life.observed().as_str())
    .bind(life.run.as_ref().and_then(|run| run.pid).map(i64::from))
    .bind(life.in_force.map(|(hash, _)| hash.to_string()))
    .bind(text(life))
    .execute(connection)
    .await
    .map(drop)
}

fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records have text keys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Applied;

    #[tokio::test]
    async fn a_journal_that_does_not_say_whose_manifest_was_applied_can_be_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let standing = Standing {
            pool: Some("gpu".parse().expect("a name")),
            manifest: Applied { incarnation: 1, ..Applied::default() },
        };
        let (mut journal, _) = Sqlite::open(dir.path()).await.expect("opened");
        let changes = Changes { applied: Some(standing.clone()), ..Changes::default() };
        journal.write(&changes).await.expect("written");
        drop(journal);
        let (mut journal, saved) = Sqlite::open(dir.path()).await.expect("opened");
        assert_eq!(saved.applied, standing);
        let old = r#"{"incarnation":7,"term":3,"revision":812}"#;
        sqlx::query("UPDATE state SET value = ? WHERE name = 'applied'")
            .bind(old)
            .execute(&mut journal.connection)
            .await
            .expect("written");
        drop(journal);
        let (_journal, saved) = Sqlite::open(dir.path()).await.expect("opened");
        assert_eq!((saved.applied.pool, saved.applied.manifest.incarnation), (None, 7));
        assert_eq!(saved.applied.manifest.revision.0, 812);
    }

    #[tokio::test]
    async fn the_journal_is_nobody_elses() {
        let dir = tempfile::tempdir().expect("a directory");
        let (_journal, _) = Sqlite::open(dir.path()).await.expect("opened");
        for name in ["journal.db", "journal.db-wal"] {
            let found = std::fs::metadata(dir.path().join(name)).expect("it is there");
            assert_eq!(found.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
}
