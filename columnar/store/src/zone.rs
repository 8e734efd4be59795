//! What is known of a row group's columns: bounds, NULLs, distinct values.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute;
use arrow::datatypes::{
    Date32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, UInt16Type,
};
use spg_types::{ColumnDef, ColumnStats, Datum, Numeric, Repr, TableDef, TableStats};

use crate::sketch::Sketch;

/// The zone maps of a batch of rows.
pub(crate) fn zones(def: &TableDef, columns: &[ArrayRef]) -> Vec<ColumnStats> {
    def.columns.iter().zip(columns).map(|(c, array)| zone_of(c, array)).collect()
}

/// The zone map of one column.
pub(crate) fn zone_of(c: &ColumnDef, array: &ArrayRef) -> ColumnStats {
    let (min, max) = bounds(c.ty.repr(), array);
    let null_count = array.logical_null_count();
    // Counted only where a sketch is made; until then, as many as there are values.
    let distinct = match array.as_dictionary_opt::<UInt16Type>() {
        Some(d) => d.values().len(),
        None => array.len() - null_count,
    };
    let avg_width = average_width(array);
    ColumnStats { min, max, null_count: null_count as u64, distinct: distinct as f64, avg_width }
}

/// The sketches of a batch of rows.
pub(crate) fn sketches(columns: &[ArrayRef]) -> Vec<Sketch> {
    let sketch = |array: &ArrayRef| {
        let mut sketch = Sketch::default();
        sketch.add(array);
        sketch
    };
    columns.iter().map(sketch).collect()
}

/// What is known of a batch of rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupStats {
    pub(crate) zones: Vec<ColumnStats>,
    pub(crate) sketches: Vec<Sketch>,
}

impl GroupStats {
    pub(crate) fn of(def: &TableDef, columns: &[ArrayRef]) -> Self {
        let mut stats = Self { zones: zones(def, columns), sketches: sketches(columns) };
        for (zone, sketch) in stats.zones.iter_mut().zip(&stats.sketches) {
            zone.distinct = sketch.estimate().min(zone.distinct);
        }
        stats
    }
}

/// Bytes per value of a string column; 0 for others.
fn average_width(array: &ArrayRef) -> f64 {
    let values = array.len() - array.logical_null_count();
    if values == 0 {
        return 0.0;
    }
    let bytes = if let Some(a) = array.as_string_view_opt() {
        a.total_bytes_len()
    } else if let Some(a) = array.as_binary_view_opt() {
        a.total_bytes_len()
    } else if let Some(d) = array.as_dictionary_opt::<UInt16Type>() {
        let Some(strings) = d.values().as_string_view_opt() else { return 0.0 };
        let lengths: Vec<usize> = strings.views().iter().map(|v| (*v as u32) as usize).collect();
        d.keys().iter().flatten().map(|k| lengths[usize::from(k)]).sum()
    } else {
        return 0.0;
    };
    bytes as f64 / values as f64
}

/// The value of a column whose representation is an integer.
pub(crate) fn integer(repr: Repr, v: i64) -> Option<Datum> {
    Some(match repr {
        Repr::Int16 => Datum::Int16(v.try_into().ok()?),
        Repr::Int32 => Datum::Int32(v.try_into().ok()?),
        Repr::Int64 => Datum::Int64(v),
        Repr::Decimal64 { .. } => Datum::Decimal(v.into()),
        Repr::Date => Datum::Date(v.try_into().ok()?),
        Repr::Time => Datum::Time(v),
        Repr::Timestamp | Repr::TimestampTz => Datum::Timestamp(v),
        _ => return None,
    })
}

/// The smallest and the largest value, in the order that PostgreSQL sorts in; `None` without values or an order.
fn bounds(repr: Repr, array: &ArrayRef) -> (Option<Datum>, Option<Datum>) {
    macro_rules! primitive {
        ($ty:ty, $datum:expr) => {{
            let Some(a) = array.as_primitive_opt::<$ty>() else { return (None, None) };
            (compute::min(a).map($datum), compute::max(a).map($datum))
        }};
    }
    match repr {
        Repr::Bool => {
            let Some(a) = array.as_boolean_opt() else { return (None, None) };
            (compute::min_boolean(a).map(Datum::Bool), compute::max_boolean(a).map(Datum::Bool))
        }
        Repr::Int16 => primitive!(Int16Type, Datum::Int16),
        Repr::Int32 => primitive!(Int32Type, Datum::Int32),
        Repr::Int64 => primitive!(Int64Type, Datum::Int64),
        Repr::Float32 => {
            float_bounds(array.as_primitive_opt::<Float32Type>().map(|a| a.iter()), Datum::Float32)
        }
        Repr::Float64 => {
            float_bounds(array.as_primitive_opt::<Float64Type>().map(|a| a.iter()), Datum::Float64)
        }
        Repr::Decimal64 { .. } => primitive!(Decimal64Type, |v| Datum::Decimal(v.into())),
        Repr::Decimal128 { .. } => primitive!(Decimal128Type, Datum::Decimal),
        Repr::Date => primitive!(Date32Type, Datum::Date),
        Repr::Time => primitive!(Time64MicrosecondType, Datum::Time),
        Repr::Timestamp | Repr::TimestampTz => primitive!(TimestampMicrosecondType, Datum::Timestamp),
        Repr::Text => {
            let strings = match array.as_dictionary_opt::<UInt16Type>() {
                // Sealed dictionaries hold only values in use.
                Some(d) => d.values(),
                None => array,
            };
            let Some(a) = strings.as_string_view_opt() else { return (None, None) };
            let text = |v: &str| Datum::Text(v.into());
            (compute::min_string_view(a).map(text), compute::max_string_view(a).map(text))
        }
        Repr::Binary => {
            let Some(a) = array.as_binary_view_opt() else { return (None, None) };
            let bytes = |v: &[u8]| Datum::Binary(v.into());
            (compute::min_binary_view(a).map(bytes), compute::max_binary_view(a).map(bytes))
        }
        Repr::Numeric => numeric_bounds(array),
        Repr::Uuid => {
            let Some(a) = array.as_fixed_size_binary_opt() else { return (None, None) };
            let uuid = |v: &[u8]| v.try_into().ok().map(Datum::Uuid);
            (
                compute::min_fixed_size_binary(a).and_then(uuid),
                compute::max_fixed_size_binary(a).and_then(uuid),
            )
        }
        Repr::Interval => {
            let Some(a) = array.as_primitive_opt::<IntervalMonthDayNanoType>() else { return (None, None) };
            let length = |v: &arrow::datatypes::IntervalMonthDayNano| {
                (i128::from(v.months) * 30 + i128::from(v.days)) * 86_400_000_000_000
                    + i128::from(v.nanoseconds)
            };
            let values = || a.iter().flatten();
            (
                values().min_by_key(length).map(Datum::Interval),
                values().max_by_key(length).map(Datum::Interval),
            )
        }
    }
}

/// NaN is above everything, as PostgreSQL has it.
fn float_bounds<T: PartialOrd + Copy>(
    values: Option<impl Iterator<Item = Option<T>>>,
    datum: fn(T) -> Datum,
) -> (Option<Datum>, Option<Datum>) {
    let (mut min, mut max): (Option<T>, Option<T>) = (None, None);
    let is_nan = |v: T| v.partial_cmp(&v).is_none();
    let mut nan = None;
    for v in values.into_iter().flatten().flatten() {
        if is_nan(v) {
            nan = Some(v);
        } else {
            min = Some(min.map_or(v, |m| if v < m { v } else { m }));
            max = Some(max.map_or(v, |m| if v > m { v } else { m }));
        }
    }
    (min.or(nan).map(datum), nan.or(max).map(datum))
}

fn numeric_bounds(array: &ArrayRef) -> (Option<Datum>, Option<Datum>) {
    let Some(a) = array.as_binary_view_opt() else { return (None, None) };
    let (mut min, mut max): (Option<Numeric>, Option<Numeric>) = (None, None);
    for bytes in a.iter().flatten() {
        let Ok(v) = Numeric::decode(bytes) else { return (None, None) };
        if max.as_ref().is_none_or(|m| v > *m) {
            max = Some(v.clone());
        }
        if min.as_ref().is_none_or(|m| v < *m) {
            min = Some(v);
        }
    }
    (min.map(Datum::Numeric), max.map(Datum::Numeric))
}

/// Whether `a` comes before `b` in PostgreSQL's order; both are values of one column.
fn before(a: &Datum, b: &Datum) -> bool {
    fn float(a: f64, b: f64) -> bool {
        a < b || (!a.is_nan() && b.is_nan())
    }
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => a < b,
        (Datum::Int16(a), Datum::Int16(b)) => a < b,
        (Datum::Int32(a), Datum::Int32(b)) | (Datum::Date(a), Datum::Date(b)) => a < b,
        (Datum::Int64(a), Datum::Int64(b))
        | (Datum::Time(a), Datum::Time(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b)) => a < b,
        (Datum::Float32(a), Datum::Float32(b)) => float((*a).into(), (*b).into()),
        (Datum::Float64(a), Datum::Float64(b)) => float(*a, *b),
        (Datum::Decimal(a), Datum::Decimal(b)) => a < b,
        (Datum::Numeric(a), Datum::Numeric(b)) => a < b,
        (Datum::Text(a), Datum::Text(b)) => a < b,
        (Datum::Binary(a), Datum::Binary(b)) => a < b,
        (Datum::Uuid(a), Datum::Uuid(b)) => a < b,
        (Datum::Interval(a), Datum::Interval(b)) => {
            let days = |v: &arrow::datatypes::IntervalMonthDayNano| {
                (i128::from(v.months) * 30 + i128::from(v.days)) * 86_400_000_000_000
                    + i128::from(v.nanoseconds)
            };
            days(a) < days(b)
        }
        _ => false,
    }
}

/// Widens bounds so that they hold for another zone too.
fn widen(min: &mut Option<Datum>, max: &mut Option<Datum>, zone: &ColumnStats) {
    if let Some(low) = zone.min.as_ref().filter(|v| min.as_ref().is_none_or(|m| before(v, m))) {
        *min = Some(low.clone());
    }
    if let Some(high) = zone.max.as_ref().filter(|v| max.as_ref().is_none_or(|m| before(m, v))) {
        *max = Some(high.clone());
    }
}

/// Statistics widened by the zone maps of rows that have come since.
pub(crate) fn extend(stats: &mut TableStats, zones: &[ColumnStats]) {
    for (all, zone) in stats.columns.iter_mut().zip(zones) {
        widen(&mut all.min, &mut all.max, zone);
        all.null_count += zone.null_count;
    }
}

/// Statistics of many row groups together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aggregate {
    rows: u64,
    columns: Vec<AggregateColumn>,
}

#[derive(Clone, Debug, Default)]
struct AggregateColumn {
    min: Option<Datum>,
    max: Option<Datum>,
    nulls: u64,
    bytes: f64,
    sketch: Sketch,
}

/// What is known of a column in which every row has the same value.
pub(crate) struct NewColumn {
    /// Of one row.
    zone: ColumnStats,
    pub(crate) sketch: Sketch,
}

impl NewColumn {
    /// `value` has one row.
    pub(crate) fn new(column: &ColumnDef, value: &ArrayRef) -> Self {
        let mut sketch = Sketch::default();
        sketch.add(value);
        Self { zone: zone_of(column, value), sketch }
    }

    /// The zone map of `rows` rows.
    pub(crate) fn zone(&self, rows: usize) -> ColumnStats {
        ColumnStats { null_count: self.zone.null_count * rows as u64, ..self.zone.clone() }
    }
}

impl Aggregate {
    /// Every row has one more column.
    pub(crate) fn add_column(&mut self, added: &NewColumn) {
        if self.rows == 0 {
            return;
        }
        let zone = added.zone(self.rows as usize);
        let bytes = zone.avg_width * (self.rows - zone.null_count) as f64;
        let (min, max, nulls) = (zone.min, zone.max, zone.null_count);
        self.columns.push(AggregateColumn { min, max, nulls, bytes, sketch: added.sketch.clone() });
    }

    pub(crate) fn drop_column(&mut self, at: usize) {
        if at < self.columns.len() {
            self.columns.remove(at);
        }
    }

    /// Takes in `rows` rows with these zone maps; their values still have to go into the sketches.
    pub(crate) fn add_zones(&mut self, zones: &[ColumnStats], rows: u64) {
        self.rows += rows;
        self.columns.resize_with(zones.len().max(self.columns.len()), AggregateColumn::default);
        for (all, zone) in self.columns.iter_mut().zip(zones) {
            widen(&mut all.min, &mut all.max, zone);
            all.nulls += zone.null_count;
            all.bytes += zone.avg_width * (rows - zone.null_count.min(rows)) as f64;
        }
    }

    pub(crate) fn add_sketches(&mut self, sketches: &[Sketch]) {
        self.columns.iter_mut().zip(sketches).for_each(|(all, sketch)| all.sketch.merge(sketch));
    }

    pub(crate) fn add_values(&mut self, columns: &[ArrayRef]) {
        self.columns.iter_mut().zip(columns).for_each(|(all, array)| all.sketch.add(array));
    }

    /// As a table's statistics, for `live` rows.
    pub(crate) fn table_stats(&self, live: u64, columns: usize) -> TableStats {
        let column = |c: &AggregateColumn| {
            let values = (self.rows - c.nulls.min(self.rows)) as f64;
            // Of all rows that there have been, so many are left.
            let nulls = (u128::from(c.nulls) * u128::from(live)).div_ceil(u128::from(self.rows.max(1)));
            ColumnStats {
                min: c.min.clone(),
                max: c.max.clone(),
                null_count: u64::try_from(nulls).map_or(live, |n| n.min(live)),
                distinct: c.sketch.estimate().min(live as f64),
                avg_width: if values > 0.0 { c.bytes / values } else { 0.0 },
            }
        };
        let mut columns_stats: Vec<ColumnStats> = self.columns.iter().map(column).collect();
        columns_stats.resize_with(columns, || column(&AggregateColumn::default()));
        TableStats { rows: live, columns: columns_stats }
    }
}
