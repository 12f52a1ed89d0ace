//! EQL: the language, and what it finds.

mod backends;
mod bounds;
mod elastic;
mod python;
mod roundtrip;
mod rules;
mod sequences;
mod spec;
mod support;
