//! What a type is: the constant record per SQL type ([`TypeDef`]) and a type with its modifier ([`SqlType`]).

use std::fmt;
use std::hash::{Hash, Hasher};

use arrow::array::Array;
use arrow::datatypes::{DataType, Field};

use crate::{ColumnBuilder, FormatSettings, Repr, Result};

/// PostgreSQL's `pg_type.typcategory`: what implicit casts and overload resolution go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// `B`
    Boolean,
    /// `D`
    DateTime,
    /// `N`
    Numeric,
    /// `P`
    Pseudo,
    /// `S`
    String,
    /// `T`
    Timespan,
    /// `U`
    User,
    /// `X`
    Unknown,
}

/// Writes one value of a column in a text or binary form; made once per column and batch.
pub type ValueWriter<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// All that SPG knows about one SQL type. One constant per type, in a file of its own under `def/`, listed
/// once in [`crate::TYPES`].
pub struct TypeDef {
    /// `pg_type.oid`.
    pub oid: u32,
    /// `pg_type.oid` of the array over it; 0 for pseudo-types.
    pub array_oid: u32,
    /// `pg_type.typname`: `int4`, `bpchar`.
    pub name: &'static str,
    /// The name in SQL and in messages: `integer`, `character`.
    pub sql_name: &'static str,
    /// Other names accepted in SQL (lower case): `int`, `decimal`.
    pub aliases: &'static [&'static str],
    /// Category for implicit casts.
    pub category: Category,
    /// Whether it is its category's preferred type.
    pub preferred: bool,
    /// `pg_type.typlen`: bytes, or -1 for variable length, -2 for C strings.
    pub len: i16,
    /// The representation of its values under a modifier.
    pub repr: fn(Modifier) -> Repr,
    /// `(...)` after the name: parses type modifiers ("numeric(15,2)" gives `[15, 2]`) into PostgreSQL's typmod.
    /// 22023 when out of range; types without modifiers answer 42601.
    pub typmod_in: fn(&[i64]) -> Result<i32>,
    /// The modifier as it stands after the name, `(15,2)`; empty for -1.
    pub typmod_out: fn(i32) -> String,
    /// Appends the value that a text spells, under the type's modifier; 22P02 (or 22007, 22008, 22003, 22001) when it does not.
    pub text_in: fn(&str, SqlType, &FormatSettings, &mut ColumnBuilder) -> Result<()>,
    /// A writer of PostgreSQL's text output for a flat array of this type's representation. Rows must be valid (not null).
    pub text_out: for<'a> fn(&'a dyn Array, SqlType, &'a FormatSettings) -> ValueWriter<'a>,
    /// Appends the value in PostgreSQL's binary format; 22P03 when malformed.
    pub binary_in: fn(&[u8], SqlType, &mut ColumnBuilder) -> Result<()>,
    /// A writer of PostgreSQL's binary output (without the length word). Rows must be valid.
    pub binary_out: for<'a> fn(&'a dyn Array, SqlType) -> ValueWriter<'a>,
    /// One sentence for the reference.
    pub doc: &'static str,
}

impl fmt::Debug for TypeDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A type's modifier: PostgreSQL's typmod, and for expressions over numbers the scale that the binder derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// None: typmod -1.
    None,
    /// Declared: PostgreSQL's typmod, as clients see it.
    Declared(i32),
    /// A number of at most `precision` digits, `scale` of them after the point, known without being declared:
    /// literals, sums and products. Clients see typmod -1.
    Derived {
        /// All digits.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
}

/// A type with its modifier: what a column or an expression has.
#[derive(Clone, Copy)]
pub struct SqlType {
    /// Its record.
    pub def: &'static TypeDef,
    /// Its modifier.
    pub modifier: Modifier,
}

impl SqlType {
    /// The type without a modifier.
    pub const fn new(def: &'static TypeDef) -> Self {
        Self { def, modifier: Modifier::None }
    }

    /// The type with PostgreSQL's typmod (-1 for none).
    pub const fn with_typmod(def: &'static TypeDef, typmod: i32) -> Self {
        Self { def, modifier: if typmod < 0 { Modifier::None } else { Modifier::Declared(typmod) } }
    }

    /// `numeric` with a derived precision and scale; without them when the precision is above 38 digits.
    pub fn numeric(precision: u32, scale: u32) -> Self {
        let modifier = if precision <= 38 && scale <= precision.max(scale).min(38) {
            Modifier::Derived { precision: precision.max(scale).max(1) as u8, scale: scale as u8 }
        } else {
            Modifier::None
        };
        Self { def: &crate::def::NUMERIC, modifier }
    }

    /// Its representation.
    pub fn repr(self) -> Repr {
        (self.def.repr)(self.modifier)
    }

    /// Its flat Arrow type.
    pub fn data_type(self) -> DataType {
        self.repr().data_type()
    }

    /// PostgreSQL's typmod, -1 for none: what RowDescription carries.
    pub fn typmod(self) -> i32 {
        match self.modifier {
            Modifier::Declared(m) => m,
            Modifier::None | Modifier::Derived { .. } => -1,
        }
    }

    /// Precision and scale of a `numeric` that has them, declared or derived; none when the scale is negative.
    pub fn precision_scale(self) -> Option<(u32, u32)> {
        match self.modifier {
            Modifier::Derived { precision, scale } => Some((precision.into(), scale.into())),
            Modifier::Declared(m) if self.def.oid == crate::def::NUMERIC.oid => {
                let (precision, scale) = crate::def::declared_numeric(m);
                Some((precision, u32::try_from(scale).ok()?))
            }
            _ => None,
        }
    }

    /// The same type without its modifier.
    #[must_use]
    pub fn bare(self) -> Self {
        Self::new(self.def)
    }

    /// Whether both are the same type, whatever their modifiers.
    pub fn same_def(self, other: Self) -> bool {
        self.def.oid == other.def.oid
    }

    /// Whether this is `def`, whatever the modifier.
    pub fn is(self, def: &TypeDef) -> bool {
        self.def.oid == def.oid
    }

    /// An Arrow field of this type; nullable.
    pub fn field(self, name: &str) -> Field {
        Field::new(name, self.data_type(), true)
    }
}

impl PartialEq for SqlType {
    fn eq(&self, other: &Self) -> bool {
        self.def.oid == other.def.oid && self.modifier == other.modifier
    }
}

impl Eq for SqlType {}

impl Hash for SqlType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.def.oid.hash(state);
        self.modifier.hash(state);
    }
}

impl fmt::Debug for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.modifier {
            Modifier::Derived { precision, scale } => write!(f, "{}~({precision},{scale})", self.def.name),
            _ => write!(f, "{self}"),
        }
    }
}

/// As `format_type` prints it: `numeric(15,2)`, `character varying(25)`, `timestamp(3) without time zone`.
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modifier = match self.modifier {
            Modifier::Declared(m) => (self.def.typmod_out)(m),
            Modifier::None | Modifier::Derived { .. } => String::new(),
        };
        match self.def.sql_name.split_once(' ') {
            Some((head @ ("time" | "timestamp"), tail)) => write!(f, "{head}{modifier} {tail}"),
            _ => write!(f, "{}{modifier}", self.def.sql_name),
        }
    }
}
