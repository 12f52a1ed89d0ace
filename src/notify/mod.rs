//! Layer 6: what is told to people, and how it reaches them.
//!
//! What it is: routes (which alert goes where, how, and when not), templates, connectors (Slack,
//! mail, `PagerDuty` …), and the worker that takes notifications from the outbox
//! ([`crate::store::state`]) and delivers them.
//! What it is not: the place where alerts are decided or written; routing only reads them.
//! Invariant: a notification leaves the outbox when its target acknowledged it, or becomes a dead
//! letter that is listed; one target that fails delays no other; nothing is told of building blocks
//! and silenced alerts.

mod actions;
mod backoff;
pub mod connector;
pub mod connectors;
pub mod escape;
mod hours;
pub mod http;
mod lane;
pub mod matcher;
pub mod message;
pub mod route;
pub mod settings;
pub mod template;
pub mod worker;

pub use connector::{Connector, Receipt, SendError};
pub use message::Message;
pub use route::Router;
pub use settings::{Problem, Setup};
pub use worker::Worker;
