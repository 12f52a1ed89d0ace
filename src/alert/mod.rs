//! Layer 4: what an alert is.
//!
//! What it is: the ids of alerts, the document an alert is (Kibana's alert schema), its reason,
//! and how both are made from an event and a rule.
//! What it is not: the decision whether there is an alert (that is `engine`), nor its storage
//! (that is [`crate::store::state`]).
//! Invariant: nothing here reads a clock, a disk or a random number; the same event, rule and
//! execution always give the same document.

pub mod ancestors;
pub mod build;
pub mod episode;
pub mod evidence;
pub mod group;
pub mod id;
pub mod lookup;
pub mod number;
pub mod object_hash;
pub mod overrides;
pub mod reason;
pub mod rule_fields;
pub mod schema;
