//! Layer 1: query languages, the plan they share, the evaluator and the compilers.
//!
//! What it is: text + mapping in, [`plan::Filter`] out, and three ways to run one: the reference
//! evaluator ([`eval`]), the kernel over columns ([`kernel`]), Elasticsearch's DSL ([`compile`]).
//! What it is not: aware of rules, alerts, stores or HTTP.
//! Invariant: [`eval`] is the reference; everything else is tested against it.

pub mod compile;
pub mod eval;
pub mod kernel;
pub mod lang;
pub mod plan;
