//! The plan the languages share.

mod eql;
mod expr;
mod filter;
mod function;
pub mod regexp;
pub mod values;

pub use eql::{EqlPlan, EqlQuery, JoinKey, PipeStep, SamplePlan, SequencePlan, StagePlan};
pub use expr::{Arithmetic, Comparison, Constant, Expr, Float};
pub use filter::{Bounds, Case, FieldPattern, Filter, Least, Node, Pattern, Piece};
pub use function::{Function, FunctionCall};
