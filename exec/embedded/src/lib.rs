//! SPG in a Rust program: opens a database, assembles the engine, gives sessions. The server is built on the same API.
//!
//! ```
//! use spg_embedded::{Config, Database};
//!
//! # fn main() -> spg_embedded::Result<()> {
//! let db = Database::open_in_memory(Config::default())?;
//! let mut conn = db.connection()?;
//! conn.execute("CREATE TABLE t (a integer, b text)")?;
//! conn.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")?;
//! let result = conn.query("SELECT b FROM t WHERE a = 2")?;
//! assert_eq!(result.text_rows()?, vec![vec![Some("two".to_owned())]]);
//! # Ok(())
//! # }
//! ```

mod config;
mod connection;
mod database;
mod system;

pub use config::{Config, VERSION};
pub use connection::{Connection, QueryResult};
pub use database::{Database, ReplaySummary, replay_only};
pub use spg_session::{
    CancelHandle, CellWriter, Client, Credentials, ExecuteEnd, Notice, PendingCommit, ResultBatch,
    ResultColumn, SETTINGS, Session, SessionOptions, Setting, SettingKind, Severity, StatementDescription,
    TransactionStatus, Unit,
};
pub use spg_types::{Error, Result, SqlState};
