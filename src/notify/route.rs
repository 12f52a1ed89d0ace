//! [`Router`]: which alert is told to whom, and when.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::actions::Action;
use super::hours::Hours;
use super::matcher::When;
use crate::alert::lookup::{lookup, texts};
use crate::base::clock::Clock;
use crate::config::WhenConfig;
use crate::schedule::cron::Cron;
use crate::store::state::{AlertRow, Burst, Earlier, Hold, Kind, NewNotification, Routing, Silence};

/// A route, ready to take alerts.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) when: When,
    pub(super) to: Vec<String>,
    pub(super) on: Option<HashSet<Kind>>,
    pub(super) digest: Option<Digest>,
    pub(super) throttle: Option<Burst>,
    pub(super) group_by: Vec<String>,
    pub(super) quiet: Option<Hours>,
    pub(super) last: bool,
}

/// When digests leave.
#[derive(Debug, Clone)]
pub(super) enum Digest {
    /// Every so many ms, counted from the epoch.
    Every(i64),
    /// By a cron expression.
    Cron(Cron),
}

impl Digest {
    fn next(&self, at: DateTime<Utc>) -> i64 {
        let now = at.timestamp_millis();
        match self {
            Self::Every(length) => (now.div_euclid(*length) + 1) * length,
            // An expression that never comes again: tell at once.
            Self::Cron(cron) => cron.after(at).map_or(now, |next| next.timestamp_millis()),
        }
    }
}

/// A time in which some alerts are not told.
#[derive(Debug, Clone)]
pub(super) struct Maintenance {
    pub(super) name: String,
    pub(super) when: When,
    pub(super) span: Span,
}

/// When a maintenance window is.
#[derive(Debug, Clone)]
pub(super) enum Span {
    /// Once.
    Once(DateTime<Utc>, DateTime<Utc>),
    /// From each time of a cron expression, so long.
    Again(Box<Cron>, Duration),
}

impl Span {
    fn covers(&self, at: DateTime<Utc>) -> bool {
        match self {
            Self::Once(starts, ends) => *starts <= at && at < *ends,
            Self::Again(cron, length) => at
                .checked_sub_signed(*length)
                .and_then(|since| cron.after(since))
                .is_some_and(|begin| begin <= at),
        }
    }
}

/// Kinds of connector that want to know all that becomes of an alert.
const INCIDENT_MANAGERS: [&str; 4] = ["pagerduty", "opsgenie", "alertmanager", "jira"];

/// Decides from an alert and the configuration alone.
pub struct Router {
    pub(super) routes: Vec<Route>,
    pub(super) maintenance: Vec<Maintenance>,
    /// Type of each connector, by name.
    pub(super) types: HashMap<String, String>,
    /// Whether rules' own actions count.
    pub(super) rule_actions: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) wake: tokio::sync::watch::Sender<u64>,
    /// Silences' conditions, by their text: parsed once.
    pub(super) parsed: RwLock<HashMap<String, Option<Arc<When>>>>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl Router {
    /// Why an alert is not told, when it is not.
    fn silenced(&self, alert: &Value, at: DateTime<Utc>, silences: &[Silence]) -> Option<String> {
        let window =
            self.maintenance.iter().find(|window| window.span.covers(at) && window.when.takes(alert, at));
        if let Some(window) = window {
            return Some(format!("maintenance window `{}`", window.name));
        }
        let silence = silences.iter().find(|silence| {
            silence.covers(at) && self.matcher(silence).is_some_and(|when| when.takes(alert, at))
        })?;
        Some(format!("silence {} of {}: {}", silence.id, silence.owner, silence.reason))
    }

    fn matcher(&self, silence: &Silence) -> Option<Arc<When>> {
        let known = self.parsed.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(when) = known.get(&silence.matcher) {
            return when.clone();
        }
        drop(known);
        let config = serde_json::from_str::<WhenConfig>(&silence.matcher).ok();
        let when = config.and_then(|config| When::new(&config).ok()).map(Arc::new);
        if when.is_none() {
            tracing::warn!(silence = silence.id, "its conditions cannot be read: it silences nothing");
        }
        let mut known = self.parsed.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert(silence.matcher.clone(), when.clone());
        when
    }

    /// Whether a route tells `kind` to a connector.
    fn wants(&self, route: &Route, connector: &str, kind: Kind) -> bool {
        match &route.on {
            Some(on) => on.contains(&kind),
            None => {
                let own = self.types.get(connector).map(String::as_str).unwrap_or_default();
                matches!(kind, Kind::Alert | Kind::Recovered) || INCIDENT_MANAGERS.contains(&own)
            }
        }
    }

    /// The notifications of an alert document; `id` is its own.
    pub fn plan(
        &self,
        id: &Arc<str>,
        alert: &Value,
        at: DateTime<Utc>,
        silences: &[Silence],
    ) -> Vec<NewNotification> {
        // Of an alarm that goes on, the alert that opened it was told.
        if lookup(alert, "tocsin.episode.told") == Some(&Value::Bool(false)) {
            return Vec::new();
        }
        let silenced = self.silenced(alert, at, silences);
        let now = self.clock.now().timestamp_millis();
        let mut planned: Vec<NewNotification> = Vec::new();
        let mut add = |route: &Route, connector: &str, hold: Option<Hold>, document: String| {
            // Two routes to the same connector tell it once.
            if planned.iter().any(|one| one.connector == connector) {
                return;
            }
            let mut batch = route.name.clone();
            for field in &route.group_by {
                batch.push('\u{1f}');
                batch.push_str(&texts(alert, field).join(","));
            }
            planned.push(NewNotification {
                key: key(&[connector, id, "alert"]),
                connector: connector.to_owned(),
                route: route.name.clone(),
                kind: Kind::Alert,
                thread: id.to_string(),
                alert: Arc::clone(id),
                batch,
                created: now,
                due: now,
                hold,
                burst: route.throttle,
                silenced: silenced.clone(),
                document,
            });
        };
        for route in self.routes.iter().filter(|route| route.when.takes(alert, at)) {
            let quiet = route.quiet.as_ref().filter(|quiet| quiet.contain(at));
            let quiet = quiet.map(|quiet| quiet.end_after(at).timestamp_millis());
            let digest = route.digest.as_ref().map(|digest| digest.next(at));
            let hold = match (quiet, digest) {
                (None, None) => None,
                (quiet, digest) => Some(Hold { until: quiet.max(digest).unwrap_or(now) }),
            };
            for connector in &route.to {
                if self.wants(route, connector, Kind::Alert) {
                    add(route, connector, hold, format!(r#"{{"alerts":[{alert}],"count":1}}"#));
                }
            }
            if route.last {
                break;
            }
        }
        for action in self.actions(alert) {
            let route = action.route();
            let hold = action.digest().map(|digest| Hold { until: digest.next(at) });
            add(&route, &action.connector, hold, action.document(alert));
        }
        planned
    }

    /// What the rule's own actions ask for, where a connector of that kind is configured.
    fn actions(&self, alert: &Value) -> Vec<Action> {
        if !self.rule_actions {
            return Vec::new();
        }
        match lookup(alert, "kibana.alert.rule.actions") {
            Some(Value::Array(actions)) => {
                actions.iter().filter_map(|action| Action::of(action, &self.types, alert)).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Routing for Router {
    fn of_alert(&self, alert: &AlertRow, silences: &[Silence]) -> Vec<NewNotification> {
        if alert.building_block || (self.routes.is_empty() && !self.rule_actions) {
            return Vec::new();
        }
        match serde_json::from_str::<Value>(&alert.document) {
            Ok(document) => self.plan(&alert.id, &document, alert.timestamp, silences),
            Err(error) => {
                tracing::error!(alert = &*alert.id, %error, "an alert cannot be read: nobody is told");
                Vec::new()
            }
        }
    }

    fn of_change(
        &self,
        id: &Arc<str>,
        kind: Kind,
        at: DateTime<Utc>,
        document: &str,
        earlier: &Earlier,
    ) -> Option<NewNotification> {
        match self.routes.iter().find(|route| route.name == earlier.route) {
            Some(route) if !self.wants(route, &earlier.connector, kind) => return None,
            None if !earlier.route.starts_with(super::actions::ROUTE) => return None,
            _ => {}
        }
        let now = self.clock.now().timestamp_millis();
        Some(NewNotification {
            key: key(&[&earlier.connector, id, kind.as_str(), &at.timestamp_millis().to_string()]),
            connector: earlier.connector.clone(),
            route: earlier.route.clone(),
            kind,
            thread: earlier.thread.clone(),
            alert: Arc::clone(id),
            batch: earlier.batch.clone(),
            created: now,
            due: now,
            hold: None,
            burst: None,
            silenced: None,
            document: document.to_owned(),
        })
    }

    fn queued(&self) {
        self.wake.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// An idempotency key: 32 hex digits of what makes the news and its target.
pub(super) fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
