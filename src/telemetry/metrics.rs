//! What the service counts, in the text format of Prometheus and `OpenMetrics`.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatus {
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByFate {
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTrigger {
    trigger: String,
}

/// What became of the candidates of one execution, and how it went.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    /// How it ended, as the log says it.
    pub status: &'a str,
    /// Why it ran, as the log says it.
    pub trigger: &'a str,
    /// How long it took, seconds.
    pub took: f64,
    /// Candidates by what became of them.
    pub fates: [(&'static str, u64); 5],
}

/// The service's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    executions: Family<ByStatus, Counter>,
    triggers: Family<ByTrigger, Counter>,
    candidates: Family<ByFate, Counter>,
    duration: Histogram,
    lag: Histogram,
    overruns: Counter,
    rules: Gauge<i64, AtomicI64>,
    running: Gauge<i64, AtomicI64>,
    behind: Gauge<i64, AtomicI64>,
    pulse: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        // From a millisecond to about ten minutes.
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.5, 16));
        let (duration, lag) = (histogram(), histogram());
        let mut metrics = Self {
            registry: Registry::with_prefix("tocsin"),
            executions: Family::default(),
            triggers: Family::default(),
            candidates: Family::default(),
            duration,
            lag,
            overruns: Counter::default(),
            rules: Gauge::default(),
            running: Gauge::default(),
            behind: Gauge::default(),
            pulse: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        );
        registry.register("executions", "Executions by how they ended", metrics.executions.clone());
        registry.register("execution_causes", "Executions by why they ran", metrics.triggers.clone());
        registry.register("candidates", "Candidates by what became of them", metrics.candidates.clone());
        registry.register_with_unit(
            "execution_duration",
            "How long executions took",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "schedule_lag",
            "How long after their slots executions began",
            Unit::Seconds,
            metrics.lag.clone(),
        );
        registry.register(
            "overruns",
            "Executions that took longer than their rule's interval",
            metrics.overruns.clone(),
        );
        registry.register("rules", "Rules on their schedules", metrics.rules.clone());
        registry.register("rules_running", "Rules that run at the moment", metrics.running.clone());
        registry.register("rules_behind", "Rules that owe missed windows", metrics.behind.clone());
        registry.register_with_unit(
            "scheduler_pulse_timestamp",
            "When the scheduler last looked what is due, since the epoch",
            Unit::Seconds,
            metrics.pulse.clone(),
        );
        metrics
    }

    /// An execution came to its end.
    pub fn executed(&self, execution: Execution<'_>) {
        self.executions.get_or_create(&ByStatus { status: execution.status.to_owned() }).inc();
        self.triggers.get_or_create(&ByTrigger { trigger: execution.trigger.to_owned() }).inc();
        self.duration.observe(execution.took);
        for (fate, count) in execution.fates {
            self.candidates.get_or_create(&ByFate { fate }).inc_by(count);
        }
    }

    /// An execution began so many seconds after its slot.
    pub fn lagged(&self, seconds: f64) {
        self.lag.observe(seconds.max(0.0));
    }

    /// An execution took longer than its rule's interval.
    pub fn overran(&self) {
        self.overruns.inc();
    }

    /// The scheduler looked what is due, at `now` (seconds since the epoch).
    pub fn pulse(&self, now: f64, rules: usize, running: usize, behind: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.pulse.set(now);
        self.rules.set(number(rules));
        self.running.set(number(running));
        self.behind.set(number(behind));
    }

    /// All of it as text, in the form of `OpenMetrics`.
    ///
    /// # Errors
    /// When it cannot be formatted.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_units_are_those_of_openmetrics() {
        let metrics = Metrics::new();
        metrics.executed(Execution {
            status: "succeeded",
            trigger: "scheduled",
            took: 0.5,
            fates: [("alert", 2), ("duplicate", 1), ("suppressed", 0), ("excepted", 0), ("capped", 0)],
        });
        metrics.lagged(0.01);
        metrics.pulse(1.5, 3, 1, 0);
        let text = metrics.text().unwrap();
        for line in [
            "tocsin_executions_total{status=\"succeeded\"} 1",
            "tocsin_candidates_total{fate=\"alert\"} 2",
            "# UNIT tocsin_execution_duration_seconds seconds",
            "tocsin_schedule_lag_seconds_count 1",
            "tocsin_rules 3",
            "tocsin_scheduler_pulse_timestamp_seconds 1.5",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
