//! INSERT, UPDATE, DELETE: new rows with defaults and assignment casts, the rows to change, RETURNING.

use spg_expr::{ColId, Expr, SystemRelation};
use spg_sql::ast::{self, SetExpr, Spanned as _};
use spg_sql::{Span, fold};
use spg_types::{Error, Result, SqlState, SqlType, TableRef, def};

use super::Binder;
use super::bound::{BoundKind, QueryTag};
use super::from::{Source, passed};
use super::query::{Rel, scope_column};
use super::scope::{Clause, Namespace, Relation, ScopeColumn};
use super::select::Unknowns;
use super::set_op::unknown_source;
use super::subquery::{apply_all, filtered};
use crate::{Modify, ModifyKind, NamedExpr, OutCol, Plan, Scan};

impl Binder<'_> {
    pub(super) fn top_insert(&mut self, insert: &ast::Insert) -> Result<BoundKind> {
        let rel = self.insert(insert)?;
        Ok(BoundKind::Query(self.finish_query(rel, QueryTag::Insert)))
    }

    pub(super) fn top_update(&mut self, update: &ast::Update) -> Result<BoundKind> {
        let rel = self.update(update)?;
        Ok(BoundKind::Query(self.finish_query(rel, QueryTag::Update)))
    }

    pub(super) fn top_delete(&mut self, delete: &ast::Delete) -> Result<BoundKind> {
        let rel = self.delete(delete)?;
        Ok(BoundKind::Query(self.finish_query(rel, QueryTag::Delete)))
    }

    /// `WITH ... INSERT` and its like, as a statement.
    pub(super) fn top_change(&mut self, query: &ast::Query, change: &ast::Statement) -> Result<BoundKind> {
        let rel = match &query.with {
            None => self.change_in_query(change)?,
            Some(with) => self.with(with, |b| b.change_in_query(change))?,
        };
        let tag = match change {
            ast::Statement::Insert(_) => QueryTag::Insert,
            ast::Statement::Update(_) => QueryTag::Update,
            _ => QueryTag::Delete,
        };
        Ok(BoundKind::Query(self.finish_query(rel, tag)))
    }

    /// A change as a CTE's definition.
    pub(super) fn change_in_query(&mut self, statement: &ast::Statement) -> Result<Rel> {
        match statement {
            ast::Statement::Insert(insert) => self.insert(insert),
            ast::Statement::Update(update) => self.update(update),
            ast::Statement::Delete(delete) => self.delete(delete),
            other => Err(Error::unsupported(format!("{other} in WITH is not supported"))),
        }
    }

    fn insert(&mut self, insert: &ast::Insert) -> Result<Rel> {
        if insert.on.is_some() {
            return Err(Error::unsupported("INSERT ... ON CONFLICT is not supported"));
        }
        if insert.overriding.is_some()
            || insert.or.is_some()
            || insert.ignore
            || insert.overwrite
            || insert.replace_into
            || insert.partitioned.is_some()
            || !insert.assignments.is_empty()
            || insert.multi_table_insert_type.is_some()
        {
            return Err(Error::unsupported("this form of INSERT is not supported"));
        }
        if !insert.into {
            return Err(self.error_at(
                insert.table.span(),
                SqlState::SYNTAX_ERROR,
                format!("syntax error at or near \"{}\"", insert.table),
            ));
        }
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(Error::unsupported("INSERT into a function or query is not supported"));
        };
        let table = self.table_for(name, |r| not_changeable(r, "insert into", "inserting into", "INSERT"))?;
        if table.columns.is_empty() {
            return Err(self.locate(
                Error::unsupported("rows of a table without columns are not supported"),
                name.span(),
            ));
        }
        let targets = self.insert_columns(&table, &insert.columns)?;
        let (plan, values) = match &insert.source {
            None => self.default_row(&table)?,
            Some(query) => self.insert_source(&table, targets, !insert.columns.is_empty(), query)?,
        };
        let name = insert.table_alias.as_ref().map_or_else(|| table.name.clone(), |a| fold(&a.alias));
        let modify = self.modify(table, ModifyKind::Insert, plan, values)?;
        self.returning(modify, name, Namespace::default(), insert.returning.as_deref())
    }

    /// The target columns' positions: those written, else all.
    fn insert_columns(&self, table: &TableRef, written: &[ast::ObjectName]) -> Result<Vec<usize>> {
        let mut columns: Vec<usize> = vec![];
        for name in written {
            let parts = spg_sql::folded_name(name);
            let [column] = &parts[..] else {
                return Err(self.locate(
                    Error::unsupported("INSERT into part of a column is not supported"),
                    name.span(),
                ));
            };
            let at = self.column_of(table, column, name.span())?;
            if columns.contains(&at) {
                let message = format!("column \"{column}\" specified more than once");
                return Err(self.error_at(name.span(), SqlState::DUPLICATE_COLUMN, message));
            }
            columns.push(at);
        }
        Ok(if written.is_empty() { (0..table.columns.len()).collect() } else { columns })
    }

    /// A column's position in a table that is changed; 42703.
    pub(super) fn column_of(&self, table: &TableRef, column: &str, span: Span) -> Result<usize> {
        table.column(column).ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
            self.error_at(span, SqlState::UNDEFINED_COLUMN, message)
        })
    }

    /// A row of defaults.
    fn default_row(&mut self, table: &TableRef) -> Result<(Plan, Vec<ColId>)> {
        let row = (0..table.columns.len()).map(|at| self.default_of(table, at)).collect::<Result<_>>()?;
        Ok(self.value_rows(table, vec![(row, vec![])]))
    }

    fn value_rows(&mut self, table: &TableRef, rows: Vec<super::values::Row>) -> (Plan, Vec<ColId>) {
        let names: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
        let types: Vec<SqlType> = table.columns.iter().map(|c| c.ty).collect();
        let rel = self.rows(rows, &names, &types);
        (rel.plan, rel.columns.iter().map(|c| c.id).collect())
    }

    /// The rows to insert: all of the table's columns, and their ids in table order.
    fn insert_source(
        &mut self,
        table: &TableRef,
        mut targets: Vec<usize>,
        written: bool,
        query: &ast::Query,
    ) -> Result<(Plan, Vec<ColId>)> {
        let plain = query.with.is_none()
            && query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none();
        if let SetExpr::Values(values) = &*query.body
            && plain
        {
            return self.insert_values(table, targets, written, values);
        }
        let rel = self.query(query, Unknowns::Keep)?;
        if !written {
            targets.truncate(rel.columns.len());
        }
        self.check_width(rel.columns.len(), targets.len(), query.span())?;
        let mut row: Vec<Option<Expr>> = vec![None; table.columns.len()];
        for (&at, c) in targets.iter().zip(&rel.columns) {
            let source = match unknown_source(&rel.plan, c.id) {
                Some(literal) if c.ty.is(&def::UNKNOWN) => literal.clone(),
                _ => c.expr(),
            };
            row[at] = Some(self.assign(source, table.columns[at].ty, &table.columns[at].name)?);
        }
        let row = row
            .into_iter()
            .enumerate()
            .map(|(at, e)| e.map_or_else(|| self.default_of(table, at), Ok))
            .collect::<Result<Vec<_>>>()?;
        Ok(self.project_row(rel.plan, table, row, vec![]))
    }

    /// A projection to a table's columns; plain columns keep their ids.
    fn project_row(
        &mut self,
        input: Plan,
        table: &TableRef,
        row: Vec<Expr>,
        mut exprs: Vec<NamedExpr>,
    ) -> (Plan, Vec<ColId>) {
        let mut ids = vec![];
        for (expr, column) in row.into_iter().zip(&table.columns) {
            let id = match &expr {
                Expr::Column { id, .. } => *id,
                _ => self.col(),
            };
            if exprs.iter().all(|e| e.out.id != id) {
                exprs.push(NamedExpr { out: OutCol { id, name: column.name.clone(), ty: expr.ty() }, expr });
            }
            ids.push(id);
        }
        (Plan::Project { input: Box::new(input), exprs }, ids)
    }

    fn insert_values(
        &mut self,
        table: &TableRef,
        mut targets: Vec<usize>,
        written: bool,
        values: &ast::Values,
    ) -> Result<(Plan, Vec<ColId>)> {
        let width = values.rows.first().map_or(0, |r| r.content.len());
        if !written {
            targets.truncate(width);
        }
        let mut rows = vec![];
        for row in &values.rows {
            let row = &row.content;
            let first = row.first().map_or(Span::empty(), |e| e.span());
            if row.len() != width {
                return Err(self.error_at(
                    first,
                    SqlState::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                ));
            }
            let extra = row.get(targets.len()).map_or(first, |e| e.span());
            self.check_width(row.len(), targets.len(), extra)?;
            rows.push(self.insert_row(table, &targets, row)?);
        }
        Ok(self.value_rows(table, rows))
    }

    /// One row of VALUES: all of the table's columns.
    fn insert_row(
        &mut self,
        table: &TableRef,
        targets: &[usize],
        row: &[ast::Expr],
    ) -> Result<super::values::Row> {
        let (row, level) = self.at_level(Namespace::default(), Clause::Values, |b| {
            let mut full: Vec<Option<Expr>> = vec![None; table.columns.len()];
            for (&at, e) in targets.iter().zip(row) {
                full[at] = Some(b.new_value(table, at, e)?);
            }
            full.into_iter()
                .enumerate()
                .map(|(at, e)| e.map_or_else(|| b.default_of(table, at), Ok))
                .collect::<Result<Vec<_>>>()
        })?;
        Ok((row, level.applies))
    }

    /// A written value for a column: DEFAULT or an expression.
    fn new_value(&mut self, table: &TableRef, at: usize, e: &ast::Expr) -> Result<Expr> {
        if is_default(e) {
            return self.default_of(table, at);
        }
        let value = self.expr(e)?;
        let column = &table.columns[at];
        self.assign(value, column.ty, &column.name).map_err(|error| self.locate(error, e.span()))
    }

    /// A column's default: its expression, else NULL.
    pub(super) fn default_of(&mut self, table: &TableRef, at: usize) -> Result<Expr> {
        let column = &table.columns[at];
        let Some(text) = &column.default else { return Ok(Expr::null(column.ty)) };
        let e = spg_sql::parse_expr(text)?;
        self.stored(|b| {
            let (value, level) = b.at_level(Namespace::default(), Clause::Default, |b| b.expr(&e))?;
            if !level.applies.is_empty() {
                return Err(Error::unsupported("cannot use subquery in DEFAULT expression"));
            }
            b.assign(value, column.ty, &column.name)
        })
    }

    /// Binds text from the catalog: positions would mean nothing.
    pub(super) fn stored<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let statement = self.statement.take();
        let result = f(self);
        self.statement = statement;
        result
    }

    /// A change without RETURNING, its CHECKs bound over the new values.
    pub(super) fn modify(
        &mut self,
        table: TableRef,
        kind: ModifyKind,
        input: Plan,
        values: Vec<ColId>,
    ) -> Result<Modify> {
        let mut checks = vec![];
        if !matches!(kind, ModifyKind::Delete { .. }) {
            let relation = new_values(&table, &values, table.name.clone());
            for check in &table.checks {
                let e = spg_sql::parse_expr(&check.expr)?;
                checks.push((check.name.clone(), self.check(&e, relation.clone())?));
            }
        }
        let values = values.into_iter().map(Some).collect();
        Ok(Modify { table, kind, input: Box::new(input), values, checks, returning: vec![] })
    }

    /// A CHECK's condition over a relation's columns.
    pub(super) fn check(&mut self, e: &ast::Expr, relation: Relation) -> Result<Expr> {
        self.stored(|b| {
            let (condition, level) = b.at_level(Namespace::of(relation), Clause::Check, |b| {
                let bound = b.expr(e)?;
                b.condition(bound, "CHECK", e.span())
            })?;
            if level.applies.is_empty() {
                Ok(condition)
            } else {
                Err(Error::unsupported("cannot use subquery in check constraint"))
            }
        })
    }

    /// Adds RETURNING: over the new (for DELETE the old) values under `name`, and other relations' columns.
    fn returning(
        &mut self,
        mut modify: Modify,
        name: String,
        others: Namespace,
        items: Option<&[ast::SelectItem]>,
    ) -> Result<Rel> {
        let Some(items) = items else { return Ok(Rel { plan: Plan::Modify(modify), columns: vec![] }) };
        let ids: Vec<ColId> = modify.values.iter().flatten().copied().collect();
        let relation = new_values(&modify.table, &ids, name);
        let namespace = Namespace::of(relation).join(others);
        let (targets, level) = self.at_level(namespace, Clause::Returning, |b| b.select_list(items))?;
        if !level.applies.is_empty() {
            return Err(Error::unsupported("subqueries in RETURNING are not supported"));
        }
        let mut columns = vec![];
        for t in targets {
            let expr = self.or_text(t.expr)?;
            let id = match &expr {
                Expr::Column { id, .. } => *id,
                _ => self.col(),
            };
            let ty = expr.ty();
            let mut column = scope_column(&t.name, id, ty);
            column.origin = level.namespace.find(id).and_then(|(_, c)| c.origin.clone());
            columns.push(column);
            if modify.returning.iter().all(|e| e.out.id != id) {
                modify.returning.push(NamedExpr { out: OutCol { id, name: t.name, ty }, expr });
            }
        }
        Ok(Rel { plan: Plan::Modify(modify), columns })
    }

    /// The table that UPDATE or DELETE changes: its scan with the row id, and its relation.
    fn target(&mut self, item: &ast::TableWithJoins, delete: bool) -> Result<(Scan, Relation, ColId)> {
        let ast::TableFactor::Table { name, alias, args: None, .. } = &item.relation else {
            return Err(Error::unsupported("changing anything but a table is not supported"));
        };
        if !item.joins.is_empty() {
            return Err(Error::unsupported("joins in the target of a change are not supported"));
        }
        let table = self.table_for(name, |r| match delete {
            true => not_changeable(r, "delete from", "deleting from", "DELETE"),
            false => not_changeable(r, "update", "updating", "UPDATE"),
        })?;
        let (mut scan, mut relation) = self.scan(&table);
        if let Some(alias) = alias {
            relation.hidden_name = Some(std::mem::replace(&mut relation.name, fold(&alias.name)));
            relation.schema = None;
        }
        let row_id = self.col();
        scan.row_id = Some(row_id);
        Ok((scan, relation, row_id))
    }

    /// The target joined with FROM or USING.
    fn with_others(
        &mut self,
        target: Source,
        others: &[ast::TableWithJoins],
    ) -> Result<(Plan, Namespace, Namespace)> {
        if others.is_empty() {
            return Ok((target.0, target.1, Namespace::default()));
        }
        let other = self.bind_from(others)?;
        let other_names = other.1.clone();
        let (plan, all) = self.cross(target, other)?;
        Ok((plan, all, other_names))
    }

    fn update(&mut self, update: &ast::Update) -> Result<Rel> {
        if update.or.is_some() || !update.order_by.is_empty() || update.limit.is_some() {
            return Err(Error::unsupported("this form of UPDATE is not supported"));
        }
        let others: &[ast::TableWithJoins] = match &update.from {
            None => &[],
            Some(ast::UpdateTableFromKind::BeforeSet(items) | ast::UpdateTableFromKind::AfterSet(items)) => {
                items
            }
        };
        let (scan, relation, row_id) = self.target(&update.table, false)?;
        let table = scan.table.clone();
        let name = relation.name.clone();
        let old: Vec<ScopeColumn> = relation.columns.clone();
        let namespace = Namespace::of(relation);
        let ((plan, other_names, row, changed), _) =
            self.at_level(Namespace::default(), Clause::From, |b| {
                let (plan, all, other_names) = b.with_others((Plan::Scan(scan), namespace), others)?;
                b.level().met.extend(all.relations.iter().cloned());
                b.level().namespace = all;
                let ((row, changed), set_applies) =
                    b.in_clause(Clause::Set, |b| b.new_row(&table, &old, &update.assignments))?;
                let plan =
                    b.matching(plan, update.selection.as_ref(), (!others.is_empty()).then_some(row_id))?;
                Ok((apply_all(plan, set_applies), other_names, row, changed))
            })?;
        let mut exprs =
            vec![passed(OutCol { id: row_id, name: "row_id".into(), ty: SqlType::new(&def::INT8) })];
        if update.returning.is_some() {
            exprs.extend(other_columns(&other_names));
        }
        let (plan, values) = self.project_row(plan, &table, row, exprs);
        let modify = self.modify(table, ModifyKind::Update { row_id, changed }, plan, values)?;
        self.returning(modify, name, other_names, update.returning.as_deref())
    }

    /// Rows for which WHERE holds, each target row once.
    fn matching(
        &mut self,
        plan: Plan,
        selection: Option<&ast::Expr>,
        once_per: Option<ColId>,
    ) -> Result<Plan> {
        let (predicate, applies) = match selection {
            None => (vec![], vec![]),
            Some(e) => self.in_clause(Clause::Where, |b| b.conjuncts(e, "WHERE"))?,
        };
        let plan = filtered(apply_all(plan, applies), predicate);
        Ok(match once_per {
            None => plan,
            Some(row_id) => Plan::Distinct { input: Box::new(plan), on: Some(vec![row_id]) },
        })
    }

    /// The new row of an UPDATE in table order, and the columns that SET names.
    fn new_row(
        &mut self,
        table: &TableRef,
        old: &[ScopeColumn],
        assignments: &[ast::Assignment],
    ) -> Result<(Vec<Expr>, Vec<usize>)> {
        let mut row: Vec<Expr> = old.iter().map(ScopeColumn::expr).collect();
        let mut changed = vec![];
        let mut set = |b: &Self, name: &ast::ObjectName| {
            let parts = spg_sql::folded_name(name);
            let [column] = &parts[..] else {
                return Err(
                    b.locate(Error::unsupported("UPDATE of part of a column is not supported"), name.span())
                );
            };
            let at = b.column_of(table, column, name.span())?;
            if changed.contains(&at) {
                let message = format!("multiple assignments to same column \"{column}\"");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            changed.push(at);
            Ok(at)
        };
        for assignment in assignments {
            match &assignment.target {
                ast::AssignmentTarget::ColumnName(name) => {
                    let at = set(self, name)?;
                    row[at] = self.new_value(table, at, &assignment.value)?;
                }
                ast::AssignmentTarget::Tuple(names) => {
                    let places = names.iter().map(|n| set(self, n)).collect::<Result<Vec<_>>>()?;
                    let values = self.assigned_row(table, &places, &assignment.value)?;
                    for (at, value) in places.into_iter().zip(values) {
                        row[at] = value;
                    }
                }
            }
        }
        changed.sort_unstable();
        Ok((row, changed))
    }

    /// The right side of `SET (a, b) = ...`.
    fn assigned_row(&mut self, table: &TableRef, places: &[usize], value: &ast::Expr) -> Result<Vec<Expr>> {
        let mismatch = |b: &Self| {
            let message = "number of columns does not match number of values";
            b.error_at(value.span(), SqlState::SYNTAX_ERROR, message)
        };
        let value = super::subquery::strip(value);
        if let Some(parts) = super::expr::as_row(value) {
            if parts.len() != places.len() {
                return Err(mismatch(self));
            }
            return places.iter().zip(parts).map(|(&at, e)| self.new_value(table, at, e)).collect();
        }
        let columns = match value {
            ast::Expr::Subquery(query) => self.single_row(query)?,
            other if places.len() == 1 => vec![self.expr(other)?],
            other => {
                let message =
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
                return Err(self.error_at(other.span(), SqlState::FEATURE_NOT_SUPPORTED, message));
            }
        };
        if columns.len() != places.len() {
            return Err(mismatch(self));
        }
        let assign = |(&at, e): (&usize, Expr)| self.assign(e, table.columns[at].ty, &table.columns[at].name);
        places.iter().zip(columns).map(assign).collect()
    }

    fn delete(&mut self, delete: &ast::Delete) -> Result<Rel> {
        if !delete.tables.is_empty() || !delete.order_by.is_empty() || delete.limit.is_some() {
            return Err(Error::unsupported("this form of DELETE is not supported"));
        }
        let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
        let [item] = &from[..] else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "DELETE takes one table"));
        };
        let others = delete.using.as_deref().unwrap_or_default();
        let (scan, relation, row_id) = self.target(item, true)?;
        let table = scan.table.clone();
        let name = relation.name.clone();
        let old = relation.columns.clone();
        let namespace = Namespace::of(relation);
        let ((plan, other_names), _) = self.at_level(Namespace::default(), Clause::From, |b| {
            let (plan, all, other_names) = b.with_others((Plan::Scan(scan), namespace), others)?;
            b.level().met.extend(all.relations.iter().cloned());
            b.level().namespace = all;
            let plan = b.matching(plan, delete.selection.as_ref(), (!others.is_empty()).then_some(row_id))?;
            Ok((plan, other_names))
        })?;
        let mut exprs =
            vec![passed(OutCol { id: row_id, name: "row_id".into(), ty: SqlType::new(&def::INT8) })];
        let kind = ModifyKind::Delete { row_id };
        if delete.returning.is_none() {
            let plan = Plan::Project { input: Box::new(plan), exprs };
            let mut modify = self.modify(table, kind, plan, vec![])?;
            modify.values = vec![None; modify.table.columns.len()];
            return self.returning(modify, name, other_names, None);
        }
        exprs.extend(other_columns(&other_names));
        let row = old.iter().map(ScopeColumn::expr).collect();
        let (plan, values) = self.project_row(plan, &table, row, exprs);
        let modify = self.modify(table, kind, plan, values)?;
        self.returning(modify, name, other_names, delete.returning.as_deref())
    }
}

/// A table's columns as a change sees them: under the ids of its new values.
pub(super) fn new_values(table: &TableRef, ids: &[ColId], name: String) -> Relation {
    let columns = table
        .columns
        .iter()
        .zip(ids)
        .enumerate()
        .map(|(at, (c, id))| ScopeColumn {
            name: c.name.clone(),
            id: *id,
            ty: c.ty,
            origin: Some((table.clone(), at)),
        })
        .collect();
    Relation { name, schema: Some(table.schema.clone()), hidden_name: None, nullable: false, columns }
}

fn other_columns(namespace: &Namespace) -> Vec<NamedExpr> {
    let mut exprs: Vec<NamedExpr> = vec![];
    let relations = namespace.relations.iter().flat_map(|r| &r.columns);
    for c in relations.chain(&namespace.columns) {
        if exprs.iter().all(|e| e.out.id != c.id) {
            exprs.push(passed(OutCol { id: c.id, name: c.name.clone(), ty: c.ty }));
        }
    }
    exprs
}

/// The keyword DEFAULT in place of a value.
fn is_default(e: &ast::Expr) -> bool {
    matches!(e, ast::Expr::Identifier(i) if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"))
}

/// 55000: what PostgreSQL says of a change to a view.
fn not_changeable(relation: &SystemRelation, what: &str, doing: &str, verb: &str) -> Error {
    let message = format!("cannot {what} view \"{}\"", relation.name);
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_detail("Views that do not select from a single table or view are not automatically updatable.")
        .with_hint(format!(
            "To enable {doing} the view, provide an INSTEAD OF {verb} trigger or an unconditional ON {verb} DO INSTEAD rule."
        ))
}
