//! Layer 4: what Kibana and `OpenSearch` Dashboards are given to look at alerts with.
//!
//! What it is: one list of views ([`views`]), written as saved objects in two forms ([`objects`]),
//! and the request that imports them ([`import`]).
//! What it is not: where alerts are kept ([`crate::cluster`]).
//! Invariant: every field that a view uses is in the mapping of its index; every reference of an
//! object is to another of the same set.

pub mod import;
pub mod objects;
pub mod views;

pub use import::{Imported, Kibana, Site};
pub use objects::{Form, ndjson, objects};
