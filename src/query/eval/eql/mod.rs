//! Sequences and samples: which events of a stream belong together.
//!
//! What it is: state machines over references to events, fed with the events that some stage asks
//! for, in order of time; and the keys that join events.
//! What it is not: a search; which events a stage asks for is decided by who feeds it.
//! Invariants: memory is bounded, and what a bound cost is counted; the same events in the same
//! order give the same results.

mod key;
mod pipe;
mod sample;
mod sequence;

pub use key::{JoinKeys, Key, KeyValue};
pub use pipe::{Counted, Piped, pipes};
pub use sample::SampleMatcher;
pub use sequence::{Asked, SequenceMatcher};

/// Events that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined<R> {
    /// What they share.
    pub key: Key,
    /// One for each stage; `None` where the stage is a missing event.
    pub events: Vec<Option<R>>,
}

/// What a matcher found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<R> {
    /// In the order in which they were complete.
    pub found: Vec<Joined<R>>,
    /// How many unfinished ones were given up, the oldest first, because memory was full.
    pub given_up: u64,
    /// How many complete ones were not kept, the latest, because there were too many.
    pub left_out: u64,
}
