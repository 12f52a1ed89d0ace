//! The plan the languages share.

mod filter;
pub mod regexp;
pub mod values;

pub use filter::{Bounds, Case, FieldPattern, Filter, Least, Node, Pattern, Piece};
