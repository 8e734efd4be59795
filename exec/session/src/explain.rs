//! EXPLAIN and EXPLAIN ANALYZE.

use std::sync::Arc;

use spg_plan::bind::{self, BoundKind, Explain, Query};
use spg_plan::{ExplainFormat, ExplainOptions, OptimizerEnv, explain, optimize};
use spg_run::CompiledPlan;
use spg_types::{Datum, Error, Result};

use crate::cancel::Running;
use crate::catalog_view::SnapshotCatalog;
use crate::client::{Client, blocking};
use crate::portal::CursorTag;
use crate::session::{Session, Started};
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
    let writes = query.tag != bind::QueryTag::Select;
    if e.options.analyze && writes {
        session.lock_for_writing("EXPLAIN ANALYZE", running, client)?;
    }
    let snapshot = session.snapshot();
    let catalog = SnapshotCatalog(&snapshot);
    let begun = std::time::Instant::now();
    let env = OptimizerEnv {
        enabled: session.settings.flag("spg.optimizer"),
        ..OptimizerEnv::new(&catalog, session.instance.registry)
    };
    let optimized = optimize(query.plan.clone(), &env)?;
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
    let json = e.options.format == bind::ExplainFormat::Json;
    let text = explain(
        &optimized.plan,
        &ExplainOptions {
            costs: e.options.costs.then_some(&catalog),
            actual: stats.as_ref().map(|(nodes, _)| &nodes[..]),
            verbose: e.options.verbose,
            format: if json { ExplainFormat::Json } else { ExplainFormat::Text },
        },
    );
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if json {
        lines = vec![text];
    } else if e.options.summary {
        lines.push(format!("Planning Time: {:.3} ms", planning.as_secs_f64() * 1e3));
        lines.extend(stats.map(|(_, time)| format!("Execution Time: {:.3} ms", time.as_secs_f64() * 1e3)));
    }
    Ok(Started::Open(text_rows("QUERY PLAN", &lines, CursorTag::Fixed("EXPLAIN".into()))?))
}
