//! Type names: what `numeric(15,2)` in a column definition or a cast means.

use spg_sql::ast::{CharacterLength, DataType, ExactNumberInfo, IntervalFields, TimezoneInfo, TypeModifier};
use spg_types::{Error, Result, SqlState, SqlType, TypeDef, def, type_by_name};

/// The type that a type name means; 42704 for an unknown one, 0A000 for one we lack.
pub(super) fn sql_type(ty: &DataType) -> Result<SqlType> {
    use DataType as D;
    let bare = |def: &'static TypeDef| Ok(SqlType::new(def));
    match ty {
        D::Bool | D::Boolean => bare(&def::BOOL),
        D::SmallInt(None) | D::Int2(None) => bare(&def::INT2),
        D::Int(None) | D::Integer(None) | D::Int4(None) => bare(&def::INT4),
        D::BigInt(None) | D::Int8(None) => bare(&def::INT8),
        D::Real | D::Float4 => bare(&def::FLOAT4),
        D::Double(ExactNumberInfo::None) | D::DoublePrecision | D::Float8 => bare(&def::FLOAT8),
        D::Float(info) => float(info),
        D::Numeric(info) | D::Decimal(info) | D::Dec(info) => numeric(info),
        D::Text => bare(&def::TEXT),
        D::Varchar(n) | D::CharacterVarying(n) | D::CharVarying(n) => text(&def::VARCHAR, n.as_ref(), None),
        D::Char(n) | D::Character(n) => text(&def::BPCHAR, n.as_ref(), Some(1)),
        D::Bytea => bare(&def::BYTEA),
        D::Uuid => bare(&def::UUID),
        D::Date => bare(&def::DATE),
        D::Time(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => precision(&def::TIME, *p),
        D::Timestamp(p, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => precision(&def::TIMESTAMP, *p),
        D::Timestamp(p, _) => precision(&def::TIMESTAMPTZ, *p),
        D::Interval { fields, precision } => interval(fields.as_ref(), *precision),
        D::Custom(name, modifiers) => named(&spg_sql::folded_name(name), modifiers),
        other => Err(no_such_type(&other.to_string().to_lowercase())),
    }
}

fn no_such_type(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

fn with_modifiers(def: &'static TypeDef, modifiers: &[i64]) -> Result<SqlType> {
    if modifiers.is_empty() {
        return Ok(SqlType::new(def));
    }
    Ok(SqlType::with_typmod(def, (def.typmod_in)(modifiers)?))
}

fn numeric(info: &ExactNumberInfo) -> Result<SqlType> {
    match info {
        ExactNumberInfo::None => Ok(SqlType::new(&def::NUMERIC)),
        ExactNumberInfo::Precision(p) => with_modifiers(&def::NUMERIC, &[clamp(*p)]),
        ExactNumberInfo::PrecisionAndScale(p, s) => with_modifiers(&def::NUMERIC, &[clamp(*p), *s]),
    }
}

fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn float(info: &ExactNumberInfo) -> Result<SqlType> {
    const MAX_FLOAT4_BITS: u64 = 24;
    const MAX_FLOAT8_BITS: u64 = 53;
    match info {
        ExactNumberInfo::Precision(0) => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "precision for type float must be at least 1 bit",
        )),
        ExactNumberInfo::Precision(n) if *n <= MAX_FLOAT4_BITS => Ok(SqlType::new(&def::FLOAT4)),
        ExactNumberInfo::Precision(n) if *n > MAX_FLOAT8_BITS => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "precision for type float must be less than 54 bits",
        )),
        _ => Ok(SqlType::new(&def::FLOAT8)),
    }
}

fn text(def: &'static TypeDef, length: Option<&CharacterLength>, default: Option<i64>) -> Result<SqlType> {
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => with_modifiers(def, &[clamp(*length)]),
        Some(CharacterLength::Max) => {
            Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"max\""))
        }
        None => with_modifiers(def, default.as_slice()),
    }
}

fn precision(def: &'static TypeDef, precision: Option<u64>) -> Result<SqlType> {
    with_modifiers(def, &precision.map(clamp).into_iter().collect::<Vec<_>>())
}

/// Bits of PostgreSQL's interval typmod, one per field.
pub(super) mod interval_mask {
    pub(in super::super) const YEAR: i32 = 1 << 2;
    pub(in super::super) const MONTH: i32 = 1 << 1;
    pub(in super::super) const DAY: i32 = 1 << 3;
    pub(in super::super) const HOUR: i32 = 1 << 10;
    pub(in super::super) const MINUTE: i32 = 1 << 11;
    pub(in super::super) const SECOND: i32 = 1 << 12;
}

const INTERVAL_FULL_RANGE: i32 = 0x7FFF;
const INTERVAL_FULL_PRECISION: i32 = 0xFFFF;

/// PostgreSQL's typmod of `interval` with fields and precision.
pub(super) fn interval_type(mask: Option<i32>, precision: Option<u64>) -> SqlType {
    let precision = precision.and_then(|p| i32::try_from(p.min(6)).ok());
    match (mask, precision) {
        (None, None) => SqlType::new(&def::INTERVAL),
        (mask, p) => SqlType::with_typmod(
            &def::INTERVAL,
            mask.unwrap_or(INTERVAL_FULL_RANGE) << 16 | p.unwrap_or(INTERVAL_FULL_PRECISION),
        ),
    }
}

fn interval(fields: Option<&IntervalFields>, precision: Option<u64>) -> Result<SqlType> {
    use interval_mask::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
    let mask = fields.map(|f| match f {
        IntervalFields::Year => YEAR,
        IntervalFields::Month => MONTH,
        IntervalFields::Day => DAY,
        IntervalFields::Hour => HOUR,
        IntervalFields::Minute => MINUTE,
        IntervalFields::Second => SECOND,
        IntervalFields::YearToMonth => YEAR | MONTH,
        IntervalFields::DayToHour => DAY | HOUR,
        IntervalFields::DayToMinute => DAY | HOUR | MINUTE,
        IntervalFields::DayToSecond => DAY | HOUR | MINUTE | SECOND,
        IntervalFields::HourToMinute => HOUR | MINUTE,
        IntervalFields::HourToSecond => HOUR | MINUTE | SECOND,
        IntervalFields::MinuteToSecond => MINUTE | SECOND,
    });
    Ok(interval_type(mask, precision))
}

fn named(name: &[String], modifiers: &[TypeModifier]) -> Result<SqlType> {
    let (schema, name) = match name {
        [name] => (None, name),
        [schema, name] => (Some(schema.as_str()), name),
        _ => return Err(Error::new(SqlState::SYNTAX_ERROR, "improper type name (too many dotted names)")),
    };
    let unsupported = ["serial", "serial4", "serial8", "bigserial", "smallserial", "serial2"];
    if unsupported.contains(&name.as_str()) {
        return Err(Error::unsupported(format!("type {name} is not supported")));
    }
    match type_by_name(name) {
        Some(def)
            if schema.is_none_or(|s| s == "pg_catalog") && def.category != spg_types::Category::Unknown =>
        {
            let modifiers: Vec<i64> = modifiers
                .iter()
                .map(|m| match m {
                    TypeModifier::Number(n, _) => n.parse().ok(),
                    TypeModifier::String(s) => s.parse().ok(),
                    TypeModifier::Identifier(_) => None,
                })
                .collect::<Option<_>>()
                .ok_or_else(|| {
                    Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "type modifiers must be simple constants or identifiers",
                    )
                })?;
            with_modifiers(def, &modifiers)
        }
        _ => Err(no_such_type(&schema.map_or(name.clone(), |s| format!("{s}.{name}")))),
    }
}
