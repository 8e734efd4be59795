//! All functions, operators, casts, aggregates and window functions by name: what the binder looks things up in.

use ahash::AHashMap;
use spg_types::TypeDef;

use crate::{Aggregate, CastDef, Function, WindowFunction};

/// The function library, indexed. Made once, from the library's lists.
pub struct Registry {
    functions: AHashMap<&'static str, &'static Function>,
    aggregates: AHashMap<&'static str, &'static Aggregate>,
    windows: AHashMap<&'static str, &'static WindowFunction>,
    casts: AHashMap<(u32, u32), &'static CastDef>,
}

impl Registry {
    /// Indexes the lists. A name that stands twice in one list is a defect; the library's tests refuse it.
    pub fn new(
        functions: &[&'static Function],
        aggregates: &[&'static Aggregate],
        windows: &[&'static WindowFunction],
        casts: &[&'static CastDef],
    ) -> Self {
        Self {
            functions: functions.iter().map(|f| (f.name, *f)).collect(),
            aggregates: aggregates.iter().map(|f| (f.name, *f)).collect(),
            windows: windows.iter().map(|f| (f.name, *f)).collect(),
            casts: casts.iter().map(|c| ((c.from.oid, c.to.oid), *c)).collect(),
        }
    }

    /// The scalar function or operator of that name.
    pub fn function(&self, name: &str) -> Option<&'static Function> {
        self.functions.get(name).copied()
    }

    /// The aggregate of that name.
    pub fn aggregate(&self, name: &str) -> Option<&'static Aggregate> {
        self.aggregates.get(name).copied()
    }

    /// The window function of that name.
    pub fn window(&self, name: &str) -> Option<&'static WindowFunction> {
        self.windows.get(name).copied()
    }

    /// The cast between two types; the same type on both sides is the one that applies a modifier.
    pub fn cast(&self, from: &TypeDef, to: &TypeDef) -> Option<&'static CastDef> {
        self.casts.get(&(from.oid, to.oid)).copied()
    }
}
