//! From the configuration to routes and connectors, with everything that is wrong with it.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;

use super::connectors;
use super::escape::Escape;
use super::hours::Hours;
pub use super::lane::LaneSettings;
use super::matcher::When;
use super::message::Wording;
use super::route::{Digest, Maintenance, Route, Router, Span};
use super::template::Template;
use crate::base::clock::Clock;
use crate::config::{Config, ConnectorConfig, MaintenanceConfig, Rate, RouteConfig, TimeSpan};
use crate::schedule::cron::Cron;
use crate::store::state::{Burst, Kind};

/// Something wrong with the configuration, at the full path of its key (`route[0].when.query`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// What the configuration says about notifications, checked.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The router.
    pub router: Arc<Router>,
    /// Told when notifications are in the outbox.
    pub wake: tokio::sync::watch::Receiver<u64>,
    /// How each connector is worked.
    pub lanes: Vec<LaneSettings>,
    /// How long shutdown waits for notifications that are due.
    pub drain: Duration,
}

impl Setup {
    /// Checks what `config` says. Opens no connection and resolves no secret.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut lanes: Vec<LaneSettings> = Vec::new();
        for (place, connector) in config.connector.iter().enumerate() {
            let path = |key: &str| format!("connector[{place}].{key}");
            if lanes.iter().any(|lane| lane.config.name == connector.name) {
                problems.push(Problem::new(path("name"), format!("`{}` is there twice", connector.name)));
            }
            match lane(config, connector) {
                Ok(lane) => lanes.push(lane),
                Err((key, message)) => problems.push(Problem::new(path(&key), message)),
            }
        }
        let known: HashSet<&str> = config.connector.iter().map(|connector| connector.name.as_str()).collect();
        let mut routes = Vec::new();
        for (place, route) in config.route.iter().enumerate() {
            match self::route(route, place, &known) {
                Ok(route) => routes.push(route),
                Err((key, message)) => problems.push(Problem::new(format!("route[{place}].{key}"), message)),
            }
        }
        let mut maintenance = Vec::new();
        for (place, window) in config.maintenance.iter().enumerate() {
            match self::maintenance(window) {
                Ok(window) => maintenance.push(window),
                Err((key, message)) => {
                    problems.push(Problem::new(format!("maintenance[{place}].{key}"), message));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let types: HashMap<String, String> =
            config.connector.iter().map(|c| (c.name.clone(), c.connector_type.clone())).collect();
        let (sender, wake) = tokio::sync::watch::channel(0);
        let rule_actions = config.notify.rule_actions && !types.is_empty();
        let router = Router {
            routes,
            maintenance,
            types,
            rule_actions,
            clock,
            wake: sender,
            parsed: std::sync::RwLock::default(),
        };
        Ok(Self { router: Arc::new(router), wake, lanes, drain: config.notify.drain.duration() })
    }

    /// Whether nobody is ever told anything.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

type Wrong = (String, String);

fn lane(config: &Config, connector: &ConnectorConfig) -> Result<LaneSettings, Wrong> {
    let escape = connectors::escape_of(&connector.connector_type);
    let template = |key: &str, text: &Option<String>, escape: Escape| {
        let parsed = text.as_deref().map(|text| Template::parse(text, escape)).transpose();
        parsed.map_err(|error| (key.to_owned(), error.to_string()))
    };
    let wording = Wording {
        text: template("template", &connector.template, escape)?,
        title: template("title", &connector.title, Escape::Plain)?,
        kibana_url: config.notify.kibana_url.clone(),
        escape,
    };
    connectors::check_settings(connector, &config.notify.allow_urls)?;
    Ok(LaneSettings {
        config: connector.clone(),
        allow: config.notify.allow_urls.clone().into(),
        wording,
        timeout: connector.timeout.map_or(Duration::from_secs(10), TimeSpan::duration),
        retry_for: connector.retry_for.unwrap_or(config.notify.retry_for).duration(),
        concurrency: connector.concurrency,
        rate: connector.rate.or_else(|| connectors::rate_of(&connector.connector_type)),
    })
}

fn route(config: &RouteConfig, place: usize, known: &HashSet<&str>) -> Result<Route, Wrong> {
    let when = When::new(&config.when).map_err(|(key, message)| (format!("when.{key}"), message))?;
    if let Some(unknown) = config.to.iter().find(|name| !known.contains(name.as_str())) {
        let mut names: Vec<&str> = known.iter().copied().collect();
        names.sort_unstable();
        let message = match names.as_slice() {
            [] => format!("there is no connector `{unknown}`, and no other"),
            names => format!("there is no connector `{unknown}`; there are `{}`", names.join("`, `")),
        };
        return Err(("to".to_owned(), message));
    }
    let on = match &config.on {
        None => None,
        Some(words) => {
            let kinds: Result<HashSet<Kind>, String> =
                words.iter().map(|word| Kind::from_str(word)).collect();
            Some(kinds.map_err(|error| ("on".to_owned(), error))?)
        }
    };
    let digest = match &config.digest {
        None => None,
        Some(digest) => Some(match (digest.every, &digest.cron) {
            (Some(every), None) => Digest::Every(
                i64::try_from(every.duration().as_millis()).ok().filter(|every| *every >= 1_000).ok_or_else(
                    || ("digest.every".to_owned(), "a digest comes once a second at most".to_owned()),
                )?,
            ),
            (None, Some(cron)) => Digest::Cron(
                Cron::parse(cron, digest.timezone.as_deref())
                    .map_err(|error| ("digest.cron".to_owned(), error.to_string()))?,
            ),
            _ => return Err(("digest".to_owned(), "takes either `every` or `cron`".to_owned())),
        }),
    };
    let quiet = config.quiet.as_ref().map(Hours::new).transpose();
    Ok(Route {
        name: config.name.clone().unwrap_or_else(|| format!("route {}", place + 1)),
        when,
        to: config.to.clone(),
        on,
        digest,
        throttle: config.throttle.map(burst),
        group_by: config.group_by.clone(),
        quiet: quiet.map_err(|(key, message)| (format!("quiet.{key}"), message))?,
        last: config.last,
    })
}

fn burst(rate: Rate) -> Burst {
    Burst { most: rate.most, within: i64::try_from(rate.within.duration().as_millis()).unwrap_or(i64::MAX) }
}

fn maintenance(config: &MaintenanceConfig) -> Result<Maintenance, Wrong> {
    let when = When::new(&config.when).map_err(|(key, message)| (format!("when.{key}"), message))?;
    let time = |key: &str, text: &str| {
        DateTime::parse_from_rfc3339(text)
            .map(|at| at.to_utc())
            .map_err(|_| (key.to_owned(), format!("`{text}` is no time: write `2026-11-01T22:00:00Z`")))
    };
    let span = match (&config.starts, &config.ends, &config.cron, config.duration) {
        (Some(starts), Some(ends), None, None) => {
            let (starts, ends) = (time("starts", starts)?, time("ends", ends)?);
            if ends <= starts {
                return Err(("ends".to_owned(), "it ends before it starts".to_owned()));
            }
            Span::Once(starts, ends)
        }
        (None, None, Some(cron), Some(duration)) => Span::Again(
            Box::new(
                Cron::parse(cron, config.timezone.as_deref())
                    .map_err(|error| ("cron".to_owned(), error.to_string()))?,
            ),
            chrono::Duration::from_std(duration.duration())
                .map_err(|_| ("duration".to_owned(), "too long".to_owned()))?,
        ),
        _ => {
            return Err((
                "name".to_owned(),
                "a maintenance window has either `starts` and `ends`, or `cron` and `duration`".to_owned(),
            ));
        }
    };
    Ok(Maintenance { name: config.name.clone(), when, span })
}
