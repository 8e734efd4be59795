//! What operators cost, in the time that one row takes through a hash probe that hits the cache.
//!
//! Only the relations between these numbers matter: they decide join order, build sides and access paths.

/// Reading a row of a scan, per column read.
pub(crate) const SCAN_COLUMN: f64 = 0.06;
/// Evaluating one conjunct on a row.
pub(crate) const CONJUNCT: f64 = 0.1;
/// Computing one expression of a projection.
pub(crate) const EXPRESSION: f64 = 0.15;
/// Putting a joined row out.
const OUTPUT: f64 = 0.4;
/// Comparing two rows in a nested loop.
const PAIR: f64 = 0.06;
/// Finding a key in an index and fetching its row.
pub(crate) const INDEX_PROBE: f64 = 60.0;
/// Fetching one more row of an index range.
pub(crate) const INDEX_ROW: f64 = 40.0;

/// How much slower a hash table of `rows` is for missing the caches.
fn miss(rows: f64) -> f64 {
    match rows {
        r if r < 2e4 => 1.0,
        r if r < 2e5 => 1.5,
        r if r < 2e6 => 2.5,
        _ => 3.5,
    }
}

/// A hash join: the right side is the build side.
pub(crate) fn hash_join(probe: f64, build: f64, out: f64) -> f64 {
    build * 2.0 * miss(build) + probe * miss(build) + out * OUTPUT
}

/// A join without equalities: every pair is looked at.
pub(crate) fn nested_loop(left: f64, right: f64, out: f64) -> f64 {
    right + left * right.max(1.0) * PAIR + out * OUTPUT
}

/// An index nested-loop join.
pub(crate) fn index_join(left: f64, out: f64) -> f64 {
    left * INDEX_PROBE + out * INDEX_ROW
}

/// Hash aggregation.
pub(crate) fn aggregate(rows: f64, groups: f64, calls: usize) -> f64 {
    rows * (miss(groups) + 0.2 * calls as f64) + groups * 2.0
}

/// A sort; with `limit`, of which only so many rows are kept.
pub(crate) fn sort(rows: f64, limit: Option<f64>) -> f64 {
    match limit {
        Some(n) => rows * 0.2 + n * (n + 2.0).log2(),
        None => rows * (rows + 2.0).log2() * 0.4,
    }
}
