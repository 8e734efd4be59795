//! EXPLAIN and EXPLAIN ANALYZE.

use std::sync::Arc;

use spg_plan::bind::{BoundKind, Explain, ExplainFormat, Query};
use spg_plan::explain::{ExplainStyle, render};
use spg_plan::rules::{OptimizerEnv, optimize};
use spg_run::CompiledPlan;
use spg_store::WriteMode;
use spg_types::{Datum, Error, Result};

use crate::cancel::Running;
use crate::catalog_view::SnapshotCatalog;
use crate::client::{Client, blocking};
use crate::portal::CursorTag;
use crate::running::Started;
use crate::session::Session;
use crate::utility::text_rows;

/// Runs an EXPLAIN; with ANALYZE the statement runs too and its rows are dropped.
pub(crate) fn run(
    session: &mut Session,
    e: &Explain,
    params: &Arc<[Datum]>,
    running: &Running,
    client: &mut dyn Client,
) -> Result<Started> {
    let query: &Query = match &*e.inner {
        BoundKind::Query(q) => q,
        BoundKind::CreateTableAs(c) if !e.options.analyze => &c.query,
        _ => return Err(Error::unsupported("EXPLAIN of this statement is not supported")),
    };
    let writes = query.changes_data();
    if e.options.analyze && writes {
        session.lock_for_writing("EXPLAIN ANALYZE", WriteMode::Exclusive, running, client)?;
    }
    let snapshot = session.snapshot();
    let system = session.instance.system.clone();
    let catalog = SnapshotCatalog::new(&snapshot, &*system);
    let begun = std::time::Instant::now();
    let env = OptimizerEnv {
        catalog: &catalog,
        registry: session.instance.registry,
        ctx: None,
        enabled: session.settings.flag("spg.optimizer"),
    };
    let optimized = optimize(query.plan.clone(), &query.output, &env)?;
    let compiled = Arc::new(CompiledPlan::compile(&optimized.plan, &query.output)?);
    let planning = begun.elapsed();
    let mut stats = None;
    if e.options.analyze {
        let env = session.environment(snapshot.clone(), params, running);
        let begun = std::time::Instant::now();
        let nodes = if writes {
            let write = session.begin_if_needed().write()?;
            blocking(client, || compiled.modify_analyzed(env, write))??
        } else {
            blocking(client, || compiled.run_analyzed(env))??
        };
        stats = Some((nodes, begun.elapsed()));
    }
    let style = ExplainStyle {
        costs: e.options.costs,
        verbose: e.options.verbose,
        timing: e.options.timing,
        summary: e.options.summary,
        json: e.options.format == ExplainFormat::Json,
        planning,
        execution: stats.as_ref().map(|(_, d)| *d),
    };
    let lines = render(&optimized.plan, &catalog, stats.as_ref().map(|(s, _)| s), &style);
    Ok(Started::Open(text_rows("QUERY PLAN", &lines, CursorTag::Fixed("EXPLAIN".into()))?))
}
