//! Clusters as backends, on real nodes.

mod agreement;
mod bad_input;
mod commands;
mod paging;
