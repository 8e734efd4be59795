//! Comparison operators. Floats order NaN last and equal to itself; texts order by bytes.

use spg_expr::{Comparison, Function, comparison_kernel};

use crate::record::{TOTAL, sig};

/// The overloads of a comparison operator.
macro_rules! comparison {
    ($cmp:expr) => {
        &[
            comparison!(@ $cmp, INT4 INT4), comparison!(@ $cmp, INT8 INT8), comparison!(@ $cmp, INT2 INT2),
            comparison!(@ $cmp, INT2 INT4), comparison!(@ $cmp, INT2 INT8), comparison!(@ $cmp, INT4 INT2),
            comparison!(@ $cmp, INT4 INT8), comparison!(@ $cmp, INT8 INT2), comparison!(@ $cmp, INT8 INT4),
            comparison!(@ $cmp, FLOAT8 FLOAT8), comparison!(@ $cmp, FLOAT4 FLOAT4),
            comparison!(@ $cmp, FLOAT4 FLOAT8), comparison!(@ $cmp, FLOAT8 FLOAT4),
            comparison!(@ $cmp, NUMERIC NUMERIC),
            comparison!(@ $cmp, TEXT TEXT), comparison!(@ $cmp, BPCHAR BPCHAR), comparison!(@ $cmp, NAME NAME),
            comparison!(@ $cmp, NAME TEXT), comparison!(@ $cmp, TEXT NAME),
            comparison!(@ $cmp, BYTEA BYTEA), comparison!(@ $cmp, BOOL BOOL),
            comparison!(@ $cmp, DATE DATE), comparison!(@ $cmp, TIMESTAMP TIMESTAMP),
            comparison!(@ $cmp, TIMESTAMPTZ TIMESTAMPTZ), comparison!(@ $cmp, DATE TIMESTAMP),
            comparison!(@ $cmp, DATE TIMESTAMPTZ), comparison!(@ $cmp, TIMESTAMP DATE),
            comparison!(@ $cmp, TIMESTAMP TIMESTAMPTZ), comparison!(@ $cmp, TIMESTAMPTZ DATE),
            comparison!(@ $cmp, TIMESTAMPTZ TIMESTAMP),
            comparison!(@ $cmp, TIME TIME), comparison!(@ $cmp, INTERVAL INTERVAL),
            comparison!(@ $cmp, UUID UUID), comparison!(@ $cmp, OID OID),
        ]
    };
    (@ $cmp:expr, $a:ident $b:ident) => { sig!([$a, $b] => BOOL, |b| comparison_kernel(b, $cmp)) };
}

macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident, $symbol:literal, $text:literal, $example:literal, $result:literal, $cmp:ident, $strict:literal;)*) => {$(
        $(#[$doc])*
        pub(super) static $name: Function = Function {
            name: $symbol,
            doc: $text,
            example: ($example, $result),
            comparison: Some(Comparison::$cmp),
            strict: $strict,
            signatures: comparison!(Comparison::$cmp),
            ..TOTAL
        };
    )*};
}

operators! {
    /// `=`
    EQUAL, "=", "Whether both are equal.", "2 = 3", "f", Eq, true;
    /// `<>`
    NOT_EQUAL, "<>", "Whether they differ.", "2 <> 3", "t", NotEq, true;
    /// `<`
    LESS, "<", "Whether the first comes before the second.", "2 < 3", "t", Lt, true;
    /// `<=`
    LESS_EQUAL, "<=", "Whether the first does not come after the second.", "2 <= 3", "t", LtEq, true;
    /// `>`
    GREATER, ">", "Whether the first comes after the second.", "2 > 3", "f", Gt, true;
    /// `>=`
    GREATER_EQUAL, ">=", "Whether the first does not come before the second.", "2 >= 3", "f", GtEq, true;
    /// `IS DISTINCT FROM`
    DISTINCT, "is distinct from", "Whether they differ, NULL being a value like others.", "NULL::int4 IS DISTINCT FROM 1", "t", IsDistinctFrom, false;
    /// `IS NOT DISTINCT FROM`
    NOT_DISTINCT, "is not distinct from", "Whether both are equal, NULL being equal to NULL.", "NULL::int4 IS NOT DISTINCT FROM NULL", "t", IsNotDistinctFrom, false;
}
