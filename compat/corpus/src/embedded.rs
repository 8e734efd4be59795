//! The engine in this process, through its Rust API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use spg_embedded::{Config, Database};

use crate::engine::{Answer, Connection, Engine, type_letter};
use crate::record::SqlError;

/// An empty database in memory.
pub struct EmbeddedEngine {
    database: Database,
    freezes: bool,
    frozen_rows: Arc<AtomicU64>,
}

impl EmbeddedEngine {
    /// From now on every statement is followed by a move of all rows to the cold tier.
    #[must_use]
    pub fn freezing(mut self) -> Self {
        self.freezes = true;
        self
    }

    /// How many rows have moved to the cold tier so.
    pub fn frozen_rows(&self) -> u64 {
        self.frozen_rows.load(Ordering::Relaxed)
    }

    /// Opens it with a number of worker threads and settings that every session begins with.
    pub fn open(workers: usize, settings: &[(&str, &str)]) -> Result<Self, SqlError> {
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let config = Config { workers: Some(workers), settings, ..Config::default() };
        let database = Database::open_in_memory(config).map_err(sql_error)?;
        Ok(Self { database, freezes: false, frozen_rows: Arc::default() })
    }
}

impl Engine for EmbeddedEngine {
    fn name(&self) -> &'static str {
        "spg"
    }

    fn connect(&self) -> Result<Box<dyn Connection>, SqlError> {
        let connection = self.database.connection().map_err(sql_error)?;
        let freezes = self.freezes.then(|| (self.database.clone(), self.frozen_rows.clone()));
        Ok(Box::new(Session(connection, freezes)))
    }
}

/// A session, and the database whose rows are frozen after each of its statements, with the count of them.
struct Session(spg_embedded::Connection, Option<(Database, Arc<AtomicU64>)>);

impl Session {
    fn freeze(&self) -> Result<(), SqlError> {
        if let Some((database, count)) = &self.1 {
            count.fetch_add(database.freeze().map_err(sql_error)?, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Connection for Session {
    fn execute(&mut self, sql: &str) -> Result<Answer, SqlError> {
        let result = self.0.query(sql).map_err(sql_error)?;
        self.freeze()?;
        let types = result.columns.iter().map(|column| type_letter(column.ty.def.oid)).collect();
        let rows = result.text_rows().map_err(sql_error)?;
        Ok(Answer { types, rows, affected: affected(&result.tag) })
    }

    fn query(&mut self, sql: &str) -> Result<Answer, SqlError> {
        self.execute(sql)
    }

    fn copy_in(&mut self, sql: &str, data: &str) -> Result<u64, SqlError> {
        let tag = self.0.copy_in(sql, data.as_bytes().to_vec()).map_err(sql_error)?;
        self.freeze()?;
        Ok(affected(&tag))
    }

    fn copy_out(&mut self, sql: &str) -> Result<String, SqlError> {
        let result = self.0.query(sql).map_err(sql_error)?;
        Ok(String::from_utf8_lossy(&result.copied).into_owned())
    }
}

/// The count in a command tag: `INSERT 0 3`.
fn affected(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn sql_error(error: spg_embedded::Error) -> SqlError {
    SqlError { code: error.state().code().to_string(), message: error.message().to_string() }
}
