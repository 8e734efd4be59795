//! Aggregates.

mod any_value;
mod average;
mod boolean;
mod count;
mod extreme;
mod groups;
mod ordered_set;
mod regression;
mod string;
mod sum;
mod total;
mod variance;

use spg_expr::Aggregate;

/// An aggregate to which order means nothing and duplicates do; records name what differs.
const AGGREGATE: Aggregate = Aggregate {
    name: "",
    doc: "",
    example: ("", ""),
    order_sensitive: false,
    duplicate_insensitive: false,
    zero_when_empty: false,
    ordered_set: false,
    signatures: &[],
};

/// `agg!([INT4] => INT8, bind)`: an overload; `=> of f` computes the result's type.
macro_rules! agg {
    ([$($arg:ident),*] => of $ret:expr, $bind:expr) => {
        spg_expr::AggregateSignature {
            args: &[$($crate::record::arg::$arg),*],
            returns: spg_expr::ReturnType::Of($ret),
            bind: $bind,
        }
    };
    ([$($arg:ident),*] => $ret:ident, $bind:expr) => {
        spg_expr::AggregateSignature {
            args: &[$($crate::record::arg::$arg),*],
            returns: $crate::record::ret::$ret,
            bind: $bind,
        }
    };
}
use agg;

/// Every aggregate.
pub(crate) static LIST: &[&Aggregate] = &[
    &count::COUNT,
    &sum::SUM,
    &average::AVG,
    &any_value::ANY_VALUE,
    &extreme::MIN,
    &extreme::MAX,
    &boolean::BOOL_AND,
    &boolean::EVERY,
    &boolean::BOOL_OR,
    &boolean::BIT_AND,
    &boolean::BIT_OR,
    &boolean::BIT_XOR,
    &string::STRING_AGG,
    &ordered_set::MODE,
    &ordered_set::PERCENTILE_CONT,
    &ordered_set::PERCENTILE_DISC,
    &variance::STDDEV,
    &variance::STDDEV_SAMP,
    &variance::STDDEV_POP,
    &variance::VARIANCE,
    &variance::VAR_SAMP,
    &variance::VAR_POP,
    &regression::CORR,
    &regression::COVAR_POP,
    &regression::COVAR_SAMP,
    &regression::REGR_AVGX,
    &regression::REGR_AVGY,
    &regression::REGR_COUNT,
    &regression::REGR_INTERCEPT,
    &regression::REGR_R2,
    &regression::REGR_SLOPE,
    &regression::REGR_SXX,
    &regression::REGR_SXY,
    &regression::REGR_SYY,
];
