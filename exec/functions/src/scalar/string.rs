//! Text functions.

pub(super) mod case;
pub(super) mod code;
pub(super) mod concat;
pub(super) mod format;
pub(super) mod length;
pub(super) mod pad;
pub(super) mod quote;
pub(super) mod regexp;
pub(super) mod replace;
pub(super) mod search;
pub(super) mod substring;
pub(super) mod trim;
