//! Lucene's query strings: syntax tree, parser, lowering, printing.
//!
//! What it is: the language of Elasticsearch's `query_string`, text to [`Expr`] and back.
//! What it is not: typed; which type a field has is decided by who evaluates or compiles.
//! Invariants: parsing is linear in the text and bounded in nesting; `parse(print(expr)) == expr`
//! for every `expr` that came out of [`parse`] and whose printed form is within the limits. AND, OR
//! and the marks before clauses mean what Lucene makes of them, not what arithmetic would.

mod ast;
mod error;
mod literal;
mod lower;
mod parse;
mod print;

pub use ast::{Body, Clause, Conjunction, End, Expr, Field, Modifier};
pub use error::SyntaxError;
pub use lower::{Options, lower};
pub use parse::parse;

use crate::base::diagnostic::Diagnostic;
use crate::query::plan::Filter;

/// Parses a query string as Kibana sends it for rules (any field by default, clauses joined by OR,
/// an empty text matches everything) and lowers it to a [`Filter`].
///
/// # Errors
/// One diagnostic: `LUC001` for a syntax error, `LUC002` to `LUC004` for a text beyond the limits,
/// `LUC005` for a regular expression that is none.
pub fn parse_filter(text: &str) -> Result<Filter, Diagnostic> {
    let expr = parse(text).map_err(|error| error.diagnostic(text))?;
    lower(&expr, text, &Options::default())
}
