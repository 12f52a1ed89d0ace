//! KQL (kuery): syntax tree, parser, lowering, printing.
//!
//! What it is: Kibana's KQL, text to [`Expr`] and back, with Kibana's error messages.
//! What it is not: typed; which type a field has is decided by who evaluates or compiles.
//! Invariants: parsing is linear in the text and bounded in nesting; `parse(print(expr)) == expr`
//! for every `expr` that came out of [`parse`] and whose printed form is within the limits (value
//! lists are spelled out, so it may be longer than its source).

mod ast;
mod error;
mod literal;
mod lower;
mod parse;
mod print;

pub use ast::{Expr, Kind, RangeOperator, Term, TermKind};
pub use error::SyntaxError;
pub use lower::lower;
pub use parse::{Options, parse};

use crate::base::diagnostic::Diagnostic;
use crate::query::plan::Filter;

/// Parses KQL (leading wildcards allowed, as in detection rules) and lowers it to a [`Filter`].
///
/// # Errors
/// One diagnostic: `KQL001` with Kibana's message for a syntax error, `KQL002` to `KQL005` for a
/// text beyond the limits, `KQL006` for a comparison with `null`.
pub fn parse_filter(text: &str) -> Result<Filter, Diagnostic> {
    let expr = parse(text, &Options::default()).map_err(|error| error.diagnostic(text))?;
    lower(&expr, text)
}
