//! Prepared statements: parsed once, planned when first needed and again when the catalog, the settings or the data's
//! bounds that the plan relies on have changed.

use std::sync::Arc;

use parking_lot::Mutex;
use spg_plan::Tables;
use spg_plan::bind::{BoundKind, QueryTag, ResultColumn, Utility};
use spg_plan::rules::Assumption;
use spg_run::CompiledPlan;
use spg_sql::Statement;
use spg_store::{DbSnapshot, WriteMode};
use spg_types::{Datum, SqlType};

use crate::transaction::Transaction;

/// A parsed statement and its plan.
pub(crate) struct Prepared {
    /// The statement; `None` for an empty string.
    pub statement: Option<Statement>,
    /// Parameter types that the client gave.
    pub param_hints: Vec<Option<SqlType>>,
    /// Whether it may have parameters.
    pub params: bool,
    /// The newest plan.
    planned: Mutex<Option<Arc<Planned>>>,
}

/// A bound and planned statement.
pub(crate) struct Planned {
    /// Parameter types.
    pub params: Vec<SqlType>,
    /// What it does.
    pub kind: PlannedKind,
    /// For which catalog.
    pub catalog_version: u64,
    /// For which settings.
    pub settings_version: u64,
    /// Bounds of column values that the plan relies on.
    pub assumptions: Vec<Assumption>,
}

/// What a planned statement does.
pub(crate) enum PlannedKind {
    /// Reads or changes rows.
    Query(PlannedQuery),
    /// Anything else; bound only.
    Utility(Box<BoundKind>),
}

/// A planned SELECT, INSERT, UPDATE or DELETE.
pub(crate) struct PlannedQuery {
    /// The first word of its tag.
    pub verb: QueryTag,
    /// FOR UPDATE and the like: the transaction writes alone.
    pub row_locks: bool,
    /// Result columns; empty when it returns no rows.
    pub columns: Arc<[ResultColumn]>,
    /// Its pipelines.
    pub compiled: Arc<CompiledPlan>,
    /// The tables it touches.
    pub tables: Tables,
}

impl PlannedQuery {
    /// Whether it needs the write lock.
    pub(crate) fn writes(&self) -> bool {
        self.changes_data() || self.row_locks
    }

    /// How it writes in a transaction.
    pub(crate) fn write_mode(&self, transaction: &Transaction) -> WriteMode {
        if self.row_locks { WriteMode::Exclusive } else { transaction.write_mode() }
    }

    /// Whether it inserts, updates or deletes, be it inside WITH.
    pub(crate) fn changes_data(&self) -> bool {
        self.compiled.is_modifying()
    }
}

impl Planned {
    /// Whether it looks at the database: after such a statement a transaction keeps its isolation level.
    pub(crate) fn reads(&self) -> bool {
        let PlannedKind::Utility(bound) = &self.kind else { return true };
        !matches!(
            &**bound,
            BoundKind::Utility(
                Utility::Begin { .. }
                    | Utility::Commit { .. }
                    | Utility::Rollback { .. }
                    | Utility::Savepoint(_)
                    | Utility::Release(_)
                    | Utility::RollbackTo(_)
                    | Utility::SetTransaction { .. }
                    | Utility::Set { .. }
                    | Utility::Show(_)
                    | Utility::ShowAll
                    | Utility::Reset(_)
                    | Utility::ResetAll
                    | Utility::LockTable { .. }
            )
        )
    }
}

/// CommandComplete's tag for a number of rows.
pub(crate) fn tag(verb: QueryTag, rows: u64) -> String {
    match verb {
        QueryTag::Select => format!("SELECT {rows}"),
        QueryTag::Insert => format!("INSERT 0 {rows}"),
        QueryTag::Update => format!("UPDATE {rows}"),
        QueryTag::Delete => format!("DELETE {rows}"),
    }
}

/// The statement's name in messages.
pub(crate) fn verb_name(verb: QueryTag) -> &'static str {
    match verb {
        QueryTag::Select => "SELECT",
        QueryTag::Insert => "INSERT",
        QueryTag::Update => "UPDATE",
        QueryTag::Delete => "DELETE",
    }
}

impl Prepared {
    pub(crate) fn new(statement: Option<Statement>, param_hints: Vec<Option<SqlType>>) -> Self {
        Self { statement, param_hints, params: true, planned: Mutex::new(None) }
    }

    /// A statement of the simple protocol, which has no parameters.
    pub(crate) fn simple(statement: Statement) -> Self {
        Self { params: false, ..Self::new(Some(statement), vec![]) }
    }

    /// The plan, if it still holds for a snapshot and the session's settings.
    pub(crate) fn current(&self, snapshot: &DbSnapshot, settings_version: u64) -> Option<Arc<Planned>> {
        let planned = self.planned.lock().clone()?;
        (planned.catalog_version == snapshot.catalog_version()
            && planned.settings_version == settings_version
            && planned.assumptions.iter().all(|a| holds(a, snapshot)))
        .then_some(planned)
    }

    /// The newest plan, whether it still holds or not.
    pub(crate) fn newest(&self) -> Option<Arc<Planned>> {
        self.planned.lock().clone()
    }

    /// Keeps a new plan.
    pub(crate) fn keep(&self, planned: Arc<Planned>) {
        *self.planned.lock() = Some(planned);
    }
}

/// Whether a snapshot's data lie within the bounds that a plan relies on.
fn holds(a: &Assumption, snapshot: &DbSnapshot) -> bool {
    let Some(table) = snapshot.table(a.table) else { return false };
    let stats = table.stats();
    let Some(column) = stats.columns.get(a.column) else { return false };
    let within = |bound: &Option<Datum>, f: &dyn Fn(std::cmp::Ordering) -> bool, limit: &Datum| match bound {
        None => stats.rows == column.null_count,
        Some(b) => b.compare(limit).is_some_and(f),
    };
    within(&column.min, &|o| o.is_ge(), &a.min) && within(&column.max, &|o| o.is_le(), &a.max)
}
