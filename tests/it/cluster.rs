//! Clusters as backends, on real nodes.

mod paging;
