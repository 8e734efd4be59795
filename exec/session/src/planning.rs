//! From a parsed statement to what runs: the snapshot it reads, its plan, the environment it runs in.

use std::sync::Arc;
use std::time::Duration;

use spg_expr::EvalContext;
use spg_plan::bind::{BindInput, BoundKind, Query};
use spg_plan::rules::{OptimizerEnv, optimize};
use spg_run::{CompiledPlan, ExecEnv, MemoryBudget};
use spg_store::DbSnapshot;
use spg_types::{Datum, Error, Result};

use crate::cancel::Running;
use crate::catalog_view::{DEFAULT_SCHEMA, SnapshotCatalog};
use crate::running::guarded;
use crate::session::Session;
use crate::statement::{Planned, PlannedKind, PlannedQuery, Prepared};

/// What statements may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `statement_timeout`.
    pub statement: Option<Duration>,
    /// `lock_timeout`.
    pub lock: Option<Duration>,
    /// `work_mem`.
    pub memory_bytes: usize,
    /// `spg.workers`.
    pub workers: usize,
    /// `spg.batch_size`.
    pub batch_rows: usize,
}

impl Session {
    pub(crate) fn settings_changed(&mut self) {
        self.settings_version += 1;
        self.base_context = None;
        self.limits = None;
    }

    /// What statements may take, by the present settings.
    pub(crate) fn limits(&mut self) -> Limits {
        if let Some(limits) = self.limits {
            return limits;
        }
        let milliseconds = |name| match self.settings.number(name) {
            0 => None,
            ms => Some(Duration::from_millis(ms.unsigned_abs())),
        };
        let limits = Limits {
            statement: milliseconds("statement_timeout"),
            lock: milliseconds("lock_timeout"),
            memory_bytes: match self.settings.number("work_mem").unsigned_abs() {
                0 => usize::MAX,
                kilobytes => usize::try_from(kilobytes.saturating_mul(1024)).unwrap_or(usize::MAX),
            },
            workers: match self.settings.number("spg.workers") {
                0 => self.instance.workers,
                n => (n as usize).min(self.instance.workers),
            },
            batch_rows: self.settings.number("spg.batch_size").max(1) as usize,
        };
        self.limits = Some(limits);
        limits
    }

    /// What the statement reads.
    pub(crate) fn snapshot(&mut self) -> Arc<DbSnapshot> {
        let store = self.instance.store.clone();
        self.begin_if_needed().snapshot(&store)
    }

    /// The context of the present settings, without parameters.
    pub(crate) fn base_context(&mut self) -> Arc<EvalContext> {
        if let Some(c) = &self.base_context {
            return c.clone();
        }
        let context = Arc::new(EvalContext {
            format: self.settings.format(0),
            params: Arc::from([]),
            statement_now_us: 0,
            user: self.user.clone(),
            session_user: self.user.clone(),
            database: self.database.clone(),
            schema: DEFAULT_SCHEMA.into(),
            backend_pid: self.backend_pid,
            version: self.instance.version.clone(),
            settings: self.wanted_settings.access(self.settings.clone()),
            storage: self.storage_access(true),
        });
        self.base_context = Some(context.clone());
        context
    }

    /// The context of one statement.
    pub(crate) fn context(&mut self, params: &Arc<[Datum]>) -> Arc<EvalContext> {
        let mut context = (*self.base_context()).clone();
        context.params = params.clone();
        context.statement_now_us = (self.instance.clock)();
        let transaction = self.begin_if_needed();
        context.format.now_us = transaction.start_us;
        let in_block = transaction.explicit || transaction.is_writing();
        context.storage = self.storage_access(in_block);
        Arc::new(context)
    }

    /// Some plan of the statement, which may not hold any more: it tells what kind of statement it is.
    pub(crate) fn any_plan(&mut self, prepared: &Prepared) -> Result<Arc<Planned>> {
        prepared.newest().map_or_else(|| self.plan(prepared), Ok)
    }

    /// The statement's plan: the one it has, or a new one.
    pub(crate) fn plan(&mut self, prepared: &Prepared) -> Result<Arc<Planned>> {
        let snapshot = self.snapshot();
        if let Some(planned) = prepared.current(&snapshot, self.settings_version) {
            return Ok(planned);
        }
        let Some(statement) = &prepared.statement else {
            return Err(Error::internal("an empty statement has no plan"));
        };
        let mut format = self.base_context().format.clone();
        format.now_us = self.begin_if_needed().start_us;
        let catalog = SnapshotCatalog::new(&snapshot, &*self.instance.system);
        let input = BindInput {
            catalog: &catalog,
            registry: self.instance.registry,
            format: &format,
            param_types: &prepared.param_hints,
            params: prepared.params,
        };
        let bound = guarded(|| spg_plan::bind::bind(statement, &input))?;
        let (kind, assumptions) = match bound.kind {
            BoundKind::Query(query) => {
                let (planned, assumptions) = self.compile(query, &snapshot)?;
                (PlannedKind::Query(planned), assumptions)
            }
            other => (PlannedKind::Utility(Box::new(other)), vec![]),
        };
        let planned = Arc::new(Planned {
            params: bound.params,
            kind,
            catalog_version: snapshot.catalog_version(),
            settings_version: self.settings_version,
            assumptions,
        });
        prepared.keep(planned.clone());
        Ok(planned)
    }

    /// Optimizes a bound query and lays out its pipelines.
    pub(crate) fn compile(
        &mut self,
        query: Query,
        snapshot: &Arc<DbSnapshot>,
    ) -> Result<(PlannedQuery, Vec<spg_plan::rules::Assumption>)> {
        let catalog = SnapshotCatalog::new(snapshot, &*self.instance.system);
        let env = OptimizerEnv {
            catalog: &catalog,
            registry: self.instance.registry,
            ctx: None,
            enabled: self.settings.flag("spg.optimizer"),
        };
        let optimized = guarded(|| optimize(query.plan, &query.output, &env))?;
        let compiled = Arc::new(guarded(|| CompiledPlan::compile(&optimized.plan, &query.output))?);
        let planned = PlannedQuery {
            verb: query.tag,
            row_locks: query.row_locks,
            columns: query.columns.into(),
            compiled,
            tables: optimized.plan.tables(),
        };
        Ok((planned, optimized.assumptions))
    }

    /// What a statement runs in.
    pub(crate) fn environment(
        &mut self,
        snapshot: Arc<DbSnapshot>,
        params: &Arc<[Datum]>,
        running: &Running,
    ) -> ExecEnv {
        let ctx = self.context(params);
        let limits = self.limits();
        ExecEnv {
            snapshot,
            system: self.instance.system.clone(),
            ctx,
            scheduler: self.instance.scheduler.clone(),
            memory: MemoryBudget::in_pool(&self.instance.memory, limits.memory_bytes),
            cancel: running.token.clone(),
            batch_size: limits.batch_rows,
            parallelism: limits.workers,
        }
    }
}
