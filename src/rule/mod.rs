//! Layer 2: detection rules as data.
//!
//! What it is: the rule model, loading from Elastic's TOML and Kibana's NDJSON, checks, rule sets,
//! and the tests that lie beside rules.
//! What it is not: execution; health, last runs and suppression live in `engine`.
//! Invariant: a [`model::Rule`] is immutable data; nothing a file said is lost
//! ([`model::Rule::parameters`] keeps unknown fields too).

pub mod cache;
pub mod check;
pub mod codes;
pub mod compiled;
pub mod docs;
pub mod eql;
pub mod evaluation;
pub mod exceptions;
pub mod export;
pub mod filters;
pub mod kind;
pub mod load;
pub mod model;
pub mod parameters;
pub mod set;
pub mod shipped;
pub mod testfile;
