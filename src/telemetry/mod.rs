//! Logging set-up: events of `tracing` as lines on stderr; metrics.
//!
//! What it is: the one place that installs a subscriber, and the names and units of all metrics.
//! What it is not: a place for what a command has to tell its user, or an endpoint.
//! Invariant: nothing is written to stdout; rotation is the supervisor's.

pub mod metrics;

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogLevel};

/// How logging is set up.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Lowest level that is written; `None`: nothing is.
    pub level: Option<LogLevel>,
    /// Lines for people, or a JSON object each.
    pub format: LogFormat,
    /// Colour in lines for people.
    pub color: bool,
}

/// Installs the subscriber. A second call changes nothing.
pub fn init(settings: &Settings) {
    let Some(level) = settings.level else { return };
    // Dependencies speak up one level later than tocsin does.
    let others = level.moved(-1).unwrap_or(LogLevel::Error);
    let filter = EnvFilter::new(format!("{},tocsin={}", others.as_str(), level.as_str()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // An error means that a subscriber is installed already: the caller's, which stays.
    match settings.format {
        LogFormat::Human => drop(builder.with_ansi(settings.color).with_target(false).try_init()),
        LogFormat::Json => drop(builder.json().flatten_event(true).with_ansi(false).try_init()),
    }
}
