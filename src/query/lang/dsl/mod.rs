//! Elasticsearch's query DSL as an input language: what Kibana's rule filters are written in.
//!
//! What it is: the leaf and compound queries that a document alone decides.
//! What it is not: scoring, scripts, joins, analysers; those are refused, never approximated.
//! Invariant: a query either becomes a filter with the same hits or an error that names it.

mod parse;

pub use parse::{DslError, parse};
