//! What the session knows: names, settings, types.

use std::sync::Arc;

use arrow::array::{BooleanArray, Int32Array, StringViewArray, StringViewBuilder};
use spg_expr::arity::{Str, ctx_map1, ctx_map2};
use spg_expr::{BindArgs, Column, EvalContext};
use spg_types::{Datum, Error, Result, SqlState, SqlType, def};

use crate::record::{functions, sig};
use crate::scalar::math::random_u64;

type Kernel = Arc<dyn spg_expr::Kernel>;

/// A text that the context holds.
fn known(_: &BindArgs<'_>, f: fn(&EvalContext) -> &str) -> Result<Kernel> {
    Ok(Arc::new(move |ctx: &EvalContext, _: &[Column], _: usize| -> Result<Column> {
        Ok(Column::Const(Arc::new(StringViewArray::from(vec![f(ctx)]))))
    }))
}

fn type_name(bind: &BindArgs<'_>) -> Result<Kernel> {
    let name = bind.arg_types[0].bare().to_string();
    Ok(Arc::new(move |_: &EvalContext, _: &[Column], _: usize| -> Result<Column> {
        Ok(Column::Const(Arc::new(StringViewArray::from(vec![name.as_str()]))))
    }))
}

fn setting(ctx: &EvalContext, name: &str) -> Option<String> {
    ctx.settings.get(name)
}

fn unknown_setting(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

/// Row by row, in order: each call sees what the one before has set.
fn set_config(_: &BindArgs<'_>) -> Result<Kernel> {
    Ok(Arc::new(|ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let (text, boolean) = (SqlType::new(&def::TEXT), SqlType::new(&def::BOOL));
        let mut out = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            let Datum::Text(name) = args[0].datum(row, text)? else {
                return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "SET requires parameter name"));
            };
            let value = match args[1].datum(row, text)? {
                Datum::Text(value) => Some(value),
                _ => None,
            };
            let local = matches!(args[2].datum(row, boolean)?, Datum::Bool(true));
            out.append_value(ctx.settings.set(&name, value.as_deref(), local)?);
        }
        Ok(Column::Array(Arc::new(out.finish())))
    }))
}

/// Random UUIDs (RFC 9562, version 4).
fn uuids(_: &BindArgs<'_>) -> Result<Kernel> {
    Ok(Arc::new(|_: &EvalContext, _: &[Column], rows: usize| -> Result<Column> {
        let mut out = arrow::array::FixedSizeBinaryBuilder::with_capacity(rows, 16);
        for _ in 0..rows {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&random_u64().to_be_bytes());
            bytes[8..].copy_from_slice(&random_u64().to_be_bytes());
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            out.append_value(bytes)?;
        }
        Ok(Column::Array(Arc::new(out.finish())))
    }))
}

functions! {
    STABLE VERSION: "version", "The server's name and version.", "version() LIKE 'PostgreSQL 15%'" => "t", [
        sig!([] => TEXT, |b| known(b, |c| &c.version)),
    ];
    STABLE CURRENT_DATABASE: "current_database", "The database's name.", "current_database() IS NOT NULL" => "t", [
        sig!([] => NAME, |b| known(b, |c| &c.database)),
    ];
    STABLE CURRENT_SCHEMA: "current_schema", "The schema that new tables go to.", "current_schema()" => "public", [
        sig!([] => NAME, |b| known(b, |c| &c.schema)),
    ];
    STABLE CURRENT_USER: "current_user", "The user whose rights apply.", "current_user IS NOT NULL" => "t", [
        sig!([] => NAME, |b| known(b, |c| &c.user)),
    ];
    STABLE SESSION_USER: "session_user", "The user who logged in.", "session_user IS NOT NULL" => "t", [
        sig!([] => NAME, |b| known(b, |c| &c.session_user)),
    ];
    STABLE PG_BACKEND_PID: "pg_backend_pid", "The number of the session, as cancel requests name it.", "pg_backend_pid() IS NOT NULL" => "t", [
        sig!([] => INT4, |_| Ok(Arc::new(|c: &EvalContext, _: &[Column], _: usize| -> Result<Column> {
            Ok(Column::Const(Arc::new(Int32Array::from(vec![c.backend_pid]))))
        }))),
    ];
    STABLE PG_IS_IN_RECOVERY: "pg_is_in_recovery", "Whether the server replays a log and takes no writes.", "pg_is_in_recovery()" => "f", [
        sig!([] => BOOL, |_| Ok(Arc::new(|_: &EvalContext, _: &[Column], _: usize| -> Result<Column> {
            Ok(Column::Const(Arc::new(BooleanArray::from(vec![false]))))
        }))),
    ];
    SETTING CURRENT_SETTING: "current_setting", "The value of a setting; of an unknown one, NULL when the second argument is true.", "current_setting('server_encoding')" => "UTF8", [
        sig!([TEXT] => TEXT, |b| ctx_map1::<Str, Str>(b, |ctx, name| {
            setting(ctx, name).map(Some).ok_or_else(|| unknown_setting(name))
        })),
        sig!([TEXT, BOOL] => TEXT, |b| ctx_map2::<Str, bool, Str>(b, |ctx, name, missing_ok| match setting(ctx, name) {
            None if !missing_ok => Err(unknown_setting(name)),
            value => Ok(value),
        })),
    ];
    ACTION SET_CONFIG: "set_config", "Sets a setting, for the transaction when the last argument is true; NULL sets its default.", "set_config('application_name', 'x', true)" => "x", [
        sig!([TEXT, TEXT, BOOL] => TEXT, set_config),
    ];
    FREEZE SPG_FREEZE: "spg_freeze", "Moves the rows of a table to the cold tier, compressed on disk; how many. Refused inside a transaction block.", "spg_freeze(NULL) IS NULL" => "t", [
        sig!([TEXT] => INT8, |b| ctx_map1::<Str, i64>(b, |ctx, table| ctx.storage.freeze(table).map(Some))),
    ];
    FREEZE SPG_COMPACT: "spg_compact", "Writes the rows of a table in the cold tier anew where they lie in more files than they need or among deleted rows; how many. Refused inside a transaction block.", "spg_compact(NULL) IS NULL" => "t", [
        sig!([TEXT] => INT8, |b| ctx_map1::<Str, i64>(b, |ctx, table| ctx.storage.compact(table).map(Some))),
    ];
    LENIENT PG_TYPEOF: "pg_typeof", "The name of the argument's type.", "pg_typeof(33)" => "integer", [
        sig!([ANY] => TEXT, type_name),
    ];
    RANDOM GEN_RANDOM_UUID: "gen_random_uuid", "A random UUID of version 4.", "gen_random_uuid() IS NOT NULL" => "t", [
        sig!([] => UUID, uuids),
    ];
}
