//! Layer 2: detection rules as data.
//!
//! What it is: the rule model, loading from Elastic's TOML and Kibana's NDJSON, checks, rule sets,
//! and the tests that lie beside rules.
//! What it is not: execution; health, last runs and suppression live in `engine`.
//! Invariant: a [`model::Rule`] is immutable data; nothing a file said is lost
//! ([`model::Rule::parameters`] keeps unknown fields too).

pub mod model;
pub mod parameters;
