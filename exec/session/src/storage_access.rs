//! What functions ask of the storage: `spg_freeze`.

use std::sync::Arc;
use std::time::Duration;

use spg_expr::StorageAccess;
use spg_store::{LockWait, Store};
use spg_types::{Error, Result, SqlState};

use crate::session::Session;

/// How long the writer is waited for: the statement that calls may be what holds it.
const LOCK_WAIT: Duration = Duration::from_secs(10);

struct Access {
    store: Arc<Store>,
    schema: Arc<str>,
    in_block: bool,
}

impl StorageAccess for Access {
    fn freeze(&self, table: &str) -> Result<i64> {
        if self.in_block {
            let message = "spg_freeze cannot run inside a transaction block";
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        let snapshot = self.store.published();
        let (schema, name) = table.split_once('.').unwrap_or((&self.schema, table));
        let found = snapshot.find_table(schema, name).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{table}\" does not exist"))
        })?;
        let wait = LockWait { timeout: Some(LOCK_WAIT), cancelled: None };
        let rows = self.store.freeze(found.def().id, &wait)?;
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }
}

impl Session {
    /// The storage for a statement; `in_block` says that its transaction may hold the writer.
    pub(crate) fn storage_access(&self, in_block: bool) -> Arc<dyn StorageAccess> {
        let (store, schema) = (self.instance.store.clone(), crate::catalog_view::DEFAULT_SCHEMA.into());
        Arc::new(Access { store, schema, in_block })
    }
}
