//! The reference semantics: does a document match a [`Filter`] under a mapping?
//!
//! What it is: a filter compiled for a mapping ([`Matcher`]), the judgement of one value
//! ([`leaf::LeafTest`]), the fields a pattern names ([`target`]), and the story of a verdict
//! ([`explain`]).
//! What it is not: fast on many filters; that is [`crate::query::kernel`].
//! Invariant: the kernel over columns calls the same leaf test ([`leaf::LeafTest`]) on the same
//! text, so the two can differ only in how rows are combined.

pub mod analysis;
pub mod eql;
pub mod explain;
pub mod leaf;
mod matcher;
mod nested;
mod regexp;
pub mod scalar;
mod set;
pub mod target;
mod test;
pub mod wildcard;
pub mod words;

pub use matcher::{Matcher, values_of};
