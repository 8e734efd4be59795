//! Checks a plan's invariants: what each operator reads is made below it with that type, and each column, common table
//! expression and join filter is made once. Debug builds run it after every rule.

use std::collections::{HashMap, HashSet};

use spg_expr::{ColId, Expr};
use spg_types::{Error, Result, SqlType};

use crate::tree::{exprs, keys, made};
use crate::{CteId, Join, JoinFilterId, JoinKind, OutCol, Plan};

/// XX000 with the rule's name when the plan is not sound.
pub(crate) fn verify(plan: &Plan, rule: &str) -> Result<()> {
    let mut v = Verifier::default();
    v.node(plan)
        .and_then(|_| v.filters())
        .map_err(|e| Error::internal(format!("{rule}: {}\n{}", e.message(), crate::explain_plan(plan, None))))
}

/// XX000 when a rule lost one of the statement's columns or changed its type.
pub(crate) fn same_output(before: &[OutCol], output: &[ColId], plan: &Plan, rule: &str) -> Result<()> {
    let after = plan.columns();
    let find = |list: &[OutCol], id: ColId| list.iter().find(|c| c.id == id).map(|c| c.ty);
    for id in output {
        match (find(before, *id), find(&after, *id)) {
            (Some(a), Some(b)) if a.same_def(b) && a.repr() == b.repr() => {}
            (a, b) => {
                return Err(Error::internal(format!(
                    "{rule}: the statement's column {} was {a:?}, is {b:?}",
                    id.0
                )));
            }
        }
    }
    Ok(())
}

type Scope = HashMap<ColId, SqlType>;

#[derive(Default)]
struct Verifier {
    made: HashSet<ColId>,
    ctes: HashMap<CteId, Vec<SqlType>>,
    made_filters: HashSet<JoinFilterId>,
    used_filters: HashSet<JoinFilterId>,
}

impl Verifier {
    fn node(&mut self, plan: &Plan) -> Result<()> {
        self.inputs(plan)?;
        for c in made(plan) {
            if !self.made.insert(c.id) {
                return Err(Error::internal(format!("column {} ({}) is made twice", c.id.0, c.name)));
            }
        }
        let scope = scope_of(plan);
        for e in exprs(plan) {
            check(e, &scope, plan)?;
        }
        for k in keys(plan) {
            if !scope.contains_key(&k) {
                return Err(Error::internal(format!("key column {} of {} is not there", k.0, kind(plan))));
            }
        }
        match plan {
            Plan::Join(Join { join_filters, on, .. }) => {
                for (f, _) in join_filters {
                    if !self.made_filters.insert(*f) {
                        return Err(Error::internal("a join filter is made twice"));
                    }
                }
                booleans(on)
            }
            Plan::Filter { predicate, .. } => booleans(predicate),
            Plan::Scan(s) => {
                self.used_filters.extend(s.join_filters.iter().map(|(f, _)| *f));
                booleans(&s.filter)
            }
            Plan::CteScan { cte, columns, .. } => {
                let Some(types) = self.ctes.get(cte) else {
                    return Err(Error::internal(format!("common table expression {} is not defined", cte.0)));
                };
                for (c, i) in columns {
                    match types.get(*i) {
                        Some(ty) if ty.same_def(c.ty) && ty.repr() == c.ty.repr() => {}
                        other => {
                            return Err(Error::internal(format!(
                                "column {i} of a CTE is {other:?}, read as {:?}",
                                c.ty
                            )));
                        }
                    }
                }
                Ok(())
            }
            Plan::Union { inputs, columns } => {
                for (input, ids) in inputs {
                    feeds(input, ids, columns)?;
                }
                Ok(())
            }
            Plan::SetOp { left, right, columns, .. } => {
                feeds(&left.0, &left.1, columns)?;
                feeds(&right.0, &right.1, columns)
            }
            Plan::Recursive { base, step, columns, .. } => {
                feeds(&base.0, &base.1, columns)?;
                feeds(&step.0, &step.1, columns)
            }
            _ => Ok(()),
        }
    }

    fn inputs(&mut self, plan: &Plan) -> Result<()> {
        match plan {
            Plan::With { cte, definition, body, .. } => {
                self.node(definition)?;
                self.ctes.insert(*cte, definition.columns().into_iter().map(|c| c.ty).collect());
                self.node(body)
            }
            Plan::Recursive { cte, base, step, columns, .. } => {
                self.node(&base.0)?;
                self.ctes.insert(*cte, columns.iter().map(|c| c.ty).collect());
                self.node(&step.0)
            }
            Plan::Apply { left, right, .. } => {
                // The right side's outer columns are checked where decorrelation has made them inner ones.
                self.node(left)?;
                self.dependent(right)
            }
            _ => plan.inputs().into_iter().try_for_each(|p| self.node(p)),
        }
    }

    fn dependent(&mut self, plan: &Plan) -> Result<()> {
        crate::tree::visit(plan, &mut |p| {
            self.made.extend(made(p).into_iter().map(|c| c.id));
        });
        Ok(())
    }

    fn filters(&self) -> Result<()> {
        match self.used_filters.is_subset(&self.made_filters) {
            true => Ok(()),
            false => Err(Error::internal("a scan waits for a join filter that nothing makes")),
        }
    }
}

/// The columns that a node's expressions may read.
fn scope_of(plan: &Plan) -> Scope {
    let mut scope = Scope::new();
    let own = match plan {
        Plan::Scan(_) => plan.columns(),
        _ => vec![],
    };
    for c in plan.inputs().into_iter().flat_map(Plan::columns).chain(own) {
        scope.insert(c.id, c.ty);
    }
    // A Modify's checks and RETURNING, and a frame's bounds, read what their inputs put out: nothing to add. A Mark's
    // own column is not in scope of its condition.
    scope
}

fn check(e: &Expr, scope: &Scope, plan: &Plan) -> Result<()> {
    let mut result = Ok(());
    e.visit(&mut |e| {
        if let Expr::Column { id, ty } = e {
            match scope.get(id) {
                None => {
                    result = Err(Error::internal(format!(
                        "{} reads column {}, which is not there",
                        kind(plan),
                        id.0
                    )));
                }
                Some(made) if !made.same_def(*ty) || made.repr() != ty.repr() => {
                    result = Err(Error::internal(format!("column {} is {made:?}, read as {ty:?}", id.0)));
                }
                Some(_) => {}
            }
        }
    });
    result
}

fn booleans(list: &[Expr]) -> Result<()> {
    match list.iter().find(|e| !e.ty().is(&spg_types::def::BOOL)) {
        Some(e) => Err(Error::internal(format!("a condition is {:?}", e.ty()))),
        None => Ok(()),
    }
}

fn feeds(input: &Plan, ids: &[ColId], columns: &[OutCol]) -> Result<()> {
    let scope: Scope = input.columns().into_iter().map(|c| (c.id, c.ty)).collect();
    if ids.len() != columns.len() {
        return Err(Error::internal("a set operation's input has another number of columns"));
    }
    for (id, c) in ids.iter().zip(columns) {
        match scope.get(id) {
            Some(ty) if ty.same_def(c.ty) && ty.repr() == c.ty.repr() => {}
            other => {
                return Err(Error::internal(format!(
                    "a set operation's column {} is {:?}, fed {other:?}",
                    c.name, c.ty
                )));
            }
        }
    }
    Ok(())
}

/// The operator's name in messages.
fn kind(plan: &Plan) -> &'static str {
    match plan {
        Plan::Scan(_) => "Scan",
        Plan::SystemScan { .. } => "SystemScan",
        Plan::Values { .. } => "Values",
        Plan::TableFunction { .. } => "TableFunction",
        Plan::ProjectSet { .. } => "ProjectSet",
        Plan::Filter { .. } => "Filter",
        Plan::Project { .. } => "Project",
        Plan::Join(Join { kind: JoinKind::Mark(_), .. }) => "Mark join",
        Plan::Join(_) => "Join",
        Plan::Apply { .. } => "Apply",
        Plan::Aggregate { .. } => "Aggregate",
        Plan::Distinct { .. } => "Distinct",
        Plan::Window { .. } => "Window",
        Plan::Sort { .. } => "Sort",
        Plan::Limit { .. } => "Limit",
        Plan::Union { .. } => "Union",
        Plan::SetOp { .. } => "SetOp",
        Plan::With { .. } => "With",
        Plan::CteScan { .. } => "CteScan",
        Plan::Recursive { .. } => "Recursive",
        Plan::Modify(_) => "Modify",
    }
}
