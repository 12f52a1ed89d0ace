//! Compilers from the plan to what other engines read.

pub mod prefilter;
