//! Reading a leaf's text as a typed value, coerced as Elasticsearch coerces it when it indexes.
//!
//! What it is: text in, value out; a value that the type cannot hold is `None` (`ignore_malformed`).
//! What it is not: aware of queries; what a query's text means is decided by `query::eval`.
//! Invariant: pure functions, no allocation for numbers, addresses and dates.

pub mod date;
pub mod ip;
pub mod number;
pub mod version;

/// A boolean: `true`, `false`, and the empty text, which Elasticsearch reads as false.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" | "" => Some(false),
        _ => None,
    }
}
