//! Clusters as backends, on real nodes.

mod agreement;
mod bad_input;
mod commands;
pub(crate) mod faults;
mod paging;
