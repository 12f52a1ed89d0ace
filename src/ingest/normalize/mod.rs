//! From a vendor's record to an ECS document: pure functions, one module a source.

pub mod cloudtrail;
pub mod generic;
pub mod user_agent;
pub mod writer;

/// Why a record does not become a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record is no JSON object.
    #[error("{0} is not a JSON object")]
    NotAnObject(&'static str),
    /// The record says nothing.
    #[error("{0} has no fields")]
    Empty(&'static str),
    /// A field that must be there is not.
    #[error("no `{0}`")]
    Missing(&'static str),
    /// A field has a type that cannot be read.
    #[error("`{field}` is {found}, expected {expected}")]
    WrongType {
        /// The field, as the source spells it.
        field: String,
        /// What it holds.
        found: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A time that is none.
    #[error("`{field}` is no time: `{value}`")]
    BadTime {
        /// The field, as the source spells it.
        field: &'static str,
        /// What it holds, shortened.
        value: String,
    },
}
