//! The plan the languages share.

mod filter;

pub use filter::{Bounds, Case, FieldPattern, Filter, Node, Pattern, Piece};
