//! One connector's way: what is due for it, sent in order, with pauses and bounds of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::pause;
use super::connector::{Connector, Receipt, SendError};
use super::message::{Message, Wording};
use crate::base::clock::Clock;
use crate::config::{ConnectorConfig, Rate};
use crate::store::state::{Settled, StateDb, StateError, Undelivered, Verdict};

/// How often the outbox is looked at when nobody says that something is in it: another process may
/// have written.
const LOOK: Duration = Duration::from_millis(250);
/// Notifications read ahead.
const AHEAD: usize = 64;

/// How a connector is worked.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// What its configuration says.
    pub config: ConnectorConfig,
    /// Beginnings of URLs that may be spoken to.
    pub allow: Arc<[String]>,
    /// Its templates.
    pub wording: Wording,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How long a notification is tried.
    pub retry_for: Duration,
    /// Messages under way at once.
    pub concurrency: Option<u32>,
    /// Most messages in a length of time.
    pub rate: Option<Rate>,
}

/// A connector at work.
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) wording: Arc<Wording>,
    pub(super) timeout: Duration,
    pub(super) retry_for: Duration,
    pub(super) concurrency: usize,
    pub(super) rate: Option<Rate>,
    pub(super) state: Arc<StateDb>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What is on its way.
#[derive(Default)]
struct Traffic {
    /// Numbers that are read and not written down yet.
    busy: HashSet<i64>,
    queue: VecDeque<Undelivered>,
    sending: JoinSet<Result<Receipt, SendError>>,
    /// Which notification a task sends.
    tasks: HashMap<tokio::task::Id, Sent>,
    /// Attempts that ended and are to be written down.
    ended: Vec<Settled>,
    writing: JoinSet<(Vec<i64>, Result<(), StateError>)>,
    /// Failures of the target in a row.
    failures: u32,
    /// No message before this.
    resume: Option<Instant>,
    /// When the last messages left, as far back as the rate looks.
    recent: VecDeque<Instant>,
}

/// A notification under way.
struct Sent {
    number: i64,
    created: i64,
    attempts: u32,
}

impl Lane {
    /// Sends what is due until `stop`; then only goes on until `deadline` passes or nothing is due.
    pub(super) async fn run(self, mut wake: watch::Receiver<u64>, stop: CancellationToken, drain: Duration) {
        let mut traffic = Traffic::default();
        let mut deadline: Option<Instant> = None;
        loop {
            if stop.is_cancelled() {
                deadline.get_or_insert_with(|| Instant::now() + drain);
            }
            let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if !over {
                self.fill(&mut traffic).await;
            }
            self.write_down(&mut traffic);
            let idle = traffic.sending.is_empty() && traffic.writing.is_empty() && traffic.ended.is_empty();
            if idle && deadline.is_some() && (over || traffic.queue.is_empty() || traffic.resume.is_some()) {
                return;
            }
            if over {
                // What is under way is given up; it will be sent again with the same key.
                traffic.sending.abort_all();
            }
            let nap = self.nap(&traffic);
            tokio::select! {
                Some(joined) = traffic.sending.join_next_with_id(), if !traffic.sending.is_empty() => {
                    let (task, result) = match joined {
                        Ok((task, result)) => (task, result),
                        Err(error) if error.is_cancelled() => continue,
                        Err(error) => (error.id(), Err(SendError::unavailable(format!("the attempt broke off: {error}")))),
                    };
                    if let Some(sent) = traffic.tasks.remove(&task) {
                        self.ended(&mut traffic, sent, result);
                    }
                }
                Some(written) = traffic.writing.join_next(), if !traffic.writing.is_empty() => {
                    written_down(&mut traffic, written, &self.name);
                }
                Ok(()) = wake.changed(), if deadline.is_none() => {}
                () = stop.cancelled(), if deadline.is_none() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    fn nap(&self, traffic: &Traffic) -> Duration {
        let now = Instant::now();
        let mut nap = LOOK;
        if let Some(resume) = traffic.resume {
            nap = nap.min(resume.saturating_duration_since(now));
        }
        if let (false, Some(free)) = (traffic.queue.is_empty(), self.rate_free(traffic)) {
            nap = nap.min(free.saturating_duration_since(now));
        }
        nap.max(Duration::from_millis(1))
    }

    /// When the rate lets the next message leave; `None`: now.
    fn rate_free(&self, traffic: &Traffic) -> Option<Instant> {
        let rate = self.rate?;
        let most = usize::try_from(rate.most).unwrap_or(usize::MAX);
        if traffic.recent.len() < most {
            return None;
        }
        traffic.recent.front().map(|oldest| *oldest + rate.within.duration())
    }

    /// Reads what is due and starts as many as may be under way.
    async fn fill(&self, traffic: &mut Traffic) {
        let now = Instant::now();
        if traffic.resume.is_some_and(|resume| now < resume) {
            return;
        }
        traffic.resume = None;
        // After a failure one message tries whether the target is back.
        let most = if traffic.failures > 0 { 1 } else { self.concurrency };
        if traffic.queue.is_empty() && traffic.sending.len() < most {
            let (state, name, size) =
                (Arc::clone(&self.state), self.name.clone(), traffic.busy.len() + AHEAD);
            let at = self.clock.now();
            match tokio::task::spawn_blocking(move || state.due(&name, at, size)).await {
                Ok(Ok(due)) => {
                    for pending in due {
                        if traffic.busy.insert(pending.number) {
                            traffic.queue.push_back(pending);
                        }
                    }
                }
                Ok(Err(error)) => tracing::error!(connector = self.name, %error, "cannot read the outbox"),
                Err(error) => tracing::error!(connector = self.name, %error, "cannot read the outbox"),
            }
        }
        if let Some(rate) = self.rate {
            let within = rate.within.duration();
            while traffic.recent.front().is_some_and(|oldest| *oldest + within <= now) {
                traffic.recent.pop_front();
            }
        }
        while traffic.sending.len() < most && self.rate_free(traffic).is_none() {
            let Some(pending) = traffic.queue.pop_front() else { return };
            if self.rate.is_some() {
                traffic.recent.push_back(now);
            }
            self.start(traffic, pending);
        }
    }

    fn start(&self, traffic: &mut Traffic, pending: Undelivered) {
        let (connector, wording) = (Arc::clone(&self.connector), Arc::clone(&self.wording));
        // Connectors bound their own steps; this bounds one that hangs all the same.
        let limit = self.timeout.saturating_mul(2) + Duration::from_secs(1);
        let sent = Sent { number: pending.number, created: pending.created, attempts: pending.attempts };
        let task = traffic.sending.spawn(async move {
            match tokio::time::timeout(limit, attempt(connector, wording, pending)).await {
                Ok(result) => result,
                Err(_) => Err(SendError::unavailable("no answer in time")),
            }
        });
        traffic.tasks.insert(task.id(), sent);
    }

    /// Decides what becomes of an attempt.
    fn ended(&self, traffic: &mut Traffic, sent: Sent, result: Result<Receipt, SendError>) {
        let Sent { number, created, attempts } = sent;
        let now = self.clock.now();
        let at = now.timestamp_millis();
        let verdict = match result {
            Ok(receipt) => {
                traffic.failures = 0;
                tracing::debug!(connector = self.name, number, "delivered");
                Verdict::Delivered { receipt: receipt.reference, note: receipt.note }
            }
            Err(SendError::Refused { reason }) => {
                traffic.failures = 0;
                tracing::error!(
                    connector = self.name,
                    number,
                    reason,
                    "a notification was refused: see `tocsin notify list --state dead`"
                );
                Verdict::Dead { note: reason }
            }
            Err(SendError::Unavailable { reason, after }) => {
                let random = fastrand::f64();
                if traffic.resume.is_none() {
                    traffic.failures = traffic.failures.saturating_add(1);
                    let rest = after.unwrap_or_else(|| pause(traffic.failures, random));
                    traffic.resume = Some(Instant::now() + rest);
                    tracing::warn!(
                        connector = self.name,
                        number,
                        reason,
                        "not delivered, next attempt in {:.1} s",
                        rest.as_secs_f64()
                    );
                }
                if self.expired(created, now) {
                    tracing::error!(
                        connector = self.name,
                        number,
                        reason,
                        "a notification was given up: see `tocsin notify list --state dead`"
                    );
                    Verdict::Dead { note: format!("given up after {} attempts: {reason}", attempts + 1) }
                } else {
                    let rest = after.unwrap_or_else(|| pause(attempts + 1, random));
                    Verdict::Retry {
                        due: at.saturating_add(i64::try_from(rest.as_millis()).unwrap_or(i64::MAX)),
                        note: reason,
                    }
                }
            }
        };
        traffic.ended.push(Settled { number, at, verdict });
    }

    fn expired(&self, created: i64, now: DateTime<Utc>) -> bool {
        let age = now.timestamp_millis().saturating_sub(created);
        u128::try_from(age).unwrap_or(0) >= self.retry_for.as_millis()
    }

    /// Starts writing down what ended, one write at a time.
    fn write_down(&self, traffic: &mut Traffic) {
        if traffic.ended.is_empty() || !traffic.writing.is_empty() {
            return;
        }
        let ended = std::mem::take(&mut traffic.ended);
        let state = Arc::clone(&self.state);
        traffic.writing.spawn_blocking(move || {
            let numbers = ended.iter().map(|settled| settled.number).collect();
            (numbers, state.settle(ended))
        });
    }
}

/// What could not be written down stays due: it is sent again with the same key.
fn written_down(
    traffic: &mut Traffic,
    written: Result<(Vec<i64>, Result<(), StateError>), tokio::task::JoinError>,
    name: &str,
) {
    match written {
        Ok((numbers, result)) => {
            for number in numbers {
                traffic.busy.remove(&number);
            }
            if let Err(error) = result {
                tracing::error!(connector = name, %error, "cannot write down deliveries: they will be repeated");
                traffic.resume = Some(Instant::now() + Duration::from_secs(1));
            }
        }
        Err(error) => tracing::error!(connector = name, %error, "writing down deliveries broke off"),
    }
}

async fn attempt(
    connector: Arc<dyn Connector>,
    wording: Arc<Wording>,
    pending: Undelivered,
) -> Result<Receipt, SendError> {
    let message = Message::compose(&pending, &wording)
        .map_err(|error| SendError::refused(format!("the notification cannot be read: {error}")))?;
    let mut receipt = connector.send(&message).await?;
    receipt.note = match (message.note, receipt.note) {
        (Some(first), Some(second)) => Some(format!("{first}; {second}")),
        (first, second) => first.or(second),
    };
    Ok(receipt)
}
