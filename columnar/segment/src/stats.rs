//! Statistics of a column chunk as bytes.

use arrow::datatypes::IntervalMonthDayNano;
use spg_types::{ColumnStats, Datum, Numeric};

use crate::codec::{Nonsense, Reader, Writer};

/// Longer bounds of strings are left out: they would cost more than they rule out.
const BOUND_BYTES_MAX: usize = 256;

pub(crate) fn write_stats(w: &mut Writer, stats: &ColumnStats) {
    let long = |d: &Option<Datum>| match d {
        Some(Datum::Text(v)) => v.len() > BOUND_BYTES_MAX,
        Some(Datum::Binary(v)) => v.len() > BOUND_BYTES_MAX,
        _ => false,
    };
    let known = !long(&stats.min) && !long(&stats.max);
    write_datum(w, stats.min.as_ref().filter(|_| known));
    write_datum(w, stats.max.as_ref().filter(|_| known));
    w.varint(stats.null_count);
    w.u64(stats.distinct.to_bits());
    w.u64(stats.avg_width.to_bits());
}

pub(crate) fn read_stats(r: &mut Reader<'_>) -> Result<ColumnStats, Nonsense> {
    Ok(ColumnStats {
        min: read_datum(r)?,
        max: read_datum(r)?,
        null_count: r.varint()?,
        distinct: f64::from_bits(r.u64()?),
        avg_width: f64::from_bits(r.u64()?),
    })
}

fn write_datum(w: &mut Writer, datum: Option<&Datum>) {
    match datum {
        None | Some(Datum::Null) => w.u8(0),
        Some(Datum::Bool(v)) => {
            w.u8(1);
            w.u8(u8::from(*v));
        }
        Some(Datum::Int16(v)) => {
            w.u8(2);
            w.signed((*v).into());
        }
        Some(Datum::Int32(v)) => {
            w.u8(3);
            w.signed((*v).into());
        }
        Some(Datum::Int64(v)) => {
            w.u8(4);
            w.signed(*v);
        }
        Some(Datum::Float32(v)) => {
            w.u8(5);
            w.u32(v.to_bits());
        }
        Some(Datum::Float64(v)) => {
            w.u8(6);
            w.u64(v.to_bits());
        }
        Some(Datum::Decimal(v)) => {
            w.u8(7);
            w.raw(&v.to_le_bytes());
        }
        Some(Datum::Numeric(v)) => {
            w.u8(8);
            w.bytes(&v.encode());
        }
        Some(Datum::Text(v)) => {
            w.u8(9);
            w.bytes(v.as_bytes());
        }
        Some(Datum::Binary(v)) => {
            w.u8(10);
            w.bytes(v);
        }
        Some(Datum::Date(v)) => {
            w.u8(11);
            w.signed((*v).into());
        }
        Some(Datum::Time(v)) => {
            w.u8(12);
            w.signed(*v);
        }
        Some(Datum::Timestamp(v)) => {
            w.u8(13);
            w.signed(*v);
        }
        Some(Datum::Interval(v)) => {
            w.u8(14);
            w.signed(v.months.into());
            w.signed(v.days.into());
            w.signed(v.nanoseconds);
        }
        Some(Datum::Uuid(v)) => {
            w.u8(15);
            w.raw(v);
        }
    }
}

fn read_datum(r: &mut Reader<'_>) -> Result<Option<Datum>, Nonsense> {
    let small = |v: i64| i32::try_from(v).map_err(|_| "a bound is too large");
    Ok(Some(match r.u8()? {
        0 => return Ok(None),
        1 => Datum::Bool(r.u8()? != 0),
        2 => Datum::Int16(r.signed()?.try_into().map_err(|_| "a bound is too large")?),
        3 => Datum::Int32(small(r.signed()?)?),
        4 => Datum::Int64(r.signed()?),
        5 => Datum::Float32(f32::from_bits(r.u32()?)),
        6 => Datum::Float64(f64::from_bits(r.u64()?)),
        7 => Datum::Decimal(i128::from_le_bytes(r.array()?)),
        8 => Datum::Numeric(Numeric::decode(r.bytes()?).map_err(|_| "a bound is no number")?),
        9 => Datum::Text(r.str()?.into()),
        10 => Datum::Binary(r.bytes()?.into()),
        11 => Datum::Date(small(r.signed()?)?),
        12 => Datum::Time(r.signed()?),
        13 => Datum::Timestamp(r.signed()?),
        14 => {
            let (months, days) = (small(r.signed()?)?, small(r.signed()?)?);
            Datum::Interval(IntervalMonthDayNano::new(months, days, r.signed()?))
        }
        15 => Datum::Uuid(r.array()?),
        _ => return Err("a bound is of an unknown kind"),
    }))
}
