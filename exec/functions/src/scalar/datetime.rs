//! Functions on dates, times and intervals.

pub(super) mod fields;
pub(super) mod make;
pub(super) mod now;
pub(super) mod overlaps;
pub(super) mod span;
pub(super) mod zone;
