//! What a value is: types and their records, representations, single values, text and binary forms, table
//! definitions, errors.
//!
//! [`TypeDef`] is the one place that knows a SQL type; [`Repr`] is all that kernels look at; every error is an
//! [`Error`] with its [`SqlState`].

mod builder;
pub mod datetime;
mod datum;
pub mod def;
mod error;
pub mod number;
mod numeric;
mod repr;
mod schema;
mod settings;
mod sql_type;
mod sqlstate;
mod storage_parameter;

pub use builder::ColumnBuilder;
pub use datum::{Datum, compare_floats};
pub use def::{TYPES, type_by_name, type_by_oid};
pub use error::{Error, Result};
pub use numeric::Numeric;
pub use repr::Repr;
pub use schema::{
    CheckDef, ColumnDef, ColumnStats, ForeignKeyAction, ForeignKeyDef, IndexColumn, IndexDef, IndexId,
    IndexOrigin, TableDef, TableId, TableRef, TableStats,
};
pub use settings::{ByteaFormat, DateFormat, DateOrder, FormatSettings, IntervalFormat};
pub use sql_type::{Category, Modifier, SqlType, TypeDef, ValueWriter};
pub use sqlstate::SqlState;
pub use storage_parameter::{STORAGE_PARAMETERS, StorageParameter, TableOptions};
