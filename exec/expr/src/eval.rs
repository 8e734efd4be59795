//! The evaluator: an expression bound to column positions and kernels once, then computed batch by batch.
//!
//! What must hold:
//! - A branch (of CASE, COALESCE, AND, OR) is computed only for rows that reach it, unless it cannot fail; so an error
//!   in a row that SQL does not evaluate never surfaces.
//! - Constants stay constants, and a strict immutable call over one dictionary-encoded column is computed on the
//!   dictionary's values.

mod branch;
mod compile;
mod dictionary;
mod filter;
mod in_list;

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use spg_types::{Datum, Error, Result, SqlType, def};

use crate::{ColId, Column, Comparison, EvalContext, Expr, Kernel, compare};

pub use compile::infallible;
use in_list::InSet;

/// An expression ready to run. Shared by workers.
pub struct Compiled {
    root: Node,
    ty: SqlType,
    infallible: bool,
}

/// An expression with columns resolved and kernels bound.
struct Node {
    kind: Kind,
    ty: SqlType,
    /// Whether it can be computed for rows that SQL does not evaluate.
    infallible: bool,
}

enum Kind {
    Column(usize),
    Const(Column),
    Param(usize),
    Call { kernel: Arc<dyn Kernel>, args: Vec<Node>, by_dictionary: bool },
    Compare { comparison: Comparison, args: Box<[Node; 2]> },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull(Box<Node>),
    Case { branches: Vec<(Node, Node)>, otherwise: Option<Box<Node>> },
    Coalesce(Vec<Node>),
    InSet { input: Box<Node>, set: InSet, negated: bool },
}

/// The rows an expression is computed for.
struct Input<'a> {
    ctx: &'a EvalContext,
    columns: &'a [Column],
    rows: usize,
    /// Positions in `columns`, for fewer than all rows.
    selection: Option<UInt32Array>,
    /// Columns at those positions, gathered on first use.
    gathered: RefCell<Vec<Option<Column>>>,
}

impl<'a> Input<'a> {
    fn new(ctx: &'a EvalContext, columns: &'a [Column], rows: usize, selection: Option<UInt32Array>) -> Self {
        let gathered = RefCell::new(if selection.is_some() { vec![None; columns.len()] } else { vec![] });
        let rows = selection.as_ref().map_or(rows, |s| s.len());
        Self { ctx, columns, rows, selection, gathered }
    }

    /// Some of these rows, by their positions here.
    fn narrowed(&self, rows: &[u32]) -> Input<'a> {
        let selection = match &self.selection {
            Some(s) => UInt32Array::from(spg_simd::gather(s.values(), rows)),
            None => UInt32Array::from(rows.to_vec()),
        };
        Input::new(self.ctx, self.columns, rows.len(), Some(selection))
    }

    fn column(&self, position: usize) -> Result<Column> {
        let column = self.columns.get(position).ok_or_else(|| Error::internal("a column is missing"))?;
        let Some(selection) = &self.selection else { return Ok(column.clone()) };
        if let Some(Some(done)) = self.gathered.borrow().get(position) {
            return Ok(done.clone());
        }
        let done = column.gather(selection)?;
        if let Some(slot) = self.gathered.borrow_mut().get_mut(position) {
            *slot = Some(done.clone());
        }
        Ok(done)
    }
}

impl Compiled {
    /// Binds an expression; `columns` tells where the input has each column. XX000 when it has not.
    pub fn new(expr: &Expr, columns: &dyn Fn(ColId) -> Option<usize>) -> Result<Compiled> {
        let root = compile::node(expr, columns)?;
        Ok(Compiled { ty: root.ty, infallible: root.infallible, root })
    }

    /// The expression's type.
    pub fn ty(&self) -> SqlType {
        self.ty
    }

    /// Whether it never fails, so that it may be computed for rows that a filter drops.
    pub fn infallible(&self) -> bool {
        self.infallible
    }

    /// The value for each of `rows` rows.
    pub fn eval(&self, ctx: &EvalContext, columns: &[Column], rows: usize) -> Result<Column> {
        self.root.eval(&Input::new(ctx, columns, rows, None))
    }

    /// The value for each row of `selection` (positions in `columns`).
    pub fn eval_selected(
        &self,
        ctx: &EvalContext,
        columns: &[Column],
        selection: &UInt32Array,
    ) -> Result<Column> {
        self.root.eval(&Input::new(ctx, columns, selection.len(), Some(selection.clone())))
    }

    /// The rows of `selection` (all `rows` rows without one) for which a condition is true, in order; `None` when that
    /// is all of them.
    pub fn filter(
        &self,
        ctx: &EvalContext,
        columns: &[Column],
        rows: usize,
        selection: Option<&[u32]>,
    ) -> Result<Option<Vec<u32>>> {
        self.root.select(ctx, columns, rows, selection)
    }
}

impl Node {
    fn eval(&self, input: &Input<'_>) -> Result<Column> {
        match &self.kind {
            Kind::Column(position) => input.column(*position),
            Kind::Const(c) => Ok(c.clone()),
            Kind::Param(index) => param(input.ctx, *index, self.ty),
            Kind::Call { kernel, args, by_dictionary } => {
                let args: Vec<Column> = args.iter().map(|a| a.eval(input)).collect::<Result<_>>()?;
                if *by_dictionary
                    && let Some(done) = dictionary::call(input.ctx, kernel.as_ref(), &args, input.rows)?
                {
                    return Ok(done);
                }
                kernel.eval(input.ctx, &args, input.rows)
            }
            Kind::Compare { comparison, args } => {
                let (l, r) = (args[0].eval(input)?, args[1].eval(input)?);
                let (lt, rt) = (args[0].ty, args[1].ty);
                let distinct =
                    matches!(comparison, Comparison::IsDistinctFrom | Comparison::IsNotDistinctFrom);
                if !distinct {
                    let kernel = |ctx: &EvalContext, args: &[Column], rows: usize| {
                        compare(ctx, *comparison, (&args[0], lt), (&args[1], rt), rows)
                    };
                    if let Some(done) =
                        dictionary::call(input.ctx, &kernel, &[l.clone(), r.clone()], input.rows)?
                    {
                        return Ok(done);
                    }
                }
                compare(input.ctx, *comparison, (&l, lt), (&r, rt), input.rows)
            }
            Kind::And(parts) => branch::connect(parts, false, input),
            Kind::Or(parts) => branch::connect(parts, true, input),
            Kind::Not(of) => not(&of.eval(input)?),
            Kind::IsNull(of) => Ok(is_null(&of.eval(input)?, input.rows)),
            Kind::Case { branches, otherwise } => {
                branch::case(branches, otherwise.as_deref(), self.ty, input)
            }
            Kind::Coalesce(args) => branch::coalesce(args, self.ty, input),
            Kind::InSet { input: of, set, negated } => {
                let column = of.eval(input)?;
                let kernel = |_: &EvalContext, args: &[Column], _: usize| set.eval(&args[0], *negated);
                match dictionary::call(input.ctx, &kernel, std::slice::from_ref(&column), input.rows)? {
                    Some(done) => Ok(done),
                    None => set.eval(&column, *negated),
                }
            }
        }
    }
}

fn param(ctx: &EvalContext, index: usize, ty: SqlType) -> Result<Column> {
    let value = ctx
        .params
        .get(index)
        .ok_or_else(|| Error::internal(format!("parameter ${} has no value", index + 1)))?;
    Column::constant(value, ty)
}

fn booleans(column: &Column) -> Result<&BooleanArray> {
    column.inner().as_boolean_opt().ok_or_else(|| Error::internal("a condition is not boolean"))
}

/// The rows for which a boolean array is true.
fn truth(array: &BooleanArray) -> BooleanBuffer {
    match array.nulls() {
        Some(n) if n.null_count() > 0 => array.values() & n.inner(),
        _ => array.values().clone(),
    }
}

fn wrap(like: &Column, array: ArrayRef) -> Column {
    match like {
        Column::Const(_) => Column::Const(array),
        Column::Array(_) => Column::Array(array),
    }
}

fn not(column: &Column) -> Result<Column> {
    let a = booleans(column)?;
    Ok(wrap(column, Arc::new(BooleanArray::new(!a.values(), a.nulls().cloned()))))
}

fn is_null(column: &Column, rows: usize) -> Column {
    let array = column.inner();
    // Dictionaries may hold NULL among their values.
    let bits = match array.logical_nulls() {
        Some(n) => !n.inner(),
        None => return bool_constant(false),
    };
    debug_assert!(matches!(column, Column::Const(_)) || bits.len() == rows);
    wrap(column, Arc::new(BooleanArray::new(bits, None)))
}

fn bool_constant(value: bool) -> Column {
    Column::Const(Arc::new(BooleanArray::from(vec![value])))
}

fn bool_null() -> Result<Column> {
    Column::constant(&Datum::Null, SqlType::new(&def::BOOL))
}
