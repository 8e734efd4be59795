//! Grouping, aggregation and DISTINCT.

use std::sync::Arc;

use spg_expr::{BindArgs, ColId, Expr};
use spg_plan::{AggregateCall, NamedExpr, OutCol, Plan};
use spg_types::{Datum, Result, SqlType, def};

use super::{Flow, Lowering, Need, with_columns};
use crate::key::words::Shape;
use crate::op::aggregate::{AggregateScan, Call, Grouping, HashAggregate};
use crate::op::distinct_on::DistinctOn;
use crate::op::expand::Expand;
use crate::program::Dep;
use crate::scalar::{Layout, Scalar, scalars};
use crate::sort_key::SortSpec;

/// Stands for the number of a grouping set where the plan has no column for it.
const SET_NUMBER: ColId = ColId(u32::MAX);

impl Lowering {
    pub(super) fn lower_aggregate(
        &mut self,
        plan: &Plan,
        groups: &[NamedExpr],
        sets: &[Vec<usize>],
        grouping: Option<&OutCol>,
        aggregates: &[AggregateCall],
        need: &Need,
    ) -> Result<Flow> {
        let Plan::Aggregate { input, .. } = plan else {
            return Err(spg_types::Error::internal("not an aggregation"));
        };
        let calls: Vec<&AggregateCall> = aggregates.iter().filter(|a| need.contains(&a.out.id)).collect();
        let mut read = with_columns(&Need::new(), groups.iter().map(|g| &g.expr));
        for call in &calls {
            read = with_columns(&read, &call.args);
            read = with_columns(&read, &call.filter);
            read = with_columns(&read, call.order_by.iter().map(|(e, ..)| e));
        }
        let mut flow = self.lower(input, &read)?;
        let node = self.node(plan);
        let mut keys: Vec<(Expr, ColId)> = groups.iter().map(|g| (g.expr.clone(), g.out.id)).collect();
        let mut numbering = None;
        if !sets.is_empty() {
            let number = grouping.map_or(SET_NUMBER, |g| g.id);
            numbering = Some((keys.len(), sets.iter().map(|s| grouping_mask(groups.len(), s)).collect()));
            keys = self.expand(&mut flow, node, groups, sets, number)?;
        }
        let mut layout = Layout::new(keys.iter().map(|(e, id)| (*id, e.ty())).collect());
        for call in &calls {
            layout.push(call.out.id, call.out.ty);
        }
        let grouping = Arc::new(grouping_of(&keys, &calls, &flow.layout)?);
        let slot = self.slot();
        let sink = self.sink(flow, node, HashAggregate { grouping: grouping.clone(), slot, node });
        let empty_sets = (0..sets.len()).filter(|&i| sets[i].is_empty()).collect();
        let source = AggregateScan { grouping, slot, sets: numbering, empty_sets };
        Ok(self.begin(node, source, vec![Dep::Sink(sink)], layout))
    }

    /// Adds the key columns of each grouping set and the set's number; the keys are then plain columns.
    fn expand(
        &mut self,
        flow: &mut Flow,
        node: usize,
        groups: &[NamedExpr],
        sets: &[Vec<usize>],
        number: ColId,
    ) -> Result<Vec<(Expr, ColId)>> {
        let stage =
            Expand { keys: scalars(groups.iter().map(|g| &g.expr), &flow.layout)?, sets: sets.to_vec() };
        self.stage(flow, node, stage, &[]);
        // Key columns may have the ids of input columns, which arguments still read: they get ids of their own.
        let mut keys = Vec::new();
        for (i, g) in groups.iter().enumerate() {
            let (id, ty) = (ColId(SET_NUMBER.0 - 1 - i as u32), g.expr.ty());
            flow.layout.push(id, ty);
            keys.push((Expr::Column { id, ty }, g.out.id));
        }
        let ty = SqlType::new(&def::INT8);
        flow.layout.push(SET_NUMBER, ty);
        keys.push((Expr::Column { id: SET_NUMBER, ty }, number));
        Ok(keys)
    }

    pub(super) fn lower_distinct(
        &mut self,
        plan: &Plan,
        input: &Plan,
        on: Option<&[ColId]>,
        need: &Need,
    ) -> Result<Flow> {
        let node = self.node(plan);
        if let Some(on) = on {
            let mut need = need.clone();
            need.extend(on);
            let mut flow = self.lower(input, &need)?;
            let keys = on.iter().map(|id| flow.layout.position(*id)).collect::<Result<Vec<_>>>()?;
            let types: Vec<SqlType> = keys.iter().map(|&i| flow.layout.ty(i)).collect();
            flow.sequential();
            flow.not_full();
            self.stage(&mut flow, node, DistinctOn { keys, shape: Shape::new(&types) }, &[]);
            return Ok(flow);
        }
        let all: Need = input.columns().iter().map(|c| c.id).collect();
        let flow = self.lower(input, &all)?;
        self.distinct(flow, node)
    }

    /// Drops rows that are equal in all columns.
    pub(super) fn distinct(&mut self, flow: Flow, node: usize) -> Result<Flow> {
        // The number of a grouping set, which the plan does not know of, makes no difference between rows.
        let columns: Vec<_> =
            flow.layout.columns().iter().filter(|(id, _)| *id != SET_NUMBER).copied().collect();
        let keys: Vec<(Expr, ColId)> =
            columns.iter().map(|&(id, ty)| (Expr::Column { id, ty }, id)).collect();
        let layout = Layout::new(columns);
        let grouping = Arc::new(grouping_of(&keys, &[], &flow.layout)?);
        let slot = self.slot();
        let sink = self.sink(flow, node, HashAggregate { grouping: grouping.clone(), slot, node });
        let source = AggregateScan { grouping, slot, sets: None, empty_sets: Vec::new() };
        Ok(self.begin(node, source, vec![Dep::Sink(sink)], layout))
    }
}

/// Bit `i` set for each key that is not in the set.
fn grouping_mask(keys: usize, set: &[usize]) -> i64 {
    (0..keys).filter(|i| !set.contains(i)).fold(0, |mask, i| mask | 1 << i)
}

/// Binds keys and calls; equal arguments are computed once.
fn grouping_of(keys: &[(Expr, ColId)], calls: &[&AggregateCall], layout: &Layout) -> Result<Grouping> {
    let mut args: Vec<&Expr> = Vec::new();
    let mut bound = Vec::with_capacity(calls.len());
    for call in calls {
        bound.push(bind_call(call, &mut args, layout)?);
    }
    let types: Vec<SqlType> = keys.iter().map(|(e, _)| e.ty()).collect();
    Ok(Grouping {
        keys: scalars(keys.iter().map(|(e, _)| e), layout)?,
        shape: Shape::new(&types),
        args: scalars(args, layout)?,
        calls: bound,
    })
}

fn bind_call<'a>(call: &'a AggregateCall, all: &mut Vec<&'a Expr>, layout: &Layout) -> Result<Call> {
    let mut place = |e: &'a Expr| match all.iter().position(|a| *a == e && crate::scalar::is_stable(e)) {
        Some(at) => at,
        None => {
            all.push(e);
            all.len() - 1
        }
    };
    let mut args: Vec<usize> = call.args.iter().map(&mut place).collect();
    let arg_types: Vec<SqlType> = call.args.iter().map(Expr::ty).collect();
    let constants: Vec<Option<Datum>> = call
        .args
        .iter()
        .map(|e| if let Expr::Const { value, .. } = e { Some(value.clone()) } else { None })
        .collect();
    let bind = BindArgs { arg_types: &arg_types, return_type: call.out.ty, constants: &constants };
    let kernel = (call.signature.bind)(&bind)?;
    let distinct = call.distinct && !call.function.duplicate_insensitive;
    let mut order: Vec<(&Expr, bool, bool)> = call.order_by.iter().map(|(e, d, n)| (e, *d, *n)).collect();
    if distinct && order.is_empty() && call.function.order_sensitive {
        // As PostgreSQL does: DISTINCT sorts.
        order = call.args.iter().map(|e| (e, false, false)).collect();
    }
    if !call.function.order_sensitive {
        order.clear();
    }
    let spec = SortSpec::new(order.iter().enumerate().map(|(i, (e, d, n))| (args.len() + i, e.ty(), *d, *n)));
    args.extend(order.iter().map(|(e, ..)| place(e)));
    let distinct = distinct.then(|| {
        let group = SqlType::new(&def::INT4);
        let order = order.iter().map(|(e, ..)| e.ty());
        Shape::new(&[group].into_iter().chain(arg_types.iter().copied()).chain(order).collect::<Vec<_>>())
    });
    Ok(Call {
        kernel,
        args,
        filter: call.filter.as_ref().map(|f| Scalar::new(f, layout)).transpose()?,
        distinct,
        order: (!order.is_empty()).then(|| Arc::new(spec)),
    })
}
