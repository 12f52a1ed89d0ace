//! Layer 0: the vocabulary every other layer shares.
//!
//! What it is: clocks as values, windows, spans, diagnostics, numeric limits and id types.
//! What it is not: a place for helpers without a noun of their own.
//! Invariant: no I/O; only [`clock::SystemClock`] reads the time.

pub mod clock;
pub mod datemath;
pub mod delays;
pub mod diagnostic;
pub mod intervals;
pub mod ledger;
pub mod limits;
pub mod nearest;
pub mod span;
pub mod window;
