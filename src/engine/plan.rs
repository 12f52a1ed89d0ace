//! From a rule and a slot to a search: window, time field, cap, and what is to be said about the
//! rule before it runs.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::errand::Errand;
use super::settings::Settings;
use crate::backend::{ANOMALIES, SearchRequest, TimeField};
use crate::base::datemath::{self, Rounding};
use crate::base::limits::PAGE_HITS;
use crate::base::window::Window;
use crate::query::plan::Filter;
use crate::rule::model::{Rule, RuleKind};

/// The field that says when an event arrived.
pub(super) const ARRIVAL: &str = "event.ingested";

/// The field of an anomaly that says of when it is.
const RECORDED: &str = "timestamp";

fn recorded() -> TimeField {
    TimeField { primary: Arc::from(RECORDED), fallback: None }
}

/// What an execution searches, and how much it may write.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub request: SearchRequest,
    pub window: Window,
    pub cap: u32,
}

impl Plan {
    /// Searches what `errand` says.
    pub(super) fn send(&mut self, errand: &Errand) {
        if let Some(window) = errand.window {
            self.window = window;
            self.request.window = Some(window);
        }
        if errand.arrivals {
            self.request.time = TimeField { primary: Arc::from(ARRIVAL), fallback: None };
            self.request.event_clock = false;
        }
    }
}

/// Plans an execution of `rule` for `slot`; warnings go to `warn`.
///
/// # Errors
/// In words, when the rule's window makes no sense.
pub(super) fn plan(
    rule: &Rule,
    filter: &Arc<Filter>,
    slot: DateTime<Utc>,
    settings: &Settings,
    mut warn: impl FnMut(String),
) -> Result<Plan, String> {
    let window = window(rule, slot)?;
    let indices = indices(rule, settings, &mut warn);
    let cap = rule.max_signals.clamp(1, settings.max_signals.max(1));
    if cap < rule.max_signals {
        warn(format!("`max_signals` {} is above the limit of {cap}, which holds", rule.max_signals));
    }
    let anomalies = matches!(rule.kind, RuleKind::MachineLearning(_));
    let request = SearchRequest {
        indices: if anomalies { Arc::from([ANOMALIES.to_owned()]) } else { indices },
        filter: Arc::clone(filter),
        now: slot,
        window: Some(window),
        time: if anomalies { recorded() } else { time_field(rule) },
        event_clock: settings.event_clock,
        size: PAGE_HITS,
        after: None,
        descending: false,
    };
    Ok(Plan { request, window, cap })
}

/// The rule's window for a slot. Look-back beyond the interval is part of `from`, as Kibana
/// writes it.
///
/// # Errors
/// In words, when the rule's window makes no sense.
pub fn window(rule: &Rule, slot: DateTime<Utc>) -> Result<Window, String> {
    let end = |name: &str, text: &str| {
        datemath::resolve(text, slot, Rounding::Down).map_err(|found| format!("`{name}`: {found}"))
    };
    let window = Window::new(end("from", &rule.from)?, end("to", &rule.to)?);
    if window.to < window.from {
        return Err(format!("the window ends before it starts: from `{}` to `{}`", rule.from, rule.to));
    }
    Ok(window)
}

fn time_field(rule: &Rule) -> TimeField {
    match rule.timestamp_override.as_deref().filter(|field| !field.is_empty() && *field != "@timestamp") {
        None => TimeField::timestamp(),
        Some(field) => TimeField {
            primary: Arc::from(field),
            fallback: (!rule.timestamp_override_fallback_disabled).then(|| Arc::from("@timestamp")),
        },
    }
}

fn indices(rule: &Rule, settings: &Settings, warn: &mut impl FnMut(String)) -> Arc<[String]> {
    let named = rule.index.as_deref().filter(|patterns| !patterns.is_empty());
    if let Some(view) = &rule.data_view_id {
        let instead = if named.is_some() { "its `index`" } else { "the default index patterns" };
        warn(format!("there is no data view `{view}` here; {instead} is searched"));
    }
    named.unwrap_or(&settings.default_index).iter().map(|pattern| current_name(pattern)).collect()
}

/// `.siem-signals-<space>` is the older name of a space's alerts, in Kibana an alias of the newer
/// one.
fn current_name(pattern: &str) -> String {
    match pattern.strip_prefix(".siem-signals") {
        Some(rest) => format!(".alerts-security.alerts{rest}"),
        None => pattern.to_owned(),
    }
}

/// Whether these patterns may name alerts: such rules run after the others, so that they see
/// what was alerted in the same cycle.
pub(super) fn reads_alerts(patterns: &[String]) -> bool {
    patterns
        .iter()
        .flat_map(|pattern| pattern.split(','))
        .any(|pattern| [".alerts", ".siem-signals", ".*"].iter().any(|start| pattern.starts_with(start)))
}
