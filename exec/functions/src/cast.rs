//! Casts: one record per pair of types, in PostgreSQL's contexts (`pg_cast`), and a text form both ways for every type.

mod moment;
mod number;
mod string;

use std::sync::{Arc, LazyLock};

use spg_expr::{BindArgs, CastContext, CastDef, Column, EvalContext, Kernel};
use spg_types::{Result, TYPES, def};

pub(crate) use number::{f64_to_numeric, numeric_to_f64};

/// Every cast.
pub(crate) static LIST: LazyLock<Vec<&'static CastDef>> = LazyLock::new(|| {
    let written = number::LIST.iter().chain(moment::LIST).chain(string::LIST).collect::<Vec<_>>();
    let known = |from: u32, to: u32| written.iter().any(|c| c.from.oid == from && c.to.oid == to);
    let strings = [&def::TEXT, &def::VARCHAR, &def::BPCHAR, &def::NAME];
    let mut casts = written.clone();
    for ty in TYPES.iter().filter(|t| t.category != spg_types::Category::Pseudo) {
        for string in strings {
            // Every type writes itself as text, on assignment too, and reads itself where asked for.
            for (from, to, context, bind) in [
                (*ty, string, CastContext::Assignment, string::write as Bind),
                (string, *ty, CastContext::Explicit, string::read as Bind),
            ] {
                if from.oid != to.oid
                    && from.oid != def::UNKNOWN.oid
                    && to.oid != def::UNKNOWN.oid
                    && !known(from.oid, to.oid)
                    && !casts.iter().any(|c| c.from.oid == from.oid && c.to.oid == to.oid)
                {
                    casts.push(Box::leak(Box::new(CastDef { from, to, context, relabel: false, bind })));
                }
            }
        }
    }
    casts
});

type Bind = fn(&BindArgs<'_>, bool) -> Result<Arc<dyn Kernel>>;

/// A cast that changes nothing.
fn same(_: &BindArgs<'_>, _: bool) -> Result<Arc<dyn Kernel>> {
    Ok(Arc::new(|_: &EvalContext, args: &[Column], _: usize| -> Result<Column> { Ok(args[0].clone()) }))
}

/// `cast!(INT2, INT4, Implicit, bind)`
macro_rules! cast {
    ($from:ident, $to:ident, $context:ident, $bind:expr) => {
        spg_expr::CastDef {
            from: &spg_types::def::$from,
            to: &spg_types::def::$to,
            context: spg_expr::CastContext::$context,
            relabel: false,
            bind: $bind,
        }
    };
    ($from:ident, $to:ident, $context:ident, relabel $bind:expr) => {
        spg_expr::CastDef { relabel: true, ..cast!($from, $to, $context, $bind) }
    };
}
use cast;
