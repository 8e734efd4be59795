//! FROM: tables, subqueries, functions, joins. Gives a plan and the names it brings into scope.

use spg_expr::{ColId, Expr, SystemRelation};
use spg_sql::ast::{self, JoinConstraint, JoinOperator, Spanned as _, TableFactor};
use spg_sql::{fold, folded_name};
use spg_types::{Error, Result, SqlState, SqlType, TableRef, def};

use super::columns::free;
use super::query::scope_column;
use super::scope::{Clause, Namespace, Relation, ScopeColumn};
use super::select::Unknowns;
use super::subquery::{apply_all, filtered};
use super::{Binder, call::Callee};
use crate::tree;
use crate::{JoinKind, NamedExpr, OutCol, Plan, Scan};

/// What `join` answers when a join has no condition.
const MISSING_CONDITION: &str = "a join needs a condition";

/// A part of FROM: its rows and its names.
pub(super) type Source = (Plan, Namespace);

impl Binder<'_> {
    /// The whole clause. Binds at the query's own level, whose namespace meanwhile is what LATERAL may see.
    pub(super) fn bind_from(&mut self, from: &[ast::TableWithJoins]) -> Result<Source> {
        let mut all: Option<Source> = None;
        for item in from {
            let visible = all.as_ref().map(|(_, n)| n.clone()).unwrap_or_default();
            let source = self.table_with_joins(item, &visible)?;
            all = Some(match all {
                None => source,
                Some(left) => self.cross(left, source)?,
            });
        }
        Ok(all.unwrap_or_else(|| (Plan::one_row(), Namespace::default())))
    }

    /// Runs `f` with another namespace at the current level.
    fn with_namespace<T>(
        &mut self,
        namespace: Namespace,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = std::mem::replace(&mut self.level().namespace, namespace);
        let result = f(self);
        self.level().namespace = outer;
        result
    }

    fn check_aliases(&self, left: &Namespace, right: &Namespace) -> Result<()> {
        for r in right.relations.iter().filter(|r| !r.name.is_empty()) {
            if left.relations.iter().any(|l| {
                l.name == r.name && (l.schema.is_none() || r.schema.is_none() || l.schema == r.schema)
            }) {
                let message = format!("table name \"{}\" specified more than once", r.name);
                return Err(Error::new(SqlState::DUPLICATE_ALIAS, message));
            }
        }
        Ok(())
    }

    pub(super) fn cross(&mut self, left: Source, right: Source) -> Result<Source> {
        self.check_aliases(&left.1, &right.1)?;
        let namespace = left.1.join(right.1);
        Ok((combine(JoinKind::Inner, left.0, right.0, vec![]), namespace))
    }

    pub(super) fn table_with_joins(
        &mut self,
        item: &ast::TableWithJoins,
        visible: &Namespace,
    ) -> Result<Source> {
        let mut left = self.table_factor(&item.relation, visible)?;
        for join in &item.joins {
            if join.global {
                return Err(Error::unsupported("GLOBAL JOIN is not supported"));
            }
            let seen = visible.clone().join(left.1.clone());
            let right = self.table_factor(&join.relation, &seen)?;
            left = self.join(left, right, &join.join_operator).map_err(|e| match e.state() {
                SqlState::SYNTAX_ERROR => self.behind(e, join.relation.span()),
                _ => e,
            })?;
        }
        Ok(left)
    }

    fn table_factor(&mut self, factor: &TableFactor, visible: &Namespace) -> Result<Source> {
        let source = self.nested(|b| b.table_factor_inner(factor, visible))?;
        self.level().met.extend(source.1.relations.iter().cloned());
        Ok(source)
    }

    fn table_factor_inner(&mut self, factor: &TableFactor, visible: &Namespace) -> Result<Source> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                sample: None,
                with_ordinality: false,
                version: None,
                ..
            } => {
                let (plan, relation) = self.named_relation(name)?;
                let relation = self.aliased(relation, alias.as_ref())?;
                Ok((plan, Namespace::of(relation)))
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.function(name, &args.args, *with_ordinality, alias.as_ref(), visible)
            }
            TableFactor::Function { name, args, with_ordinality, alias, .. } => {
                self.function(name, args, *with_ordinality, alias.as_ref(), visible)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                let Some(alias) = alias else {
                    return Err(self
                        .error_at(
                            subquery.span(),
                            SqlState::SYNTAX_ERROR,
                            "subquery in FROM must have an alias",
                        )
                        .with_hint("For example, FROM (SELECT ...) [AS] foo."));
                };
                let namespace = if *lateral { visible.clone() } else { Namespace::default() };
                let rel = self.with_namespace(namespace, |b| b.query(subquery, Unknowns::Text))?;
                let relation = Relation {
                    name: String::new(),
                    schema: None,
                    hidden_name: None,
                    nullable: false,
                    columns: rel.columns,
                };
                let relation = self.aliased(relation, Some(alias))?;
                Ok((rel.plan, Namespace::of(relation)))
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let (plan, namespace) = self.table_with_joins(table_with_joins, visible)?;
                let Some(alias) = alias else { return Ok((plan, namespace)) };
                let relation = Relation {
                    name: String::new(),
                    schema: None,
                    hidden_name: None,
                    nullable: false,
                    columns: namespace.columns,
                };
                let relation = self.aliased(relation, Some(alias))?;
                Ok((plan, Namespace::of(relation)))
            }
            other => {
                Err(self
                    .locate(Error::unsupported(format!("{other} in FROM is not supported")), other.span()))
            }
        }
    }

    /// A relation under its alias, with the alias' column names.
    fn aliased(&self, mut relation: Relation, alias: Option<&ast::TableAlias>) -> Result<Relation> {
        let Some(alias) = alias else { return Ok(relation) };
        let name = fold(&alias.name);
        if alias.columns.len() > relation.columns.len() {
            let message = format!(
                "table \"{name}\" has {} columns available but {} columns specified",
                relation.columns.len(),
                alias.columns.len()
            );
            return Err(self.error_at(alias.name.span, SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        for (column, written) in relation.columns.iter_mut().zip(&alias.columns) {
            column.name = fold(&written.name);
        }
        if !relation.name.is_empty() && relation.name != name {
            relation.hidden_name = Some(relation.name);
        }
        relation.name = name;
        relation.schema = None;
        Ok(relation)
    }

    /// A CTE or a table.
    pub(super) fn named_relation(&mut self, name: &ast::ObjectName) -> Result<(Plan, Relation)> {
        if let [part] = &folded_name(name)[..]
            && let Some((plan, columns)) = self.cte_scan(part, name.span())?
        {
            return Ok((
                plan,
                Relation { name: part.clone(), schema: None, hidden_name: None, nullable: false, columns },
            ));
        }
        if let Some(relation) = self.system(name)? {
            return Ok(self.system_scan(relation));
        }
        let table = self.table(name)?;
        let (scan, relation) = self.scan(&table);
        Ok((Plan::Scan(scan), relation))
    }

    /// Schema and name as they are written.
    fn schema_and_name(&self, name: &ast::ObjectName) -> Result<(Option<String>, String)> {
        let parts = folded_name(name);
        match &parts[..] {
            [table] => Ok((None, table.clone())),
            [schema, table] | [_, schema, table] => Ok((Some(schema.clone()), table.clone())),
            _ => {
                let message = format!("improper qualified name (too many dotted names): {}", parts.join("."));
                Err(self.error_at(name.span(), SqlState::SYNTAX_ERROR, message))
            }
        }
    }

    /// The system relation of that name.
    pub(super) fn system(&self, name: &ast::ObjectName) -> Result<Option<&'static SystemRelation>> {
        let (schema, table) = self.schema_and_name(name)?;
        Ok(self.input.catalog.system(schema.as_deref(), &table))
    }

    fn system_scan(&mut self, relation: &'static SystemRelation) -> (Plan, Relation) {
        let columns: Vec<ScopeColumn> =
            relation.columns.iter().map(|c| scope_column(c.name, self.col(), SqlType::new(c.ty))).collect();
        let out = |(at, c): (usize, &ScopeColumn)| (OutCol { id: c.id, name: c.name.clone(), ty: c.ty }, at);
        let plan = Plan::SystemScan { relation, columns: columns.iter().enumerate().map(out).collect() };
        let named = Relation {
            name: relation.name.into(),
            schema: Some(relation.schema.into()),
            hidden_name: None,
            nullable: false,
            columns,
        };
        (plan, named)
    }

    /// The table of that name; 42P01, 42809 for a relation of the system.
    pub(super) fn table(&self, name: &ast::ObjectName) -> Result<TableRef> {
        self.table_for(name, |relation| {
            Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a table", relation.name))
        })
    }

    /// The table of that name; 42P01, or what `refused` says of a relation of the system.
    pub(super) fn table_for(
        &self,
        name: &ast::ObjectName,
        refused: impl FnOnce(&SystemRelation) -> Error,
    ) -> Result<TableRef> {
        let (schema, table) = self.schema_and_name(name)?;
        if let Some(relation) = self.input.catalog.system(schema.as_deref(), &table) {
            return Err(refused(relation));
        }
        if let Some(found) = self.input.catalog.table(schema.as_deref(), &table) {
            return Ok(found);
        }
        let written = schema.map_or(table.clone(), |s| format!("{s}.{table}"));
        let message = format!("relation \"{written}\" does not exist");
        Err(self.error_at(name.span(), SqlState::UNDEFINED_TABLE, message))
    }

    /// A scan of all columns of a table, and the relation it is.
    pub(super) fn scan(&mut self, table: &TableRef) -> (Scan, Relation) {
        let columns: Vec<ScopeColumn> = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, c)| ScopeColumn {
                name: c.name.clone(),
                id: self.col(),
                ty: c.ty,
                origin: Some((table.clone(), at)),
            })
            .collect();
        let out = |c: &ScopeColumn| OutCol { id: c.id, name: c.name.clone(), ty: c.ty };
        let scan = Scan {
            table: table.clone(),
            alias: table.name.clone(),
            columns: columns.iter().enumerate().map(|(at, c)| (out(c), at)).collect(),
            row_id: None,
            filter: vec![],
            index: None,
            join_filters: vec![],
        };
        let relation = Relation {
            name: table.name.clone(),
            schema: Some(table.schema.clone()),
            hidden_name: None,
            nullable: false,
            columns,
        };
        (scan, relation)
    }

    /// A function in FROM.
    fn function(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
        visible: &Namespace,
    ) -> Result<Source> {
        let parts = folded_name(name);
        let function_name = parts.last().cloned().unwrap_or_default();
        let span = name.span();
        let namespace = visible.clone();
        let ((args, applies), level) = self.at_level(namespace, Clause::From, |b| {
            b.in_clause(Clause::From, |b| {
                args.iter().map(|a| b.plain_argument(a)).collect::<Result<Vec<_>>>()
            })
        })?;
        drop(level);
        if !applies.is_empty() {
            return Err(Error::unsupported("subqueries in functions in FROM are not supported"));
        }
        let column_name = alias.map_or(function_name.clone(), |a| fold(&a.name));
        let (plan, mut columns) =
            self.table_function(&function_name, args, &column_name, ordinality, span)?;
        if ordinality && let Some(last) = columns.last_mut() {
            last.name = "ordinality".into();
        }
        let relation =
            Relation { name: function_name, schema: None, hidden_name: None, nullable: false, columns };
        let mut relation = self.aliased(relation, alias)?;
        relation.hidden_name = None;
        Ok((plan, Namespace::of(relation)))
    }

    fn table_function(
        &mut self,
        name: &str,
        args: Vec<Expr>,
        column: &str,
        ordinality: bool,
        span: spg_sql::Span,
    ) -> Result<(Plan, Vec<ScopeColumn>)> {
        if name == "generate_series" {
            return self.generate_series(args, column, ordinality, span);
        }
        if ordinality {
            return Err(Error::unsupported("WITH ORDINALITY is not supported for this function"));
        }
        // A scalar function gives one row.
        let value = self.call(Callee::Function(name), args, span)?;
        let column = scope_column(column, self.col(), value.ty());
        let out = OutCol { id: column.id, name: column.name.clone(), ty: column.ty };
        let plan =
            Plan::Project { input: Box::new(Plan::one_row()), exprs: vec![NamedExpr { out, expr: value }] };
        Ok((plan, vec![column]))
    }

    /// `generate_series(start, stop [, step])` over integers, numbers and timestamps.
    fn generate_series(
        &mut self,
        mut args: Vec<Expr>,
        column: &str,
        ordinality: bool,
        span: spg_sql::Span,
    ) -> Result<(Plan, Vec<ScopeColumn>)> {
        let ty;
        (args, ty) = self.series_args(args, span)?;
        let mut columns = vec![scope_column(column, self.col(), ty)];
        let out = |c: &ScopeColumn| OutCol { id: c.id, name: c.name.clone(), ty: c.ty };
        let outs = columns.iter().map(out).collect();
        let ordinality = ordinality.then(|| scope_column("ordinality", self.col(), SqlType::new(&def::INT8)));
        let plan = Plan::TableFunction {
            name: "generate_series",
            args,
            columns: outs,
            ordinality: ordinality.as_ref().map(out),
        };
        columns.extend(ordinality);
        Ok((plan, columns))
    }

    /// The arguments of `generate_series` converted to one of its overloads, and what it gives.
    pub(super) fn series_args(
        &mut self,
        args: Vec<Expr>,
        span: spg_sql::Span,
    ) -> Result<(Vec<Expr>, SqlType)> {
        use spg_expr::ArgType::Exact;

        use super::call::Parameters;
        static INT4: [spg_expr::ArgType; 3] = [Exact(&def::INT4), Exact(&def::INT4), Exact(&def::INT4)];
        static INT8: [spg_expr::ArgType; 3] = [Exact(&def::INT8), Exact(&def::INT8), Exact(&def::INT8)];
        static NUMERIC: [spg_expr::ArgType; 3] =
            [Exact(&def::NUMERIC), Exact(&def::NUMERIC), Exact(&def::NUMERIC)];
        static TIMESTAMP: [spg_expr::ArgType; 3] =
            [Exact(&def::TIMESTAMP), Exact(&def::TIMESTAMP), Exact(&def::INTERVAL)];
        static TIMESTAMPTZ: [spg_expr::ArgType; 3] =
            [Exact(&def::TIMESTAMPTZ), Exact(&def::TIMESTAMPTZ), Exact(&def::INTERVAL)];
        let parameters = |args, optional| Parameters { args, variadic: false, optional };
        let overloads = [
            parameters(&INT4[..], 1),
            parameters(&INT8[..], 1),
            parameters(&NUMERIC[..], 1),
            parameters(&TIMESTAMP[..], 0),
            parameters(&TIMESTAMPTZ[..], 0),
        ];
        let results = [&def::INT4, &def::INT8, &def::NUMERIC, &def::TIMESTAMP, &def::TIMESTAMPTZ];
        let (at, mut args, _) = self.resolve(Callee::Function("generate_series"), &overloads, args, span)?;
        let ty = SqlType::new(results[at]);
        if ty.is(&def::NUMERIC) {
            args = args.into_iter().map(|a| self.represent_unless(a, ty)).collect::<Result<_>>()?;
        }
        Ok((args, ty))
    }

    fn represent_unless(&mut self, e: Expr, ty: SqlType) -> Result<Expr> {
        if e.ty().repr() == ty.repr() { Ok(e) } else { self.represent(e, ty) }
    }

    /// A join without its condition is a syntax error at what stands in the condition's place.
    fn behind(&self, error: Error, relation: spg_sql::Span) -> Error {
        if error.message() != MISSING_CONDITION {
            return error;
        }
        let Some(statement) = self.statement else { return error };
        let text = statement.source();
        let end = spg_sql::offset(text, relation.end).unwrap_or(text.len());
        let rest = text.get(end..).unwrap_or_default();
        let next = rest.trim_start();
        let place = text[..text.len() - next.len()].chars().count() + 1;
        let word = next.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(next.len());
        let token: String = next.chars().take(word.max(1)).collect();
        let message = match token.as_str() {
            "" => "syntax error at end of input".to_string(),
            token => format!("syntax error at or near \"{token}\""),
        };
        Error::new(SqlState::SYNTAX_ERROR, message).at(place)
    }

    fn join(&mut self, left: Source, right: Source, operator: &JoinOperator) -> Result<Source> {
        let (kind, constraint) = match operator {
            JoinOperator::Join(c) | JoinOperator::Inner(c) => (JoinKind::Inner, c),
            JoinOperator::CrossJoin(c) => (JoinKind::Inner, c),
            JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (JoinKind::Left, c),
            JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (JoinKind::Right, c),
            JoinOperator::FullOuter(c) => (JoinKind::Full, c),
            _ => return Err(Error::unsupported("this kind of join is not supported")),
        };
        self.check_aliases(&left.1, &right.1)?;
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            self.refuse_lateral(&left, &right)?;
        }
        let (left, right) = match kind {
            JoinKind::Left => (left, (right.0, right.1.nullable())),
            JoinKind::Right => ((left.0, left.1.nullable()), right),
            JoinKind::Full => ((left.0, left.1.nullable()), (right.0, right.1.nullable())),
            _ => (left, right),
        };
        match constraint {
            JoinConstraint::None if !matches!(operator, JoinOperator::CrossJoin(_)) => {
                Err(Error::new(SqlState::SYNTAX_ERROR, MISSING_CONDITION))
            }
            JoinConstraint::None => {
                let namespace = left.1.join(right.1);
                Ok((combine(kind, left.0, right.0, vec![]), namespace))
            }
            JoinConstraint::On(condition) => self.join_on(kind, left, right, condition),
            JoinConstraint::Using(names) => {
                let mut idents = vec![];
                for name in names {
                    match name.0.as_slice() {
                        [ast::ObjectNamePart::Identifier(ident)] => idents.push(ident.clone()),
                        _ => {
                            return Err(self.error_at(
                                name.span(),
                                SqlState::SYNTAX_ERROR,
                                "syntax error at or near \".\"",
                            ));
                        }
                    }
                }
                self.join_using(kind, left, right, &idents)
            }
            JoinConstraint::Natural => {
                let common = |c: &&ScopeColumn| right.1.columns.iter().any(|r| r.name == c.name);
                let names: Vec<ast::Ident> = left
                    .1
                    .columns
                    .iter()
                    .filter(common)
                    .map(|c| ast::Ident::with_quote('"', &c.name))
                    .collect();
                self.join_using(kind, left, right, &names)
            }
            JoinConstraint::UsingAlias(..) => Err(Error::unsupported("JOIN USING ... AS is not supported")),
        }
    }

    /// What RIGHT and FULL joins pad may not be read by their right side.
    fn refuse_lateral(&self, left: &Source, right: &Source) -> Result<()> {
        let outer = free(&mut right.0.clone());
        match left.1.relations.iter().find(|r| r.columns.iter().any(|c| outer.contains(&c.id))) {
            None => Ok(()),
            Some(r) => {
                let message = format!("invalid reference to FROM-clause entry for table \"{}\"", r.name);
                Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
                    .with_detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."))
            }
        }
    }

    fn join_on(
        &mut self,
        kind: JoinKind,
        left: Source,
        right: Source,
        condition: &ast::Expr,
    ) -> Result<Source> {
        let namespace = left.1.join(right.1);
        let (on, applies) = self.with_namespace(namespace.clone(), |b| {
            b.in_clause(Clause::On, |b| b.conjuncts(condition, "JOIN/ON"))
        })?;
        let (left, right) = (left.0, right.0);
        if applies.is_empty() {
            return Ok((combine(kind, left, right, on), namespace));
        }
        // Subqueries are evaluated per pair: an inner join filters pairs; an outer join's inner side depends on the outer one.
        let dependent = |outer: Plan, inner: Plan| Plan::Apply {
            kind: JoinKind::Left,
            left: Box::new(outer),
            right: Box::new(filtered(apply_all(inner, applies.clone()), on.clone())),
            on: vec![],
        };
        let plan = match kind {
            JoinKind::Inner => filtered(
                apply_all(combine(JoinKind::Inner, left, right, vec![]), applies.clone()),
                on.clone(),
            ),
            JoinKind::Left => dependent(left, right),
            JoinKind::Right => dependent(right, left),
            _ => return Err(Error::unsupported("subqueries in FULL JOIN conditions are not supported")),
        };
        Ok((plan, namespace))
    }

    fn join_using(
        &mut self,
        kind: JoinKind,
        left: Source,
        right: Source,
        names: &[ast::Ident],
    ) -> Result<Source> {
        let mut on = vec![];
        let mut merged: Vec<(String, ScopeColumn, ScopeColumn)> = vec![];
        for ident in names {
            let name = fold(ident);
            if merged.iter().any(|(n, ..)| *n == name) {
                let message = format!("column name \"{name}\" appears more than once in USING clause");
                return Err(self.error_at(ident.span, SqlState::DUPLICATE_COLUMN, message));
            }
            let l = self.using_column(&left.1, &name, "left", ident)?;
            let r = self.using_column(&right.1, &name, "right", ident)?;
            on.push(self.operator("=", l.expr(), r.expr(), ident.span)?);
            merged.push((name, l, r));
        }
        let mut plan = combine(kind, left.0, right.0, on);
        let mut columns = vec![];
        let mut computed = vec![];
        for (name, l, r) in &merged {
            let (column, extra) = self.merge(kind, name, l, r)?;
            columns.push(column);
            computed.extend(extra);
        }
        if !computed.is_empty() {
            let pass = plan.columns().into_iter().map(passed);
            let exprs = pass.chain(computed).collect();
            plan = Plan::Project { input: Box::new(plan), exprs };
        }
        let is_merged = |c: &&ScopeColumn| !merged.iter().any(|(_, l, r)| l.id == c.id || r.id == c.id);
        columns.extend(left.1.columns.iter().chain(&right.1.columns).filter(is_merged).cloned());
        let relations = left.1.relations.iter().chain(&right.1.relations).cloned().collect();
        Ok((plan, Namespace { relations, columns }))
    }

    fn using_column(
        &self,
        namespace: &Namespace,
        name: &str,
        side: &str,
        ident: &ast::Ident,
    ) -> Result<ScopeColumn> {
        let mut found = namespace.columns.iter().filter(|c| c.name == name);
        match (found.next(), found.next()) {
            (Some(c), None) => Ok(c.clone()),
            (None, _) => {
                let message =
                    format!("column \"{name}\" specified in USING clause does not exist in {side} table");
                Err(self.error_at(ident.span, SqlState::UNDEFINED_COLUMN, message))
            }
            _ => {
                let message = format!("common column name \"{name}\" appears more than once in {side} table");
                Err(self.error_at(ident.span, SqlState::AMBIGUOUS_COLUMN, message))
            }
        }
    }

    /// The one column that two columns joined by USING become, and how it is computed where it is neither.
    fn merge(
        &mut self,
        kind: JoinKind,
        name: &str,
        l: &ScopeColumn,
        r: &ScopeColumn,
    ) -> Result<(ScopeColumn, Option<NamedExpr>)> {
        let ty = self.common_type(&[l.ty, r.ty], "JOIN/USING")?;
        let plain = if kind == JoinKind::Right { r } else { l };
        if kind != JoinKind::Full && plain.ty.same_def(ty) {
            return Ok((ScopeColumn { name: name.into(), ..plain.clone() }, None));
        }
        let expr = match kind {
            JoinKind::Full => {
                let (args, ty) = self.unify(vec![l.expr(), r.expr()], "JOIN/USING")?;
                Expr::Coalesce { args, ty }
            }
            _ => self.convert_to_common(plain.expr(), ty, "JOIN/USING")?,
        };
        let column = scope_column(name, self.col(), expr.ty());
        let out = OutCol { id: column.id, name: name.into(), ty: column.ty };
        Ok((column, Some(NamedExpr { out, expr })))
    }
}

/// A column passed on as it is.
pub(super) fn passed(out: OutCol) -> NamedExpr {
    NamedExpr { expr: Expr::Column { id: out.id, ty: out.ty }, out }
}

/// A join; a dependent one where the right side reads columns of the left.
pub(super) fn combine(kind: JoinKind, left: Plan, mut right: Plan, on: Vec<Expr>) -> Plan {
    let outer = free(&mut right);
    let made: Vec<ColId> = left.columns().iter().map(|c| c.id).collect();
    if made.iter().any(|id| outer.contains(id)) {
        return Plan::Apply { kind, left: Box::new(left), right: Box::new(right), on };
    }
    // One row without columns joined to anything is that thing.
    if kind == JoinKind::Inner && on.is_empty() && is_one_row(&left) {
        return right;
    }
    tree::join(kind, left, right, on)
}

fn is_one_row(plan: &Plan) -> bool {
    matches!(plan, Plan::Values { columns, rows } if columns.is_empty() && rows.len() == 1)
}
