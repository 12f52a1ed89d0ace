//! Lucene's query strings: bounds of the parser, printing and reading again.

mod bounds;
mod roundtrip;
