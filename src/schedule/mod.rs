//! Layer 5: when rules run.
//!
//! What it is: slots on intervals and cron expressions, the service that runs what is due, the
//! reload of rule files, and the lock that keeps a data folder to one service.
//! What it is not: an execution ([`crate::engine`]); it decides when, never what.
//! Invariant: a rule never runs twice at once; its slots depend on the rule alone, not on when
//! the service started.

pub mod blackout;
mod clockwatch;
pub mod cron;
pub mod lease;
pub mod lock;
pub mod owed;
pub mod reload;
pub mod service;
pub mod share;
pub mod slots;
pub mod table;
