//! EQL: syntax tree, parser, functions, lowering, printing.
//!
//! What it is: Elasticsearch's EQL with the pipes of the public Python engine, text to [`Query`]
//! and back, and on to an [`EqlQuery`].
//! What it is not: typed; which type a field has is decided by who evaluates or compiles.
//! Invariants: parsing is linear in the text and bounded in nesting; `parse(print(query)) == query`
//! for every `query` that came out of [`parse`] and whose printed form is within the limits.

mod ast;
mod category;
mod check;
mod error;
mod expr;
mod literal;
mod lower;
mod parse;
mod print;

pub use ast::{
    Arithmetic, Category, Comparison, EventQuery, Expr, Field, Kind, Literal, Operator, Pipe, Query, Sample,
    Sequence, Shape, Stage,
};

pub use category::{UnknownCategory, unknown_categories};
pub use lower::{Lowering, lower};
pub use parse::parse;

use crate::base::diagnostic::Diagnostic;
use crate::query::plan::EqlQuery;

/// Parses EQL and lowers it to a plan over events whose category is in `event.category`.
///
/// # Errors
/// One diagnostic with code `EQL001` to `EQL012` and a place in `text`.
pub fn parse_plan(text: &str) -> Result<EqlQuery, Diagnostic> {
    lower(&parse(text)?, text, &Lowering::default())
}
