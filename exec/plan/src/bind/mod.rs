//! The binder: syntax tree to plan. Names are resolved, types known, overloads chosen, by PostgreSQL's rules.
//!
//! One [`Binder`] binds one statement. Queries nest as [`scope::Level`]s; an expression is bound against the innermost level
//! and may read columns of those around it, which makes it correlated. A subquery inside an expression becomes a pending
//! apply of its level, put under the operator that evaluates the expression; nothing here looks for a better plan.

mod aggregate;
mod bound;
mod call;
mod coerce;
mod columns;
mod copy;
mod data_type;
mod ddl;
mod dml;
mod expr;
mod from;
mod literal;
mod name;
mod query;
mod scope;
mod select;
mod set_op;
mod subquery;
mod syntax;
mod utility;
mod values;
mod window;
mod with;

use spg_expr::{ColId, Registry};
use spg_sql::{Statement, Tree, ast};
use spg_types::{Error, FormatSettings, Result, SqlState, SqlType, def};

pub use bound::{
    AlterTable, AlterTableAction, Bound, BoundKind, Comment, Copy, CopyDirection, CopyFormat, CopyOptions,
    CopySource, CreateIndex, CreateTable, CreateTableAs, CursorFetch, DropIndex, DropTable, Execute, Explain,
    ExplainFormat, ExplainOptions, IsolationLevel, Prepare, Query, QueryTag, ResultColumn, RoleOptions,
    SetScope, SetValue, TransactionModes, Truncate, Utility,
};
use scope::Level;
use with::CteEntry;

use crate::{CatalogView, CteId};

/// What binding a statement depends on.
pub struct BindInput<'a> {
    /// Definitions of tables.
    pub catalog: &'a dyn CatalogView,
    /// Functions, operators, casts.
    pub registry: &'static Registry,
    /// How literals are read.
    pub format: &'a FormatSettings,
    /// Types that the client gave `$1`, `$2`, ...; `None` and missing ones are inferred.
    pub param_types: &'a [Option<SqlType>],
    /// Whether the statement may have parameters at all: those of the simple protocol may not.
    pub params: bool,
}

/// Binds a statement.
///
/// Errors carry PostgreSQL's SQLSTATE and message, and the position in the statement's source where the tree tells it.
pub fn bind(statement: &Statement, input: &BindInput<'_>) -> Result<Bound> {
    let mut binder = Binder::new(input, Some(statement));
    let kind = match &statement.tree {
        Tree::Sql(tree) => binder.statement(tree)?,
        Tree::Own(own) => binder.own(own)?,
    };
    Ok(Bound { kind, params: binder.param_types()? })
}

/// An argument of EXECUTE as a value of its parameter's type, by assignment; 42804.
pub fn assign_parameter(
    arg: spg_expr::Expr,
    ty: SqlType,
    registry: &'static Registry,
    format: &FormatSettings,
) -> Result<spg_expr::Expr> {
    let input = BindInput { catalog: &NoTables, registry, format, param_types: &[], params: false };
    let mut binder = Binder::new(&input, None);
    let from = arg.ty();
    match binder.coerce(arg, ty, spg_expr::CastContext::Assignment)? {
        Some(value) => Ok(value),
        None => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "parameter of type {} cannot be coerced to the expected type {}",
                from.def.sql_name, ty.def.sql_name
            ),
        )
        .with_hint("You will need to rewrite or cast the expression.")),
    }
}

/// A catalog without tables.
struct NoTables;

impl CatalogView for NoTables {
    fn table(&self, _: Option<&str>, _: &str) -> Option<spg_types::TableRef> {
        None
    }

    fn stats(&self, _: spg_types::TableId) -> std::sync::Arc<spg_types::TableStats> {
        std::sync::Arc::default()
    }

    fn has_schema(&self, _: &str) -> bool {
        false
    }
}

/// Binds a statement's parts; holds what is known so far.
pub(crate) struct Binder<'a> {
    input: &'a BindInput<'a>,
    /// For positions; none while binding an expression from the catalog.
    statement: Option<&'a Statement>,
    levels: Vec<Level>,
    ctes: Vec<CteEntry>,
    params: Vec<Option<SqlType>>,
    next_col: u32,
    next_cte: u32,
    depth: usize,
    /// Some query has FOR UPDATE or FOR SHARE.
    row_locks: bool,
    /// Where the literals stand whose type is still open, by the address of their text.
    literals: ahash::AHashMap<*const u8, spg_sql::Span>,
}

impl<'a> Binder<'a> {
    fn new(input: &'a BindInput<'a>, statement: Option<&'a Statement>) -> Self {
        Self {
            input,
            statement,
            levels: vec![],
            ctes: vec![],
            params: input.param_types.to_vec(),
            next_col: 0,
            next_cte: 0,
            depth: 0,
            row_locks: false,
            literals: ahash::AHashMap::new(),
        }
    }

    /// A column id that nothing else in the statement has.
    fn col(&mut self) -> ColId {
        self.next_col += 1;
        ColId(self.next_col)
    }

    fn cte(&mut self) -> CteId {
        self.next_cte += 1;
        CteId(self.next_cte)
    }

    /// Types of all parameters; 42P18 for one whose type nothing tells.
    fn param_types(&self) -> Result<Vec<SqlType>> {
        let typed = |(i, ty): (usize, &Option<SqlType>)| match ty {
            Some(ty) if !ty.is(&def::UNKNOWN) => Ok(*ty),
            _ => Err(Error::new(
                SqlState::INDETERMINATE_DATATYPE,
                format!("could not determine data type of parameter ${}", i + 1),
            )),
        };
        self.params.iter().enumerate().map(typed).collect()
    }

    /// The 1-based character position of a part of the tree.
    fn position(&self, span: spg_sql::Span) -> Option<usize> {
        self.statement?.position(span)
    }

    /// An error at a part of the tree.
    fn error_at(&self, span: spg_sql::Span, state: SqlState, message: impl Into<String>) -> Error {
        let error = Error::new(state, message);
        match self.position(span) {
            Some(p) => error.at(p),
            None => error,
        }
    }

    /// `error` with the position of a part of the tree, unless it has one.
    fn locate(&self, error: Error, span: spg_sql::Span) -> Error {
        match self.position(span) {
            Some(p) => error.at(p),
            None => error,
        }
    }

    /// Runs `f` one level deeper; 54001 past the limit. The stack grows as needed.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        const RED_ZONE_BYTES: usize = 256 * 1024;
        const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
        if self.depth >= spg_sql::MAX_DEPTH {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .with_hint("Simplify the statement: its expressions or subqueries are nested too deeply."));
        }
        self.depth += 1;
        let result = stacker::maybe_grow(RED_ZONE_BYTES, SEGMENT_BYTES, || f(self));
        self.depth -= 1;
        result
    }

    fn statement(&mut self, statement: &ast::Statement) -> Result<BoundKind> {
        use ast::Statement as S;
        match statement {
            S::Query(query) => self.top_query(query),
            S::Insert(insert) => self.top_insert(insert),
            S::Update(update) => self.top_update(update),
            S::Delete(delete) => self.top_delete(delete),
            S::CreateTable(_) | S::CreateIndex(_) | S::Drop { .. } | S::Truncate(_) | S::AlterTable(_) => {
                self.ddl(statement)
            }
            _ => self.utility(statement),
        }
    }
}
