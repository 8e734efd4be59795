//! Table scans: which columns are read, in which order tests are tried.

use std::collections::BTreeSet;

use spg_expr::{ColId, Expr, infallible};
use spg_plan::{IndexAccess, Plan, Scan};
use spg_types::{Repr, Result, SqlType, def};

use super::{Flow, Lowering, Need};
use crate::ints::is_int;
use crate::op::index_scan::IndexScan;
use crate::op::scan::{FilterUse, TableScan};
use crate::predicate::Predicate;
use crate::program::Dep;
use crate::scalar::{Layout, Scalar};
use crate::zone::ZoneTest;

/// Conjuncts cheaper than this are tried before join filters.
const CHEAP: u32 = 16;

impl Lowering {
    pub(super) fn lower_scan(&mut self, plan: &Plan, scan: &Scan, need: &Need) -> Result<Flow> {
        if let Some(index) = &scan.index {
            return self.lower_index_scan(plan, scan, index, need);
        }
        let mut filters = Vec::new();
        let mut deps = Vec::new();
        let mut read: BTreeSet<ColId> = scan.filter.iter().flat_map(Expr::columns).collect();
        for (id, column) in &scan.join_filters {
            let ty = scan.columns.iter().find(|(c, _)| c.id == *column).map(|(c, _)| c.ty);
            if let (Some(made), Some(ty)) = (self.filters.get(id), ty)
                && same_ints(made.ty, ty)
            {
                read.insert(*column);
                filters.push((made.slot, *column));
                deps.push(Dep::Sink(made.sink));
            }
        }
        let columns: Vec<_> =
            scan.columns.iter().filter(|(c, _)| need.contains(&c.id) || read.contains(&c.id)).collect();
        let inner = Layout::new(columns.iter().map(|(c, _)| (c.id, c.ty)).collect());
        let output: Vec<usize> = (0..columns.len()).filter(|&i| need.contains(&columns[i].0.id)).collect();
        let mut layout = Layout::new(output.iter().map(|&i| inner.columns()[i]).collect());
        if let Some(id) = scan.row_id {
            layout.push(id, SqlType::new(&def::INT8));
        }
        let (first, rest) = order_conjuncts(&scan.filter);
        let place = |id: ColId| scan.columns.iter().find(|(c, _)| c.id == id).map(|(_, at)| *at);
        let zones =
            |exprs: &[Expr]| exprs.iter().map(|e| ZoneTest::new(e, &place)).collect::<Result<Vec<_>>>();
        let source = TableScan {
            table: scan.table.id,
            columns: columns.iter().map(|(_, at)| *at).collect(),
            first: Predicate::new(&first, &inner)?,
            first_zones: zones(&first)?,
            rest: Predicate::new(&rest, &inner)?,
            rest_zones: zones(&rest)?,
            filters: filters
                .into_iter()
                .map(|(slot, id)| Ok(FilterUse { slot, column: inner.position(id)? }))
                .collect::<Result<_>>()?,
            output,
            row_id: scan.row_id.is_some(),
        };
        let filtered = !scan.filter.is_empty() || !source.filters.is_empty();
        let mut flow = self.begin(self.node(plan), source, deps, layout);
        if filtered {
            flow.not_full();
        }
        Ok(flow)
    }

    fn lower_index_scan(
        &mut self,
        plan: &Plan,
        scan: &Scan,
        access: &IndexAccess,
        need: &Need,
    ) -> Result<Flow> {
        let read: BTreeSet<ColId> = scan.filter.iter().flat_map(Expr::columns).collect();
        let columns: Vec<_> =
            scan.columns.iter().filter(|(c, _)| need.contains(&c.id) || read.contains(&c.id)).collect();
        let inner = Layout::new(columns.iter().map(|(c, _)| (c.id, c.ty)).collect());
        let output: Vec<usize> = (0..columns.len()).filter(|&i| need.contains(&columns[i].0.id)).collect();
        let mut layout = Layout::new(output.iter().map(|&i| inner.columns()[i]).collect());
        if let Some(id) = scan.row_id {
            layout.push(id, SqlType::new(&def::INT8));
        }
        let bound = |b: &Option<(Expr, bool)>| -> Result<Option<(Scalar, bool)>> {
            match b {
                Some((value, inclusive)) => Ok(Some((Scalar::constant(value)?, *inclusive))),
                None => Ok(None),
            }
        };
        let source = IndexScan {
            table: scan.table.id,
            index: access.index,
            equal: access.equal.iter().map(Scalar::constant).collect::<Result<_>>()?,
            lower: bound(&access.lower)?,
            upper: bound(&access.upper)?,
            reverse: access.reverse,
            columns: columns.iter().map(|(_, at)| *at).collect(),
            filter: Predicate::new(&scan.filter, &inner)?,
            output,
            row_id: scan.row_id.is_some(),
        };
        let mut flow = self.begin(self.node(plan), source, vec![], layout);
        flow.not_full();
        Ok(flow)
    }
}

/// Whether values of both types are whole numbers that compare as such.
pub(super) fn same_ints(a: SqlType, b: SqlType) -> bool {
    let plain = |r: Repr| matches!(r, Repr::Int16 | Repr::Int32 | Repr::Int64);
    let (a, b) = (a.repr(), b.repr());
    is_int(a) && (a == b || plain(a) && plain(b))
}

/// Conjuncts that may be tried before all others, cheapest first, and the others in their order.
pub(super) fn order_conjuncts(conjuncts: &[Expr]) -> (Vec<Expr>, Vec<Expr>) {
    let (mut free, bound): (Vec<Expr>, Vec<Expr>) = conjuncts.iter().cloned().partition(infallible);
    free.sort_by_key(cost);
    let rest = free.split_off(free.partition_point(|e| cost(e) < CHEAP));
    (free, rest.into_iter().chain(bound).collect())
}

/// A guess at the cost per row: text is dear, more so outside comparisons.
fn cost(expr: &Expr) -> u32 {
    let mut cost = 0;
    expr.visit(&mut |e| {
        cost += match e {
            Expr::Call { args, function, .. } => {
                let text =
                    args.iter().any(|a| matches!(a.ty().repr(), Repr::Text | Repr::Binary | Repr::Numeric));
                match (text, function.comparison.is_some()) {
                    (false, _) => 1,
                    (true, true) => 4,
                    (true, false) => 40,
                }
            }
            Expr::InList { list, .. } => 4 + list.len() as u32 / 4,
            Expr::Column { .. } | Expr::Const { .. } | Expr::Param { .. } => 0,
            _ => 2,
        };
    });
    cost
}
