//! Expressions over batches: which columns they read is known, so that only those are gathered.

use std::sync::Arc;

use arrow::array::{Array, BinaryViewBuilder};
use arrow::datatypes::DataType;
use spg_expr::{ColId, Column, Compiled, EvalContext, Expr, Volatility, infallible};
use spg_types::{Datum, Error, Numeric, Repr, Result, SqlType, def};

use crate::batch::Batch;

/// Where an operator's output columns stand in its batches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout(Vec<(ColId, SqlType)>);

impl Layout {
    /// These columns in this order.
    pub(crate) fn new(columns: Vec<(ColId, SqlType)>) -> Self {
        Self(columns)
    }

    /// The position of a column.
    pub(crate) fn find(&self, id: ColId) -> Option<usize> {
        self.0.iter().position(|(c, _)| *c == id)
    }

    /// The position of a column that must be there.
    pub(crate) fn position(&self, id: ColId) -> Result<usize> {
        self.find(id).ok_or_else(|| Error::internal(format!("column {} is not in the input", id.0)))
    }

    /// Columns in order.
    pub(crate) fn columns(&self) -> &[(ColId, SqlType)] {
        &self.0
    }

    /// The type of the column at a position.
    pub(crate) fn ty(&self, position: usize) -> SqlType {
        self.0[position].1
    }

    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a column at the end.
    pub(crate) fn push(&mut self, id: ColId, ty: SqlType) {
        self.0.push((id, ty));
    }
}

/// An expression over the columns of a batch.
pub(crate) struct Scalar {
    kind: Kind,
    ty: SqlType,
    infallible: bool,
    /// The value is made a number with its own scale at last.
    as_numeric: bool,
}

enum Kind {
    Column(usize),
    Computed { compiled: Compiled, inputs: Vec<usize> },
}

impl Scalar {
    /// Resolves and binds an expression over `layout`.
    pub(crate) fn new(expr: &Expr, layout: &Layout) -> Result<Self> {
        let kind = match expr {
            Expr::Column { id, .. } => Kind::Column(layout.position(*id)?),
            _ => {
                let ids: Vec<ColId> = expr.columns().into_iter().collect();
                let inputs = ids.iter().map(|id| layout.position(*id)).collect::<Result<Vec<_>>>()?;
                let compiled = Compiled::new(expr, &|id| ids.iter().position(|c| *c == id))?;
                Kind::Computed { compiled, inputs }
            }
        };
        Ok(Self { kind, ty: expr.ty(), infallible: infallible(expr), as_numeric: false })
    }

    /// An expression without columns.
    pub(crate) fn constant(expr: &Expr) -> Result<Self> {
        Self::new(expr, &Layout::default())
    }

    /// Its type.
    pub(crate) fn ty(&self) -> SqlType {
        self.ty
    }

    /// Whether it may be evaluated for rows that do not count: it fails for no row.
    pub(crate) fn infallible(&self) -> bool {
        self.infallible
    }

    /// Positions of the columns it reads.
    pub(crate) fn inputs(&self) -> &[usize] {
        match &self.kind {
            Kind::Column(i) => std::slice::from_ref(i),
            Kind::Computed { inputs, .. } => inputs,
        }
    }

    /// The position, when it is nothing but a column.
    pub(crate) fn as_column(&self) -> Option<usize> {
        match self.kind {
            Kind::Column(i) if !self.as_numeric => Some(i),
            _ => None,
        }
    }

    /// The same with its values, of type `numeric`, as numbers with their own scale: keys of different scales then
    /// compare.
    #[must_use]
    pub(crate) fn into_numeric(mut self) -> Self {
        self.as_numeric = self.ty.repr() != Repr::Numeric;
        self.ty = SqlType::new(&def::NUMERIC);
        self
    }

    /// Its values for every row of the batch.
    pub(crate) fn eval(&self, ctx: &EvalContext, batch: &mut Batch) -> Result<Column> {
        let column = match &self.kind {
            Kind::Column(i) => batch.column(*i)?,
            Kind::Computed { compiled, inputs } => {
                compiled.eval(ctx, &batch.columns(inputs)?, batch.rows())?
            }
        };
        if self.as_numeric { numeric(column) } else { Ok(column) }
    }

    /// Its values over other columns: one per entry of [`Scalar::inputs`].
    pub(crate) fn eval_over(&self, ctx: &EvalContext, columns: &[Column], rows: usize) -> Result<Column> {
        match &self.kind {
            Kind::Column(_) => columns.first().cloned().ok_or_else(|| Error::internal("a column is missing")),
            Kind::Computed { compiled, .. } => compiled.eval(ctx, columns, rows),
        }
    }

    /// Its value, when it reads no columns.
    pub(crate) fn value(&self, ctx: &EvalContext) -> Result<Datum> {
        match &self.kind {
            Kind::Column(_) => Err(Error::internal("an expression without columns reads one")),
            Kind::Computed { compiled, .. } => compiled.eval(ctx, &[], 1)?.datum(0, self.ty),
        }
    }
}

/// Decimals as numbers with their own scale.
fn numeric(column: Column) -> Result<Column> {
    let array = column.inner();
    let mut out = BinaryViewBuilder::with_capacity(array.len());
    for row in 0..array.len() {
        match (Datum::from_array(array, row)?, array.data_type()) {
            (Datum::Decimal(v), DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale)) => {
                out.append_value(Numeric::from_i128(v, *scale as u32).encode());
            }
            _ => out.append_null(),
        }
    }
    let array = Arc::new(out.finish());
    Ok(match column {
        Column::Array(_) => Column::Array(array),
        Column::Const(_) => Column::Const(array),
    })
}

/// Several expressions over one layout.
pub(crate) fn scalars<'a>(exprs: impl IntoIterator<Item = &'a Expr>, layout: &Layout) -> Result<Vec<Scalar>> {
    exprs.into_iter().map(|e| Scalar::new(e, layout)).collect()
}

/// Whether an expression gives the same value each time in a statement.
pub(crate) fn is_stable(expr: &Expr) -> bool {
    let mut stable = true;
    expr.visit(&mut |e| {
        if let Expr::Call { function, .. } = e {
            stable &= function.volatility != Volatility::Volatile;
        }
    });
    stable
}
