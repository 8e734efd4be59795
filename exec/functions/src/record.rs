//! How records are written down: signatures in one line, the usual properties as defaults.

use spg_expr::{Function, Volatility};

/// A strict, immutable function that may fail; records name what differs.
pub(crate) const FUNCTION: Function = Function {
    name: "",
    doc: "",
    example: ("", ""),
    parameters: &[],
    volatility: Volatility::Immutable,
    strict: true,
    infallible: false,
    comparison: None,
    signatures: &[],
};

/// [`FUNCTION`] that never fails.
pub(crate) const TOTAL: Function = Function { infallible: true, ..FUNCTION };

/// [`TOTAL`] that gives the same throughout a statement.
pub(crate) const STABLE: Function = Function { volatility: Volatility::Stable, ..TOTAL };

/// [`TOTAL`] that gives something else each time.
pub(crate) const RANDOM: Function = Function { volatility: Volatility::Volatile, ..TOTAL };

/// [`FUNCTION`] that sees NULL.
pub(crate) const LENIENT: Function = Function { strict: false, ..FUNCTION };

/// [`LENIENT`] that does something: never folded, never left out.
pub(crate) const ACTION: Function = Function { volatility: Volatility::Volatile, ..LENIENT };

/// [`FUNCTION`] that does something: never folded, never left out, not called with NULL.
pub(crate) const FREEZE: Function = Function { volatility: Volatility::Volatile, ..FUNCTION };

/// [`FUNCTION`] that the session's settings bear upon.
pub(crate) const SETTING: Function = Function { volatility: Volatility::Stable, ..FUNCTION };

/// [`SETTING`] that sees NULL.
pub(crate) const LENIENT_SETTING: Function = Function { strict: false, ..SETTING };

/// Parameter types by name.
pub(crate) mod arg {
    use spg_expr::ArgType;
    use spg_types::def;

    macro_rules! args {
        ($($name:ident)*) => {$(pub(crate) const $name: ArgType = ArgType::Exact(&def::$name);)*};
    }
    args!(BOOL INT2 INT4 INT8 FLOAT4 FLOAT8 NUMERIC TEXT BPCHAR BYTEA DATE TIME TIMESTAMP TIMESTAMPTZ INTERVAL UUID OID NAME);
    /// PostgreSQL's `"any"`.
    pub(crate) const ANY: ArgType = ArgType::Any;
    /// PostgreSQL's `anycompatible`.
    pub(crate) const SAME: ArgType = ArgType::AnyCompatible;
}

/// Result types by name.
pub(crate) mod ret {
    use spg_expr::ReturnType;
    use spg_types::def;

    macro_rules! rets {
        ($($name:ident)*) => {$(pub(crate) const $name: ReturnType = ReturnType::Exact(&def::$name);)*};
    }
    rets!(BOOL INT2 INT4 INT8 FLOAT4 FLOAT8 NUMERIC TEXT BYTEA DATE TIME TIMESTAMP TIMESTAMPTZ INTERVAL UUID OID NAME VOID RECORD);
    /// The type that `anycompatible` became.
    pub(crate) const SAME: ReturnType = ReturnType::Compatible;
}

/// `sig!([INT4, INT4] => INT4, bind)`: a signature; `=> of f` computes the result's type; `..` after the last parameter
/// lets it repeat.
macro_rules! sig {
    ([$($arg:ident),*] => of $ret:expr, $bind:expr) => {
        sig!(@ [$($arg),*] false, spg_expr::ReturnType::Of($ret), $bind)
    };
    ([$($arg:ident),*] => $ret:ident, $bind:expr) => {
        sig!(@ [$($arg),*] false, $crate::record::ret::$ret, $bind)
    };
    ([$($arg:ident),* ..] => $ret:ident, $bind:expr) => {
        sig!(@ [$($arg),*] true, $crate::record::ret::$ret, $bind)
    };
    (@ [$($arg:ident),*] $variadic:expr, $ret:expr, $bind:expr) => {
        spg_expr::Signature {
            args: &[$($crate::record::arg::$arg),*],
            variadic: $variadic,
            returns: $ret,
            bind: $bind,
        }
    };
}
pub(crate) use sig;

/// A family's records and its list: `TOTAL NAME: "name", "What it does.", "example" => "result", [signatures];`. Names of parameters
/// stand behind the function's: `"name" ("year" "month")`.
macro_rules! functions {
    ($($base:ident $name:ident: $sql:literal $(($($parameter:literal)+))?, $doc:literal, $example:literal => $result:literal, $signatures:expr;)*) => {
        $(
            #[doc = concat!("`", $sql, "`")]
            static $name: spg_expr::Function = spg_expr::Function {
                name: $sql,
                doc: $doc,
                example: ($example, $result),
                $(parameters: &[$($parameter),+],)?
                signatures: &$signatures,
                ..$crate::record::$base
            };
        )*
        /// The family.
        pub(crate) static LIST: &[&spg_expr::Function] = &[$(&$name),*];
    };
}
pub(crate) use functions;
