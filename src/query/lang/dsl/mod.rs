//! Elasticsearch's query DSL as an input language: what Kibana's rule filters are written in.
//!
//! What it is: the leaf and compound queries that a document alone decides.
//! What it is not: scoring and analysers; what needs them, or a script, or a join, is a query for a
//! cluster ([`crate::query::plan::Node::Foreign`]), never approximated.
//! Invariant: a query becomes a filter with the same hits, or one that only a cluster answers, or an
//! error that says where it lies and what is wrong.

mod bool;
mod dates;
mod leaf;
mod parse;
mod text;

pub use parse::{DslError, parse, parse_text};
