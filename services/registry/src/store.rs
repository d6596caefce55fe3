//! The door to SQL: history as a read model, in SQLite or in PostgreSQL, by the same statements.

use ostler_core::id::Revision;
use ostler_schemas::pb;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use thiserror::Error;

mod query;

pub use query::Query;

/// Why history is not open. Nothing was changed but migrations that succeeded.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address is of no database that we know.
    #[error("`{0}` is neither `sqlite:<path>` nor `postgres://…`")]
    Address(String),
    /// The folder of the file cannot be made.
    #[error("cannot make the folder of `{path}`")]
    Folder {
        /// Which file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The database refuses.
    #[error("cannot open the database")]
    Sql(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("cannot bring the database up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

/// Why events were not added. None of them was.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Somebody else has read further already.
    #[error("the history is not at {0} any more: another replica fills it")]
    Moved(Revision),
    /// The database refuses.
    #[error("cannot write history: {0}")]
    Sql(#[from] sqlx::Error),
}

/// History. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    /// Whether no other replica can see it.
    private: bool,
}

const CONNECTIONS: u32 = 4;
/// Of a text that is in an index so many characters are kept: an event that the database refuses
/// would hold up all that follow.
const LONGEST: usize = 600;

impl Store {
    /// Opens `sqlite:<path>` (made where it is not there) or `postgres://…`, and brings it up to
    /// date.
    pub async fn open(address: &str) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let private = address.starts_with("sqlite:");
        if !private && !address.starts_with("postgres://") && !address.starts_with("postgresql://")
        {
            return Err(OpenError::Address(address.to_owned()));
        }
        let address = if private { sqlite(address)? } else { address.to_owned() };
        let options: AnyConnectOptions = address.parse()?;
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS);
        let pool = pool.connect_with(options).await?;
        if private {
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
        }
        sqlx::migrate!().run(&pool).await?;
        Ok(Self { pool, private })
    }

    /// Whether no other replica can see it: then each fills its own.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// How far the stream of this life of the fleet has been read. History of another life is
    /// forgotten.
    pub async fn position(&self, incarnation: u64) -> Result<Revision, sqlx::Error> {
        let incarnation = signed(incarnation);
        let mut transaction = self.pool.begin().await?;
        let text = "SELECT incarnation, sequence FROM projection WHERE name = 'events'";
        let row = sqlx::query(text).fetch_optional(&mut *transaction).await?;
        if let Some(row) = row
            && row.try_get::<i64, _>(0)? == incarnation
        {
            return Ok(Revision(unsigned(row.try_get(1)?)));
        }
        for text in ["DELETE FROM events", "DELETE FROM projection WHERE name = 'events'"] {
            sqlx::query(text).execute(&mut *transaction).await?;
        }
        let text = "INSERT INTO projection (name, incarnation, sequence) VALUES ('events', $1, 0)";
        sqlx::query(text).bind(incarnation).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Revision(0))
    }

    /// Adds what was read after `after`, up to and including `upto`, all or nothing. An event whose
    /// id is there already is passed over.
    pub async fn append(
        &self,
        after: Revision,
        events: &[(Revision, pb::Event)],
        upto: Revision,
    ) -> Result<(), AppendError> {
        let mut transaction = self.pool.begin().await?;
        let text = "UPDATE projection SET sequence = $1 WHERE name = 'events' AND sequence = $2";
        let moved = sqlx::query(text).bind(signed(upto.0)).bind(signed(after.0));
        if moved.execute(&mut *transaction).await?.rows_affected() != 1 {
            return Err(AppendError::Moved(after));
        }
        for (sequence, event) in events {
            insert(*sequence, event).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// How far the stream has been read.
    pub async fn reached(&self) -> Result<Revision, sqlx::Error> {
        let text = "SELECT sequence FROM projection WHERE name = 'events'";
        let row = sqlx::query(text).fetch_optional(&self.pool).await?;
        let sequence = row.map(|row| row.try_get(0)).transpose()?;
        Ok(Revision(sequence.map(unsigned).unwrap_or_default()))
    }

    /// Events that match, the oldest first.
    pub async fn events(&self, query: &Query) -> Result<Vec<pb::EventView>, sqlx::Error> {
        let (text, values) = query.sql();
        let mut statement = sqlx::query(AssertSqlSafe(text)).bind(signed(query.since.0));
        for value in values {
            statement = statement.bind(value);
        }
        let rows = statement.bind(i64::from(query.limit)).fetch_all(&self.pool).await?;
        let mut views = rows.iter().map(view).collect::<Result<Vec<_>, _>>()?;
        if query.newest {
            views.reverse();
        }
        Ok(views)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The address of an SQLite file that is made where it is not there.
fn sqlite(address: &str) -> Result<String, OpenError> {
    let path = address.trim_start_matches("sqlite:").trim_start_matches("//");
    let path = path.split('?').next().unwrap_or_default();
    if path.is_empty() || path.starts_with(':') {
        return Err(OpenError::Address(address.to_owned()));
    }
    if let Some(folder) = std::path::Path::new(path).parent() {
        std::fs::create_dir_all(folder)
            .map_err(|source| OpenError::Folder { path: path.to_owned(), source })?;
    }
    Ok(format!("sqlite://{path}?mode=rwc"))
}

/// Stream sequences and times stay far below 2^63.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

const INSERT: &str = "INSERT INTO events (sequence, id, time, source, kind, actor, trace_id, reason, \
     namespace, workload, instance, node, version, details) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";

fn insert(
    sequence: Revision,
    event: &pb::Event,
) -> sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments> {
    let details = serde_json::to_string(&event.details).unwrap_or_default();
    let id = if event.id.is_empty() { format!("sequence-{sequence}") } else { event.id.clone() };
    // PostgreSQL takes no NUL in a text, and no more than 2,704 bytes in an index.
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let short = |text: &str| clean(text).chars().take(LONGEST).collect::<String>();
    sqlx::query(INSERT)
        .bind(signed(sequence.0))
        .bind(short(&id))
        .bind(clean(&event.time))
        .bind(clean(&event.source))
        .bind(short(&event.kind))
        .bind(clean(&event.actor))
        .bind(clean(&event.trace_id))
        .bind(clean(&event.reason))
        .bind(clean(&event.namespace))
        .bind(short(&event.workload))
        .bind(short(&event.instance))
        .bind(short(&event.node))
        .bind(i64::from(event.version))
        .bind(details.replace("\\u0000", "\\ufffd"))
}

fn view(row: &AnyRow) -> Result<pb::EventView, sqlx::Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let details = serde_json::from_str(&text("details")?).unwrap_or_default();
    let event = pb::Event {
        id: text("id")?,
        time: text("time")?,
        source: text("source")?,
        kind: text("kind")?,
        actor: text("actor")?,
        trace_id: text("trace_id")?,
        reason: text("reason")?,
        namespace: text("namespace")?,
        workload: text("workload")?,
        instance: text("instance")?,
        node: text("node")?,
        version: u32::try_from(row.try_get::<i64, _>("version")?).unwrap_or_default(),
        details,
    };
    let sequence = unsigned(row.try_get("sequence")?);
    Ok(pb::EventView { sequence, event: Some(event) })
}
