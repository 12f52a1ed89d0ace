//! The writing thread: one transaction for everything that becomes ready together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::forward::{Forward, queue};
use super::outbox::Planned;
use super::{
    AlertRow, AlertUpdate, BacklogEntry, ExecutionRecord, Memory, Routing, RuleState, StateDb, StateError,
    Turn,
};

/// How long the writing thread waits for company after the first write of a group.
pub const LINGER: Duration = Duration::from_millis(20);

/// What one execution leaves behind; kept whole or not at all.
#[derive(Debug, Clone)]
pub struct ExecutionCommit {
    /// The log entry. Alerts that turn out to be there already (another process was faster) are
    /// moved from its `alerts` to its `duplicates`.
    pub record: ExecutionRecord,
    /// New alerts.
    pub alerts: Vec<AlertRow>,
    /// What changes of alerts of earlier executions.
    pub updates: Vec<AlertUpdate>,
    /// The rule's state from now on; `None`: unchanged.
    pub state: Option<RuleState>,
    /// Candidates left out by the cap, kept for later executions.
    pub kept: Vec<BacklogEntry>,
    /// Alert ids whose backlog entries are done with (alerted or expired).
    pub settled: Vec<Arc<str>>,
    /// What later executions of the rule are told.
    pub memory: Vec<Memory>,
    /// Alerts whose episode recovered or lost its data.
    pub turns: Vec<Turn>,
}

impl StateDb {
    /// Writes what executions leave behind, all in one group; returns their log entries as
    /// written, in the same order, once they are on disk.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing of these executions was kept.
    pub fn commit(&self, executions: Vec<ExecutionCommit>) -> Result<Vec<ExecutionRecord>, StateError> {
        if executions.is_empty() {
            return Ok(Vec::new());
        }
        let targets = self.targets();
        let alerts = executions.iter().flat_map(|execution| &execution.alerts);
        let mut planned = self.planned(alerts)?;
        let routing = self.routing();
        let (records, queued) = self.write(move |c| {
            let mut queued = 0;
            let written = executions
                .into_iter()
                .map(|e| write_execution(c, e, &targets, routing.as_deref(), &mut planned, &mut queued));
            Ok((written.collect::<Result<Vec<_>, StateError>>()?, queued))
        })?;
        if queued > 0 {
            self.queued();
        }
        Ok(records)
    }
}

/// Writes one execution; of `planned`, by alert id, the notifications of alerts that are new.
fn write_execution(
    c: &Connection,
    execution: ExecutionCommit,
    targets: &[Arc<str>],
    routing: Option<&dyn Routing>,
    planned: &mut Planned,
    queued: &mut usize,
) -> Result<ExecutionRecord, StateError> {
    let ExecutionCommit { mut record, alerts, updates, state, kept, settled, memory, turns } = execution;
    let begun = Instant::now();
    for alert in &alerts {
        if super::alerts::insert(c, alert)? {
            queue(c, targets, &alert.id, &Forward::Create)?;
            *queued += super::outbox::insert_all(c, planned.remove(&alert.id))?;
        } else if alert.counted {
            record.alerts = record.alerts.saturating_sub(1);
            record.duplicates += 1;
        }
    }
    record.timings.write_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    for update in &updates {
        super::alerts::update(c, update)?;
        queue(c, targets, &update.id, &Forward::Update { fields: update.fields.clone() })?;
    }
    for turn in &turns {
        *queued += super::turn::write(c, turn, targets, routing)?;
    }
    for id in &settled {
        c.prepare_cached("DELETE FROM backlog WHERE rule = ?1 AND alert = ?2")?
            .execute(params![record.rule_uuid, &**id])?;
    }
    for entry in &kept {
        super::backlog::insert(c, entry)?;
    }
    for memory in &memory {
        super::memory::put(c, &record.rule_uuid, memory)?;
    }
    super::executions::insert(c, &record)?;
    if let Some(state) = &state {
        super::rules::put(c, state)?;
    }
    Ok(record)
}

pub(super) type Work = Box<dyn FnOnce(&Connection) -> Result<(), StateError> + Send>;

/// What who asked for a write is told.
type Done = Result<(), StateError>;

struct Job {
    work: Work,
    done: SyncSender<Done>,
}

/// The handle on the writing thread.
#[derive(Debug)]
pub(super) struct Committer {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    groups: Arc<AtomicU64>,
}

impl Committer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let groups = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&groups);
        let thread = std::thread::Builder::new()
            .name("tocsin-state".to_owned())
            .spawn(move || serve(&connection, &receiver, &counter))?;
        Ok(Self { jobs: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), groups })
    }

    pub(super) fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    pub(super) fn run(&self, work: Work) -> Result<(), StateError> {
        let (done, result) = sync_channel(1);
        let sender = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.ok_or(StateError::Closed)?.send(Job { work, done }).map_err(|_| StateError::Closed)?;
        result.recv().map_err(|_| StateError::Closed)?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // The channel's end is what tells the thread to finish.
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic of the thread has been reported to whoever waited for it.
            drop(thread.join());
        }
    }
}

fn serve(connection: &Connection, jobs: &Receiver<Job>, groups: &AtomicU64) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        let until = Instant::now() + LINGER;
        while let Ok(job) = jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
            group.push(job);
        }
        // Counted before anybody hears of it, so that who has an answer finds it counted.
        groups.fetch_add(1, Ordering::Relaxed);
        write_group(connection, group);
    }
}

/// One transaction; each job in a savepoint, so that one that fails takes no other with it.
fn write_group(connection: &Connection, group: Vec<Job>) {
    let mut finished: Vec<(SyncSender<Done>, Done)> = Vec::new();
    let mut broken = connection.execute_batch("BEGIN IMMEDIATE").err().map(StateError::from);
    for job in group {
        if broken.is_some() {
            finished.push((job.done, Err(StateError::Closed)));
            continue;
        }
        let result = savepoint(connection, job.work);
        // A full disk makes SQLite give up the whole transaction.
        if connection.is_autocommit() {
            broken = Some(match result {
                Err(error) => error,
                Ok(()) => StateError::Undone("the transaction ended early".to_owned()),
            });
            finished.push((job.done, Err(StateError::Closed)));
        } else {
            finished.push((job.done, result));
        }
    }
    if broken.is_none() {
        broken = connection.execute_batch("COMMIT").err().map(StateError::from);
    }
    if broken.is_some()
        && !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "cannot roll back the state database");
    }
    for (done, result) in finished {
        let result = match (&broken, result) {
            (None, result) => result,
            (Some(StateError::Full), _) => Err(StateError::Full),
            (Some(error), _) => Err(StateError::Undone(error.to_string())),
        };
        // Who no longer waits needs no answer.
        drop(done.send(result));
    }
}

fn savepoint(connection: &Connection, work: Work) -> Result<(), StateError> {
    connection.execute_batch("SAVEPOINT job")?;
    let result = catch_unwind(AssertUnwindSafe(|| work(connection)))
        .unwrap_or_else(|panic| Err(StateError::Undone(panic_text(panic.as_ref()))));
    if connection.is_autocommit() {
        return result;
    }
    match result {
        Ok(()) => Ok(connection.execute_batch("RELEASE job")?),
        Err(error) => {
            connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
            Err(error)
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned())
}
