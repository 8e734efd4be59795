//! The function library: operators, scalar functions, aggregates, window functions, table functions and casts, as
//! constant records. One file per function or tight family, one line in its list.

mod aggregate;
mod arith;
mod cast;
mod decimal;
mod error;
mod like;
mod moment;
mod operators;
mod pgregex;
mod record;
mod scalar;
mod text;
mod window;

use std::sync::LazyLock;

use spg_expr::{Aggregate, Function, Registry, WindowFunction};

/// Everything with a name.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        let functions: Vec<&'static Function> = functions().collect();
        Registry::new(&functions, aggregate::LIST, window::LIST, &cast::LIST)
    });
    &REGISTRY
}

/// Every operator and scalar function.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [operators::LIST].into_iter().chain(scalar::LISTS.iter().copied()).flatten().copied()
}

/// Every aggregate.
pub fn aggregates() -> &'static [&'static Aggregate] {
    aggregate::LIST
}

/// Every window function.
pub fn windows() -> &'static [&'static WindowFunction] {
    window::LIST
}

#[cfg(test)]
mod tests;
