//! The clock.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use spg_expr::arity::lane_array;
use spg_expr::{BindArgs, Column, EvalContext};
use spg_types::Result;

use crate::record::{functions, sig};

type Kernel = Arc<dyn spg_expr::Kernel>;

fn moment(bind: &BindArgs<'_>, f: fn(&EvalContext) -> i64) -> Result<Kernel> {
    let ty = bind.return_type;
    Ok(Arc::new(move |ctx: &EvalContext, _: &[Column], _: usize| -> Result<Column> {
        Ok(Column::Const(lane_array(vec![f(ctx)], None, ty.data_type())?))
    }))
}

fn clock(_: &EvalContext) -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

functions! {
    STABLE NOW: "now", "The transaction's start.", "now() = transaction_timestamp()" => "t", [
        sig!([] => TIMESTAMPTZ, |b| moment(b, |c| c.format.now_us)),
    ];
    STABLE TRANSACTION_TIMESTAMP: "transaction_timestamp", "The transaction's start.", "transaction_timestamp() <= clock_timestamp()" => "t", [
        sig!([] => TIMESTAMPTZ, |b| moment(b, |c| c.format.now_us)),
    ];
    STABLE STATEMENT_TIMESTAMP: "statement_timestamp", "The statement's start.", "statement_timestamp() >= now()" => "t", [
        sig!([] => TIMESTAMPTZ, |b| moment(b, |c| c.statement_now_us)),
    ];
    RANDOM CLOCK_TIMESTAMP: "clock_timestamp", "The time of day as the statement goes on.", "clock_timestamp() >= now()" => "t", [
        sig!([] => TIMESTAMPTZ, |b| moment(b, clock)),
    ];
}
