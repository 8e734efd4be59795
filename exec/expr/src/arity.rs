//! From closures over native values to kernels: NULL, constants, dictionaries and allocation are handled here, once.
//!
//! - `lanes1`, `lanes2`: total functions over numbers, computed for every row, NULL or not, so that they vectorize.
//! - `checked1`, `checked2`: the same with a flag for arguments that are an error, noticed per batch.
//! - `map1` ... `map4`: a value per row whose arguments are all valid; `try_map*` may fail, `opt_map*` may also answer
//!   NULL, `ctx_map*` also see the session.
//! - `write1` ... `write4`: text results written into a buffer.
//!
//! All of them are strict: a NULL argument makes the result NULL.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BinaryViewBuilder, BooleanArray, BooleanBuilder,
    FixedSizeBinaryArray, FixedSizeBinaryBuilder, StringViewArray, StringViewBuilder, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, IntervalMonthDayNano};
use spg_types::{Datum, Error, Numeric, Repr, Result, SqlType};

use crate::{BindArgs, Column, EvalContext, Kernel, flatten};

/// A kind of argument that a function body takes by native value.
pub trait Arg: 'static {
    /// The value it sees.
    type Value<'a>;
    /// Gives out values of one column.
    type Reader;
    /// A reader of a flat array; XX000 when the array is of another kind.
    fn reader(array: &ArrayRef) -> Result<Self::Reader>;
    /// The value at a row.
    fn get(reader: &Self::Reader, row: usize) -> Self::Value<'_>;
}

/// A kind of result that a function body gives by native value.
pub trait Ret: 'static {
    /// The value it gives.
    type Owned;
    /// A growing column.
    type Builder;
    /// An empty column with room for `rows` values.
    fn builder(rows: usize, ty: SqlType) -> Self::Builder;
    /// Appends a value; 22003 when the type has no room for it.
    fn push(builder: &mut Self::Builder, value: Self::Owned) -> Result<()>;
    /// Appends a NULL.
    fn push_null(builder: &mut Self::Builder);
    /// The column.
    fn finish(builder: Self::Builder) -> Result<ArrayRef>;
}

/// Numbers as they lie in memory, whatever the logical type: `i32` reads integers and dates.
pub trait Lane: ArrowNativeType {}
impl Lane for i16 {}
impl Lane for i32 {}
impl Lane for i64 {}
impl Lane for i128 {}
impl Lane for f32 {}
impl Lane for f64 {}
impl Lane for IntervalMonthDayNano {}

/// Text arguments and results.
#[derive(Debug)]
pub struct Str;
/// Byte string arguments and results.
#[derive(Debug)]
pub struct Bytes;
/// UUID arguments and results.
#[derive(Debug)]
pub struct Uuid;

/// The values of a fixed-width array, whatever its logical type; XX000 when the width differs.
pub fn lanes<T: Lane>(array: &dyn Array) -> Result<ScalarBuffer<T>> {
    if array.data_type().primitive_width() != Some(size_of::<T>()) {
        return Err(mismatch(array.data_type()));
    }
    let data = array.to_data();
    Ok(ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len()))
}

/// An array of a fixed-width type over these values.
pub fn lane_array<T: Lane>(
    values: Vec<T>,
    nulls: Option<NullBuffer>,
    data_type: DataType,
) -> Result<ArrayRef> {
    let len = values.len();
    let data = arrow::array::ArrayData::builder(data_type)
        .len(len)
        .add_buffer(Buffer::from_vec(values))
        .nulls(nulls.filter(|n| n.null_count() > 0))
        .build()?;
    Ok(make_array(data))
}

fn mismatch(data_type: &DataType) -> Error {
    Error::internal(format!("unexpected argument of type {data_type}"))
}

/// The NULL constant of a type.
pub fn null_column(ty: SqlType) -> Result<Column> {
    Column::constant(&Datum::Null, ty)
}

macro_rules! lane_kinds {
    ($($t:ty)*) => {$(
        impl Arg for $t {
            type Value<'a> = $t;
            type Reader = ScalarBuffer<$t>;
            fn reader(array: &ArrayRef) -> Result<Self::Reader> {
                lanes(array.as_ref())
            }
            #[inline(always)]
            fn get(reader: &Self::Reader, row: usize) -> $t {
                reader[row]
            }
        }
        impl Ret for $t {
            type Owned = $t;
            type Builder = (Vec<$t>, arrow::array::NullBufferBuilder, DataType);
            fn builder(rows: usize, ty: SqlType) -> Self::Builder {
                (Vec::with_capacity(rows), arrow::array::NullBufferBuilder::new(rows), ty.data_type())
            }
            #[inline(always)]
            fn push(builder: &mut Self::Builder, value: $t) -> Result<()> {
                builder.0.push(value);
                builder.1.append_non_null();
                Ok(())
            }
            fn push_null(builder: &mut Self::Builder) {
                builder.0.push(<$t>::default());
                builder.1.append_null();
            }
            fn finish(mut builder: Self::Builder) -> Result<ArrayRef> {
                lane_array(builder.0, builder.1.finish(), builder.2)
            }
        }
    )*};
}
lane_kinds!(i16 i32 i64 i128 f32 f64 IntervalMonthDayNano);

macro_rules! array_kinds {
    ($($marker:ty, $lt:lifetime $value:ty, $array:ty, |$a:ident, $row:ident| $get:expr, $owned:ty, $builder:ty, $new:expr;)*) => {$(
        impl Arg for $marker {
            type Value<$lt> = $value;
            type Reader = $array;
            fn reader(array: &ArrayRef) -> Result<Self::Reader> {
                array.as_any().downcast_ref::<$array>().cloned().ok_or_else(|| mismatch(array.data_type()))
            }
            #[inline(always)]
            fn get<$lt>($a: &$lt Self::Reader, $row: usize) -> $value {
                $get
            }
        }
        impl Ret for $marker {
            type Owned = $owned;
            type Builder = $builder;
            fn builder(rows: usize, _: SqlType) -> Self::Builder {
                ($new)(rows)
            }
            fn push(builder: &mut Self::Builder, value: $owned) -> Result<()> {
                builder.append_value(value);
                Ok(())
            }
            fn push_null(builder: &mut Self::Builder) {
                builder.append_null();
            }
            fn finish(mut builder: Self::Builder) -> Result<ArrayRef> {
                Ok(Arc::new(builder.finish()))
            }
        }
    )*};
}
array_kinds! {
    bool, 'a bool, BooleanArray, |a, row| a.value(row), bool, BooleanBuilder, BooleanBuilder::with_capacity;
    Str, 'a &'a str, StringViewArray, |a, row| a.value(row), String, StringViewBuilder, StringViewBuilder::with_capacity;
    Bytes, 'a &'a [u8], BinaryViewArray, |a, row| a.value(row), Vec<u8>, BinaryViewBuilder, BinaryViewBuilder::with_capacity;
}

impl Arg for Uuid {
    type Value<'a> = [u8; 16];
    type Reader = FixedSizeBinaryArray;
    fn reader(array: &ArrayRef) -> Result<Self::Reader> {
        array.as_fixed_size_binary_opt().cloned().ok_or_else(|| mismatch(array.data_type()))
    }
    fn get(reader: &Self::Reader, row: usize) -> [u8; 16] {
        let mut value = [0; 16];
        value.copy_from_slice(reader.value(row));
        value
    }
}

impl Ret for Uuid {
    type Owned = [u8; 16];
    type Builder = FixedSizeBinaryBuilder;
    fn builder(rows: usize, _: SqlType) -> Self::Builder {
        FixedSizeBinaryBuilder::with_capacity(rows, 16)
    }
    fn push(builder: &mut Self::Builder, value: [u8; 16]) -> Result<()> {
        Ok(builder.append_value(value)?)
    }
    fn push_null(builder: &mut Self::Builder) {
        builder.append_null();
    }
    fn finish(mut builder: Self::Builder) -> Result<ArrayRef> {
        Ok(Arc::new(builder.finish()))
    }
}

/// Reads `numeric` in any of its representations.
#[derive(Debug)]
pub enum NumericReader {
    /// At most 18 digits.
    Decimal64(ScalarBuffer<i64>, u32),
    /// At most 38 digits.
    Decimal128(ScalarBuffer<i128>, u32),
    /// With a scale of its own per value.
    Variable(BinaryViewArray),
}

impl Arg for Numeric {
    type Value<'a> = Numeric;
    type Reader = NumericReader;
    fn reader(array: &ArrayRef) -> Result<NumericReader> {
        Ok(match array.data_type() {
            DataType::Decimal64(_, s) => NumericReader::Decimal64(lanes(array)?, *s as u32),
            DataType::Decimal128(_, s) => NumericReader::Decimal128(lanes(array)?, *s as u32),
            DataType::BinaryView => NumericReader::Variable(array.as_binary_view().clone()),
            other => return Err(mismatch(other)),
        })
    }
    fn get(reader: &NumericReader, row: usize) -> Numeric {
        match reader {
            NumericReader::Decimal64(v, s) => Numeric::from_i128(v[row].into(), *s),
            NumericReader::Decimal128(v, s) => Numeric::from_i128(v[row], *s),
            NumericReader::Variable(a) => {
                let value = Numeric::decode(a.value(row));
                // Rows that are NULL hold nothing.
                debug_assert!(
                    value.is_ok() || a.value(row).is_empty(),
                    "a numeric column holds {:?}",
                    a.value(row)
                );
                value.unwrap_or(Numeric::NAN)
            }
        }
    }
}

/// Collects `numeric` into the representation of the result's type.
#[derive(Debug)]
pub enum NumericBuilder {
    /// A fixed scale.
    Fixed(Vec<i128>, arrow::array::NullBufferBuilder, SqlType),
    /// A scale per value, with a buffer for its encoding.
    Variable(BinaryViewBuilder, Vec<u8>),
}

impl Ret for Numeric {
    type Owned = Numeric;
    type Builder = NumericBuilder;
    fn builder(rows: usize, ty: SqlType) -> NumericBuilder {
        match ty.repr() {
            Repr::Numeric => NumericBuilder::Variable(BinaryViewBuilder::with_capacity(rows), vec![]),
            _ => NumericBuilder::Fixed(
                Vec::with_capacity(rows),
                arrow::array::NullBufferBuilder::new(rows),
                ty,
            ),
        }
    }
    fn push(builder: &mut NumericBuilder, value: Numeric) -> Result<()> {
        match builder {
            NumericBuilder::Fixed(values, nulls, ty) => {
                values.push(value.fit_i128(*ty)?);
                nulls.append_non_null();
            }
            NumericBuilder::Variable(b, buf) => {
                buf.clear();
                value.encode_into(buf);
                b.append_value(buf.as_slice());
            }
        }
        Ok(())
    }
    fn push_null(builder: &mut NumericBuilder) {
        match builder {
            NumericBuilder::Fixed(values, nulls, _) => {
                values.push(0);
                nulls.append_null();
            }
            NumericBuilder::Variable(b, _) => b.append_null(),
        }
    }
    fn finish(builder: NumericBuilder) -> Result<ArrayRef> {
        match builder {
            NumericBuilder::Fixed(values, mut nulls, ty) => match ty.repr() {
                // `fit_i128` has checked the precision, which is at most 18 digits here.
                Repr::Decimal64 { .. } => {
                    lane_array(values.into_iter().map(|v| v as i64).collect(), nulls.finish(), ty.data_type())
                }
                _ => lane_array(values, nulls.finish(), ty.data_type()),
            },
            NumericBuilder::Variable(mut b, _) => Ok(Arc::new(b.finish())),
        }
    }
}

/// What every strict kernel does first: constants that are NULL decide, flat arrays, rows to compute, joint validity.
pub struct Strict {
    /// Flat arrays, of one row where constant.
    pub arrays: Vec<ArrayRef>,
    /// For each argument, the mask that turns a row into a position: 0 for constants.
    pub masks: Vec<usize>,
    /// Rows to compute: 1 when everything is constant.
    pub rows: usize,
    /// Rows where every argument is valid.
    pub nulls: Option<NullBuffer>,
    /// Whether the result is constant.
    pub constant: bool,
}

impl Strict {
    /// `None` when the result is NULL for every row.
    pub fn new(args: &[Column], rows: usize) -> Result<Option<Strict>> {
        let constant = args.iter().all(|a| matches!(a, Column::Const(_)));
        let mut strict = Strict {
            arrays: Vec::with_capacity(args.len()),
            masks: Vec::with_capacity(args.len()),
            rows: if constant { 1 } else { rows },
            nulls: None,
            constant,
        };
        for arg in args {
            match arg {
                Column::Const(a) if a.is_null(0) => return Ok(None),
                Column::Const(a) => {
                    strict.arrays.push(a.clone());
                    strict.masks.push(0);
                }
                Column::Array(a) => {
                    let flat = flatten(a)?;
                    strict.nulls = NullBuffer::union(strict.nulls.as_ref(), flat.nulls());
                    strict.arrays.push(flat);
                    strict.masks.push(usize::MAX);
                }
            }
        }
        strict.nulls = strict.nulls.filter(|n| n.null_count() > 0);
        Ok(Some(strict))
    }

    /// The result column.
    pub fn column(&self, array: ArrayRef) -> Column {
        if self.constant { Column::Const(array) } else { Column::Array(array) }
    }

    /// Whether the row's arguments are all valid.
    pub fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|n| n.is_valid(row))
    }
}

/// A total function of one number, computed for every row.
pub fn lanes1<A: Lane, R: Lane>(
    bind: &BindArgs<'_>,
    f: impl Fn(A) -> R + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let Some(s) = Strict::new(args, rows)? else { return null_column(ty) };
        let values = spg_simd::map(&lanes::<A>(&s.arrays[0])?, &f);
        Ok(s.column(lane_array(values, s.nulls.clone(), ty.data_type())?))
    }))
}

/// A total function of two numbers, computed for every row.
pub fn lanes2<A: Lane, B: Lane, R: Lane>(
    bind: &BindArgs<'_>,
    f: impl Fn(A, B) -> R + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let Some(s) = Strict::new(args, rows)? else { return null_column(ty) };
        let (a, b) = (lanes::<A>(&s.arrays[0])?, lanes::<B>(&s.arrays[1])?);
        let values = match (s.masks[0], s.masks[1]) {
            (_, 0) => spg_simd::zip_const(&a, b[0], &f),
            (0, _) => spg_simd::zip_const(&b, a[0], |y, x| f(x, y)),
            _ => spg_simd::zip(&a, &b, &f),
        };
        Ok(s.column(lane_array(values, s.nulls.clone(), ty.data_type())?))
    }))
}

/// A function of one number that tells overflow by a flag.
pub fn checked1<A: Lane, R: Lane>(
    bind: &BindArgs<'_>,
    error: impl Fn(A) -> Error + Send + Sync + 'static,
    f: impl Fn(A) -> (R, bool) + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let Some(s) = Strict::new(args, rows)? else { return null_column(ty) };
        let a = lanes::<A>(&s.arrays[0])?;
        let (values, any) = spg_simd::unary_overflowing(&a, &f);
        // What lies under a NULL may overflow freely.
        if any && let Some(row) = (0..s.rows).find(|row| s.is_valid(*row) && f(a[*row]).1) {
            return Err(error(a[row]));
        }
        Ok(s.column(lane_array(values, s.nulls.clone(), ty.data_type())?))
    }))
}

/// A function of two numbers that tells overflow by a flag.
pub fn checked2<A: Lane, B: Lane, R: Lane>(
    bind: &BindArgs<'_>,
    error: impl Fn(A, B) -> Error + Send + Sync + 'static,
    f: impl Fn(A, B) -> (R, bool) + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let Some(s) = Strict::new(args, rows)? else { return null_column(ty) };
        let (a, b) = (lanes::<A>(&s.arrays[0])?, lanes::<B>(&s.arrays[1])?);
        let (values, any) = spg_simd::binary_overflowing(&a, &b, s.rows, &f);
        let at = |row: usize| (a[row & s.masks[0]], b[row & s.masks[1]]);
        let fails = |row: usize| s.is_valid(row) && f(at(row).0, at(row).1).1;
        if any && let Some((a, b)) = (0..s.rows).find(|row| fails(*row)).map(at) {
            return Err(error(a, b));
        }
        Ok(s.column(lane_array(values, s.nulls.clone(), ty.data_type())?))
    }))
}

macro_rules! arities {
    ($($ctx:ident $opt:ident $try:ident $map:ident $write:ident ($($k:ident $v:ident $i:tt),+);)*) => {$(
        /// A function of the session and valid values; it may fail or answer NULL.
        pub fn $ctx<$($k: Arg,)+ R: Ret>(
            bind: &BindArgs<'_>,
            f: impl for<'a> Fn(&EvalContext, $($k::Value<'a>),+) -> Result<Option<R::Owned>> + Send + Sync + 'static,
        ) -> Result<Arc<dyn Kernel>> {
            let ty = bind.return_type;
            Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
                let Some(s) = Strict::new(args, rows)? else { return null_column(ty) };
                let readers = ($($k::reader(&s.arrays[$i])?,)+);
                let mut out = R::builder(s.rows, ty);
                for row in 0..s.rows {
                    if !s.is_valid(row) {
                        R::push_null(&mut out);
                        continue;
                    }
                    match f(ctx, $($k::get(&readers.$i, row & s.masks[$i])),+)? {
                        Some(value) => R::push(&mut out, value)?,
                        None => R::push_null(&mut out),
                    }
                }
                Ok(s.column(R::finish(out)?))
            }))
        }

        /// A function of valid values; it may fail or answer NULL.
        pub fn $opt<$($k: Arg,)+ R: Ret>(
            bind: &BindArgs<'_>,
            f: impl for<'a> Fn($($k::Value<'a>),+) -> Result<Option<R::Owned>> + Send + Sync + 'static,
        ) -> Result<Arc<dyn Kernel>> {
            $ctx::<$($k,)+ R>(bind, move |_, $($v),+| f($($v),+))
        }

        /// A function of valid values; it may fail.
        pub fn $try<$($k: Arg,)+ R: Ret>(
            bind: &BindArgs<'_>,
            f: impl for<'a> Fn($($k::Value<'a>),+) -> Result<R::Owned> + Send + Sync + 'static,
        ) -> Result<Arc<dyn Kernel>> {
            $ctx::<$($k,)+ R>(bind, move |_, $($v),+| Ok(Some(f($($v),+)?)))
        }

        /// A total function of valid values.
        pub fn $map<$($k: Arg,)+ R: Ret>(
            bind: &BindArgs<'_>,
            f: impl for<'a> Fn($($k::Value<'a>),+) -> R::Owned + Send + Sync + 'static,
        ) -> Result<Arc<dyn Kernel>> {
            $ctx::<$($k,)+ R>(bind, move |_, $($v),+| Ok(Some(f($($v),+))))
        }

        /// A function of the session and valid values whose text it appends to a buffer; it may fail.
        pub fn $write<$($k: Arg),+>(
            _: &BindArgs<'_>,
            f: impl for<'a> Fn(&EvalContext, $($k::Value<'a>,)+ &mut String) -> Result<()> + Send + Sync + 'static,
        ) -> Result<Arc<dyn Kernel>> {
            Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
                let Some(s) = Strict::new(args, rows)? else { return null_column(SqlType::new(&spg_types::def::TEXT)) };
                let readers = ($($k::reader(&s.arrays[$i])?,)+);
                let mut out = StringViewBuilder::with_capacity(s.rows);
                let mut buf = String::new();
                for row in 0..s.rows {
                    if s.is_valid(row) {
                        buf.clear();
                        f(ctx, $($k::get(&readers.$i, row & s.masks[$i]),)+ &mut buf)?;
                        out.append_value(&buf);
                    } else {
                        out.append_null();
                    }
                }
                Ok(s.column(Arc::new(out.finish())))
            }))
        }
    )*};
}
arities! {
    ctx_map1 opt_map1 try_map1 map1 write1 (A a 0);
    ctx_map2 opt_map2 try_map2 map2 write2 (A a 0, B b 1);
    ctx_map3 opt_map3 try_map3 map3 write3 (A a 0, B b 1, C c 2);
    ctx_map4 opt_map4 try_map4 map4 write4 (A a 0, B b 1, C c 2, D d 3);
    ctx_map5 opt_map5 try_map5 map5 write5 (A a 0, B b 1, C c 2, D d 3, E e 4);
    ctx_map6 opt_map6 try_map6 map6 write6 (A a 0, B b 1, C c 2, D d 3, E e 4, F g 5);
    ctx_map7 opt_map7 try_map7 map7 write7 (A a 0, B b 1, C c 2, D d 3, E e 4, F g 5, G h 6);
}

/// A function from text to a part of that text, which then shares the argument's memory.
pub fn part(
    f: impl for<'a> Fn(&'a str, &Parts<'_>, usize) -> Result<Option<&'a str>> + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let Some(s) = Strict::new(args, rows)? else {
            return null_column(SqlType::new(&spg_types::def::TEXT));
        };
        let text = Str::reader(&s.arrays[0])?;
        let parts = Parts { strict: &s };
        let mut out = StringViewBuilder::with_capacity(s.rows);
        let blocks: Vec<u32> = text.data_buffers().iter().map(|b| out.append_block(b.clone())).collect();
        for row in 0..s.rows {
            if !s.is_valid(row) {
                out.append_null();
                continue;
            }
            let at = row & s.masks[0];
            let Some(value) = f(text.value(at), &parts, row)? else {
                out.append_null();
                continue;
            };
            if value.len() <= 12 {
                out.append_value(value);
                continue;
            }
            // Longer than 12 bytes, so the argument is too: its view says where it lies.
            let view = arrow::array::ByteView::from(text.views()[at]);
            let offset = value.as_ptr() as usize - text.value(at).as_ptr() as usize;
            out.try_append_view(
                blocks[view.buffer_index as usize],
                view.offset + offset as u32,
                value.len() as u32,
            )?;
        }
        Ok(s.column(Arc::new(out.finish())))
    }))
}

/// The arguments of [`part`] after the first.
pub struct Parts<'a> {
    strict: &'a Strict,
}

impl Parts<'_> {
    /// The integer argument at a position.
    pub fn int(&self, arg: usize, row: usize) -> i32 {
        use arrow::datatypes::Int32Type;
        self.strict.arrays[arg].as_primitive::<Int32Type>().value(row & self.strict.masks[arg])
    }

    /// The text argument at a position.
    pub fn text(&self, arg: usize, row: usize) -> &str {
        self.strict.arrays[arg].as_string_view().value(row & self.strict.masks[arg])
    }
}
