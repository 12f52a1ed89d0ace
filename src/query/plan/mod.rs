//! The plan the languages share.

mod filter;
pub mod regexp;

pub use filter::{Bounds, Case, FieldPattern, Filter, Node, Pattern, Piece};
