//! One folder per query language: syntax tree, parser, lowering to the shared plan, printing.

pub mod dsl;
pub mod eql;
pub mod kql;
