//! Comparison of two columns, to booleans and straight to selections.
//!
//! Both sides are brought to one kind of lane first (integers of one width, decimals of one scale, ...); what has no
//! lanes (text, variable numerics) compares value by value.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, IntervalMonthDayNano};
use spg_simd::{Cmp, append_indices, narrow, pack};
use spg_types::datetime::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, US_PER_DAY, interval_span,
    local_to_utc,
};
use spg_types::number::POW10;
use spg_types::{Datum, Error, Numeric, Repr, Result, SqlType, def};

use crate::arity::{Arg, NumericReader, lane_array, lanes};
use crate::{BindArgs, Column, Comparison, EvalContext, Kernel, flatten};

/// Two columns as lanes of one kind; a side that is constant has one lane.
enum Pair {
    I16(ScalarBuffer<i16>, ScalarBuffer<i16>),
    I32(ScalarBuffer<i32>, ScalarBuffer<i32>),
    I64(ScalarBuffer<i64>, ScalarBuffer<i64>),
    I128(ScalarBuffer<i128>, ScalarBuffer<i128>),
    U128(ScalarBuffer<u128>, ScalarBuffer<u128>),
    F32(ScalarBuffer<f32>, ScalarBuffer<f32>),
    F64(ScalarBuffer<f64>, ScalarBuffer<f64>),
    Text(StringViewArray, StringViewArray),
    Bytes(BinaryViewArray, BinaryViewArray),
    Numeric(NumericReader, NumericReader),
}

/// The comparison kernel of a call.
pub fn comparison_kernel(bind: &BindArgs<'_>, comparison: Comparison) -> Result<Arc<dyn Kernel>> {
    let [left, right] = bind.arg_types else {
        return Err(Error::internal("a comparison takes two arguments"));
    };
    let (left, right) = (*left, *right);
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        compare(ctx, comparison, (&args[0], left), (&args[1], right), rows)
    }))
}

fn cmp_of(comparison: Comparison) -> Cmp {
    match comparison {
        Comparison::Eq | Comparison::IsNotDistinctFrom => Cmp::Eq,
        Comparison::NotEq | Comparison::IsDistinctFrom => Cmp::NotEq,
        Comparison::Lt => Cmp::Lt,
        Comparison::LtEq => Cmp::LtEq,
        Comparison::Gt => Cmp::Gt,
        Comparison::GtEq => Cmp::GtEq,
    }
}

fn swapped(cmp: Cmp) -> Cmp {
    match cmp {
        Cmp::Lt => Cmp::Gt,
        Cmp::LtEq => Cmp::GtEq,
        Cmp::Gt => Cmp::Lt,
        Cmp::GtEq => Cmp::LtEq,
        other => other,
    }
}

fn holds(cmp: Cmp, order: Ordering) -> bool {
    match cmp {
        Cmp::Eq => order.is_eq(),
        Cmp::NotEq => order.is_ne(),
        Cmp::Lt => order.is_lt(),
        Cmp::LtEq => order.is_le(),
        Cmp::Gt => order.is_gt(),
        Cmp::GtEq => order.is_ge(),
    }
}

/// `left comparison right` for every row, as a boolean column.
pub fn compare(
    ctx: &EvalContext,
    comparison: Comparison,
    left: (&Column, SqlType),
    right: (&Column, SqlType),
    rows: usize,
) -> Result<Column> {
    let constant = matches!((left.0, right.0), (Column::Const(_), Column::Const(_)));
    let rows = if constant { 1 } else { rows };
    let (l, r) = (flatten(left.0.inner())?, flatten(right.0.inner())?);
    let shape = Shape::new(left.0, right.0);
    let distinct = matches!(comparison, Comparison::IsDistinctFrom | Comparison::IsNotDistinctFrom);
    if !distinct && (shape.left_constant && l.is_null(0) || shape.right_constant && r.is_null(0)) {
        return Column::constant(&Datum::Null, SqlType::new(&def::BOOL));
    }
    let pair = align(ctx, (&l, left.1), (&r, right.1), shape)?;
    let words = pair.words(cmp_of(comparison), shape, rows);
    let bits = BooleanBuffer::new(Buffer::from_vec(words), 0, rows);
    let array = if distinct {
        BooleanArray::new(distinct_bits(comparison, bits, (left.0, &l), (right.0, &r), rows), None)
    } else {
        BooleanArray::new(bits, joint_nulls(&l, &r, shape))
    };
    let array: ArrayRef = Arc::new(array);
    Ok(if constant { Column::Const(array) } else { Column::Array(array) })
}

/// The rows of `selection` (all rows without one) for which the comparison is true, in order. Both columns have the rows
/// that the selection counts in.
pub fn compare_select(
    ctx: &EvalContext,
    comparison: Comparison,
    left: (&Column, SqlType),
    right: (&Column, SqlType),
    rows: usize,
    selection: Option<&[u32]>,
) -> Result<Vec<u32>> {
    let all = || selection.map_or_else(|| (0..rows as u32).collect(), <[u32]>::to_vec);
    let distinct = matches!(comparison, Comparison::IsDistinctFrom | Comparison::IsNotDistinctFrom);
    let constant = matches!((left.0, right.0), (Column::Const(_), Column::Const(_)));
    if distinct || constant {
        let (Column::Array(a) | Column::Const(a)) = compare(ctx, comparison, left, right, rows)?;
        let a = a.as_boolean();
        if constant {
            return Ok(if a.is_valid(0) && a.value(0) { all() } else { vec![] });
        }
        return Ok(all().into_iter().filter(|row| a.value(*row as usize)).collect());
    }
    let (l, r) = (flatten(left.0.inner())?, flatten(right.0.inner())?);
    let shape = Shape::new(left.0, right.0);
    if shape.left_constant && l.is_null(0) || shape.right_constant && r.is_null(0) {
        return Ok(vec![]);
    }
    let pair = align(ctx, (&l, left.1), (&r, right.1), shape)?;
    let nulls = joint_nulls(&l, &r, shape);
    let cmp = cmp_of(comparison);
    let mut out = vec![];
    match selection {
        None => {
            let mut words = pair.words(cmp, shape, rows);
            if let Some(n) = &nulls {
                for (w, v) in words.iter_mut().zip(n.inner().bit_chunks().iter_padded()) {
                    *w &= v;
                }
            }
            append_indices(&words, &mut out);
        }
        Some(selection) => {
            pair.select(cmp, shape, selection, &mut out);
            if let Some(n) = &nulls {
                out.retain(|row| n.is_valid(*row as usize));
            }
        }
    }
    Ok(out)
}

#[derive(Clone, Copy)]
struct Shape {
    left_constant: bool,
    right_constant: bool,
}

impl Shape {
    fn new(left: &Column, right: &Column) -> Self {
        Self {
            left_constant: matches!(left, Column::Const(_)),
            right_constant: matches!(right, Column::Const(_)),
        }
    }
}

/// Where both are valid. Constants are valid here.
fn joint_nulls(l: &ArrayRef, r: &ArrayRef, shape: Shape) -> Option<NullBuffer> {
    let l = if shape.left_constant { None } else { l.nulls() };
    let r = if shape.right_constant { None } else { r.nulls() };
    NullBuffer::union(l, r).filter(|n| n.null_count() > 0)
}

/// `bits` (whether the values are equal, or differ) made aware of NULL: NULLs are equal to each other and to nothing else.
fn distinct_bits(
    comparison: Comparison,
    bits: BooleanBuffer,
    left: (&Column, &ArrayRef),
    right: (&Column, &ArrayRef),
    rows: usize,
) -> BooleanBuffer {
    let null = |side: (&Column, &ArrayRef), row: usize| match side.0 {
        Column::Const(_) => side.1.is_null(0),
        Column::Array(_) => side.1.is_null(row),
    };
    if left.1.null_count() == 0 && right.1.null_count() == 0 {
        return bits;
    }
    let differ = comparison == Comparison::IsDistinctFrom;
    BooleanBuffer::collect_bool(rows, |row| match (null(left, row), null(right, row)) {
        (false, false) => bits.value(row),
        (l, r) => (l != r) == differ,
    })
}

macro_rules! lanes_or {
    ($pair:expr, ($a:ident, $b:ident) => $lanes:expr, $(($p:pat) => $other:expr),+) => {
        match $pair {
            Pair::I16($a, $b) => $lanes,
            Pair::I32($a, $b) => $lanes,
            Pair::I64($a, $b) => $lanes,
            Pair::I128($a, $b) => $lanes,
            Pair::U128($a, $b) => $lanes,
            Pair::F32($a, $b) => $lanes,
            Pair::F64($a, $b) => $lanes,
            $($p => $other),+
        }
    };
}

/// Calls a loop with the test of texts or bytes by their views: length and first bytes mostly decide.
macro_rules! with_view_test {
    ($cmp:expr, $left:ident, $right:ident, $shape:expr, $f:ident => $body:expr) => {{
        let (l, r) = $shape.masks();
        let (a, b) = ($left.views(), $right.views());
        let equal = |row: usize| {
            let (x, y) = (a[row & l], b[row & r]);
            // The low half is length and first bytes; up to 12 bytes lie in the view, longer texts in buffers of the two.
            (x == y && x as u32 <= 12) || (x as u64 == y as u64 && x as u32 > 12 && $left.value(row & l) == $right.value(row & r))
        };
        let order = |row: usize| {
            let prefix = |v: u128| ((v >> 32) as u32).swap_bytes();
            let (x, y) = (prefix(a[row & l]), prefix(b[row & r]));
            x.cmp(&y).then_with(|| $left.value(row & l).cmp($right.value(row & r)))
        };
        match $cmp {
            Cmp::Eq => {
                let $f = equal;
                $body
            }
            Cmp::NotEq => {
                let $f = |row: usize| !equal(row);
                $body
            }
            cmp => {
                let $f = |row: usize| holds(cmp, order(row));
                $body
            }
        }
    }};
}

impl Pair {
    fn words(&self, cmp: Cmp, shape: Shape, rows: usize) -> Vec<u64> {
        lanes_or!(self,
            (a, b) => match (shape.left_constant, shape.right_constant) {
                (_, true) => spg_simd::compare_const(cmp, &a[..rows], b[0]),
                (true, _) => spg_simd::compare_const(swapped(cmp), &b[..rows], a[0]),
                _ => spg_simd::compare(cmp, &a[..rows], &b[..rows]),
            },
            (Pair::Text(a, b)) => with_view_test!(cmp, a, b, shape, f => pack(rows, f)),
            (Pair::Bytes(a, b)) => with_view_test!(cmp, a, b, shape, f => pack(rows, f)),
            (Pair::Numeric(a, b)) => {
                let (l, r) = shape.masks();
                pack(rows, |row| holds(cmp, Numeric::get(a, row & l).cmp(&Numeric::get(b, row & r))))
            }
        )
    }

    fn select(&self, cmp: Cmp, shape: Shape, selection: &[u32], out: &mut Vec<u32>) {
        let selected = Some(selection);
        lanes_or!(self,
            (a, b) => match (shape.left_constant, shape.right_constant) {
                (_, true) => spg_simd::select_const(cmp, a, b[0], selected, out),
                (true, _) => spg_simd::select_const(swapped(cmp), b, a[0], selected, out),
                _ => spg_simd::select(cmp, a, b, selected, out),
            },
            (Pair::Text(a, b)) => with_view_test!(cmp, a, b, shape, f => narrow(selection, out, f)),
            (Pair::Bytes(a, b)) => with_view_test!(cmp, a, b, shape, f => narrow(selection, out, f)),
            (Pair::Numeric(a, b)) => {
                let (l, r) = shape.masks();
                narrow(selection, out, |row| holds(cmp, Numeric::get(a, row & l).cmp(&Numeric::get(b, row & r))));
            }
        );
    }
}

impl Shape {
    fn masks(self) -> (usize, usize) {
        (if self.left_constant { 0 } else { usize::MAX }, if self.right_constant { 0 } else { usize::MAX })
    }
}

fn widen<A, B>(values: &ScalarBuffer<A>, f: impl Fn(A) -> B) -> ScalarBuffer<B>
where
    A: Copy + arrow::datatypes::ArrowNativeType,
    B: arrow::datatypes::ArrowNativeType,
{
    ScalarBuffer::from(spg_simd::map(values, f))
}

fn uuids(array: &ArrayRef) -> ScalarBuffer<u128> {
    let a = array.as_fixed_size_binary();
    let number = |row| u128::from_be_bytes(a.value(row).try_into().unwrap_or_default());
    (0..a.len()).map(number).collect::<Vec<u128>>().into()
}

/// Midnight at the start of a date, without a time zone.
pub fn date_to_timestamp(days: i32) -> i64 {
    match days {
        DATE_INFINITY => TIMESTAMP_INFINITY,
        DATE_NEG_INFINITY => TIMESTAMP_NEG_INFINITY,
        // Dates past the end of timestamps stay in order with those before it.
        days => i64::from(days)
            .saturating_mul(US_PER_DAY)
            .clamp(TIMESTAMP_NEG_INFINITY + 1, TIMESTAMP_INFINITY - 1),
    }
}

fn align(
    ctx: &EvalContext,
    left: (&ArrayRef, SqlType),
    right: (&ArrayRef, SqlType),
    shape: Shape,
) -> Result<Pair> {
    let ((l, lt), (r, rt)) = (left, right);
    let zone = &ctx.format.time_zone;
    Ok(match (lt.repr(), rt.repr()) {
        (Repr::Bool, Repr::Bool) => {
            let bytes = |a: &ArrayRef| {
                let a = a.as_boolean();
                (0..a.len()).map(|row| i16::from(a.value(row))).collect::<Vec<_>>().into()
            };
            Pair::I16(bytes(l), bytes(r))
        }
        (Repr::Int16, Repr::Int16) => Pair::I16(lanes(l)?, lanes(r)?),
        (Repr::Int32 | Repr::Date, Repr::Int32 | Repr::Date) => Pair::I32(lanes(l)?, lanes(r)?),
        (Repr::Int16, Repr::Int32) => Pair::I32(widen(&lanes(l)?, |v: i16| v.into()), lanes(r)?),
        (Repr::Int32, Repr::Int16) => Pair::I32(lanes(l)?, widen(&lanes(r)?, |v: i16| v.into())),
        (Repr::Int16, Repr::Int64) => Pair::I64(widen(&lanes(l)?, |v: i16| v.into()), lanes(r)?),
        (Repr::Int64, Repr::Int16) => Pair::I64(lanes(l)?, widen(&lanes(r)?, |v: i16| v.into())),
        (Repr::Int32, Repr::Int64) => Pair::I64(widen(&lanes(l)?, |v: i32| v.into()), lanes(r)?),
        (Repr::Int64, Repr::Int32) => Pair::I64(lanes(l)?, widen(&lanes(r)?, |v: i32| v.into())),
        (Repr::Int64 | Repr::Time, Repr::Int64 | Repr::Time)
        | (Repr::Timestamp, Repr::Timestamp)
        | (Repr::TimestampTz, Repr::TimestampTz) => Pair::I64(lanes(l)?, lanes(r)?),
        (Repr::Float32, Repr::Float32) => Pair::F32(lanes(l)?, lanes(r)?),
        (Repr::Float64, Repr::Float64) => Pair::F64(lanes(l)?, lanes(r)?),
        (Repr::Float32, Repr::Float64) => Pair::F64(widen(&lanes(l)?, |v: f32| v.into()), lanes(r)?),
        (Repr::Float64, Repr::Float32) => Pair::F64(lanes(l)?, widen(&lanes(r)?, |v: f32| v.into())),
        (Repr::Date, Repr::Timestamp) => Pair::I64(widen(&lanes(l)?, date_to_timestamp), lanes(r)?),
        (Repr::Timestamp, Repr::Date) => Pair::I64(lanes(l)?, widen(&lanes(r)?, date_to_timestamp)),
        (Repr::Date, Repr::TimestampTz) => {
            Pair::I64(widen(&lanes(l)?, |d| local_to_utc(zone, date_to_timestamp(d))), lanes(r)?)
        }
        (Repr::TimestampTz, Repr::Date) => {
            Pair::I64(lanes(l)?, widen(&lanes(r)?, |d| local_to_utc(zone, date_to_timestamp(d))))
        }
        (Repr::Timestamp, Repr::TimestampTz) => {
            Pair::I64(widen(&lanes(l)?, |t| local_to_utc(zone, t)), lanes(r)?)
        }
        (Repr::TimestampTz, Repr::Timestamp) => {
            Pair::I64(lanes(l)?, widen(&lanes(r)?, |t| local_to_utc(zone, t)))
        }
        (Repr::Interval, Repr::Interval) => {
            let spans = |a: &ArrayRef| lanes::<IntervalMonthDayNano>(a).map(|v| widen(&v, interval_span));
            Pair::I128(spans(l)?, spans(r)?)
        }
        (Repr::Uuid, Repr::Uuid) => Pair::U128(uuids(l), uuids(r)),
        (Repr::Text, Repr::Text) => Pair::Text(l.as_string_view().clone(), r.as_string_view().clone()),
        (Repr::Binary, Repr::Binary) => Pair::Bytes(l.as_binary_view().clone(), r.as_binary_view().clone()),
        (
            Repr::Decimal64 { .. } | Repr::Decimal128 { .. } | Repr::Numeric,
            Repr::Decimal64 { .. } | Repr::Decimal128 { .. } | Repr::Numeric,
        ) => align_numeric(l, r, shape)?,
        _ => return Err(Error::internal(format!("no comparison of {lt} with {rt}"))),
    })
}

/// Decimals of one scale as integers; otherwise number by number.
fn align_numeric(l: &ArrayRef, r: &ArrayRef, shape: Shape) -> Result<Pair> {
    if shape.right_constant
        && !shape.left_constant
        && let Some(constant) = at_scale_of(r, l)
    {
        return fixed_pair(l, &constant);
    }
    if shape.left_constant
        && !shape.right_constant
        && let Some(constant) = at_scale_of(l, r)
    {
        return fixed_pair(&constant, r);
    }
    match (l.data_type(), r.data_type()) {
        (
            DataType::Decimal64(_, s) | DataType::Decimal128(_, s),
            DataType::Decimal64(_, t) | DataType::Decimal128(_, t),
        ) => {
            if s == t {
                return fixed_pair(l, r);
            }
            let (l_wide, r_wide) = (wide_lanes(l)?, wide_lanes(r)?);
            let up = POW10[s.abs_diff(*t) as usize];
            let scaled = |v: &ScalarBuffer<i128>| -> Option<ScalarBuffer<i128>> {
                v.iter().map(|v| v.checked_mul(up)).collect::<Option<Vec<_>>>().map(Into::into)
            };
            let pair = if s < t {
                scaled(&l_wide).map(|l| Pair::I128(l, r_wide))
            } else {
                scaled(&r_wide).map(|r| Pair::I128(l_wide, r))
            };
            match pair {
                Some(pair) => Ok(pair),
                None => Ok(Pair::Numeric(Numeric::reader(l)?, Numeric::reader(r)?)),
            }
        }
        _ => Ok(Pair::Numeric(Numeric::reader(l)?, Numeric::reader(r)?)),
    }
}

fn wide_lanes(array: &ArrayRef) -> Result<ScalarBuffer<i128>> {
    match array.data_type() {
        DataType::Decimal64(..) => Ok(widen(&lanes(array)?, |v: i64| v.into())),
        _ => lanes(array),
    }
}

/// Both of one scale.
fn fixed_pair(l: &ArrayRef, r: &ArrayRef) -> Result<Pair> {
    Ok(match (l.data_type(), r.data_type()) {
        (DataType::Decimal64(..), DataType::Decimal64(..)) => Pair::I64(lanes(l)?, lanes(r)?),
        _ => Pair::I128(wide_lanes(l)?, wide_lanes(r)?),
    })
}

/// A constant as an array of the column's own type, when it is exactly such a number.
fn at_scale_of(constant: &ArrayRef, column: &ArrayRef) -> Option<ArrayRef> {
    let value = Numeric::get(&Numeric::reader(constant).ok()?, 0).normalized();
    let (unscaled, scale) = value.as_i128()?;
    let data_type = column.data_type();
    match data_type {
        DataType::Decimal64(_, s) => {
            let up = POW10.get((*s as u32).checked_sub(scale)? as usize)?;
            let v = i64::try_from(unscaled.checked_mul(*up)?).ok()?;
            lane_array(vec![v], None, data_type.clone()).ok()
        }
        DataType::Decimal128(_, s) => {
            let up = POW10.get((*s as u32).checked_sub(scale)? as usize)?;
            lane_array(vec![unscaled.checked_mul(*up)?], None, data_type.clone()).ok()
        }
        _ => None,
    }
}
