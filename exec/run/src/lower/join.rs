//! Joins: which conjuncts are keys, which side's columns are kept where.

use std::sync::Arc;

use spg_expr::{ColId, Comparison, Expr};
use spg_plan::{IndexLookup, Join, JoinKind, Plan, Scan};
use spg_types::{Repr, Result, SqlType, def};

use super::{FilterMade, Flow, Lowering, Need, with_columns};
use crate::key::words::Shape;
use crate::op::join::build::JoinBuild;
use crate::op::join::lookup::LookupJoin;
use crate::op::join::probe::{Emit, JoinProbe};
use crate::op::join::table::{JoinTable, KeySpec};
use crate::op::join::unmatched::{BuildRows, Discard, Out};
use crate::predicate::Predicate;
use crate::program::Dep;
use crate::run::Slot;
use crate::scalar::{Layout, Scalar, scalars};

/// A conjunct `left = right`.
struct Key {
    left: Expr,
    right: Expr,
    /// As what both sides compare.
    ty: SqlType,
    /// Both sides are made numbers with their own scale first.
    as_numeric: bool,
    null_safe: bool,
}

/// A join's condition, taken apart.
struct Condition {
    keys: Vec<Key>,
    residual: Vec<Expr>,
}

impl Condition {
    fn new(on: &[Expr], left: &Need, right: &Need) -> Self {
        let (mut keys, mut residual) = (Vec::new(), Vec::new());
        for conjunct in on {
            match key(conjunct, left, right) {
                Some(key) => keys.push(key),
                None if conjunct.is_bool(true) => {}
                None => residual.push(conjunct.clone()),
            }
        }
        Self { keys, residual }
    }
}

fn key(conjunct: &Expr, left: &Need, right: &Need) -> Option<Key> {
    let (comparison, a, b) = conjunct.as_comparison()?;
    let null_safe = match comparison {
        Comparison::Eq => false,
        Comparison::IsNotDistinctFrom => true,
        _ => return None,
    };
    let (of_a, of_b) = (a.columns(), b.columns());
    if of_a.is_empty() || of_b.is_empty() {
        return None;
    }
    let (l, r) = if of_a.is_subset(left) && of_b.is_subset(right) {
        (a, b)
    } else if of_a.is_subset(right) && of_b.is_subset(left) {
        (b, a)
    } else {
        return None;
    };
    let (ty, as_numeric) = common_key(l.ty(), r.ty())?;
    Some(Key { left: l.clone(), right: r.clone(), ty, as_numeric, null_safe })
}

/// As what values of two types compare when they are hashed.
fn common_key(a: SqlType, b: SqlType) -> Option<(SqlType, bool)> {
    let (ra, rb) = (a.repr(), b.repr());
    let plain = |r: Repr| matches!(r, Repr::Int16 | Repr::Int32 | Repr::Int64);
    let float = |r: Repr| matches!(r, Repr::Float32 | Repr::Float64);
    if plain(ra) && plain(rb) {
        return Some((if ra.width() >= rb.width() { a } else { b }, false));
    }
    if float(ra) && float(rb) {
        return Some((if ra.width() >= rb.width() { a } else { b }, false));
    }
    if a.is(&def::NUMERIC) && b.is(&def::NUMERIC) {
        return Some(if ra == rb { (a, false) } else { (SqlType::new(&def::NUMERIC), true) });
    }
    let padded = |t: SqlType| t.is(&def::BPCHAR);
    (ra == rb && padded(a) == padded(b)).then_some((a, false))
}

impl Key {
    fn scalar(&self, side: &Expr, layout: &Layout) -> Result<Scalar> {
        let scalar = Scalar::new(side, layout)?;
        Ok(if self.as_numeric { scalar.into_numeric() } else { scalar })
    }
}

impl Lowering {
    pub(super) fn lower_join(&mut self, plan: &Plan, join: &Join, need: &Need) -> Result<Flow> {
        if let (Some(lookup), Plan::Scan(scan)) = (&join.lookup, &*join.right)
            && let Some(flow) = self.lower_lookup(plan, join, lookup, scan, need)?
        {
            return Ok(flow);
        }
        let ids = |p: &Plan| -> Need { p.columns().iter().map(|c| c.id).collect() };
        let (left_ids, right_ids) = (ids(&join.left), ids(&join.right));
        let condition = Condition::new(&join.on, &left_ids, &right_ids);
        let (emit, track) = match join.kind {
            JoinKind::Inner => (Emit::Pairs, false),
            JoinKind::Left => (Emit::PairsAndLeft, false),
            JoinKind::Right => (Emit::Pairs, true),
            JoinKind::Full => (Emit::PairsAndLeft, true),
            JoinKind::Semi => (Emit::Semi, false),
            JoinKind::Anti => (Emit::Anti, false),
            JoinKind::RightSemi | JoinKind::RightAnti => (Emit::Nothing, true),
            JoinKind::Mark(_) => (Emit::Mark, false),
            JoinKind::Single => (Emit::Single, false),
        };
        // One plain key leaves a mark unknown in a way that needs no pairs.
        let simple =
            condition.residual.is_empty() && condition.keys.len() == 1 && !condition.keys[0].null_safe;
        let by_condition = emit == Emit::Mark && !simple && !join.on.is_empty();
        let tested: &[Expr] = if by_condition { &join.on } else { &condition.residual };
        let wants_right = !matches!(emit, Emit::Semi | Emit::Anti | Emit::Mark);
        let mut payload = with_columns(&Need::new(), tested);
        if wants_right {
            payload.extend(need);
        }
        payload.retain(|id| right_ids.contains(id));
        let (slot, dep, payload) = self.build_side(plan, join, &condition, payload, emit, track)?;

        let mut left_need = with_columns(need, tested);
        left_need = with_columns(&left_need, condition.keys.iter().map(|k| &k.left));
        left_need.retain(|id| left_ids.contains(id));
        let mut flow = self.lower(&join.left, &left_need)?;
        let node = self.node(plan);
        let left = flow.layout.clone();
        let mut both = left.clone();
        payload.columns().iter().for_each(|&(id, ty)| both.push(id, ty));
        let mut output: Vec<usize> =
            (0..left.len()).filter(|&i| need.contains(&left.columns()[i].0)).collect();
        let mut layout = Layout::new(output.iter().map(|&i| left.columns()[i]).collect());
        let left_out = output.len();
        if wants_right {
            for (i, &(id, ty)) in
                payload.columns().iter().enumerate().filter(|(_, (id, _))| need.contains(id))
            {
                output.push(left.len() + i);
                layout.push(id, ty);
            }
        } else if let JoinKind::Mark(id) = join.kind {
            output.push(left.len());
            layout.push(id, SqlType::new(&def::BOOL));
        }
        let by_condition = by_condition.then(|| Expr::conjunction(join.on.clone()));
        let stage = JoinProbe {
            emit,
            track,
            keys: condition.keys.iter().map(|k| k.scalar(&k.left, &left)).collect::<Result<_>>()?,
            spec: Arc::new(self.key_spec(&condition, emit, track)),
            // A mark's condition is tested as a whole.
            residual: Predicate::new(if by_condition.is_some() { &[] } else { &condition.residual }, &both)?,
            condition: by_condition.map(|c| Scalar::new(&c, &both)).transpose()?,
            output: output.clone(),
            slot,
        };
        self.stage(&mut flow, node, stage, &[dep]);
        if emit != Emit::PairsAndLeft && emit != Emit::Single && emit != Emit::Mark {
            flow.not_full();
        }
        if !track {
            flow.layout = layout;
            return Ok(flow);
        }
        self.build_rows(flow, node, join.kind, (slot, dep), (&both, left.len()), (&output, left_out), layout)
    }

    fn key_spec(&self, condition: &Condition, emit: Emit, track: bool) -> KeySpec {
        let types: Vec<SqlType> = condition.keys.iter().map(|k| k.ty).collect();
        KeySpec {
            shape: Shape::new(&types),
            null_safe: condition.keys.iter().map(|k| k.null_safe).collect(),
            exists: condition.residual.is_empty()
                && !track
                && (matches!(emit, Emit::Semi | Emit::Anti)
                    || emit == Emit::Mark && condition.keys.len() == 1 && !condition.keys[0].null_safe),
        }
    }

    /// Lowers the right input into a join table and publishes its join filters.
    fn build_side(
        &mut self,
        plan: &Plan,
        join: &Join,
        condition: &Condition,
        payload: Need,
        emit: Emit,
        track: bool,
    ) -> Result<(Slot<JoinTable>, Dep, Layout)> {
        let mut need = with_columns(&payload, condition.keys.iter().map(|k| &k.right));
        need = with_columns(&need, join.join_filters.iter().map(|(_, e)| e));
        let flow = self.lower(&join.right, &need)?;
        let layout = flow.layout.clone();
        let mut stored: Vec<Scalar> = Vec::new();
        let mut keep = |scalar: Scalar| {
            let same = |s: &Scalar| s.as_column().is_some() && s.as_column() == scalar.as_column();
            match stored.iter().position(same) {
                Some(at) => at,
                None => {
                    stored.push(scalar);
                    stored.len() - 1
                }
            }
        };
        let mut keys = Vec::new();
        for k in &condition.keys {
            keys.push(keep(k.scalar(&k.right, &layout)?));
        }
        let columns: Vec<(ColId, SqlType)> =
            layout.columns().iter().filter(|(id, _)| payload.contains(id)).copied().collect();
        let mut payload = Vec::new();
        for (id, ty) in &columns {
            payload.push(keep(Scalar::new(&Expr::Column { id: *id, ty: *ty }, &layout)?));
        }
        let mut filters = Vec::new();
        let mut made = Vec::new();
        for (id, expr) in &join.join_filters {
            let at = keep(Scalar::new(expr, &layout)?);
            let filter = self.slot();
            filters.push((filter, at));
            made.push((*id, filter, expr.ty()));
        }
        let slot = self.slot();
        let node = self.node(plan);
        let sink = JoinBuild {
            types: stored.iter().map(|s| s.ty().data_type()).collect(),
            stored,
            keys,
            spec: Arc::new(self.key_spec(condition, emit, track)),
            payload,
            filters,
            track,
            slot,
            node,
        };
        let sink = self.sink(flow, node, sink);
        for (id, slot, ty) in made {
            self.filters.insert(id, FilterMade { slot, sink, ty });
        }
        Ok((slot, Dep::Sink(sink), Layout::new(columns)))
    }

    /// Adds the build rows with or without matches, once the probe side is through.
    #[allow(clippy::too_many_arguments)]
    fn build_rows(
        &mut self,
        mut flow: Flow,
        node: usize,
        kind: JoinKind,
        (slot, dep): (Slot<JoinTable>, Dep),
        (both, first_build): (&Layout, usize),
        (output, left_out): (&[usize], usize),
        layout: Layout,
    ) -> Result<Flow> {
        let only_build = matches!(kind, JoinKind::RightSemi | JoinKind::RightAnti);
        let columns: Vec<Out> = output
            .iter()
            .enumerate()
            .filter(|(i, _)| !only_build || *i >= left_out)
            .map(|(i, &at)| if i < left_out { Out::Null(both.ty(at)) } else { Out::Build(at - first_build) })
            .collect();
        let matched = kind == JoinKind::RightSemi;
        let source = BuildRows { slot, matched, columns };
        if only_build {
            let done = self.sink(flow, node, Discard);
            let layout = Layout::new(layout.columns()[left_out..].to_vec());
            let mut flow = self.begin(node, source, vec![dep, Dep::Sink(done)], layout);
            flow.not_full();
            return Ok(flow);
        }
        let mut deps = vec![dep];
        deps.extend(flow.chains.iter().map(|c| Dep::Chain(c.id)));
        let mut rest = self.begin(node, source, deps, layout.clone());
        rest.not_full();
        flow.chains.extend(rest.chains);
        flow.layout = layout;
        Ok(flow)
    }

    fn lower_lookup(
        &mut self,
        plan: &Plan,
        join: &Join,
        lookup: &IndexLookup,
        scan: &Scan,
        need: &Need,
    ) -> Result<Option<Flow>> {
        let emit = match join.kind {
            JoinKind::Inner => Emit::Pairs,
            JoinKind::Left => Emit::PairsAndLeft,
            JoinKind::Semi => Emit::Semi,
            JoinKind::Anti => Emit::Anti,
            JoinKind::Single => Emit::Single,
            _ => return Ok(None),
        };
        let whole =
            scan.table.indexes.iter().any(|i| i.id == lookup.index && i.columns.len() == lookup.keys.len());
        if !whole || scan.index.is_some() {
            return Ok(None);
        }
        let tested: Vec<Expr> =
            join.on.iter().chain(&scan.filter).filter(|e| !e.is_bool(true)).cloned().collect();
        let read = with_columns(need, &tested);
        let left_need = with_columns(&read, &lookup.keys);
        let mut flow = self.lower(&join.left, &left_need)?;
        let left = flow.layout.clone();
        let mut both = left.clone();
        let right: Vec<_> = scan.columns.iter().filter(|(c, _)| read.contains(&c.id)).collect();
        right.iter().for_each(|(c, _)| both.push(c.id, c.ty));
        let mut types: Vec<SqlType> = right.iter().map(|(c, _)| c.ty).collect();
        if let Some(id) = scan.row_id {
            types.push(SqlType::new(&def::INT8));
            both.push(id, SqlType::new(&def::INT8));
        }
        let pairs = !matches!(emit, Emit::Semi | Emit::Anti);
        let output: Vec<usize> = (0..both.len())
            .filter(|&i| need.contains(&both.columns()[i].0) && (pairs || i < left.len()))
            .collect();
        let stage = LookupJoin {
            emit,
            table: scan.table.id,
            index: lookup.index,
            keys: scalars(&lookup.keys, &left)?,
            columns: right.iter().map(|(_, at)| *at).collect(),
            types,
            row_id: scan.row_id.is_some(),
            residual: Predicate::new(&tested, &both)?,
            output: output.clone(),
        };
        let node = self.node(plan);
        self.stage(&mut flow, node, stage, &[]);
        flow.not_full();
        flow.layout = Layout::new(output.iter().map(|&i| both.columns()[i]).collect());
        Ok(Some(flow))
    }
}
