//! What names mean: the relations and columns that an expression may read, level by level, and what its clause allows.

use std::sync::Arc;

use spg_expr::{ColId, Expr};
use spg_sql::{Span, ast, fold};
use spg_types::{Error, Result, SqlState, SqlType, TableRef};

use super::Binder;
use super::aggregate::GroupingCall;
use super::subquery::PendingApply;
use super::window::{PendingWindow, WindowDef};
use crate::{AggregateCall, OutCol};

/// A column as a query sees it.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    pub name: String,
    pub id: ColId,
    pub ty: SqlType,
    /// The table it comes from unchanged, and its position there.
    pub origin: Option<(TableRef, usize)>,
}

impl ScopeColumn {
    pub(super) fn expr(&self) -> Expr {
        Expr::Column { id: self.id, ty: self.ty }
    }
}

/// An entry of FROM.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    /// The name that qualifies its columns; empty for an unnamed join.
    pub name: String,
    /// Set when it is a base table without an alias.
    pub schema: Option<String>,
    /// The table's own name where an alias hides it, for a hint.
    pub hidden_name: Option<String>,
    pub columns: Vec<ScopeColumn>,
    /// Whether an outer join may have no row of it.
    pub nullable: bool,
}

/// The relations of a FROM clause and what `*` and bare names mean over them.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespace {
    pub relations: Vec<Arc<Relation>>,
    /// Columns in the order of `*`: those merged by USING stand once.
    pub columns: Vec<ScopeColumn>,
}

impl Namespace {
    pub(super) fn of(relation: Relation) -> Self {
        Self { columns: relation.columns.clone(), relations: vec![Arc::new(relation)] }
    }

    /// Both sides of a cross join.
    pub(super) fn join(mut self, other: Namespace) -> Self {
        self.relations.extend(other.relations);
        self.columns.extend(other.columns);
        self
    }

    /// The same, where an outer join may have no row of it.
    pub(super) fn nullable(mut self) -> Self {
        for relation in &mut self.relations {
            Arc::make_mut(relation).nullable = true;
        }
        self
    }

    pub(super) fn find(&self, id: ColId) -> Option<(&Relation, &ScopeColumn)> {
        self.relations.iter().find_map(|r| r.columns.iter().find(|c| c.id == id).map(|c| (&**r, c)))
    }

    pub(super) fn has(&self, id: ColId) -> bool {
        self.find(id).is_some() || self.columns.iter().any(|c| c.id == id)
    }
}

/// The clause whose expression is being bound: decides what may stand in it, and names it in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clause {
    From,
    On,
    Where,
    GroupBy,
    Having,
    Select,
    OrderBy,
    DistinctOn,
    Limit,
    Offset,
    Values,
    Returning,
    Set,
    Default,
    Check,
    Filter,
    Window,
    Frame,
    Execute,
}

impl Clause {
    /// As errors name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Clause::From => "functions in FROM",
            Clause::On => "JOIN conditions",
            Clause::Where => "WHERE",
            Clause::GroupBy => "GROUP BY",
            Clause::Having => "HAVING",
            Clause::Select => "SELECT",
            Clause::OrderBy => "ORDER BY",
            Clause::DistinctOn => "DISTINCT ON",
            Clause::Limit => "LIMIT",
            Clause::Offset => "OFFSET",
            Clause::Values => "VALUES",
            Clause::Returning => "RETURNING",
            Clause::Set => "UPDATE",
            Clause::Default => "DEFAULT expressions",
            Clause::Check => "check constraints",
            Clause::Filter => "FILTER",
            Clause::Window => "window definitions",
            Clause::Frame => "window ROWS",
            Clause::Execute => "EXECUTE parameters",
        }
    }

    pub(super) fn allows_aggregates(self) -> bool {
        matches!(
            self,
            Clause::Having | Clause::Select | Clause::OrderBy | Clause::DistinctOn | Clause::Window
        )
    }

    pub(super) fn allows_windows(self) -> bool {
        matches!(self, Clause::Select | Clause::OrderBy | Clause::DistinctOn)
    }
}

/// A set-returning function in a select list: its rows multiply the query's.
#[derive(Debug)]
pub(super) struct PendingSet {
    pub name: &'static str,
    pub args: Vec<Expr>,
    pub column: OutCol,
}

/// One query under way.
#[derive(Debug)]
pub(super) struct Level {
    pub namespace: Namespace,
    pub clause: Clause,
    /// Names of FROM entries met so far that may be out of reach, for hints.
    pub met: Vec<Arc<Relation>>,
    /// Subqueries of the expression being bound, to be put under its operator.
    pub applies: Vec<PendingApply>,
    /// Those inside aggregate arguments and grouping expressions: they go below the aggregation.
    pub input_applies: Vec<PendingApply>,
    /// Those inside window calls: they go below the windows.
    pub window_applies: Vec<PendingApply>,
    pub aggregates: Vec<AggregateCall>,
    pub groupings: Vec<GroupingCall>,
    pub windows: Vec<PendingWindow>,
    /// Set-returning functions in the select list.
    pub sets: Vec<PendingSet>,
    /// `WINDOW name AS (...)`.
    pub named_windows: Vec<(String, WindowDef)>,
    /// Whether an aggregate's or a window call's arguments are being bound.
    pub in_aggregate: bool,
    pub in_window: bool,
    /// Where columns were read outside aggregates, for errors.
    pub reads: Vec<(ColId, Span)>,
}

impl Level {
    pub(super) fn new(namespace: Namespace, clause: Clause) -> Self {
        Self {
            met: namespace.relations.clone(),
            namespace,
            clause,
            applies: vec![],
            input_applies: vec![],
            window_applies: vec![],
            aggregates: vec![],
            groupings: vec![],
            windows: vec![],
            sets: vec![],
            named_windows: vec![],
            in_aggregate: false,
            in_window: false,
            reads: vec![],
        }
    }
}

impl Binder<'_> {
    /// The level being bound.
    pub(super) fn level(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::new(Namespace::default(), Clause::Values));
        }
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    /// Binds with `f` as part of `clause`; also gives the subqueries met.
    pub(super) fn in_clause<T>(
        &mut self,
        clause: Clause,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Vec<PendingApply>)> {
        let level = self.level();
        let outer_clause = std::mem::replace(&mut level.clause, clause);
        let outer_applies = std::mem::take(&mut level.applies);
        let result = f(self);
        let level = self.level();
        level.clause = outer_clause;
        let applies = std::mem::replace(&mut level.applies, outer_applies);
        Ok((result?, applies))
    }

    /// Binds with `f` at a new level over `namespace`.
    pub(super) fn at_level<T>(
        &mut self,
        namespace: Namespace,
        clause: Clause,
        f: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Level)> {
        self.levels.push(Level::new(namespace, clause));
        let result = f(self);
        let level = self.levels.pop().ok_or_else(|| Error::internal("the binder lost a level"))?;
        Ok((result?, level))
    }

    /// The level, counted from the outermost, whose FROM has a column; `None` for computed columns.
    pub(super) fn level_of(&self, id: ColId) -> Option<usize> {
        self.levels.iter().rposition(|l| l.namespace.has(id))
    }

    /// A bare name. `None` when no column has it.
    pub(super) fn try_column(&mut self, ident: &ast::Ident) -> Result<Option<Expr>> {
        let name = fold(ident);
        for at in (0..self.levels.len()).rev() {
            let mut found = self.levels[at].namespace.columns.iter().filter(|c| c.name == name);
            let Some(column) = found.next().cloned() else { continue };
            if found.next().is_some() {
                let message = format!("column reference \"{name}\" is ambiguous");
                return Err(self.error_at(ident.span, SqlState::AMBIGUOUS_COLUMN, message));
            }
            return Ok(Some(self.read(at, &column, ident.span)));
        }
        Ok(None)
    }

    /// A bare name; 42703 or 42702.
    pub(super) fn column(&mut self, ident: &ast::Ident) -> Result<Expr> {
        match self.try_column(ident)? {
            Some(e) => Ok(e),
            None => Err(self.no_such_column(ident)),
        }
    }

    fn read(&mut self, at: usize, column: &ScopeColumn, span: Span) -> Expr {
        let level = &mut self.levels[at];
        if !level.in_aggregate {
            level.reads.push((column.id, span));
        }
        column.expr()
    }

    /// `relation.column` or `schema.relation.column`.
    pub(super) fn qualified_column(&mut self, parts: &[ast::Ident]) -> Result<Expr> {
        let (Some(column), qualifier) = (parts.last(), &parts[..parts.len() - 1]) else {
            return Err(Error::internal("an empty name"));
        };
        let names: Vec<String> = qualifier.iter().map(fold).collect();
        let span = parts[0].span;
        if parts.len() > 3 {
            let name = parts.iter().map(fold).collect::<Vec<_>>().join(".");
            let (state, message) = match parts.len() {
                4 => (SqlState::FEATURE_NOT_SUPPORTED, "cross-database references are not implemented"),
                _ => (SqlState::SYNTAX_ERROR, "improper qualified name (too many dotted names)"),
            };
            return Err(self.error_at(span, state, format!("{message}: {name}")));
        }
        let (at, relation) = self.relation(&names, span)?;
        let name = fold(column);
        let mut found = relation.columns.iter().filter(|c| c.name == name);
        match (found.next(), found.next()) {
            (Some(c), None) => Ok(self.read(at, c, span)),
            (Some(_), Some(_)) => {
                let message = format!("column reference \"{name}\" is ambiguous");
                Err(self.error_at(span, SqlState::AMBIGUOUS_COLUMN, message))
            }
            (None, _) => {
                let message = format!("column {}.{name} does not exist", relation.name);
                let error = self.error_at(span, SqlState::UNDEFINED_COLUMN, message);
                Err(match self.similar_column(&name, Some(&relation.name)) {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                })
            }
        }
    }

    /// The relation that a qualifier names, with its level.
    pub(super) fn relation(&self, names: &[String], span: Span) -> Result<(usize, Arc<Relation>)> {
        let matches = |r: &&Arc<Relation>| match names {
            [name] => r.name == *name,
            [schema, name] => r.name == *name && r.schema.as_ref() == Some(schema),
            _ => false,
        };
        for (at, level) in self.levels.iter().enumerate().rev() {
            let mut found = level.namespace.relations.iter().filter(matches);
            if let Some(relation) = found.next() {
                if found.next().is_some() {
                    let message = format!("table reference \"{}\" is ambiguous", names.join("."));
                    return Err(self.error_at(span, SqlState::DUPLICATE_ALIAS, message));
                }
                return Ok((at, relation.clone()));
            }
        }
        Err(self.no_such_relation(names, span))
    }

    fn no_such_relation(&self, names: &[String], span: Span) -> Error {
        let name = names.last().cloned().unwrap_or_default();
        let met = || self.levels.iter().flat_map(|l| &l.met);
        let invalid = |hint: String| {
            let message = format!("invalid reference to FROM-clause entry for table \"{name}\"");
            self.error_at(span, SqlState::UNDEFINED_TABLE, message).with_hint(hint)
        };
        if let Some(r) = met().find(|r| r.hidden_name.as_deref() == Some(&name)) {
            return invalid(format!("Perhaps you meant to reference the table alias \"{}\".", r.name));
        }
        if met().any(|r| r.name == name) {
            return invalid(format!(
                "There is an entry for table \"{name}\", but it cannot be referenced from this part of the query."
            ));
        }
        let message = format!("missing FROM-clause entry for table \"{name}\"");
        self.error_at(span, SqlState::UNDEFINED_TABLE, message)
    }

    fn no_such_column(&self, ident: &ast::Ident) -> Error {
        let name = fold(ident);
        let error = self.error_at(
            ident.span,
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" does not exist"),
        );
        let hidden =
            self.levels.iter().rev().flat_map(|l| &l.met).find(|r| r.columns.iter().any(|c| c.name == name));
        if let Some(relation) = hidden {
            return error.with_hint(format!(
                "There is a column named \"{name}\" in table \"{}\", but it cannot be referenced from this part of the query.",
                relation.name
            ));
        }
        match self.similar_column(&name, None) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// PostgreSQL's hint for a misspelt column: the nearest ones, when they are few and near.
    fn similar_column(&self, name: &str, relation: Option<&str>) -> Option<String> {
        const MAX_DISTANCE: usize = 3;
        let mut best = MAX_DISTANCE + 1;
        let mut found: Vec<(String, String)> = vec![];
        for level in self.levels.iter().rev() {
            for r in &level.namespace.relations {
                let base = match relation {
                    Some(written) if written != r.name => edit_distance(written, &r.name),
                    _ => 0,
                };
                for c in &r.columns {
                    let distance = edit_distance(name, &c.name);
                    if distance > name.chars().count() / 2 {
                        continue;
                    }
                    let distance = distance + base;
                    if distance < best {
                        best = distance;
                        found.clear();
                    }
                    if distance == best && best <= MAX_DISTANCE {
                        found.push((r.name.clone(), c.name.clone()));
                    }
                }
            }
        }
        match &found[..] {
            [(r, c)] => Some(format!("Perhaps you meant to reference the column \"{r}.{c}\".")),
            [(r1, c1), (r2, c2)] => Some(format!(
                "Perhaps you meant to reference the column \"{r1}.{c1}\" or the column \"{r2}.{c2}\"."
            )),
            _ => None,
        }
    }
}

/// Levenshtein distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
