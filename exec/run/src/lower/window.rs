//! Window functions.

use std::sync::Arc;

use spg_expr::{BindArgs, ColId, Expr};
use spg_plan::{Frame, FrameBound, FrameUnit, Plan, SortKey, WindowCall, WindowCallee};
use spg_types::{Datum, Result, SqlType, def};

use super::{Flow, Lowering, Need, with_columns};
use crate::op::window::frame::{Bound, FrameSpec};
use crate::op::window::{Callee, Window, WindowExpr};
use crate::scalar::{Layout, Scalar, scalars};
use crate::sort_key::SortSpec;

impl Lowering {
    pub(super) fn lower_window(
        &mut self,
        plan: &Plan,
        input: &Plan,
        partition: &[ColId],
        order: &[SortKey],
        calls: &[WindowCall],
        need: &Need,
    ) -> Result<Flow> {
        let calls: Vec<&WindowCall> = calls.iter().filter(|c| need.contains(&c.out.id)).collect();
        let mut read = need.clone();
        read.extend(partition);
        read.extend(order.iter().map(|k| k.column));
        for call in &calls {
            read = with_columns(&read, &call.args);
            read = with_columns(&read, &call.filter);
            let (start, end) = &call.frame.range_bounds;
            read = with_columns(&read, start.iter().chain(end));
        }
        let flow = self.lower(input, &read)?;
        let mut layout = flow.layout.clone();
        let by_partition = partition
            .iter()
            .map(|id| {
                let ty = layout.ty(layout.position(*id)?);
                Ok(SortKey { column: *id, ty, descending: false, nulls_first: false })
            })
            .collect::<Result<Vec<_>>>()?;
        let keys: Vec<SortKey> = by_partition.iter().chain(order).cloned().collect();
        let node = self.node(plan);
        let exprs = calls.iter().map(|c| bind(c, order, &layout)).collect::<Result<Vec<_>>>()?;
        let partition = super::sort::sort_spec(&by_partition, &layout)?;
        let order = super::sort::sort_spec(order, &layout)?;
        let (slot, dep) = self.sort(flow, node, &keys, None)?;
        calls.iter().for_each(|c| layout.push(c.out.id, c.out.ty));
        Ok(self.begin(node, Window { slot, partition, order, calls: exprs }, vec![dep], layout))
    }
}

fn bind(call: &WindowCall, order: &[SortKey], layout: &Layout) -> Result<WindowExpr> {
    let arg_types: Vec<SqlType> = call.args.iter().map(Expr::ty).collect();
    let constants: Vec<Option<Datum>> = call
        .args
        .iter()
        .map(|e| if let Expr::Const { value, .. } = e { Some(value.clone()) } else { None })
        .collect();
    let args = BindArgs { arg_types: &arg_types, return_type: call.out.ty, constants: &constants };
    let callee = match &call.callee {
        WindowCallee::Function { function, signature } => {
            Callee::Function { kernel: (signature.bind)(&args)?, uses_frame: function.uses_frame }
        }
        WindowCallee::Aggregate { signature, .. } => Callee::Aggregate((signature.bind)(&args)?),
    };
    Ok(WindowExpr {
        callee,
        args: scalars(&call.args, layout)?,
        filter: call.filter.as_ref().map(|f| Scalar::new(f, layout)).transpose()?,
        frame: frame(&call.frame, order, layout)?,
    })
}

fn frame(frame: &Frame, order: &[SortKey], layout: &Layout) -> Result<FrameSpec> {
    let bound = |b: &FrameBound, moved: &Option<Expr>, start: bool| -> Result<Bound> {
        let (offset, before) = match b {
            FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => return Ok(Bound::Unbounded),
            FrameBound::CurrentRow => return Ok(Bound::Current),
            FrameBound::Preceding(e) => (Scalar::constant(e)?, true),
            FrameBound::Following(e) => (Scalar::constant(e)?, false),
        };
        match (frame.unit, moved, order.first()) {
            (FrameUnit::Range, Some(moved), Some(by)) => {
                let mut key = Scalar::new(&Expr::Column { id: by.column, ty: by.ty }, layout)?;
                let mut value = Scalar::new(moved, layout)?;
                if key.ty().repr() != value.ty().repr() && by.ty.is(&def::NUMERIC) {
                    (key, value) = (key.into_numeric(), value.into_numeric());
                }
                let spec = SortSpec::new([(0, value.ty(), by.descending, by.nulls_first)]);
                Ok(Bound::Key { key, value, offset, start, spec: Arc::new(spec) })
            }
            _ if before => Ok(Bound::Before(offset)),
            _ => Ok(Bound::After(offset)),
        }
    };
    Ok(FrameSpec {
        unit: frame.unit,
        start: bound(&frame.start, &frame.range_bounds.0, true)?,
        end: bound(&frame.end, &frame.range_bounds.1, false)?,
        exclude: frame.exclude,
    })
}
