//! What functions ask of the storage: `spg_freeze` and `spg_compact`.

use std::sync::Arc;
use std::time::Duration;

use spg_expr::StorageAccess;
use spg_store::{LockWait, Store};
use spg_types::{Error, Result, SqlState, TableId};

use crate::session::Session;

/// How long the writer is waited for: the statement that calls may be what holds it.
const LOCK_WAIT: Duration = Duration::from_secs(10);

struct Access {
    store: Arc<Store>,
    schema: Arc<str>,
    in_block: bool,
}

impl Access {
    /// Does something with a table; the rows that it was done with.
    fn on_table(
        &self,
        function: &str,
        table: &str,
        work: impl FnOnce(&Arc<Store>, TableId, &LockWait) -> Result<u64>,
    ) -> Result<i64> {
        if self.in_block {
            let message = format!("{function} cannot run inside a transaction block");
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        let snapshot = self.store.published();
        let (schema, name) = table.split_once('.').unwrap_or((&self.schema, table));
        let found = snapshot.find_table(schema, name).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{table}\" does not exist"))
        })?;
        let id = found.def().id;
        drop(snapshot);
        let wait = LockWait { timeout: Some(LOCK_WAIT), cancelled: None };
        let rows = work(&self.store, id, &wait)?;
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }
}

impl StorageAccess for Access {
    fn freeze(&self, table: &str) -> Result<i64> {
        self.on_table("spg_freeze", table, |store, id, wait| store.freeze(id, wait))
    }

    fn compact(&self, table: &str) -> Result<i64> {
        self.on_table("spg_compact", table, |store, id, wait| store.compact(id, wait))
    }
}

impl Session {
    /// The storage for a statement; `in_block` says that its transaction may hold the writer.
    pub(crate) fn storage_access(&self, in_block: bool) -> Arc<dyn StorageAccess> {
        let (store, schema) = (self.instance.store.clone(), crate::catalog_view::DEFAULT_SCHEMA.into());
        Arc::new(Access { store, schema, in_block })
    }
}
