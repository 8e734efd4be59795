//! Roots, powers and logarithms.
