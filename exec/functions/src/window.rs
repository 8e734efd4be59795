//! Window functions.

mod distribution;
mod rank;
mod value;

use spg_expr::WindowFunction;

/// `win!([INT4] 0 => INT4, bind)`: an overload; the number says how many of the last parameters may be left out.
macro_rules! win {
    ([$($arg:ident),*] $optional:literal => $ret:ident, $bind:expr) => {
        spg_expr::WindowSignature {
            args: &[$($crate::record::arg::$arg),*],
            optional: $optional,
            returns: $crate::record::ret::$ret,
            bind: $bind,
        }
    };
}
use win;

/// Every window function.
pub(crate) static LIST: &[&WindowFunction] = &[
    &rank::ROW_NUMBER,
    &rank::RANK,
    &rank::DENSE_RANK,
    &distribution::PERCENT_RANK,
    &distribution::CUME_DIST,
    &distribution::NTILE,
    &value::LAG,
    &value::LEAD,
    &value::FIRST_VALUE,
    &value::LAST_VALUE,
    &value::NTH_VALUE,
];
