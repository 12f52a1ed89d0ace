//! Clusters as backends, on real nodes.

mod agreement;
mod bad_input;
mod buckets;
mod commands;
pub(crate) mod faults;
mod names;
mod paging;
