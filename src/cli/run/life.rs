//! What the running service shows of itself: metrics, endpoints, systemd's watchdog, a heartbeat.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::super::{CliError, Context};
use crate::schedule::table::Ended;
use crate::server::{Pulse, STANDSTILL, Server, Shown};
use crate::store::state::{ExecutionRecord, Status};
use crate::telemetry::metrics::{Execution, Metrics};

/// How long a heartbeat may take.
const BEAT: Duration = Duration::from_secs(10);
/// How often systemd is told that the service lives: well within any sensible `WatchdogSec`.
const WATCHDOG: Duration = Duration::from_secs(5);

/// The signs of life of one service.
pub(super) struct Life {
    shown: Shown,
    bind: String,
    token: Option<String>,
    heartbeat: Option<String>,
    every: Duration,
    systemd: Option<UnixDatagram>,
    told: std::sync::Mutex<Option<Instant>>,
    /// Whether the latest executions could be written.
    writes: AtomicBool,
}

impl Life {
    pub(super) fn new(context: &Context) -> Result<Self, CliError> {
        let config = context.config();
        let secret = |name: &str, reference: &Option<crate::config::SecretRef>| match reference {
            Some(reference) => match reference.resolve() {
                Ok(secret) => Ok(Some(secret.expose().to_owned())),
                Err(error) => Err(CliError::usage(format!("`{name}`: {error}"))),
            },
            None => Ok(None),
        };
        Ok(Self {
            shown: Shown { metrics: Arc::new(Metrics::new()), pulse: Arc::new(Pulse::default()) },
            bind: config.server.bind.clone(),
            token: secret("server.token", &config.server.token)?,
            heartbeat: secret("heartbeat.url", &config.heartbeat.url)?,
            every: config.heartbeat.every.duration().max(Duration::from_secs(1)),
            systemd: systemd(),
            told: std::sync::Mutex::default(),
            writes: AtomicBool::new(true),
        })
    }

    /// Begins to answer on `server.bind`, until what it returns is dropped.
    pub(super) async fn serve(&self, stop: CancellationToken) -> Result<tokio::task::JoinSet<()>, CliError> {
        let server = Server::bind(&self.bind, self.token.as_deref(), self.shown.clone())
            .await
            .map_err(|error| CliError::usage(error.to_string()))?;
        tracing::info!(address = %server.address(), "endpoints: /healthz /readyz /metrics");
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async move {
            if let Err(error) = server.serve(async move { stop.cancelled().await }).await {
                tracing::error!(%error, "the endpoints are gone");
            }
        });
        Ok(serving)
    }

    /// The scheduler looked what is due.
    pub(super) fn pulse(&self, now_ms: i64, rules: usize, running: usize, behind: usize) {
        self.shown.pulse.beat();
        self.shown.metrics.pulse(now_ms as f64 / 1_000.0, rules, running, behind);
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first = told.is_none();
        if told.is_none_or(|at| at.elapsed() >= WATCHDOG) {
            *told = Some(Instant::now());
            self.tell_systemd(if first { "READY=1\nWATCHDOG=1" } else { "WATCHDOG=1" });
        }
    }

    /// Executions ended.
    pub(super) fn executed(&self, ended: &[(ExecutionRecord, Option<Ended>)]) {
        let metrics = &self.shown.metrics;
        for (record, ended) in ended {
            metrics.executed(Execution {
                status: record.status.as_str(),
                trigger: &record.trigger,
                took: record.took_ms as f64 / 1_000.0,
                fates: [
                    ("alert", record.alerts),
                    ("duplicate", record.duplicates),
                    ("suppressed", record.suppressed),
                    ("excepted", record.excepted.unwrap_or(0)),
                    ("capped", record.capped),
                ],
            });
            if let Some(lag) = ended.and_then(|ended| ended.lag) {
                metrics.lagged(lag as f64 / 1_000.0);
            }
            if ended.is_some_and(|ended| ended.overran) {
                metrics.overran();
            }
        }
        // One that did not fail was written. When all of a group fail, something is wrong with all.
        let all_failed = ended.iter().all(|(record, _)| record.status == Status::Failed);
        self.writes.store(!all_failed, Ordering::Relaxed);
    }

    /// Shows that the service works to whoever watches over it, for ever.
    pub(super) async fn beat(&self, stop: CancellationToken) {
        let client = match &self.heartbeat {
            Some(_) => reqwest::Client::builder().timeout(BEAT).build().ok(),
            None => None,
        };
        let (Some(url), Some(client)) = (&self.heartbeat, client) else {
            return std::future::pending().await;
        };
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return std::future::pending().await,
                _ = tick.tick() => {}
            }
            let lives = self.shown.pulse.age().is_some_and(|age| age < STANDSTILL);
            if !lives || !self.writes.load(Ordering::Relaxed) {
                continue;
            }
            // The address is a secret: it is in no message.
            match client.get(url).send().await.map(|answer| answer.status()) {
                Ok(status) if status.is_success() => {}
                Ok(status) => tracing::warn!(%status, "the heartbeat was refused"),
                Err(error) => tracing::warn!(error = %error.without_url(), "the heartbeat did not arrive"),
            }
        }
    }

    /// The service comes to its end.
    pub(super) fn stopped(&self) {
        self.tell_systemd("STOPPING=1");
    }

    fn tell_systemd(&self, what: &str) {
        if let Some(socket) = &self.systemd
            && let Err(error) = socket.send(what.as_bytes())
        {
            tracing::debug!(%error, "systemd does not listen");
        }
    }
}

/// The socket on which systemd listens, where it started this process (`Type=notify`).
fn systemd() -> Option<UnixDatagram> {
    let path = std::env::var_os("NOTIFY_SOCKET")?;
    let socket = UnixDatagram::unbound().ok()?;
    let address = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()),
        None => SocketAddr::from_pathname(&path),
    };
    socket.connect_addr(&address.ok()?).ok()?;
    Some(socket)
}
