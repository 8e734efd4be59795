//! WITH: common table expressions, recursive ones too.

use ahash::AHashMap;
use spg_expr::ColId;
use spg_sql::ast::{self, SetExpr, SetOperator, SetQuantifier};
use spg_sql::{Span, fold};
use spg_types::{Error, Result, SqlState, SqlType};

use super::Binder;
use super::columns::rename;
use super::query::{Rel, scope_column};
use super::scope::ScopeColumn;
use super::select::Unknowns;
use crate::{CteId, JoinKind, OutCol, Plan, SetOpKind};

/// A common table expression in scope.
#[derive(Clone, Debug)]
pub(super) struct CteEntry {
    pub name: String,
    pub id: CteId,
    /// Name, type and position in the definition's output.
    pub columns: Vec<(String, SqlType, usize)>,
    /// How often it is read.
    pub reads: usize,
    /// Why it may not be read now: it is being defined.
    pub forbidden: Option<String>,
}

/// A bound definition, to be put around the query.
struct Definition {
    id: CteId,
    name: String,
    plan: Plan,
    /// Must run as it stands: it changes data, is recursive or MATERIALIZED.
    shared: bool,
    changes: bool,
}

impl Binder<'_> {
    /// Runs `f` with the CTEs of `with` in scope and puts their definitions around its plan.
    pub(super) fn with(&mut self, with: &ast::With, f: impl FnOnce(&mut Self) -> Result<Rel>) -> Result<Rel> {
        let outer = self.ctes.len();
        let result = self.with_inner(with, f, outer);
        self.ctes.truncate(outer);
        result
    }

    fn with_inner(
        &mut self,
        with: &ast::With,
        f: impl FnOnce(&mut Self) -> Result<Rel>,
        outer: usize,
    ) -> Result<Rel> {
        let mut definitions = vec![];
        for cte in &with.cte_tables {
            let name = fold(&cte.alias.name);
            if self.ctes[outer..].iter().any(|c| c.name == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(self.error_at(cte.alias.name.span, SqlState::DUPLICATE_ALIAS, message));
            }
            definitions.push(self.definition(cte, name, with.recursive)?);
        }
        let mut rel = f(self)?;
        // Later definitions read earlier ones: the first stands outermost.
        for definition in definitions.into_iter().rev() {
            let reads = self.ctes.iter().find(|c| c.id == definition.id).map_or(0, |c| c.reads);
            rel = place(rel, definition, reads);
        }
        Ok(rel)
    }

    fn definition(&mut self, cte: &ast::Cte, name: String, recursive: bool) -> Result<Definition> {
        let id = self.cte();
        let (rel, is_recursive) = match recursive.then(|| recursive_parts(&cte.query, &name)).flatten() {
            Some((base, step, distinct)) => (self.recursive(cte, &name, base, step, distinct)?, true),
            None => {
                if recursive && mentions(&cte.query.to_string(), &name) {
                    self.refuse_form(cte, &name)?;
                }
                (self.query(&cte.query, Unknowns::Text)?, false)
            }
        };
        let changes = contains_change(&rel.plan);
        let columns = self.cte_columns(cte, &name, &rel)?;
        self.ctes.push(CteEntry { name: name.clone(), id, columns, reads: 0, forbidden: None });
        let materialized = matches!(cte.materialized, Some(ast::CteAsMaterialized::Materialized));
        Ok(Definition { id, name, plan: rel.plan, shared: changes || is_recursive || materialized, changes })
    }

    /// A query that reads itself must be `base UNION [ALL] step`; 42P19.
    fn refuse_form(&self, cte: &ast::Cte, name: &str) -> Result<()> {
        let known =
            self.ctes.iter().any(|c| c.name == name) || self.input.catalog.table(None, name).is_some();
        if known || !reads_from(&cte.query.body, name) {
            return Ok(());
        }
        let message = format!(
            "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
        );
        Err(self.error_at(cte.alias.name.span, SqlState::INVALID_RECURSION, message))
    }

    /// The columns that others see: the definition's, under the names written behind the CTE's.
    fn cte_columns(&self, cte: &ast::Cte, name: &str, rel: &Rel) -> Result<Vec<(String, SqlType, usize)>> {
        let written = &cte.alias.columns;
        if written.len() > rel.columns.len() {
            let message = format!(
                "WITH query \"{name}\" has {} columns available but {} columns specified",
                rel.columns.len(),
                written.len()
            );
            return Err(self.error_at(cte.alias.name.span, SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        let out = rel.plan.columns();
        let column = |(i, c): (usize, &ScopeColumn)| {
            let name = written.get(i).map_or_else(|| c.name.clone(), |w| fold(&w.name));
            let at = out.iter().position(|o| o.id == c.id);
            at.map(|at| (name, c.ty, at)).ok_or_else(|| Error::internal("a query lost a column"))
        };
        rel.columns.iter().enumerate().map(column).collect()
    }

    /// A scan of the CTE of that name, if there is one.
    pub(super) fn cte_scan(&mut self, name: &str, span: Span) -> Result<Option<(Plan, Vec<ScopeColumn>)>> {
        let Some(at) = self.ctes.iter().rposition(|c| c.name == name) else { return Ok(None) };
        if let Some(message) = &self.ctes[at].forbidden {
            return Err(self.error_at(span, SqlState::INVALID_RECURSION, message.clone()));
        }
        self.ctes[at].reads += 1;
        let entry = self.ctes[at].clone();
        let columns: Vec<ScopeColumn> =
            entry.columns.iter().map(|(name, ty, _)| scope_column(name, self.col(), *ty)).collect();
        let out = columns
            .iter()
            .zip(&entry.columns)
            .map(|(c, (_, _, at))| (OutCol { id: c.id, name: c.name.clone(), ty: c.ty }, *at))
            .collect();
        Ok(Some((Plan::CteScan { cte: entry.id, name: entry.name, columns: out }, columns)))
    }

    /// `base UNION [ALL] step`, where the step reads the rows of the round before.
    fn recursive(
        &mut self,
        cte: &ast::Cte,
        name: &str,
        base: &SetExpr,
        step: &SetExpr,
        distinct: bool,
    ) -> Result<Rel> {
        let id = self.cte();
        let message =
            format!("recursive reference to query \"{name}\" must not appear within its non-recursive term");
        let entry = CteEntry { name: name.into(), id, columns: vec![], reads: 0, forbidden: Some(message) };
        self.ctes.push(entry);
        let base = self.set_expr(base, Unknowns::Text)?;
        let columns = self.cte_columns(cte, name, &base)?;
        let types: Vec<SqlType> = base.columns.iter().map(|c| c.ty.bare_text()).collect();
        let visible = columns.iter().enumerate().map(|(i, (n, _, _))| (n.clone(), types[i], i)).collect();
        if let Some(entry) = self.ctes.last_mut() {
            entry.columns = visible;
            entry.forbidden = None;
        }
        let step = self.set_expr(step, Unknowns::Keep)?;
        self.ctes.pop();
        check_step(&step.plan, id, name)?;
        if step.columns.len() != base.columns.len() {
            let message = "each UNION query must have the same number of columns";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        for (i, (s, ty)) in step.columns.iter().zip(&types).enumerate() {
            let common = self.common_type(&[*ty, s.ty], "UNION")?;
            if !common.same_def(*ty) {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                    i + 1,
                    ty,
                    common
                );
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .with_hint("Cast the output of the non-recursive term to the correct type."));
            }
        }
        let names: Vec<String> = base.columns.iter().map(|c| c.name.clone()).collect();
        let (base, base_ids) = self.converted(base, &types, "UNION")?;
        let (step, step_ids) = self.converted(step, &types, "UNION")?;
        let columns: Vec<ScopeColumn> =
            names.iter().zip(&types).map(|(n, ty)| scope_column(n, self.col(), *ty)).collect();
        let out = columns.iter().map(|c| OutCol { id: c.id, name: c.name.clone(), ty: c.ty }).collect();
        let plan = Plan::Recursive {
            cte: id,
            name: name.into(),
            distinct,
            base: (Box::new(base), base_ids),
            step: (Box::new(step), step_ids),
            columns: out,
        };
        Ok(Rel { plan, columns })
    }
}

/// Refuses what a recursive term may not do with the rows of the round before; 42P19.
fn check_step(step: &Plan, cte: CteId, name: &str) -> Result<()> {
    let refuse = |m: String| Err(Error::new(SqlState::INVALID_RECURSION, m));
    let mut count = 0;
    let mut work = vec![(step, None)];
    while let Some((plan, place)) = work.pop() {
        if matches!(plan, Plan::CteScan { cte: c, .. } if *c == cte) {
            count += 1;
            match place {
                Some("aggregate") => {
                    return refuse(
                        "aggregate functions are not allowed in a recursive query's recursive term".into(),
                    );
                }
                Some(place) => {
                    let message =
                        format!("recursive reference to query \"{name}\" must not appear within {place}");
                    return refuse(message);
                }
                None if count > 1 => {
                    return refuse(format!(
                        "recursive reference to query \"{name}\" must not appear more than once"
                    ));
                }
                None => {}
            }
        }
        let places: [Option<&str>; 2] = match plan {
            Plan::Aggregate { .. } => [Some("aggregate"), None],
            Plan::Apply { kind: JoinKind::Inner | JoinKind::Left, .. } => [None, None],
            Plan::Apply { .. } => [None, Some("a subquery")],
            Plan::Join(j) => match j.kind {
                JoinKind::Left => [None, Some("an outer join")],
                JoinKind::Right => [Some("an outer join"), None],
                JoinKind::Full => [Some("an outer join"), Some("an outer join")],
                _ => [None, None],
            },
            Plan::SetOp { kind: SetOpKind::Except, .. } => [None, Some("EXCEPT")],
            Plan::SetOp { .. } => [None, Some("INTERSECT")],
            _ => [None, None],
        };
        for (n, input) in plan.inputs().into_iter().enumerate() {
            work.push((input, place.or(places.get(n).copied().flatten())));
        }
    }
    Ok(())
}

trait Widest {
    /// Numbers whose digits were only derived may grow from round to round.
    fn bare_text(self) -> Self;
}

impl Widest for SqlType {
    fn bare_text(self) -> Self {
        match self.modifier {
            spg_types::Modifier::Derived { .. } => self.bare(),
            _ => self,
        }
    }
}

/// Both terms of a query that refers to itself, and whether duplicates go.
fn recursive_parts<'q>(query: &'q ast::Query, name: &str) -> Option<(&'q SetExpr, &'q SetExpr, bool)> {
    let SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } = &*query.body else {
        return None;
    };
    let plain = query.order_by.is_none() && query.limit_clause.is_none() && query.with.is_none();
    let refers = mentions(&right.to_string(), name);
    (plain && refers).then_some((left, right, *set_quantifier != SetQuantifier::All))
}

/// Whether some FROM in a query names a relation; what a text that mentions it is asked.
fn reads_from(body: &SetExpr, name: &str) -> bool {
    let text = body.to_string().to_lowercase();
    [" from ", " join ", ", "].iter().any(|before| {
        text.match_indices(&format!("{before}{name}")).any(|(at, found)| {
            !text[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.')
        })
    })
}

/// Whether a word stands in a text.
fn mentions(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).any(|w| w.eq_ignore_ascii_case(word))
        || text.contains(&format!("\"{word}\""))
}

fn contains_change(plan: &Plan) -> bool {
    matches!(plan, Plan::Modify(_)) || plan.inputs().into_iter().any(contains_change)
}

/// Puts a definition around the query that reads it: inlined when read once, left out when never.
fn place(mut rel: Rel, definition: Definition, reads: usize) -> Rel {
    if reads == 0 && !definition.changes {
        return rel;
    }
    if reads == 1 && !definition.shared {
        let mut names = AHashMap::new();
        let mut definition_plan = Some(definition.plan);
        inline(&mut rel.plan, definition.id, &mut definition_plan, &mut names);
        rename(&mut rel.plan, &names);
        for c in &mut rel.columns {
            if let Some(new) = names.get(&c.id) {
                c.id = *new;
            }
        }
        return rel;
    }
    let plan = Plan::With {
        cte: definition.id,
        name: definition.name,
        definition: Box::new(definition.plan),
        body: Box::new(rel.plan),
    };
    Rel { plan, columns: rel.columns }
}

/// Replaces the one scan of a CTE by its definition; gives the names its columns had.
fn inline(plan: &mut Plan, cte: CteId, definition: &mut Option<Plan>, names: &mut AHashMap<ColId, ColId>) {
    if let Plan::CteScan { cte: scanned, columns, .. } = plan
        && *scanned == cte
        && let Some(definition) = definition.take()
    {
        let out = definition.columns();
        names.extend(columns.iter().map(|(c, at)| (c.id, out[*at].id)));
        *plan = definition;
        return;
    }
    for input in plan.inputs_mut() {
        inline(input, cte, definition, names);
    }
}
