//! Layer 5: executions.
//!
//! What it is: one execution of a rule over a window, from hits to committed alerts, and the
//! evaluation of all rules that are due together in one search.
//! What it is not: aware of timers and slots ([`crate::schedule`]), of how events are stored or
//! how alerts are shown.
//! Invariant: every hit is counted: `candidates == alerts + duplicates + suppressed + excepted +
//! capped`; an execution's alerts, log entry and state are written together; running the same
//! slot again writes no alert twice.

mod cap;
mod clashes;
mod episodes;
mod errand;
mod execution;
mod kinds;
mod outcome;
mod plan;
mod run;
mod settings;
mod stages;
mod suppress;
mod survey;
mod unwind;

pub use cap::CapBehaviour;
pub use errand::{Errand, Survey};
pub use plan::window;
pub use run::{Due, Engine};
pub use settings::{DEFAULT_INDEX, Settings, TimeoutOf, Timeouts, Trigger};
pub mod ruletest;
